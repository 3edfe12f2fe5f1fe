#include "ps/state/weight_prior.h"

#include <stdio.h>

#include "learner/packed.h"
#include "learner/prior_covariance.h"

uint32_t weight_prior_sds(uint32_t n) { return 2 * n; }
uint32_t weight_prior_covariances(uint32_t n) { return n <= MODEL_FULL_MAX ? n + packed_size(n) : 0; }

enum tm_code weight_prior_fits(const struct version *v, size_t count, struct tm_error *err)
{
    uint32_t n = model_weights(&v->config), sds = weight_prior_sds(n), covariances = weight_prior_covariances(n);
    if (!model_uses_features(v->model))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "model %s has no weights", v->model->name);
    if (count == sds || (covariances > 0 && count == covariances))
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "%zu values; expected %u: a mean and a standard deviation for each of %u weights, that of the "
                        "intercept among them (lr with covariance: full, and linear, also take %u: means and the "
                        "covariance)",
                        count, sds, n, covariances);
}

void weight_prior_set(struct version *v, const double *values, uint32_t count, const char *source)
{
    uint32_t n = model_weights(&v->config), more = count == weight_prior_sds(n) ? 0 : count - n;
    double *kept = mem_new(count + more, sizeof *kept); /* behind a covariance its inverse */
    memcpy(kept, values, count * sizeof *values);
    if (more > 0)
        prior_covariance_invert(kept + n, n, kept + count);
    v->weight_prior = kept;
    v->weight_prior_values = count;
    v->config.prior_means = kept;
    v->config.prior_sds = more ? NULL : kept + n;
    v->config.prior_covariance = more ? kept + n : NULL;
    v->config.prior_precision = more ? kept + count : NULL;
    snprintf(v->prior_source, sizeof v->prior_source, "%s", source);
}

uint32_t weight_prior_total(const struct catalog *c)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < c->versions; i++)
        total += c->version[i]->weight_prior_values;
    return total;
}

bool weight_prior_same(const struct version *a, const struct version *b)
{
    uint32_t values = a->weight_prior_values;
    return values == b->weight_prior_values &&
           (values == 0 || memcmp(a->weight_prior, b->weight_prior, values * sizeof *a->weight_prior) == 0);
}

enum tm_code weight_prior_read(const Tidemill__V1__VersionSpec *spec, struct version *v, struct tm_error *err)
{
    uint32_t n = model_weights(&v->config);
    size_t count = spec->n_weight_prior;
    if (count == 0)
        return TM_OK;
    if (!model_uses_features(v->model) || n > MODEL_DIAGONAL_MAX || weight_prior_fits(v, count, NULL) != TM_OK)
        return tm_error_set(err, TM_DATA_LOSS, "version %s: a prior of %zu values for %u weights", v->name, count, n);
    weight_prior_set(v, spec->weight_prior, (uint32_t)count, spec->prior_source ? spec->prior_source : "");
    return TM_OK;
}

void weight_prior_describe(const struct version *v, Tidemill__V1__VersionSpec *spec)
{
    if (!v->weight_prior)
        return;
    spec->n_weight_prior = v->weight_prior_values;
    spec->weight_prior = v->weight_prior;
    spec->prior_source = (char *)(uintptr_t)v->prior_source;
}
