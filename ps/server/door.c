#include "ps/server/door.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/items.h"
#include "proto/wire.h"
#include "ps/engine/option_problems.h"
#include "tidemill/v1/events.pb-c.h"

/* ---- names ---- */

static void add_name(char list[static DOOR_NAMES_MAX], const char *name)
{
    size_t used = strlen(list);
    const char *comma = used ? ", " : "";
    if (used + strlen(name) + sizeof ", ..." < DOOR_NAMES_MAX)
        snprintf(list + used, DOOR_NAMES_MAX - used, "%s%s", comma, name);
    else if (used < 3 || strcmp(list + used - 3, "...") != 0)
        snprintf(list + used, DOOR_NAMES_MAX - used, ", ...");
}

void door_open(struct door *d, struct engine *engine) { *d = (struct door){.engine = engine}; }

const char *door_stream_names(const struct engine *engine, char list[static DOOR_NAMES_MAX])
{
    const struct catalog *schema = engine_schema(engine);
    list[0] = '\0';
    for (uint32_t i = 0; i < schema->join.streams; i++)
        add_name(list, schema->stream_name[i]);
    return list;
}

const char *door_streams_of(const struct engine *engine, enum joiner_stream_kind kind, char list[static DOOR_NAMES_MAX])
{
    const struct catalog *schema = engine_schema(engine);
    list[0] = '\0';
    for (uint32_t i = 0; i < schema->join.streams; i++)
        if (schema->join.stream[i].kind == kind)
            add_name(list, schema->stream_name[i]);
    return *list ? list : "none";
}

/* Those there are now. */
static const char *version_names(const struct engine *engine, char list[static DOOR_NAMES_MAX])
{
    enum { NAME_AND_COMMA_MIN = 3 };
    uint32_t count = engine_versions(engine), most = DOOR_NAMES_MAX / NAME_AND_COMMA_MIN;
    list[0] = '\0';
    for (uint32_t i = 0; i < count && i < most; i++) /* more do not fit */
        add_name(list, engine_version_at(engine, i)->name);
    return list;
}

/* A name from outside as it may stand in a message: whole, or not at all. */
static int shown(struct bytes name) { return name.size <= CATALOG_NAME_MAX && wire_is_text(name) ? (int)name.size : 0; }

static enum tm_code find_stream(const struct door *d, struct bytes name, uint32_t declared, uint8_t *stream,
                                struct tm_error *err)
{
    char names[DOOR_NAMES_MAX];
    int index = engine_stream(d->engine, name);
    if (index < 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "stream: \"%.*s\"; expected one of %s", shown(name),
                            (const char *)name.data, door_stream_names(d->engine, names));
    if (!(declared >> index & 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "stream: \"%.*s\" was not declared by open; expected one that was", shown(name),
                            (const char *)name.data);
    *stream = (uint8_t)index;
    return TM_OK;
}

static enum tm_code no_version(const struct engine *engine, struct bytes name, struct tm_error *err)
{
    char wanted[CATALOG_NAME_MAX + 1], hint[OPTION_HINT_SIZE];
    snprintf(wanted, sizeof wanted, "%.*s", shown(name), (const char *)name.data);
    struct option_guess guess = {.wanted = wanted};
    for (uint32_t i = 0, n = engine_versions(engine); i < n; i++) {
        const char *there = engine_version_at(engine, i)->name;
        option_guess_offer(&guess, there, strlen(there));
    }
    return tm_error_set(err, TM_NOT_FOUND, "version: no version \"%s\"; %s", wanted, option_guess_hint(&guess, hint));
}

enum tm_code door_version(struct engine *engine, struct bytes name, const struct version **v, struct tm_error *err)
{
    if (!name.size)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "version: missing; expected the name of a version");
    *v = engine_version(engine, name);
    return *v ? TM_OK : no_version(engine, name, err);
}

/* ---- requests ---- */

enum tm_code door_read(struct bytes request, enum door_message *kind, struct bytes *content, struct tm_error *err)
{
    struct reader r = reader_of(request);
    struct wire_field f;
    uint32_t found = 0;
    while (wire_next(&r, &f)) {
        if (f.number > DOOR_LEAVE)
            continue;
        if (f.type != WIRE_BYTES)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "field %" PRIu32 ": wire type %d; expected a message",
                                f.number, (int)f.type);
        *kind = (enum door_message)f.number;
        *content = f.bytes;
        found++;
    }
    if (r.bad)
        return wire_malformed(&r, request, err);
    if (found != 1)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "%" PRIu32 " messages in one request; expected one of open, batch, watermark, end, leave",
                            found);
    return TM_OK;
}

static enum tm_code copy_id(const char *field, const char *value, char out[static SEQUENCER_ID_MAX + 1],
                            struct tm_error *err)
{
    size_t size = value ? strlen(value) : 0;
    if (size < 1 || size > SEQUENCER_ID_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: %zu bytes; expected 1 to %d", field, size, SEQUENCER_ID_MAX);
    memcpy(out, value, size + 1);
    return TM_OK;
}

static enum tm_code declared_streams(const struct door *d, const Tidemill__V1__Open *open, uint32_t *declared,
                                     uint32_t *allowed, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    uint32_t all = UINT32_MAX; /* those, too, that come while the call is open */
    *declared = 0;
    for (size_t i = 0; rc == TM_OK && i < open->n_streams; i++) {
        uint8_t stream = 0;
        rc = find_stream(d, bytes_text(open->streams[i]), all, &stream, err);
        *declared |= UINT32_C(1) << stream;
    }
    *allowed = open->n_streams ? *declared : all;
    return rc;
}

enum tm_code door_read_open(const struct door *d, struct bytes content, struct producer_id *producer,
                            uint32_t *declared, uint32_t *allowed, struct tm_error *err)
{
    Tidemill__V1__Open *open = (void *)wire_unpack(&tidemill__v1__open__descriptor, content, BATCH_BYTES_MAX, err);
    enum tm_code rc;
    if (!open)
        return tm_error_wrap(err, "open");
    rc = copy_id("open.client", open->client, producer->client, err);
    if (rc == TM_OK)
        rc = copy_id("open.instance", open->instance, producer->instance, err);
    if (rc == TM_OK)
        rc = copy_id("open.lane", open->lane ? open->lane : "main", producer->lane, err);
    if (rc == TM_OK)
        rc = declared_streams(d, open, declared, allowed, err);
    wire_free(&open->base);
    return rc;
}

/* A watermark may run ahead of event times by the window: that closes the last windows. */
static enum tm_code check_watermark(const struct door *d, const Tidemill__V1__Watermark *w, int64_t now_ms,
                                    struct tm_error *err)
{
    int64_t most = now_ms + EVENT_TIME_AHEAD_MS + engine_end_window(d->engine) + 1;
    if (!w->has_time)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "time: missing; expected milliseconds since 1970, UTC");
    if (w->time < 0 || w->time > most)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "time: got %" PRId64 "; expected 0 to a day and a window ahead of now, %" PRId64, w->time,
                            most);
    return TM_OK;
}

enum tm_code door_read_watermark(const struct door *d, struct bytes content, uint32_t streams, int64_t now_ms,
                                 uint8_t *stream, int64_t *time, struct tm_error *err)
{
    Tidemill__V1__Watermark *w =
        (void *)wire_unpack(&tidemill__v1__watermark__descriptor, content, BATCH_BYTES_MAX, err);
    enum tm_code rc;
    if (!w)
        return tm_error_wrap(err, "watermark");
    *time = w->time;
    rc = find_stream(d, bytes_text(w->stream ? w->stream : ""), streams, stream, err);
    if (rc == TM_OK)
        rc = check_watermark(d, w, now_ms, err);
    if (rc != TM_OK)
        tm_error_wrap(err, "watermark");
    wire_free(&w->base);
    return rc;
}

/* ---- batches ---- */

/* Batches nearly always name the same stream and version again and again. */
struct resolver {
    const struct door *door;
    uint32_t streams;
    int64_t now_ms;
    struct items items; /* of the record at hand */
    uint16_t *in_shard; /* its items by shard; all 0 between records */
    struct bytes stream_name, version_name;
    uint8_t stream;
    uint32_t version;
    uint64_t user; /* of the event at hand, as a submission tells it */
};

static enum tm_code resolve_stream(struct resolver *r, struct bytes name, struct tm_error *err)
{
    if (r->stream_name.data && bytes_equal(name, r->stream_name))
        return TM_OK;
    r->stream_name = (struct bytes){0};
    enum tm_code rc = find_stream(r->door, name, r->streams, &r->stream, err);
    if (rc == TM_OK)
        r->stream_name = name;
    return rc;
}

static enum tm_code resolve_version(struct resolver *r, struct bytes name, struct tm_error *err)
{
    if (r->version_name.data && bytes_equal(name, r->version_name))
        return TM_OK;
    char names[DOOR_NAMES_MAX];
    const struct version *v = engine_version(r->door->engine, name);
    if (!v)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "version: \"%.*s\"; expected one of %s", shown(name),
                            (const char *)name.data, version_names(r->door->engine, names));
    r->version_name = name;
    r->version = v->id;
    return TM_OK;
}

enum user_standing door_user(struct engine *engine, uint8_t stream, struct bytes id, uint64_t *user)
{
    struct user_lists *lists = engine_users(engine);
    *user = 0;
    if (!id.data || engine_schema(engine)->join.stream[stream].kind == JOINER_TABLE)
        return USER_PASSES;
    enum user_standing standing = user_lists_judge(lists, id);
    if (standing == USER_PASSES)
        *user = hash_128(id, lists->hash_seed).lo;
    return standing;
}

/* Not a mistake of the sender's, but refused like one: named, kept, and never logged. */
static enum tm_code check_user(struct resolver *r, const struct event *e, const char **field, struct tm_error *err)
{
    *field = "blocked";
    if (door_user(r->door->engine, r->stream, e->user, &r->user) == USER_BLOCKED)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "user: it is on the list of blocked users");
    return TM_OK;
}

static enum tm_code resolve_named_version(struct resolver *r, const struct event *e, struct tm_error *err)
{
    char names[DOOR_NAMES_MAX];
    if (e->version.data)
        return resolve_version(r, e->version, err);
    if (engine_schema(r->door->engine)->join.stream[r->stream].kind != JOINER_IMPRESSION)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "version: missing; expected one of %s",
                        version_names(r->door->engine, names));
}

/* What the configuration has to say of an event, or of what items share. */
static enum tm_code resolve_names(struct resolver *r, const struct event *e, const char **field, struct tm_error *err)
{
    const struct catalog *c = engine_schema(r->door->engine);
    *field = "stream";
    enum tm_code rc = resolve_stream(r, e->stream, err);
    if (rc == TM_OK)
        rc = door_check_key(c, r->stream, e, field, err);
    if (rc == TM_OK)
        rc = door_check_withdrawal(c, r->stream, e, field, err);
    if (rc == TM_OK)
        rc = check_user(r, e, field, err);
    if (rc != TM_OK)
        return rc;
    *field = "version";
    return resolve_named_version(r, e, err);
}

static struct submission_event *next_place(struct door_batch *b)
{
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? b->capacity * 2 : 64;
        b->events = mem_grow(b->events, b->capacity, sizeof *b->events);
    }
    return &b->events[b->count++];
}

static void add_event(struct resolver *r, struct door_batch *b, const struct event *e, struct bytes wire,
                      struct bytes doc)
{
    const struct joiner_stream *s = &engine_schema(r->door->engine)->join.stream[r->stream];
    uint32_t shards = engine_options(r->door->engine)->shards;
    *next_place(b) = (struct submission_event){
        .wire = wire,
        .time = e->time,
        .shard = s->kind == JOINER_TABLE ? lookup_shard(e, s->key_fields, shards) : hash_shard(doc, shards),
        .version = e->version.data ? r->version : BLOCK_VERSION_NONE,
        .user = r->user,
        .stream = r->stream,
    };
}

/* One event for each item, and the shared part once. Each is told how many of them come to its shard. */
static void add_items(struct resolver *r, struct door_batch *b)
{
    const struct items *items = &r->items;
    uint32_t first = b->count, place = (uint32_t)b->shared.size + 1;
    buffer_put_bytes(&b->shared, items->shared);
    for (uint32_t i = 0; i < items->count; i++) {
        add_event(r, b, &items->event, items->item[i].own, items->item[i].doc);
        b->events[first + i].shared = place;
        b->events[first + i].same_record = i > 0;
        r->in_shard[b->events[first + i].shard]++;
    }
    for (uint32_t i = first; i < b->count; i++)
        b->events[i].sharers = r->in_shard[b->events[i].shard];
    for (uint32_t i = first; i < b->count; i++)
        r->in_shard[b->events[i].shard] = 0;
}

static enum tm_code take_items(struct resolver *r, struct bytes wire, struct door_batch *b, const char **field,
                               struct tm_error *err)
{
    const struct catalog *c = engine_schema(r->door->engine);
    enum tm_code rc = items_read(wire, r->now_ms, &r->items, field, err);
    if (rc == TM_OK)
        rc = resolve_names(r, &r->items.event, field, err);
    if (rc != TM_OK)
        return rc;
    *field = "items";
    enum joiner_stream_kind kind = c->join.stream[r->stream].kind;
    if (kind == JOINER_ACTION || kind == JOINER_TABLE)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "items: %s is %s; expected one event for each document",
                            c->stream_name[r->stream], kind == JOINER_ACTION ? "an action stream" : "a table");
    if (!r->in_shard)
        r->in_shard = mem_new(engine_options(r->door->engine)->shards, sizeof *r->in_shard);
    add_items(r, b);
    return TM_OK;
}

/* Append to the batch what a record makes, or say why it makes nothing. */
static enum tm_code take_event(struct resolver *r, struct bytes wire, struct door_batch *b, const char **field,
                               struct tm_error *err)
{
    struct event e;
    *field = "";
    enum tm_code rc = event_scan(wire, &e, err);
    if (rc == TM_OK && e.items)
        return take_items(r, wire, b, field, err);
    if (rc == TM_OK)
        rc = event_validate(&e, r->now_ms, field, err);
    if (rc == TM_OK)
        rc = resolve_names(r, &e, field, err);
    if (rc == TM_OK)
        rc = door_check_doc(engine_schema(r->door->engine), r->stream, &e, field, err);
    if (rc == TM_OK)
        add_event(r, b, &e, wire, e.doc);
    return rc;
}

static enum door_field field_of(const char *name)
{
    static const char *const names[] = {
#define F(name) #name,
        DOOR_FIELDS(F)
#undef F
    };
    for (enum door_field i = 0; i < DOOR_FIELD_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return DOOR_FIELD_unreadable;
}

/* Append {index, field, message} as field `rejected` of an Ack. */
static void reject(struct door_batch *b, uint32_t index, uint32_t rejected, const char *field,
                   const struct tm_error *why)
{
    enum { ACK_REJECTED = 5, INDEX = 1, FIELD, MESSAGE };
    CLEANUP(buffer_close) struct buffer one = {0};
    wire_put_integer(&one, INDEX, index);
    wire_put_bytes(&one, FIELD, bytes_text(field));
    if (rejected < BATCH_REJECTS_EXPLAINED)
        wire_put_bytes(&one, MESSAGE, bytes_text(why->message));
    wire_put_bytes(&b->rejects, ACK_REJECTED, buffer_view(&one));
}

/* Count a rejected event and keep what can be known of it; a damaged one may still tell its stream and time. */
static void set_aside(const struct resolver *r, struct door_batch *b, struct bytes wire, uint32_t index,
                      const char *field, const struct tm_error *why)
{
    struct event e = {0};
    event_scan(wire, &e, NULL);
    int found = engine_stream(r->door->engine, e.stream);
    uint8_t stream = found < 0 ? REJECTED_STREAM_UNKNOWN : (uint8_t)found;
    if (b->rejected[field_of(field)]++ >= DOOR_LETTERS_KEPT) {
        rejected_put_unkept(&b->letters, stream);
        return;
    }
    rejected_put(&b->letters, &(struct rejected){.stream = stream,
                                                 .time = e.time,
                                                 .refused_at = r->now_ms,
                                                 .index = index,
                                                 .size = (uint32_t)wire.size,
                                                 .field = bytes_text(field),
                                                 .message = bytes_text(why->message),
                                                 .event = wire});
}

static enum tm_code take_events(struct resolver *r, struct bytes content, struct door_batch *b, struct tm_error *err)
{
    enum { SEQUENCE = 1, EVENTS = 2 };
    struct reader reader = reader_of(content);
    struct wire_field f;
    uint32_t index = 0, rejected = 0;
    size_t bytes = 0;
    while (wire_next(&reader, &f)) {
        if (f.number == SEQUENCE && f.type == WIRE_VARINT)
            b->sequence = f.integer;
        if (f.number != EVENTS || f.type != WIRE_BYTES)
            continue;
        const char *field;
        struct tm_error why;
        bytes += f.bytes.size;
        if (index == BATCH_EVENTS_MAX || bytes > BATCH_BYTES_MAX)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "batch: more than %d events or %d bytes of them; split it",
                                BATCH_EVENTS_MAX, BATCH_BYTES_MAX);
        if (take_event(r, f.bytes, b, &field, &why) != TM_OK) {
            reject(b, index, rejected++, field, &why);
            set_aside(r, b, f.bytes, index, field, &why);
        }
        if (b->count > BATCH_SPLIT_MAX)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "batch: more than %d events, with all items; split it",
                                BATCH_SPLIT_MAX);
        index++;
    }
    if (reader.bad) {
        wire_malformed(&reader, content, err);
        return tm_error_wrap(err, "batch");
    }
    if (b->sequence == 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "batch.sequence: missing or 0; expected the last one + 1, from 1");
    return TM_OK;
}

enum tm_code door_read_batch(const struct door *d, struct bytes content, uint32_t streams, int64_t now_ms,
                             struct door_batch *out, struct tm_error *err)
{
    struct resolver r = {.door = d, .streams = streams, .now_ms = now_ms};
    *out = (struct door_batch){0};
    enum tm_code rc = take_events(&r, content, out, err);
    items_close(&r.items);
    free(r.in_shard);
    if (rc != TM_OK)
        door_batch_close(out);
    return rc;
}

void door_batch_hand_over(const struct door_batch *b, struct submission *s)
{
    s->sequence = b->sequence;
    s->events = b->events;
    s->event_count = b->count;
    s->shared = buffer_view(&b->shared);
    s->rejects = buffer_view(&b->rejects);
    s->letters = buffer_view(&b->letters);
}

void door_batch_close(struct door_batch *b)
{
    free(b->events);
    buffer_close(&b->shared);
    buffer_close(&b->rejects);
    buffer_close(&b->letters);
    *b = (struct door_batch){0};
}
