#include "learner/beta.h"

#include <math.h>

#include "learner/special.h"
#include "learner/tally.h"

static const double prior_max = 1e12;

static enum tm_code beta_takes(const struct model_config *config, const struct example *x, struct tm_error *err)
{
    (void)config;
    if (!(x->reward >= 0 && x->reward <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: %g is not in [0, 1]", x->reward);
    if (!(x->weight >= 0 && isfinite(x->weight)))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "weight: %g is not a finite number >= 0", x->weight);
    return TM_OK;
}

static void check_example(const struct example *x) { CHECK(beta_takes(NULL, x, NULL) == TM_OK); }

/* Which raw counter a sample belongs to. */
static uint32_t *counter(struct beta_block *b, const struct example *x)
{
    return tally_positive(x) ? &b->positives : &b->negatives;
}

static enum tm_code beta_check(const struct model_config *config, struct tm_error *err)
{
    if (config->prior_count != 2)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "prior: beta takes 2 numbers (alpha, beta), not %u",
                            config->prior_count);
    for (int i = 0; i < 2; i++)
        if (!(config->prior[i] > 0 && config->prior[i] <= prior_max))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "prior[%d]: %g is not in (0, %g]", i, config->prior[i],
                                prior_max);
    if (!(config->decay_per_ms >= 0 && isfinite(config->decay_per_ms)))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "forgetting: a decay of %g per ms is not a finite number >= 0",
                            config->decay_per_ms);
    return TM_OK;
}

static size_t beta_block_size(const struct model_config *config)
{
    (void)config;
    return sizeof(struct beta_block);
}

static void beta_init(const struct model_config *config, void *block)
{
    (void)config;
    *(struct beta_block *)block = (struct beta_block){0};
}

static void beta_learn(const struct model_config *config, void *block, const struct example *samples, size_t count)
{
    struct beta_block *b = block;
    for (const struct example *x = samples; x < samples + count; x++) {
        check_example(x);
        if (x->time > b->time) {
            double left = tally_remaining(config->decay_per_ms, x->time, b->time);
            b->s *= left;
            b->f *= left;
            b->time = x->time;
        }
        double w = x->weight * tally_remaining(config->decay_per_ms, b->time, x->time);
        b->s += w * x->reward;
        b->f += w * (1 - x->reward);
        tally_in(counter(b, x));
    }
}

/* What taking out left of a sum. Learning and correcting a sample rounds about eight times, each time by at most 2^-53
 * of the mass (and always the same way, where samples are evenly spaced in time). The raw counters end at 2^32 samples:
 * below zero by more than 2^-18 of the mass, something was taken out that had never been put in. */
static double taken_out(double rest, double mass)
{
    CHECK(rest >= -0x1p-18 * (1 + mass));
    return rest > 0 ? rest : 0.0; /* and never -0.0, which is other bytes */
}

static void beta_correct(const struct model_config *config, void *block, const struct correction *change)
{
    struct beta_block *b = block;
    const struct example *before = &change->before, *after = &change->after;
    check_example(before);
    check_example(after);
    CHECK(before->time == after->time && before->time <= b->time);
    double left = tally_remaining(config->decay_per_ms, b->time, before->time);
    double out = left * before->weight, in = left * after->weight, mass = b->s + b->f + in;
    b->s = taken_out(b->s - out * before->reward + in * after->reward, mass);
    b->f = taken_out(b->f - out * (1 - before->reward) + in * (1 - after->reward), mass);
    tally_out(counter(b, before));
    tally_in(counter(b, after));
}

static void beta_retract(const struct model_config *config, void *block, const struct example *x)
{
    struct beta_block *b = block;
    check_example(x);
    CHECK(x->time <= b->time);
    double out = tally_remaining(config->decay_per_ms, b->time, x->time) * x->weight, mass = b->s + b->f;
    b->s = taken_out(b->s - out * x->reward, mass);
    b->f = taken_out(b->f - out * (1 - x->reward), mass);
    tally_out(counter(b, x));
}

static void beta_values(const struct model_config *config, const void *block, int64_t now, double *out)
{
    const struct beta_block *b = block;
    double left = b ? tally_remaining(config->decay_per_ms, now, b->time) : 0;
    out[0] = config->prior[0] + (b ? b->s * left : 0);
    out[1] = config->prior[1] + (b ? b->f * left : 0);
}

static double beta_mean(const struct model_config *config, const void *block, int64_t now)
{
    double shape[2];
    beta_values(config, block, now, shape);
    return shape[0] / (shape[0] + shape[1]);
}

static void beta_summarise(const struct model_config *config, const void *block, struct summary *out)
{
    const struct beta_block *b = block;
    (void)config;
    *out = (struct summary){.samples = (uint64_t)b->positives + b->negatives, .updated_at = b->time};
}

static void beta_describe(const struct model_config *config, const void *block, int64_t now, struct belief *out)
{
    const struct beta_block *b = block;
    double shape[2];
    beta_values(config, block, now, shape);
    double n = shape[0] + shape[1], mean = shape[0] / n;
    *out = (struct belief){
        .mean = mean,
        .variance = mean * (shape[1] / n) / (n + 1),
        .lower = beta_quantile(shape[0], shape[1], 0.025),
        .upper = beta_quantile(shape[0], shape[1], 0.975),
        .positives = b ? b->positives : 0,
        .negatives = b ? b->negatives : 0,
        .updated_at = b ? b->time : 0,
    };
}

static double beta_draw(const struct model_config *config, const void *block, int64_t now, struct draw *stream)
{
    double shape[2];
    beta_values(config, block, now, shape);
    return draw_beta(stream, shape[0], shape[1]);
}

static bool beta_valid(const struct model_config *config, const void *block)
{
    (void)config;
    const struct beta_block *b = block;
    return isfinite(b->s) && isfinite(b->f) && b->s >= 0 && b->f >= 0 && !signbit(b->s) && !signbit(b->f);
}

static const char *const value_names[] = {"alpha", "beta"};

static uint32_t beta_width(const struct model_config *config)
{
    (void)config;
    return ARRAY_LEN(value_names);
}

static void beta_value_name(const struct model_config *config, uint32_t value, struct value_name *out)
{
    (void)config;
    CHECK(value < ARRAY_LEN(value_names));
    *out = (struct value_name){0};
    memcpy(out->text, value_names[value], strlen(value_names[value]));
}

const struct model model_beta = {
    .name = "beta",
    .width = beta_width,
    .value_name = beta_value_name,
    .check = beta_check,
    .block_size = beta_block_size,
    .init = beta_init,
    .takes = beta_takes,
    .learn = beta_learn,
    .correct = beta_correct,
    .rewards = model_unit_rewards,
    .retract = beta_retract,
    .values = beta_values,
    .mean = beta_mean,
    .summarise = beta_summarise,
    .describe = beta_describe,
    .draw = beta_draw,
    .valid = beta_valid,
};
