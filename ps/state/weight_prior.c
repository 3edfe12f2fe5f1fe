#include "ps/state/weight_prior.h"

#include <stdio.h>

void weight_prior_set(struct version *v, const double *values, const char *source)
{
    uint32_t n = model_weights(&v->config);
    v->weight_prior = mem_new(2 * n, sizeof *v->weight_prior);
    memcpy(v->weight_prior, values, 2 * n * sizeof *values);
    v->config.prior_means = v->weight_prior;
    v->config.prior_sds = v->weight_prior + n;
    snprintf(v->prior_source, sizeof v->prior_source, "%s", source);
}

uint32_t weight_prior_total(const struct catalog *c)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < c->versions; i++)
        total += weight_prior_values(c->version[i]);
    return total;
}

bool weight_prior_same(const struct version *a, const struct version *b)
{
    uint32_t values = weight_prior_values(a);
    return values == weight_prior_values(b) &&
           (values == 0 || memcmp(a->weight_prior, b->weight_prior, values * sizeof *a->weight_prior) == 0);
}

enum tm_code weight_prior_read(const Tidemill__V1__VersionSpec *spec, struct version *v, struct tm_error *err)
{
    uint32_t n = model_weights(&v->config);
    if (spec->n_weight_prior == 0)
        return TM_OK;
    if (!model_uses_features(v->model) || n > MODEL_DIAGONAL_MAX || spec->n_weight_prior != 2 * n)
        return tm_error_set(err, TM_DATA_LOSS, "version %s: a prior of %zu values for %u weights", v->name,
                            spec->n_weight_prior, n);
    weight_prior_set(v, spec->weight_prior, spec->prior_source ? spec->prior_source : "");
    return TM_OK;
}

void weight_prior_describe(const struct version *v, Tidemill__V1__VersionSpec *spec)
{
    if (!v->weight_prior)
        return;
    spec->n_weight_prior = weight_prior_values(v);
    spec->weight_prior = v->weight_prior;
    spec->prior_source = (char *)(uintptr_t)v->prior_source;
}
