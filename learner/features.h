/* learner/features.h - what the models over features share: the prior, what they take, names, the head of a block.
 *
 * Shapes   n = model_weights(config) weights; a sample's features behind which the intercept's 1 is appended.
 * Bounds   features of at most config->feature_max, weights of a sample of at most FEATURES_WEIGHT_MAX: with them
 *          nothing that is computed can overflow. */
#ifndef TIDEMILL_LEARNER_FEATURES_H
#define TIDEMILL_LEARNER_FEATURES_H

#include "learner/model.h"
#include "learner/packed.h"

#define FEATURES_WEIGHT_MAX 1e6

/* At the beginning of every block of a model over features. */
struct block_head {
    int64_t time;                  /* newest event time learned; 0 before the first sample */
    uint32_t positives, negatives; /* raw; stick at UINT32_MAX */
    uint32_t repairs;              /* how often a guard had to step in (each model says which); sticks too */
    uint32_t zero;
};
static_assert(sizeof(struct block_head) == 24, "blocks are hashed and stored as they lie in memory");

/* TM_INVALID_ARGUMENT: no features, more than weights_max weights, a prior that is none (or of covariances, where
 * weights_max is more than MODEL_FULL_MAX), forgetting that is none. */
enum tm_code features_check(const struct model_config *config, uint32_t weights_max, struct tm_error *err);

/* TM_INVALID_ARGUMENT: features missing, not finite or too large; a weight that is none. */
enum tm_code features_take(const struct model_config *config, const struct example *sample, struct tm_error *err);

static inline double features_prior_mean(const struct model_config *config, uint32_t weight)
{
    if (config->prior_means)
        return config->prior_means[weight];
    return weight == config->dimension ? config->intercept_mean : config->prior_mean;
}

static inline double features_prior_sd(const struct model_config *config, uint32_t weight)
{
    if (config->prior_covariance)
        return sqrt(config->prior_covariance[packed_diagonal(weight)]);
    if (config->prior_sds)
        return config->prior_sds[weight];
    return weight == config->dimension ? config->intercept_sd : config->prior_sd;
}

/* Of the weights i and j <= i. */
static inline double features_prior_covariance(const struct model_config *config, uint32_t i, uint32_t j)
{
    if (config->prior_covariance)
        return config->prior_covariance[packed_at(i, j)];
    double sd = features_prior_sd(config, i);
    return i == j ? sd * sd : 0;
}

/* n doubles. */
void features_expand(const struct model_config *config, const float *x, double *out);

void features_count_in(struct block_head *head, const struct example *sample);
void features_count_out(struct block_head *head, const struct example *sample); /* it must have been learned (CHECK) */
/* A correction: the sample's times must agree, and it must have been learned (CHECK). */
void features_count_change(struct block_head *head, const struct correction *change);
void features_summarise(const struct model_config *config, const void *block, struct summary *out);
bool features_head_valid(const struct block_head *head);

/* "mean[3]", "covariance[4][2]": index and (if >= 0) second index. */
void features_name(struct value_name *out, const char *what, uint32_t index, int64_t second);
/* The names of n means and a packed covariance behind them. */
void features_name_full(const struct model_config *config, uint32_t value, struct value_name *out);

#endif
