/* base/hash.h - the three hashes, each with its one use.
 *
 * hash_murmur2   which shard owns a document: Kafka's default partitioner, so a Kafka partition is a whole set of
 *                shards.
 * hash_128       identities in memory and on disk (join keys, documents, event ids): XXH3-128 with the data directory's
 *                seed, so that a sender cannot aim at one slot.
 * hash_64        checksums of what is stored: XXH3-64. */
#ifndef TIDEMILL_BASE_HASH_H
#define TIDEMILL_BASE_HASH_H

#include "base/bytes.h"

struct hash128 {
    uint64_t lo, hi;
};

static inline bool hash128_equal(struct hash128 a, struct hash128 b) { return a.lo == b.lo && a.hi == b.hi; }

/* As it is stored: lo, then hi. */
static inline struct hash128 reader_hash128(struct reader *r)
{
    struct hash128 h;
    h.lo = reader_u64(r);
    h.hi = reader_u64(r);
    return h;
}

/* As org.apache.kafka.common.utils.Utils.murmur2; the sign bit is not masked. */
uint32_t hash_murmur2(struct bytes text);
struct hash128 hash_128(struct bytes data, uint64_t seed);
uint64_t hash_64(struct bytes data);

/* Shard of a document: (murmur2(doc) & 0x7fffffff) mod shards. */
static inline uint32_t hash_shard(struct bytes doc, uint32_t shards)
{
    return (hash_murmur2(doc) & 0x7fffffffu) % shards;
}

#endif
