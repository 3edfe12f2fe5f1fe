#include "ps/engine/version_model.h"

#include "learner/embedding.h"
#include "ps/engine/version_embedding.h"

static const struct {
    const char *name;
    uint32_t bit; /* enum option_models */
} models[] = {
    {"beta", OPTION_OF_BETA}, {"lr", OPTION_OF_LR}, {"linear", OPTION_OF_LINEAR}, {"embedding", OPTION_OF_EMBEDDING}};

/* 0: not known. */
static uint32_t bit_of(const struct version_options *v)
{
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        if (strcmp(v->model, models[i].name) == 0)
            return models[i].bit;
    return 0;
}

bool version_model_has(const struct version_options *v, const struct option_row *row)
{
    uint32_t bit = bit_of(v);
    return (row->models == 0 || (row->models & bit)) &&
           (row->models != OPTION_OF_EMBEDDING || version_embedding_has(&v->embedding, row));
}

static void number_default(double *number, double preset) { *number = *number == 0 ? preset : *number; }

void version_model_derive(struct version_options *v)
{
    uint32_t bit = bit_of(v);
    if (bit == OPTION_OF_BETA && v->prior_count == 0) {
        v->prior[0] = v->prior[1] = 1;
        v->prior_count = 2;
    }
    if (bit == OPTION_OF_LR && v->covariance == 0)
        v->covariance = OPTION_COVARIANCE_FULL;
    if (bit & (OPTION_OF_LR | OPTION_OF_LINEAR)) {
        number_default(&v->prior_sd, 1);
        number_default(&v->intercept_sd, 1);
    }
    if (bit == OPTION_OF_LINEAR)
        number_default(&v->noise_sd, 1);
    number_default(&v->width, VERSION_POLICY_WIDTH);
    if (bit == OPTION_OF_EMBEDDING) {
        number_default(&v->prior_sd, 0.01);
        version_embedding_derive(&v->embedding);
    }
}

const struct model *version_model(const struct version_options *v, struct model_config *config)
{
    const struct model *model = model_find(bytes_text(v->model));
    static_assert(sizeof config->prior == sizeof v->prior, "a version's prior is its model's");
    memset(config, 0, sizeof *config); /* configurations are compared byte by byte */
    memcpy(config->prior, v->prior, sizeof config->prior);
    config->prior_count = v->prior_count;
    config->decay_per_ms = model_decay((double)v->half_life_ms);
    config->dimension = v->dimension;
    config->covariance = v->covariance == OPTION_COVARIANCE_FULL ? COVARIANCE_FULL : COVARIANCE_DIAGONAL;
    config->prior_mean = v->prior_mean;
    config->prior_sd = v->prior_sd;
    config->intercept_mean = v->intercept_mean;
    config->intercept_sd = v->intercept_sd;
    config->noise_sd = v->noise_sd;
    if (model == &model_embedding) {
        config->intercept_sd = 1; /* has no meaning there */
        version_embedding_fill(&v->embedding, &config->embedding);
    }
    model_fix(model, config);
    return model ? model_form(model, config) : NULL;
}

static_assert(RANK_BY_THOMPSON == (int)POLICY_THOMPSON && RANK_BY_UCB == (int)POLICY_UCB &&
                  RANK_BY_GREEDY == (int)POLICY_GREEDY,
              "the words of the option are the learner's policies");

struct policy version_model_policy(const struct version_options *v)
{
    return (struct policy){
        .kind = (enum policy_kind)v->policy, .epsilon = v->epsilon, .width = v->width, .reranks = v->propensity_draws};
}

static bool given(const struct version_options *v, const struct option_row *row)
{
    const char *value = (const char *)v + row->offset;
    switch (row->type) {
    case OPTION_PRIOR: return v->prior_count > 0;
    case OPTION_DURATION: return *(const int64_t *)(const void *)value != 0;
    case OPTION_NUMBER: return *(const double *)(const void *)value != 0;
    case OPTION_COUNT:
    case OPTION_CHANGE:
    case OPTION_COVARIANCE: return *(const uint32_t *)(const void *)value != 0;
    default: return *value != '\0';
    }
}

enum tm_code version_model_check(const struct version_options *v, struct tm_error *err)
{
    const struct option_list *list = option_list_find("versions");
    struct model_config config;
    const struct model *model = version_model(v, &config);
    if (!model)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "model: got %s; expected one of the models: %s", v->model,
                            model_names());
    if (model == &model_embedding && version_embedding_check(&v->embedding, err) != TM_OK)
        return TM_INVALID_ARGUMENT;
    for (size_t i = 0; i < list->row_count; i++)
        if (!version_model_has(v, &list->rows[i]) && given(v, &list->rows[i]))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: %s has no such option", list->rows[i].key, v->model);
    struct policy policy = version_model_policy(v);
    enum tm_code rc = model->check(&config, err);
    return rc == TM_OK ? version_policy_check(&policy, err) : rc;
}
