/* ps/state/version_reward.h - what a version learns of a sample: its reward, by the rules that its model sets.
 *
 * Cut      a reward outside of what the model takes (beta: [0, 1]) becomes the nearest that it takes; counted.
 * None     where the expression has no value (a division by 0) there is nothing to learn: the sample is skipped for the
 *          version, counted, and if a correction takes the value away, what was learned is taken out of the model. So a
 *          version has learned, at any time, every sample once with the reward that its labels have now, or not at all.
 *          Whether it has follows from the labels that the correction names: nothing is kept for it.
 *          A model that cannot take a sample out is refused with such an expression.
 * Threads  pure. */
#ifndef TIDEMILL_PS_STATE_VERSION_REWARD_H
#define TIDEMILL_PS_STATE_VERSION_REWARD_H

#include "joiner/sample.h"
#include "ps/state/catalog.h"

struct version_example {
    bool known; /* it has a reward */
    bool cut;
    struct example example;
};

/* labels, keep: those of the sample, or the old ones. x: its features; NULL for a model that needs none. */
struct version_example version_example(const struct version *v, const struct sample *s, const double *labels,
                                       double keep, const float *x);

/* What the reward of a version can be, by what its labels can be. */
struct reward_range version_reward_range(const struct joiner_config *join, const struct reward *reward);

/* TM_INVALID_ARGUMENT: the expression may have no value, or a filter may exclude samples, and the model cannot take
 * samples out. */
enum tm_code version_reward_check(const struct model *model, struct reward_range range,
                                  const struct label_filters *filters, struct tm_error *err);

/* TM_INVALID_ARGUMENT: a batch could wait for ever, or the reward may have no value, or filters may exclude what waits:
 * it must be a sample. */
enum tm_code version_batch_check(const struct version_batch *batch, struct reward_range range,
                                 const struct label_filters *filters, struct tm_error *err);

/* Of a model whose samples are to wait. TM_INVALID_ARGUMENT: its documents come and go, and what waits would be of some
 * that are not admitted yet, or forgotten meanwhile. */
enum tm_code version_life_check(const struct model *model, const struct model_config *config, struct tm_error *err);

/* TM_INVALID_ARGUMENT: its predictions cannot be judged: the model predicts neither a probability nor a width, or the
 * reward may have no value. */
enum tm_code version_validate_check(const struct model *model, const struct model_config *config,
                                    struct reward_range range, struct tm_error *err);

#endif
