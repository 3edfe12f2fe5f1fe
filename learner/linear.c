#include "learner/linear.h"

#include <math.h>

#include "learner/blas.h"
#include "learner/packed.h"
#include "learner/special.h"
#include "learner/tally.h"
#include "learner/vector.h"

enum { PACKED_MAX = MODEL_FULL_MAX * (MODEL_FULL_MAX + 1) / 2 };
static_assert(sizeof(struct linear_block) + (MODEL_FULL_MAX + PACKED_MAX) * sizeof(double) <= MODEL_BLOCK_MAX, "fits");
static_assert((int)MODEL_FULL_MAX <= (int)BLAS_MAX, "every precision can be inverted");

static const double reward_limit = 1e9, noise_least = 1e-6, noise_most = 1e9;

static uint32_t sums_of(const struct model_config *config)
{
    uint32_t n = model_weights(config);
    return n + packed_size(n);
}

static enum tm_code linear_check(const struct model_config *config, struct tm_error *err)
{
    if (!(config->reward_min >= -reward_limit && config->reward_min < config->reward_max &&
          config->reward_max <= reward_limit))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: [%g, %g] is no range within [-%g, %g]",
                            config->reward_min, config->reward_max, reward_limit, reward_limit);
    if (!(config->noise_sd >= noise_least && config->noise_sd <= noise_most))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "noise_sd: %g is not in [%g, %g]", config->noise_sd, noise_least,
                            noise_most);
    if (!(config->noise_samples > 2 && config->noise_samples <= FEATURES_WEIGHT_MAX))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "noise_samples: %g is not in (2, %g]: a variance takes more than 2", config->noise_samples,
                            FEATURES_WEIGHT_MAX);
    enum tm_code rc = features_check(config, MODEL_FULL_MAX, err);
    return rc == TM_OK ? blas_check(err) : rc;
}

static enum tm_code linear_takes(const struct model_config *config, const struct example *sample, struct tm_error *err)
{
    if (!(sample->reward >= config->reward_min && sample->reward <= config->reward_max))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: %g is not in [%g, %g]", sample->reward,
                            config->reward_min, config->reward_max);
    if (sample->offset != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "offset: %g; linear has none", sample->offset);
    return features_take(config, sample, err);
}

static size_t linear_block_size(const struct model_config *config)
{
    return sizeof(struct linear_block) + sums_of(config) * sizeof(double);
}

static void linear_init(const struct model_config *config, void *block) { memset(block, 0, linear_block_size(config)); }

/* ---- learning: sums ---- */

/* Add a sample c times; c may be negative. */
static void add(const struct model_config *config, struct linear_block *b, const struct example *e, double c)
{
    double x[MODEL_FULL_MAX], residual = e->reward;
    uint32_t n = model_weights(config);
    features_expand(config, e->x, x);
    for (uint32_t i = 0; i < n; i++)
        residual -= features_prior_mean(config, i) * x[i];
    b->weight += c;
    b->square += c * residual * residual;
    vector_add(b->value, c * residual, x, n);
    packed_add_square(b->value + n, c, x, n);
}

static void learn_one(const struct model_config *config, struct linear_block *b, const struct example *e)
{
    CHECK(linear_takes(config, e, NULL) == TM_OK);
    if (e->time > b->head.time) {
        double left = tally_remaining(config->decay_per_ms, e->time, b->head.time);
        b->weight *= left;
        b->square *= left;
        for (uint32_t i = 0; left < 1 && i < sums_of(config); i++)
            b->value[i] *= left;
        b->head.time = e->time;
    }
    add(config, b, e, e->weight * tally_remaining(config->decay_per_ms, b->head.time, e->time));
    features_count_in(&b->head, e);
}

static void linear_learn(const struct model_config *config, void *block, const struct example *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        learn_one(config, block, &samples[i]);
}

/* What subtracting left of sums of squares: rounding alone can make them negative. */
static double not_negative(double sum) { return sum > 0 ? sum : 0.0; }

static void linear_rewards(const struct model_config *config, double *low, double *high)
{
    *low = config->reward_min;
    *high = config->reward_max;
}

static void linear_correct(const struct model_config *config, void *block, const struct correction *change)
{
    struct linear_block *b = block;
    uint32_t n = model_weights(config);
    CHECK(linear_takes(config, &change->before, NULL) == TM_OK && linear_takes(config, &change->after, NULL) == TM_OK);
    features_count_change(&b->head, change);
    double left = tally_remaining(config->decay_per_ms, b->head.time, change->before.time);
    add(config, b, &change->after, left * change->after.weight);
    add(config, b, &change->before, -left * change->before.weight);
    b->weight = not_negative(b->weight);
    b->square = not_negative(b->square);
    for (uint32_t i = 0; i < n; i++)
        b->value[n + packed_diagonal(i)] = not_negative(b->value[n + packed_diagonal(i)]);
}

/* Exchanged for nothing: for a sample like it that weighs 0. */
static void linear_retract(const struct model_config *config, void *block, const struct example *sample)
{
    struct correction change = {*sample, *sample};
    change.after.weight = 0;
    linear_correct(config, block, &change);
    features_count_out(&((struct linear_block *)block)->head, sample);
}

/* ---- reading ---- */

struct posterior {
    double mean[MODEL_FULL_MAX], covariance[PACKED_MAX]; /* of the weights */
    double noise;                                        /* expected variance of a residual */
    double freedom;                                      /* degrees of it */
};

/* precision := prior's + left times the block's sums, in units of the noise as guessed. */
static void precision_of(const struct model_config *config, const struct linear_block *b, double left,
                         double *precision)
{
    uint32_t n = model_weights(config);
    double guess = config->noise_sd * config->noise_sd;
    for (uint32_t i = 0; i < packed_size(n); i++)
        precision[i] = b ? left * b->value[n + i] : 0;
    if (config->prior_precision)
        vector_add(precision, guess, config->prior_precision, packed_size(n));
    for (uint32_t i = 0; !config->prior_precision && i < n; i++) {
        double sd = features_prior_sd(config, i);
        precision[packed_diagonal(i)] += guess / (sd * sd);
    }
}

static void posterior_of(const struct model_config *config, const struct linear_block *b, int64_t now,
                         struct posterior *out)
{
    double shift[MODEL_FULL_MAX], left = b ? tally_remaining(config->decay_per_ms, now, b->head.time) : 0;
    uint32_t n = model_weights(config);
    precision_of(config, b, left, out->covariance);
    if (!blas_invert(out->covariance, n)) {
        packed_drop_covariances(out->covariance, n);
        CHECK(blas_invert(out->covariance, n)); /* the prior's diagonal, and sums that are not negative */
    }
    for (uint32_t i = 0; i < n; i++)
        shift[i] = b ? left * b->value[i] : 0;
    packed_multiply(out->covariance, shift, n, out->mean);
    double explained = vector_dot(shift, out->mean, n), squares = b ? left * b->square : 0;
    double guessed = config->noise_samples * config->noise_sd * config->noise_sd;
    out->freedom = config->noise_samples + (b ? left * b->weight : 0);
    out->noise = (guessed + not_negative(squares - explained)) / (out->freedom - 2);
    for (uint32_t i = 0; i < n; i++)
        out->mean[i] += features_prior_mean(config, i);
    for (uint32_t i = 0; i < packed_size(n); i++)
        out->covariance[i] *= out->noise;
}

static uint32_t linear_width(const struct model_config *config) { return sums_of(config) + 1; }

static void linear_value_name(const struct model_config *config, uint32_t value, struct value_name *out)
{
    static const struct value_name noise = {"noise_variance"};
    if (value == sums_of(config))
        *out = noise;
    else
        features_name_full(config, value, out);
}

static void linear_values(const struct model_config *config, const void *block, int64_t now, double *out)
{
    struct posterior p;
    uint32_t n = model_weights(config);
    posterior_of(config, block, now, &p);
    memcpy(out, p.mean, n * sizeof *out);
    memcpy(out + n, p.covariance, packed_size(n) * sizeof *out);
    out[sums_of(config)] = p.noise;
}

static void locate(const struct model_config *config, const struct posterior *p, const float *x, struct score *out)
{
    double features[MODEL_FULL_MAX], image[MODEL_FULL_MAX];
    uint32_t n = model_weights(config);
    features_expand(config, x, features);
    packed_multiply(p->covariance, features, n, image);
    out->mean = vector_dot(p->mean, features, n);
    out->variance = not_negative(vector_dot(image, features, n));
}

static void linear_locate(const struct model_config *config, const void *block, const float *x, int64_t now,
                          struct score *out)
{
    struct posterior p;
    posterior_of(config, block, now, &p);
    locate(config, &p, x, out);
}

/* A variance of t is its squared scale times freedom / (freedom - 2). */
static double scale_of(double variance, double freedom) { return sqrt(variance * (freedom - 2) / freedom); }

static void linear_predict(const struct model_config *config, const void *block, const float *x, int64_t now,
                           struct predictive *out)
{
    struct posterior p;
    struct score s;
    posterior_of(config, block, now, &p);
    locate(config, &p, x, &s);
    *out = (struct predictive){s.mean, scale_of(s.variance + p.noise, p.freedom), p.freedom};
}

static void linear_score(const struct model_config *config, const void *block, const float *x, int64_t now,
                         struct score *out)
{
    linear_locate(config, block, x, now, out);
    out->expected = out->mean;
}

/* The t with P(|T| > t) = 1/20 for Student's T: |T| > t where a Beta(freedom / 2, 1/2) variable is below
 * freedom / (freedom + t^2). */
static double student_95(double freedom)
{
    double x = beta_quantile(freedom / 2, 0.5, 0.05);
    return sqrt(freedom * (1 - x) / x);
}

static void linear_describe(const struct model_config *config, const void *block, int64_t now, struct belief *out)
{
    const struct linear_block *b = block;
    struct posterior p;
    uint32_t last = model_weights(config) - 1;
    posterior_of(config, block, now, &p);
    double mean = config->intercept ? p.mean[last] : 0;
    double variance = config->intercept ? p.covariance[packed_diagonal(last)] : 0;
    double reach = student_95(p.freedom) * scale_of(variance, p.freedom);
    *out = (struct belief){.mean = mean,
                           .variance = variance,
                           .lower = mean - reach,
                           .upper = mean + reach,
                           .positives = b ? b->head.positives : 0,
                           .negatives = b ? b->head.negatives : 0,
                           .updated_at = b ? b->head.time : 0};
}

static bool linear_valid(const struct model_config *config, const void *block)
{
    const struct linear_block *b = block;
    uint32_t n = model_weights(config);
    if (!features_head_valid(&b->head) || !(b->weight >= 0 && isfinite(b->weight)) ||
        !(b->square >= 0 && isfinite(b->square)))
        return false;
    for (uint32_t i = 0; i < sums_of(config); i++)
        if (!isfinite(b->value[i]))
            return false;
    for (uint32_t i = 0; i < n; i++)
        if (!(b->value[n + packed_diagonal(i)] >= 0))
            return false;
    return true;
}

const struct model model_linear = {
    .name = "linear",
    .width = linear_width,
    .value_name = linear_value_name,
    .check = linear_check,
    .block_size = linear_block_size,
    .init = linear_init,
    .takes = linear_takes,
    .learn = linear_learn,
    .correct = linear_correct,
    .retract = linear_retract,
    .rewards = linear_rewards,
    .values = linear_values,
    .score = linear_score,
    .locate = linear_locate,
    .predict = linear_predict,
    .summarise = features_summarise,
    .describe = linear_describe,
    .valid = linear_valid,
};
