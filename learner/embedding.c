#include "learner/embedding.h"

#include <math.h>

#include "learner/lr.h"
#include "learner/tally.h"
#include "learner/vector.h"

/* What a number is drawn for, in the place of a version. */
enum { FOR_VECTOR = 1, FOR_ADMISSION };

static const double reward_limit = 1e6;

/* ---- the block ---- */

struct parts {
    struct optimizer_row vector, bias; /* bias: size 0 without an intercept */
};

static uint32_t row_floats(const struct model_config *config, uint32_t size)
{
    return size + optimizer_slots(config->embedding.optimizer.kind, size);
}

static uint32_t floats_of(const struct model_config *config)
{
    uint32_t count = row_floats(config, config->dimension) + (config->intercept ? row_floats(config, 1) : 0);
    return count + count % 2;
}

static struct parts parts_of(const struct model_config *config, struct embedding_block *b)
{
    uint32_t n = config->dimension;
    float *bias = b->value + row_floats(config, n);
    return (struct parts){{b->value, b->value + n, n}, {bias, bias + 1, config->intercept}};
}

static size_t embedding_block_size(const struct model_config *config)
{
    return sizeof(struct embedding_block) + floats_of(config) * sizeof(float);
}

static_assert(sizeof(struct embedding_block) % 8 == 0, "blocks are multiples of 8 bytes");
static_assert(sizeof(struct embedding_block) + (3 * MODEL_DIAGONAL_MAX + 4) * sizeof(float) <= MODEL_BLOCK_MAX,
              "blocks fit");

static void embedding_init(const struct model_config *config, void *block)
{
    memset(block, 0, embedding_block_size(config));
}

/* ---- configuration and samples ---- */

static enum tm_code check_loss(const struct model_config *config, struct tm_error *err)
{
    double least = config->reward_min, most = config->reward_max;
    if (config->embedding.loss == LOSS_SQUARED && !(least < most && least >= -reward_limit && most <= reward_limit))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "rewards: [%g, %g] is not a range within [-%g, %g]", least, most,
                            reward_limit, reward_limit);
    return TM_OK;
}

static enum tm_code check_life(const struct embedding_config *e, struct tm_error *err)
{
    if (e->admit_at < 1)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "admit_at: 0; the first sample is number 1");
    if (!(e->admit_share > 0 && e->admit_share <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "admit_share: %g is not in (0, 1]", e->admit_share);
    if (e->expire_after < 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "expire_after: %lld ms; expected 0 (never) or more",
                            (long long)e->expire_after);
    return TM_OK;
}

static enum tm_code embedding_check(const struct model_config *config, struct tm_error *err)
{
    const struct embedding_config *e = &config->embedding;
    enum tm_code rc = features_check(config, MODEL_DIAGONAL_MAX, err);
    if (rc == TM_OK && config->decay_per_ms != 0)
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "forgetting: an embedding forgets by its rate; expected none");
    if (rc == TM_OK)
        rc = check_loss(config, err);
    if (rc == TM_OK)
        rc = check_life(e, err);
    if (rc == TM_OK && !(e->norm_max >= 1e-3 && e->norm_max <= 1e6))
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "norm_max: %g is not in [0.001, 1e6]", e->norm_max);
    if (rc == TM_OK && optimizer_check(&e->optimizer, err) != TM_OK)
        rc = tm_error_wrap(err, "%s", optimizer_name(e->optimizer.kind));
    return rc;
}

static enum tm_code embedding_takes(const struct model_config *config, const struct example *sample,
                                    struct tm_error *err)
{
    if (config->embedding.loss == LOSS_LOGISTIC)
        return lr_takes(config, sample, err);
    if (!(sample->reward >= config->reward_min && sample->reward <= config->reward_max))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: %g is not in [%g, %g]", sample->reward,
                            config->reward_min, config->reward_max);
    if (sample->offset != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "offset: %g; squared loss has none", sample->offset);
    return features_take(config, sample, err);
}

/* ---- admission and expiry ---- */

bool embedding_admitted(const void *block)
{
    const struct embedding_block *b = block;
    return b->admitted;
}

bool embedding_expired(const struct model_config *config, const void *block, int64_t now)
{
    const struct embedding_block *b = block;
    int64_t most = config->embedding.expire_after;
    return most > 0 && b->seen > 0 && (double)now - (double)b->head.time > (double)most;
}

/* Is the sample that was just counted the one that lets the document in? Its number in the stream is its own, so the
 * answer does not depend on which samples were asked about. */
static bool lets_in(const struct model_config *config, const struct embedding_block *b, uint64_t item)
{
    const struct embedding_config *e = &config->embedding;
    struct draw stream = draw_begin(e->seed, FOR_ADMISSION, item);
    if (b->seen < e->admit_at)
        return false;
    stream.state += b->seen * DRAW_STEP;
    return e->admit_share >= 1 || draw_uniform(&stream) < e->admit_share;
}

/* ---- learning ---- */

/* Of the bias: no pull towards 0, which is no base rate. */
static struct optimizer_config for_bias(const struct model_config *config)
{
    struct optimizer_config o = config->embedding.optimizer;
    o.l1 = o.l2 = 0;
    return o;
}

static void keep_in_bounds(const struct model_config *config, struct embedding_block *b)
{
    const struct embedding_config *e = &config->embedding;
    struct parts p = parts_of(config, b);
    const struct optimizer_config bias = for_bias(config);
    double length = sqrt(vector_dot_floats(p.vector.weight, p.vector.weight, p.vector.size));
    if (length > e->norm_max) {
        optimizer_scale(&e->optimizer, p.vector, e->norm_max / length);
        tally_in(&b->head.repairs);
    }
    if (config->intercept && fabs((double)*p.bias.weight) > EMBEDDING_BIAS_MAX) {
        optimizer_scale(&bias, p.bias, EMBEDDING_BIAS_MAX / fabs((double)*p.bias.weight));
        tally_in(&b->head.repairs);
    }
}

static void start(const struct model_config *config, struct embedding_block *b, uint64_t item)
{
    struct parts p = parts_of(config, b);
    struct draw stream = draw_begin(config->embedding.seed, FOR_VECTOR, item);
    const struct optimizer_config bias = for_bias(config);
    for (uint32_t i = 0; i < p.vector.size; i++)
        p.vector.weight[i] =
            (float)(features_prior_mean(config, i) + features_prior_sd(config, i) * draw_normal(&stream));
    optimizer_start(&config->embedding.optimizer, p.vector);
    if (config->intercept) {
        *p.bias.weight = (float)features_prior_mean(config, config->dimension);
        optimizer_start(&bias, p.bias);
    }
    b->admitted = 1;
    keep_in_bounds(config, b);
}

static double expected(const struct model_config *config, double score)
{
    return config->embedding.loss == LOSS_LOGISTIC ? lr_logistic(score) : score;
}

static double score_of(const struct model_config *config, struct embedding_block *b, const float *x)
{
    struct parts p = parts_of(config, b);
    return vector_dot_floats(x, p.vector.weight, p.vector.size) + (config->intercept ? (double)*p.bias.weight : 0);
}

/* The loss's derivative in the score. */
static double slope(const struct model_config *config, struct embedding_block *b, const struct example *e)
{
    return e->weight * (expected(config, score_of(config, b, e->x) + e->offset) - e->reward);
}

typedef void optimizer_move(const struct optimizer_config *config, struct optimizer_row row, const double *gradient);

static void move(const struct model_config *config, struct embedding_block *b, optimizer_move *by,
                 const double *gradient, double of_bias)
{
    struct parts p = parts_of(config, b);
    const struct optimizer_config bias = for_bias(config);
    by(&config->embedding.optimizer, p.vector, gradient);
    if (config->intercept)
        by(&bias, p.bias, &of_bias);
    keep_in_bounds(config, b);
}

/* Whether it is learned; else it is only counted. */
static bool take_in(const struct model_config *config, struct embedding_block *b, const struct example *e)
{
    CHECK(embedding_takes(config, e, NULL) == TM_OK);
    if (e->time > b->head.time)
        b->head.time = e->time;
    if (!b->admitted) {
        tally_in(&b->seen);
        if (!lets_in(config, b, e->item))
            return false;
        start(config, b, e->item);
    }
    features_count_in(&b->head, e);
    return true;
}

static void embedding_learn(const struct model_config *config, void *block, const struct example *samples, size_t count)
{
    struct embedding_block *b = block;
    double gradient[MODEL_DIAGONAL_MAX], of_bias = 0;
    size_t learned = 0;
    memset(gradient, 0, config->dimension * sizeof *gradient);
    for (size_t i = 0; i < count; i++) {
        if (!take_in(config, b, &samples[i]))
            continue;
        double along = slope(config, b, &samples[i]);
        vector_add_features(gradient, along, samples[i].x, config->dimension);
        of_bias += along;
        learned++;
    }
    if (learned > 0)
        move(config, b, optimizer_step, gradient, of_bias);
}

static void embedding_correct(const struct model_config *config, void *block, const struct correction *change)
{
    struct embedding_block *b = block;
    const struct example *before = &change->before, *after = &change->after;
    CHECK(embedding_takes(config, before, NULL) == TM_OK && embedding_takes(config, after, NULL) == TM_OK);
    CHECK(b->admitted);
    features_count_change(&b->head, change);
    double gradient[MODEL_DIAGONAL_MAX], wrong = slope(config, b, before), right = slope(config, b, after);
    for (uint32_t i = 0; i < config->dimension; i++)
        gradient[i] = right * (double)after->x[i] - wrong * (double)before->x[i];
    move(config, b, optimizer_amend, gradient, right - wrong);
}

/* ---- reading ---- */

/* The block, if there is something to be read in it; models only read through it. */
static struct embedding_block *readable(const struct model_config *config, const void *block, int64_t now)
{
    bool there = block && embedding_admitted(block) && !embedding_expired(config, block, now);
    return there ? (struct embedding_block *)(uintptr_t)block : NULL;
}

static double prior_bias(const struct model_config *config)
{
    return config->intercept ? features_prior_mean(config, config->dimension) : 0;
}

static uint32_t embedding_width(const struct model_config *config) { return model_weights(config); }

static void embedding_value_name(const struct model_config *config, uint32_t value, struct value_name *out)
{
    CHECK(value < model_weights(config));
    if (value < config->dimension)
        features_name(out, "vector", value, -1);
    else
        *out = (struct value_name){"bias"};
}

static void embedding_values(const struct model_config *config, const void *block, int64_t now, double *out)
{
    struct embedding_block *b = readable(config, block, now);
    for (uint32_t i = 0; i < config->dimension; i++)
        out[i] = b ? (double)b->value[i] : features_prior_mean(config, i);
    if (config->intercept)
        out[config->dimension] = b ? (double)*parts_of(config, b).bias.weight : prior_bias(config);
}

static void embedding_score(const struct model_config *config, const void *block, const float *x, int64_t now,
                            struct score *out)
{
    struct embedding_block *b = readable(config, block, now);
    double score = prior_bias(config);
    if (b)
        score = score_of(config, b, x);
    else
        for (uint32_t i = 0; i < config->dimension; i++)
            score += (double)x[i] * features_prior_mean(config, i);
    *out = (struct score){.mean = score, .expected = expected(config, score)};
}

static void embedding_summarise(const struct model_config *config, const void *block, struct summary *out)
{
    if (embedding_admitted(block))
        features_summarise(config, block, out);
    else
        *out = (struct summary){0};
}

static void embedding_describe(const struct model_config *config, const void *block, int64_t now, struct belief *out)
{
    struct embedding_block *b = readable(config, block, now);
    double bias = b && config->intercept ? (double)*parts_of(config, b).bias.weight : prior_bias(config);
    double mean = expected(config, bias);
    *out = (struct belief){.mean = mean, .lower = mean, .upper = mean};
    if (b) {
        out->positives = b->head.positives;
        out->negatives = b->head.negatives;
        out->updated_at = b->head.time;
    }
}

static bool embedding_valid(const struct model_config *config, const void *block)
{
    const struct embedding_block *b = block;
    for (uint32_t i = 0; i < floats_of(config); i++)
        if (!isfinite(b->value[i]) || (!b->admitted && b->value[i] != 0))
            return false;
    return b->admitted <= 1 && b->seen >= b->admitted && features_head_valid(&b->head);
}

static void embedding_rewards(const struct model_config *config, double *low, double *high)
{
    if (config->embedding.loss == LOSS_LOGISTIC) {
        model_unit_rewards(config, low, high);
        return;
    }
    *low = config->reward_min;
    *high = config->reward_max;
}

const struct model model_embedding = {
    .name = "embedding",
    .width = embedding_width,
    .value_name = embedding_value_name,
    .check = embedding_check,
    .block_size = embedding_block_size,
    .init = embedding_init,
    .takes = embedding_takes,
    .learn = embedding_learn,
    .correct = embedding_correct,
    .rewards = embedding_rewards,
    .values = embedding_values,
    .score = embedding_score,
    .locate = embedding_score, /* what is expected costs one exponential */
    .summarise = embedding_summarise,
    .describe = embedding_describe,
    .valid = embedding_valid,
    .admitted = embedding_admitted,
    .expired = embedding_expired,
};
