/* Tests of the rows of features: what was appended is read back wherever it lies, and rows go when they may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/state/feature_rows.h"
#include "tests/simulation/memory_store.h"

enum { SHARD = 3, PLACES_MAX = 4000 };

struct bench {
    struct feature_rows rows;
    struct memory_store disk;
    struct sample_place place[PLACES_MAX]; /* of entry i, which has time i */
    uint32_t appended;
};

static void open_bench(struct bench *b)
{
    *b = (struct bench){0};
    feature_rows_open(&b->rows, SHARD);
}

static void close_bench(struct bench *b)
{
    feature_rows_close(&b->rows);
    memory_store_close(&b->disk);
}

/* Bytes that tell which one it is, of a length of its own. */
static struct bytes content(uint32_t i, uint8_t room[static 1000])
{
    uint32_t size = 1 + i * 7919 % 1000;
    memset(room, (int)(i % 251), size);
    return bytes_of(room, size);
}

static void append(struct bench *b, uint32_t n)
{
    uint8_t room[1000];
    for (; n > 0; n--, b->appended++)
        b->place[b->appended] = feature_rows_append(&b->rows, content(b->appended, room), b->appended);
}

static void commit(struct bench *b, int64_t expiry, uint64_t held)
{
    struct store_batch batch = {0};
    uint64_t rows = feature_rows_freeze(&b->rows, expiry, held, &batch);
    assert_int_equal(rows, b->rows.frozen);
    memory_store_commit(&b->disk, &batch);
}

static void write_all(struct bench *b)
{
    memory_store_sync(&b->disk);
    feature_rows_written(&b->rows, b->rows.frozen);
}

static void commit_and_write(struct bench *b, int64_t expiry, uint64_t held)
{
    commit(b, expiry, held);
    write_all(b);
}

static enum tm_code read_one(struct bench *b, uint32_t i, struct bytes *out)
{
    struct store store = memory_store_face(&b->disk);
    return feature_rows_read(&b->rows, &store, b->place[i], out, NULL);
}

static void expect(struct bench *b, uint32_t i)
{
    uint8_t room[1000];
    struct bytes got;
    assert_int_equal(read_one(b, i, &got), TM_OK);
    assert_true(bytes_equal(got, content(i, room)));
}

static void expect_all(struct bench *b)
{
    for (uint32_t i = 0; i < b->appended; i++) /* from end to end, and back and forth over the cached rows */
        expect(b, i % 2 ? i : b->appended - 1 - i);
}

/* In the store, in commits that are not written, in none: they read as one. */
static void test_one_log_wherever_it_lies(void **state)
{
    struct bench b;
    (void)state;
    open_bench(&b);
    append(&b, 1000);
    commit(&b, INT64_MIN, UINT64_MAX);
    write_all(&b);
    assert_int_equal(b.rows.rows, 0);
    append(&b, 500);
    commit(&b, INT64_MIN, UINT64_MAX);
    append(&b, 300);
    assert_true(b.rows.rows > 2);
    expect_all(&b);
    for (size_t i = 0; i < b.disk.table[STORE_FEATURE].rows; i++)
        assert_true(b.disk.table[STORE_FEATURE].row[i].value.size <= FEATURE_ROW_BYTES);
    close_bench(&b);
}

/* Behind a start only what was committed is there, and numbers go on. */
static void test_the_place_comes_back(void **state)
{
    struct bench b;
    CLEANUP(buffer_close) struct buffer place = {0};
    (void)state;
    open_bench(&b);
    append(&b, 700);
    commit(&b, 100, UINT64_MAX);
    write_all(&b);
    feature_rows_encode(&b.rows, &place);
    feature_rows_close(&b.rows);
    feature_rows_open(&b.rows, SHARD);
    struct reader r = reader_of(buffer_view(&place));
    feature_rows_decode(&b.rows, &r);
    assert_true(!r.bad && reader_left(&r) == 0);
    append(&b, 100);
    assert_int_equal(b.place[700].row, b.place[699].row + 1);
    for (uint32_t i = 300; i < 800; i++)
        expect(&b, i);
    for (size_t cut = 0; cut < place.size; cut++) {
        struct feature_rows other;
        feature_rows_open(&other, SHARD);
        r = reader_of(bytes_of(place.data, cut));
        feature_rows_decode(&other, &r);
        assert_true(r.bad);
        feature_rows_close(&other);
    }
    close_bench(&b);
}

/* Rows go with time, oldest first, and not while they are held; those that are due at once are never written. */
static void test_rows_go(void **state)
{
    struct bench b;
    struct bytes got;
    (void)state;
    open_bench(&b);
    append(&b, 1000);
    commit_and_write(&b, 0, UINT64_MAX);
    size_t all = b.disk.table[STORE_FEATURE].rows;
    assert_true(all > 5);
    commit_and_write(&b, 1000, 1); /* held from the first on */
    assert_int_equal(b.disk.table[STORE_FEATURE].rows, all);
    uint64_t middle = b.place[500].row;
    commit_and_write(&b, 1000, middle);
    assert_int_equal(b.rows.first, middle);
    assert_int_equal(b.disk.table[STORE_FEATURE].rows, all - (middle - 1));
    assert_int_equal(read_one(&b, 0, &got), TM_DATA_LOSS);
    expect(&b, 999);
    append(&b, 200);
    commit_and_write(&b, 2000, UINT64_MAX);
    assert_int_equal(b.disk.table[STORE_FEATURE].rows, 0);
    assert_int_equal(b.rows.rows, 0);
    assert_int_equal(b.rows.stretches, 0);
    append(&b, 1);
    commit_and_write(&b, 1200, UINT64_MAX);
    expect(&b, 1200);
    close_bench(&b);
}

/* However many rows there are, they go late by a small part of them. */
static void test_stretches_are_even(void **state)
{
    struct bench b;
    uint32_t longest = 0;
    (void)state;
    open_bench(&b);
    for (uint32_t i = 0; i < PLACES_MAX; i++) {
        append(&b, 1);
        commit(&b, (int64_t)i - 2000, UINT64_MAX); /* a row each; 2,000 are needed */
        uint32_t kept = (uint32_t)(b.rows.frozen - b.rows.first), late = kept > 2000 ? kept - 2000 : 0;
        longest = late > longest ? late : longest;
    }
    assert_true(longest > 0 && longest <= 2000 / 8);
    for (uint32_t i = PLACES_MAX - 2000; i < PLACES_MAX; i++)
        expect(&b, i);
    close_bench(&b);
}

static void test_who_only_reads(void **state)
{
    struct bench b;
    uint8_t room[1000];
    CLEANUP(buffer_close) struct buffer got = {0};
    (void)state;
    open_bench(&b);
    append(&b, 300);
    commit(&b, INT64_MIN, UINT64_MAX);
    memory_store_sync(&b.disk);
    struct store store = memory_store_face(&b.disk);
    assert_int_equal(feature_rows_fetch(&store, SHARD, b.place[250], &got, NULL), TM_OK);
    assert_true(bytes_equal(buffer_view(&got), content(250, room)));
    struct sample_place nowhere = {b.rows.frozen, 0}, beyond = {1, FEATURE_ROW_BYTES};
    assert_int_equal(feature_rows_fetch(&store, SHARD, nowhere, &got, NULL), TM_NOT_FOUND);
    assert_int_equal(feature_rows_fetch(&store, SHARD, beyond, &got, NULL), TM_DATA_LOSS);
    assert_int_equal(feature_rows_fetch(&store, SHARD + 1, b.place[250], &got, NULL), TM_NOT_FOUND);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_log_wherever_it_lies),
        cmocka_unit_test(test_the_place_comes_back),
        cmocka_unit_test(test_rows_go),
        cmocka_unit_test(test_stretches_are_even),
        cmocka_unit_test(test_who_only_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
