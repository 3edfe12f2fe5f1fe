#include "learner/beta_prior.h"

#include <math.h>
#include <stdlib.h>

#include "learner/beta.h"
#include "learner/special.h"
#include "learner/tally.h"

enum { NEWTON_STEPS_MAX = 50, HALVINGS_MAX = 30 };

static const double strength_least = 2, strength_most = 10000;

void beta_prior_close(struct beta_prior *p)
{
    free(p->kept);
    *p = (struct beta_prior){0};
}

/* Every stride-th; when there is no room left every other one of those goes. */
static void keep(struct beta_prior *p, struct beta_evidence e)
{
    if (!p->kept) {
        p->kept = mem_new(BETA_PRIOR_KEPT, sizeof *p->kept);
        p->stride = 1;
    }
    if ((p->documents - 1) % p->stride != 0)
        return;
    if (p->kept_count == BETA_PRIOR_KEPT) {
        for (uint32_t i = 0; i < BETA_PRIOR_KEPT / 2; i++)
            p->kept[i] = p->kept[2 * i];
        p->kept_count /= 2;
        p->stride *= 2;
    }
    p->kept[p->kept_count++] = e;
}

void beta_prior_add(struct beta_prior *p, double s, double f)
{
    double n = s + f, rate = s / n;
    if (!(n >= BETA_PRIOR_EVIDENCE)) {
        p->passed++;
        return;
    }
    p->documents++;
    p->rate += rate;
    p->square += rate * rate;
    p->inverse += 1 / n;
    keep(p, (struct beta_evidence){s, f});
}

void beta_prior_add_block(struct beta_prior *p, const struct model_config *config, const void *block, int64_t now)
{
    const struct beta_block *b = block;
    double left = tally_remaining(config->decay_per_ms, now, b->time);
    beta_prior_add(p, left * b->s, left * b->f);
}

static struct beta_prior_estimate within(double mean, double strength)
{
    double held = fmin(fmax(strength, strength_least), strength_most);
    return (struct beta_prior_estimate){mean * held, (1 - mean) * held, held != strength};
}

static struct beta_prior_estimate by_moments(const struct beta_prior *p)
{
    double k = (double)p->documents, mean = p->rate / k, inverse = p->inverse / k, chance = mean * (1 - mean);
    double variance = fmax(p->square - k * mean * mean, 0) / (k - 1);
    double true_variance = (variance - chance * inverse) / (1 - inverse);
    return within(mean, true_variance > 0 ? chance / true_variance - 1 : INFINITY);
}

/* ---- maximum likelihood ---- */

struct point {
    double a, b;
};

static double log_beta(double a, double b)
{
    int sign;
    return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

/* Of a document, on average. */
static double likelihood(const struct beta_prior *p, struct point at)
{
    double sum = 0, start = log_beta(at.a, at.b);
    for (uint32_t i = 0; i < p->kept_count; i++)
        sum += log_beta(at.a + p->kept[i].s, at.b + p->kept[i].f) - start;
    return sum / p->kept_count;
}

/* The step in (ln a, ln b): Newton's where the likelihood is curved like a summit, else uphill. */
static struct point step_at(const struct beta_prior *p, struct point at)
{
    double k = p->kept_count, both1 = digamma(at.a + at.b), both2 = trigamma(at.a + at.b);
    double ga = k * (both1 - digamma(at.a)), gb = k * (both1 - digamma(at.b));
    double haa = k * (both2 - trigamma(at.a)), hbb = k * (both2 - trigamma(at.b)), hab = k * both2;
    for (uint32_t i = 0; i < p->kept_count; i++) {
        double a = at.a + p->kept[i].s, b = at.b + p->kept[i].f;
        double sum1 = digamma(a + b), sum2 = trigamma(a + b);
        ga += digamma(a) - sum1;
        gb += digamma(b) - sum1;
        haa += trigamma(a) - sum2;
        hbb += trigamma(b) - sum2;
        hab -= sum2;
    }
    double ua = at.a * ga, ub = at.b * gb; /* d/du = a d/da, d2/du2 = a2 d2/da2 + a d/da */
    double uaa = at.a * at.a * haa + ua, ubb = at.b * at.b * hbb + ub, uab = at.a * at.b * hab;
    double determinant = uaa * ubb - uab * uab;
    if (uaa < 0 && determinant > 0)
        return (struct point){-(ubb * ua - uab * ub) / determinant, -(uaa * ub - uab * ua) / determinant};
    double size = fmax(fabs(ua), fabs(ub));
    return size > 0 ? (struct point){ua / size, ub / size} : (struct point){0, 0};
}

/* One step up; false: there is none, or it is too small to matter. */
static bool climb(const struct beta_prior *p, struct point *at, double *height)
{
    struct point step = step_at(p, *at);
    double size = fmax(fabs(step.a), fabs(step.b));
    double scale = size > 2 ? 2 / size : 1; /* at most a factor of e^2 at once */
    for (int i = 0; i < HALVINGS_MAX; i++, scale /= 2) {
        struct point next = {at->a * exp(scale * step.a), at->b * exp(scale * step.b)};
        double reached = likelihood(p, next);
        if (reached > *height || (i == 0 && size < 1e-9)) {
            *at = next;
            *height = reached;
            return size > 1e-9;
        }
    }
    return false;
}

static struct beta_prior_estimate by_likelihood(const struct beta_prior *p)
{
    struct beta_prior_estimate start = by_moments(p);
    struct point at = {start.alpha, start.beta};
    double height = likelihood(p, at);
    for (int i = 0; i < NEWTON_STEPS_MAX && climb(p, &at, &height); i++)
        if (at.a + at.b > 2 * strength_most) /* it leads to infinity */
            break;
    return within(at.a / (at.a + at.b), at.a + at.b);
}

enum tm_code beta_prior_estimate(const struct beta_prior *p, enum beta_prior_method method,
                                 struct beta_prior_estimate *out, struct tm_error *err)
{
    if (p->documents < BETA_PRIOR_DOCUMENTS)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "prior: %llu documents have learned %g samples or more; an estimate needs %d",
                            (unsigned long long)p->documents, BETA_PRIOR_EVIDENCE, BETA_PRIOR_DOCUMENTS);
    double mean = p->rate / (double)p->documents;
    if (!(mean > 0 && mean < 1) || p->inverse >= (double)p->documents)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "prior: all rewards so far are %g; an estimate needs some of both kinds", mean);
    *out = method == BETA_PRIOR_MLE ? by_likelihood(p) : by_moments(p);
    return TM_OK;
}
