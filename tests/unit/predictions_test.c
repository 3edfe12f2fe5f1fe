/* Tests of kept predictions: what was added is found as long as it may be corrected, over commits and starts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/state/predictions.h"
#include "tests/simulation/memory_store.h"

enum { SHARD = 3, VERSION = 7, ADDED = 1000 };

/* Of every third sequence; the impression of prediction i has time i. */
static struct prediction made(uint32_t i)
{
    return (struct prediction){
        .sequence = 3 * i + 5, .prequential = (float)(i % 100) / 100, .served = i % 2 ? 0.5f : NAN, .request = i / 7};
}

static void add(struct predictions *p, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct prediction one = made(i);
        predictions_add(p, &one, i);
    }
}

static void commit(struct predictions *p, struct memory_store *disk, int64_t expiry)
{
    struct store_batch batch = {0};
    predictions_freeze(p, expiry, &batch);
    assert_int_equal(predictions_unfrozen(p), 0);
    memory_store_commit(disk, &batch);
    memory_store_sync(disk);
}

static enum tm_code load_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    return predictions_load_row(context, key, value, err);
}

static enum tm_code load(struct predictions *p, const struct predictions *from, struct memory_store *disk)
{
    CLEANUP(buffer_close) struct buffer place = {0};
    struct store face = memory_store_face(disk);
    struct tm_error err;
    predictions_open(p, SHARD, VERSION);
    predictions_encode(from, &place);
    struct reader r = reader_of(buffer_view(&place));
    uint8_t shard[2];
    key_put_u16(shard, SHARD);
    struct bytes prefix = bytes_of(shard, sizeof shard);
    predictions_decode(p, &r);
    assert_false(r.bad);
    enum tm_code rc = face.scan(face.self, STORE_PREDICTION, prefix, prefix, load_row, p, &err);
    return rc == TM_OK ? predictions_loaded(p, &err) : rc;
}

static void check_kept(const struct predictions *p, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct prediction want = made(i);
        const struct prediction *got = predictions_find(p, want.sequence);
        assert_non_null(got);
        assert_true(got->prequential == want.prequential && got->request == want.request);
        assert_true(got->served == want.served || (isnan(got->served) && isnan(want.served)));
        assert_null(predictions_find(p, want.sequence + 1));
    }
    assert_null(predictions_find(p, made(to).sequence));
    assert_null(predictions_find(p, 4));
}

/* Whatever the commits are, each start finds what was added in front of the last one. */
static void test_found_after_every_commit(void **state)
{
    (void)state;
    for (uint32_t step = 1; step < 400; step = 2 * step + 1) {
        struct memory_store disk = {0};
        struct predictions p, again;
        predictions_open(&p, SHARD, VERSION);
        for (uint32_t from = 0; from < ADDED; from += step) {
            uint32_t to = from + step < ADDED ? from + step : ADDED;
            add(&p, from, to);
            commit(&p, &disk, INT64_MIN);
            if (from % (8 * step) != 0 && to < ADDED)
                continue;
            check_kept(&p, 0, to);
            assert_int_equal(load(&again, &p, &disk), TM_OK);
            check_kept(&again, 0, to);
            predictions_close(&again);
        }
        predictions_close(&p);
        memory_store_close(&disk);
    }
}

/* Whole rows go, no earlier than all of them are too old; what comes later goes on behind them. */
static void test_rows_go_when_too_old(void **state)
{
    (void)state;
    struct memory_store disk = {0};
    struct predictions p, again;
    predictions_open(&p, SHARD, VERSION);
    add(&p, 0, 3 * PREDICTIONS_ROW);
    commit(&p, &disk, PREDICTIONS_ROW - 1);
    check_kept(&p, 0, 3 * PREDICTIONS_ROW);
    commit(&p, &disk, PREDICTIONS_ROW);
    assert_null(predictions_find(&p, made(PREDICTIONS_ROW - 1).sequence));
    check_kept(&p, PREDICTIONS_ROW, 3 * PREDICTIONS_ROW);
    assert_int_equal(disk.table[STORE_PREDICTION].rows, 2);
    commit(&p, &disk, INT64_MAX);
    assert_int_equal(disk.table[STORE_PREDICTION].rows, 0);
    assert_int_equal(load(&again, &p, &disk), TM_OK);
    add(&again, 3 * PREDICTIONS_ROW, 3 * PREDICTIONS_ROW + 1);
    commit(&again, &disk, INT64_MIN);
    check_kept(&again, 3 * PREDICTIONS_ROW, 3 * PREDICTIONS_ROW + 1);
    predictions_close(&again);
    predictions_close(&p);
    memory_store_close(&disk);
}

static void expect_refused(const struct predictions *p, struct memory_store *disk)
{
    struct predictions again;
    assert_int_equal(load(&again, p, disk), TM_DATA_LOSS);
    predictions_close(&again);
}

static void test_damage_is_refused(void **state)
{
    (void)state;
    struct memory_store disk = {0};
    struct predictions p;
    predictions_open(&p, SHARD, VERSION);
    add(&p, 0, 2 * PREDICTIONS_ROW + 10);
    commit(&p, &disk, INT64_MIN);
    struct memory_table *t = &disk.table[STORE_PREDICTION];
    struct buffer *value = &t->row[1].value;
    value->size -= 1;
    expect_refused(&p, &disk);
    value->size -= 19; /* a whole entry is missing in the middle */
    expect_refused(&p, &disk);
    value->size += 20;
    uint8_t first = value->data[8];
    value->data[8] = 0;
    value->data[9] = 0; /* the sequences no longer grow */
    expect_refused(&p, &disk);
    value->data[8] = first;
    memory_table_remove(t, buffer_view(&t->row[2].key));
    expect_refused(&p, &disk);
    predictions_close(&p);
    memory_store_close(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_after_every_commit),
        cmocka_unit_test(test_rows_go_when_too_old),
        cmocka_unit_test(test_damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
