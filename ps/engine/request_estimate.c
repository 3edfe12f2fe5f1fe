#include "ps/engine/request_estimate.h"

#include <stdlib.h>

#include "proto/wire.h"

enum { SEEN_SLOTS = 4 * 1024 };
static_assert(SEEN_SLOTS > 2 * REQUEST_CANDIDATES_MAX && (SEEN_SLOTS & (SEEN_SLOTS - 1)) == 0, "mostly empty");

/* What of the log is the same for all requests; filled for REQUEST_ANY. */
struct log_choices {
    struct bytes doc[REQUEST_CANDIDATES_MAX];
    struct hash128 hash[REQUEST_CANDIDATES_MAX];
    int32_t position[REQUEST_CANDIDATES_MAX]; /* in order: its index is the place */
    uint32_t docs, positions;
};

/* Candidates of one ranking, and what comes of it. */
struct candidates {
    uint32_t count;
    struct bytes doc[REQUEST_CANDIDATES_MAX];
    struct hash128 hash[REQUEST_CANDIDATES_MAX];
    struct arm arm[REQUEST_CANDIDATES_MAX];
    double mean[REQUEST_CANDIDATES_MAX];
    bool known[REQUEST_CANDIDATES_MAX];
    uint32_t place[REQUEST_CANDIDATES_MAX];
    float *x;        /* `width` of each */
    double *chances; /* `count` of each place asked for */
};

struct request_estimate {
    struct engine *engine;
    const struct version *target;
    const struct encoder *encoder;
    const char *representation; /* that it makes; NULL: there is none */
    enum request_candidates wanted;
    struct request_summary summary;
    struct logged_requests log;
    struct feature_vector vector;
    struct encoding encoding;
    struct buffer packed;
    const struct policy_comparison *actions;
    int which;
    size_t at;
    struct log_choices *any;
    struct candidates *candidates;
    struct off_policy_requests sums;
};

/* Parameters are read from memory: when this returns, all are of the encoder that was found, or of a newer one, which
 * request_estimate_result sees. */
static enum tm_code settle_encoder(struct request_estimate *r, struct tm_error *err)
{
    uint64_t position;
    r->representation = engine_version_encoder(r->engine, r->target);
    enum tm_code rc = engine_find_encoder(r->engine, r->target, &r->encoder, err);
    return rc == TM_OK && r->encoder ? engine_drain(r->engine, &position, err) : rc;
}

enum tm_code request_estimate_open(struct engine *e, const struct version *target, enum request_candidates candidates,
                                   struct request_estimate **out, struct tm_error *err)
{
    struct request_estimate *r = mem_new(1, sizeof *r);
    *r = (struct request_estimate){.engine = e, .target = target, .wanted = candidates};
    logged_requests_open(&r->log, model_uses_features(target->model) ? target->config.dimension : 0,
                         LOGGED_REQUESTS_BYTES);
    r->candidates = mem_new(1, sizeof *r->candidates);
    *out = r;
    return settle_encoder(r, err);
}

void request_estimate_close(struct request_estimate *r)
{
    if (!r)
        return;
    logged_requests_close(&r->log);
    feature_vector_close(&r->vector);
    encoding_close(&r->encoding);
    buffer_close(&r->packed);
    free(r->candidates->x);
    free(r->candidates->chances);
    free(r->candidates);
    free(r->any);
    free(r);
}

/* ---- features of a sample ---- */

/* A sample, and the streams that there are. */
struct kept_parts {
    const struct catalog *schema;
    const struct kept_sample *sample;
};

static bool find_kept(void *context, uint8_t stream, struct event *out)
{
    enum { RECORD = 1 }; /* of TableRows and FeatureRecords */
    const struct kept_parts *k = context;
    bool table = k->schema->join.stream[stream].kind == JOINER_TABLE;
    struct reader reader = reader_of(table ? k->sample->tables : k->sample->records);
    struct wire_field field;
    while (wire_next(&reader, &field))
        if (field.number == RECORD && event_scan(field.bytes, out, NULL) == TM_OK &&
            bytes_equal(out->stream, bytes_text(k->schema->stream_name[stream])))
            return true;
    return false;
}

/* As a shard did. The streams of now, because some may come while samples are read. */
static bool gather(struct request_estimate *r, const struct kept_sample *s)
{
    struct kept_parts kept = {engine_schema(r->engine), s};
    struct input_sources sources;
    version_input_sources(kept.schema, &sources);
    r->packed.size = 0;
    return version_input_gather(&sources, &(struct input_parts){s->streams, &s->event, find_kept, &kept}, &r->packed,
                                NULL);
}

/* NULL: the version does not take them. */
static const float *bring_x(struct request_estimate *r, const struct kept_sample *s)
{
    struct bytes packed;
    if (!gather(r, s))
        return NULL;
    packed = buffer_view(&r->packed);
    encoding_forget(&r->encoding);
    if (!feature_vector_unpack(packed, &r->vector) ||
        version_input_judge(r->target, r->encoder, &r->vector, &r->encoding, packed, 1) != REASON_NONE)
        return NULL;
    return version_input_x(r->encoder, &r->vector, &r->encoding, packed);
}

/* Without an id every sample is a request. */
static uint64_t request_of(uint32_t shard, const struct kept_sample *s)
{
    return s->event.request.size ? draw_key(s->event.request) : draw_mix((uint64_t)shard << 48 ^ s->sequence);
}

void request_estimate_add(struct request_estimate *r, uint32_t shard, const struct kept_sample *s,
                          const struct policy_decision *d)
{
    struct logged_sample sample = {.request = request_of(shard, s),
                                   .position = d->position,
                                   .propensity = d->propensity,
                                   .reward = d->reward,
                                   .times = d->times};
    const float *x = r->log.width ? bring_x(r, s) : NULL;
    r->summary.samples++;
    if (r->log.width && !x)
        r->summary.without_features++;
    else
        logged_requests_add(&r->log, &sample, d->doc, x);
}

/* ---- which candidates ---- */

/* False: there are too many. */
static bool add_doc(struct log_choices *a, uint16_t seen[SEEN_SLOTS], struct hash128 hash, struct bytes doc)
{
    uint32_t slot = (uint32_t)hash.lo & (SEEN_SLOTS - 1);
    for (; seen[slot]; slot = (slot + 1) & (SEEN_SLOTS - 1))
        if (hash128_equal(a->hash[seen[slot] - 1], hash))
            return true;
    if (a->docs == REQUEST_CANDIDATES_MAX)
        return false;
    a->doc[a->docs] = doc;
    a->hash[a->docs++] = hash;
    seen[slot] = (uint16_t)a->docs;
    return true;
}

static uint32_t place_of(const struct log_choices *a, int32_t position)
{
    uint32_t at = 0;
    while (at < a->positions && a->position[at] < position)
        at++;
    return at;
}

static bool add_position(struct log_choices *a, int32_t position)
{
    uint32_t at = place_of(a, position);
    if (at < a->positions && a->position[at] == position)
        return true;
    if (a->positions == REQUEST_CANDIDATES_MAX)
        return false;
    memmove(a->position + at + 1, a->position + at, (a->positions - at) * sizeof *a->position);
    a->position[at] = position;
    a->positions++;
    return true;
}

static bool collect(struct request_estimate *r)
{
    uint16_t seen[SEEN_SLOTS] = {0};
    bool fits = true;
    r->any = mem_new(1, sizeof *r->any);
    for (size_t i = 0; fits && i < r->log.samples; i++) {
        const struct logged_sample *s = &r->log.sample[i];
        fits = add_doc(r->any, seen, s->doc, logged_doc(&r->log, s)) && add_position(r->any, s->position);
    }
    return fits;
}

static bool some_request_has_two(const struct logged_requests *l)
{
    for (size_t i = 1; i < l->samples; i++)
        if (l->sample[i].request == l->sample[i - 1].request)
            return true;
    return false;
}

void request_estimate_start(struct request_estimate *r, const struct policy_comparison *actions, int log)
{
    struct request_summary *s = &r->summary;
    r->actions = actions;
    r->which = log;
    logged_requests_sort(&r->log);
    s->share = ldexp(1, -(int)r->log.halvings);
    s->candidates = r->wanted;
    if (s->candidates == REQUEST_EITHER)
        s->candidates = some_request_has_two(&r->log) ? REQUEST_TOGETHER : REQUEST_ANY;
    if ((double)s->without_features > POLICY_UNTOLD * (double)s->samples)
        s->refusal = REQUEST_NO_FEATURES;
    else if (s->candidates == REQUEST_ANY && !collect(r))
        s->refusal = REQUEST_CROWDED;
}

/* ---- one ranking ---- */

static void make_room_for_x(struct request_estimate *r)
{
    struct candidates *c = r->candidates;
    if (r->log.width)
        c->x = mem_grow(c->x, (size_t)c->count * r->log.width, sizeof *c->x);
}

static void put_x(const struct request_estimate *r, uint32_t at, const struct logged_sample *s)
{
    if (r->log.width)
        memcpy(r->candidates->x + (size_t)at * r->log.width, logged_x(&r->log, s), r->log.width * sizeof(float));
}

/* How likely each candidate comes to each of these places. */
static void find_chances(struct request_estimate *r, uint64_t request, uint32_t places)
{
    struct candidates *c = r->candidates;
    struct scoring s = {.version = r->target,
                        .docs = c->doc,
                        .count = c->count,
                        .x = c->x,
                        .encoder = r->representation,
                        .arms = c->arm,
                        .means = c->mean,
                        .known = c->known};
    uint32_t draws = REQUEST_NUMBERS / c->count;
    draws = draws > REQUEST_DRAWS ? REQUEST_DRAWS : draws < REQUEST_DRAWS_MIN ? REQUEST_DRAWS_MIN : draws;
    engine_score(r->engine, &s);
    c->chances = mem_grow(c->chances, (size_t)c->count * places, sizeof *c->chances);
    policy_chances(&r->target->policy, request, r->target->id, c->arm, c->count, c->place, places, draws, c->chances);
}

/* chances: of the candidates at the sample's place; own: of its document. */
static void add_decision(const struct request_estimate *r, const struct logged_sample *s, const double *chances,
                         double own, struct off_policy_request *sum)
{
    const struct candidates *c = r->candidates;
    struct decision d = {.propensity = s->propensity,
                         .target = fmin(own, 1),
                         .reward = s->reward,
                         .expected_action = policy_comparison_expected(r->actions, r->which, s->doc, s->position)};
    for (uint32_t i = 0; i < c->count; i++)
        if (chances[i] > 0)
            d.expected_target += chances[i] * policy_comparison_expected(r->actions, r->which, c->hash[i], s->position);
    off_policy_request_add(sum, &d, s->times);
}

static bool is_decision(const struct logged_sample *s) { return s->propensity > 0 && !isnan(s->reward); }

static void rank_together(struct request_estimate *r, const struct logged_sample *s, uint32_t n,
                          struct off_policy_request *sum)
{
    struct candidates *c = r->candidates;
    c->count = n;
    make_room_for_x(r);
    for (uint32_t i = 0; i < n; i++) {
        c->doc[i] = logged_doc(&r->log, &s[i]);
        c->hash[i] = s[i].doc;
        c->place[i] = i > 0 && s[i].position == s[i - 1].position ? c->place[i - 1] : i;
        put_x(r, i, &s[i]);
    }
    find_chances(r, s->request, n);
    for (uint32_t i = 0; i < n; i++) {
        const double *chances = c->chances + (size_t)i * n;
        if (is_decision(&s[i]))
            add_decision(r, &s[i], chances, chances[i], sum);
    }
}

static void rank_any(struct request_estimate *r, const struct logged_sample *s, struct off_policy_request *sum)
{
    struct candidates *c = r->candidates;
    double own = 0;
    if (!is_decision(s))
        return;
    c->count = r->any->docs;
    c->place[0] = place_of(r->any, s->position);
    make_room_for_x(r);
    for (uint32_t i = 0; i < c->count; i++) {
        c->doc[i] = r->any->doc[i];
        c->hash[i] = r->any->hash[i];
        put_x(r, i, s);
    }
    find_chances(r, s->request, 1);
    for (uint32_t i = 0; i < c->count; i++)
        own += hash128_equal(c->hash[i], s->doc) ? c->chances[i] : 0;
    add_decision(r, s, c->chances, own, sum);
}

void request_estimate_step(struct request_estimate *r, bool *end)
{
    struct off_policy_request sum = {0};
    *end = r->summary.refusal != REQUEST_FINE || r->at == r->log.samples;
    if (*end)
        return;
    size_t first = r->at, next = logged_requests_end(&r->log, first);
    r->at = next;
    if (r->summary.candidates == REQUEST_ANY)
        for (size_t i = first; i < next; i++)
            rank_any(r, &r->log.sample[i], &sum);
    else if (next - first <= REQUEST_CANDIDATES_MAX)
        rank_together(r, &r->log.sample[first], (uint32_t)(next - first), &sum);
    if (sum.decisions > 0)
        off_policy_requests_add(&r->sums, &sum);
}

/* ---- the result ---- */

uint64_t request_estimate_done(const struct request_estimate *r) { return r->at; }
uint64_t request_estimate_total(const struct request_estimate *r) { return r->log.samples; }

enum tm_code request_estimate_result(const struct request_estimate *r, struct request_summary *summary,
                                     struct policy_estimate *out, struct tm_error *err)
{
    *summary = r->summary;
    summary->requests = r->sums.requests;
    if (engine_version_encoder(r->engine, r->target) != r->representation)
        return tm_error_set(err, TM_ABORTED, "version %s got another encoder meanwhile; ask again", r->target->name);
    if (summary->refusal == REQUEST_FINE && summary->requests > 0)
        policy_estimate_of_requests(&r->sums, out);
    return TM_OK;
}
