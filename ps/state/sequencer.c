#include "ps/state/sequencer.h"

#include <inttypes.h>
#include <stdlib.h>

#include "proto/event.h"
#include "ps/state/server_lane.h"
#include "ps/state/user_rates.h"

#define POSITION_AT_SEAL UINT64_MAX /* in a submission: known when the block is sealed */

enum { PENDING_BYTES_MAX = 1 << 30 }; /* far above what the log writer seals at; keeps the block's u32 sizes right */

struct sequencer {
    struct roster roster;
    struct server_lane server;
    struct block_builder builder;
    struct user_rates *users; /* NULL: without limit */
    struct buffer stamped;    /* an event with its time */
    uint64_t position;        /* of the block under construction */
};

struct sequencer *sequencer_open(const struct sequencer_options *options)
{
    struct sequencer *s = mem_new(1, sizeof *s);
    roster_open(&s->roster, options);
    server_lane_open(&s->server);
    s->users = options->user_events ? user_rates_open(options->user_events, options->user_window_ms) : NULL;
    return s;
}

void sequencer_close(struct sequencer *s)
{
    if (!s)
        return;
    roster_close(&s->roster);
    user_rates_close(s->users);
    block_builder_close(&s->builder);
    buffer_close(&s->stamped);
    free(s);
}

void sequencer_configure(struct sequencer *s, const struct sequencer_options *options)
{
    struct sequencer_options *ours = &s->roster.options;
    memcpy(ours->out_of_orderness_ms, options->out_of_orderness_ms, sizeof ours->out_of_orderness_ms);
    ours->window_ms = options->window_ms;
}

void sequencer_load_position(struct sequencer *s, uint64_t next_position) { s->position = next_position; }

void sequencer_load_watermark(struct sequencer *s, uint8_t stream, int64_t time)
{
    CHECK(stream < s->roster.options.streams);
    s->roster.streams[stream].value = s->roster.streams[stream].sealed = time;
}

enum tm_code sequencer_load_producer(struct sequencer *s, struct bytes key, struct bytes row, int64_t now_ms,
                                     struct tm_error *err)
{
    return roster_load(&s->roster, key, row, now_ms, err);
}

uint64_t sequencer_position(const struct sequencer *s) { return s->position; }
size_t sequencer_pending_bytes(const struct sequencer *s) { return block_builder_size(&s->builder); }
uint32_t sequencer_producers(const struct sequencer *s) { return s->roster.producers.count; }

/* ---- submissions ---- */

static void refuse(struct submission *sub, enum tm_code code)
{
    sub->code = code;
    sub->position = 0; /* whatever it asked for lies nowhere */
}

static void refuse_full(const struct sequencer *s, struct submission *sub)
{
    refuse(sub, tm_error_set(&sub->error, TM_RESOURCE_EXHAUSTED, "%u producers are known; wait until one is forgotten",
                             s->roster.producers.count));
}

static void take_open(struct sequencer *s, struct submission *sub, const struct producer_key *key, int64_t now_ms)
{
    struct producer *p = producers_find(&s->roster.producers, key);
    if (p)
        roster_join(&s->roster, p, sub->streams ? sub->streams : p->declared, now_ms);
    else
        p = roster_add(&s->roster, key, sub->streams, now_ms);
    if (!p) {
        refuse_full(s, sub);
        return;
    }
    sub->last_sequence = p->sequence;
}

static void repeat_batch(struct producer *p, struct submission *sub)
{
    sub->repeated = true;
    sub->position = p->pending ? POSITION_AT_SEAL : p->position;
    producer_old_rejects(p, sub->sequence, &sub->old_rejects);
}

/* The stream as the block has it. before: that of the event before it. */
static uint8_t marked_stream(struct sequencer *s, const struct submission_event *e, int64_t time, uint8_t before)
{
    bool robot = s->users && e->user &&
                 (e->same_record ? (before & BLOCK_ROBOT) != 0 : user_rates_take(s->users, e->user, time));
    return robot ? e->stream | BLOCK_ROBOT : e->stream;
}

/* Returns the bit set of the streams seen. */
static uint32_t append_events(struct sequencer *s, struct producer *p, const struct submission *sub)
{
    uint32_t streams = 0, base = block_add_shared(&s->builder, sub->shared);
    uint8_t stream = 0;
    for (uint32_t i = 0; i < sub->event_count; i++) {
        const struct submission_event *e = &sub->events[i];
        stream = marked_stream(s, e, e->time, stream);
        if (e->shared)
            block_add_item(&s->builder, e->shard, stream, e->version, e->wire, base + e->shared, e->sharers);
        else
            block_add_event(&s->builder, e->shard, stream, e->version, e->wire);
        roster_see(&s->roster, p, e->stream, e->time);
        streams |= 1u << e->stream;
    }
    return streams;
}

static void take_batch(struct sequencer *s, struct submission *sub, struct producer *p, int64_t now_ms)
{
    bool new = sub->sequence == p->sequence + 1;
    sub->last_sequence = p->sequence;
    if (!new && (sub->sequence == 0 || sub->sequence > p->sequence)) {
        refuse(sub, tm_error_set(&sub->error, TM_FAILED_PRECONDITION,
                                 "sequence %" PRIu64 "; expected %" PRIu64 " (last taken %" PRIu64 ")", sub->sequence,
                                 p->sequence + 1, p->sequence));
        return;
    }
    uint32_t streams = new ? append_events(s, p, sub) : 0;
    roster_join(&s->roster, p, p->declared | streams, now_ms);
    if (!new) {
        repeat_batch(p, sub);
        return;
    }
    roster_measure(&s->roster, p, streams);
    producer_keep_rejects(p, sub->sequence, sub->rejects);
    p->sequence = sub->last_sequence = sub->sequence;
    p->pending = true;
}

static void take_watermark(struct sequencer *s, const struct submission *sub, struct producer *p, int64_t now_ms)
{
    CHECK(sub->stream < s->roster.options.streams);
    roster_join(&s->roster, p, p->declared | 1u << sub->stream, now_ms);
    roster_assert(&s->roster, p, sub->stream, sub->time);
}

static void take_stamped(struct sequencer *s, struct submission *sub, int64_t now_ms)
{
    uint32_t streams = 0;
    for (uint32_t i = 0; i < sub->event_count; i++)
        streams |= 1u << sub->events[i].stream;
    if (sub->event_count > 0 && !server_lane_send(&s->server, &s->roster, streams, now_ms)) {
        refuse_full(s, sub);
        return;
    }
    uint8_t stream = 0;
    for (uint32_t i = 0; i < sub->event_count; i++) {
        const struct submission_event *e = &sub->events[i];
        s->stamped.size = 0;
        event_put_time(s->server.clock_ms, &s->stamped);
        buffer_put(&s->stamped, e->wire.data, e->wire.size);
        stream = marked_stream(s, e, s->server.clock_ms, stream);
        block_add_event(&s->builder, e->shard, stream, e->version, buffer_view(&s->stamped));
    }
}

static void take_from_producer(struct sequencer *s, struct submission *sub, int64_t now_ms)
{
    struct producer_key key = producer_key_of(&sub->producer);
    struct producer *p = producers_find(&s->roster.producers, &key);
    if (!p) {
        refuse(sub, tm_error_set(&sub->error, TM_FAILED_PRECONDITION, "producer %s/%s/%s is not open",
                                 sub->producer.client, sub->producer.instance, sub->producer.lane));
        return;
    }
    switch (sub->kind) {
    case SUBMIT_BATCH: take_batch(s, sub, p, now_ms); break;
    case SUBMIT_WATERMARK: take_watermark(s, sub, p, now_ms); break;
    case SUBMIT_END: sub->watermark = roster_end(&s->roster, p, now_ms); break;
    case SUBMIT_LEAVE: roster_leave(&s->roster, p, now_ms); break;
    case SUBMIT_OPEN:
    case SUBMIT_STAMPED:
    case SUBMIT_CONTROL: CHECK(false);
    }
}

/* Can the block under construction hold it? */
static bool fits(const struct sequencer *s, const struct submission *sub)
{
    if (sub->kind == SUBMIT_CONTROL)
        return s->builder.n_events == 0;
    if ((sub->kind != SUBMIT_BATCH && sub->kind != SUBMIT_STAMPED) || block_builder_empty(&s->builder))
        return true;
    return sub->event_count <= BLOCK_EVENTS_MAX - s->builder.n_events && sequencer_pending_bytes(s) < PENDING_BYTES_MAX;
}

void sequencer_tell_time(struct sequencer *s, int64_t wall_ms) { server_lane_tell(&s->server, &s->roster, wall_ms); }

bool sequencer_take(struct sequencer *s, struct submission *sub, int64_t now_ms)
{
    if (!fits(s, sub))
        return false;
    sub->code = TM_OK;
    sub->position = POSITION_AT_SEAL;
    sub->repeated = false;
    sub->watermark = WATERMARK_NONE;
    if (sub->kind == SUBMIT_CONTROL) {
        block_add_control(&s->builder, sub->control);
    } else if (sub->kind == SUBMIT_STAMPED) {
        take_stamped(s, sub, now_ms);
    } else if (sub->kind == SUBMIT_OPEN) {
        struct producer_key key = producer_key_of(&sub->producer);
        take_open(s, sub, &key, now_ms);
    } else {
        take_from_producer(s, sub, now_ms);
    }
    return true;
}

/* ---- sealing ---- */

bool sequencer_tick(struct sequencer *s, int64_t now_ms)
{
    struct roster *r = &s->roster;
    server_lane_advance(&s->server, r, true);
    roster_expire(r, now_ms);
    roster_settle(r);
    bool waits = !block_builder_empty(&s->builder) || r->n_changed > 0 || r->removed.size > 0;
    for (uint32_t stream = 0; stream < r->options.streams; stream++)
        waits = waits || r->streams[stream].value > r->streams[stream].sealed;
    return waits;
}

static void add_punctuations(struct sequencer *s)
{
    if (!block_builder_empty(&s->builder))
        server_lane_advance(&s->server, &s->roster, false);
    roster_settle(&s->roster);
    for (uint32_t stream = 0; stream < s->roster.options.streams; stream++) {
        struct stream_progress *progress = &s->roster.streams[stream];
        if (progress->value == progress->sealed)
            continue;
        block_add_punctuation(&s->builder, (uint8_t)stream, progress->value);
        progress->sealed = progress->value;
    }
}

uint64_t sequencer_seal(struct sequencer *s, struct submission *taken, struct buffer *block)
{
    uint64_t first = s->position;
    CHECK(block->size == 0);
    add_punctuations(s);
    if (!block_builder_empty(&s->builder))
        s->position = block_seal(&s->builder, first, block);
    for (uint32_t i = 0; i < s->roster.n_changed; i++) {
        struct producer *p = s->roster.changed[i];
        if (p->pending)
            p->position = s->position;
        p->pending = false;
    }
    for (struct submission *sub = taken; sub; sub = sub->next)
        if (sub->position == POSITION_AT_SEAL)
            sub->position = s->position;
    return first;
}

void sequencer_changed_rows(struct sequencer *s, sequencer_row *put, void *context)
{
    struct roster *r = &s->roster;
    struct buffer row = {0};
    struct reader removed = reader_of(buffer_view(&r->removed));
    while (reader_left(&removed) > 0) /* before the puts: a key may be gone and back again */
        put(context, reader_bytes(&removed), (struct bytes){0});
    for (uint32_t i = 0; i < r->n_changed; i++) {
        struct producer *p = r->changed[i];
        CHECK(!p->pending); /* rows go with the block that was sealed */
        row.size = 0;
        producer_encode(&r->producers, p, &row);
        put(context, bytes_of(p->key.data, p->key.size), buffer_view(&row));
        p->changed = false;
    }
    r->n_changed = 0;
    r->removed.size = 0;
    buffer_close(&row);
}

/* ---- status ---- */

int64_t sequencer_watermark(const struct sequencer *s, uint8_t stream)
{
    CHECK(stream < s->roster.options.streams);
    return s->roster.streams[stream].sealed;
}

bool sequencer_holder(const struct sequencer *s, uint8_t stream, int64_t now_ms, struct producer_id *who,
                      int64_t *silent_ms)
{
    uint32_t slot;
    CHECK(stream < s->roster.options.streams);
    if (roster_minimum(&s->roster, stream, &slot) == ROSTER_NOBODY)
        return false;
    const struct producer *p = s->roster.producers.list[slot];
    *who = producer_id_of(&p->key);
    *silent_ms = now_ms > p->seen_ms ? now_ms - p->seen_ms : 0;
    return true;
}
