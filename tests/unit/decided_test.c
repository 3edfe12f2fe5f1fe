/* Tests of the decided keys against an array of what each key must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/decided.h"
#include "tests/unit/random.h"

enum { KEYS = 300, ACTIONS_EACH = 6, TIMES = 4 };

/* What is known of one key: its newest decision. */
struct want {
    uint64_t sequence; /* 0: never decided, or dropped */
    int64_t time;
    struct decided_action action[ACTIONS_EACH]; /* in the order they came */
    uint32_t count;
};

struct model {
    struct want want[KEYS];
    uint64_t sequence, random;
    int64_t now, expiry;
};

static struct hash128 key_of(uint32_t i) { return (struct hash128){(uint64_t)i << 33 | i % 5, ~(uint64_t)i}; }

/* Those that count come in the order of their times, and those of one time as they came. */
static void assert_counted(const struct decided *d, const struct decided_key *k, const struct want *w)
{
    static const struct joiner_config config = {.stream = {{.labels = 1}, {.labels = 2}, {.labels = 4}}};
    static struct label_action got[DECIDED_COUNTED_MAX];
    uint32_t n = decided_counted(d, k, &config, got), at = 0;
    for (int64_t time = 0; time < TIMES; time++)
        for (uint32_t a = 0; a < w->count; a++)
            if (w->action[a].time == time && w->action[a].came == DECIDED_ACTION) {
                assert_in_range(at, 0, n - 1);
                assert_true(got[at].time == time && got[at].value == w->action[a].value);
                assert_int_equal(got[at++].labels, 1 << w->action[a].stream);
            }
    assert_int_equal(at, n);
}

static void assert_agrees(struct decided *d, const struct model *m, uint32_t i)
{
    const struct want *w = &m->want[i];
    struct decided_key *k = decided_find(d, key_of(i), m->expiry);
    if (w->sequence == 0 || w->time < m->expiry) {
        assert_null(k);
        return;
    }
    assert_non_null(k);
    assert_true(hash128_equal(k->key, key_of(i)));
    assert_int_equal(k->sequence, w->sequence);
    assert_int_equal(k->time, w->time);
    assert_int_equal(k->settled, w->sequence + 1);
    assert_int_equal(k->row, w->sequence + 2);
    assert_int_equal(k->offset, (uint32_t)w->sequence + 3);
    assert_int_equal(k->version, (uint32_t)w->sequence + 4);
    assert_true(k->weight == (float)(w->sequence % 1000) / 8);
    assert_true(k->rate == (float)(1 + w->sequence % 4) / 4);
    assert_int_equal(k->standing, w->sequence % 2);
    for (uint32_t a = 0; a < w->count; a++) {
        uint32_t of_kind, want = 0;
        const struct decided_action *known = &w->action[a];
        assert_non_null(decided_find_action(d, k, known->stream, known->event, DECIDED_ACTION, &of_kind));
        for (uint32_t b = 0; b < w->count; b++)
            want += w->action[b].stream == known->stream && (w->action[b].came & DECIDED_ACTION);
        assert_int_equal(of_kind, want);
        assert_null(decided_find_action(d, k, known->stream ^ 4, known->event, DECIDED_ACTION, &of_kind));
        assert_null(decided_find_action(d, k, known->stream, known->event + 1, DECIDED_ACTION, &of_kind));
    }
    assert_counted(d, k, w);
}

static void assert_all_agree(struct decided *d, const struct model *m)
{
    for (uint32_t i = 0; i < KEYS; i++)
        assert_agrees(d, m, i);
}

static void decide(struct decided *d, struct model *m, uint32_t i)
{
    struct want *w = &m->want[i];
    struct decided_key *k = decided_put(d, key_of(i));
    assert_int_equal(k->actions, DECIDED_NONE);
    *w = (struct want){.sequence = ++m->sequence, .time = m->now + (int64_t)below(&m->random, 60) - 30};
    k->time = w->time;
    k->sequence = w->sequence;
    k->settled = w->sequence + 1;
    k->row = w->sequence + 2;
    k->offset = (uint32_t)w->sequence + 3;
    k->version = (uint32_t)w->sequence + 4;
    k->weight = (float)(w->sequence % 1000) / 8;
    k->rate = (float)(1 + w->sequence % 4) / 4;
    k->standing = (uint8_t)(w->sequence % 2);
    decided_changed(d, k);
}

static void act(struct decided *d, struct model *m, uint32_t i)
{
    struct want *w = &m->want[i];
    struct decided_key *k = decided_find(d, key_of(i), m->expiry);
    if (w->count == ACTIONS_EACH)
        return;
    if (w->count && below(&m->random, 4) == 0) { /* the other half of a pair, or the same again */
        struct decided_action *known = &w->action[below(&m->random, w->count)], other = *known;
        known->came |= other.came = (uint8_t)(1 + below(&m->random, 2));
        decided_add_action(d, k, &other);
    } else {
        struct decided_action *a = &w->action[w->count++];
        *a = (struct decided_action){.event = draw(&m->random) & ~UINT64_C(1),
                                     .time = (int64_t)below(&m->random, TIMES),
                                     .value = (double)below(&m->random, 100) / 8,
                                     .stream = (uint8_t)below(&m->random, 3),
                                     .came = below(&m->random, 5) ? DECIDED_ACTION : DECIDED_WITHDRAWAL};
        decided_add_action(d, k, a);
    }
    decided_changed(d, k);
}

static void step(struct decided *d, struct model *m)
{
    uint32_t i = (uint32_t)below(&m->random, KEYS);
    if (decided_find(d, key_of(i), m->expiry))
        act(d, m, i);
    else
        decide(d, m, i);
    m->now += (int64_t)below(&m->random, 3);
    if (below(&m->random, 50) == 0 && m->now - 200 > m->expiry) {
        m->expiry = m->now - 200;
        if (draw(&m->random) & 1) /* an expiry counts whether or not the expired ones were dropped */
            decided_expire(d, m->expiry);
    }
    assert_agrees(d, m, i);
    assert_agrees(d, m, (uint32_t)below(&m->random, KEYS));
}

static void write_off(struct decided *d)
{
    CLEANUP(buffer_close) struct buffer run = {0};
    decided_write(d, &run);
}

static void open_at(struct decided *d, uint64_t number)
{
    decided_open(d);
    d->first = d->next = number;
}

static void test_against_an_array(void **state)
{
    (void)state;
    static struct model m;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct decided d;
        m = (struct model){.random = seed, .expiry = -200};
        decided_open(&d);
        for (int i = 0; i < 20000; i++) {
            step(&d, &m);
            if (i % 50 == 0)
                write_off(&d);
            if (i % 1009 == 0)
                assert_all_agree(&d, &m);
        }
        assert_in_range(d.capacity, 1, 1024); /* places were used again */
        write_off(&d);
        decided_expire(&d, INT64_MAX);
        assert_int_equal(decided_count(&d), 0);
        assert_int_equal(d.first, d.next);
        decided_close(&d);
    }
}

/* Runs of all commits, loaded again, find the same; and a later state of a key replaces the earlier one. */
static void replay(uint64_t seed, uint64_t first_number)
{
    enum { RUNS = 40 };
    static struct model m;
    struct decided d, again;
    m = (struct model){.random = seed, .expiry = -200};
    open_at(&d, first_number);
    open_at(&again, first_number / 3);
    for (int run = 0; run < RUNS; run++) {
        CLEANUP(buffer_close) struct buffer written = {0};
        struct tm_error err;
        int64_t newest, loaded;
        for (int i = 0; i < 200; i++)
            step(&d, &m);
        newest = decided_write(&d, &written);
        assert_int_equal(decided_load(&again, buffer_view(&written), &loaded, &err), TM_OK);
        assert_int_equal(newest, loaded);
        assert_all_agree(&again, &m);
        assert_int_equal(again.changed_count, 0); /* what was loaded is stored already */
    }
    assert_all_agree(&d, &m);
    assert_in_range(again.next - again.first, 1, m.sequence); /* later states took the place of earlier ones */
    decided_close(&d);
    decided_close(&again);
}

static void test_runs_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        replay(seed, 0);
}

static void add(struct decided *d, struct decided_key *k, uint64_t event)
{
    decided_add_action(d, k, &(struct decided_action){.event = event, .stream = 1, .came = DECIDED_ACTION});
}

static void test_a_later_state_takes_the_place_of_the_earlier(void **state)
{
    (void)state;
    enum { STATES = 10 };
    struct decided d, again;
    struct tm_error err;
    decided_open(&d);
    decided_open(&again);
    struct decided_key *k = decided_put(&d, key_of(1));
    k->sequence = 1;
    k->rate = 1;
    for (uint64_t event = 1; event <= STATES; event++) {
        CLEANUP(buffer_close) struct buffer run = {0};
        int64_t newest;
        uint32_t of_kind;
        add(&d, k, event);
        decided_changed(&d, k);
        decided_write(&d, &run);
        assert_int_equal(decided_load(&again, buffer_view(&run), &newest, &err), TM_OK);
        struct decided_key *loaded = decided_find(&again, key_of(1), 0);
        assert_null(decided_find_action(&again, loaded, 1, 0, DECIDED_ACTION, &of_kind));
        assert_int_equal(of_kind, event);
    }
    assert_int_equal(again.next - again.first, 1);
    assert_int_equal(again.action_count, STATES); /* those of the earlier states were used again */
    decided_close(&d);
    decided_close(&again);
}

/* A shard that has decided billions of keys: the index knows only the low bits of a number. */
static void test_big_numbers(void **state)
{
    (void)state;
    static const uint64_t first[] = {INT32_MAX - 300, UINT32_MAX - 300, (UINT64_C(1) << 33) - 7,
                                     (UINT64_C(7) << 40) + 5};
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        replay(i + 10, first[i]);
}

static void put(struct decided *d, uint32_t i, int64_t time, uint64_t sequence)
{
    struct decided_key *k = decided_put(d, key_of(i));
    k->time = time;
    k->sequence = sequence;
    k->rate = 1;
    decided_changed(d, k);
}

static void test_the_ring_grows_while_it_is_wrapped(void **state)
{
    (void)state;
    struct decided d;
    decided_open(&d);
    for (uint32_t i = 0; i < 64; i++)
        put(&d, i, i, i + 1);
    write_off(&d);
    decided_expire(&d, 40);
    for (uint32_t i = 64; i < 1000; i++)
        put(&d, i, i, i + 1);
    assert_int_equal(d.capacity, 1024);
    assert_int_equal(decided_count(&d), 960);
    for (uint32_t i = 0; i < 1000; i++) {
        struct decided_key *k = decided_find(&d, key_of(i), 0);
        assert_int_equal(k ? k->sequence : 0, i < 40 ? 0 : i + 1);
    }
    decided_close(&d);
}

/* The earlier decision of a key that expired is gone, from memory and from the next run. */
static void test_an_expired_key_is_decided_again(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer run = {0};
    struct decided d, again;
    struct tm_error err;
    int64_t newest;
    decided_open(&d);
    decided_open(&again);
    put(&d, 0, 500, 1); /* keeps the next one from being dropped */
    put(&d, 1, 100, 2);
    add(&d, decided_find(&d, key_of(1), 0), 77);
    decided_expire(&d, 200);
    assert_int_equal(decided_count(&d), 2);
    assert_null(decided_find(&d, key_of(1), 200));
    put(&d, 1, 600, 3);
    assert_int_equal(decided_count(&d), 2);
    assert_int_equal(decided_write(&d, &run), 600);
    assert_int_equal(decided_load(&again, buffer_view(&run), &newest, &err), TM_OK);
    for (int i = 0; i < 2; i++) {
        struct decided_key *k = decided_find(i ? &again : &d, key_of(1), 200);
        assert_int_equal(k->sequence, 3);
        assert_int_equal(k->actions, DECIDED_NONE);
    }
    decided_expire(&d, 550); /* drops the first, and passes by the empty place */
    assert_int_equal(decided_count(&d), 1);
    assert_non_null(decided_find(&d, key_of(1), 550));
    run.size = 0;
    assert_int_equal(decided_write(&d, &run), INT64_MIN);
    assert_int_equal(run.size, 0);
    decided_close(&d);
    decided_close(&again);
}

/* A run must say of every key that it was decided, also when it expired before: only then it is dropped. */
static void test_what_is_not_written_does_not_expire(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer run = {0};
    struct decided d;
    decided_open(&d);
    for (uint32_t i = 0; i < 10; i++)
        put(&d, i, i, i + 1);
    decided_expire(&d, 10);
    assert_int_equal(decided_count(&d), 10);
    assert_null(decided_find(&d, key_of(3), 10)); /* it is not found all the same */
    assert_int_equal(decided_write(&d, &run), 9);
    decided_expire(&d, 5);
    assert_int_equal(decided_count(&d), 5);
    decided_changed(&d, decided_find(&d, key_of(7), 0));
    decided_expire(&d, 10);
    assert_int_equal(decided_count(&d), 3); /* those in front of it go */
    run.size = 0;
    assert_int_equal(decided_write(&d, &run), 7);
    decided_expire(&d, 10);
    assert_int_equal(decided_count(&d), 0);
    decided_close(&d);
}

static void test_actions_are_used_again(void **state)
{
    (void)state;
    struct decided d;
    size_t memory = 0;
    decided_open(&d);
    for (uint32_t i = 0; i < 10000; i++) {
        put(&d, i % KEYS, i, i + 1);
        for (uint64_t event = 0; event < 5; event++)
            add(&d, decided_find(&d, key_of(i % KEYS), i), event);
        write_off(&d);
        decided_expire(&d, (int64_t)i - 9);
        if (i == 1000)
            memory = decided_memory(&d);
    }
    assert_int_equal(decided_memory(&d), memory);
    assert_in_range(d.action_count, 1, 5 * 12);
    decided_close(&d);
}

static void test_a_damaged_run_is_refused(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer run = {0};
    struct decided d;
    decided_open(&d);
    put(&d, 1, 100, 2);
    add(&d, decided_find(&d, key_of(1), 0), 77);
    decided_write(&d, &run);
    for (size_t size = 1; size < run.size; size++) {
        struct decided half;
        struct tm_error err;
        int64_t newest;
        decided_open(&half);
        assert_int_equal(decided_load(&half, bytes_of(run.data, size), &newest, &err), TM_DATA_LOSS);
        assert_string_equal(err.message, "a run of decided keys is damaged");
        decided_close(&half);
    }
    decided_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_runs_come_back),
        cmocka_unit_test(test_a_later_state_takes_the_place_of_the_earlier),
        cmocka_unit_test(test_big_numbers),
        cmocka_unit_test(test_the_ring_grows_while_it_is_wrapped),
        cmocka_unit_test(test_an_expired_key_is_decided_again),
        cmocka_unit_test(test_what_is_not_written_does_not_expire),
        cmocka_unit_test(test_actions_are_used_again),
        cmocka_unit_test(test_a_damaged_run_is_refused),
    };
    return cmocka_run_group_tests_name("decided", tests, NULL, NULL);
}
