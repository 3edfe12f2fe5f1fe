#include "learner/features.h"

#include "learner/packed.h"
#include "learner/prior_covariance.h"
#include "learner/tally.h"

static const double feature_limit = 1e6, mean_limit = 1e6, sd_least = 1e-6, sd_most = 1e6;

static enum tm_code check_prior(const struct model_config *config, struct tm_error *err)
{
    for (uint32_t i = 0; i < model_weights(config); i++) {
        double mean = features_prior_mean(config, i), sd = features_prior_sd(config, i);
        if (!(fabs(mean) <= mean_limit))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "prior mean of weight %u: %g is not in [-%g, %g]", i, mean,
                                mean_limit, mean_limit);
        if (!(sd >= sd_least && sd <= sd_most))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "prior sd of weight %u: %g is not in [%g, %g]", i, sd,
                                sd_least, sd_most);
    }
    return TM_OK;
}

enum tm_code features_check(const struct model_config *config, uint32_t weights_max, struct tm_error *err)
{
    uint32_t most = weights_max - config->intercept;
    if (config->prior_count != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "prior: this model has prior_mean and prior_sd, not %u numbers",
                            config->prior_count);
    if (config->dimension < 1 || config->dimension > most)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "dimension: %u is not in [1, %u]", config->dimension, most);
    if (!(config->feature_max > 0 && config->feature_max <= feature_limit))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "feature_max: %g is not in (0, %g]", config->feature_max,
                            feature_limit);
    if (!(config->decay_per_ms >= 0 && isfinite(config->decay_per_ms)))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "forgetting: a decay of %g per ms is not a finite number >= 0",
                            config->decay_per_ms);
    if (config->prior_covariance && weights_max > MODEL_FULL_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "prior: covariances of weights; this model has a variance for each: expected standard "
                            "deviations");
    enum tm_code rc = check_prior(config, err);
    return rc == TM_OK && config->prior_covariance
               ? prior_covariance_check(config->prior_covariance, model_weights(config), err)
               : rc;
}

enum tm_code features_take(const struct model_config *config, const struct example *sample, struct tm_error *err)
{
    if (!sample->x)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "features: none; %u are expected", config->dimension);
    for (uint32_t i = 0; i < config->dimension; i++)
        if (!(fabs((double)sample->x[i]) <= config->feature_max))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "features[%u]: %g is not in [-%g, %g]", i,
                                (double)sample->x[i], config->feature_max, config->feature_max);
    if (!(sample->weight >= 0 && sample->weight <= FEATURES_WEIGHT_MAX))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "weight: %g is not in [0, %g]", sample->weight,
                            FEATURES_WEIGHT_MAX);
    return TM_OK;
}

void features_expand(const struct model_config *config, const float *x, double *out)
{
    for (uint32_t i = 0; i < config->dimension; i++)
        out[i] = (double)x[i];
    if (config->intercept)
        out[config->dimension] = 1;
}

static uint32_t *counter(struct block_head *head, const struct example *sample)
{
    return tally_positive(sample) ? &head->positives : &head->negatives;
}

void features_count_in(struct block_head *head, const struct example *sample) { tally_in(counter(head, sample)); }

void features_count_out(struct block_head *head, const struct example *sample) { tally_out(counter(head, sample)); }

void features_count_change(struct block_head *head, const struct correction *change)
{
    CHECK(change->before.time == change->after.time && change->before.time <= head->time);
    tally_out(counter(head, &change->before));
    tally_in(counter(head, &change->after));
}

void features_summarise(const struct model_config *config, const void *block, struct summary *out)
{
    const struct block_head *head = block;
    (void)config;
    *out = (struct summary){
        .samples = (uint64_t)head->positives + head->negatives, .updated_at = head->time, .repairs = head->repairs};
}

bool features_head_valid(const struct block_head *head) { return head->zero == 0; }

static char *put_text(char *at, const char *text)
{
    size_t size = strlen(text);
    memcpy(at, text, size);
    return at + size;
}

static char *put_index(char *at, uint32_t index)
{
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + index % 10);
    while ((index /= 10) != 0);
    *at++ = '[';
    while (count)
        *at++ = digits[--count];
    *at++ = ']';
    return at;
}

void features_name(struct value_name *out, const char *what, uint32_t index, int64_t second)
{
    CHECK(strlen(what) + 2 * strlen("[4294967295]") < sizeof out->text);
    *out = (struct value_name){0};
    char *at = put_index(put_text(out->text, what), index);
    if (second >= 0)
        put_index(at, (uint32_t)second);
}

void features_name_full(const struct model_config *config, uint32_t value, struct value_name *out)
{
    uint32_t n = model_weights(config), row = 0;
    if (value < n) {
        features_name(out, "mean", value, -1);
        return;
    }
    value -= n;
    CHECK(value < packed_size(n));
    while (packed_size(row + 1) <= value)
        row++;
    features_name(out, "covariance", row, value - packed_size(row));
}
