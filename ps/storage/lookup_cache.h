/* ps/storage/lookup_cache.h - the newest rows of keys that were looked up, shared by all who look up.
 *
 *   fetch(keys) ──► what is missing is read, together ──► cache ◄── forget(key): a row of it was written
 *   find(key, time, position) ──► from the cache; else read
 *
 * Entry    the newest LOOKUP_VERSIONS_MAX rows of a key, or all there are; also that there is none. An answer comes
 *          from it when it is certain without older rows, else from the store; both are the same, so what is found
 *          never depends on what is cached.
 * Order    who writes a row calls forget() behind the write and before anybody may look for the row. What was being
 *          read meanwhile is used, and not kept.
 * Bound    `bytes` in all, entries and rows; the ones used longest ago go first, and one stays whatever its size.
 * Memory   owns its entries. Threads: any; the keys are spread over stripes with a mutex each. */
#ifndef TIDEMILL_PS_STORAGE_LOOKUP_CACHE_H
#define TIDEMILL_PS_STORAGE_LOOKUP_CACHE_H

#include "ps/state/lookup.h"
#include "ps/state/store.h"

/* Rows of a key that are cached. */
enum { LOOKUP_VERSIONS_MAX = 4 };

/* Where the rows are: scans over lookup_put_row() -> event, empty when it deletes. */
struct lookup_store {
    void *self;
    enum tm_code (*scan)(void *self, const struct store_range *ranges, size_t count, store_visit *visit,
                         struct tm_error *err);
};

struct lookup_cache;

struct lookup_cache *lookup_cache_open(struct lookup_store store, uint64_t bytes);
void lookup_cache_close(struct lookup_cache *c); /* NULL is fine */
void lookup_cache_forget(struct lookup_cache *c, const struct lookup_key *key);

/* TM_DATA_LOSS: a row is damaged; and what the store says. What fetch cannot read is told by find. */
struct lookup_source lookup_cache_source(struct lookup_cache *c);

struct lookup_cache_counts {
    uint64_t lookups; /* asked for */
    uint64_t misses;  /* keys that were read from the store */
    uint64_t entries, bytes;
};
void lookup_cache_count(struct lookup_cache *c, struct lookup_cache_counts *out);

#endif
