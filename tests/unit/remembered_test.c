/* Tests of how much is remembered, and how long rows are held, against arrays of all that was said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/held_rows.h"
#include "joiner/remembered.h"
#include "tests/unit/random.h"

enum { SAID_MAX = 400, WIDTH = 10 };

static int64_t down(int64_t time) { return (time - (time % WIDTH + WIDTH) % WIDTH) / WIDTH; }

struct model {
    struct {
        int64_t time;
        uint64_t bytes, samples;
    } said[SAID_MAX];
    int n;
    int64_t expiry, gate, from; /* what is in front of expiry and from is gone */
};

static uint64_t bytes_left(const struct model *m, int64_t *oldest)
{
    uint64_t bytes = 0;
    *oldest = INT64_MAX;
    for (int i = 0; i < m->n; i++) {
        int64_t stretch = down(m->said[i].time);
        if (stretch < down(m->expiry) || (m->from != INT64_MIN && m->said[i].time < m->from))
            continue;
        bytes += m->said[i].bytes;
        *oldest = stretch < *oldest ? stretch : *oldest;
    }
    return bytes;
}

static uint64_t give_up(struct model *m, uint64_t most)
{
    uint64_t samples = 0;
    int64_t oldest;
    while (bytes_left(m, &oldest) > most) {
        for (int i = 0; i < m->n; i++)
            if (down(m->said[i].time) == oldest && (m->from == INT64_MIN || m->said[i].time >= m->from))
                samples += m->said[i].samples;
        m->from = (oldest + 1) * WIDTH < m->gate ? (oldest + 1) * WIDTH : m->gate;
    }
    return samples;
}

static void write_and_read(struct remembered *r)
{
    CLEANUP(buffer_close) struct buffer stored = {0};
    remembered_encode(r, &stored);
    remembered_close(r);
    remembered_open(r, WIDTH);
    struct reader in = reader_of(buffer_view(&stored));
    remembered_decode(r, &in);
    assert_true(!in.bad && reader_left(&in) == 0);
}

/* Times go on, before and behind 1970, with some from the past; the limit is met now and then. */
static void test_the_oldest_stretches_are_given_up(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed;
        struct model m = {.expiry = -1000, .gate = -300, .from = INT64_MIN};
        struct remembered r;
        int64_t now = -300, oldest;
        remembered_open(&r, WIDTH);
        while (m.n < SAID_MAX) {
            int64_t time = now - (int64_t)below(&random, 60);
            m.gate = now + 1; /* in a stretch, mostly */
            uint64_t bytes = below(&random, 100), samples = below(&random, 2), most = 1 + below(&random, 3000);
            now += (int64_t)below(&random, 4);
            if (m.from == INT64_MIN || time >= m.from) {
                m.said[m.n].time = time;
                m.said[m.n].bytes = bytes;
                m.said[m.n++].samples = samples;
                remembered_add(&r, time, bytes, samples);
            }
            if (below(&random, 20))
                continue;
            m.expiry = now - 100;
            assert_int_equal(remembered_trim(&r, m.expiry, m.gate, most), give_up(&m, most));
            assert_int_equal(r.from, m.from);
            assert_int_equal(r.bytes, bytes_left(&m, &oldest));
            assert_int_equal(remembered_trim(&r, m.expiry, m.gate, 0), 0); /* no limit */
            write_and_read(&r);
            assert_int_equal(r.bytes, bytes_left(&m, &oldest));
        }
        remembered_close(&r);
    }
}

static void test_stretches_out_of_order_do_not_load(void **state)
{
    (void)state;
    struct remembered r;
    CLEANUP(buffer_close) struct buffer stored = {0};
    remembered_open(&r, WIDTH);
    remembered_add(&r, 5, 1, 1);
    remembered_add(&r, 15, 1, 1);
    remembered_encode(&r, &stored);
    remembered_close(&r);
    stored.data[sizeof(int64_t) + sizeof(uint32_t)] = 2; /* the number of the first one */
    for (size_t size = 0; size <= stored.size; size++) {
        struct reader in = reader_of(bytes_of(stored.data, size));
        remembered_open(&r, WIDTH);
        remembered_decode(&r, &in);
        assert_true(in.bad);
        remembered_close(&r);
    }
}

/* A row goes when its time and those of all before it have passed, at most a span later. */
static void test_rows_are_held(void **state)
{
    enum { ROWS = 500, SPAN = 50 };
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        uint64_t random = seed;
        int64_t newest[ROWS + 2] = {0}, expiry = INT64_MIN;
        struct held_rows h;
        held_rows_open(&h, 1, SPAN);
        for (uint64_t row = 1; row <= ROWS; row++) {
            newest[row] = below(&random, 4) ? (int64_t)(row + below(&random, 30)) : INT64_MIN;
            held_rows_add(&h, row + 1, newest[row]);
            if (below(&random, 3))
                continue;
            CLEANUP(buffer_close) struct buffer stored = {0};
            uint64_t before = h.first;
            expiry = (int64_t)row - (int64_t)below(&random, 100);
            bool went = held_rows_trim(&h, expiry);
            assert_int_equal(went, h.first > before);
            for (uint64_t i = before; i < h.first; i++)
                assert_true(newest[i] < expiry);
            assert_true(h.first == row + 1 || newest[h.first] == INT64_MIN || newest[h.first] >= expiry - SPAN);
            assert_true(h.groups <= 130 / SPAN * 2 + 2);
            held_rows_encode(&h, &stored);
            held_rows_close(&h);
            held_rows_open(&h, 1, SPAN);
            struct reader in = reader_of(buffer_view(&stored));
            assert_int_equal(held_rows_decode(&h, &in), row + 1);
            assert_true(!in.bad && reader_left(&in) == 0);
        }
        held_rows_close(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_stretches_are_given_up),
        cmocka_unit_test(test_stretches_out_of_order_do_not_load),
        cmocka_unit_test(test_rows_are_held),
    };
    return cmocka_run_group_tests_name("remembered", tests, NULL, NULL);
}
