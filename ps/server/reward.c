/* Reward: what people did with what Rank had shown, as actions of the server's own. */
#include <inttypes.h>

#include "proto/wire.h"
#include "ps/server/ranking_parts.h"
#include "tidemill/v1/ranking.pb-c.h"

enum { REWARD_REQUEST_MAX = 1 << 20, POSITION = 1 };

static struct bytes optional_text(const char *text) { return text ? bytes_text(text) : (struct bytes){0}; }

static enum tm_code check_shape(const Tidemill__V1__RewardRequest *q, struct tm_error *err)
{
    if (q->n_docs < 1 || q->n_docs > REWARD_DOCS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "docs: %zu; expected 1 to %d", q->n_docs, REWARD_DOCS_MAX);
    if (q->n_values != 0 && q->n_values != q->n_docs)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "values: %zu of %zu docs; expected one of each, or none",
                            q->n_values, q->n_docs);
    if (q->n_events != 0 && q->n_events != q->n_docs)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "events: %zu of %zu docs; expected one of each, or none",
                            q->n_events, q->n_docs);
    return TM_OK;
}

static struct event action(const Tidemill__V1__RewardRequest *q, const char *stream, size_t i)
{
    struct event e = {.stream = bytes_text(stream),
                      .request = optional_text(q->request),
                      .user = optional_text(q->user),
                      .doc = bytes_text(q->docs[i]),
                      .value = 1};
    e.event = q->n_events ? bytes_text(q->events[i]) : e.request; /* a call that is sent again counts once */
    if (q->n_values) {
        e.value = q->values[i];
        e.has |= EVENT_HAS_VALUE;
    }
    return e;
}

static enum tm_code take_actions(struct ranking *r, const Tidemill__V1__RewardRequest *q, struct stamped **batch,
                                 struct tm_error *err)
{
    uint8_t stream = 0;
    enum tm_code rc = check_shape(q, err);
    if (rc == TM_OK)
        rc = ranking_stream(r, JOINER_ACTION, optional_text(q->stream), &stream, err);
    if (rc != TM_OK)
        return rc;
    uint64_t user;
    if (door_user(r->engine, stream, optional_text(q->user), &user) == USER_BLOCKED)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "user: it is on the list of blocked users");
    const char *name = engine_schema(r->engine)->stream_name[stream];
    *batch = stamped_new(r->stamper, (uint32_t)q->n_docs, false);
    for (size_t i = 0; rc == TM_OK && i < q->n_docs; i++) {
        struct event e = action(q, name, i);
        rc = ranking_check_event(r, &e, stream, (uint32_t)i, err);
        if (rc == TM_OK)
            stamped_add(*batch, &e, stream, BLOCK_VERSION_NONE);
    }
    return rc;
}

void ranking_reward(struct ranking *r, const struct caller *caller, struct bytes request)
{
    struct tm_error err;
    struct stamped *batch = NULL;
    struct buffer body = {0};
    Tidemill__V1__RewardRequest *q =
        (void *)wire_unpack(&tidemill__v1__reward_request__descriptor, request, REWARD_REQUEST_MAX, &err);
    if (q && take_actions(r, q, &batch, &err) == TM_OK) {
        stamped_send(batch, caller, &body, q->durable, POSITION);
    } else {
        stamped_drop(batch);
        caller->fail(caller->call, &err);
    }
    wire_free(q ? &q->base : NULL);
}
