#include "ps/state/parameter_prior.h"

#include <stdio.h>

#include "learner/beta.h"
#include "proto/wire.h"

enum tm_code parameter_prior_check(const struct version *v, const double *prior, size_t count, struct tm_error *err)
{
    struct model_config config = v->config;
    if (v->model != &model_beta)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "version %s is of model %s, whose prior is part of every parameter; expected one of model "
                            "beta; or make a version with prior_from",
                            v->name, v->model->name);
    config.prior_count = (uint32_t)count;
    for (size_t i = 0; i < count && i < MODEL_PRIOR_MAX; i++)
        config.prior[i] = prior[i];
    return v->model->check(&config, err);
}

static struct version *find(const struct catalog *c, uint32_t id)
{
    return (struct version *)(uintptr_t)catalog_by_id(c, id); /* the catalog's own */
}

static void put_prior(const double *prior, Tidemill__V1__ParameterPrior *m)
{
    m->n_prior = 2;
    m->prior = (double *)(uintptr_t)prior;
}

void parameter_prior_pack(const struct parameter_prior *prior, struct buffer *out)
{
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    Tidemill__V1__ParameterPrior m = TIDEMILL__V1__PARAMETER_PRIOR__INIT;
    Tidemill__V1__ChangeNote note;
    audit_note_describe(&prior->note, &note);
    m.has_id = true;
    m.id = prior->version;
    put_prior(prior->prior, &m);
    m.source = (char *)(uintptr_t)prior->source;
    m.note = &note;
    control.prior = &m;
    wire_pack(&control.base, out);
}

enum tm_code parameter_prior_read(struct catalog *c, const Tidemill__V1__ParameterPrior *m, struct tm_error *err)
{
    struct version *v = find(c, m->id);
    struct tm_error why;
    if (!v)
        return tm_error_set(err, TM_DATA_LOSS, "a prior of version %u of %u", m->id, c->versions);
    if (parameter_prior_check(v, m->prior, m->n_prior, &why) != TM_OK)
        return tm_error_set(err, TM_DATA_LOSS, "%s", why.message);
    if (!v->prior_changed)
        memcpy(v->first_prior, v->config.prior, sizeof v->first_prior);
    v->prior_changed = true;
    memcpy(v->config.prior, m->prior, m->n_prior * sizeof *m->prior);
    return TM_OK;
}

enum tm_code parameter_prior_set(struct catalog *c, const Tidemill__V1__ParameterPrior *m, struct tm_error *err)
{
    const struct version *v = find(c, m->id);
    char what[AUDIT_WHAT_MAX + 1];
    const double before[2] = {v ? v->config.prior[0] : 0, v ? v->config.prior[1] : 0};
    enum tm_code rc = parameter_prior_read(c, m, err);
    if (rc != TM_OK)
        return rc;
    snprintf(what, sizeof what, "prior %.6g, %.6g -> %.6g, %.6g (%.*s)", before[0], before[1], m->prior[0], m->prior[1],
             PARAMETER_PRIOR_SOURCE_MAX, m->source ? m->source : "");
    return audit_add(&c->audit, m->id, what, m->note, err);
}

void parameter_prior_describe(const struct version *v, Tidemill__V1__ParameterPrior *out)
{
    tidemill__v1__parameter_prior__init(out);
    out->has_id = true;
    out->id = v->id;
    put_prior(v->config.prior, out);
}
