#include "learner/model.h"

#include <math.h>
#include <stdlib.h>

#include "learner/beta.h"
#include "learner/embedding.h"
#include "learner/linear.h"
#include "learner/lr.h"

static const struct model *const models[] = {&model_beta, &model_lr_full, &model_linear, &model_embedding};

/* A feature beyond a million is a mistake of its sender, and would drown all others. The guess at linear's noise counts
 * as much as a few samples. */
static const double feature_max = 1e6, reward_max = 1e9, embedding_reward_max = 1e6, noise_samples = 4;

void block_copy_close(struct block_copy *copy) { free(copy->large); }

const struct model *model_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        if (bytes_equal(name, bytes_text(models[i]->name)))
            return models[i];
    return NULL;
}

void model_unit_rewards(const struct model_config *config, double *low, double *high)
{
    (void)config;
    *low = 0;
    *high = 1;
}

const struct model *model_form(const struct model *model, const struct model_config *config)
{
    return model == &model_lr_full ? lr_model(config) : model;
}

void model_fix(const struct model *model, struct model_config *config)
{
    config->intercept = true;
    config->feature_max = feature_max;
    config->reward_max = model == &model_embedding ? embedding_reward_max : reward_max;
    config->reward_min = -config->reward_max;
    config->noise_samples = noise_samples;
}

const char *model_names(void) { return "beta, lr, linear, embedding"; }

double model_expected(const struct model *model, const struct model_config *config, const void *block, const float *x,
                      int64_t now)
{
    struct score score;
    if (!model_uses_features(model))
        return model->mean(config, block, now);
    model->score(config, block, x, now, &score);
    return score.expected;
}

double model_decay(double half_life_ms) { return half_life_ms > 0 ? log(2.0) / half_life_ms : 0; }
