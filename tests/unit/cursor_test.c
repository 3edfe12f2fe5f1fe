/* Tests of the cursor: what was learned is known as long as anything can correct it, in bounded space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "learner/cursor.h"
#include "tests/unit/random.h"
#include "tests/unit/stops.h"

enum { LOG = 3000, HEAD = 1000 };

static void assert_same(const struct cursor *a, const struct cursor *b)
{
    CLEANUP(buffer_close) struct buffer x = {0}, y = {0};
    cursor_encode(a, &x);
    cursor_encode(b, &y);
    assert_true(bytes_equal(buffer_view(&x), buffer_view(&y)));
}

/* It comes back from its bytes, and from none of their beginnings. */
static void check_codec(const struct cursor *c)
{
    CLEANUP(buffer_close) struct buffer bytes = {0};
    struct cursor again = {0};
    cursor_encode(c, &bytes);
    struct reader in = reader_of(buffer_view(&bytes));
    assert_int_equal(cursor_decode(&again, &in, NULL), TM_OK);
    assert_int_equal(reader_left(&in), 0);
    assert_same(&again, c);
    for (size_t size = 0; size < bytes.size; size++) {
        in = reader_of(bytes_of(bytes.data, size));
        assert_int_equal(cursor_decode(&again, &in, NULL), TM_DATA_LOSS);
    }
}

/* ---- against a table of what happened to every sequence ---- */

enum fate { PASSED, LEARNED, SKIPPED };

struct story {
    struct cursor cursor;
    enum fate fate[LOG];
    int64_t time[LOG]; /* of the impression */
    int64_t now, horizon;
    uint64_t seed;
};

static void check_story(const struct story *t)
{
    for (uint64_t i = HEAD; i < t->cursor.next; i++)
        if (t->time[i] >= t->horizon && t->fate[i] != PASSED &&
            cursor_learned(&t->cursor, i) != (t->fate[i] == LEARNED))
            fail_msg("sequence %d: fate %d, at %d, horizon %d", (int)i, (int)t->fate[i], (int)t->time[i],
                     (int)t->horizon);
    for (uint64_t i = 0; i < HEAD; i++)
        assert_false(cursor_learned(&t->cursor, i));
    for (uint64_t i = t->cursor.next; i < LOG; i++)
        assert_false(cursor_learned(&t->cursor, i));
}

/* One sample, skipped, learned or passed; what was discarded is not learned. */
static void tell(struct story *t, enum fate fate)
{
    uint64_t i = t->cursor.next;
    if (i >= LOG)
        return;
    if (fate == LEARNED && cursor_discards(&t->cursor, i))
        fate = SKIPPED;
    t->fate[i] = fate;
    t->now += (int64_t)below(&t->seed, 3);
    t->time[i] = t->now - (int64_t)below(&t->seed, 20);
    if (fate == LEARNED)
        cursor_learn(&t->cursor, i, t->horizon);
    else if (fate == PASSED || cursor_discards(&t->cursor, i))
        cursor_pass(&t->cursor, i);
    else
        cursor_skip(&t->cursor, i, t->time[i] + 1);
}

static void test_every_fate(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 200; run++) {
        struct story t = {.seed = run, .horizon = INT64_MIN};
        cursor_start(&t.cursor, HEAD);
        while (t.cursor.next < LOG && t.cursor.count < CURSOR_INTERVALS_MAX) {
            enum fate fate = (enum fate)below(&t.seed, 3);
            if (fate == SKIPPED && below(&t.seed, 4) == 0) {
                uint64_t head = t.cursor.next + 1 + below(&t.seed, 30);
                if (head > t.cursor.discarded)
                    cursor_discard(&t.cursor, head < LOG ? head : LOG, t.now + 100); /* 30 steps of at most 2 each */
            }
            for (uint64_t n = 1 + below(&t.seed, run % 20 + 1); n > 0; n--)
                tell(&t, fate);
            if (run % 2 && t.now - 60 > t.horizon)
                t.horizon = t.now - 60;
        }
        check_story(&t);
        check_codec(&t.cursor);
    }
}

/* A gap that nothing corrects any more costs nothing: a version can be paused and discarded for ever. */
static void test_old_gaps_are_forgotten(void **state)
{
    struct cursor c;
    (void)state;
    cursor_start(&c, 1);
    for (int64_t i = 0; i < 10000; i++) {
        cursor_learn(&c, c.next, i - 10);
        cursor_skip(&c, c.next, i);
        assert_true(c.count <= 12);
        assert_false(cursor_full(&c, i - 10));
    }
    assert_int_equal(cursor_intervals(&c, 100000), 1);
}

static void fill(struct cursor *c)
{
    cursor_start(c, 5);
    while (c->count < CURSOR_INTERVALS_MAX) {
        cursor_learn(c, c->next, 100);
        cursor_skip(c, c->next, 101);
    }
}

/* Full: the oldest interval is given up, so that a correction is skipped rather than misapplied. */
static void test_full(void **state)
{
    struct cursor c;
    (void)state;
    fill(&c);
    assert_true(cursor_full(&c, 100));
    assert_false(cursor_full(&c, 101));
    assert_true(cursor_learned(&c, 5));
    uint64_t last = c.next;
    cursor_learn(&c, last, 100);
    assert_int_equal(c.count, CURSOR_INTERVALS_MAX);
    assert_false(cursor_learned(&c, 5));
    assert_true(cursor_learned(&c, 7));
    assert_true(cursor_learned(&c, last));
    assert_false(cursor_learned(&c, last - 1));
}

static void test_discard_leaves_the_place(void **state)
{
    struct cursor c;
    (void)state;
    cursor_start(&c, 10);
    cursor_learn(&c, 12, INT64_MIN);
    cursor_discard(&c, 20, 50);
    assert_int_equal(c.next, 13);
    assert_true(cursor_discards(&c, 13) && cursor_discards(&c, 19) && !cursor_discards(&c, 20));
    cursor_pass(&c, 15);
    cursor_learn(&c, 23, INT64_MIN);
    assert_true(cursor_learned(&c, 12) && cursor_learned(&c, 23));
    for (uint64_t i = 13; i < 23; i++)
        assert_false(cursor_learned(&c, i));
    assert_int_equal(c.count, 2);
}

static void test_decode_refuses(void **state)
{
    static const struct {
        const char *message;
        uint64_t next;
        uint32_t count, given;
        struct interval learned[2];
    } cases[] = {
        {"empty", 10, 1, 1, {{4, 4, 0}}},
        {"empty", 10, 1, 1, {{5, 4, 0}}},
        {"ahead", 10, 1, 1, {{5, 11, 0}}},
        {"out of order", 10, 2, 2, {{5, 7, 0}, {1, 3, 0}}},
        {"out of order", 10, 2, 2, {{1, 4, 0}, {3, 6, 0}}},
        {"out of order", 10, 2, 2, {{1, 4, 0}, {4, 6, 0}}}, /* should be one */
        {"257 intervals", 10, 257, 1, {{1, 2, 0}}},
        {"cut short", 10, 3, 2, {{1, 2, 0}, {4, 5, 0}}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buffer_close) struct buffer bytes = {0};
        buffer_put_u64(&bytes, cases[i].next);
        buffer_put_u64(&bytes, 0);
        buffer_put_u8(&bytes, 0);
        buffer_put_i64(&bytes, INT64_MIN);
        buffer_put_u32(&bytes, cases[i].count);
        buffer_put(&bytes, cases[i].learned, cases[i].given * sizeof(struct interval));
        struct reader in = reader_of(buffer_view(&bytes));
        struct cursor c;
        struct tm_error err = {0};
        cursor_start(&c, 77);
        assert_int_equal(cursor_decode(&c, &in, &err), TM_DATA_LOSS);
        if (!strstr(err.message, cases[i].message))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].message);
        assert_true(c.next == 77 && c.count == 0);
    }
}

static struct cursor stopping;

static void learn_twice(void) { cursor_learn(&stopping, stopping.next - 1, 0); }
static void pass_back(void) { cursor_pass(&stopping, stopping.next - 1); }
static void skip_back(void) { cursor_skip(&stopping, stopping.next - 1, 0); }
static void discard_back(void) { cursor_discard(&stopping, stopping.next - 1, 0); }
static void learn_discarded(void)
{
    cursor_discard(&stopping, stopping.next + 5, 0);
    cursor_learn(&stopping, stopping.next + 4, 0);
}

static void test_checks(void **state)
{
    (void)state;
    fill(&stopping);
    assert_stops(learn_twice);
    assert_stops(pass_back);
    assert_stops(skip_back);
    assert_stops(discard_back);
    assert_stops(learn_discarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fate),     cmocka_unit_test(test_old_gaps_are_forgotten),
        cmocka_unit_test(test_full),           cmocka_unit_test(test_discard_leaves_the_place),
        cmocka_unit_test(test_decode_refuses), cmocka_unit_test(test_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
