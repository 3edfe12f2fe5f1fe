#include "ps/engine/comparison.h"

#include <math.h>
#include <stdlib.h>

#include "ps/engine/final_labels.h"
#include "ps/engine/sample_reader.h"

struct comparison {
    struct comparison_query query;
    struct sample_reader *corrections, *samples; /* NULL once they are read */
    struct final_labels final;
    struct policy_comparison policies;
    struct request_estimate *request[2]; /* of version i from the log of the other */
    struct comparison_result result;     /* of what is read */
    uint64_t unrewarded[2], lost, corrections_bytes, samples_bytes;
    enum tm_code rc; /* of a visit, which cannot fail by itself */
    struct tm_error error;
};

/* ---- reading ---- */

/* Values that a sum of all there ever will be, and its square, can hold; actions may be worth any double. */
static const double reward_max = 1e100;

static double reward_of(const struct comparison *c, const struct kept_sample *s)
{
    double value;
    bool has = !s->excluded && reward_value(&c->query.reward, s->label, &value) && fabs(value) <= reward_max;
    return has ? value : NAN;
}

static void take_correction(void *context, const struct engine_sample *shown)
{
    struct comparison *c = context;
    const struct kept_sample *s = shown->sample;
    if (c->rc == TM_OK)
        c->rc = final_labels_put(&c->final, shown->shard, s->original, reward_of(c, s), s->keep, &c->error);
}

static void take_sample(void *context, const struct engine_sample *shown)
{
    struct comparison *c = context;
    const struct kept_sample *s = shown->sample;
    const struct event *e = &s->event;
    const struct final_label *final = final_labels_of(&c->final, shown->shard, s->sequence);
    int log = shown->version && shown->version->id == c->query.version[1]->id;
    struct policy_decision d = {
        .doc = e->doc,
        .position = e->has & EVENT_HAS_POSITION ? e->position : INT32_MIN,
        .propensity = e->has & EVENT_HAS_PROPENSITY ? e->propensity : 0,
        .reward = final ? final->reward : reward_of(c, s),
        .times = 1 / (final ? final->keep : s->keep),
    };
    request_estimate_add(c->request[1 - log], shown->shard, s, &d);
    if (isnan(d.reward))
        c->unrewarded[log]++;
    else if (c->rc == TM_OK)
        c->rc = policy_comparison_add(&c->policies, log, &d, &c->error);
}

static enum tm_code open_reader(struct engine *e, struct comparison *c, enum sample_kinds kinds,
                                struct sample_reader **out, struct tm_error *err)
{
    struct sample_query q = {.newest = SAMPLES_NEWEST_ALL,
                             .filter = {.version = c->query.version,
                                        .versions = ARRAY_LEN(c->query.version),
                                        .since = c->query.since,
                                        .until = kinds == SAMPLES_NEW ? c->query.until : INT64_MAX,
                                        .kinds = kinds,
                                        .until_position = UINT64_MAX}};
    return sample_reader_open(e, &q, out, err);
}

static enum tm_code open_requests(struct engine *e, struct comparison *c, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    for (int i = 0; rc == TM_OK && i < 2; i++)
        rc = request_estimate_open(e, c->query.version[i], c->query.candidates, &c->request[i], err);
    return rc;
}

/* Corrections are opened last: what is a sample to one reader has all its corrections so far in the other. */
enum tm_code comparison_open(struct engine *e, const struct comparison_query *query, struct comparison **out,
                             struct tm_error *err)
{
    struct comparison *c = mem_new(1, sizeof *c);
    c->query = *query;
    enum tm_code rc = open_requests(e, c, err);
    if (rc == TM_OK)
        rc = open_reader(e, c, SAMPLES_NEW, &c->samples, err);
    if (rc == TM_OK)
        rc = open_reader(e, c, SAMPLES_CORRECTIONS, &c->corrections, err);
    if (rc == TM_OK) {
        c->corrections_bytes = sample_reader_total(c->corrections);
        c->samples_bytes = sample_reader_total(c->samples);
        *out = c;
    } else {
        comparison_close(c);
    }
    return rc;
}

void comparison_close(struct comparison *c)
{
    if (!c)
        return;
    sample_reader_close(c->corrections);
    sample_reader_close(c->samples);
    for (int i = 0; i < 2; i++)
        request_estimate_close(c->request[i]);
    final_labels_close(&c->final);
    policy_comparison_close(&c->policies);
    free(c);
}

static enum tm_code read_row(struct comparison *c, struct sample_reader *r, sample_visit *visit, bool *end,
                             struct tm_error *err)
{
    enum sample_progress progress;
    enum tm_code rc = sample_reader_step(r, visit, c, &progress, err);
    if (rc == TM_OK && (rc = c->rc) != TM_OK)
        *err = c->error;
    *end = rc == TM_OK && progress == SAMPLES_END;
    return rc;
}

/* Whose choices in the other's requests are to be worked out? */
static bool is_wanted(const struct comparison *c, int i)
{
    const struct policy_log *log = c->policies.log;
    return !c->result.report.from_propensities[i] && !c->result.report.estimate[i].refused && log[1 - i].samples > 0 &&
           (log[i].samples == 0 || model_uses_features(c->query.version[i]->model));
}

static bool learns_from(const struct version *v, const struct version *other)
{
    for (uint32_t i = 0; i < v->samples_from_count; i++)
        if (v->samples_from[i] == other->id)
            return true;
    return false;
}

/* All samples are read. */
static void begin_requests(struct comparison *c)
{
    struct comparison_result *r = &c->result;
    sample_reader_close(c->samples);
    c->samples = NULL;
    policy_comparison_report(&c->policies, &r->report);
    for (int i = 0; i < 2; i++) {
        r->requests[i].tried = is_wanted(c, i);
        r->requests[i].informed = learns_from(c->query.version[i], c->query.version[1 - i]);
        if (r->requests[i].tried)
            request_estimate_start(c->request[i], &c->policies, 1 - i);
    }
}

static void rank_request(struct comparison *c, bool *end)
{
    *end = true;
    for (int i = 0; *end && i < 2; i++)
        if (c->result.requests[i].tried)
            request_estimate_step(c->request[i], end);
}

enum tm_code comparison_step(struct comparison *c, bool *end, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    bool read = false;
    *end = false;
    if (c->corrections) {
        rc = read_row(c, c->corrections, take_correction, &read, err);
        if (read) {
            sample_reader_close(c->corrections);
            c->corrections = NULL;
        }
    } else if (c->samples) {
        rc = read_row(c, c->samples, take_sample, &read, err);
        c->lost += sample_reader_lost(c->samples);
        if (read)
            begin_requests(c);
    } else {
        rank_request(c, end);
    }
    return rc;
}

uint64_t comparison_done(const struct comparison *c)
{
    uint64_t done = c->corrections ? sample_reader_done(c->corrections) : c->corrections_bytes;
    done += c->samples ? sample_reader_done(c->samples) : c->samples_bytes;
    for (int i = 0; i < 2; i++)
        if (c->result.requests[i].tried)
            done += request_estimate_done(c->request[i]);
    return done;
}

uint64_t comparison_total(const struct comparison *c)
{
    uint64_t total = c->corrections_bytes + c->samples_bytes;
    for (int i = 0; i < 2; i++)
        if (c->result.requests[i].tried)
            total += request_estimate_total(c->request[i]);
    return total;
}

/* ---- the result ---- */

static enum tm_code take_estimate(struct comparison *c, int i, struct tm_error *err)
{
    struct comparison_result *r = &c->result;
    struct policy_estimate *estimate = &r->report.estimate[i];
    if (!r->requests[i].tried)
        return TM_OK;
    enum tm_code rc = request_estimate_result(c->request[i], &r->requests[i].summary, estimate, err);
    r->requests[i].told = r->requests[i].summary.refusal == REQUEST_FINE && r->requests[i].summary.requests > 0;
    estimate->refused = !r->requests[i].told && r->samples[i] == 0;
    return rc;
}

enum tm_code comparison_result(struct comparison *c, struct comparison_result *out, struct tm_error *err)
{
    struct comparison_result *r = &c->result;
    r->lost = c->lost;
    for (int i = 0; i < 2; i++) {
        r->samples[i] = c->policies.log[i].samples;
        r->untold[i] = c->policies.log[i].untold;
        r->unrewarded[i] = c->unrewarded[i];
    }
    if (r->samples[0] + r->samples[1] == 0)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "versions %s and %s: no sample of that time is kept; they are after their decision, for "
                            "samples.retain, and a version has those of the impressions that name it",
                            c->query.version[0]->name, c->query.version[1]->name);
    enum tm_code rc = TM_OK;
    for (int i = 0; rc == TM_OK && i < 2; i++)
        rc = take_estimate(c, i, err);
    *out = *r;
    return rc;
}
