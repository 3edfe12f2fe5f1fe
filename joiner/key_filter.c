#include "joiner/key_filter.h"

#include <stdlib.h>

enum { WORDS = KEY_FILTER_LINE / 8, LINE_BITS = 9 /* 2^9 bits */ };

void key_filter_open(struct key_filter *f, uint32_t lines)
{
    CHECK(lines > 0);
    f->lines = lines;
    f->memory = mem_new((size_t)lines + 1, KEY_FILTER_LINE);
    f->words = (uint64_t *)(((uintptr_t)f->memory + KEY_FILTER_LINE - 1) & ~(uintptr_t)(KEY_FILTER_LINE - 1));
}

void key_filter_close(struct key_filter *f)
{
    free(f->memory);
    *f = (struct key_filter){0};
}

uint32_t key_filter_lines(uint64_t keys, uint32_t bits_a_key)
{
    uint64_t lines = (keys * bits_a_key + KEY_FILTER_LINE * 8 - 1) / (KEY_FILTER_LINE * 8);
    CHECK(lines < UINT32_MAX);
    return lines ? (uint32_t)lines : 1;
}

/* The line comes from one half of the hash, the bits in it from the other. Keys in the order of runs fill one line
 * after the other. */
static uint64_t *line_of(const struct key_filter *f, struct hash128 key)
{
    return f->words + (size_t)((unsigned __int128)key.hi * f->lines >> 64) * WORDS;
}

void key_filter_add(struct key_filter *f, struct hash128 key)
{
    uint64_t *line = line_of(f, key), bits = key.lo;
    for (int i = 0; i < KEY_FILTER_PROBES; i++, bits >>= LINE_BITS)
        line[bits & (WORDS - 1)] |= UINT64_C(1) << (bits >> 3 & 63);
}

bool key_filter_may_have(const struct key_filter *f, struct hash128 key)
{
    const uint64_t *line = line_of(f, key);
    uint64_t bits = key.lo, missing = 0;
    for (int i = 0; i < KEY_FILTER_PROBES; i++, bits >>= LINE_BITS)
        missing |= ~line[bits & (WORDS - 1)] >> (bits >> 3 & 63) & 1;
    return !missing;
}

void key_filter_prefetch(const struct key_filter *f, struct hash128 key) { __builtin_prefetch(line_of(f, key)); }
