#include "ps/storage/lookup_rows.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "ps/state/lookup_sweep.h"
#include "ps/storage/data_dir.h"

/* A walk over all rows, a slice at a time. */
struct walk {
    struct lookup_sweep sweep;
    bool runs;
    int64_t began_ms;
    uint32_t seen; /* in this slice */
    struct rocks_batch *batch;
};

struct lookup_rows {
    struct rocks *db;
    const struct catalog *catalog;
    uint64_t hash_seed;
    struct lookup_cache *cache;
    struct walk walk;
    bool fresh; /* rows were written since the last walk began */
    _Atomic uint64_t synced;
    _Atomic int64_t decided_before;
    _Atomic uint64_t written, removed;
};

static enum tm_code scan(void *self, const struct store_range *ranges, size_t count, store_visit *visit,
                         struct tm_error *err)
{
    return rocks_scan_ranges(self, LOG_LOOKUP, ranges, count, visit, err);
}

struct lookup_rows *lookup_rows_open(struct rocks *db, const struct catalog *catalog, uint64_t hash_seed,
                                     uint64_t cache_bytes)
{
    struct lookup_rows *l = mem_new(1, sizeof *l);
    l->db = db;
    l->catalog = catalog;
    l->hash_seed = hash_seed;
    l->fresh = true; /* who knows what the last start left */
    atomic_init(&l->decided_before, WATERMARK_NONE);
    l->cache = lookup_cache_open((struct lookup_store){db, scan}, cache_bytes);
    return l;
}

void lookup_rows_close(struct lookup_rows *l)
{
    if (!l)
        return;
    lookup_cache_close(l->cache);
    free(l);
}

/* ---- writing ---- */

struct writing {
    struct lookup_rows *rows;
    struct rocks_batch *batch;
};

static void put_row(void *context, const struct lookup_row *row)
{
    struct writing *w = context;
    uint8_t key[LOOKUP_ROW_SIZE];
    lookup_put_row(&row->key, row->time, row->position, key);
    rocks_batch_put(w->batch, LOG_LOOKUP, bytes_of(key, sizeof key), row->event);
    w->rows->fresh = true;
    atomic_fetch_add_explicit(&w->rows->written, 1, memory_order_relaxed);
}

void lookup_rows_put(struct lookup_rows *l, const struct block *b, struct rocks_batch *batch)
{
    lookup_rows_of(b, l->catalog, l->hash_seed, put_row, &(struct writing){l, batch});
}

static void forget_row(void *cache, const struct lookup_row *row) { lookup_cache_forget(cache, &row->key); }

void lookup_rows_written(struct lookup_rows *l, const struct block *b)
{
    lookup_rows_of(b, l->catalog, l->hash_seed, forget_row, l->cache);
}

void lookup_rows_release(struct lookup_rows *l, uint64_t synced, int64_t decided_before)
{
    atomic_store_explicit(&l->synced, synced, memory_order_release);
    atomic_store_explicit(&l->decided_before, decided_before, memory_order_release);
}

/* ---- removing ---- */

static enum tm_code judge_row(void *context, struct bytes key, struct bytes event, struct tm_error *err)
{
    struct lookup_rows *l = context;
    struct walk *w = &l->walk;
    bool bad;
    (void)event;
    if (key.size == LOOKUP_ROW_SIZE && memcmp(key.data, w->sweep.row, LOOKUP_ROW_SIZE) == 0)
        return TM_OK; /* the last one of the slice before */
    if (w->seen++ == LOOKUP_SLICE)
        return STORE_ENOUGH;
    if (lookup_sweep_row(&w->sweep, key, &bad)) {
        rocks_batch_remove(w->batch, LOG_LOOKUP, key);
        atomic_fetch_add_explicit(&l->removed, 1, memory_order_relaxed);
    }
    return bad ? tm_error_set(err, TM_DATA_LOSS, "a row of a table has a key of %zu bytes", key.size) : TM_OK;
}

/* Returns whether there is anything to remove, now or later. */
static bool begin_walk(struct lookup_rows *l, int64_t now_ms)
{
    struct walk *w = &l->walk;
    if (!(l->fresh || w->sweep.left) || (w->began_ms && now_ms - w->began_ms < LOOKUP_SWEEP_MS))
        return false;
    *w = (struct walk){.runs = true, .began_ms = now_ms};
    w->sweep.decided_before = atomic_load_explicit(&l->decided_before, memory_order_acquire);
    w->sweep.synced = atomic_load_explicit(&l->synced, memory_order_acquire);
    l->fresh = false;
    return true;
}

void lookup_rows_sweep(struct lookup_rows *l, int64_t now_ms, struct rocks_batch *batch)
{
    struct walk *w = &l->walk;
    struct tm_error err;
    if (!lookup_any(l->catalog) || (!w->runs && !begin_walk(l, now_ms)))
        return;
    uint8_t from[LOOKUP_ROW_SIZE];
    memcpy(from, w->sweep.row, sizeof from); /* the walk moves on while it is read */
    struct store_range range = {.from = bytes_of(from, sizeof from), .context = l};
    w->seen = 0;
    w->batch = batch;
    if (rocks_scan_ranges(l->db, LOG_LOOKUP, &range, 1, judge_row, &err) != TM_OK)
        stop(STOP_DATA_LOSS, "the rows of tables cannot be read: %s", err.message);
    w->runs = w->seen > LOOKUP_SLICE;
}

struct lookup_source lookup_rows_source(struct lookup_rows *l) { return lookup_cache_source(l->cache); }

void lookup_rows_count(struct lookup_rows *l, struct lookup_rows_counts *out)
{
    out->written = atomic_load_explicit(&l->written, memory_order_relaxed);
    out->removed = atomic_load_explicit(&l->removed, memory_order_relaxed);
    lookup_cache_count(l->cache, &out->cache);
}
