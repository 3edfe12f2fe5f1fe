#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/watermark.h"

enum { OUT_OF_ORDERNESS = 5 };

static struct watermark after(const int64_t *times, size_t n)
{
    struct watermark w;
    watermark_open(&w);
    for (size_t i = 0; i < n; i++)
        watermark_see(&w, times[i]);
    watermark_measure(&w, OUT_OF_ORDERNESS);
    return w;
}

static void test_first_events(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t times[4];
        size_t n;
        int64_t want;
    } cases[] = {
        {"nothing came", {0}, 0, WATERMARK_NONE},
        {"a single event says nothing", {100}, 1, WATERMARK_NONE},
        {"of two, the lower counts", {100, 110}, 2, 95},
        {"whatever their order", {110, 100}, 2, 95},
        {"twice the same", {100, 100}, 2, 95},
        {"one mad clock moves nothing", {100, 1000000, 101, 102}, 4, 97},
        {"two mad clocks do, while there are few events", {100, 1000000, 1000001}, 3, 999995},
        {"near the end of time", {INT64_MAX, INT64_MAX}, 2, INT64_MAX - 5},
        {"before the first time there is", {INT64_MIN + 2, INT64_MIN + 3}, 2, WATERMARK_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct watermark w = after(cases[i].times, cases[i].n);
        if (w.value != cases[i].want)
            fail_msg("%s: %lld", cases[i].name, (long long)w.value);
    }
}

static void test_ten_mad_clocks_of_a_thousand(void **state)
{
    (void)state;
    for (int mad = 0; mad <= 12; mad++) {
        int64_t times[WATERMARK_RECENT];
        for (int i = 0; i < WATERMARK_RECENT; i++)
            times[i] = i * 37 % WATERMARK_RECENT < mad ? 1000000 + i : 1000;
        struct watermark w = after(times, ARRAY_LEN(times));
        assert_int_equal(w.value >= 1000000 - OUT_OF_ORDERNESS, mad > 10);
    }
}

static void test_a_watermark_never_goes_back(void **state)
{
    (void)state;
    struct watermark w = after((int64_t[]){100, 100}, 2);
    for (int i = 0; i < 2 * WATERMARK_RECENT; i++)
        watermark_see(&w, 50);
    watermark_measure(&w, OUT_OF_ORDERNESS);
    assert_int_equal(w.value, 95);
}

static int falling(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The definition, word for word. */
static int64_t naive(const int64_t *times, size_t n, int64_t floor)
{
    int64_t sorted[WATERMARK_RECENT];
    size_t recent = n < WATERMARK_RECENT ? n : WATERMARK_RECENT, dropped = recent / 100 ? recent / 100 : 1;
    if (recent <= dropped)
        return floor;
    memcpy(sorted, times + n - recent, recent * sizeof *sorted);
    qsort(sorted, recent, sizeof *sorted, falling);
    int64_t value = sorted[dropped] - OUT_OF_ORDERNESS;
    return value > floor ? value : floor;
}

static void test_against_sorting(void **state)
{
    (void)state;
    enum { N = 3000 };
    static int64_t times[N];
    srand48(7);
    for (int round = 0; round < 6; round++) {
        struct watermark w;
        int64_t want = WATERMARK_NONE;
        watermark_open(&w);
        for (int i = 0; i < N; i++) {
            int64_t spread = round < 2 ? 1 : round < 4 ? 100 : 100000; /* in order, nearly, wild */
            times[i] = (round % 2 ? -10 * i : 10 * i) + lrand48() % spread;
            watermark_see(&w, times[i]);
            if (lrand48() % 7)
                continue;
            watermark_measure(&w, OUT_OF_ORDERNESS);
            want = naive(times, (size_t)i + 1, want);
            assert_int_equal(w.value, want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_events),
        cmocka_unit_test(test_ten_mad_clocks_of_a_thousand),
        cmocka_unit_test(test_a_watermark_never_goes_back),
        cmocka_unit_test(test_against_sorting),
    };
    return cmocka_run_group_tests_name("watermark", tests, NULL, NULL);
}
