/* The versions of a world: models, rewards, priors and batches, and whose samples they learn from. */
#include "tests/simulation/world_author.h"

#include <math.h>
#include <stdio.h>

#include "learner/embedding.h"
#include "learner/linear.h"
#include "ps/state/weight_prior.h"
#include "tests/simulation/encoders.h"
#include "tests/simulation/rewards.h"

/* What divides by 0 is for models that can take samples out again. */
static const struct world_reward *pick_reward(struct author *a, struct version *v)
{
    const struct world_reward *r = &world_rewards[below(a, world_reward_count)];
    uint32_t labels = v->id == 1 ? a->w->stage[0].labels : a->w->join.join.labels; /* the first one is there at once */
    while (r->labels > labels || (!r->exact && (!a->fractions || !v->model->retract)))
        r = &world_rewards[below(a, world_reward_count)];
    snprintf(v->reward.text, sizeof v->reward.text, "%s", r->text);
    a->w->reward_labels[v->id - 1] = r->labels;
    return r;
}

/* Documents are admitted after a few samples, by chance, and expire within a story. */
static void make_embedding(struct author *a, struct embedding_config *e)
{
    static const double norms[] = {100, 100, 0.5};
    *e = (struct embedding_config){.loss = chance(a, 75) ? LOSS_LOGISTIC : LOSS_SQUARED,
                                   .optimizer = {.kind = (enum optimizer_kind)below(a, OPTIMIZER_COUNT),
                                                 .rate = 0.25,
                                                 .l2 = chance(a, 30) ? 0.125 : 0,
                                                 .clip = 1},
                                   .norm_max = norms[below(a, ARRAY_LEN(norms))],
                                   .admit_at = chance(a, 50) ? 1 : between(a, 2, 4),
                                   .admit_share = chance(a, 60) ? 1 : 0.5,
                                   .expire_after = chance(a, 30) ? 0 : a->unit * between(a, 1, 6),
                                   .seed = below(a, 3)};
    struct optimizer_config *o = &e->optimizer;
    o->momentum = o->kind == OPTIMIZER_MOMENTUM ? 0.5 : 0;
    o->beta1 = o->kind == OPTIMIZER_ADAM ? 0.9 : 0;
    o->beta2 = o->kind == OPTIMIZER_ADAM ? 0.99 : 0;
    o->beta = o->kind == OPTIMIZER_FTRL ? 1 : 0;
    o->l1 = o->kind == OPTIMIZER_FTRL && chance(a, 50) ? 0.25 : 0;
    if (o->kind == OPTIMIZER_ADAM || o->kind == OPTIMIZER_ADAGRAD || o->kind == OPTIMIZER_ADAGRAD_ROW)
        o->epsilon = 1e-6;
}

/* L L' of an L with small whole parts of 1/4: as exact as the samples, and positive definite. */
static void make_covariance(struct author *a, uint32_t n, double *packed)
{
    double l[WORLD_WEIGHTS_MAX][WORLD_WEIGHTS_MAX] = {{0}};
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            l[i][j] = i == j ? 0.25 * between(a, 1, 4) : 0.25 * between(a, 0, 4) - 0.5;
            *packed = 0;
            for (uint32_t k = 0; k <= j; k++)
                *packed += l[i][k] * l[j][k];
            packed++;
        }
}

/* Another mean and sd for every weight, or a mean and the covariance of all. */
static void make_weight_prior(struct author *a, struct version *v)
{
    double value[WORLD_WEIGHTS_MAX + WORLD_WEIGHTS_MAX * WORLD_WEIGHTS_MAX] = {0};
    uint32_t n = model_weights(&v->config);
    bool full = v->config.covariance == COVARIANCE_FULL && chance(a, 50);
    for (uint32_t i = 0; i < n; i++) {
        value[i] = 0.25 * between(a, 0, 8) - 1;
        value[n + i] = 0.25 * between(a, 1, 6);
    }
    if (full)
        make_covariance(a, n, value + n);
    weight_prior_set(v, value, full ? weight_prior_covariances(n) : weight_prior_sds(n), "the world");
}

/* Some of the models over features, about half of the worlds. */
static void make_model(struct author *a, struct version *v)
{
    bool features = a->w->own_features < 100 && chance(a, 70);
    static const char *const models[] = {"lr", "lr", "linear", "embedding", "embedding"};
    uint32_t most = label_filters_drop(&a->w->join.join.label_filters) ? 3 : ARRAY_LEN(models); /* no retracting */
    uint32_t kind = below(a, most);
    v->model = model_find(bytes_text(features ? models[kind] : "beta"));
    if (!features) {
        v->config = (struct model_config){.prior = {1, 1}, .prior_count = 2};
    } else {
        v->config = (struct model_config){.dimension = chance(a, 85) ? a->w->dimension : 2,
                                          .covariance = kind == 0 ? COVARIANCE_DIAGONAL : COVARIANCE_FULL,
                                          .prior_sd = 0.5,
                                          .intercept_mean = -1,
                                          .intercept_sd = 1,
                                          .noise_sd = 0.5};
        if (v->model == &model_embedding)
            make_embedding(a, &v->config.embedding);
        v->encoded = v->config.dimension == WORLD_ENCODED && chance(a, 50);
        if (chance(a, v->encoded ? 75 : 25))
            snprintf(v->representation, sizeof v->representation, "%s", world_representation(between(a, 1, 2)));
    }
    model_fix(v->model, &v->config);
    v->model = model_form(v->model, &v->config);
    if (features && v->model != &model_embedding && chance(a, 30))
        make_weight_prior(a, v);
}

/* What samples of most worlds come to: of an impression or the streams of features, and of tables. */
static uint32_t dimension_of(const struct world *w)
{
    uint32_t tables = 0, streams = 0;
    for (uint32_t i = 0; i < w->join.join.streams; i++) {
        tables += w->join.join.stream[i].kind == JOINER_TABLE && !w->join.join.stream[i].payload_only;
        streams += w->join.join.stream[i].kind == JOINER_FEATURES;
    }
    return tables + (streams || w->own_features || tables == 0 ? WORLD_DIMENSION : 0);
}

/* Half of the versions; only of rewards that always have a value. */
static void make_batches(struct author *a, struct version *v, bool exact)
{
    if (!exact || !chance(a, 50))
        return;
    if (chance(a, 80))
        v->batch = (struct version_batch){
            .samples = chance(a, 80) ? between(a, 2, 6) : 4096,
            .positive_ratio = chance(a, 40) ? 0.25 * between(a, 1, 6) : 0,
            .age_ms = chance(a, 60) ? a->unit * between(a, 1, 12) : 0,
        };
    v->order = chance(a, 40) && !a->at_once ? ORDER_EVENT_TIME : ORDER_ARRIVAL;
    if (v->model == &model_embedding && version_waits(v)) { /* nobody comes or goes */
        v->config.embedding.admit_at = 1;
        v->config.embedding.admit_share = 1;
        v->config.embedding.expire_after = 0;
    }
}

void author_make_versions(struct author *a)
{
    struct world *w = a->w;
    static const uint32_t own[] = {0, 50, 90, 100, 100, 100};
    w->own_features = a->tardy ? 5 : own[below(a, ARRAY_LEN(own))];
    w->dimension = dimension_of(w);
    w->versions = between(a, 1, WORLD_VERSIONS_MAX);
    w->whole = !a->fractions;
    for (uint32_t i = 0; i < w->join.join.streams; i++) /* a third of a value is not exact */
        w->whole = w->whole && w->join.join.stream[i].attribute != JOINER_ATTRIBUTE_ALL;
    for (uint32_t i = 0; i < w->versions; i++) {
        struct version *v = &w->version[i];
        *v = (struct version){.id = i + 1};
        snprintf(v->name, sizeof v->name, "v%u", i + 1);
        make_model(a, v);
        const struct world_reward *reward = pick_reward(a, v);
        make_batches(a, v, reward->exact && !label_filters_drop(&w->join.join.label_filters));
        bool judges = v->model != &model_embedding || v->config.embedding.loss == LOSS_LOGISTIC;
        v->validate = judges && reward->exact && chance(a, 60);
        if (chance(a, 25) && v->model != &model_embedding) {
            v->half_life_ms = (double)a->unit * between(a, 1, 20);
            v->config.decay_per_ms = log(2) / v->half_life_ms;
            w->whole = false;
        }
        if (chance(a, 75))
            v->samples_from[v->samples_from_count++] = v->id;
        if (i > 0 && (chance(a, 50) || v->samples_from_count == 0))
            v->samples_from[v->samples_from_count++] = between(a, 1, i);
        if (v->samples_from_count == 0)
            v->samples_from[v->samples_from_count++] = v->id;
    }
}
