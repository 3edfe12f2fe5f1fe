#include "bench/traffic.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/wire.h"

/* Fields of events.proto. */
enum { REQUEST_OPEN = 1, REQUEST_BATCH, REQUEST_WATERMARK };
enum { OPEN_CLIENT = 1, OPEN_INSTANCE, OPEN_LANE };
enum { BATCH_SEQUENCE = 1, BATCH_EVENTS };
enum { WATERMARK_STREAM = 1, WATERMARK_TIME };
enum { REPLY_ACK = 2, ACK_REJECTED = 5 };

enum { WATERMARK_EVERY = 8 };

/* ---- messages ---- */

static void put_nested(struct buffer *out, uint32_t field, struct buffer *content)
{
    wire_put_bytes(out, field, buffer_view(content));
    buffer_close(content);
}

void traffic_put_open(struct buffer *out, const char *client, uint32_t instance, const char *lane)
{
    struct buffer open = {0};
    char number[16];
    snprintf(number, sizeof number, "%u", instance);
    wire_put_bytes(&open, OPEN_CLIENT, bytes_text(client));
    wire_put_bytes(&open, OPEN_INSTANCE, bytes_text(number));
    wire_put_bytes(&open, OPEN_LANE, bytes_text(lane));
    put_nested(out, REQUEST_OPEN, &open);
}

void traffic_put_watermark(struct buffer *out, const char *stream, int64_t time)
{
    struct buffer mark = {0};
    wire_put_bytes(&mark, WATERMARK_STREAM, bytes_text(stream));
    wire_put_integer(&mark, WATERMARK_TIME, (uint64_t)time);
    put_nested(out, REQUEST_WATERMARK, &mark);
}

void traffic_begin_batch(struct buffer *batch, uint64_t sequence) { wire_put_integer(batch, BATCH_SEQUENCE, sequence); }

void traffic_add_event(struct buffer *batch, struct bytes event) { wire_put_bytes(batch, BATCH_EVENTS, event); }

void traffic_put_batch(struct buffer *out, struct buffer *batch) { put_nested(out, REQUEST_BATCH, batch); }

bool traffic_is_ack(struct bytes reply)
{
    struct reader r = reader_of(reply);
    struct wire_field f;
    CHECK(wire_next(&r, &f));
    if (f.number != REPLY_ACK)
        return false;
    r = reader_of(f.bytes);
    while (wire_next(&r, &f))
        CHECK(f.number != ACK_REJECTED);
    return true;
}

/* ---- lanes ---- */

static void heard(void *context, struct bytes reply)
{
    struct traffic_lane *l = context;
    l->acked += traffic_is_ack(reply);
}

static void lane_open(struct traffic_lane *l, struct traffic *t, uint32_t number)
{
    struct buffer open = {0};
    char name[16];
    snprintf(name, sizeof name, "lane-%u", number);
    *l = (struct traffic_lane){.traffic = t};
    l->stream = caller_stream_open(t->caller, "/tidemill.v1.Events/Ingest", heard, l);
    traffic_put_open(&open, "bench", t->instances, name);
    caller_stream_send(l->stream, &open);
}

void traffic_open(struct traffic *t, struct caller *c, uint32_t lanes)
{
    CHECK(lanes >= 1 && lanes <= TRAFFIC_LANES_MAX && t->lanes == 0);
    t->caller = c;
    t->instances++;
    for (; t->lanes < lanes; t->lanes++)
        lane_open(&t->lane[t->lanes], t, t->lanes);
}

void traffic_close(struct traffic *t)
{
    while (t->lanes > 0)
        caller_stream_close(t->lane[--t->lanes].stream);
}

/* ---- sending ---- */

static void send_watermarks(struct traffic_lane *l)
{
    for (int i = 0; i < MADE_KINDS; i++) {
        struct buffer mark = {0};
        traffic_put_watermark(&mark, encode_streams[i], l->traffic->time);
        caller_stream_send(l->stream, &mark);
    }
}

/* Each event by itself. */
static void put_events(struct traffic *t, struct buffer *batch)
{
    static uint8_t room[ENCODE_EVENT_MAX];
    struct buffer event = {room, 0, sizeof room};
    struct made m;
    for (int i = 0; i < TRAFFIC_BATCH; i++) {
        event.size = 0;
        events_next(&t->events, &m);
        encode_event(&m, ENCODE_TEXT, &event);
        traffic_add_event(batch, buffer_view(&event));
    }
    t->time = m.time;
}

/* A request shows a document once: here those that follow its first one. */
static void put_record(struct traffic *t, struct buffer *batch)
{
    CLEANUP(buffer_close) struct buffer record = {0};
    struct made m[TRAFFIC_BATCH];
    for (int i = 0; i < TRAFFIC_BATCH; i++) {
        events_next(&t->events, &m[i]);
        m[i].doc = (m[0].doc + (uint32_t)i) % EVENTS_DOCS;
    }
    encode_record(m, TRAFFIC_BATCH, &record);
    traffic_add_event(batch, buffer_view(&record));
    t->time = m[0].time;
}

static void send_batch(struct traffic *t, struct traffic_lane *l)
{
    struct buffer batch = {0}, message = {0};
    buffer_reserve(&batch, TRAFFIC_BATCH * ENCODE_EVENT_MAX / 2);
    traffic_begin_batch(&batch, ++l->sent);
    if (t->records)
        put_record(t, &batch);
    else
        put_events(t, &batch);
    traffic_put_batch(&message, &batch);
    t->sent += TRAFFIC_BATCH;
    t->bytes += message.size;
    caller_stream_send(l->stream, &message);
    if (l->sent % WATERMARK_EVERY == 0)
        send_watermarks(l);
}

/* The next lane with room; NULL: all are full. */
static struct traffic_lane *free_lane(struct traffic *t)
{
    for (uint32_t i = 0; i < t->lanes; i++) {
        struct traffic_lane *l = &t->lane[t->next++ % t->lanes];
        if (l->sent - l->acked < TRAFFIC_UNACKED)
            return l;
    }
    return NULL;
}

static bool all_acked(const struct traffic *t)
{
    for (uint32_t i = 0; i < t->lanes; i++)
        if (t->lane[i].acked < t->lane[i].sent)
            return false;
    return true;
}

/* Behind the last batch: wait for all acks, and say how far time has come. */
static void finish(struct traffic *t)
{
    for (uint32_t i = 0; i < t->lanes; i++)
        send_watermarks(&t->lane[i]);
    while (!all_acked(t))
        caller_wait(t->caller);
}

/* Send a batch if a lane has room for it, and hear what has come in the meantime. */
static bool send_if_room(struct traffic *t)
{
    struct traffic_lane *l = free_lane(t);
    if (l)
        send_batch(t, l);
    while (caller_turn(t->caller, 0))
        continue;
    return l != NULL;
}

void traffic_send(struct traffic *t, uint64_t events)
{
    for (uint64_t sent = 0; sent < events;)
        if (send_if_room(t))
            sent += TRAFFIC_BATCH;
        else
            caller_wait(t->caller);
    finish(t);
}

void traffic_send_until(struct traffic *t, double rate, atomic_bool *over)
{
    int64_t began = clock_monotonic_ns();
    for (double sent = 0; !atomic_load(over);) {
        bool due = sent < (double)(clock_monotonic_ns() - began) / 1e9 * rate;
        if (due && send_if_room(t))
            sent += TRAFFIC_BATCH;
        else
            caller_turn(t->caller, 1);
    }
    finish(t);
}

void traffic_drain(struct traffic *t) { caller_ask(t->caller, "/tidemill.v1.Admin/Drain", (struct bytes){0}, NULL); }

void traffic_learn(int port, uint32_t docs)
{
    enum { LIVE = 100000 };
    struct traffic *t = mem_new(1, sizeof *t);
    struct caller *c = caller_open(port, 1);
    events_open(&t->events, LIVE, 0.06, false);
    t->events.docs = docs;
    t->events.one_version = true;
    traffic_open(t, c, 1);
    traffic_send(t, (uint64_t)(docs * 1.07 + LIVE * 1.5));
    traffic_drain(t);
    traffic_close(t);
    events_close(&t->events);
    caller_close(c);
    free(t);
}
