/* joiner/key_index.h - from a 128-bit key hash to the number of an entry in an array.
 *
 * Open addressing, linear probing, backward-shift deletion. A slot is 8 bytes: 32 hash bits and number + 1, so that
 * probing touches the entries only for a real candidate, and growing touches them not at all.
 * The entries are the caller's array: the entry of number n starts at entries + (n & mask) * stride, and its first 16
 * bytes are its key.
 * Bound    2^31 entries. Memory: owns its slots. Threads: one owner. */
#ifndef TIDEMILL_JOINER_KEY_INDEX_H
#define TIDEMILL_JOINER_KEY_INDEX_H

#include "base/hash.h"

#define KEY_INDEX_NONE UINT32_MAX

struct key_index {
    uint64_t *slots;
    uint32_t capacity; /* power of two, or 0 */
    uint32_t used;
};

struct key_entries {
    const void *entries;
    size_t stride;
    uint32_t mask; /* applied to a number; UINT32_MAX: none */
};

void key_index_close(struct key_index *x);
void key_index_clear(struct key_index *x); /* of all keys at once */
uint32_t key_index_find(const struct key_index *x, struct hash128 key, struct key_entries entries);
void key_index_insert(struct key_index *x, struct hash128 key, uint32_t number); /* key must not be there */
void key_index_remove(struct key_index *x, struct hash128 key, uint32_t number); /* must be there */
void key_index_prefetch(const struct key_index *x, struct hash128 key);

/* Once the slot is in the cache: the number that a search would look at first, KEY_INDEX_NONE: none. The entry is not
 * touched, so it can be prefetched; it may be another key's. */
uint32_t key_index_guess(const struct key_index *x, struct hash128 key);

#endif
