#include "ps/state/version_reward.h"

#include <math.h>

/* Sampling is corrected for once: by the offset where the model takes one, else by the weight. */
struct version_example version_example(const struct version *v, const struct sample *s, const double *labels,
                                       double keep, const float *x)
{
    bool offset = v->model->takes_offset;
    struct version_example e = {.example = {.weight = offset ? s->weight : s->weight / keep,
                                            .time = s->impression_time,
                                            .offset = offset ? -log(s->rate) : 0,
                                            .item = s->item,
                                            .x = x}};
    double low, high, reward;
    e.known = reward_value(&v->reward, labels, &reward);
    if (!e.known)
        return e;
    v->model->rewards(&v->config, &low, &high);
    e.cut = reward < low || reward > high;
    e.example.reward = reward < low ? low : reward > high ? high : reward;
    return e;
}

struct reward_range version_reward_range(const struct joiner_config *join, const struct reward *reward)
{
    double low[JOINER_LABELS_MAX] = {0}, high[JOINER_LABELS_MAX] = {0};
    for (uint32_t i = 0; i < join->streams; i++)
        for (uint32_t k = 0; k < join->labels; k++)
            if (join->stream[i].labels >> k & 1)
                label_range(&join->label[k], join->stream[i].within_ms, &low[k], &high[k]);
    return reward_range(reward, low, high);
}

enum tm_code version_reward_check(const struct model *model, struct reward_range range,
                                  const struct label_filters *filters, struct tm_error *err)
{
    if (!model->retract && label_filters_drop(filters))
        return tm_error_set(
            err, TM_INVALID_ARGUMENT,
            "model: sample_filters drop samples, and model %s cannot take out again what a later action "
            "excludes: expected filters that zero labels, or another model",
            model->name);
    if (range.always || model->retract)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "reward: it divides by what can be 0, and then has no value; model %s cannot take samples out "
                        "again: expected a divisor that is never 0, such as max(x, 1)",
                        model->name);
}

enum tm_code version_validate_check(const struct model *model, const struct model_config *config,
                                    struct reward_range range, struct tm_error *err)
{
    double low, high;
    model->rewards(config, &low, &high);
    if (!model->predict && (low != 0 || high != 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "validate: model %s predicts no probability and no width; expected off, or one of beta, "
                            "lr, linear and embedding with logistic loss",
                            model->name);
    if (!range.always)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "validate: the reward divides by what can be 0, and then has no value; expected off, or a "
                            "divisor that is never 0, such as max(x, 1)");
    return TM_OK;
}

enum tm_code version_life_check(const struct model *model, const struct model_config *config, struct tm_error *err)
{
    const struct embedding_config *e = &config->embedding;
    if (!model->admitted || (e->admit_at == 1 && e->admit_share >= 1 && e->expire_after == 0))
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "batch, order: documents that are admitted later or expire (admit_at, admit_share, "
                        "expire_after) learn each sample when it comes; expected neither of both, or none of these");
}

enum tm_code version_batch_check(const struct version_batch *batch, struct reward_range range,
                                 const struct label_filters *filters, struct tm_error *err)
{
    if (batch->positive_ratio > 0 && batch->samples <= 1 && batch->age_ms == 0)
        return tm_error_set(
            err, TM_INVALID_ARGUMENT,
            "batch.positive_ratio: got it alone; expected batch.samples or batch.age with it, because a "
            "document without positives would never be learned");
    if (label_filters_drop(filters))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "batch, order: sample_filters drop samples, and what waits must remain one; expected "
                            "filters that zero labels, or neither of them");
    if (!range.always)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "batch, order: the reward divides by what can be 0, and then has no value; expected a "
                            "divisor that is never 0, such as max(x, 1), or neither of them");
    return TM_OK;
}
