/* The prior of a version that is being made, where every weight has its own. */
#include <stdio.h>
#include <stdlib.h>

#include "learner/lr.h"
#include "learner/pooled_prior.h"
#include "ps/engine/parts.h"
#include "ps/state/weight_prior.h"

static enum tm_code check_room(const struct engine *e, size_t others, size_t count, struct tm_error *err)
{
    size_t there = weight_prior_total(&e->catalog) + others;
    if (there + count <= CATALOG_PRIOR_VALUES_MAX)
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "versions have %zu values of priors already; %zu more are beyond %d; give it prior_mean and "
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

/* Where both versions keep the covariances of weights, the prior has them, too. */
static bool is_full(const struct version *from, const struct version *v)
{
    return from->model == &model_lr_full && v->model == &model_lr_full;
}

static enum tm_code pool(struct engine *e, const struct version *from, struct version *v, struct tm_error *err)
{
    bool full = is_full(from, v);
    struct pooling p = {.prior = {.model = from->model, .config = &from->config, .full = full},
                        .as_of = engine_gate(e)};
    uint32_t n = model_weights(&v->config), count = full ? weight_prior_covariances(n) : weight_prior_sds(n);
    double *values = mem_new(count, sizeof *values);
    char source[sizeof v->prior_source];
    engine_visit_blocks(e, from, add_block, &p);
    enum tm_code rc = full ? pooled_prior_estimate_full(&p.prior, values, values + n, err)
                           : pooled_prior_estimate(&p.prior, values, values + n, err);
    snprintf(source, sizeof source, "%llu documents of %s", (unsigned long long)p.prior.documents, from->name);
    if (rc == TM_OK)
        weight_prior_set(v, values, count, source);
    pooled_prior_close(&p.prior);
    free(values);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "version %s", from->name);
}

/* Weights mean the same only in the same model, of the same features. */
static enum tm_code check_kind(const struct engine *e, const struct engine_prior *prior, const struct version *v,
                               struct tm_error *err)
{
    const struct version *from = prior->from;
    const char *theirs = from->encoded ? catalog_encoder(&e->catalog, from->id)->text : from->representation;
    const char *ours = prior->encoder ? prior->encoder : v->representation;
    if (!model_uses_features(from->model))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "version %s is of model %s, which has no weights", from->name,
                            from->model->name);
    if (strcmp(from->model->name, v->model->name) != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "version %s is of model %s, and weights of model %s are others; expected a version of "
                            "model %s",
                            from->name, from->model->name, v->model->name, v->model->name);
    if (strcmp(theirs, ours) == 0)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "version %s has weights of representation %s; expected a version of the new one's, %s",
                        from->name, theirs[0] ? theirs : "none", ours[0] ? ours : "none");
}

static enum tm_code set_from_version(struct engine *e, const struct engine_prior *prior, struct version *v,
                                     struct tm_error *err)
{
    const struct version *from = prior->from;
    uint32_t n = model_weights(&from->config);
    enum tm_code rc = check_kind(e, prior, v, err);
    if (rc == TM_OK)
        rc = weight_prior_fits(v, weight_prior_sds(n), err);
    if (rc == TM_OK)
        rc = check_room(e, prior->others, is_full(from, v) ? weight_prior_covariances(n) : weight_prior_sds(n), err);
    return rc == TM_OK ? pool(e, from, v, err) : rc;
}

static enum tm_code set_values(const struct engine *e, const struct engine_prior *prior, struct version *v,
                               struct tm_error *err)
{
    enum tm_code rc = weight_prior_fits(v, prior->count, err);
    if (rc == TM_OK)
        rc = check_room(e, prior->others, prior->count, err);
    if (rc == TM_OK)
        weight_prior_set(v, prior->values, (uint32_t)prior->count, prior->source);
    return rc;
}

enum tm_code prior_of_new_version(struct engine *e, const struct engine_prior *prior, struct version *v,
                                  struct tm_error *err)
{
    if (!prior->from && prior->count == 0)
        return TM_OK;
    enum tm_code rc = prior->from ? set_from_version(e, prior, v, err) : set_values(e, prior, v, err);
    return rc == TM_OK ? v->model->check(&v->config, err) : rc;
}
