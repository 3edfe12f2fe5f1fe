#include "ps/server/comparison_message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "proto/wire.h"
#include "ps/server/fill.h"
#include "tidemill/v1/comparisons.pb-c.h"

typedef Tidemill__V1__PolicyInterval Interval;

enum { WARNINGS_MAX = 16, WARNING_SIZE = 384, OBSTACLE_SIZE = 140 };

/* The message and all that it points to. */
struct parts {
    Tidemill__V1__CompareVersionsReply reply;
    Tidemill__V1__ComparedVersion version[2];
    Tidemill__V1__OffPolicyEstimate estimate[2];
    Interval mean[2], difference, ips[2], snips[2], dr[2], weight[2];
    Tidemill__V1__ComparedVersion *versions[2];
    Tidemill__V1__OffPolicyEstimate *estimates[2];
    char refused[2][WARNING_SIZE], warning[WARNINGS_MAX][WARNING_SIZE];
    char *warnings[WARNINGS_MAX];
};

#define FILL_FINITE(message, field, number) ((message)->field = (number), (message)->has_##field = isfinite(number))

static void fill_interval(Interval *m, const struct policy_interval *i)
{
    tidemill__v1__policy_interval__init(m);
    FILL_FINITE(m, value, i->value);
    FILL_FINITE(m, error, i->error);
    FILL_FINITE(m, lower, i->lower);
    FILL_FINITE(m, upper, i->upper);
    FILL_FINITE(m, any_time_lower, i->any_time_lower);
    FILL_FINITE(m, any_time_upper, i->any_time_upper);
}

static void warn(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct parts *p, const char *format, ...)
{
    va_list list;
    CHECK(p->reply.n_warnings < WARNINGS_MAX);
    char *text = p->warning[p->reply.n_warnings];
    va_start(list, format);
    vsnprintf(text, OBSTACLE_SIZE, format, list);
    va_end(list);
    p->warnings[p->reply.n_warnings++] = text;
}

static void fill_version(struct parts *p, const struct comparison_query *q, const struct comparison_result *r, int i)
{
    Tidemill__V1__ComparedVersion *m = &p->version[i];
    tidemill__v1__compared_version__init(m);
    m->version = fill_text(q->version[i]->name);
    FILL(m, samples, r->samples[i]);
    FILL(m, without_propensity, r->untold[i]);
    FILL(m, without_reward, r->unrewarded[i]);
    fill_interval(&p->mean[i], &r->report.mean[i]);
    m->mean = &p->mean[i];
    const char *by = r->report.from_propensities[i] ? "propensity"
                     : r->requests[i].told          ? "requests"
                     : r->samples[i] > 0            ? "frequency"
                                                    : NULL;
    m->described_by = fill_text(by);
    p->versions[i] = m;
}

/* Why a version's choices could not be worked out request by request; "" where that is not known. i: whose they are. */
static const char *obstacle(const struct comparison_result *r, int i, char text[static OBSTACLE_SIZE])
{
    const struct request_summary *s = &r->requests[i].summary;
    text[0] = '\0';
    if (s->refusal == REQUEST_NO_FEATURES)
        snprintf(text, OBSTACLE_SIZE,
                 "%" PRIu64 " of %" PRIu64 " samples have no features that it takes, neither of their impression nor "
                 "joined to it",
                 s->without_features, s->samples);
    else if (s->refusal == REQUEST_CROWDED)
        snprintf(text, OBSTACLE_SIZE, "the log shows more than %d documents", REQUEST_CANDIDATES_MAX);
    return text;
}

/* i: whose value it is; the log is the other's. */
static void fill_refused(struct parts *p, const struct comparison_query *q, const struct comparison_result *r, int i)
{
    char why[OBSTACLE_SIZE];
    int log = 1 - i;
    if (r->samples[log] == 0)
        snprintf(p->refused[i], WARNING_SIZE, "no sample of %s is kept", q->version[log]->name);
    else if (r->requests[i].tried)
        snprintf(p->refused[i], WARNING_SIZE,
                 "%s was not served, and what it would have done in the requests of %s is not known%s%s",
                 q->version[i]->name, q->version[log]->name, *obstacle(r, i, why) ? ": " : "", why);
    else
        snprintf(p->refused[i], WARNING_SIZE,
                 "%" PRIu64 " of the %" PRIu64 " samples of %s have no propensity, more than %g %% of them or of what "
                 "they earned: impressions must carry the probability with which their document was chosen for its "
                 "position",
                 r->untold[log], r->samples[log], q->version[log]->name, 100 * POLICY_UNTOLD);
    p->estimate[i].refused = p->refused[i];
}

static void warn_of_estimate(struct parts *p, const struct comparison_query *q, const struct comparison_result *r,
                             int i)
{
    const struct policy_estimate *e = &r->report.estimate[i];
    const char *whose = q->version[i]->name, *log = q->version[1 - i]->name;
    char effective[TEXT_NUMBER_SIZE];
    snprintf(effective, sizeof effective, "%.3g", isfinite(e->report.effective) ? e->report.effective : 0);
    if (e->little)
        warn(p,
             "%s from the log of %s: do not rely on it: its effective size is %s samples, expected are at least %d; "
             "%s hardly does what %s does",
             whose, log, effective, POLICY_EFFECTIVE_MIN, log, whose);
    if (!e->report.weight_plausible)
        warn(p,
             "%s from the log of %s: the mean weight is %.3g, more than 3 standard errors from 1: the propensities are "
             "not those that %s chose with, or %s shows what %s never shows%s",
             whose, log, e->weight.value, log, whose, log,
             r->requests[i].told ? ", or the candidates are not those that were ranked (see --candidates)" : "");
}

static void warn_of_requests(struct parts *p, const struct comparison_query *q, const struct comparison_result *r,
                             int i)
{
    const char *whose = q->version[i]->name, *log = q->version[1 - i]->name;
    char why[OBSTACLE_SIZE];
    if (!r->requests[i].tried)
        return;
    if (!r->requests[i].told && r->samples[i] > 0 && *obstacle(r, i, why))
        warn(p, "%s from the log of %s: described by how often it shows each document, because %s", whose, log, why);
    else if (r->requests[i].told && r->requests[i].informed)
        warn(p,
             "%s from the log of %s: it learns from these samples, and ranks as it is now: the estimate is too good, "
             "unless the samples were decided after it stopped learning; see --from",
             whose, log);
}

static void fill_requests(Tidemill__V1__OffPolicyEstimate *m, const struct request_summary *s)
{
    FILL(m, requests, s->requests);
    FILL(m, request_share, s->share);
    m->candidates = fill_text(s->candidates == REQUEST_ANY ? "any" : "together");
}

static void fill_estimate(struct parts *p, const struct comparison_query *q, const struct comparison_result *r, int i)
{
    Tidemill__V1__OffPolicyEstimate *m = &p->estimate[i];
    const struct policy_estimate *e = &r->report.estimate[i];
    tidemill__v1__off_policy_estimate__init(m);
    m->version = fill_text(q->version[i]->name);
    m->log = fill_text(q->version[1 - i]->name);
    warn_of_requests(p, q, r, i);
    if (e->refused) {
        fill_refused(p, q, r, i);
        return;
    }
    fill_interval(m->ips = &p->ips[i], &e->ips);
    fill_interval(m->snips = &p->snips[i], &e->snips);
    fill_interval(m->dr = &p->dr[i], &e->dr);
    fill_interval(m->mean_weight = &p->weight[i], &e->weight);
    FILL_FINITE(m, max_weight, e->report.weight_max);
    FILL_FINITE(m, effective_samples, e->report.effective);
    if (r->requests[i].told)
        fill_requests(m, &r->requests[i].summary);
    warn_of_estimate(p, q, r, i);
}

static void warn_of_samples(struct parts *p, const struct comparison_query *q, const struct comparison_result *r)
{
    if (r->lost)
        warn(p, "%" PRIu64 " samples went while they were read (samples.retain): compare a later time", r->lost);
    for (int i = 0; i < 2; i++)
        if (r->unrewarded[i])
            warn(p,
                 "%" PRIu64 " samples of %s are left out: for their labels the reward divides by 0 or is beyond 1e100",
                 r->unrewarded[i], q->version[i]->name);
}

void comparison_message_pack(const struct comparison_query *q, const struct comparison_result *r, struct buffer *out)
{
    struct parts p;
    Tidemill__V1__CompareVersionsReply *m = &p.reply;
    tidemill__v1__compare_versions_reply__init(m);
    m->reward = fill_text(q->reward.text);
    m->versions = p.versions;
    m->n_versions = 2;
    m->warnings = p.warnings;
    m->estimates = p.estimates;
    for (int i = 0; i < 2; i++)
        fill_version(&p, q, r, i);
    for (int i = 1; i >= 0; i--) { /* first what the log of a says of b */
        fill_estimate(&p, q, r, i);
        p.estimates[m->n_estimates++] = &p.estimate[i];
    }
    fill_interval(m->difference = &p.difference, &r->report.difference);
    FILL(m, lost, r->lost);
    warn_of_samples(&p, q, r);
    wire_pack(&m->base, out);
}
