#include "learner/lr.h"

#include <math.h>

#include "learner/probit_mixture.h"
#include "learner/vector.h"

static const double normal_95 = 1.959963984540054; /* 97.5 % of a standard normal lie below */

const struct model *lr_model(const struct model_config *config)
{
    return config->covariance == COVARIANCE_FULL ? &model_lr_full : &model_lr_diagonal;
}

double lr_logistic(double a) { return lr_logistic_of(a, exp(-fabs(a))); }
double lr_curvature(double a) { return lr_curvature_of(exp(-fabs(a))); }

enum tm_code lr_takes(const struct model_config *config, const struct example *sample, struct tm_error *err)
{
    if (!(sample->reward >= 0 && sample->reward <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: %g is not in [0, 1]", sample->reward);
    if (!(fabs(sample->offset) <= LR_OFFSET_MAX))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "offset: %g is not in [-%g, %g]", sample->offset, LR_OFFSET_MAX,
                            LR_OFFSET_MAX);
    return features_take(config, sample, err);
}

/* x'w, the intercept included. */
static double dot(const struct model_config *config, const float *x, const double *w)
{
    double sum = vector_dot_features(x, w, config->dimension);
    return config->intercept ? sum + w[config->dimension] : sum;
}

static void add(const struct model_config *config, double *out, double c, const float *x)
{
    vector_add_features(out, c, x, config->dimension);
    if (config->intercept)
        out[config->dimension] += c;
}

bool lr_same_features(const struct model_config *config, const struct correction *change)
{
    const float *a = change->before.x, *b = change->after.x;
    return a == b || memcmp(a, b, config->dimension * sizeof *a) == 0;
}

static double pull(const struct model_config *config, const struct example *e, const double *mean)
{
    return e->weight * (e->reward - lr_logistic(dot(config, e->x, mean) + e->offset));
}

void lr_exchange(const struct model_config *config, const double *mean, const struct correction *change,
                 double *gradient)
{
    const struct example *before = &change->before, *after = &change->after;
    memset(gradient, 0, model_weights(config) * sizeof *gradient);
    if (before->weight == after->weight && before->offset == after->offset && lr_same_features(config, change)) {
        add(config, gradient, after->weight * (after->reward - before->reward), after->x);
    } else {
        add(config, gradient, pull(config, after, mean), after->x);
        add(config, gradient, -pull(config, before, mean), before->x);
    }
}

double lr_limit(const struct model_config *config, const struct correction *change, const double *step)
{
    double shift = fmax(fabs(dot(config, change->before.x, step)), fabs(dot(config, change->after.x, step)));
    return shift > LR_SHIFT_MAX ? LR_SHIFT_MAX / shift : 1;
}

double lr_expected(const struct score *s) { return probit_mixture_mean(s->mean, s->variance); }

/* Var[logistic(a)], a ~ N(m, v), by the trapezoid rule, which converges exponentially for functions that are analytic
 * in a strip: below 1e-6 of the value for v <= 25. */
static double variance_of_reward(double m, double v)
{
    enum { STEPS = 32 };
    double mass = 0, mean = 0, square = 0, sd = sqrt(v), centre = lr_logistic(m);
    for (int i = -STEPS; i <= STEPS; i++) {
        double z = i / 4.0, density = exp(-0.5 * z * z), p = lr_logistic(m + sd * z) - centre;
        mass += density;
        mean += density * p;
        square += density * p * p;
    }
    mean /= mass;
    return fmax(square / mass - mean * mean, 0);
}

struct belief lr_belief(const struct block_head *head, double mean, double variance)
{
    double reach = normal_95 * sqrt(variance);
    struct belief b = {
        .mean = probit_mixture_mean(mean, variance),
        .variance = variance_of_reward(mean, variance),
        .lower = lr_logistic(mean - reach),
        .upper = lr_logistic(mean + reach),
    };
    if (head) {
        b.positives = head->positives;
        b.negatives = head->negatives;
        b.updated_at = head->time;
    }
    return b;
}
