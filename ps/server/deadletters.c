#include "ps/server/deadletters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/engine/dead_letters.h"
#include "ps/server/door.h"
#include "tidemill/v1/deadletters.pb-c.h"

enum { REQUEST_MAX = 4096, ID_MAX = 64 };

struct deadletters {
    struct engine *engine;
    struct admin *admin;
};

/* ---- replies ---- */

/* Absent when there is nothing to say. */
static void put_text(struct buffer *out, uint32_t number, struct bytes text)
{
    if (text.size)
        wire_put_bytes(out, number, text);
}

static void put_rejected(const struct rejected *r, struct buffer *out)
{
    enum { CLIENT = 8, INSTANCE, LANE, BATCH, INDEX, FIELD, MESSAGE, REFUSED_AT };
    wire_put_bytes(out, CLIENT, r->client);
    wire_put_bytes(out, INSTANCE, r->instance);
    wire_put_bytes(out, LANE, r->lane);
    wire_put_integer(out, BATCH, r->batch);
    wire_put_integer(out, INDEX, r->index);
    wire_put_bytes(out, FIELD, r->field);
    wire_put_bytes(out, MESSAGE, r->message);
    wire_put_integer(out, REFUSED_AT, (uint64_t)r->refused_at);
}

static void put_letter(const struct engine_dead_letter *l, uint32_t number, struct buffer *out)
{
    enum { ID = 1, REASON, STREAM, POSITION, TIME, EVENT_BYTES, EVENT };
    CLEANUP(buffer_close) struct buffer one = {0};
    bool door = l->reason == REASON_REJECTED;
    char id[ID_MAX];
    if (door)
        snprintf(id, sizeof id, "door/%" PRIu64, l->rejected.number);
    else
        snprintf(id, sizeof id, "%" PRIu32 "/%" PRIu64, l->shard, l->position);
    wire_put_bytes(&one, ID, bytes_text(id));
    wire_put_bytes(&one, REASON, bytes_text(joiner_reason_text(l->reason)));
    put_text(&one, STREAM, bytes_text(l->stream ? l->stream : ""));
    wire_put_integer(&one, POSITION, l->position);
    if (l->time)
        wire_put_integer(&one, TIME, (uint64_t)l->time);
    if (l->size)
        wire_put_integer(&one, EVENT_BYTES, l->size);
    put_text(&one, EVENT, l->event);
    if (door)
        put_rejected(&l->rejected, &one);
    wire_put_bytes(out, number, buffer_view(&one));
}

static void put_counts(const struct catalog *schema, const struct dead_letter_counts *counts, struct buffer *out)
{
    enum { COUNTS = 3, STREAM = 1, REASON, SEEN, KEPT };
    for (uint32_t stream = 0; stream <= SEQUENCER_STREAMS_MAX; stream++)
        for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
            CLEANUP(buffer_close) struct buffer one = {0};
            if (counts->of[stream][reason].seen == 0)
                continue;
            if (stream < schema->join.streams)
                wire_put_bytes(&one, STREAM, bytes_text(schema->stream_name[stream]));
            wire_put_bytes(&one, REASON, bytes_text(joiner_reason_text((enum joiner_reason)reason)));
            wire_put_integer(&one, SEEN, counts->of[stream][reason].seen);
            wire_put_integer(&one, KEPT, counts->of[stream][reason].kept);
            wire_put_bytes(out, COUNTS, buffer_view(&one));
        }
}

/* ---- list ---- */

struct list_request {
    struct deadletters *service;
    struct dead_letter_query query;
};

struct listing {
    struct buffer body;
    struct dead_letter_place last;
};

static void list_letter(void *context, const struct engine_dead_letter *letter)
{
    enum { LETTERS = 1 };
    struct listing *l = context;
    put_letter(letter, LETTERS, &l->body);
    l->last = engine_dead_letter_place(letter);
}

static void list_run(void *context, struct rpc_call *call)
{
    enum { NEXT_PAGE = 2 };
    const struct list_request *q = context;
    struct engine *engine = q->service->engine;
    struct dead_letter_counts counts;
    struct listing l = {0};
    struct tm_error err;
    bool more = false;
    enum tm_code rc = engine_dead_letters(engine, &q->query, list_letter, &l, &more, &err);
    if (rc == TM_OK)
        rc = engine_dead_letter_counts(engine, &counts, &err);
    if (rc == TM_OK && more) {
        char page[ID_MAX];
        snprintf(page, sizeof page, "%" PRIu64 ".%" PRIu64, l.last.position, l.last.tie);
        wire_put_bytes(&l.body, NEXT_PAGE, bytes_text(page));
    }
    if (rc == TM_OK)
        put_counts(engine_schema(engine), &counts, &l.body);
    rpc_answer(call, rc, &l.body, &err);
}

/* Two numbers with a sign between them, and nothing else. */
static bool read_pair(const char *text, char between, uint64_t *a, uint64_t *b)
{
    char again[ID_MAX], sign;
    if (sscanf(text, "%" SCNu64 "%c%" SCNu64, a, &sign, b) != 3 || sign != between)
        return false;
    snprintf(again, sizeof again, "%" PRIu64 "%c%" PRIu64, *a, sign, *b);
    return strcmp(again, text) == 0;
}

static enum tm_code read_stream(const struct deadletters *d, const char *name, int *stream, struct tm_error *err)
{
    char names[DOOR_NAMES_MAX];
    *stream = name ? engine_stream(d->engine, bytes_text(name)) : -1;
    if (name && *stream < 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "stream: \"%.*s\"; expected one of %s", CATALOG_NAME_MAX, name,
                            door_stream_names(d->engine, names));
    return TM_OK;
}

static enum tm_code read_reason(const char *name, enum joiner_reason *reason, struct tm_error *err)
{
    char names[256] = "";
    *reason = name ? joiner_reason_find(bytes_text(name)) : REASON_NONE;
    if (!name || *reason != REASON_NONE)
        return TM_OK;
    for (enum joiner_reason r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", joiner_reason_text(r));
    }
    return tm_error_set(err, TM_INVALID_ARGUMENT, "reason: \"%.*s\"; expected one of %s", CATALOG_NAME_MAX, name,
                        names);
}

static enum tm_code read_query(const struct deadletters *d, const Tidemill__V1__ListDeadLettersRequest *m,
                               struct dead_letter_query *q, struct tm_error *err)
{
    *q = (struct dead_letter_query){.since = m->has_since ? m->since : INT64_MIN,
                                    .until = m->has_until ? m->until : INT64_MAX,
                                    .limit = m->has_limit ? m->limit : DEADLETTERS_LIMIT,
                                    .before = {UINT64_MAX, UINT64_MAX}};
    enum tm_code rc = read_stream(d, m->stream, &q->stream, err);
    if (rc == TM_OK)
        rc = read_reason(m->reason, &q->reason, err);
    if (rc != TM_OK)
        return rc;
    if (q->limit < 1 || q->limit > DEADLETTERS_LIMIT_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "limit: %" PRIu32 "; expected 1 to %d", q->limit,
                            DEADLETTERS_LIMIT_MAX);
    if (m->page && !read_pair(m->page, '.', &q->before.position, &q->before.tie))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "page: \"%.*s\"; expected next_page of an earlier reply", ID_MAX,
                            m->page);
    return TM_OK;
}

static void list(void *service, struct rpc_call *call, struct bytes request)
{
    struct deadletters *d = service;
    struct list_request *q = mem_new(1, sizeof *q);
    struct tm_error err;
    Tidemill__V1__ListDeadLettersRequest *m =
        (void *)wire_unpack(&tidemill__v1__list_dead_letters_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = m ? read_query(d, m, &q->query, &err) : err.code;
    wire_free(m ? &m->base : NULL);
    q->service = d;
    if (rc == TM_OK) {
        admin_later(d->admin, call, q, list_run);
    } else {
        free(q);
        rpc_fail(call, &err);
    }
}

/* ---- show ---- */

struct show_request {
    struct deadletters *service;
    bool door;
    uint64_t shard, number; /* number: of the door, else the position */
};

static void show_letter(void *context, const struct engine_dead_letter *letter)
{
    enum { LETTER = 1, MEANING, HINT };
    struct buffer *body = context;
    put_letter(letter, LETTER, body);
    wire_put_bytes(body, MEANING, bytes_text(joiner_reason_meaning(letter->reason)));
    wire_put_bytes(body, HINT, bytes_text(joiner_reason_hint(letter->reason)));
}

static void show_run(void *context, struct rpc_call *call)
{
    const struct show_request *q = context;
    struct engine *engine = q->service->engine;
    struct buffer body = {0};
    struct tm_error err;
    enum tm_code rc = q->door ? engine_rejected_letter(engine, q->number, show_letter, &body, &err)
                              : engine_dead_letter(engine, (uint32_t)q->shard, q->number, show_letter, &body, &err);
    rpc_answer(call, rc, &body, &err);
}

static enum tm_code read_id(const char *id, struct show_request *q, struct tm_error *err)
{
    static const char door[] = "door/";
    char shard_like[ID_MAX] = "";
    q->door = id && strncmp(id, door, sizeof door - 1) == 0;
    if (q->door) /* the same form with a number in front */
        snprintf(shard_like, sizeof shard_like, "0/%s", id + sizeof door - 1);
    if (id && read_pair(q->door ? shard_like : id, '/', &q->shard, &q->number) && q->shard <= UINT16_MAX)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "id: \"%.*s\"; expected one that a list shows, like 12/4711 or door/3", ID_MAX, id ? id : "");
}

static void show(void *service, struct rpc_call *call, struct bytes request)
{
    struct deadletters *d = service;
    struct show_request *q = mem_new(1, sizeof *q);
    struct tm_error err;
    Tidemill__V1__ShowDeadLetterRequest *m =
        (void *)wire_unpack(&tidemill__v1__show_dead_letter_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = m ? read_id(m->id, q, &err) : err.code;
    wire_free(m ? &m->base : NULL);
    q->service = d;
    if (rc == TM_OK) {
        admin_later(d->admin, call, q, show_run);
    } else {
        free(q);
        rpc_fail(call, &err);
    }
}

/* ---- the methods ---- */

struct deadletters *deadletters_open(struct engine *engine, struct admin *admin, struct rpc *rpc)
{
    struct deadletters *d = mem_new(1, sizeof *d);
    *d = (struct deadletters){.engine = engine, .admin = admin};
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ListDeadLetters", .start = list, .service = d});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ShowDeadLetter", .start = show, .service = d});
    return d;
}

void deadletters_close(struct deadletters *d) { free(d); }
