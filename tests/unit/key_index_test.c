/* Tests of the key index against a list that is searched from one end to the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/key_index.h"
#include "tests/unit/random.h"

enum { ENTRIES = 4096, SLOTS_MIN = 64 }; /* SLOTS_MIN: the smallest index has so many */

struct entry {
    struct hash128 key;
    bool live;
};

static struct entry entries[ENTRIES];

static struct key_entries all(void) { return (struct key_entries){entries, sizeof entries[0], UINT32_MAX}; }

static void assert_agrees(const struct key_index *x, uint32_t number)
{
    uint32_t want = entries[number].live ? number : KEY_INDEX_NONE;
    assert_int_equal(key_index_find(x, entries[number].key, all()), want);
}

static void add(struct key_index *x, uint32_t number)
{
    key_index_insert(x, entries[number].key, number);
    entries[number].live = true;
}

static void take_out(struct key_index *x, uint32_t number)
{
    key_index_remove(x, entries[number].key, number);
    entries[number].live = false;
}

/* Keys whose low 32 bits are one of `tags` values, half of them at the end of the slots so that runs wrap around. */
static void make_keys(uint64_t *seed, uint32_t tags)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint32_t tag = (uint32_t)below(seed, tags);
        uint64_t low = (uint64_t)draw(seed) << 32 | (draw(seed) & 1 ? tag : UINT32_MAX - tag);
        entries[i] = (struct entry){.key = {low, draw(seed)}};
    }
}

/* Insert and remove at random, up to `most` at a time, look at random, and at all of them now and then. */
static void play(uint64_t seed, uint32_t tags, uint32_t most, uint32_t steps)
{
    struct key_index x = {0};
    uint32_t live = 0;
    make_keys(&seed, tags);
    for (uint32_t step = 0; step < steps; step++) {
        uint32_t number = (uint32_t)below(&seed, most);
        if (entries[number].live)
            take_out(&x, number);
        else
            add(&x, number);
        live += entries[number].live ? 1 : -1u;
        assert_int_equal(x.used, live);
        assert_agrees(&x, number);
        assert_agrees(&x, (uint32_t)below(&seed, ENTRIES));
        for (uint32_t i = 0; step % 997 == 0 && i < ENTRIES; i++)
            assert_agrees(&x, i);
    }
    for (uint32_t i = 0; i < ENTRIES; i++)
        if (entries[i].live)
            take_out(&x, i);
    for (uint32_t i = 0; i < x.capacity; i++)
        assert_int_equal(x.slots[i], 0); /* no tombstones */
    key_index_close(&x);
}

static void test_against_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        play(seed, UINT32_MAX, ENTRIES, 20000); /* spread, growing */
        play(seed, 1 << 16, ENTRIES, 20000);
        play(seed, 40, 47, 20000); /* the smallest index, nearly full, around its end */
        play(seed, 3, 300, 5000);  /* nearly all keys with the tag of others */
    }
}

static void test_an_empty_index_finds_nothing(void **state)
{
    (void)state;
    struct key_index x = {0};
    uint64_t seed = 1;
    make_keys(&seed, 8);
    assert_int_equal(key_index_find(&x, entries[0].key, all()), KEY_INDEX_NONE);
    key_index_prefetch(&x, entries[0].key);
    key_index_close(&x);
}

/* Five keys at every choice of homes around the end of the slots, each removed in turn: all others must be found. */
static void test_removal_at_the_wrap_around(void **state)
{
    (void)state;
    enum { KEYS = 5, HOMES = 5, CHOICES = 3125 };
    for (uint32_t choice = 0; choice < CHOICES; choice++) {
        struct key_index x = {0};
        for (uint32_t i = 0, rest = choice; i < KEYS; i++, rest /= HOMES)
            entries[i] = (struct entry){.key = {(SLOTS_MIN - 3 + rest % HOMES) % SLOTS_MIN | (uint64_t)i << 32, i}};
        for (uint32_t i = 0; i < KEYS; i++)
            add(&x, i);
        assert_int_equal(x.capacity, SLOTS_MIN);
        for (uint32_t out = 0; out < KEYS; out++) {
            take_out(&x, out);
            for (uint32_t i = 0; i < KEYS; i++)
                assert_agrees(&x, i);
            add(&x, out);
        }
        key_index_close(&x);
    }
}

/* A ring of entries: numbers go on counting, their low bits say where the entry lies. */
static void test_numbers_are_masked_to_find_entries(void **state)
{
    (void)state;
    enum { RING = 8, FIRST = 1000003 };
    struct key_index x = {0};
    struct key_entries ring = {entries, sizeof entries[0], RING - 1};
    for (uint32_t number = FIRST; number < FIRST + 100; number++) {
        struct entry *e = &entries[number % RING];
        if (number >= FIRST + RING)
            key_index_remove(&x, e->key, number - RING);
        e->key = (struct hash128){number % 3, number};
        key_index_insert(&x, e->key, number);
        for (uint32_t back = 0; back < RING && back <= number - FIRST; back++)
            assert_int_equal(key_index_find(&x, (struct hash128){(number - back) % 3, number - back}, ring),
                             number - back);
    }
    key_index_close(&x);
}

static void test_a_cleared_index_is_empty_and_takes_keys_again(void **state)
{
    struct key_index x = {0};
    uint64_t seed = 11;
    (void)state;
    make_keys(&seed, UINT32_MAX);
    key_index_clear(&x); /* nothing was ever in it */
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < ENTRIES; i++)
            add(&x, i);
        for (uint32_t i = 0; i < ENTRIES; i++)
            assert_agrees(&x, i);
        key_index_clear(&x);
        for (uint32_t i = 0; i < ENTRIES; i++) {
            entries[i].live = false;
            assert_agrees(&x, i);
        }
        assert_int_equal(x.used, 0);
    }
    key_index_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_index_finds_nothing),
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_removal_at_the_wrap_around),
        cmocka_unit_test(test_a_cleared_index_is_empty_and_takes_keys_again),
        cmocka_unit_test(test_numbers_are_masked_to_find_entries),
    };
    return cmocka_run_group_tests_name("key_index", tests, NULL, NULL);
}
