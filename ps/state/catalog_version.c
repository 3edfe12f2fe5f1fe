#include "ps/state/catalog_version.h"

#include <math.h>

#include "ps/state/catalog_embedding.h"
#include "ps/state/version_policy.h"
#include "ps/state/version_reward.h"
#include "ps/state/weight_prior.h"

typedef Tidemill__V1__VersionSpec VersionSpec;
typedef Tidemill__V1__EmbeddingSpec EmbeddingSpec;

enum tm_code catalog_read_name(char out[static CATALOG_NAME_MAX + 1], const char *name, const char *what,
                               struct tm_error *err)
{
    size_t size = name ? strlen(name) : 0;
    if (size == 0 || size > CATALOG_NAME_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "%s: a name of %zu bytes; expected 1 to %d", what, size,
                            CATALOG_NAME_MAX);
    memcpy(out, name, size + 1);
    return TM_OK;
}

static enum tm_code fill_reward(const struct catalog *c, struct version *v, const char *text, struct tm_error *err)
{
    enum tm_code rc = catalog_compile_reward(c, bytes_text(text ? text : ""), &v->reward, err);
    struct reward_range range = version_reward_range(&c->join, &v->reward);
    if (rc == TM_OK)
        rc = version_reward_check(v->model, range, &c->join.label_filters, err);
    if (rc == TM_OK && version_waits(v))
        rc = version_batch_check(&v->batch, range, &c->join.label_filters, err);
    return rc == TM_OK && v->validate ? version_validate_check(v->model, &v->config, range, err) : rc;
}

/* What the model is told. */
static void fill_config(const struct model *model, struct model_config *config, const VersionSpec *spec)
{
    for (size_t i = 0; i < spec->n_prior; i++)
        config->prior[i] = spec->prior[i];
    config->prior_count = (uint32_t)spec->n_prior;
    config->decay_per_ms = model_decay(spec->half_life_ms);
    config->dimension = spec->dimension;
    config->covariance = spec->full_covariance ? COVARIANCE_FULL : COVARIANCE_DIAGONAL;
    config->prior_mean = spec->prior_mean;
    config->prior_sd = spec->prior_sd;
    config->intercept_mean = spec->intercept_mean;
    config->intercept_sd = spec->intercept_sd;
    config->noise_sd = spec->noise_sd;
    model_fix(model, config);
}

static enum tm_code fill_batch(struct version *v, const VersionSpec *spec, struct tm_error *err)
{
    v->batch = (struct version_batch){spec->batch_samples, spec->batch_ratio, spec->batch_age_ms};
    v->order = (enum version_order)spec->order;
    if (version_waits(v) && version_life_check(v->model, &v->config, NULL) != TM_OK)
        return tm_error_set(err, TM_DATA_LOSS, "documents that come and go have no batches, and one order");
    if (spec->order <= ORDER_EVENT_TIME && v->batch.samples <= VERSION_BATCH_MAX && v->batch.age_ms >= 0 &&
        v->batch.positive_ratio >= 0 && isfinite(v->batch.positive_ratio))
        return TM_OK;
    return tm_error_set(err, TM_DATA_LOSS, "batches of %u samples, ratio %g, age %lld ms, order %u make no sense",
                        spec->batch_samples, spec->batch_ratio, (long long)spec->batch_age_ms, spec->order);
}

enum tm_code catalog_read_version(const struct catalog *c, const VersionSpec *spec, struct version *v,
                                  struct tm_error *err)
{
    enum tm_code rc = catalog_read_name(v->name, spec->name, "version", err);
    if (rc == TM_OK && spec->representation)
        rc = catalog_read_name(v->representation, spec->representation, "representation", err);
    if (rc != TM_OK)
        return rc;
    v->id = spec->id;
    const struct model *model = model_find(bytes_text(spec->model ? spec->model : ""));
    if (!model || spec->id == 0 || spec->n_prior > MODEL_PRIOR_MAX || spec->n_samples_from > VERSION_SOURCES_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "version %s: model \"%s\" with %zu priors is not known here", v->name,
                            spec->model ? spec->model : "", spec->n_prior);
    fill_config(model, &v->config, spec);
    if (spec->embedding && embedding_read(spec->embedding, &v->config.embedding, err) != TM_OK)
        return tm_error_wrap(err, "version %s", v->name);
    v->model = model_form(model, &v->config);
    v->half_life_ms = spec->half_life_ms;
    v->validate = spec->validate;
    for (size_t i = 0; i < spec->n_samples_from; i++)
        v->samples_from[i] = spec->samples_from[i];
    v->samples_from_count = (uint32_t)spec->n_samples_from;
    rc = fill_batch(v, spec, err);
    if (rc == TM_OK)
        rc = weight_prior_read(spec, v, err);
    if (rc == TM_OK)
        rc = version_policy_read(spec, &v->policy, err);
    if (rc == TM_OK)
        rc = v->model->check(&v->config, err);
    if (rc == TM_OK)
        rc = fill_reward(c, v, spec->reward, err);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "version %s", v->name);
}

static char *text(const char *name) { return (char *)(uintptr_t)name; } /* protobuf-c has no const */

/* embedding: room for what an embedding learns by. */
static void describe_features(const struct version *v, VersionSpec *spec, EmbeddingSpec *embedding)
{
    const struct model_config *config = &v->config;
    spec->has_dimension = spec->has_full_covariance = spec->has_prior_mean = spec->has_prior_sd = true;
    spec->has_intercept_mean = spec->has_intercept_sd = spec->has_noise_sd = true;
    spec->dimension = config->dimension;
    spec->full_covariance = config->covariance == COVARIANCE_FULL;
    spec->prior_mean = config->prior_mean;
    spec->prior_sd = config->prior_sd;
    spec->intercept_mean = config->intercept_mean;
    spec->intercept_sd = config->intercept_sd;
    spec->noise_sd = config->noise_sd;
    weight_prior_describe(v, spec);
    if (v->representation[0])
        spec->representation = text(v->representation);
    if (version_draws(v))
        embedding_describe(&config->embedding, spec->embedding = embedding);
}

void catalog_describe_version(const struct version *v, const struct encoder_id *encoder, VersionSpec *spec,
                              EmbeddingSpec *embedding)
{
    tidemill__v1__version_spec__init(spec);
    spec->has_id = spec->has_half_life_ms = true;
    spec->id = v->id;
    spec->name = text(v->name);
    spec->model = text(v->model->name);
    spec->n_prior = v->config.prior_count;
    spec->prior = (double *)(uintptr_t)version_first_prior(v);
    spec->half_life_ms = v->half_life_ms;
    spec->reward = text(v->reward.text);
    spec->has_validate = true;
    spec->validate = v->validate;
    if (version_waits(v)) {
        spec->has_batch_samples = spec->has_batch_ratio = spec->has_batch_age_ms = spec->has_order = true;
        spec->batch_samples = v->batch.samples;
        spec->batch_ratio = v->batch.positive_ratio;
        spec->batch_age_ms = v->batch.age_ms;
        spec->order = v->order;
    }
    version_policy_describe(&v->policy, spec);
    spec->n_samples_from = v->samples_from_count;
    spec->samples_from = (uint32_t *)(uintptr_t)v->samples_from;
    if (model_uses_features(v->model))
        describe_features(v, spec, embedding);
    if (encoder && encoder->text[0])
        spec->encoder = text(encoder->text);
}
