/* ps/storage/lookup_rows.h - the rows of all tables of a node: LOG_LOOKUP, written in the same write as the block that
 * brought them, and read through a cache.
 *
 * Kept     superseded rows (ps/state/lookup_sweep.h) are removed by a sweep, slice by slice, in the log's own writes;
 *          no answer depends on when. The log's retention does not touch rows.
 * Sweep    begins when rows were written since the last one, or it left some that will be superseded; LOOKUP_SLICE rows
 *          a turn are looked at.
 * Threads  put, written and sweep: the log's writer. release and counts: any. The source: any. */
#ifndef TIDEMILL_PS_STORAGE_LOOKUP_ROWS_H
#define TIDEMILL_PS_STORAGE_LOOKUP_ROWS_H

#include "ps/storage/lookup_cache.h"
#include "ps/storage/rocks.h"

enum { LOOKUP_SLICE = 1024, LOOKUP_SWEEP_MS = 10000 /* from the begin of a sweep to the next, at least */ };

struct lookup_rows;

/* catalog: borrowed, the writer's; what it says in front of a block. */
struct lookup_rows *lookup_rows_open(struct rocks *db, const struct catalog *catalog, uint64_t hash_seed,
                                     uint64_t cache_bytes);
void lookup_rows_close(struct lookup_rows *l); /* NULL is fine */

void lookup_rows_put(struct lookup_rows *l, const struct block *b, struct rocks_batch *batch);
void lookup_rows_written(struct lookup_rows *l, const struct block *b); /* before anybody gets the block */
void lookup_rows_sweep(struct lookup_rows *l, int64_t now_ms, struct rocks_batch *batch);

/* Every shard stands at `synced` or behind it for good, and has decided all impressions before `decided_before`. */
void lookup_rows_release(struct lookup_rows *l, uint64_t synced, int64_t decided_before);

struct lookup_source lookup_rows_source(struct lookup_rows *l);

struct lookup_rows_counts {
    uint64_t written, removed; /* since the start */
    struct lookup_cache_counts cache;
};
void lookup_rows_count(struct lookup_rows *l, struct lookup_rows_counts *out);

#endif
