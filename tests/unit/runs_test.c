/* Tests of the sorted runs: filters, blocks, merges and restarts against an array of what each key must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/decided.h"
#include "joiner/runs.h"
#include "tests/unit/random.h"

/* ---- a store in memory: rows of commits that were written, and of those that were not yet ---- */

enum { ROWS_MAX = 40000 };

struct row {
    uint8_t key[RUN_KEY];
    struct buffer value;
    uint64_t commit; /* that put it */
    bool removed;
};

struct disk {
    struct row *row;
    size_t rows;
    uint64_t freezing, written;
    uint64_t reads;
};

static void put(void *self, struct bytes key, struct bytes value)
{
    struct disk *d = self;
    assert_in_range(d->rows, 0, ROWS_MAX - 1);
    struct row *r = &d->row[d->rows++];
    *r = (struct row){.commit = d->freezing};
    memcpy(r->key, key.data, RUN_KEY);
    buffer_put(&r->value, value.data, value.size);
}

static void remove_row(void *self, struct bytes key)
{
    struct disk *d = self;
    put(d, key, (struct bytes){0});
    d->row[d->rows - 1].removed = true;
}

/* The newest written state of a row. */
static const struct row *row_of(const struct disk *d, const uint8_t *key)
{
    for (size_t i = d->rows; i-- > 0;)
        if (d->row[i].commit <= d->written && memcmp(d->row[i].key, key, RUN_KEY) == 0)
            return d->row[i].removed ? NULL : &d->row[i];
    return NULL;
}

static enum tm_code get(void *self, struct bytes key, struct buffer *out, struct tm_error *err)
{
    struct disk *d = self;
    (void)err;
    d->reads++;
    const struct row *r = row_of(d, key.data);
    if (!r)
        return TM_NOT_FOUND;
    buffer_put(out, r->value.data, r->value.size);
    return TM_OK;
}

static void forget_from(struct disk *d, size_t first)
{
    while (d->rows > first)
        buffer_close(&d->row[--d->rows].value);
}

static void disk_open(struct disk *d) { *d = (struct disk){.row = mem_new(ROWS_MAX, sizeof(struct row))}; }
static void disk_close(struct disk *d)
{
    forget_from(d, 0);
    free(d->row);
}

/* ---- what is known of each key ---- */

enum { KEYS = 400, BATCH = 12 };

struct model {
    struct {
        uint64_t sequence; /* 0: never sealed */
        int64_t time;
    } want[KEYS];
    struct disk disk;
    struct runs runs;
    struct runs_options options;
    uint64_t commit, sequence, random;
    int64_t now, expiry;
};

static struct hash128 key_of(uint32_t i)
{
    uint64_t state = i + 1, a = draw(&state), b = draw(&state);
    return (struct hash128){a, i % 7 ? b : b & 0xff}; /* some share their block */
}

static void assert_agrees(struct model *m, uint32_t i)
{
    struct bytes entry;
    bool there = m->want[i].sequence && m->want[i].time >= m->expiry;
    assert_int_equal(runs_find(&m->runs, key_of(i), m->expiry, &entry), there);
    if (!there)
        return;
    struct decided d;
    decided_open(&d);
    const struct decided_key *k = decided_restore(&d, entry);
    assert_non_null(k);
    assert_true(hash128_equal(k->key, key_of(i)));
    assert_int_equal(k->sequence, m->want[i].sequence);
    assert_int_equal(k->time, m->want[i].time);
    decided_close(&d);
}

/* Some keys, most of them new, some in a later state. */
static void seal(struct model *m)
{
    CLEANUP(buffer_close) struct buffer bytes = {0};
    struct decided d;
    size_t count;
    decided_open(&d);
    for (int n = 0; n < BATCH; n++) {
        uint32_t i = (uint32_t)below(&m->random, KEYS);
        bool live = m->want[i].sequence && m->want[i].time >= m->expiry;
        struct decided_key *k = decided_put(&d, key_of(i));
        k->time = m->want[i].time = live ? m->want[i].time : m->now + (int64_t)below(&m->random, 40);
        k->sequence = m->want[i].sequence = ++m->sequence;
        k->rate = 1;
    }
    struct run_entry *entries = decided_sorted(&d, m->expiry, &bytes, &count);
    runs_seal(&m->runs, m->commit, entries, count);
    free(entries);
    decided_close(&d);
}

static void commit(struct model *m)
{
    m->disk.freezing = ++m->commit;
    if (below(&m->random, 4))
        seal(m);
    m->now += (int64_t)below(&m->random, 20);
    if (below(&m->random, 3) == 0)
        m->expiry = m->now - 300;
    runs_keep(&m->runs, m->commit, below(&m->random, 2), m->expiry);
    runs_write(&m->runs, bytes_text("more"), true);
    if (below(&m->random, 2)) {
        m->disk.written += below(&m->random, m->commit - m->disk.written + 1);
        runs_written(&m->runs, m->disk.written);
    }
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct row *)a)->key, ((const struct row *)b)->key, RUN_KEY);
}

static enum tm_code load(struct model *m, struct tm_error *err)
{
    struct row *rows = mem_new(m->disk.rows + 1, sizeof *rows);
    enum tm_code rc = TM_OK;
    size_t n = 0;
    for (size_t i = 0; i < m->disk.rows; i++)
        if (row_of(&m->disk, m->disk.row[i].key) == &m->disk.row[i])
            rows[n++] = m->disk.row[i];
    qsort(rows, n, sizeof *rows, by_key);
    runs_open(&m->runs, &m->options);
    for (size_t i = 0; i < n && rc == TM_OK; i++) {
        struct bytes more, key = bytes_of(rows[i].key, RUN_KEY), value = buffer_view(&rows[i].value);
        if (key.data[0] == RUN_MANIFEST) {
            rc = runs_load_manifest(&m->runs, value, &more, err);
            if (rc == TM_OK)
                assert_true(bytes_equal(more, bytes_text("more")));
        } else if (key.data[0] == RUN_FILTER) {
            rc = runs_load_filter(&m->runs, key, value, err);
        }
    }
    free(rows);
    return rc == TM_OK ? runs_load_done(&m->runs, err) : rc;
}

static void compact(struct disk *d)
{
    size_t n = 0;
    bool *lives = mem_new(d->rows + 1, sizeof *lives);
    for (size_t i = 0; i < d->rows; i++)
        lives[i] = row_of(d, d->row[i].key) == &d->row[i];
    for (size_t i = 0; i < d->rows; i++)
        if (lives[i])
            d->row[n++] = d->row[i];
        else
            buffer_close(&d->row[i].value);
    d->rows = n;
    free(lives);
}

/* The process stops behind the last commit, which is written. */
static void restart(struct model *m)
{
    struct tm_error err;
    m->disk.written = m->commit;
    compact(&m->disk);
    runs_close(&m->runs);
    assert_int_equal(load(m, &err), TM_OK);
}

static void begin(struct model *m, uint64_t seed)
{
    *m = (struct model){.random = seed, .expiry = INT64_MIN};
    disk_open(&m->disk);
    m->options = (struct runs_options){{.seal_keys = 1,
                                        .fan_in = 2 + (uint32_t)(seed % 3),
                                        .block_keys = 1 + (uint32_t)(seed % 5),
                                        .filter_bits = 1 + (uint32_t)(seed % 9)},
                                       {&m->disk, get, put, remove_row},
                                       seed % 2 ? 100 : INT64_MAX};
    runs_open(&m->runs, &m->options);
}

static void end(struct model *m)
{
    assert_null(m->runs.failure);
    runs_close(&m->runs);
    disk_close(&m->disk);
}

/* Whatever is sealed, merged, expired, written and loaded again: the answers are those of an array. */
static void test_against_an_array(void **state)
{
    (void)state;
    static struct model m;
    uint64_t merges = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        begin(&m, seed);
        for (int i = 0; i < 200; i++) {
            commit(&m);
            assert_in_range(m.runs.count, 0, RUNS_MAX - 1);
            for (uint32_t k = 0; k < KEYS; k += 1 + (uint32_t)below(&m.random, 9))
                assert_agrees(&m, k);
            for (uint32_t k = 0; k < m.runs.count; k++)
                merges += m.runs.run[k].level > 0;
            if (below(&m.random, 12) == 0)
                restart(&m);
        }
        end(&m);
    }
    assert_in_range(merges, 1000, UINT64_MAX);
}

/* When everything expired, nothing is left: not in memory, and of the rows the list alone. */
static void test_what_expired_leaves_no_row(void **state)
{
    (void)state;
    static struct model m;
    begin(&m, 5);
    for (int i = 0; i < 60; i++)
        commit(&m);
    restart(&m);
    for (int i = 0; i < 3; i++) {
        m.disk.freezing = ++m.commit;
        runs_keep(&m.runs, m.commit, 1000, INT64_MAX);
        runs_write(&m.runs, bytes_text("more"), false);
    }
    m.disk.written = m.commit;
    assert_int_equal(m.runs.count, 0);
    assert_int_equal(m.runs.dropped_count, 0);
    for (size_t i = 0; i < m.disk.rows; i++)
        if (row_of(&m.disk, m.disk.row[i].key) == &m.disk.row[i])
            assert_int_equal(m.disk.row[i].key[0], RUN_MANIFEST);
    end(&m);
}

/* What a commit carries stays in memory until it is written, and not longer. */
static void test_blocks_are_read_when_they_are_written(void **state)
{
    (void)state;
    static struct model m;
    begin(&m, 2);
    m.disk.freezing = ++m.commit;
    seal(&m);
    for (uint32_t k = 0; k < KEYS; k++)
        assert_agrees(&m, k);
    assert_int_equal(m.disk.reads, 0);
    size_t unwritten = runs_memory(&m.runs);
    m.disk.written = m.commit;
    runs_written(&m.runs, m.commit);
    assert_in_range(runs_memory(&m.runs), 1, unwritten - 1);
    assert_null(m.runs.run[0].unwritten);
    for (uint32_t k = 0; k < KEYS; k++)
        assert_agrees(&m, k);
    assert_in_range(m.disk.reads, 1, KEYS);
    end(&m);
}

/* A block of 12 that is read again and again is read once. */
static void test_blocks_are_cached(void **state)
{
    (void)state;
    static struct model m;
    begin(&m, 2);
    m.options.tuning.block_keys = 1000;
    runs_close(&m.runs);
    runs_open(&m.runs, &m.options);
    m.disk.freezing = m.disk.written = ++m.commit;
    seal(&m);
    runs_written(&m.runs, m.commit);
    for (uint32_t k = 0; k < KEYS; k++)
        assert_agrees(&m, k);
    assert_int_equal(m.disk.reads, 1);
    end(&m);
}

/* The runs of tests are too few keys for a rate: a filter alone. */
static void test_a_filter_forgets_nothing_and_rarely_errs(void **state)
{
    (void)state;
    enum { MEMBERS = 100000 };
    struct key_filter f;
    uint64_t random = 3, mistakes = 0;
    key_filter_open(&f, key_filter_lines(MEMBERS, 10));
    assert_in_range(key_filter_bytes(&f), MEMBERS * 10 / 8, MEMBERS * 10 / 8 + KEY_FILTER_LINE);
    for (int pass = 0; pass < 3; pass++) {
        if (pass < 2)
            random = 3; /* the same again; then others */
        for (int i = 0; i < MEMBERS; i++) {
            struct hash128 key = {draw(&random), draw(&random)};
            if (pass == 0)
                key_filter_add(&f, key);
            else if (pass == 1)
                assert_true(key_filter_may_have(&f, key));
            else
                mistakes += key_filter_may_have(&f, key);
        }
    }
    assert_in_range(mistakes, 1, MEMBERS * 15 / 1000);
    key_filter_close(&f);
}

static struct row *block_row(struct model *m)
{
    for (size_t i = 0; i < m->disk.rows; i++)
        if (m->disk.row[i].key[0] == RUN_BLOCK && m->disk.row[i].value.size > RUN_BLOCK_HEAD)
            return &m->disk.row[i];
    return NULL;
}

/* Asking for every key meets the block that is damaged: it is named, and no answer is made up. */
static void damage(bool lose, size_t at)
{
    static struct model m;
    begin(&m, 2);
    m.disk.freezing = m.disk.written = ++m.commit;
    seal(&m);
    runs_written(&m.runs, m.commit);
    struct row *r = block_row(&m);
    r->removed = lose;
    r->value.data[at % r->value.size] ^= 4;
    for (uint32_t k = 0; k < KEYS && !m.runs.failure; k++)
        if (m.want[k].sequence) {
            struct bytes entry;
            assert_true(runs_find(&m.runs, key_of(k), INT64_MIN, &entry) || m.runs.failure);
        }
    assert_non_null(m.runs.failure);
    assert_int_equal(m.runs.failure->code, TM_DATA_LOSS);
    assert_non_null(strstr(m.runs.failure->message,
                           lose ? "of run 1 of decided keys is missing" : "of run 1 of decided keys is damaged"));
    runs_close(&m.runs);
    disk_close(&m.disk);
}

static void test_a_damaged_block_is_named(void **state)
{
    (void)state;
    for (size_t at = 0; at < 120; at++)
        damage(false, at);
    damage(true, 0);
}

/* Lists and filters are refused when they are damaged, and a filter that lacks a part. */
static void test_damaged_rows_do_not_load(void **state)
{
    (void)state;
    static struct model m;
    begin(&m, 4);
    for (int i = 0; i < 10; i++)
        commit(&m);
    restart(&m);
    for (size_t i = 0; i < m.disk.rows; i++) {
        struct row *r = &m.disk.row[i];
        struct tm_error err;
        if (r->key[0] != RUN_FILTER || row_of(&m.disk, r->key) != r)
            continue;
        runs_close(&m.runs);
        r->value.data[r->value.size / 2] ^= 1;
        assert_int_equal(load(&m, &err), TM_DATA_LOSS);
        runs_close(&m.runs);
        r->value.data[r->value.size / 2] ^= 1;
        r->removed = true;
        assert_int_equal(load(&m, &err), TM_DATA_LOSS);
        r->removed = false;
        runs_close(&m.runs);
        assert_int_equal(load(&m, &err), TM_OK);
    }
    end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_what_expired_leaves_no_row),
        cmocka_unit_test(test_blocks_are_read_when_they_are_written),
        cmocka_unit_test(test_blocks_are_cached),
        cmocka_unit_test(test_a_filter_forgets_nothing_and_rarely_errs),
        cmocka_unit_test(test_a_damaged_block_is_named),
        cmocka_unit_test(test_damaged_rows_do_not_load),
    };
    return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
