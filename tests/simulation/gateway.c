#include "tests/simulation/encoders.h"
#include "tests/simulation/gateway.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "ps/state/lookup.h"
#include "proto/event.h"
#include "proto/items.h"
#include "ps/state/parameter_prior.h"
#include "ps/state/parameter_reset.h"

static void free_call(struct call *c)
{
    free(c->events);
    buffer_close(&c->wires);
    buffer_close(&c->shared);
    buffer_close(&c->control);
    buffer_close(&c->sub.old_rejects);
    free(c);
}

static void free_write(struct write *w)
{
    buffer_close(&w->block);
    memory_table_close(&w->puts);
    memory_table_close(&w->removes);
    for (uint32_t i = 0; i < w->calls; i++)
        free_call(w->call[i]);
    free(w->call);
}

/* ---- the log writer ---- */

static void note_row(void *context, struct bytes key, struct bytes value)
{
    struct write *w = context;
    memory_table_remove(value.data ? &w->removes : &w->puts, key);
    memory_table_put(value.data ? &w->puts : &w->removes, key, value);
}

/* For so long that it is forgotten. */
static bool server_is_silent(const struct gateway *g)
{
    return g->now_ms - g->stamps.sent_ms >= g->world->sequencing.producer_retain_ms;
}

/* What the clock says at the server. */
static void tell_time(struct gateway *g, int64_t wall)
{
    stamps_tell(&g->stamps, wall);
    sequencer_tell_time(g->sequencer, wall);
}

static void seal(struct gateway *g)
{
    sequencer_tick(g->sequencer, g->now_ms);
    for (uint32_t i = 0; i + 1 < g->n_taken; i++)
        g->taken[i]->sub.next = &g->taken[i + 1]->sub;
    g->write = mem_grow(g->write, g->writes + 1, sizeof *g->write);
    struct write *w = &g->write[g->writes++];
    *w = (struct write){.call = g->taken, .calls = g->n_taken};
    sequencer_seal(g->sequencer, g->n_taken ? &g->taken[0]->sub : NULL, &w->block);
    sequencer_changed_rows(g->sequencer, note_row, w);
    g->taken = NULL;
    g->n_taken = 0;
    if (server_is_silent(g))
        stamps_gone(&g->stamps);
    else
        stamps_sealed(&g->stamps, g->sequencer);
}

static void acknowledge(struct gateway *g, const struct call *c)
{
    const struct submission *sub = &c->sub;
    if (sub->code == TM_OK && c->lane != NOBODY)
        g->lane[c->lane].heard_ms = c->taken_ms;
    if (sub->code != TM_OK || c->batch == NOBODY)
        return;
    struct batch *b = &g->batch[c->batch];
    if (sub->position == 0 || sub->position > history_end(g->history))
        mismatch("an ack of batch %u names position %" PRIu64 "; the log ends at %" PRIu64, c->batch, sub->position,
                 history_end(g->history));
    if (b->acked && sub->position < b->position)
        mismatch("batch %u was acknowledged at %" PRIu64 ", now at %" PRIu64, c->batch, b->position, sub->position);
    b->acked = true;
    b->position = sub->position;
}

static void make_durable(struct gateway *g, struct write *w)
{
    for (size_t i = 0; i < w->removes.rows; i++)
        memory_table_remove(&g->rows, buffer_view(&w->removes.row[i].key));
    for (size_t i = 0; i < w->puts.rows; i++)
        memory_table_put(&g->rows, buffer_view(&w->puts.row[i].key), buffer_view(&w->puts.row[i].value));
    if (w->block.size)
        history_add(g->history, &w->block);
}

static void sync_log(struct gateway *g)
{
    for (uint32_t i = 0; i < g->writes; i++)
        make_durable(g, &g->write[i]);
    for (uint32_t i = 0; i < g->writes; i++) {
        for (uint32_t k = 0; k < g->write[i].calls; k++)
            acknowledge(g, g->write[i].call[k]);
        free_write(&g->write[i]);
    }
    g->writes = 0;
}

static void take(struct gateway *g, struct call *c)
{
    if (!sequencer_take(g->sequencer, &c->sub, g->now_ms)) {
        seal(g);
        if (!sequencer_take(g->sequencer, &c->sub, g->now_ms))
            mismatch("an empty block cannot hold a submission");
    }
    c->taken_ms = g->now_ms;
    g->taken = mem_grow(g->taken, g->n_taken + 1, sizeof(struct call *));
    g->taken[g->n_taken++] = c;
}

/* ---- lanes ---- */

static struct call *new_call(const struct gateway *g, enum submission_kind kind, uint32_t lane)
{
    struct call *c = mem_new(1, sizeof *c);
    c->batch = NOBODY;
    c->lane = lane;
    c->sub.kind = kind;
    if (lane == NOBODY)
        return c;
    snprintf(c->sub.producer.client, sizeof c->sub.producer.client, "client%u", g->world->lane[lane].client);
    snprintf(c->sub.producer.instance, sizeof c->sub.producer.instance, "i%u", g->lane[lane].instance);
    snprintf(c->sub.producer.lane, sizeof c->sub.producer.lane, "lane%u", g->world->lane[lane].name);
    return c;
}

/* As the door resolves it: by a key of its own, and from no user. */
static void as_row(const struct gateway *g, const struct world_event *e, struct bytes wire,
                   struct submission_event *out)
{
    struct event event;
    CHECK(event_scan(wire, &event, NULL) == TM_OK);
    out->shard = lookup_shard(&event, g->world->join.join.stream[e->stream].key_fields, g->world->shards);
    out->user = 0;
}

/* Nobody sends what the configuration did not know when the batch was made. */
static bool is_sent(const struct gateway *g, const struct batch *b, uint32_t i)
{
    return !g->world->event_dropped[i] && g->world->event[i].stream < b->streams;
}

/* An event whose bytes are about to be appended; where they lie is known when all are there. */
static struct submission_event *add_event(const struct gateway *g, struct call *c, const struct world_event *e)
{
    struct submission_event *out = &c->events[c->sub.event_count++];
    char user[8];
    snprintf(user, sizeof user, "u%u", e->user);
    *out = (struct submission_event){.time = e->time, .stream = e->stream, .user = hash_64(bytes_text(user))};
    out->version = e->version ? (e->version - 1) % g->created + 1 : BLOCK_VERSION_NONE;
    out->shard = hash_shard(bytes_text(world_doc(e->doc)), g->world->shards);
    return out;
}

/* The record that begins with event i, as far as it was not dropped, cut as the door cuts it. Returns what is behind. */
static uint32_t pack_record(const struct gateway *g, struct call *c, uint32_t i, const struct batch *b)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    CLEANUP(items_close) struct items items = {0};
    const struct world_event *e = &g->world->event[i];
    struct tm_error err;
    const char *field;
    uint32_t first = c->sub.event_count, record = e->record, place = (uint32_t)c->shared.size + 1;
    world_encode_shared(e, c->batch, &wire);
    for (; i < b->first + b->count && g->world->event[i].record == record; i++)
        if (is_sent(g, b, i)) {
            add_event(g, c, &g->world->event[i]);
            world_encode_item(&g->world->event[i], &wire);
        }
    if (items_read(buffer_view(&wire), INT64_MAX, &items, &field, &err) != TM_OK)
        mismatch("a good record is refused: %s", err.message);
    if (items.count != c->sub.event_count - first)
        mismatch("a record of %u items was cut into %u", c->sub.event_count - first, items.count);
    buffer_put_bytes(&c->shared, items.shared);
    for (uint32_t k = 0; k < items.count; k++) {
        struct submission_event *out = &c->events[first + k];
        out->wire.size = items.item[k].own.size;
        buffer_put(&c->wires, items.item[k].own.data, out->wire.size);
        out->shared = place;
        out->same_record = k > 0;
        for (uint32_t other = 0; other < items.count; other++)
            out->sharers = (uint16_t)(out->sharers + (c->events[first + other].shard == out->shard));
    }
    return i;
}

static void pack_events(const struct gateway *g, struct call *c, const struct batch *b)
{
    size_t at = 0;
    uint32_t end = b->first + b->count;
    c->events = mem_new(b->sent + 1, sizeof *c->events);
    for (uint32_t i = b->first; i < end;) {
        const struct world_event *e = &g->world->event[i];
        size_t before = c->wires.size;
        if (!is_sent(g, b, i)) {
            i++;
        } else if (e->record) {
            i = pack_record(g, c, i, b);
        } else {
            struct submission_event *out = add_event(g, c, e);
            world_encode(e, c->batch, &c->wires);
            out->wire.size = c->wires.size - before;
            if (g->world->join.join.stream[e->stream].kind == JOINER_TABLE)
                as_row(g, e, bytes_of(c->wires.data + before, out->wire.size), out);
            i++;
        }
    }
    for (uint32_t i = 0; i < c->sub.event_count; at += c->events[i++].wire.size)
        c->events[i].wire.data = c->wires.data + at;
    c->sub.events = c->events;
    c->sub.shared = buffer_view(&c->shared);
}

/* Nothing is sent again of what the server said itself: it is there, or a crash has taken it. */
static void rank(struct gateway *g, const struct act *a)
{
    struct batch b = {.lane = NOBODY, .first = a->first, .count = a->count, .streams = g->streams};
    struct call *c = new_call(g, SUBMIT_STAMPED, NOBODY);
    uint32_t streams = 0;
    for (uint32_t i = a->first; i < a->first + a->count; i++)
        b.sent += is_sent(g, &b, i);
    c->batch = g->batches;
    pack_events(g, c, &b);
    for (uint32_t i = 0; i < c->sub.event_count; i++)
        streams |= UINT32_C(1) << c->events[i].stream;
    tell_time(g, a->time);
    b.stamp = stamps_take(&g->stamps, streams, g->now_ms);
    g->batch = mem_grow(g->batch, g->batches + 1, sizeof *g->batch);
    g->batch[g->batches++] = b;
    take(g, c);
    if (c->sub.code != TM_OK)
        stamps_gone(&g->stamps);
}

static void send_batch(struct gateway *g, uint32_t batch)
{
    const struct batch *b = &g->batch[batch];
    struct lane *lane = &g->lane[b->lane];
    struct call *c = new_call(g, SUBMIT_BATCH, b->lane);
    c->batch = batch;
    c->sub.sequence = b->sequence;
    pack_events(g, c, b);
    take(g, c);
    if (c->sub.code != TM_OK)
        lane->connected = false;
}

static void add_batch(struct gateway *g, uint32_t lane, uint32_t first, uint32_t count)
{
    struct batch b = {.lane = lane,
                      .instance = g->lane[lane].instance,
                      .sequence = ++g->lane[lane].last,
                      .first = first,
                      .count = count,
                      .streams = g->streams};
    for (uint32_t i = first; i < first + count; i++)
        b.sent += is_sent(g, &b, i);
    g->batch = mem_grow(g->batch, g->batches + 1, sizeof *g->batch);
    g->batch[g->batches++] = b;
}

static bool outstanding(const struct gateway *g, uint32_t batch, uint32_t lane)
{
    const struct batch *b = &g->batch[batch];
    return b->lane == lane && b->instance == g->lane[lane].instance && !b->acked;
}

/* All lanes of a client share its instance. What the old one had not heard of is sent again, or forgotten. */
static void restart_client(struct gateway *g, uint32_t client, bool again)
{
    uint32_t instance = ++g->instances[client], before = g->batches;
    for (uint32_t lane = 0; lane < g->world->lanes; lane++) {
        if (g->world->lane[lane].client != client)
            continue;
        uint32_t old = g->lane[lane].instance;
        g->lane[lane] = (struct lane){.instance = instance, .heard_ms = g->now_ms};
        for (uint32_t i = 0; again && i < before; i++)
            if (g->batch[i].lane == lane && g->batch[i].instance == old && !g->batch[i].acked)
                add_batch(g, lane, g->batch[i].first, g->batch[i].count);
    }
}

static uint64_t oldest_outstanding(const struct gateway *g, uint32_t lane)
{
    for (uint32_t i = 0; i < g->batches; i++)
        if (outstanding(g, i, lane))
            return g->batch[i].sequence;
    return g->lane[lane].last + 1;
}

static bool connect_lane(struct gateway *g, uint32_t lane)
{
    if (g->now_ms - g->lane[lane].heard_ms >=
        g->world->sequencing.producer_retain_ms) /* nobody remembers what it sent */
        restart_client(g, g->world->lane[lane].client, true);
    struct call *c = new_call(g, SUBMIT_OPEN, lane);
    c->sub.streams = g->world->lane[lane].streams & ((UINT32_C(1) << g->streams) - 1);
    take(g, c);
    if (c->sub.code != TM_OK)
        return false;
    if (c->sub.last_sequence + 1 < oldest_outstanding(g, lane)) {
        if (g->world->sequencing.producer_retain_ms > WORLD_SHORT_MEMORY_MS)
            mismatch("lane %u: the last sequence is %" PRIu64 ", although %" PRIu64 " was acknowledged", lane,
                     c->sub.last_sequence, oldest_outstanding(g, lane) - 1);
        restart_client(g, g->world->lane[lane].client, true); /* a sign of life was lost in a crash */
        return connect_lane(g, lane);
    }
    g->lane[lane].connected = true;
    for (uint32_t i = 0; i < g->batches && g->lane[lane].connected; i++)
        if (outstanding(g, i, lane))
            send_batch(g, i);
    return g->lane[lane].connected;
}

static bool ready(struct gateway *g, uint32_t lane) { return g->lane[lane].connected || connect_lane(g, lane); }

static void send_news(struct gateway *g, const struct act *a)
{
    add_batch(g, a->who, a->first, a->count);
    if (g->lane[a->who].connected)
        send_batch(g, g->batches - 1);
    else
        connect_lane(g, a->who);
}

/* The newest acknowledged batch once more: nothing of it may come in twice. */
static void repeat(struct gateway *g, uint32_t lane)
{
    for (uint32_t i = g->batches; i-- > 0 && ready(g, lane);) {
        if (g->batch[i].lane != lane || g->batch[i].instance != g->lane[lane].instance || !g->batch[i].acked)
            continue;
        struct call *c = new_call(g, SUBMIT_BATCH, lane);
        c->batch = i;
        c->sub.sequence = g->batch[i].sequence;
        pack_events(g, c, &g->batch[i]);
        take(g, c);
        if (c->sub.code == TM_OK && !c->sub.repeated)
            mismatch("an acknowledged batch was taken again");
        g->lane[lane].connected = c->sub.code == TM_OK;
        return;
    }
}

static void skip_one(struct gateway *g, uint32_t lane)
{
    if (!ready(g, lane))
        return;
    struct call *c = new_call(g, SUBMIT_BATCH, lane);
    c->sub.sequence = g->lane[lane].last + 2;
    take(g, c);
    if (c->sub.code != TM_FAILED_PRECONDITION)
        mismatch("a gap was taken");
    g->lane[lane].connected = false;
}

static void say(struct gateway *g, enum submission_kind kind, uint32_t lane, uint8_t stream, int64_t time)
{
    if (!ready(g, lane) || (kind == SUBMIT_WATERMARK && stream >= g->streams))
        return;
    struct call *c = new_call(g, kind, lane);
    c->sub.stream = stream;
    c->sub.time = time;
    take(g, c);
    g->lane[lane].connected = c->sub.code == TM_OK && kind == SUBMIT_WATERMARK;
}

/* A control record on its way: takes the bytes over. */
static void take_control(struct gateway *g, struct buffer *control)
{
    struct call *c = new_call(g, SUBMIT_CONTROL, NOBODY);
    c->control = *control;
    c->sub.control = buffer_view(&c->control);
    take(g, c);
}

/* The join of this stage, if it is not there. */
static void join_stage(struct gateway *g, uint32_t stage)
{
    struct buffer control = {0};
    struct catalog wanted;
    world_join(g->world, stage, &wanted);
    g->stage = stage;
    g->streams = wanted.join.streams;
    catalog_pack_join(&wanted, &control);
    take_control(g, &control);
}

static void create_version(struct gateway *g)
{
    struct buffer control = {0};
    if (g->created == g->world->versions ||
        g->world->reward_labels[g->created] > g->world->stage[g->stage].labels) /* it would be refused */
        return;
    const struct version *v = &g->world->version[g->created++];
    struct encoder_id encoder = encoder_representation(world_encoder(v->id % WORLD_ENCODERS));
    catalog_pack_version(v, v->encoded ? &encoder : NULL, &control);
    take_control(g, &control);
}

/* One document, two, or all. */
static void pack_reset(const struct gateway *g, uint32_t version, uint32_t luck, struct buffer *out)
{
    const char *docs[] = {world_doc(luck % g->world->docs), world_doc(luck / 8 % g->world->docs)};
    struct parameter_reset reset = {
        .version = version, .docs = docs, .count = luck >> 6 & 3, .note = {"simulation", "why not", 0}};
    reset.count = reset.count == 3 ? 1 : reset.count;
    parameter_reset_pack(&reset, out);
}

/* Of a version of another model only a block comes. */
static void pack_prior(const struct gateway *g, uint32_t version, uint32_t luck, struct buffer *out)
{
    struct parameter_prior prior = {.version = version,
                                    .prior = {1 + luck % 4, 0.5 + luck / 4 % 8},
                                    .source = "luck",
                                    .note = {"simulation", "why not", 0}};
    if (g->world->version[version - 1].model == &model_beta)
        parameter_prior_pack(&prior, out);
    else
        catalog_pack_proceed(out);
}

/* By the configuration or by hand: shards do the same. */
static void pack_encoder(uint32_t version, uint32_t luck, struct buffer *out)
{
    const struct encoder_id encoder = encoder_representation(world_encoder(luck % WORLD_ENCODERS));
    const struct encoder_id named = encoder_representation(world_encoder(luck / 4 % WORLD_ENCODERS));
    if (luck & 64)
        catalog_pack_encoder(version, &encoder, out);
    else
        catalog_pack_encoder_by_hand(version, &encoder, &named, &(struct audit_note){"simulation", "why not", 0}, out);
}

static void command(struct gateway *g, const struct act *a)
{
    struct buffer control = {0};
    uint32_t version = a->who % g->created + 1;
    bool encoded = g->world->version[version - 1].encoded;
    switch (a->kind) {
    case ACT_PRIOR: pack_prior(g, version, a->luck, &control); break;
    case ACT_ENCODER: encoded ? pack_encoder(version, a->luck, &control) : catalog_pack_proceed(&control); break;
    case ACT_RESET: pack_reset(g, version, a->luck, &control); break;
    case ACT_PAUSE: catalog_pack_state(version, VERSION_PAUSED, false, &control); break;
    case ACT_RESUME: catalog_pack_state(version, VERSION_LEARNING, false, &control); break;
    case ACT_DISCARD: catalog_pack_state(version, VERSION_LEARNING, true, &control); break;
    case ACT_RULES: catalog_pack_rules(&g->world->rules[a->luck % 2], &control); break;
    case ACT_LIMIT: catalog_pack_limits(&g->world->limits[a->luck % 2], &control); break;
    default: catalog_pack_proceed(&control);
    }
    take_control(g, &control);
}

void gateway_act(struct gateway *g, const struct act *a)
{
    uint32_t lane = a->who % g->world->lanes;
    switch (a->kind) {
    case ACT_SEND: send_news(g, a); break;
    case ACT_RANK: rank(g, a); break;
    case ACT_CLOCK: tell_time(g, a->time); break;
    case ACT_WATERMARK: say(g, SUBMIT_WATERMARK, lane, a->stream, a->time); break;
    case ACT_END: say(g, SUBMIT_END, lane, 0, 0); break;
    case ACT_LEAVE: say(g, SUBMIT_LEAVE, lane, 0, 0); break;
    case ACT_REPEAT: repeat(g, lane); break;
    case ACT_GAP: skip_one(g, lane); break;
    case ACT_RECONNECT: g->lane[lane].connected = false; break;
    case ACT_RESTART: restart_client(g, g->world->lane[lane].client, a->luck % 2); break;
    case ACT_WAIT: g->now_ms += a->amount; break;
    case ACT_VERSION: create_version(g); break;
    case ACT_JOIN:
        if (g->stage + 1 < g->world->stages)
            join_stage(g, g->stage + 1);
        break;
    case ACT_PAUSE:
    case ACT_RESUME:
    case ACT_DISCARD:
    case ACT_RESET:
    case ACT_ENCODER:
    case ACT_PRIOR:
    case ACT_PROCEED:
    case ACT_RULES:
    case ACT_LIMIT: command(g, a); break;
    case ACT_SEAL: seal(g); break;
    case ACT_LOG_SYNC: sync_log(g); break;
    case ACT_HAND_OVER:
    case ACT_COMMIT:
    case ACT_SYNC:
    case ACT_CRASH: CHECK(false);
    }
}

/* ---- life and death ---- */

static void start(struct gateway *g)
{
    struct tm_error err;
    const int64_t *watermark = history_watermarks(g->history, g->history->blocks);
    g->sequencer = sequencer_open(&g->world->sequencing);
    sequencer_load_position(g->sequencer, history_end(g->history));
    for (uint8_t i = 0; i < g->world->join.join.streams; i++)
        sequencer_load_watermark(g->sequencer, i, watermark[i]);
    for (size_t i = 0; i < g->rows.rows; i++)
        if (sequencer_load_producer(g->sequencer, buffer_view(&g->rows.row[i].key), buffer_view(&g->rows.row[i].value),
                                    g->now_ms, &err) != TM_OK)
            mismatch("a producer cannot be loaded: %s", err.message);
    if (g->stamps.wall != WATERMARK_NONE)
        sequencer_tell_time(g->sequencer, g->stamps.wall);
    g->created = g->history->blocks ? oracle_catalog(g->history->oracle)->versions : 0;
}

/* What the server's clock was at least when its last durable events were stamped. */
static int64_t durable_stamp(const struct gateway *g)
{
    int64_t newest = WATERMARK_NONE;
    for (uint32_t i = 0; i < g->batches; i++)
        if (g->batch[i].lane == NOBODY && g->batch[i].acked && g->batch[i].stamp.low > newest)
            newest = g->batch[i].stamp.low;
    return newest;
}

void gateway_crash(struct gateway *g, uint32_t writes_that_survive)
{
    sequencer_close(g->sequencer);
    for (uint32_t i = 0; i < g->n_taken; i++)
        free_call(g->taken[i]);
    free(g->taken);
    g->taken = NULL;
    g->n_taken = 0;
    for (uint32_t i = 0; i < g->writes; i++) {
        if (i < writes_that_survive)
            make_durable(g, &g->write[i]);
        free_write(&g->write[i]);
    }
    g->writes = 0;
    for (uint32_t lane = 0; lane < g->world->lanes; lane++)
        g->lane[lane].connected = false;
    stamps_crash(&g->stamps, durable_stamp(g), server_is_silent(g));
    start(g);
    const struct catalog *there = oracle_catalog(g->history->oracle);
    const struct world_stage *wanted = &g->world->stage[g->stage];
    if (there->join.streams != wanted->streams || there->join.labels != wanted->labels ||
        there->join.window_ms != wanted->window_ms) /* the configuration is what it was: whoever starts wants it */
        join_stage(g, g->stage);
    if (g->stamps.wall != WATERMARK_NONE)
        stamps_tell(&g->stamps, g->stamps.wall);
}

void gateway_open(struct gateway *g, const struct world *w, struct history *h)
{
    *g = (struct gateway){.world = w, .history = h, .now_ms = 1000000};
    stamps_open(&g->stamps);
    for (uint32_t lane = 0; lane < w->lanes; lane++)
        g->lane[lane].heard_ms = g->now_ms;
    start(g);
    join_stage(g, 0);
    struct buffer control = {0};
    catalog_pack_limits(&w->limits[0], &control);
    take_control(g, &control);
    control = (struct buffer){0};
    catalog_pack_rules(&w->rules[0], &control);
    take_control(g, &control);
    create_version(g);
    seal(g);
    sync_log(g);
}

static void count_batches(struct gateway *g, const struct block *b)
{
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        for (uint32_t i = 0; i < events; i++) {
            struct block_event e;
            struct event event;
            uint64_t batch;
            block_event_at(b, first, i, &e);
            CHECK(event_scan_parts(e.wire, e.shared, &event, NULL) == TM_OK && event.payload.size == sizeof batch);
            memcpy(&batch, event.payload.data, sizeof batch);
            g->batch[batch].seen++;
            if (g->batch[batch].lane == NOBODY)
                stamp_see(&g->batch[batch].stamp, event.time);
            if (g->batch[batch].acked && e.position >= g->batch[batch].position)
                mismatch("batch %" PRIu64 " was acknowledged at %" PRIu64 ", and has an event at %" PRIu64, batch,
                         g->batch[batch].position, e.position);
        }
    }
}

/* Nothing comes any more: blocks that only let shards catch up, and not too many of them. */
static void catch_up(struct gateway *g)
{
    uint64_t held = 0, blocks = 0;
    for (uint32_t i = 0; i < g->world->shards; i++)
        held += oracle_shard(g->history->oracle, i)->lessons.lessons;
    while (g->world->seed % 2 && oracle_behind(g->history->oracle)) {
        struct buffer control = {0};
        catalog_pack_proceed(&control);
        take_control(g, &control);
        seal(g);
        sync_log(g);
        if (++blocks > held * g->world->versions)
            mismatch("a shard is behind for ever");
    }
}

void gateway_finish(struct gateway *g)
{
    seal(g);
    sync_log(g);
    catch_up(g);
    for (uint32_t i = 0; i < g->history->blocks; i++)
        count_batches(g, &g->history->mark[i]->block);
    for (uint32_t i = 0; i < g->batches; i++) {
        const struct batch *b = &g->batch[i];
        if (b->seen != b->sent && (b->acked || b->seen != 0))
            mismatch("batch %u (lane %u, sequence %" PRIu64 ", %s) of %u events is in the log with %u", i, b->lane,
                     b->sequence, b->acked ? "acknowledged" : "not acknowledged", b->sent, b->seen);
    }
}

void gateway_close(struct gateway *g)
{
    sequencer_close(g->sequencer);
    for (uint32_t i = 0; i < g->n_taken; i++)
        free_call(g->taken[i]);
    free(g->taken);
    for (uint32_t i = 0; i < g->writes; i++)
        free_write(&g->write[i]);
    free(g->write);
    free(g->batch);
    memory_table_close(&g->rows);
}
