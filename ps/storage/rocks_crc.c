#include <dlfcn.h>
#include <string.h>

#include "ps/storage/rocks_parts.h"

#ifdef __x86_64__

#include <nmmintrin.h>

/* Memory of RocksDB's own threads is read here, which TSan cannot know to be in order. */
__attribute__((target("sse4.2"), no_sanitize("thread"))) static uint32_t by_instruction(uint32_t crc, const char *p,
                                                                                        size_t size)
{
    uint64_t c = ~crc, word;
    for (; size >= sizeof word; size -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        c = _mm_crc32_u64(c, word);
    }
    for (; size > 0; size--)
        c = _mm_crc32_u8((uint32_t)c, (uint8_t)*p++);
    return ~(uint32_t)c;
}

/* A processor of before 2008: as slow as it ever was. */
static uint32_t by_table(uint32_t crc, const char *p, size_t size)
{
    uint32_t (*theirs)(uint32_t, const char *, size_t) = NULL;
    void *symbol = dlsym(RTLD_NEXT, ROCKS_CRC32C_SYMBOL);
    CHECK(symbol);
    memcpy(&theirs, &symbol, sizeof theirs);
    return theirs(crc, p, size);
}

uint32_t rocks_crc32c(uint32_t crc, const char *bytes, size_t size)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, bytes, size) : by_table(crc, bytes, size);
}

/* The check value of the polynomial. That it is asked for also takes this file into every program with a database. */
void rocks_crc32c_check(void)
{
    static const char digits[] = "123456789";
    CHECK(rocks_crc32c(0, digits, strlen(digits)) == 0xe3069283);
}

#else

void rocks_crc32c_check(void) {}

#endif
