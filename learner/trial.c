#include "learner/trial.h"

#include <math.h>
#include <stdlib.h>

#include "learner/probit_mixture.h"
#include "learner/vector.h"

static void add_alike(const struct model *model, const struct model_config *config, const void *block, size_t count,
                      struct trial *t)
{
    struct belief belief;
    double m = (double)count;
    model->describe(config, block, t->time, &belief);
    t->expected = m * belief.mean;
    t->variance = m * belief.mean * (1 - belief.mean) + m * (m - 1) * belief.variance;
}

/* sum += g x; returns g. own: what the sample's own variance would add to the sum over all pairs. */
static double add_sample(const struct model *model, const struct model_config *config, const void *block,
                         const struct example *e, struct trial *t, double *sum, double *own)
{
    struct score score;
    model->score(config, block, e->x, t->time, &score);
    double m = score.mean + e->offset, p = probit_mixture_mean(m, score.variance);
    double g = p * probit_mixture_tilt(m, score.variance, true).alpha;
    vector_add_features(sum, g, e->x, config->dimension);
    t->expected += p;
    t->variance += p * (1 - p);
    *own += g * g * score.variance;
    return g;
}

static void add_by_features(const struct model *model, const struct model_config *config, const void *block,
                            const struct example *samples, size_t count, struct trial *t)
{
    struct score mean;
    double *sum = mem_new(config->dimension, sizeof *sum), all = 0, own = 0;
    float *x = mem_new(config->dimension, sizeof *x);
    for (size_t i = 0; i < count; i++)
        all += add_sample(model, config, block, &samples[i], t, sum, &own);
    if (all > 0) {
        for (uint32_t i = 0; i < config->dimension; i++)
            x[i] = (float)(sum[i] / all);
        model->score(config, block, x, t->time, &mean);
        t->variance += fmax(0, all * all * mean.variance - own); /* rounding of x */
    }
    free(x);
    free(sum);
}

bool trial_of(const struct model *model, const struct model_config *config, const void *block,
              const struct example *samples, size_t count, struct trial *out)
{
    *out = (struct trial){.time = INT64_MIN};
    for (size_t i = 0; i < count; i++) {
        out->time = samples[i].time > out->time ? samples[i].time : out->time;
        out->positives += samples[i].reward >= 0.5;
    }
    if (model_uses_features(model))
        add_by_features(model, config, block, samples, count, out);
    else
        add_alike(model, config, block, count, out);
    return isfinite(out->variance) && out->variance > 0;
}
