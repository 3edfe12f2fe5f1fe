#include "joiner/runs.h"

#include <stdlib.h>

enum {
    SEAL_KEYS = 12288,
    FAN_IN = 8,
    BLOCK_KEYS = 128,
    FILTER_BITS = 10,
    MERGE_SHARE = 16,  /* keys merged for each new one: several times the tiers there can be */
    MERGE_LEAST = 256, /* keys merged with any commit */
};

/* What is asked most, the young runs, has few of the keys: more bits for them cost next to nothing, and a block is read
 * for every mistake. A tenth of the mistakes at the lowest level, half of them at the next. Source: N. Dayan,
 * M. Athanassoulis, S. Idreos, "Monkey: Optimal Navigable Key-Value Store", 2017. */
static uint32_t filter_bits(const struct runs_tuning *t, uint32_t level)
{
    return level == 0 ? t->filter_bits * 8 / 5 : level == 1 ? t->filter_bits * 6 / 5 : t->filter_bits;
}

static uint32_t or_default(uint32_t given, uint32_t otherwise) { return given ? given : otherwise; }

void runs_open(struct runs *r, const struct runs_options *options)
{
    *r = (struct runs){.options = *options, .next_id = 1};
    struct runs_tuning *t = &r->options.tuning;
    t->seal_keys = or_default(t->seal_keys, SEAL_KEYS);
    t->fan_in = or_default(t->fan_in, FAN_IN);
    t->block_keys = or_default(t->block_keys, BLOCK_KEYS);
    t->filter_bits = or_default(t->filter_bits, FILTER_BITS);
    CHECK(t->fan_in >= 2 && t->fan_in <= RUN_FAN_IN_MAX);
    r->run = mem_new(RUNS_MAX + 1, sizeof *r->run);
}

void runs_close(struct runs *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        run_close(&r->run[i]);
    for (uint32_t i = 0; i < RUNS_CACHE; i++)
        buffer_close(&r->cache[i].bytes);
    if (r->merge.inputs) {
        run_close(&r->merge.out.run);
        run_merge_close(&r->merge);
    }
    free(r->run);
    free(r->marks);
    free(r->dropped);
    free(r->failure);
    *r = (struct runs){0};
}

/* ---- questions ---- */

static bool failed(struct runs *r, enum tm_code rc, const struct tm_error *err)
{
    if (rc == TM_OK)
        return false;
    if (!r->failure) {
        r->failure = mem_new(1, sizeof *r->failure);
        *r->failure = *err;
    }
    return true;
}

void runs_fail(struct runs *r)
{
    struct tm_error err;
    failed(r, tm_error_set(&err, TM_DATA_LOSS, "an entry in the runs of decided keys makes no sense"), &err);
}

static enum tm_code read_block(struct runs *r, const struct run *run, uint32_t block, struct bytes *entries,
                               struct tm_error *err)
{
    struct runs_cached *c = &r->cache[(run->id * 31 + block) % RUNS_CACHE];
    if (c->run == run->id && c->block == block) {
        *entries = c->entries;
        return TM_OK;
    }
    if (run_in_memory(run, block))
        return run_read(run, block, &r->options.store, NULL, entries, err);
    r->reads++;
    c->run = 0;
    enum tm_code rc = run_read(run, block, &r->options.store, &c->bytes, &c->entries, err);
    if (rc != TM_OK)
        return rc;
    c->run = run->id;
    c->block = block;
    *entries = c->entries;
    return TM_OK;
}

static enum tm_code find_in(struct runs *r, const struct run *run, struct hash128 key, struct run_entry *found,
                            struct tm_error *err)
{
    struct bytes entries;
    uint32_t block = run_block_of(run, key);
    enum tm_code rc = read_block(r, run, block, &entries, err);
    if (rc != TM_OK)
        return rc;
    struct reader reader = reader_of(entries);
    while (run_entry_next(&reader, found))
        if (hash128_equal(found->key, key))
            return TM_OK;
    if (reader.bad)
        return tm_error_set(err, TM_DATA_LOSS, "block %u of run %llu of decided keys is damaged", block,
                            (unsigned long long)run->id);
    found->bytes = (struct bytes){0};
    return TM_OK;
}

/* Their filters lie far apart: the misses go side by side. */
static void prefetch(const struct runs *r, struct hash128 key, int64_t from)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->run[i].newest >= from)
            key_filter_prefetch(&r->run[i].filter, key);
}

bool runs_find(struct runs *r, struct hash128 key, int64_t from, struct bytes *entry)
{
    prefetch(r, key, from);
    for (uint32_t i = r->count; i-- > 0 && !r->failure;) {
        struct run_entry found = {0};
        struct tm_error err;
        if (r->run[i].newest < from || !key_filter_may_have(&r->run[i].filter, key))
            continue;
        if (failed(r, find_in(r, &r->run[i], key, &found, &err), &err))
            return false;
        if (found.bytes.size) {
            *entry = found.bytes;
            return found.time >= from;
        }
    }
    return false;
}

/* ---- what a commit does ---- */

/* The blocks that were put just now can be read when this commit is written. */
static void mark(struct runs *r, uint64_t commit, uint64_t run, uint32_t blocks)
{
    if (r->mark_count == r->mark_capacity) {
        r->mark_capacity = r->mark_capacity ? 2 * r->mark_capacity : 16;
        r->marks = mem_grow(r->marks, r->mark_capacity, sizeof *r->marks);
    }
    r->marks[r->mark_count++] = (struct runs_mark){commit, run, blocks};
}

void runs_written(struct runs *r, uint64_t commit)
{
    size_t n = 0;
    for (; n < r->mark_count && r->marks[n].commit <= commit; n++) {
        const struct runs_mark *m = &r->marks[n];
        for (uint32_t i = 0; i < r->count; i++)
            if (r->run[i].id == m->run)
                run_written(&r->run[i], m->blocks);
        if (r->merge.inputs && r->merge.out.run.id == m->run)
            run_written(&r->merge.out.run, m->blocks);
    }
    r->mark_count -= n;
    if (n && r->mark_count)
        memmove(r->marks, r->marks + n, r->mark_count * sizeof *r->marks);
}

void runs_seal(struct runs *r, uint64_t commit, const struct run_entry *entries, size_t count)
{
    struct run_builder b;
    const struct runs_tuning *t = &r->options.tuning;
    r->sealed = commit;
    r->changed = true;
    if (count == 0)
        return;
    run_build(&b, r->next_id++, count, t->block_keys, filter_bits(t, 0));
    for (size_t i = 0; i < count; i++)
        run_add(&b, &r->options.store, &entries[i]);
    run_finish(&b, &r->options.store);
    mark(r, commit, b.run.id, run_blocks(&b.run));
    CHECK(r->count < RUNS_MAX);
    r->run[r->count++] = b.run;
}

static void remove_row(const struct runs *r, enum run_row row, uint64_t run, uint32_t part)
{
    uint8_t key[RUN_KEY];
    run_key(key, row, run, part);
    r->options.store.remove(r->options.store.self, bytes_of(key, sizeof key));
}

static void drop_later(struct runs *r, uint64_t run, uint32_t blocks)
{
    if (r->dropped_count == r->dropped_capacity) {
        r->dropped_capacity = r->dropped_capacity ? 2 * r->dropped_capacity : 8;
        r->dropped = mem_grow(r->dropped, r->dropped_capacity, sizeof *r->dropped);
    }
    r->dropped[r->dropped_count++] = (struct runs_dropped){run, blocks};
}

/* n runs from the i-th on are not asked any more; their rows go by and by. */
static void drop_runs(struct runs *r, uint32_t i, uint32_t n)
{
    for (uint32_t k = i; k < i + n; k++) {
        struct run *run = &r->run[k];
        for (uint32_t part = 0; (size_t)part * RUN_FILTER_PART < key_filter_bytes(&run->filter); part++)
            remove_row(r, RUN_FILTER, run->id, part);
        drop_later(r, run->id, run_blocks(run));
        run_close(run);
    }
    r->count -= n;
    memmove(r->run + i, r->run + i + n, (r->count - i) * sizeof *r->run);
    r->changed = true;
}

static bool in_merge(const struct runs *r, uint32_t i)
{
    return r->merge.inputs && i >= r->merge_first && i < r->merge_first + r->merge.inputs;
}

static void expire(struct runs *r, int64_t expiry)
{
    for (uint32_t i = 0; i < r->count;) {
        if (r->run[i].newest >= expiry || in_merge(r, i)) {
            i++;
            continue;
        }
        drop_runs(r, i, 1);
        r->merge_first -= i < r->merge_first;
    }
}

static void remove_rows(struct runs *r)
{
    for (uint32_t n = 0; n < RUNS_REMOVED && r->dropped_count; n++) {
        struct runs_dropped *d = &r->dropped[r->dropped_count - 1];
        remove_row(r, RUN_BLOCK, d->run, --d->blocks);
        r->dropped_count -= d->blocks == 0;
        r->changed = true;
    }
}

/* ---- merging ---- */

static bool spans(const struct runs *r, uint32_t first, uint32_t n)
{
    int64_t oldest = INT64_MAX, newest = INT64_MIN, span;
    for (uint32_t i = first; i < first + n; i++) {
        oldest = r->run[i].oldest < oldest ? r->run[i].oldest : oldest;
        newest = r->run[i].newest > newest ? r->run[i].newest : newest;
    }
    return !__builtin_sub_overflow(newest, oldest, &span) && span <= r->options.span_ms;
}

static bool is_alike(const struct runs *r, uint32_t first, uint32_t i)
{
    return i < r->count && r->run[i].level == r->run[first].level;
}

/* Neighbours of one tier: `fan_in` of them, or fewer if the next one would make what comes out too long. Of several
 * such groups the youngest, which is the smallest. */
static bool choose(const struct runs *r, uint32_t *first, uint32_t *n)
{
    bool found = false;
    for (uint32_t i = 0, some = 1; i < r->count; i += some) {
        for (some = 1; some < r->options.tuning.fan_in && is_alike(r, i, i + some) && spans(r, i, some + 1);)
            some++;
        bool complete = some == r->options.tuning.fan_in || is_alike(r, i, i + some);
        if (some < 2 || !complete)
            continue;
        *first = i;
        *n = some;
        found = true;
    }
    return found;
}

/* There must be room for another run, whatever the tiers and spans say. */
static void choose_smallest(const struct runs *r, uint32_t *first, uint32_t *n)
{
    *first = 0;
    *n = 2;
    for (uint32_t i = 1; i + 1 < r->count; i++)
        if (r->run[i].keys + r->run[i + 1].keys < r->run[*first].keys + r->run[*first + 1].keys)
            *first = i;
}

static bool begin_merge(struct runs *r, uint32_t first, uint32_t n, int64_t expiry)
{
    const struct runs_tuning *t = &r->options.tuning;
    struct run_merging w = {&r->run[first], &r->options.store, expiry};
    struct tm_error err;
    uint64_t keys = 0;
    uint32_t level = 0;
    for (uint32_t i = first; i < first + n; i++) {
        keys += r->run[i].keys;
        level = r->run[i].level > level ? r->run[i].level : level;
    }
    run_build(&r->merge.out, r->next_id++, keys, t->block_keys, filter_bits(t, level + 1));
    r->merge.out.run.level = level + 1;
    r->merge_first = first;
    r->changed = true;
    return !failed(r, run_merge_begin(&r->merge, &w, n, &err), &err);
}

static void end_merge(struct runs *r)
{
    struct run out = r->merge.out.run;
    uint32_t first = r->merge_first, n = r->merge.inputs;
    run_merge_close(&r->merge);
    drop_runs(r, first, n);
    if (out.keys == 0) { /* all of them expired meanwhile; its rows were put into commits already */
        memmove(r->run + first + 1, r->run + first, (r->count++ - first) * sizeof *r->run);
        r->run[first] = out;
        drop_runs(r, first, 1);
        return;
    }
    memmove(r->run + first + 1, r->run + first, (r->count++ - first) * sizeof *r->run);
    r->run[first] = out;
}

static bool merge_on(struct runs *r, uint64_t commit, uint64_t entries, int64_t expiry)
{
    struct run_merging w = {&r->run[r->merge_first], &r->options.store, expiry};
    struct tm_error err;
    bool done;
    if (failed(r, run_merge_step(&r->merge, &w, entries, &done, &err), &err))
        return false;
    mark(r, commit, r->merge.out.run.id, r->merge.out.at);
    if (done)
        end_merge(r);
    return true;
}

void runs_keep(struct runs *r, uint64_t commit, uint64_t decided, int64_t expiry)
{
    uint32_t first, n;
    if (r->failure)
        return;
    remove_rows(r);
    expire(r, expiry);
    if (r->merge.inputs == 0 && choose(r, &first, &n) && !begin_merge(r, first, n, expiry))
        return;
    if (r->merge.inputs && !merge_on(r, commit, decided * MERGE_SHARE + MERGE_LEAST, expiry))
        return;
    while (r->count >= RUNS_MAX) {
        if (r->merge.inputs == 0) {
            choose_smallest(r, &first, &n);
            if (!begin_merge(r, first, n, expiry))
                return;
        }
        if (!merge_on(r, commit, UINT64_MAX, expiry))
            return;
    }
}

uint64_t runs_keys(const struct runs *r)
{
    uint64_t keys = 0;
    for (uint32_t i = 0; i < r->count; i++)
        keys += r->run[i].keys;
    return keys;
}

size_t runs_memory(const struct runs *r)
{
    size_t bytes = runs_on(r) ? (RUNS_MAX + 1) * sizeof *r->run : 0;
    for (uint32_t i = 0; i < r->count; i++)
        bytes += run_memory(&r->run[i]);
    for (uint32_t i = 0; i < RUNS_CACHE; i++)
        bytes += r->cache[i].bytes.capacity;
    if (r->merge.inputs)
        bytes += run_memory(&r->merge.out.run);
    return bytes + r->mark_capacity * sizeof *r->marks + r->dropped_capacity * sizeof *r->dropped;
}
