#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint32_t hash_murmur2(struct bytes text)
{
    const uint32_t m = 0x5bd1e995u;
    const uint8_t *p = text.data;
    size_t left = text.size;
    uint32_t h = 0x9747b28cu ^ (uint32_t)text.size;
    for (; left >= 4; left -= 4, p += 4) {
        uint32_t k;
        memcpy(&k, p, 4);
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = (h * m) ^ k;
    }
    if (left > 2)
        h ^= (uint32_t)p[2] << 16;
    if (left > 1)
        h ^= (uint32_t)p[1] << 8;
    if (left > 0) {
        h ^= p[0];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    return h ^ (h >> 15);
}

struct hash128 hash_128(struct bytes data, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(data.data ? (const void *)data.data : "", data.size, seed);
    return (struct hash128){h.low64, h.high64};
}

uint64_t hash_64(struct bytes data) { return XXH3_64bits(data.data ? (const void *)data.data : "", data.size); }
