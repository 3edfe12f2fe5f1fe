#include "ps/server/ranking.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "proto/wire.h"
#include "ps/server/door.h"
#include "ps/server/rank_features.h"
#include "ps/server/ranking_parts.h"
#include "ps/state/version_policy.h"

enum { ID_BYTES = 16, SEEN_SLOTS = 4 * 1024 };
static_assert(SEEN_SLOTS >= 4 * RANK_DOCS_MAX && (SEEN_SLOTS & (SEEN_SLOTS - 1)) == 0, "a table that is mostly empty");

/* One call. */
struct rank {
    struct ranking *service;
    struct rank_request q;
    const struct version *version;
    uint8_t stream;
    struct policy policy;
    uint64_t seed;
    char made_id[2 * ID_BYTES + 1];
    struct rank_features features;
    struct encoder_id encoder; /* that made them; "": the version has none */
    struct scoring scoring;
    void *arrays; /* what scoring and choice lie in */
    struct choice *choice;
    double *scores; /* what the policy compared */
    bool blocked;   /* the user is: it gets its ranking, and nothing is logged */
    struct buffer body;
    struct stamped *batch; /* NULL: nothing is logged */
};

enum tm_code ranking_stream(const struct ranking *r, enum joiner_stream_kind kind, struct bytes name, uint8_t *stream,
                            struct tm_error *err)
{
    static const char *const kinds[] = {"feature", "impression", "action"};
    const struct catalog *c = engine_schema(r->engine);
    char names[DOOR_NAMES_MAX];
    uint32_t found = 0;
    for (uint32_t i = 0; i < c->join.streams; i++) {
        bool named = !name.data || bytes_equal(name, bytes_text(c->stream_name[i]));
        if (c->join.stream[i].kind != kind || !named)
            continue;
        *stream = (uint8_t)i;
        found++;
    }
    if (found == 1)
        return TM_OK;
    door_streams_of(r->engine, kind, names);
    if (found > 1)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "stream: missing; there are %" PRIu32 " %s streams, name one of %s", found, kinds[kind],
                            names);
    int shown = name.size <= CATALOG_NAME_MAX && wire_is_text(name) ? (int)name.size : 0;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "stream: \"%.*s\"; expected the name of an %s stream: %s", shown,
                        (const char *)name.data, kinds[kind], names);
}

enum tm_code ranking_check_event(const struct ranking *r, const struct event *e, uint8_t stream, uint32_t index,
                                 struct tm_error *err)
{
    struct event stamped = *e;
    const char *field;
    stamped.time = clock_wall_ms();
    stamped.has |= EVENT_HAS_TIME;
    enum tm_code rc = event_validate(&stamped, stamped.time, &field, err);
    if (rc == TM_OK)
        rc = door_check_key(engine_schema(r->engine), stream, e, &field, err);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "docs[%" PRIu32 "]", index);
}

/* ---- what is asked for ---- */

/* The version's policy, but for what the call wants otherwise. */
static enum tm_code choose_policy(struct rank *r, struct tm_error *err)
{
    const struct rank_request *q = &r->q;
    struct policy *p = &r->policy;
    *p = r->version->policy;
    p->kind = rank_has(q, RANK_POLICY) ? q->policy : p->kind;
    p->epsilon = rank_has(q, RANK_EPSILON) ? q->epsilon : p->epsilon;
    p->width = rank_has(q, RANK_WIDTH) ? q->width : p->width;
    p->reranks = rank_has(q, RANK_PROPENSITY_DRAWS) ? q->propensity_draws : p->reranks;
    if (p->kind != POLICY_THOMPSON)
        p->reranks = 0; /* its propensities are exact */
    enum tm_code rc = version_policy_check(p, err);
    if (rc == TM_OK && p->reranks > RANK_DRAWS_MAX / q->count)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "propensity_draws: %" PRIu32 " of %" PRIu32 " candidates; expected at most %d together",
                            p->reranks, q->count, RANK_DRAWS_MAX);
    return rc;
}

static enum tm_code choose_request(struct rank *r, struct tm_error *err)
{
    uint8_t id[ID_BYTES];
    struct rank_request *q = &r->q;
    if (!q->request.data) {
        enum tm_code rc = random_fill(id, sizeof id, err);
        if (rc != TM_OK)
            return rc;
        for (size_t i = 0; i < sizeof id; i++)
            snprintf(r->made_id + 2 * i, 3, "%02x", id[i]);
        q->request = bytes_text(r->made_id);
    }
    r->seed = rank_has(q, RANK_SEED) ? q->seed : draw_key(q->request);
    if (q->slots >= 1 && q->slots <= q->count)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "slots: got %" PRIu32 "; expected 1 to %" PRIu32 ", the candidates",
                        q->slots, q->count);
}

/* ---- features ---- */

static enum tm_code bring_features(struct rank *r, struct tm_error *err)
{
    struct engine *e = r->service->engine;
    struct rank_tables tables = {0};
    const struct encoder *encoder;
    enum tm_code rc = engine_find_encoder(e, r->version, &encoder, err);
    if (rc == TM_OK && encoder)
        r->encoder = encoder_representation(encoder);
    if (rc == TM_OK && model_uses_features(r->version->model))
        rc = rank_tables_read(e, &r->q, &tables, err);
    if (rc == TM_OK)
        rc = rank_features_take(&r->q, r->version, encoder, &tables, &r->features, err);
    rank_tables_close(&tables);
    return rc;
}

/* ---- scores and order ---- */

static void make_room(struct rank *r)
{
    struct scoring *s = &r->scoring;
    size_t n = r->q.count;
    r->arrays =
        mem_new(n, sizeof *s->arms + sizeof *r->choice + sizeof *r->scores + sizeof *s->means + sizeof *s->known);
    *s = (struct scoring){.version = r->version,
                          .docs = r->q.docs,
                          .count = n,
                          .x = r->features.x,
                          .encoder = r->encoder.text,
                          .arms = r->arrays};
    r->choice = (struct choice *)(void *)(s->arms + n);
    r->scores = (double *)(void *)(r->choice + n);
    s->means = r->scores + n;
    s->known = (bool *)(s->means + n);
}

/* Each candidate by the hash that its draws go by. */
static enum tm_code check_twins(const struct rank *r, struct tm_error *err)
{
    uint16_t seen[SEEN_SLOTS] = {0}; /* index + 1 */
    const struct arm *arms = r->scoring.arms;
    for (uint32_t i = 0; i < r->q.count; i++) {
        uint32_t slot = (uint32_t)arms[i].item & (SEEN_SLOTS - 1);
        for (; seen[slot]; slot = (slot + 1) & (SEEN_SLOTS - 1)) {
            uint32_t other = seen[slot] - 1u;
            if (arms[other].item == arms[i].item && bytes_equal(r->q.docs[other], r->q.docs[i]))
                return tm_error_set(err, TM_INVALID_ARGUMENT,
                                    "docs[%" PRIu32 "]: the same as docs[%" PRIu32 "]; expected each once", i, other);
        }
        seen[slot] = (uint16_t)(i + 1);
    }
    return TM_OK;
}

static enum tm_code put_in_order(struct rank *r, struct tm_error *err)
{
    make_room(r);
    engine_score(r->service->engine, &r->scoring);
    enum tm_code rc = check_twins(r, err);
    if (rc != TM_OK)
        return rc;
    policy_rank(&r->policy, r->seed, r->version->id, r->scoring.arms, r->q.count, r->q.slots, r->choice);
    for (uint32_t i = 0; i < r->q.count; i++)
        r->scores[i] = policy_score(&r->policy, r->seed, r->version->id, &r->scoring.arms[i]);
    return TM_OK;
}

/* Not asked for, and without a closed form. */
static bool has_propensities(const struct rank *r) { return r->choice[0].propensity > 0; }

/* Events take no 0. */
static float logged_propensity(double p) { return p < (double)FLT_MIN ? FLT_MIN : (float)p; }

/* ---- the reply, and the log ---- */

static void put_places(const struct rank *r, struct buffer *b)
{
    enum { ORDER = 8, PROPENSITIES = 11 };
    CLEANUP(buffer_close) struct buffer order = {0}, propensities = {0};
    for (uint32_t k = 0; k < r->q.slots; k++) {
        float p = logged_propensity(r->choice[k].propensity);
        wire_put_varint(&order, r->choice[k].arm);
        buffer_put(&propensities, &p, sizeof p);
    }
    wire_put_bytes(b, ORDER, buffer_view(&order));
    if (has_propensities(r))
        wire_put_bytes(b, PROPENSITIES, buffer_view(&propensities));
}

static void pack_reply(struct rank *r)
{
    enum { REQUEST = 1, VERSION, GENERATION, AS_OF, SEED = 7, SCORES = 9, MEANS, KNOWN = 12, BLOCKED, SMALL = 1024 };
    struct buffer *b = &r->body;
    const struct scoring *s = &r->scoring;
    buffer_reserve(b, s->count * (2 * sizeof(double) + sizeof(uint32_t) + sizeof(float) + 1) + SMALL);
    wire_put_bytes(b, REQUEST, r->q.request);
    wire_put_bytes(b, VERSION, bytes_text(r->version->name));
    wire_put_bytes(b, GENERATION, bytes_text(engine_generation(r->service->engine)));
    if (s->as_of != INT64_MIN)
        wire_put_integer(b, AS_OF, (uint64_t)s->as_of);
    wire_put_integer(b, SEED, r->seed);
    put_places(r, b);
    wire_put_bytes(b, SCORES, bytes_of(r->scores, s->count * sizeof *r->scores));
    wire_put_bytes(b, MEANS, bytes_of(s->means, s->count * sizeof *s->means));
    wire_put_bytes(b, KNOWN, bytes_of(s->known, s->count * sizeof *s->known));
    if (r->blocked)
        wire_put_integer(b, BLOCKED, true);
}

static struct event impression(const struct rank *r, uint32_t place)
{
    const struct choice *c = &r->choice[place];
    const struct rank_request *q = &r->q;
    struct event e = {.stream = bytes_text(engine_schema(r->service->engine)->stream_name[r->stream]),
                      .request = q->request,
                      .doc = q->docs[c->arm],
                      .user = q->user,
                      .version = bytes_text(r->version->name),
                      .representation = q->representation,
                      .payload = q->payload,
                      .score = (float)r->scoring.means[c->arm],
                      .position = (int32_t)place + 1,
                      .has = EVENT_HAS_SCORE | EVENT_HAS_POSITION};
    if (has_propensities(r)) {
        e.propensity = logged_propensity(c->propensity);
        e.has |= EVENT_HAS_PROPENSITY;
    }
    if (r->features.there) {
        e.features = rank_features_sent(&r->features, c->arm);
        e.encoding = r->features.encoding;
        e.has |= EVENT_HAS_FEATURES;
    }
    return e;
}

/* Whether or not it is logged: a call that is wrong is wrong. */
static enum tm_code take_impressions(struct rank *r, struct tm_error *err)
{
    uint64_t user;
    r->blocked = door_user(r->service->engine, r->stream, r->q.user, &user) == USER_BLOCKED;
    if (r->q.log && !r->blocked)
        r->batch = stamped_new(r->service->stamper, r->q.slots, true);
    for (uint32_t k = 0; k < r->q.slots; k++) {
        struct event e = impression(r, k);
        enum tm_code rc = ranking_check_event(r->service, &e, r->stream, r->choice[k].arm, err);
        if (rc != TM_OK)
            return rc;
        if (r->batch)
            stamped_add(r->batch, &e, r->stream, r->version->id);
    }
    return TM_OK;
}

/* ---- Rank ---- */

static enum tm_code rank_all(struct rank *r, struct tm_error *err)
{
    enum tm_code rc = door_version(r->service->engine, r->q.version, &r->version, err);
    if (rc == TM_OK)
        rc = ranking_stream(r->service, JOINER_IMPRESSION, r->q.stream, &r->stream, err);
    if (rc == TM_OK)
        rc = choose_policy(r, err);
    if (rc == TM_OK)
        rc = choose_request(r, err);
    if (rc == TM_OK)
        rc = bring_features(r, err);
    if (rc == TM_OK)
        rc = put_in_order(r, err);
    if (rc == TM_OK)
        rc = take_impressions(r, err);
    if (rc == TM_OK)
        pack_reply(r);
    return rc;
}

static void answer(struct rank *r, const struct caller *caller)
{
    enum { POSITION = 5 };
    if (r->batch)
        stamped_send(r->batch, caller, &r->body, r->q.durable, POSITION);
    else
        caller->reply(caller->call, &r->body);
    r->batch = NULL;
}

void ranking_rank(struct ranking *service, const struct caller *caller, struct bytes request)
{
    struct rank r = {.service = service};
    struct tm_error err;
    enum tm_code rc = rank_request_scan(request, &r.q, &err);
    if (rc != TM_OK) {
        caller->fail(caller->call, &err);
        return;
    }
    if (rank_all(&r, &err) == TM_OK)
        answer(&r, caller);
    else
        caller->fail(caller->call, &err);
    stamped_drop(r.batch);
    rank_request_close(&r.q);
    rank_features_close(&r.features);
    free(r.arrays);
}

/* ---- the service ---- */

static void call_reply(void *call, struct buffer *body) { rpc_reply(call, body); }
static void call_fail(void *call, const struct tm_error *why) { rpc_fail(call, why); }

static void rank(void *service, struct rpc_call *call, struct bytes request)
{
    ranking_rank(service, &(struct caller){call, call_reply, call_fail}, request);
}

static void reward(void *service, struct rpc_call *call, struct bytes request)
{
    ranking_reward(service, &(struct caller){call, call_reply, call_fail}, request);
}

struct ranking *ranking_open(struct engine *engine, struct ingest_counts *counts, struct rpc *rpc)
{
    struct ranking *r = mem_new(1, sizeof *r);
    r->engine = engine;
    r->stamper = stamper_open(engine, counts);
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Ranking/Rank", .start = rank, .service = r});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Ranking/Reward", .start = reward, .service = r});
    return r;
}

void ranking_close(struct ranking *r)
{
    stamper_close(r->stamper);
    free(r);
}
