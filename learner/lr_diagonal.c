#include "learner/lr_diagonal.h"

#include <math.h>
#include <stdlib.h>

#include "learner/laplace.h"
#include "learner/lr.h"
#include "learner/tally.h"
#include "learner/vector.h"

static_assert(sizeof(struct block_head) + 2 * MODEL_DIAGONAL_MAX * sizeof(double) <= MODEL_BLOCK_MAX, "blocks fit");

enum { ROOT_STEPS_MAX = 100 };

static double *mean_of(struct lr_diagonal_block *b) { return b->value; }
static double *precision_of(struct lr_diagonal_block *b, uint32_t n) { return b->value + n; }

static double prior_precision(const struct model_config *config, uint32_t i)
{
    double sd = features_prior_sd(config, i);
    return 1 / (sd * sd);
}

static enum tm_code diagonal_check(const struct model_config *config, struct tm_error *err)
{
    return features_check(config, MODEL_DIAGONAL_MAX, err);
}

static size_t diagonal_block_size(const struct model_config *config)
{
    return sizeof(struct lr_diagonal_block) + 2 * model_weights(config) * sizeof(double);
}

static void diagonal_init(const struct model_config *config, void *block)
{
    struct lr_diagonal_block *b = block;
    uint32_t n = model_weights(config);
    b->head = (struct block_head){0};
    for (uint32_t i = 0; i < n; i++) {
        mean_of(b)[i] = features_prior_mean(config, i);
        precision_of(b, n)[i] = prior_precision(config, i);
    }
}

/* ---- forgetting ---- */

struct weight {
    double mean, precision;
};

/* One weight of a block (NULL: the prior) of which `left` is left. */
static struct weight weight_of(const struct model_config *config, const struct lr_diagonal_block *b, uint32_t i,
                               double left)
{
    uint32_t n = model_weights(config);
    if (left == 1)
        return (struct weight){b->value[i], b->value[n + i]};
    double mean = features_prior_mean(config, i), precision = prior_precision(config, i);
    if (!b)
        return (struct weight){mean, precision};
    double kept = left * b->value[n + i], now = kept + (1 - left) * precision;
    return (struct weight){mean + kept * (b->value[i] - mean) / now, now};
}

static void forget(const struct model_config *config, struct lr_diagonal_block *b, int64_t now)
{
    uint32_t n = model_weights(config);
    double left = tally_remaining(config->decay_per_ms, now, b->head.time);
    for (uint32_t i = 0; left < 1 && i < n; i++) {
        struct weight w = weight_of(config, b, i, left);
        mean_of(b)[i] = w.mean;
        precision_of(b, n)[i] = w.precision;
    }
}

/* ---- learning ---- */

/* The score a of one sample at its mode: (a - m) / v = c (y - logistic(a)). It lies between m and where the right side
 * taken at m leads to; Newton, and bisection where that leaves the bracket. */
static double score_at_mode(double m, double v, double c, double y)
{
    double end = m + v * c * (y - lr_logistic(m)), low = fmin(m, end), high = fmax(m, end), a = m;
    for (int i = 0; i < ROOT_STEPS_MAX; i++) {
        double e = exp(-fabs(a)), gap = (a - m) - v * c * (y - lr_logistic_of(a, e));
        if (gap < 0)
            low = a;
        else
            high = a;
        double step = gap / (1 + v * c * lr_curvature_of(e));
        if (fabs(step) <= 1e-14 * fmax(1, fabs(a)))
            return a - step;
        a -= step;
        if (!(a > low && a < high))
            a = 0.5 * (low + high);
    }
    return a;
}

static void learn_one(const struct model_config *config, struct lr_diagonal_block *b, const struct example *e, double c)
{
    uint32_t n = model_weights(config), d = config->dimension;
    double *mean = mean_of(b), *precision = precision_of(b, n);
    double m = vector_dot_features(e->x, mean, d) + e->offset, v = 0, lever[MODEL_DIAGONAL_MAX];
    for (uint32_t i = 0; i < d; i++) {
        lever[i] = (double)e->x[i] / precision[i];
        v += (double)e->x[i] * lever[i];
    }
    if (config->intercept) {
        m += mean[d];
        v += 1 / precision[d];
    }
    double a = score_at_mode(m, v, c, e->reward), pull = c * (e->reward - lr_logistic(a)), curve = c * lr_curvature(a);
    vector_add(mean, pull, lever, d);
    vector_add_squares(precision, curve, e->x, d);
    if (config->intercept) {
        mean[d] += pull / precision[d];
        precision[d] += curve;
    }
}

static void learn_several(const struct model_config *config, struct lr_diagonal_block *b, const struct example *samples,
                          size_t count)
{
    uint32_t n = model_weights(config);
    double *memory = mem_new(2 * n + count, sizeof *memory), *weight = memory + 2 * n;
    for (size_t j = 0; j < count; j++)
        weight[j] = samples[j].weight * tally_remaining(config->decay_per_ms, b->head.time, samples[j].time);
    const struct laplace_problem problem = {config, precision_of(b, n), samples, mean_of(b), weight, count};
    if (!laplace_solve(&problem, memory, memory + n))
        tally_in(&b->head.repairs);
    vector_add(mean_of(b), 1, memory, n);
    vector_add(precision_of(b, n), 1, memory + n, n);
    free(memory);
}

static void learn_batch(const struct model_config *config, struct lr_diagonal_block *b, const struct example *samples,
                        size_t count)
{
    int64_t newest = b->head.time;
    for (size_t j = 0; j < count; j++) {
        CHECK(lr_takes(config, &samples[j], NULL) == TM_OK);
        newest = samples[j].time > newest ? samples[j].time : newest;
        features_count_in(&b->head, &samples[j]);
    }
    forget(config, b, newest);
    b->head.time = newest;
    if (count == 1)
        learn_one(config, b, samples, samples->weight * tally_remaining(config->decay_per_ms, newest, samples->time));
    else
        learn_several(config, b, samples, count);
}

static void diagonal_learn(const struct model_config *config, void *block, const struct example *samples, size_t count)
{
    while (count) {
        size_t now = count < LR_DIAGONAL_BATCH ? count : LR_DIAGONAL_BATCH;
        learn_batch(config, block, samples, now);
        samples += now;
        count -= now;
    }
}

static double score_at(const struct model_config *config, const double *mean, const struct example *e)
{
    return vector_dot_features(e->x, mean, config->dimension) + (config->intercept ? mean[config->dimension] : 0) +
           e->offset;
}

static void exchange_curvature(const struct model_config *config, struct lr_diagonal_block *b,
                               const struct correction *change, double left)
{
    uint32_t n = model_weights(config), d = config->dimension;
    const struct example *before = &change->before, *after = &change->after;
    double in = left * after->weight * lr_curvature(score_at(config, mean_of(b), after));
    double out = left * before->weight * lr_curvature(score_at(config, mean_of(b), before));
    for (uint32_t i = 0; i < n; i++) {
        double *precision = &precision_of(b, n)[i], least = fmin(*precision, prior_precision(config, i));
        double came = i < d ? (double)after->x[i] : 1, was = i < d ? (double)before->x[i] : 1;
        *precision = fmax(*precision + in * came * came - out * was * was, least);
    }
}

static void diagonal_correct(const struct model_config *config, void *block, const struct correction *change)
{
    struct lr_diagonal_block *b = block;
    uint32_t n = model_weights(config);
    double step[MODEL_DIAGONAL_MAX];
    CHECK(lr_takes(config, &change->before, NULL) == TM_OK && lr_takes(config, &change->after, NULL) == TM_OK);
    features_count_change(&b->head, change);
    double left = tally_remaining(config->decay_per_ms, b->head.time, change->before.time);
    lr_exchange(config, mean_of(b), change, step);
    if (!lr_same_features(config, change))
        exchange_curvature(config, b, change, left);
    for (uint32_t i = 0; i < n; i++)
        step[i] *= left / precision_of(b, n)[i];
    vector_add(mean_of(b), lr_limit(config, change, step), step, n);
}

/* Exchanged for nothing: for a sample like it that weighs 0; what it gave of certainty stays. */
static void diagonal_retract(const struct model_config *config, void *block, const struct example *sample)
{
    struct correction change = {*sample, *sample};
    change.after.weight = 0;
    diagonal_correct(config, block, &change);
    features_count_out(&((struct lr_diagonal_block *)block)->head, sample);
}

/* ---- reading ---- */

static double left_at(const struct model_config *config, const struct lr_diagonal_block *b, int64_t now)
{
    return b ? tally_remaining(config->decay_per_ms, now, b->head.time) : 0;
}

static uint32_t diagonal_width(const struct model_config *config) { return 2 * model_weights(config); }

static void diagonal_value_name(const struct model_config *config, uint32_t value, struct value_name *out)
{
    uint32_t n = model_weights(config);
    CHECK(value < 2 * n);
    features_name(out, value < n ? "mean" : "variance", value % n, -1);
}

static void diagonal_values(const struct model_config *config, const void *block, int64_t now, double *out)
{
    uint32_t n = model_weights(config);
    double left = left_at(config, block, now);
    for (uint32_t i = 0; i < n; i++) {
        struct weight w = weight_of(config, block, i, left);
        out[i] = w.mean;
        out[n + i] = 1 / w.precision;
    }
}

/* Nothing has faded since it was written. */
static void locate_as_is(const struct model_config *config, const struct lr_diagonal_block *b, const float *x,
                         struct score *out)
{
    uint32_t n = model_weights(config), d = config->dimension;
    const double *mean = b->value, *precision = b->value + n;
    out->mean = vector_dot_features(x, mean, d) + (config->intercept ? mean[d] : 0);
    out->variance = vector_sum_ratios(x, precision, d) + (config->intercept ? 1 / precision[d] : 0);
}

static void diagonal_locate(const struct model_config *config, const void *block, const float *x, int64_t now,
                            struct score *out)
{
    double left = left_at(config, block, now), mean = 0, variance = 0;
    if (left == 1) {
        locate_as_is(config, block, x, out);
        return;
    }
    for (uint32_t i = 0; i < model_weights(config); i++) {
        struct weight w = weight_of(config, block, i, left);
        double feature = i < config->dimension ? (double)x[i] : 1;
        mean += feature * w.mean;
        variance += feature * feature / w.precision;
    }
    out->mean = mean;
    out->variance = variance;
}

static void diagonal_score(const struct model_config *config, const void *block, const float *x, int64_t now,
                           struct score *out)
{
    diagonal_locate(config, block, x, now, out);
    out->expected = lr_expected(out);
}

static void diagonal_describe(const struct model_config *config, const void *block, int64_t now, struct belief *out)
{
    if (!config->intercept) {
        *out = lr_belief(block, 0, 0);
        return;
    }
    struct weight w = weight_of(config, block, config->dimension, left_at(config, block, now));
    *out = lr_belief(block, w.mean, 1 / w.precision);
}

static bool diagonal_valid(const struct model_config *config, const void *block)
{
    const struct lr_diagonal_block *b = block;
    uint32_t n = model_weights(config);
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(b->value[i]) || !(b->value[n + i] > 0 && isfinite(b->value[n + i])))
            return false;
    return features_head_valid(&b->head);
}

const struct model model_lr_diagonal = {
    .name = "lr",
    .takes_offset = true,
    .width = diagonal_width,
    .value_name = diagonal_value_name,
    .check = diagonal_check,
    .block_size = diagonal_block_size,
    .init = diagonal_init,
    .takes = lr_takes,
    .learn = diagonal_learn,
    .correct = diagonal_correct,
    .retract = diagonal_retract,
    .rewards = model_unit_rewards,
    .values = diagonal_values,
    .score = diagonal_score,
    .locate = diagonal_locate,
    .summarise = features_summarise,
    .describe = diagonal_describe,
    .valid = diagonal_valid,
};
