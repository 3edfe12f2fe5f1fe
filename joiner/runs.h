/* joiner/runs.h - the sorted runs of one shard: decided keys that left memory, found again through filters.
 *
 *   decided keys in memory ──seal──► run ─┐
 *                                    run ─┼─merge──► run (a tier up) ──expiry──► gone, as a whole
 *                                    run ─┘
 *
 * Order    runs lie oldest first, and only neighbours merge, so that of the entries of one key the youngest is found
 *          first: an entry that changed after its run was written is simply written again.
 * Answers  depend on nothing but what was sealed: not on commits, merges, caches or crashes. So seals and merges happen
 *          when a commit is frozen, in slices measured in keys.
 * Tiers    `fan_in` neighbours of one tier merge; fewer, if more would span more than `span_ms`: a run goes when its
 *          newest key expires, so that keys stay at most that much too long.
 * Bounds   RUNS_MAX runs: at the bound the merge under way ends at once, or the two neighbours with the fewest keys
 *          merge. RUNS_CACHE blocks that were read. RUNS_REMOVED rows of dropped runs are deleted with a commit.
 * Cost     a question about a key that is nowhere: one cache miss for each run that is young enough, and a block read
 *          for each mistaken filter.
 * Errors   reading happens inside a step that returns nothing: the first error is kept in `failure`, answers are "no"
 *          from then on, and the caller must stop.
 * Memory   filters (10 bits a key; 16 and 12 in the two lowest tiers), unwritten blocks, the cache.
 * Threads  one owner. */
#ifndef TIDEMILL_JOINER_RUNS_H
#define TIDEMILL_JOINER_RUNS_H

#include "joiner/run_merge.h"

enum { RUNS_MAX = 40, RUNS_CACHE = 8, RUNS_REMOVED = 4096 };

/* 0 means the default, but for the span. */
struct runs_tuning {
    uint32_t seal_keys;   /* 12,288: so many decided keys are held in memory */
    uint32_t fan_in;      /* 8 */
    uint32_t block_keys;  /* 128, about 7 KiB */
    uint32_t filter_bits; /* 10 a key; in the two lowest tiers more by 3/5 and 1/5 */
};

struct runs_options {
    struct runs_tuning tuning;
    struct run_store store;
    int64_t span_ms;
};

struct runs_mark { /* the commit carries the blocks of the run in front of `blocks` */
    uint64_t commit, run;
    uint32_t blocks;
};

struct runs_dropped { /* rows of blocks that must go, the last one first */
    uint64_t run;
    uint32_t blocks;
};

struct runs_cached {
    uint64_t run;
    uint32_t block;
    struct buffer bytes;
    struct bytes entries; /* in bytes; empty and run 0: nothing is cached */
};

struct runs {
    struct runs_options options;
    struct run *run; /* RUNS_MAX + 1, or NULL: there are no runs, ever */
    uint32_t count;
    uint64_t next_id;
    uint64_t sealed; /* what commits up to this one carried of decided keys is in runs */
    struct run_merge merge;
    uint32_t merge_first; /* its inputs are here */
    struct runs_mark *marks;
    size_t mark_count, mark_capacity;
    struct runs_dropped *dropped;
    size_t dropped_count, dropped_capacity;
    struct runs_cached cache[RUNS_CACHE];
    bool changed;             /* since the manifest was written */
    struct tm_error *failure; /* NULL: none */
    uint64_t reads;           /* of blocks, for corrections and mistakes of filters */
};

void runs_open(struct runs *r, const struct runs_options *options);
void runs_close(struct runs *r); /* zeroed is fine */
static inline bool runs_on(const struct runs *r) { return r->run != NULL; }

/* The youngest entry of the key; false: there is none, or its time is before `from`. Of one key the youngest has the
 * largest time, so runs that are older than `from` as a whole are not asked. The view lives until the next call. */
bool runs_find(struct runs *r, struct hash128 key, int64_t from, struct bytes *entry);

void runs_fail(struct runs *r); /* an entry that was found makes no sense */

/* While a commit is frozen, in this order: seal (if there is something), keep, write. */
/* Entries in the order of their keys become the youngest run. */
void runs_seal(struct runs *r, uint64_t commit, const struct run_entry *entries, size_t count);
/* Drop what expired, delete rows, merge: as much as `decided` new keys pay for. */
void runs_keep(struct runs *r, uint64_t commit, uint64_t decided, int64_t expiry);
/* Write the manifest if something changed (or `more` did, which is kept with it). */
void runs_write(struct runs *r, struct bytes more, bool more_changed);

/* Commits up to this one can be read. */
void runs_written(struct runs *r, uint64_t commit);

/* Loading: the manifest, then every part of every filter. more: as it was given to runs_write(). */
enum tm_code runs_load_manifest(struct runs *r, struct bytes row, struct bytes *more, struct tm_error *err);
enum tm_code runs_load_filter(struct runs *r, struct bytes key, struct bytes row, struct tm_error *err);
enum tm_code runs_load_done(const struct runs *r, struct tm_error *err); /* every filter is whole */

uint64_t runs_keys(const struct runs *r); /* a key that changed counts in every run that has it */
size_t runs_memory(const struct runs *r);

#endif
