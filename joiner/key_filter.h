/* joiner/key_filter.h - a set of keys that may say yes by mistake, never no: what stays in memory of a sorted run.
 *
 * A Bloom filter in lines of 64 bytes: a key sets KEY_FILTER_PROBES bits of one line, so a question is one cache miss.
 * At 10 bits a key about 1 % of the other keys are taken for members, at 12 0.4 %, at 16 0.1 %. Built key by key,
 * without memory beside itself; static filters with fewer mistakes (binary fuse, ribbon) take three misses a question
 * and 10 to 20 times their size to build, and runs are built all the time.
 * Source   F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007 (blocked).
 * Shape    its bytes are the same on every machine; the number of lines follows from keys and bits a key.
 * Memory   owns its lines. Threads: one owner. */
#ifndef TIDEMILL_JOINER_KEY_FILTER_H
#define TIDEMILL_JOINER_KEY_FILTER_H

#include "base/hash.h"

enum { KEY_FILTER_LINE = 64, KEY_FILTER_PROBES = 7 };

struct key_filter {
    uint64_t *words; /* 8 a line, at a multiple of 64 */
    void *memory;
    uint32_t lines;
};

void key_filter_open(struct key_filter *f, uint32_t lines);
void key_filter_close(struct key_filter *f);
uint32_t key_filter_lines(uint64_t keys, uint32_t bits_a_key); /* at least 1 */
void key_filter_add(struct key_filter *f, struct hash128 key);
bool key_filter_may_have(const struct key_filter *f, struct hash128 key);
void key_filter_prefetch(const struct key_filter *f, struct hash128 key);

static inline size_t key_filter_bytes(const struct key_filter *f) { return (size_t)f->lines * KEY_FILTER_LINE; }

#endif
