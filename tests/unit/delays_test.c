/* Tests of joiner/delays.h: bounds, adding up, shares, quantiles, and what a commit keeps of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "joiner/delays.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static void bounds_are_durations_people_choose(void **state)
{
    static const int64_t wanted[] = {1,      100,        SECOND,      5 * SECOND,  30 * SECOND,
                                     MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE,
                                     HOUR,   6 * HOUR,   12 * HOUR,   DAY,         7 * DAY};
    (void)state;
    assert_int_equal(delay_bounds[0], 1);
    assert_int_equal(delay_bounds[DELAY_BOUNDS - 1], INT64_C(30) * DAY);
    for (int i = 1; i < DELAY_BOUNDS; i++) {
        assert_true(delay_bounds[i] > delay_bounds[i - 1]);
        assert_true(delay_bounds[i] <= 5 || 3 * delay_bounds[i] <= 4 * delay_bounds[i - 1]); /* 2.4 or more an octave */
    }
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int k = 0;
        while (k < DELAY_BOUNDS && delay_bounds[k] != wanted[i])
            k++;
        assert_true(k < DELAY_BOUNDS);
    }
}

/* The bucket of one delay: the only one that is not 0. */
static unsigned bucket_of(int64_t ms)
{
    struct delays d = {0};
    unsigned i = 0;
    delays_add(&d, ms);
    assert_int_equal(delays_count(&d), 1);
    while (d.bucket[i] == 0)
        i++;
    return i;
}

static void a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DELAY_BOUNDS; i++) {
        assert_int_equal(bucket_of(delay_bounds[i]), i + 1);
        assert_int_equal(bucket_of(delay_bounds[i] + 1), i + 2);
    }
    assert_int_equal(bucket_of(0), 1);
    assert_int_equal(bucket_of(-1), DELAY_BEFORE);
    assert_int_equal(bucket_of(INT64_MIN), DELAY_BEFORE);
    assert_int_equal(bucket_of(delay_bounds[DELAY_BOUNDS - 1] + 1), DELAY_LONGER);
    assert_int_equal(bucket_of(INT64_MAX), DELAY_LONGER);
}

static void shares(void **state)
{
    struct delays d = {0};
    (void)state;
    assert_true(delays_within(&d, MINUTE) == 0);
    delays_add(&d, -5);
    for (int i = 1; i <= 8; i++)
        delays_add(&d, i * SECOND);
    delays_add(&d, INT64_C(40) * DAY);
    assert_true(delays_within(&d, -1) == 0);
    assert_true(delays_within(&d, 0) == 1 + 0.0);
    assert_true(delays_within(&d, 3 * SECOND) == 4);
    assert_true(delays_within(&d, 6 * SECOND) == 7);
    assert_true(delays_within(&d, 7 * SECOND) == 8); /* 7 s and 8 s are in one bucket, from 6 s to 8 s: half of it */
    assert_true(delays_within(&d, 8 * SECOND) == 9);
    assert_true(delays_within(&d, INT64_C(30) * DAY) == 9);
    assert_true(delays_within(&d, INT64_C(50) * DAY) == 9); /* how much of the rest is not known */
    assert_int_equal(d.sum_ms, 36 * SECOND + INT64_C(40) * DAY);
}

static void quantiles(void **state)
{
    struct delays d = {0};
    (void)state;
    assert_int_equal(delays_quantile(&d, 0, 0.5), DELAY_UNKNOWN);
    assert_int_equal(delays_quantile(&d, 7, 0.5), DELAY_UNKNOWN);
    for (int i = 0; i < 80; i++)
        delays_add(&d, MINUTE - i);
    for (int i = 0; i < 20; i++)
        delays_add(&d, HOUR);
    assert_int_equal(delays_quantile(&d, 0, 0), MINUTE);
    assert_int_equal(delays_quantile(&d, 0, 0.5), MINUTE);
    assert_int_equal(delays_quantile(&d, 0, 0.8), MINUTE);
    assert_int_equal(delays_quantile(&d, 0, 0.81), HOUR);
    assert_int_equal(delays_quantile(&d, 0, 1), HOUR);
    assert_int_equal(delays_quantile(&d, 25, 0.8), HOUR); /* 100 of 125 */
    assert_int_equal(delays_quantile(&d, 26, 0.8), DELAY_UNKNOWN);
    for (int i = 0; i < 100; i++)
        delays_add(&d, -1);
    assert_int_equal(delays_quantile(&d, 0, 0.5), 0);
    assert_int_equal(delays_quantile(&d, 0, 0.51), MINUTE);
    delays_add(&d, INT64_MAX / 2);
    assert_int_equal(delays_quantile(&d, 0, 1), DELAY_UNKNOWN);
}

static void sums(void **state)
{
    struct delays a = {0}, b = {0}, both = {0};
    (void)state;
    for (int64_t i = -1; i < DELAY_BOUNDS + 1; i++) {
        int64_t ms = i < 0 ? -1 : i < DELAY_BOUNDS ? delay_bounds[i] : INT64_C(31) * DAY;
        delays_add(i % 2 ? &a : &b, ms);
        delays_add(&both, ms);
    }
    delays_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof both);
}

static void stored_and_read_again(void **state)
{
    CLEANUP(buffer_close) struct buffer stored = {0};
    struct delays d = {.bucket = {[DELAY_BEFORE] = 3, [40] = UINT64_MAX, [DELAY_LONGER] = 1}, .sum_ms = 99}, back;
    (void)state;
    delays_encode(&d, &stored);
    delays_encode(&(struct delays){0}, &stored);
    struct reader r = reader_of(buffer_view(&stored));
    delays_decode(&r, &back);
    assert_memory_equal(&back, &d, sizeof d);
    delays_decode(&r, &back);
    assert_memory_equal(&back, &(struct delays){0}, sizeof d);
    assert_false(r.bad);
    assert_int_equal(reader_left(&r), 0);
    for (size_t size = 0; size + 1 < 1 + 3 * 9 + 8; size++) {
        r = reader_of(bytes_of(stored.data, size));
        delays_decode(&r, &back);
        assert_true(r.bad);
    }
}

static bool refused(const uint8_t *numbers, uint8_t used, uint64_t count)
{
    CLEANUP(buffer_close) struct buffer stored = {0};
    struct delays back;
    buffer_put_u8(&stored, used);
    for (int i = 0; i < used; i++) {
        buffer_put_u8(&stored, numbers[i]);
        buffer_put_u64(&stored, count);
    }
    buffer_put_u64(&stored, 0);
    struct reader r = reader_of(buffer_view(&stored));
    delays_decode(&r, &back);
    return r.bad;
}

static void damage_is_noticed(void **state)
{
    (void)state;
    assert_false(refused((const uint8_t[]){3, DELAY_LONGER}, 2, 1));
    assert_true(refused((const uint8_t[]){3, DELAY_LONGER + 1}, 2, 1));
    assert_true(refused((const uint8_t[]){3, 3}, 2, 1));
    assert_true(refused((const uint8_t[]){4, 3}, 2, 1));
    assert_true(refused((const uint8_t[]){3}, 1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_durations_people_choose),
        cmocka_unit_test(a_bound_belongs_to_its_bucket),
        cmocka_unit_test(shares),
        cmocka_unit_test(quantiles),
        cmocka_unit_test(sums),
        cmocka_unit_test(stored_and_read_again),
        cmocka_unit_test(damage_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
