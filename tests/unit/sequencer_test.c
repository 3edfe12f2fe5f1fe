#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/state/sequencer.h"

enum { STREAMS = 3, WINDOW = 60, TIMEOUT = 1000, RETAIN = 5000, ROWS_MAX = 64, BATCH_MAX = 8 };
#define NONE WATERMARK_NONE

static const struct sequencer_options options = {
    .streams = STREAMS,
    .out_of_orderness_ms = {5, 10, 0},
    .window_ms = WINDOW,
    .producer_timeout_ms = TIMEOUT,
    .producer_retain_ms = RETAIN,
    .producers_max = 6,
};

/* ---- a log writer without a disk ---- */

struct row {
    struct buffer key, value;
};

struct desk {
    struct sequencer *s;
    int64_t now;
    struct row rows[ROWS_MAX];
    size_t n_rows;
    struct buffer block; /* the last one sealed */
    struct block parsed; /* of it; events 0 and so on when there was none */
    uint64_t first;
};

static void put_row(void *context, struct bytes key, struct bytes value)
{
    struct desk *d = context;
    size_t i = 0;
    while (i < d->n_rows && !bytes_equal(buffer_view(&d->rows[i].key), key))
        i++;
    if (i < d->n_rows) { /* out with the old */
        buffer_close(&d->rows[i].key);
        buffer_close(&d->rows[i].value);
        d->rows[i] = d->rows[--d->n_rows];
    }
    if (!value.data)
        return;
    assert_in_range(d->n_rows, 0, ROWS_MAX - 1);
    struct row *row = &d->rows[d->n_rows++];
    *row = (struct row){0};
    buffer_put(&row->key, key.data, key.size);
    buffer_put(&row->value, value.data, value.size);
}

static void desk_open(struct desk *d) { *d = (struct desk){.s = sequencer_open(&options), .now = 1000000}; }

static void desk_close(struct desk *d)
{
    sequencer_close(d->s);
    for (size_t i = 0; i < d->n_rows; i++) {
        buffer_close(&d->rows[i].key);
        buffer_close(&d->rows[i].value);
    }
    buffer_close(&d->block);
}

static void seal(struct desk *d, struct submission *taken)
{
    struct tm_error err;
    d->block.size = 0;
    d->parsed = (struct block){0};
    d->first = sequencer_seal(d->s, taken, &d->block);
    sequencer_changed_rows(d->s, put_row, d);
    if (d->block.size == 0)
        return;
    assert_int_equal(block_parse(buffer_view(&d->block), &d->parsed, &err), TM_OK);
    assert_int_equal(d->parsed.first, d->first);
    assert_int_equal(d->parsed.end, sequencer_position(d->s));
}

/* Start again from what was stored. */
static void restart(struct desk *d)
{
    struct sequencer *again = sequencer_open(&options);
    struct tm_error err;
    sequencer_load_position(again, sequencer_position(d->s));
    for (uint8_t stream = 0; stream < STREAMS; stream++)
        sequencer_load_watermark(again, stream, sequencer_watermark(d->s, stream));
    for (size_t i = 0; i < d->n_rows; i++) {
        struct bytes key = buffer_view(&d->rows[i].key), value = buffer_view(&d->rows[i].value);
        assert_int_equal(sequencer_load_producer(again, key, value, d->now, &err), TM_OK);
    }
    sequencer_close(d->s);
    d->s = again;
}

/* "web/1/a": client, instance, lane. */
static struct producer_id id_of(const char *who)
{
    struct producer_id id = {0};
    assert_int_equal(sscanf(who, "%64[^/]/%64[^/]/%64s", id.client, id.instance, id.lane), 3);
    return id;
}

static struct submission from(const char *who, enum submission_kind kind)
{
    return (struct submission){.kind = kind, .producer = id_of(who)};
}

static enum tm_code take(struct desk *d, struct submission *sub)
{
    assert_true(sequencer_take(d->s, sub, d->now));
    return sub->code;
}

static enum tm_code open_as(struct desk *d, const char *who, uint32_t streams)
{
    struct submission sub = from(who, SUBMIT_OPEN);
    sub.streams = streams;
    return take(d, &sub);
}

static uint64_t last_of(struct desk *d, const char *who)
{
    struct submission sub = from(who, SUBMIT_BATCH); /* sequence 0 is never taken, but answered */
    assert_int_equal(take(d, &sub), TM_FAILED_PRECONDITION);
    return sub.last_sequence;
}

/* ---- stories: who does what, and what the watermarks are then ---- */

enum act { END_OF_STORY, OPENS, SENDS, ASSERTS, ENDS, LEAVES, WAITS };

struct step {
    enum act act;
    const char *who;
    uint32_t streams; /* OPENS: bit set; SENDS, ASSERTS: the stream */
    int64_t time;     /* SENDS: two events of that time; WAITS: that long */
    int64_t want[2];  /* watermarks of streams 0 and 1 */
};

static const struct story {
    const char *name;
    bool waits; /* a restart would count as a sign of life */
    struct step steps[12];
} stories[] = {
    {"a stream is as far as its slowest producer",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {SENDS, "a/1/x", 0, 100, {95, NONE}},
      {OPENS, "b/1/x", 1, 0, {95, NONE}},
      {SENDS, "a/1/x", 0, 200, {95, NONE}}, /* b has not said anything yet */
      {SENDS, "b/1/x", 0, 150, {145, NONE}},
      {SENDS, "b/1/x", 0, 300, {195, NONE}}}},
    {"one who comes late with old events does not turn time back",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {SENDS, "a/1/x", 0, 500, {495, NONE}},
      {OPENS, "b/1/x", 1, 0, {495, NONE}},
      {SENDS, "b/1/x", 0, 100, {495, NONE}},
      {SENDS, "a/1/x", 0, 900, {495, NONE}},
      {LEAVES, "b/1/x", 0, 0, {895, NONE}}}},
    {"the last of a stream stays in its minimum when it leaves",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 1, 0, {NONE, NONE}},
      {ASSERTS, "a/1/x", 0, 300, {NONE, NONE}},
      {ASSERTS, "b/1/x", 0, 200, {200, NONE}},
      {LEAVES, "a/1/x", 0, 0, {200, NONE}},
      {LEAVES, "b/1/x", 0, 0, {200, NONE}}, /* a said 300, but b was the last */
      {OPENS, "c/1/x", 1, 0, {200, NONE}},
      {ASSERTS, "c/1/x", 0, 250, {250, NONE}}}},
    {"an end mark closes the last window, in every stream and lane of the client",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "a/1/y", 2, 0, {NONE, NONE}},
      {SENDS, "a/1/x", 0, 1000, {995, NONE}},
      {SENDS, "a/1/y", 1, 900, {995, 890}},
      {ENDS, "a/1/y", 0, 0, {1061, 1061}}}},
    {"an end mark waits for those who still send",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 1, 0, {NONE, NONE}},
      {SENDS, "a/1/x", 0, 1000, {NONE, NONE}},
      {SENDS, "b/1/x", 0, 500, {495, NONE}},
      {ENDS, "a/1/x", 0, 0, {495, NONE}},
      {SENDS, "b/1/x", 0, 600, {595, NONE}},
      {ENDS, "b/1/x", 0, 0, {1061, NONE}}}}, /* both are done: the windows of both close */
    {"an end mark of a client that sent nothing moves nothing, and holds nobody",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 3, 0, {NONE, NONE}},
      {SENDS, "b/1/x", 0, 500, {NONE, NONE}},
      {ENDS, "a/1/x", 0, 0, {495, NONE}},
      {OPENS, "c/1/x", 2, 0, {495, NONE}},
      {ENDS, "c/1/x", 0, 0, {495, NONE}}}},
    {"events after an end mark are ordinary",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {SENDS, "a/1/x", 0, 1000, {995, NONE}},
      {ENDS, "a/1/x", 0, 0, {1061, NONE}},
      {SENDS, "a/1/x", 0, 2000, {1061, NONE}}, /* what was asserted stays until more is asserted */
      {OPENS, "b/1/x", 1, 0, {1061, NONE}},
      {ASSERTS, "b/1/x", 0, 5000, {1061, NONE}}, /* a is live again and holds */
      {ENDS, "a/1/x", 0, 0, {5000, NONE}}}},
    {"a new instance replaces the old one, even as the last",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "a/1/y", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 1, 0, {NONE, NONE}},
      {ASSERTS, "a/1/x", 0, 100, {NONE, NONE}},
      {ASSERTS, "b/1/x", 0, 300, {NONE, NONE}}, /* a/1/y is silent */
      {OPENS, "a/2/x", 2, 0, {300, NONE}},      /* both old lanes are gone */
      {OPENS, "b/2/x", 1, 0, {300, NONE}},
      {ASSERTS, "b/2/x", 0, 400, {400, NONE}}}},
    {"a new instance holds on what the old one held: it may send the same again",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 1, 0, {NONE, NONE}},
      {ASSERTS, "a/1/x", 0, 100, {NONE, NONE}},
      {ASSERTS, "b/1/x", 0, 300, {100, NONE}},
      {OPENS, "a/2/x", 1, 0, {100, NONE}},
      {ASSERTS, "a/2/x", 0, 150, {150, NONE}}}},
    {"one that vanishes leaves after the time-out, the last one never",
     true,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 1, 0, {NONE, NONE}},
      {ASSERTS, "a/1/x", 0, 100, {NONE, NONE}},
      {ASSERTS, "b/1/x", 0, 200, {100, NONE}},
      {WAITS, "", 0, TIMEOUT - 1, {100, NONE}},
      {ASSERTS, "b/1/x", 0, 300, {100, NONE}},
      {WAITS, "", 0, 1, {300, NONE}},
      {WAITS, "", 0, TIMEOUT, {300, NONE}},
      {SENDS, "a/1/x", 0, 5000, {300, NONE}}, /* back, and far behind */
      {ASSERTS, "a/1/x", 0, 5000, {5000, NONE}}}},
    {"those who vanish together leave together",
     true,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 1, 0, {NONE, NONE}},
      {ASSERTS, "a/1/x", 0, 100, {NONE, NONE}},
      {ASSERTS, "b/1/x", 0, 200, {100, NONE}},
      {WAITS, "", 0, TIMEOUT, {100, NONE}}}},
    {"who sends a stream it did not declare holds it too",
     false,
     {{OPENS, "a/1/x", 1, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 2, 0, {NONE, NONE}},
      {ASSERTS, "b/1/x", 1, 500, {NONE, 500}},
      {SENDS, "a/1/x", 1, 100, {NONE, 500}},
      {ASSERTS, "b/1/x", 1, 600, {NONE, 500}}}},
    {"who opens again without a stream leaves it",
     false,
     {{OPENS, "a/1/x", 3, 0, {NONE, NONE}},
      {OPENS, "b/1/x", 1, 0, {NONE, NONE}},
      {ASSERTS, "a/1/x", 0, 100, {NONE, NONE}},
      {ASSERTS, "b/1/x", 0, 200, {100, NONE}},
      {OPENS, "a/1/x", 2, 0, {200, NONE}}}},
};

static void play(struct desk *d, const struct step *step)
{
    struct submission sub = from(step->act == WAITS ? "no/bo/dy" : step->who, SUBMIT_BATCH);
    struct submission_event events[2] = {{.time = step->time, .stream = (uint8_t)step->streams},
                                         {.time = step->time, .stream = (uint8_t)step->streams}};
    sub.stream = (uint8_t)step->streams;
    sub.time = step->time;
    switch (step->act) {
    case OPENS:
        sub.kind = SUBMIT_OPEN;
        sub.streams = step->streams;
        break;
    case SENDS:
        sub.sequence = last_of(d, step->who) + 1;
        sub.events = events;
        sub.event_count = 2;
        break;
    case ASSERTS: sub.kind = SUBMIT_WATERMARK; break;
    case ENDS: sub.kind = SUBMIT_END; break;
    case LEAVES: sub.kind = SUBMIT_LEAVE; break;
    case WAITS: d->now += step->time; return;
    case END_OF_STORY: fail();
    }
    assert_int_equal(take(d, &sub), TM_OK);
}

static void tell(const struct story *story, bool restarts)
{
    struct desk d;
    desk_open(&d);
    for (size_t i = 0; i < ARRAY_LEN(story->steps) && story->steps[i].act != END_OF_STORY; i++) {
        const struct step *step = &story->steps[i];
        play(&d, step);
        sequencer_tick(d.s, d.now);
        seal(&d, NULL);
        if (restarts)
            restart(&d);
        for (uint8_t stream = 0; stream < 2; stream++)
            if (sequencer_watermark(d.s, stream) != step->want[stream])
                fail_msg("%s: step %zu%s: stream %u is at %lld", story->name, i, restarts ? " with restarts" : "",
                         stream, (long long)sequencer_watermark(d.s, stream));
    }
    desk_close(&d);
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
        tell(&stories[i], false);
        if (!stories[i].waits)
            tell(&stories[i], true);
    }
}

/* ---- sequences, positions, rejects ---- */

static struct submission batch(const char *who, uint64_t sequence, const char *rejects)
{
    static const struct submission_event event = {.time = 100, .shard = 3};
    struct submission sub = from(who, SUBMIT_BATCH);
    sub.sequence = sequence;
    sub.events = &event;
    sub.event_count = 1;
    sub.rejects = bytes_text(rejects);
    return sub;
}

static void test_only_the_next_is_taken(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    struct submission stranger = batch("a/1/x", 1, "");
    assert_int_equal(take(&d, &stranger), TM_FAILED_PRECONDITION);
    assert_string_equal(stranger.error.message, "producer a/1/x is not open");
    open_as(&d, "a/1/x", 1);
    struct submission zero = batch("a/1/x", 0, ""), one = batch("a/1/x", 1, ""), again = one,
                      gap = batch("a/1/x", 3, "");
    assert_int_equal(take(&d, &zero), TM_FAILED_PRECONDITION);
    assert_int_equal(take(&d, &one), TM_OK);
    assert_int_equal(take(&d, &again), TM_OK);
    assert_true(again.repeated && !one.repeated);
    assert_int_equal(take(&d, &gap), TM_FAILED_PRECONDITION);
    assert_string_equal(gap.error.message, "sequence 3; expected 2 (last taken 1)");
    one.next = &again;
    again.next = &gap;
    seal(&d, &one);
    assert_int_equal(d.parsed.events, 1); /* once */
    assert_int_equal(one.position, 1);
    assert_int_equal(again.position, 1); /* in the same block: the same place */
    assert_int_equal(gap.position, 0);
    struct submission two = batch("a/1/x", 2, "");
    take(&d, &two);
    seal(&d, &two);
    assert_int_equal(two.position, 3); /* behind a punctuation, too */
    restart(&d);
    struct submission later = batch("a/1/x", 2, "");
    assert_int_equal(take(&d, &later), TM_OK);
    seal(&d, &later);
    assert_true(later.repeated);
    assert_int_equal(later.position, 3);
    assert_int_equal(later.last_sequence, 2);
    assert_int_equal(d.block.size, 0); /* nothing to log */
    struct submission opened = from("a/1/x", SUBMIT_OPEN);
    assert_int_equal(take(&d, &opened), TM_OK);
    seal(&d, &opened);
    assert_int_equal(opened.last_sequence, 2);
    assert_int_equal(opened.position, 3);
    desk_close(&d);
}

static bool kept(struct desk *d, uint64_t sequence, const char *want)
{
    struct submission again = batch("a/1/x", sequence, "");
    assert_int_equal(take(d, &again), TM_OK);
    assert_true(again.repeated);
    bool same = bytes_equal(buffer_view(&again.old_rejects), bytes_text(want));
    assert_true(same || again.old_rejects.size == 0);
    buffer_close(&again.old_rejects);
    return same;
}

static void test_rejects_are_kept_for_the_last_batches(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    open_as(&d, "a/1/x", 1);
    for (uint64_t sequence = 1; sequence <= 100; sequence++) {
        struct submission sub = batch("a/1/x", sequence, sequence % 7 ? "bad" : "");
        assert_int_equal(take(&d, &sub), TM_OK);
        seal(&d, &sub);
        if (sequence == 50)
            restart(&d);
    }
    assert_false(kept(&d, 36, "bad")); /* 65 batches ago */
    assert_true(kept(&d, 37, "bad"));
    assert_true(kept(&d, 100, "bad"));
    assert_true(kept(&d, 98, ""));
    static char much[40000];
    memset(much, 'x', sizeof much - 1);
    for (uint64_t sequence = 101; sequence <= 103; sequence++) { /* bounded in bytes, too */
        struct submission sub = batch("a/1/x", sequence, much);
        take(&d, &sub);
    }
    assert_false(kept(&d, 99, "bad"));
    assert_false(kept(&d, 102, much));
    assert_true(kept(&d, 103, much));
    desk_close(&d);
}

static void test_a_control_record_begins_a_block(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    struct submission first = {.kind = SUBMIT_CONTROL, .control = bytes_text("one")}, second = first;
    struct submission events = batch("a/1/x", 1, "");
    assert_int_equal(take(&d, &first), TM_OK);
    open_as(&d, "a/1/x", 1);
    assert_int_equal(take(&d, &events), TM_OK);
    assert_false(sequencer_take(d.s, &second, d.now));
    first.next = &events;
    seal(&d, &first);
    assert_int_equal(d.parsed.controls, 1);
    assert_int_equal(first.position, 2);
    assert_int_equal(take(&d, &second), TM_OK);
    seal(&d, &second);
    assert_int_equal(second.position, 3);
    desk_close(&d);
}

static void test_the_table_is_bounded(void **state)
{
    (void)state;
    struct desk d;
    char who[48];
    desk_open(&d);
    for (uint32_t i = 0; i < options.producers_max; i++) {
        snprintf(who, sizeof who, "c%u/1/x", i);
        assert_int_equal(open_as(&d, who, 1), TM_OK);
    }
    assert_int_equal(open_as(&d, "new/1/x", 1), TM_RESOURCE_EXHAUSTED);
    assert_int_equal(open_as(&d, "c3/2/x", 1), TM_OK); /* takes the place of c3/1/x */
    struct submission leave = from("c0/1/x", SUBMIT_LEAVE);
    assert_int_equal(take(&d, &leave), TM_OK);
    d.now += 1;
    leave = from("c1/1/x", SUBMIT_LEAVE);
    assert_int_equal(take(&d, &leave), TM_OK);
    assert_int_equal(open_as(&d, "new/1/x", 1), TM_OK); /* in the place of c0, which has been gone for longest */
    assert_int_equal(open_as(&d, "c1/1/x", 1), TM_OK);  /* still known, so it takes nobody's place */
    assert_int_equal(open_as(&d, "newer/1/x", 1), TM_RESOURCE_EXHAUSTED);
    d.now += RETAIN;
    assert_int_equal(open_as(&d, "newer/1/x", 1), TM_OK);
    seal(&d, NULL);
    assert_int_equal(sequencer_producers(d.s), d.n_rows);
    desk_close(&d);
}

static void test_who_holds_a_stream_back(void **state)
{
    (void)state;
    struct desk d;
    struct producer_id who;
    int64_t silent;
    desk_open(&d);
    assert_false(sequencer_holder(d.s, 0, d.now, &who, &silent));
    open_as(&d, "a/1/x", 1);
    d.now += 7;
    open_as(&d, "b/1/x", 1);
    play(&d, &(struct step){ASSERTS, "b/1/x", 0, 100, {0}});
    assert_true(sequencer_holder(d.s, 0, d.now + 3, &who, &silent));
    assert_string_equal(who.client, "a");
    assert_int_equal(silent, 10);
    play(&d, &(struct step){LEAVES, "a/1/x", 0, 0, {0}});
    assert_true(sequencer_holder(d.s, 0, d.now, &who, &silent));
    assert_string_equal(who.client, "b");
    desk_close(&d);
}

static void test_damaged_rows_are_refused(void **state)
{
    (void)state;
    struct desk d;
    struct tm_error err;
    desk_open(&d);
    open_as(&d, "a/1/x", 7);
    struct submission sub = batch("a/1/x", 1, "rejected");
    take(&d, &sub);
    seal(&d, NULL);
    struct bytes key = buffer_view(&d.rows[0].key), row = buffer_view(&d.rows[0].value);
    for (size_t size = 0; size < row.size; size++) {
        struct sequencer *s = sequencer_open(&options);
        uint8_t *cut = malloc(size + 1);
        memcpy(cut, row.data, size);
        assert_int_equal(sequencer_load_producer(s, key, bytes_of(cut, size), 0, &err), TM_DATA_LOSS);
        assert_int_equal(sequencer_producers(s), 0);
        free(cut);
        sequencer_close(s);
    }
    struct sequencer_options fewer = options;
    fewer.streams = 2;
    struct sequencer *s = sequencer_open(&fewer);
    assert_int_equal(sequencer_load_producer(s, key, row, 0, &err), TM_FAILED_PRECONDITION);
    assert_string_equal(err.message, "producer a/1/x: it sends streams 0x7; 2 streams are configured");
    assert_int_equal(sequencer_load_producer(s, bytes_text("a/1/x"), row, 0, &err), TM_DATA_LOSS);
    sequencer_close(s);
    desk_close(&d);
}

/* ---- against a naive model: it looks at everything after every call ---- */

struct person {
    bool known, live;
    uint32_t declared;
    uint64_t sequence;
    int64_t seen, newest, value[STREAMS];
    bool asserted[STREAMS];
    int64_t times[STREAMS][4096];
    int n[STREAMS];
};

enum { CLIENTS = 5, INSTANCES = 2, LANES = 2, PEOPLE = CLIENTS * INSTANCES * LANES };

struct model {
    struct person people[PEOPLE]; /* by client, instance, lane */
    int64_t watermark[STREAMS];
};

static void model_settle(struct model *m)
{
    for (int stream = 0; stream < STREAMS; stream++) {
        int64_t least = INT64_MAX;
        for (int i = 0; i < PEOPLE; i++)
            if (m->people[i].live && m->people[i].declared >> stream & 1 && m->people[i].value[stream] < least)
                least = m->people[i].value[stream];
        if (least != INT64_MAX && least > m->watermark[stream])
            m->watermark[stream] = least;
    }
}

static void model_gone(struct person *p)
{
    p->live = false;
    memset(p->n, 0, sizeof p->n);
}

static void model_expire(struct model *m, int64_t now)
{
    for (int i = 0; i < PEOPLE; i++) {
        struct person *p = &m->people[i];
        if (p->live && now - p->seen >= TIMEOUT)
            model_gone(p);
        if (p->known && !p->live && now - p->seen >= RETAIN)
            p->known = false;
    }
}

static int model_known(const struct model *m)
{
    int known = 0;
    for (int i = 0; i < PEOPLE; i++)
        known += m->people[i].known;
    return known;
}

static bool model_forget(struct model *m)
{
    struct person *oldest = NULL;
    for (int i = 0; i < PEOPLE; i++) {
        struct person *p = &m->people[i];
        if (p->known && !p->live && (!oldest || p->seen < oldest->seen))
            oldest = p;
    }
    if (oldest)
        oldest->known = false;
    return oldest != NULL;
}

static bool model_open(struct model *m, int who, uint32_t streams, int64_t now)
{
    struct person *p = &m->people[who];
    int client = who / (INSTANCES * LANES), instance = who / LANES;
    if (p->known && streams == 0)
        streams = p->declared;
    if (!p->known) {
        if (model_known(m) >= (int)options.producers_max)
            model_expire(m, now);
        for (int i = 0; i < PEOPLE; i++)
            if (i / (INSTANCES * LANES) == client && i / LANES != instance)
                m->people[i].known = m->people[i].live = false;
        if (model_known(m) >= (int)options.producers_max && !model_forget(m))
            return false;
        *p = (struct person){.known = true, .newest = NONE, .value = {NONE, NONE, NONE}};
    }
    for (int stream = 0; stream < STREAMS; stream++)
        if (!(streams >> stream & 1)) {
            p->value[stream] = NONE;
            p->asserted[stream] = false;
            p->n[stream] = 0;
        }
    p->live = true;
    p->declared = streams;
    p->seen = now;
    return true;
}

static int rising(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void model_measure(struct person *p, int stream)
{
    int64_t sorted[WATERMARK_RECENT];
    int n = p->n[stream] < WATERMARK_RECENT ? p->n[stream] : WATERMARK_RECENT, dropped = n / 100 > 1 ? n / 100 : 1;
    if (p->asserted[stream] || n <= dropped)
        return;
    memcpy(sorted, p->times[stream] + p->n[stream] - n, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, rising);
    int64_t value = sorted[n - 1 - dropped] - options.out_of_orderness_ms[stream];
    if (value > p->value[stream])
        p->value[stream] = value;
}

static void model_assert(struct person *p, int stream, int64_t time)
{
    p->asserted[stream] = true;
    if (time > p->value[stream])
        p->value[stream] = time;
}

static int64_t model_end(struct model *m, int who, int64_t now)
{
    int64_t newest = NONE;
    uint32_t streams = 0;
    struct person *lane = &m->people[who / LANES * LANES];
    m->people[who].seen = now;
    for (int i = 0; i < LANES; i++)
        if (lane[i].known && lane[i].newest > newest)
            newest = lane[i].newest;
    for (int i = 0; i < LANES; i++) {
        if (!lane[i].known)
            continue;
        for (int stream = 0; stream < STREAMS && newest != NONE; stream++)
            if (lane[i].declared >> stream & 1)
                model_assert(&lane[i], stream, newest + WINDOW + 1);
        model_gone(&lane[i]);
        streams |= lane[i].declared;
    }
    for (int stream = 0; stream < STREAMS; stream++) {
        bool held = false;
        for (int i = 0; i < PEOPLE; i++)
            held = held || (m->people[i].live && m->people[i].declared >> stream & 1);
        for (int i = 0; i < PEOPLE && !held && streams >> stream & 1; i++)
            if (m->people[i].known && m->people[i].value[stream] > m->watermark[stream])
                m->watermark[stream] = m->people[i].value[stream];
    }
    return newest == NONE ? NONE : newest + WINDOW + 1;
}

static int dice(int n) { return (int)(lrand48() % n); }

static void random_batch(struct desk *d, struct person *p, struct submission *sub, uint32_t *logged)
{
    struct submission_event events[BATCH_MAX];
    bool fresh = dice(5) > 0;
    sub->sequence = fresh ? p->sequence + 1 : (uint64_t)dice((int)p->sequence + 4);
    sub->events = events;
    sub->event_count = (uint32_t)dice(BATCH_MAX);
    for (uint32_t i = 0; i < sub->event_count; i++) {
        int stream = dice(20) ? __builtin_ctz(p->declared | 4) : dice(STREAMS); /* seldom one that was not declared */
        events[i] = (struct submission_event){
            .time = d->now + dice(200) - 100, .shard = (uint32_t)dice(8), .stream = (uint8_t)stream};
    }
    enum tm_code code = take(d, sub);
    if (!p->known) {
        assert_int_equal(code, TM_FAILED_PRECONDITION);
        return;
    }
    bool good = sub->sequence >= 1 && sub->sequence <= p->sequence + 1;
    assert_int_equal(code, good ? TM_OK : TM_FAILED_PRECONDITION);
    assert_int_equal(sub->repeated, good && sub->sequence <= p->sequence);
    if (!good)
        return;
    p->live = true;
    p->seen = d->now;
    if (sub->sequence <= p->sequence)
        return;
    p->sequence = sub->sequence;
    *logged += sub->event_count;
    for (uint32_t i = 0; i < sub->event_count; i++) {
        int stream = events[i].stream;
        p->declared |= 1u << stream;
        p->newest = events[i].time > p->newest ? events[i].time : p->newest;
        if (!p->asserted[stream])
            p->times[stream][p->n[stream]++] = events[i].time;
        assert_in_range(p->n[stream], 0, (int)ARRAY_LEN(p->times[stream]) - 1);
    }
    for (int stream = 0; stream < STREAMS; stream++)
        model_measure(p, stream);
}

static void random_step(struct desk *d, struct model *m, uint32_t *logged)
{
    int who = dice(PEOPLE), what = dice(40);
    struct person *p = &m->people[who];
    char name[48];
    snprintf(name, sizeof name, "c%d/%d/%d", who / (INSTANCES * LANES), who / LANES % INSTANCES, who % LANES);
    struct submission sub = from(name, SUBMIT_BATCH);
    if (what < 3 && (p->known || dice(3) == 0)) {
        sub.kind = SUBMIT_OPEN;
        sub.streams = (uint32_t)dice(8);
        bool taken = model_open(m, who, sub.streams, d->now);
        assert_int_equal(take(d, &sub), taken ? TM_OK : TM_RESOURCE_EXHAUSTED);
        assert_true(!taken || sub.last_sequence == p->sequence);
    } else if (what < 30) {
        random_batch(d, p, &sub, logged);
    } else {
        int stream = dice(STREAMS);
        sub.kind = what < 34 ? SUBMIT_WATERMARK : what < 37 ? SUBMIT_LEAVE : SUBMIT_END;
        sub.stream = (uint8_t)stream;
        sub.time = d->now + dice(100) - 150;
        assert_int_equal(take(d, &sub), p->known ? TM_OK : TM_FAILED_PRECONDITION);
        if (p->known && sub.kind == SUBMIT_END) {
            assert_int_equal(sub.watermark, model_end(m, who, d->now));
        } else if (p->known) {
            p->seen = d->now;
            p->live = true;
            if (sub.kind == SUBMIT_LEAVE) {
                model_gone(p);
            } else {
                p->declared |= 1u << stream;
                model_assert(p, stream, sub.time);
            }
        }
    }
    model_settle(m);
}

static void check_seal(struct desk *d, struct model *m, uint32_t logged)
{
    int64_t before[STREAMS];
    uint32_t moved = 0;
    for (uint8_t stream = 0; stream < STREAMS; stream++)
        before[stream] = sequencer_watermark(d->s, stream);
    seal(d, NULL);
    for (uint8_t stream = 0; stream < STREAMS; stream++) {
        assert_int_equal(sequencer_watermark(d->s, stream), m->watermark[stream]);
        moved += m->watermark[stream] != before[stream];
    }
    assert_int_equal(d->parsed.events, logged);
    assert_int_equal(d->parsed.punctuations, moved);
}

static void random_life(long seed)
{
    struct desk d;
    struct model *m = calloc(1, sizeof *m);
    uint32_t logged = 0;
    srand48(seed);
    desk_open(&d);
    for (int stream = 0; stream < STREAMS; stream++)
        m->watermark[stream] = NONE;
    for (int step = 0; step < 3000; step++) {
        random_step(&d, m, &logged);
        d.now += dice(60);
        if (dice(100) == 0)
            d.now += dice(2) ? TIMEOUT : RETAIN;
        if (dice(10) == 0) {
            sequencer_tick(d.s, d.now);
            model_expire(m, d.now);
            model_settle(m);
        }
        if (dice(6))
            continue;
        check_seal(&d, m, logged);
        logged = 0;
        if (dice(30))
            continue;
        restart(&d);
        for (int i = 0; i < PEOPLE; i++) {
            memset(m->people[i].n, 0, sizeof m->people[i].n);
            m->people[i].seen = m->people[i].live ? d.now : m->people[i].seen;
        }
    }
    desk_close(&d);
    free(m);
}

static void test_random_lives_against_a_naive_model(void **state)
{
    (void)state;
    for (long seed = 1; seed <= 20; seed++)
        random_life(seed);
}

/* Same calls, same bytes. */
static void test_determinism(void **state)
{
    (void)state;
    struct buffer trace[2] = {{0}, {0}};
    for (int run = 0; run < 2; run++) {
        struct desk d;
        desk_open(&d);
        for (int i = 0; i < 40; i++) {
            char who[48];
            snprintf(who, sizeof who, "c%d/%d/x", i % 4, i / 16);
            open_as(&d, who, 3);
            play(&d, &(struct step){SENDS, who, (uint32_t)(i % 2), 100 + i, {0}});
            if (i % 3)
                continue;
            seal(&d, NULL);
            buffer_put(&trace[run], d.block.data, d.block.size);
            for (size_t n = 0; n < d.n_rows; n++)
                buffer_put(&trace[run], d.rows[n].value.data, d.rows[n].value.size);
        }
        desk_close(&d);
    }
    assert_true(trace[0].size > 1000 && bytes_equal(buffer_view(&trace[0]), buffer_view(&trace[1])));
    buffer_close(&trace[0]);
    buffer_close(&trace[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_only_the_next_is_taken),
        cmocka_unit_test(test_rejects_are_kept_for_the_last_batches),
        cmocka_unit_test(test_a_control_record_begins_a_block),
        cmocka_unit_test(test_the_table_is_bounded),
        cmocka_unit_test(test_who_holds_a_stream_back),
        cmocka_unit_test(test_damaged_rows_are_refused),
        cmocka_unit_test(test_random_lives_against_a_naive_model),
        cmocka_unit_test(test_determinism),
    };
    return cmocka_run_group_tests_name("sequencer", tests, NULL, NULL);
}
