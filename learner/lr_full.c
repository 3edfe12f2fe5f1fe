#include "learner/lr_full.h"

#include <math.h>

#include "learner/blas.h"
#include "learner/lr.h"
#include "learner/moment_match.h"
#include "learner/packed.h"
#include "learner/tally.h"
#include "learner/vector.h"

enum { STEPS_PER_HALF_LIFE = 64, VALUES_MAX = MODEL_FULL_MAX + MODEL_FULL_MAX * (MODEL_FULL_MAX + 1) / 2 };
static_assert(sizeof(struct block_head) + VALUES_MAX * sizeof(double) <= MODEL_BLOCK_MAX, "every block fits");
static_assert((int)MODEL_FULL_MAX <= (int)BLAS_MAX, "every covariance can be inverted");

/* An update leaves a millionth of a variance at least (learner/probit_mixture.h), give or take rounding. */
static const double variance_left = 0.5e-6;

/* A share that changes no digit of a prior any more, for all that a document can have learned. */
static const double nothing_left = 0x1p-120;

/* Room for a block of any size. */
union space {
    struct lr_full_block block;
    double room[sizeof(struct block_head) / sizeof(double) + VALUES_MAX];
};

static double *mean_of(struct lr_full_block *b) { return b->value; }
static double *covariance_of(struct lr_full_block *b, uint32_t n) { return b->value + n; }

static enum tm_code full_check(const struct model_config *config, struct tm_error *err)
{
    enum tm_code rc = features_check(config, MODEL_FULL_MAX, err);
    return rc == TM_OK ? blas_check(err) : rc;
}

static size_t full_block_size(const struct model_config *config)
{
    uint32_t n = model_weights(config);
    return sizeof(struct lr_full_block) + (n + packed_size(n)) * sizeof(double);
}

static void set_prior(const struct model_config *config, struct lr_full_block *b)
{
    uint32_t n = model_weights(config);
    for (uint32_t i = 0; i < n; i++) {
        mean_of(b)[i] = features_prior_mean(config, i);
        for (uint32_t j = 0; j <= i; j++)
            covariance_of(b, n)[packed_at(i, j)] = features_prior_covariance(config, i, j);
    }
}

static void full_init(const struct model_config *config, void *block)
{
    struct lr_full_block *b = block;
    b->head = (struct block_head){0};
    set_prior(config, b);
}

/* ---- forgetting ---- */

static double step_of(const struct model_config *config, int64_t time)
{
    return floor((double)time * (config->decay_per_ms * STEPS_PER_HALF_LIFE / M_LN2));
}

/* The share of a sample of time t that is left at `now`. */
static double remaining(const struct model_config *config, int64_t now, int64_t t)
{
    if (config->decay_per_ms == 0 || now <= t)
        return 1;
    return exp2((step_of(config, t) - step_of(config, now)) / STEPS_PER_HALF_LIFE);
}

/* Blend with the prior: S becomes (g S^-1 + (1 - g) S0^-1)^-1, g being what is left. With M = (1 - g) S + g S0 that is
 * S M^-1 S0, and in a form that stays symmetric and does not cancel (S - (1 - g) S M^-1 S) / g for g >= 1/2, else
 * (S0 - g S0 M^-1 S0) / (1 - g). The mean keeps g S0 M^-1 of its distance from the prior's.
 * False: what no covariance can be, or a pivot of M that is not positive; the block is as it was. */
static bool blend(const struct model_config *config, struct lr_full_block *b, double left)
{
    double m[MODEL_FULL_MAX * MODEL_FULL_MAX], s[MODEL_FULL_MAX * MODEL_FULL_MAX], w[MODEL_FULL_MAX * MODEL_FULL_MAX];
    double prior[VALUES_MAX - MODEL_FULL_MAX], off[MODEL_FULL_MAX], back[MODEL_FULL_MAX]; /* off: of the mean */
    uint32_t n = model_weights(config);
    double *mean = mean_of(b), *covariance = covariance_of(b, n), gone = 1 - left;
    bool recent = left >= 0.5;
    for (uint32_t i = 0; i < n; i++) {
        off[i] = mean[i] - features_prior_mean(config, i);
        for (uint32_t j = 0; j <= i; j++) {
            double have = covariance[packed_at(i, j)], start = features_prior_covariance(config, i, j);
            prior[packed_at(i, j)] = start;
            m[i * n + j] = gone * have + left * start;
            s[i * n + j] = s[j * n + i] = recent ? have : start;
        }
    }
    if (!packed_plausible(covariance, n) || !blas_factor(m, n))
        return false;
    memcpy(w, s, n * n * sizeof *w);
    blas_solve_lower(m, w, n);
    blas_add_product(1 / (recent ? left : gone), s, -(recent ? gone / left : left / gone), w, n);
    blas_solve(m, off, n);
    packed_multiply(prior, off, n, back);
    for (uint32_t i = 0; i < n; i++) {
        mean[i] = features_prior_mean(config, i) + left * back[i];
        memcpy(covariance + packed_at(i, 0), s + i * n, (i + 1) * sizeof *s);
    }
    return true;
}

static void repair(const struct model_config *config, struct lr_full_block *b)
{
    uint32_t n = model_weights(config);
    packed_drop_covariances(covariance_of(b, n), n);
    tally_in(&b->head.repairs);
}

static void forget(const struct model_config *config, struct lr_full_block *b, int64_t now)
{
    double left = remaining(config, now, b->head.time);
    if (left == 1)
        return;
    if (left < nothing_left) { /* the first sample, too: it is much later than 0 */
        set_prior(config, b);
    } else if (!blend(config, b, left)) {
        repair(config, b);
        CHECK(blend(config, b, left)); /* positive variances, and a prior that was checked */
    }
}

/* ---- learning ---- */

/* A sample as its block sees it: features x, S x, and the score's mean and variance. */
struct sight {
    double x[MODEL_FULL_MAX], u[MODEL_FULL_MAX], mean, variance;
};

static void look(const struct model_config *config, const struct lr_full_block *b, const float *x, struct sight *s)
{
    uint32_t n = model_weights(config);
    features_expand(config, x, s->x);
    packed_multiply(b->value + n, s->x, n, s->u);
    s->mean = vector_dot(b->value, s->x, n);
    s->variance = vector_dot(s->u, s->x, n);
}

/* Can beta u u' be taken from the covariance? */
static bool can_shrink(const double *covariance, const struct sight *s, double beta, uint32_t n)
{
    if (!(s->variance >= 0))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        double variance = covariance[packed_diagonal(i)];
        if (!(variance - beta * s->u[i] * s->u[i] >= variance * variance_left))
            return false;
    }
    return true;
}

static void learn_one(const struct model_config *config, struct lr_full_block *b, const struct example *e)
{
    struct sight s;
    uint32_t n = model_weights(config);
    CHECK(lr_takes(config, e, NULL) == TM_OK);
    if (e->time > b->head.time) {
        forget(config, b, e->time);
        b->head.time = e->time;
    }
    double weight = e->weight * remaining(config, b->head.time, e->time);
    look(config, b, e->x, &s);
    struct tilt t = moment_match(s.mean + e->offset, fmax(s.variance, 0), e->reward, weight);
    if (!can_shrink(covariance_of(b, n), &s, t.beta, n)) {
        repair(config, b);
        look(config, b, e->x, &s);
        t = moment_match(s.mean + e->offset, s.variance, e->reward, weight);
    }
    vector_add(mean_of(b), t.alpha, s.u, n);
    packed_add_square(covariance_of(b, n), -t.beta, s.u, n);
    features_count_in(&b->head, e);
}

static void full_learn(const struct model_config *config, void *block, const struct example *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        learn_one(config, block, &samples[i]);
}

/* In what came, then out what was: so the covariance is never larger than it need be. */
static void exchange_curvature(const struct model_config *config, struct lr_full_block *b,
                               const struct correction *change, double left)
{
    struct sight s;
    uint32_t n = model_weights(config);
    const struct example *before = &change->before, *after = &change->after;
    look(config, b, after->x, &s);
    double in = left * after->weight * lr_curvature(s.mean + after->offset);
    in /= 1 + in * fmax(s.variance, 0);
    if (can_shrink(covariance_of(b, n), &s, in, n))
        packed_add_square(covariance_of(b, n), -in, s.u, n);
    look(config, b, before->x, &s);
    double out = left * before->weight * lr_curvature(s.mean + before->offset), variance = fmax(s.variance, 0);
    out = fmin(out, 0.5 / variance);
    packed_add_square(covariance_of(b, n), out / (1 - out * variance), s.u, n);
}

static void full_correct(const struct model_config *config, void *block, const struct correction *change)
{
    struct lr_full_block *b = block;
    uint32_t n = model_weights(config);
    double gradient[MODEL_FULL_MAX], step[MODEL_FULL_MAX];
    CHECK(lr_takes(config, &change->before, NULL) == TM_OK && lr_takes(config, &change->after, NULL) == TM_OK);
    features_count_change(&b->head, change);
    double left = remaining(config, b->head.time, change->before.time);
    lr_exchange(config, mean_of(b), change, gradient);
    if (!lr_same_features(config, change))
        exchange_curvature(config, b, change, left);
    packed_multiply(covariance_of(b, n), gradient, n, step);
    for (uint32_t i = 0; i < n; i++)
        step[i] *= left;
    vector_add(mean_of(b), lr_limit(config, change, step), step, n);
}

/* Exchanged for nothing: for a sample like it that weighs 0; what it gave of certainty stays. */
static void full_retract(const struct model_config *config, void *block, const struct example *sample)
{
    struct correction change = {*sample, *sample};
    change.after.weight = 0;
    full_correct(config, block, &change);
    features_count_out(&((struct lr_full_block *)block)->head, sample);
}

/* ---- reading ---- */

/* The block as of `now`: itself where nothing has faded since, or a copy in `space`. It is only read. */
static const struct lr_full_block *as_of(const struct model_config *config, const void *block, int64_t now,
                                         union space *space)
{
    const struct lr_full_block *b = block;
    if (!b) {
        full_init(config, space);
        return &space->block;
    }
    if (remaining(config, now, b->head.time) == 1)
        return b;
    memcpy(space, b, full_block_size(config));
    forget(config, &space->block, now);
    return &space->block;
}

static uint32_t full_width(const struct model_config *config)
{
    uint32_t n = model_weights(config);
    return n + packed_size(n);
}

static void full_values(const struct model_config *config, const void *block, int64_t now, double *out)
{
    union space space;
    memcpy(out, as_of(config, block, now, &space)->value, full_width(config) * sizeof *out);
}

static void full_locate(const struct model_config *config, const void *block, const float *x, int64_t now,
                        struct score *out)
{
    union space space;
    struct sight s;
    look(config, as_of(config, block, now, &space), x, &s);
    out->mean = s.mean;
    out->variance = fmax(s.variance, 0);
}

static void full_score(const struct model_config *config, const void *block, const float *x, int64_t now,
                       struct score *out)
{
    full_locate(config, block, x, now, out);
    out->expected = lr_expected(out);
}

static void full_describe(const struct model_config *config, const void *block, int64_t now, struct belief *out)
{
    union space space;
    const struct lr_full_block *b = as_of(config, block, now, &space);
    uint32_t n = model_weights(config), last = n - 1;
    double mean = config->intercept ? b->value[last] : 0;
    double variance = config->intercept ? b->value[n + packed_diagonal(last)] : 0;
    *out = lr_belief(block, mean, variance);
}

static bool full_valid(const struct model_config *config, const void *block)
{
    const struct lr_full_block *b = block;
    uint32_t n = model_weights(config);
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(b->value[i]))
            return false;
    return features_head_valid(&b->head) && packed_plausible(b->value + n, n);
}

const struct model model_lr_full = {
    .name = "lr",
    .takes_offset = true,
    .width = full_width,
    .value_name = features_name_full,
    .check = full_check,
    .block_size = full_block_size,
    .init = full_init,
    .takes = lr_takes,
    .learn = full_learn,
    .correct = full_correct,
    .retract = full_retract,
    .rewards = model_unit_rewards,
    .values = full_values,
    .score = full_score,
    .locate = full_locate,
    .summarise = features_summarise,
    .describe = full_describe,
    .valid = full_valid,
};
