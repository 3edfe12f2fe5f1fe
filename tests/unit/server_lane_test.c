#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/event.h"
#include "ps/state/sequencer.h"
#include "ps/state/server_lane.h"

/* The server's own events get the clock of the log writer, and time passes for them while nobody calls. Streams: 0
 * impressions, 1 clicks. */
enum { STREAMS = 2, TIMEOUT = 2000, RETAIN = 50000, ROWS_MAX = 8 };
#define NONE WATERMARK_NONE
#define NOW INT64_C(1700000000000)

struct row {
    struct buffer key, value;
};

struct desk {
    struct sequencer *s;
    int64_t now; /* of time-outs; the wall is NOW and what passed */
    struct row rows[ROWS_MAX];
    size_t n_rows;
    struct buffer block;
    struct block parsed;
};

static struct sequencer *open_one(uint32_t producers_max)
{
    return sequencer_open(&(struct sequencer_options){.streams = STREAMS,
                                                      .window_ms = 60,
                                                      .producer_timeout_ms = TIMEOUT,
                                                      .producer_retain_ms = RETAIN,
                                                      .producers_max = producers_max});
}

static void desk_open(struct desk *d)
{
    *d = (struct desk){.s = open_one(8)};
    sequencer_tell_time(d->s, NOW);
}

static void clear_rows(struct desk *d)
{
    for (size_t i = 0; i < d->n_rows; i++) {
        buffer_close(&d->rows[i].key);
        buffer_close(&d->rows[i].value);
    }
    d->n_rows = 0;
}

static void desk_close(struct desk *d)
{
    sequencer_close(d->s);
    clear_rows(d);
    buffer_close(&d->block);
}

static void put_row(void *context, struct bytes key, struct bytes value)
{
    struct desk *d = context;
    size_t i = 0;
    while (i < d->n_rows && !bytes_equal(buffer_view(&d->rows[i].key), key))
        i++;
    if (i == d->n_rows) {
        assert_in_range(i, 0, ROWS_MAX - 1);
        d->rows[d->n_rows++] = (struct row){0};
        buffer_put(&d->rows[i].key, key.data, key.size);
    }
    d->rows[i].value.size = 0;
    buffer_put(&d->rows[i].value, value.data, value.size);
}

/* As the log writer does it: tick, seal, write. */
static void write_block(struct desk *d)
{
    struct tm_error err;
    d->block.size = 0;
    d->parsed = (struct block){0};
    sequencer_tick(d->s, d->now);
    sequencer_seal(d->s, NULL, &d->block);
    sequencer_changed_rows(d->s, put_row, d);
    if (d->block.size)
        assert_int_equal(block_parse(buffer_view(&d->block), &d->parsed, &err), TM_OK);
}

static void pass(struct desk *d, int64_t ms, int64_t wall_ms)
{
    d->now += ms;
    sequencer_tell_time(d->s, wall_ms);
    write_block(d);
}

static void restart(struct desk *d, int64_t wall_ms)
{
    struct tm_error err;
    struct sequencer *again = open_one(8);
    sequencer_load_position(again, sequencer_position(d->s));
    for (uint8_t stream = 0; stream < STREAMS; stream++)
        sequencer_load_watermark(again, stream, sequencer_watermark(d->s, stream));
    for (size_t i = 0; i < d->n_rows; i++)
        assert_int_equal(
            sequencer_load_producer(again, buffer_view(&d->rows[i].key), buffer_view(&d->rows[i].value), d->now, &err),
            TM_OK);
    sequencer_close(d->s);
    d->s = again;
    sequencer_tell_time(d->s, wall_ms);
}

/* Two events of a stream on two shards. Returns what they were stamped with. */
static int64_t send_stamped(struct desk *d, uint8_t stream)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    event_encode(&(struct event){.stream = bytes_text("s"), .doc = bytes_text("d")}, &wire);
    struct submission_event events[2] = {{.wire = buffer_view(&wire), .shard = 1, .version = 4, .stream = stream},
                                         {.wire = buffer_view(&wire), .shard = 2, .version = 4, .stream = stream}};
    struct submission sub = {.kind = SUBMIT_STAMPED, .events = events, .event_count = 2};
    assert_true(sequencer_take(d->s, &sub, d->now));
    assert_int_equal(sub.code, TM_OK);
    write_block(d);
    assert_int_equal(d->parsed.events, 2);
    assert_int_equal(d->parsed.shards_named, 2);
    int64_t time = 0;
    for (uint32_t slot = 0; slot < 2; slot++) {
        uint32_t shard, events_of, first;
        struct block_event e;
        struct event event;
        block_shard(&d->parsed, slot, &shard, &events_of, &first);
        block_event_at(&d->parsed, first, 0, &e);
        assert_int_equal(event_scan(e.wire, &event, NULL), TM_OK);
        assert_true(event.has & EVENT_HAS_TIME && bytes_equal(event.doc, bytes_text("d")));
        assert_true(slot == 0 || event.time == time);
        time = event.time;
    }
    return time;
}

static void send_as_client(struct desk *d, enum submission_kind kind, uint8_t stream, int64_t time)
{
    struct submission sub = {.kind = kind, .producer = {"c", "1", "x"}, .streams = 1u << stream};
    sub.stream = stream;
    sub.time = time;
    assert_true(sequencer_take(d->s, &sub, d->now));
    assert_int_equal(sub.code, TM_OK);
}

static void assert_watermarks(const struct desk *d, int64_t impressions, int64_t clicks)
{
    assert_int_equal(sequencer_watermark(d->s, 0), impressions);
    assert_int_equal(sequencer_watermark(d->s, 1), clicks);
}

static void test_events_get_the_clock_and_time_passes_by_itself(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    pass(&d, 5000, NOW + 10);
    assert_int_equal(d.block.size, 0); /* nobody ranks: there is no lane and no block */
    assert_int_equal(send_stamped(&d, 0), NOW + 10);
    assert_watermarks(&d, NOW + 10, NONE);
    pass(&d, SERVER_LANE_STEP_MS - 1, NOW + 10 + SERVER_LANE_STEP_MS - 1);
    assert_int_equal(d.block.size, 0);
    pass(&d, 1, NOW + 10 + SERVER_LANE_STEP_MS);
    assert_int_equal(d.parsed.punctuations, 1);
    assert_watermarks(&d, NOW + 10 + SERVER_LANE_STEP_MS, NONE);
    sequencer_tell_time(d.s, NOW + 2000);
    assert_int_equal(send_stamped(&d, 1), NOW + 2000);
    assert_watermarks(&d, NOW + 2000, NOW + 2000); /* with every block, in all its streams */
    desk_close(&d);
}

static void test_the_clock_never_goes_back(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    send_stamped(&d, 0);
    pass(&d, 0, NOW + 5000);
    sequencer_tell_time(d.s, NOW - 3600000);
    assert_int_equal(send_stamped(&d, 0), NOW + 5000);
    restart(&d, NOW - 3600000);
    assert_int_equal(send_stamped(&d, 0), NOW + 5000);
    assert_watermarks(&d, NOW + 5000, NONE);
    restart(&d, NOW + 9000); /* nobody calls: the row is enough */
    write_block(&d);
    assert_watermarks(&d, NOW + 9000, NONE);
    desk_close(&d);
}

static void test_it_holds_back_nobody_and_is_held_by_others(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    send_as_client(&d, SUBMIT_OPEN, 0, 0);
    send_as_client(&d, SUBMIT_WATERMARK, 0, NOW - 100);
    send_stamped(&d, 0);
    assert_watermarks(&d, NOW - 100, NONE);
    send_as_client(&d, SUBMIT_WATERMARK, 0, NOW - 50);
    write_block(&d);
    assert_watermarks(&d, NOW - 50, NONE); /* as far as the client, whatever the server last sent */
    pass(&d, TIMEOUT, NOW + TIMEOUT);
    assert_watermarks(&d, NOW + TIMEOUT, NONE); /* the client is gone, the lane is not: it is as live as the server */
    pass(&d, RETAIN - TIMEOUT, NOW + RETAIN);
    assert_watermarks(&d, NOW + RETAIN, NONE);
    pass(&d, 5000, NOW + RETAIN + 5000);
    assert_watermarks(&d, NOW + RETAIN, NONE); /* nobody has ranked for so long that it is forgotten */
    assert_int_equal(sequencer_producers(d.s), 0);
    desk_close(&d);
}

/* Who wants to know that what came before is in the log. */
static void test_an_empty_batch_passes_and_leaves_nothing(void **state)
{
    (void)state;
    struct desk d;
    struct submission sub = {.kind = SUBMIT_STAMPED};
    desk_open(&d);
    assert_true(sequencer_take(d.s, &sub, d.now));
    write_block(&d);
    assert_int_equal(sub.code, TM_OK);
    assert_int_equal(d.block.size + d.n_rows + sequencer_producers(d.s), 0);
    desk_close(&d);
}

static void test_a_full_table_refuses(void **state)
{
    (void)state;
    struct sequencer *s = open_one(1);
    struct submission open = {.kind = SUBMIT_OPEN, .producer = {"c", "1", "x"}};
    struct submission_event event = {.stream = 1};
    struct submission sub = {.kind = SUBMIT_STAMPED, .events = &event, .event_count = 1};
    struct buffer block = {0};
    sequencer_tell_time(s, NOW);
    assert_true(sequencer_take(s, &open, 0) && sequencer_take(s, &sub, 0));
    assert_int_equal(sub.code, TM_RESOURCE_EXHAUSTED);
    sequencer_seal(s, NULL, &block);
    buffer_close(&block);
    sequencer_close(s);
}

/* Returns how many of two events of a user are marked as a robot's. */
static int robots_of_two(struct sequencer *s, bool same_record)
{
    CLEANUP(buffer_close) struct buffer block = {0}, wire = {0};
    struct block b;
    struct block_event one, other;
    event_encode(&(struct event){.stream = bytes_text("s"), .doc = bytes_text("d")}, &wire);
    struct submission_event events[2] = {{.wire = buffer_view(&wire), .user = 7},
                                         {.wire = buffer_view(&wire), .user = 7, .same_record = same_record}};
    struct submission sub = {.kind = SUBMIT_STAMPED, .events = events, .event_count = 2};
    assert_true(sequencer_take(s, &sub, 0));
    sequencer_seal(s, NULL, &block);
    assert_int_equal(block_parse(buffer_view(&block), &b, NULL), TM_OK);
    block_event_at(&b, 0, 0, &one);
    block_event_at(&b, 0, 1, &other);
    return one.robot + other.robot;
}

/* What one Rank shows is one event of its user; actions are one each. */
static void test_robots_are_marked_here_too(void **state)
{
    (void)state;
    struct sequencer *s = sequencer_open(&(struct sequencer_options){.streams = STREAMS,
                                                                     .producer_timeout_ms = TIMEOUT,
                                                                     .producer_retain_ms = RETAIN,
                                                                     .producers_max = 1,
                                                                     .user_events = 4,
                                                                     .user_window_ms = 8000});
    sequencer_tell_time(s, NOW);
    assert_int_equal(robots_of_two(s, true), 0);  /* 1 event */
    assert_int_equal(robots_of_two(s, false), 0); /* 3 */
    assert_int_equal(robots_of_two(s, false), 1); /* 5 */
    assert_int_equal(robots_of_two(s, true), 2);
    sequencer_tell_time(s, NOW + 8000);
    assert_int_equal(robots_of_two(s, true), 0);
    sequencer_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_get_the_clock_and_time_passes_by_itself),
        cmocka_unit_test(test_the_clock_never_goes_back),
        cmocka_unit_test(test_it_holds_back_nobody_and_is_held_by_others),
        cmocka_unit_test(test_an_empty_batch_passes_and_leaves_nothing),
        cmocka_unit_test(test_a_full_table_refuses),
        cmocka_unit_test(test_robots_are_marked_here_too),
    };
    return cmocka_run_group_tests_name("server_lane", tests, NULL, NULL);
}
