/* Tests of the time buckets against a list in which the earliest item is searched every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/due.h"
#include "tests/unit/random.h"

enum { ITEMS_MAX = 20000 };

struct list {
    struct due_item item[ITEMS_MAX];
    size_t count;
};

static size_t earliest(const struct list *l)
{
    size_t best = 0;
    for (size_t i = 1; i < l->count; i++) {
        const struct due_item *a = &l->item[i], *b = &l->item[best];
        if (a->time < b->time || (a->time == b->time && a->position < b->position))
            best = i;
    }
    return best;
}

static bool list_next(struct list *l, int64_t limit, struct due_item *out)
{
    size_t i = earliest(l);
    if (l->count == 0 || l->item[i].time >= limit)
        return false;
    *out = l->item[i];
    l->item[i] = l->item[--l->count];
    return true;
}

static void assert_same_next(struct due *d, struct list *l, int64_t limit, bool *more)
{
    struct due_item have = {0}, want = {0}, ahead[3] = {0};
    *more = list_next(l, limit, &want);
    uint32_t seen = due_ahead(d, limit, ahead, ARRAY_LEN(ahead)); /* changes nothing of what comes */
    assert_int_equal(seen > 0, *more);
    assert_int_equal(ahead[0].position, want.position);
    for (uint32_t i = 0; i < seen; i++)
        assert_true(ahead[i].time < limit && (i == 0 || ahead[i - 1].time <= ahead[i].time));
    assert_int_equal(due_next(d, limit, &have), *more);
    assert_int_equal(have.time, want.time);
    assert_int_equal(have.position, want.position);
    assert_int_equal(have.number, want.number);
    assert_int_equal(d->items, l->count);
    assert_int_equal(due_earliest(d), l->count ? l->item[earliest(l)].time : INT64_MAX);
}

static void insert(struct due *d, struct list *l, int64_t time, uint64_t position)
{
    assert_in_range(l->count, 0, ITEMS_MAX - 1);
    l->item[l->count++] = (struct due_item){time, position, (uint32_t)position ^ 0x55u};
    due_insert(d, time, position, (uint32_t)position ^ 0x55u);
}

/* Most times are ahead of the limit, some behind it, some equal, some far away. */
static int64_t random_time(uint64_t *seed, int64_t limit, int64_t spread)
{
    switch (below(seed, 16)) {
    case 0: return limit - 1 - (int64_t)below(seed, 2 * DUE_BUCKET_MS);
    case 1: return limit + (int64_t)below(seed, 1000) * 1000000;
    case 2:
    case 3: return limit - limit % 97;
    default: return limit + (int64_t)below(seed, (uint64_t)spread);
    }
}

static bool is_third(void *context, const struct due_item *item)
{
    (void)context;
    return item->position % 3 == 0;
}

static void drop_thirds(struct due *d, struct list *l)
{
    size_t kept = 0;
    due_drop(d, is_third, NULL);
    for (size_t i = 0; i < l->count; i++)
        if (!is_third(NULL, &l->item[i]))
            l->item[kept++] = l->item[i];
    l->count = kept;
    assert_int_equal(d->items, l->count);
    assert_int_equal(due_earliest(d), l->count ? l->item[earliest(l)].time : INT64_MAX);
}

static void play(uint64_t seed, int64_t limit, int64_t spread, int64_t pace)
{
    static struct list l;
    struct due d;
    bool more = true;
    due_open(&d);
    l.count = 0;
    for (uint64_t position = 1; position < 3000; position++) {
        insert(&d, &l, random_time(&seed, limit, spread), position);
        if (below(&seed, 4) == 0) /* not always in the order of positions */
            insert(&d, &l, l.item[l.count - 1].time, position + 1000000 - 2 * below(&seed, 1000));
        if (below(&seed, 40) == 0)
            drop_thirds(&d, &l);
        if (below(&seed, 3))
            continue;
        limit += (int64_t)below(&seed, (uint64_t)pace);
        more = true;
        for (uint64_t left = below(&seed, 8) ? UINT64_MAX : 2; more && left > 0; left--) /* all, or two of them */
            assert_same_next(&d, &l, limit, &more);
    }
    for (more = true; more;)
        assert_same_next(&d, &l, INT64_MAX, &more);
    due_close(&d);
}

static void test_against_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        play(seed, 1700000000000, 3 * DUE_BUCKET_MS, 40); /* much that comes into the front */
        play(seed, 1700000000000, 100, 200);
        play(seed, 1700000000000, 200000, 300);     /* many buckets */
        play(seed, 1700000000000, 200000, 5000000); /* big gaps */
        play(seed, -5000, 4000, 10);                /* before 1970, and over to after it */
        play(seed, -1700000000000, 20000, 100);
    }
}

static void test_the_limit_is_not_due(void **state)
{
    (void)state;
    struct due d;
    struct due_item item;
    due_open(&d);
    assert_int_equal(due_earliest(&d), INT64_MAX);
    assert_false(due_next(&d, INT64_MAX, &item));
    due_insert(&d, -1, 7, 1);
    due_insert(&d, 0, 8, 2);
    assert_int_equal(due_earliest(&d), -1);
    assert_false(due_next(&d, -1, &item));
    assert_true(due_next(&d, 0, &item));
    assert_int_equal(item.position, 7);
    assert_false(due_next(&d, 0, &item)); /* the same millisecond is another bucket's: it is not opened */
    assert_true(due_next(&d, 1, &item));
    assert_int_equal(item.position, 8);
    due_close(&d);
}

/* Hours of buckets, drained; then the same again: nothing piles up. */
static void test_memory_goes_back(void **state)
{
    (void)state;
    enum { HOUR = 3600 * 1000, N = 100000, SMALL = 512 << 10 };
    struct due d;
    struct due_item item;
    due_open(&d);
    for (int64_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < N; i++)
            due_insert(&d, round * HOUR + (int64_t)i * HOUR / N, i, i);
        assert_true(due_memory(&d) > N * sizeof(struct due_mark));
        for (uint32_t i = 0; i < N; i++) {
            assert_true(due_next(&d, (round + 1) * HOUR, &item));
            assert_int_equal(item.number, i);
        }
        assert_false(due_next(&d, INT64_MAX, &item));
        assert_in_range(due_memory(&d), 0, SMALL);
    }
    due_close(&d);
}

/* Time stands between two buckets for weeks of buckets: their places in the array are used again. */
static void test_a_moving_window_stays_small(void **state)
{
    (void)state;
    struct due d;
    struct due_item item;
    due_open(&d);
    for (int64_t bucket = 0; bucket < 100000; bucket++) {
        due_insert(&d, bucket * DUE_BUCKET_MS, (uint64_t)bucket, 0);
        assert_int_equal(due_next(&d, (bucket - 9) * DUE_BUCKET_MS, &item), bucket >= 10);
        if (bucket >= 10)
            assert_int_equal(item.time, (bucket - 10) * DUE_BUCKET_MS);
    }
    assert_in_range(due_memory(&d), 0, 64 << 10);
    due_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_limit_is_not_due),
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_memory_goes_back),
        cmocka_unit_test(test_a_moving_window_stays_small),
    };
    return cmocka_run_group_tests_name("due", tests, NULL, NULL);
}
