/* The prior of a version that is being made, where every weight has its own. */
#include <stdio.h>
#include <stdlib.h>

#include "learner/pooled_prior.h"
#include "ps/engine/parts.h"
#include "ps/state/weight_prior.h"

/* TM_INVALID_ARGUMENT: `count` values would be the prior of something else. */
static enum tm_code check_count(const struct version *v, const char *name, size_t count, struct tm_error *err)
{
    uint32_t n = model_weights(&v->config);
    if (!model_uses_features(v->model))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: model %s has no weights", name, v->model->name);
    if (count == 2 * n)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "%s: %zu values; expected %u: a mean and a standard deviation for each of %u weights, that of "
                        "the intercept among them",
                        name, count, 2 * n, n);
}

static enum tm_code check_room(const struct engine *e, size_t count, struct tm_error *err)
{
    uint32_t there = weight_prior_total(&e->catalog);
    if (count <= CATALOG_PRIOR_VALUES_MAX - there)
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "versions have %u values of priors already; %zu more are beyond %d; give it prior_mean and "
                        "prior_sd instead",
                        there, count, CATALOG_PRIOR_VALUES_MAX);
}

struct pooling {
    struct pooled_prior prior;
    int64_t as_of;
};

static bool add_block(void *context, const void *block)
{
    struct pooling *p = context;
    pooled_prior_add(&p->prior, block, p->as_of);
    return true;
}

static enum tm_code pool(struct engine *e, const struct version *from, struct version *v, struct tm_error *err)
{
    struct pooling p = {.prior = {.model = from->model, .config = &from->config}, .as_of = engine_gate(e)};
    uint32_t n = model_weights(&v->config);
    double *values = mem_new(2 * n, sizeof *values);
    char source[sizeof v->prior_source];
    engine_visit_blocks(e, from, add_block, &p);
    enum tm_code rc = pooled_prior_estimate(&p.prior, values, values + n, err);
    snprintf(source, sizeof source, "%llu documents of %s", (unsigned long long)p.prior.documents, from->name);
    if (rc == TM_OK)
        weight_prior_set(v, values, source);
    pooled_prior_close(&p.prior);
    free(values);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "prior_from: version %s", from->name);
}

enum tm_code prior_of_new_version(struct engine *e, const struct engine_prior *prior, struct version *v,
                                  struct tm_error *err)
{
    const char *name = prior->from ? "prior_from" : "weight_prior";
    size_t count = prior->from ? 2 * model_weights(&prior->from->config) : prior->count;
    if (!prior->from && count == 0)
        return TM_OK;
    enum tm_code rc = TM_OK;
    if (prior->from && !model_uses_features(prior->from->model))
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "prior_from: version %s is of model %s, which has no weights",
                          prior->from->name, prior->from->model->name);
    if (rc == TM_OK)
        rc = check_count(v, name, count, err);
    if (rc == TM_OK)
        rc = check_room(e, count, err);
    if (rc == TM_OK && prior->from)
        rc = pool(e, prior->from, v, err);
    else if (rc == TM_OK)
        weight_prior_set(v, prior->values, "the call that made it");
    return rc == TM_OK ? v->model->check(&v->config, err) : rc;
}
