#include "ps/server/rank_request.h"

#include <inttypes.h>
#include <stdlib.h>

#include "proto/event.h"
#include "proto/wire.h"
#include "tidemill/v1/ranking.pb-c.h"

/* clang-format off */
static const struct {
    const char *name;
    enum wire_type type;
} fields[RANK_FIELDS] = {
    [RANK_VERSION]          = {"version",          WIRE_BYTES},
    [RANK_REQUEST]          = {"request",          WIRE_BYTES},
    [RANK_USER]             = {"user",             WIRE_BYTES},
    [RANK_DOCS]             = {"docs",             WIRE_BYTES},
    [RANK_CONTEXT]          = {"context",          WIRE_BYTES},
    [RANK_FEATURES]         = {"features",         WIRE_BYTES},
    [RANK_REPRESENTATION]   = {"representation",   WIRE_BYTES},
    [RANK_POLICY]           = {"policy",           WIRE_VARINT},
    [RANK_SEED]             = {"seed",             WIRE_VARINT},
    [RANK_SLOTS]            = {"slots",            WIRE_VARINT},
    [RANK_PROPENSITY_DRAWS] = {"propensity_draws", WIRE_VARINT},
    [RANK_LOG]              = {"log",              WIRE_VARINT},
    [RANK_DURABLE]          = {"durable",          WIRE_VARINT},
    [RANK_PAYLOAD]          = {"payload",          WIRE_BYTES},
    [RANK_EPSILON]          = {"epsilon",          WIRE_FIXED64},
    [RANK_WIDTH]            = {"width",            WIRE_FIXED64},
    [RANK_STREAM]           = {"stream",           WIRE_BYTES},
    [RANK_CONTEXT_IDS]      = {"context_ids",      WIRE_BYTES},
    [RANK_IDS]              = {"ids",              WIRE_BYTES},
    [RANK_ID_COUNTS]        = {"id_counts",        WIRE_BYTES},
};
/* clang-format on */

static_assert(TIDEMILL__V1__RANK_POLICY__THOMPSON == (int)POLICY_THOMPSON &&
                  TIDEMILL__V1__RANK_POLICY__UCB == (int)POLICY_UCB &&
                  TIDEMILL__V1__RANK_POLICY__GREEDY == (int)POLICY_GREEDY,
              "a policy on the wire is the learner's");

static enum tm_code add_doc(struct rank_request *q, struct bytes doc, struct tm_error *err)
{
    if (q->count == RANK_DOCS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "docs: more than %d; expected the best of another stage",
                            RANK_DOCS_MAX);
    if (doc.size < 1 || doc.size > EVENT_ID_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "docs[%" PRIu32 "]: %zu bytes; expected 1 to %d", q->count,
                            doc.size, EVENT_ID_MAX);
    q->docs[q->count++] = doc;
    return TM_OK;
}

/* Packed, or one by one: both are the same list. */
static enum tm_code add_numbers(struct buffer *list, const struct wire_field *f, struct tm_error *err)
{
    uint32_t one = (uint32_t)f->integer;
    if (f->type == WIRE_FIXED32)
        buffer_put_u32(list, one);
    else if (f->bytes.size % sizeof(float) != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: %zu bytes; expected numbers of 4 each",
                            fields[f->number].name, f->bytes.size);
    else
        buffer_put(list, f->bytes.data, f->bytes.size);
    return TM_OK;
}

static enum tm_code add_id(struct buffer *list, uint32_t field, uint64_t id, struct tm_error *err)
{
    if (id > UINT32_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s[%zu]: %" PRIu64 "; expected at most %" PRIu32,
                            fields[field].name, list->size / sizeof(uint32_t), id, UINT32_MAX);
    buffer_put_u32(list, (uint32_t)id);
    return TM_OK;
}

static enum tm_code add_ids(struct buffer *list, const struct wire_field *f, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    if (f->type == WIRE_VARINT)
        return add_id(list, f->number, f->integer, err);
    const uint8_t *p = f->bytes.data, *end = p + f->bytes.size;
    while (rc == TM_OK && p < end) {
        uint64_t id;
        p = wire_varint(p, end, &id);
        if (!p)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "%s[%zu]: cut short, or more than 64 bits",
                                fields[f->number].name, list->size / sizeof(uint32_t));
        rc = add_id(list, f->number, id, err);
    }
    return rc;
}

/* The lists of numbers; NULL: the field is none of them. */
static struct buffer *list_of(struct rank_request *q, uint32_t field)
{
    switch (field) {
    case RANK_CONTEXT: return &q->context;
    case RANK_FEATURES: return &q->features;
    case RANK_CONTEXT_IDS: return &q->context_ids;
    case RANK_IDS: return &q->ids;
    case RANK_ID_COUNTS: return &q->id_counts;
    default: return NULL;
    }
}

static enum tm_code take_text(struct rank_request *q, const struct wire_field *f, struct tm_error *err)
{
    switch (f->number) {
    case RANK_VERSION: q->version = f->bytes; return TM_OK;
    case RANK_REQUEST: q->request = f->bytes; return TM_OK;
    case RANK_USER: q->user = f->bytes; return TM_OK;
    case RANK_DOCS: return add_doc(q, f->bytes, err);
    case RANK_REPRESENTATION: q->representation = f->bytes; return TM_OK;
    case RANK_STREAM: q->stream = f->bytes; return TM_OK;
    default: q->payload = f->bytes; break;
    }
    if (q->payload.size <= RANK_PAYLOAD_MAX)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "payload: %zu bytes; expected at most %d", q->payload.size,
                        RANK_PAYLOAD_MAX);
}

static uint32_t clamped(uint64_t v) { return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX; }

static enum tm_code take_number(struct rank_request *q, const struct wire_field *f, struct tm_error *err)
{
    switch (f->number) {
    case RANK_SEED: q->seed = f->integer; return TM_OK;
    case RANK_SLOTS: q->slots = clamped(f->integer); return TM_OK;
    case RANK_PROPENSITY_DRAWS: q->propensity_draws = clamped(f->integer); return TM_OK;
    case RANK_LOG: q->log = f->integer != 0; return TM_OK;
    case RANK_DURABLE: q->durable = f->integer != 0; return TM_OK;
    case RANK_EPSILON: memcpy(&q->epsilon, &f->integer, sizeof q->epsilon); return TM_OK;
    case RANK_WIDTH: memcpy(&q->width, &f->integer, sizeof q->width); return TM_OK;
    default: break;
    }
    if (f->integer > POLICY_GREEDY)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "policy: got %" PRIu64 "; expected THOMPSON, UCB or GREEDY",
                            f->integer);
    q->policy = (enum policy_kind)f->integer;
    return TM_OK;
}

static enum tm_code take_field(struct rank_request *q, const struct wire_field *f, struct tm_error *err)
{
    if (f->number >= RANK_FIELDS || !fields[f->number].name)
        return TM_OK;
    struct buffer *list = list_of(q, f->number);
    bool floats = list == &q->context || list == &q->features;
    if (f->type != fields[f->number].type && !(list && f->type == (floats ? WIRE_FIXED32 : WIRE_VARINT)))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: wire type %d; expected %d", fields[f->number].name,
                            (int)f->type, (int)fields[f->number].type);
    q->has |= 1u << f->number;
    if (list)
        return floats ? add_numbers(list, f, err) : add_ids(list, f, err);
    return f->type == WIRE_BYTES ? take_text(q, f, err) : take_number(q, f, err);
}

void rank_request_close(struct rank_request *q)
{
    free(q->docs);
    buffer_close(&q->context);
    buffer_close(&q->features);
    buffer_close(&q->context_ids);
    buffer_close(&q->ids);
    buffer_close(&q->id_counts);
}

enum tm_code rank_request_scan(struct bytes wire, struct rank_request *q, struct tm_error *err)
{
    struct reader r = reader_of(wire);
    struct wire_field f;
    enum tm_code rc = TM_OK;
    *q = (struct rank_request){.slots = 1, .log = true};
    q->docs = mem_grow(NULL, RANK_DOCS_MAX, sizeof *q->docs);
    while (rc == TM_OK && wire_next(&r, &f))
        rc = take_field(q, &f, err);
    if (r.bad)
        rc = wire_malformed(&r, wire, err);
    else if (rc == TM_OK && q->count == 0)
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "docs: none; expected 1 to %d candidates", RANK_DOCS_MAX);
    if (rc != TM_OK)
        rank_request_close(q);
    return rc;
}
