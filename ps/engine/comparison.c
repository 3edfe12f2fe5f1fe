#include "ps/engine/comparison.h"

#include <math.h>
#include <stdlib.h>

#include "ps/engine/final_labels.h"
#include "ps/engine/sample_reader.h"

struct comparison {
    struct comparison_query query;
    struct sample_reader *corrections, *samples; /* corrections: NULL once they are read */
    struct final_labels final;
    struct policy_comparison policies;
    uint64_t unrewarded[2], lost, corrections_bytes;
    enum tm_code rc; /* of a visit, which cannot fail by itself */
    struct tm_error error;
};

/* ---- reading ---- */

static double reward_of(const struct comparison *c, const struct kept_sample *s)
{
    double value;
    return !s->excluded && reward_value(&c->query.reward, s->label, &value) ? value : NAN;
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

/* Corrections are opened last: what is a sample to one reader has all its corrections so far in the other. */
enum tm_code comparison_open(struct engine *e, const struct comparison_query *query, struct comparison **out,
                             struct tm_error *err)
{
    struct comparison *c = mem_new(1, sizeof *c);
    c->query = *query;
    enum tm_code rc = open_reader(e, c, SAMPLES_NEW, &c->samples, err);
    if (rc == TM_OK)
        rc = open_reader(e, c, SAMPLES_CORRECTIONS, &c->corrections, err);
    if (rc == TM_OK) {
        c->corrections_bytes = sample_reader_total(c->corrections);
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

enum tm_code comparison_step(struct comparison *c, bool *end, struct tm_error *err)
{
    bool read = false;
    *end = false;
    if (!c->corrections) {
        enum tm_code rc = read_row(c, c->samples, take_sample, end, err);
        c->lost += sample_reader_lost(c->samples);
        return rc;
    }
    enum tm_code rc = read_row(c, c->corrections, take_correction, &read, err);
    if (read) {
        sample_reader_close(c->corrections);
        c->corrections = NULL;
    }
    return rc;
}

uint64_t comparison_done(const struct comparison *c)
{
    return (c->corrections ? sample_reader_done(c->corrections) : c->corrections_bytes) +
           sample_reader_done(c->samples);
}

uint64_t comparison_total(const struct comparison *c) { return c->corrections_bytes + sample_reader_total(c->samples); }

/* ---- the result ---- */

enum tm_code comparison_result(struct comparison *c, struct comparison_result *out, struct tm_error *err)
{
    *out = (struct comparison_result){.lost = c->lost};
    for (int i = 0; i < 2; i++) {
        out->samples[i] = c->policies.log[i].samples;
        out->untold[i] = c->policies.log[i].untold;
        out->unrewarded[i] = c->unrewarded[i];
        if (out->samples[i] == 0)
            return tm_error_set(err, TM_FAILED_PRECONDITION,
                                "version %s: no sample of that time is kept; they are after their decision, for "
                                "samples.retain, and a version has those of the impressions that name it",
                                c->query.version[i]->name);
    }
    policy_comparison_report(&c->policies, &out->report);
    return TM_OK;
}
