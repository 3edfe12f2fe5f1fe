#include "ps/engine/option_reward.h"

#include <stdio.h>

#include "base/text.h"
#include "ps/engine/option_problems.h"
#include "ps/engine/version_model.h"
#include "ps/state/version_reward.h"

static enum tm_code compile(const struct version_options *v, const struct options *o, struct reward *out,
                            struct tm_error *err)
{
    const char *labels[OPTION_LABELS_MAX];
    for (uint32_t i = 0; i < o->labels; i++)
        labels[i] = o->label[i].name;
    return reward_compile(bytes_text(v->reward), labels, o->labels, out, err);
}

/* Of labels whose stream is not there nothing is known. */
static struct reward_range range_of(const struct options *o, const struct reward *reward)
{
    struct joiner_config join = {.streams = o->streams, .labels = o->labels};
    for (uint32_t i = 0; i < o->streams; i++)
        join.stream[i].within_ms = o->stream[i].within_ms;
    for (uint32_t i = 0; i < o->labels; i++) {
        join.label[i] = o->label[i].label;
        for (uint32_t s = 0; s < o->streams; s++)
            if (strcmp(o->stream[s].name, o->label[i].stream) == 0)
                join.stream[s].labels |= UINT64_C(1) << i;
    }
    return version_reward_range(&join, reward);
}

/* A mere name that is none: which one was meant? */
static enum tm_code unknown_label(const struct version_options *v, const struct options *o, struct tm_error *err)
{
    struct option_guess guess = {.wanted = v->reward};
    char hint[OPTION_HINT_SIZE];
    for (uint32_t i = 0; i < o->labels; i++)
        option_guess_offer(&guess, o->label[i].name, strlen(o->label[i].name));
    return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: got %s, which is no label; %s", v->reward,
                        option_guess_hint(&guess, hint));
}

static enum tm_code check_validate(const struct version_options *v, struct reward_range range, struct tm_error *err)
{
    struct model_config config;
    const struct model *model = version_model(v, &config);
    return version_validate_check(model, &config, range, err);
}

static enum tm_code check_batch(const struct version_options *v, struct reward_range range,
                                const struct label_filters *filters, struct tm_error *err)
{
    const struct version_batch batch = {v->batch_samples, v->batch_ratio, v->batch_age_ms};
    struct model_config config;
    const struct model *model = version_model(v, &config);
    if (batch.samples <= 1 && batch.positive_ratio == 0 && v->order == ORDER_ARRIVAL)
        return TM_OK;
    enum tm_code rc = version_batch_check(&batch, range, filters, err);
    return rc == TM_OK && model ? version_life_check(model, &config, err) : rc;
}

enum tm_code option_reward_check(const struct version_options *v, const struct options *o, struct tm_error *err)
{
    struct reward reward;
    const struct model *model = model_find(bytes_text(v->model));
    enum tm_code rc = compile(v, o, &reward, err);
    if (rc != TM_OK)
        return option_name_valid(v->reward) ? unknown_label(v, o, err) : tm_error_wrap(err, "reward");
    if (!model)
        return TM_OK;
    struct reward_range range = range_of(o, &reward);
    struct label_filters filters = {.count = o->sample_filters};
    for (uint32_t i = 0; i < o->sample_filters; i++)
        filters.filter[i].drop = o->sample_filter[i].action == VERDICT_DROP;
    rc = version_reward_check(model, range, &filters, err);
    if (rc == TM_OK)
        rc = check_batch(v, range, &filters, err);
    return rc == TM_OK && v->validate ? check_validate(v, range, err) : rc;
}

static const char *bound_text(double bound, char text[static TEXT_NUMBER_SIZE])
{
    return isinf(bound) ? bound < 0 ? "-infinity" : "infinity" : text_number(bound, text);
}

bool option_reward_warning(const struct version_options *v, const struct options *o,
                           char text[static OPTION_WARNING_SIZE])
{
    struct model_config config;
    const struct model *model = version_model(v, &config);
    struct reward reward;
    char a[TEXT_NUMBER_SIZE], b[TEXT_NUMBER_SIZE], c[TEXT_NUMBER_SIZE], d[TEXT_NUMBER_SIZE];
    double low, high;
    text[0] = '\0';
    if (!model || compile(v, o, &reward, NULL) != TM_OK)
        return false;
    struct reward_range range = range_of(o, &reward);
    model->rewards(&config, &low, &high);
    if (range.low >= low && range.high <= high)
        return false;
    snprintf(text, OPTION_WARNING_SIZE,
             "reward: %s can be from %s to %s; model %s learns %s to %s, and what is beyond is cut to that", v->reward,
             bound_text(range.low, a), bound_text(range.high, b), v->model, bound_text(low, c), bound_text(high, d));
    return true;
}
