/* Tests of the keys that wait: lists of notes, and pools that are used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/pending.h"
#include "tests/unit/random.h"

enum { KEYS = 200, NOTES_EACH = 12 };

/* What one key must look like. */
struct want {
    bool live;
    uint64_t event[NOTES_EACH]; /* oldest first */
    uint32_t count;
};

static struct hash128 key_of(uint32_t i) { return (struct hash128){i % 7, i}; } /* tags collide */

static void assert_agrees(const struct pending *p, uint32_t i, const struct want *want)
{
    uint32_t number = pending_find(p, key_of(i)), left = want->count;
    if (!want->live) {
        assert_int_equal(number, PENDING_NONE);
        return;
    }
    assert_true(number < p->key_count);
    assert_true(hash128_equal(p->keys[number].key, key_of(i)));
    assert_int_equal(p->keys[number].time, 1000 + i);
    for (uint32_t n = p->keys[number].notes; n != PENDING_NONE; n = p->notes[n].next) {
        assert_true(left > 0);
        assert_int_equal(p->notes[n].event, want->event[--left]);
        assert_int_equal(p->notes[n].owner, number);
    }
    assert_int_equal(left, 0);
}

static void add_note(struct pending *p, uint32_t i, struct want *want, uint64_t event)
{
    uint32_t note = pending_add_note(p, pending_find(p, key_of(i)));
    p->notes[note].event = event;
    p->notes[note].position = event;
    want->event[want->count++] = event;
}

/* The k-th oldest, wherever it is in the list. */
static void remove_note(struct pending *p, uint32_t i, struct want *want, uint32_t k)
{
    uint32_t note = p->keys[pending_find(p, key_of(i))].notes;
    while (p->notes[note].event != want->event[k])
        note = p->notes[note].next;
    pending_remove_note(p, note);
    assert_int_equal(p->notes[note].position, 0);
    memmove(&want->event[k], &want->event[k + 1], (--want->count - k) * sizeof want->event[0]);
}

static void change(struct pending *p, uint32_t i, struct want *want, uint64_t *seed, uint64_t event)
{
    if (!want->live) {
        uint32_t number = pending_add(p, key_of(i));
        assert_int_equal(p->keys[number].chunk, 0);
        p->keys[number].time = 1000 + i;
        *want = (struct want){.live = true};
    } else if (want->count == 0 && draw(seed) & 1) {
        pending_remove(p, pending_find(p, key_of(i)));
        want->live = false;
    } else if (want->count < NOTES_EACH && draw(seed) & 1) {
        add_note(p, i, want, event);
    } else if (want->count > 0) {
        remove_note(p, i, want, (uint32_t)below(seed, want->count));
    }
}

static void test_against_arrays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        static struct want want[KEYS];
        struct pending p;
        uint64_t random = seed;
        pending_open(&p);
        memset(want, 0, sizeof want);
        for (uint64_t step = 1; step <= 30000; step++) {
            uint32_t i = (uint32_t)below(&random, KEYS);
            change(&p, i, &want[i], &random, step);
            assert_agrees(&p, i, &want[i]);
            for (uint32_t k = 0; step % 1009 == 0 && k < KEYS; k++)
                assert_agrees(&p, k, &want[k]);
        }
        assert_in_range(p.key_count, 1, KEYS); /* what was freed was used again */
        assert_in_range(p.note_count, 1, KEYS * NOTES_EACH);
        pending_close(&p);
    }
}

static void test_pools_are_used_again(void **state)
{
    (void)state;
    struct pending p;
    size_t after_one = 0;
    pending_open(&p);
    for (uint32_t round = 0; round < 100; round++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            uint32_t number = pending_add(&p, key_of(round * KEYS + i));
            for (int k = 0; k < 3; k++)
                pending_add_note(&p, number);
        }
        for (uint32_t i = 0; i < KEYS; i++) {
            uint32_t number = pending_find(&p, key_of(round * KEYS + i));
            while (p.keys[number].notes != PENDING_NONE)
                pending_remove_note(&p, p.keys[number].notes);
            pending_remove(&p, number);
        }
        after_one = round == 0 ? pending_memory(&p) : after_one;
        assert_int_equal(pending_memory(&p), after_one);
        assert_int_equal(p.key_count, KEYS);
        assert_int_equal(p.note_count, 3 * KEYS);
        assert_int_equal(p.index.used, 0);
    }
    pending_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_arrays),
        cmocka_unit_test(test_pools_are_used_again),
    };
    return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
