#include "ps/server/version_message.h"

#include "learner/linear.h"
#include "ps/engine/option_table.h"
#include "ps/server/fill.h"
#include "ps/state/version_policy.h"
#include "ps/state/catalog_embedding.h"
#include "ps/state/weight_prior.h"

const char *version_state_name(enum version_state state)
{
    static const char *const names[] = {[VERSION_LEARNING] = "learning", [VERSION_PAUSED] = "paused"};
    return names[state];
}

static void fill_counts(const struct sample_counts *c, Tidemill__V1__SampleCounts *m)
{
    tidemill__v1__sample_counts__init(m);
    FILL(m, samples, c->samples);
#define F(name, help) FILL(m, name, c->name);
    SAMPLE_FATES(F)
    SKIP_REASONS(F)
    SAMPLE_NOTES(F)
#undef F
}

static void fill_features(const struct version *v, struct version_message *out)
{
    Tidemill__V1__VersionStatus *m = &out->message;
    const struct model_config *config = &v->config;
    bool linear = v->model == &model_linear, embedding = version_draws(v);
    FILL(m, dimension, config->dimension);
    FILL(m, prior_mean, config->prior_mean);
    FILL(m, prior_sd, config->prior_sd);
    FILL(m, intercept_mean, config->intercept_mean);
    if (embedding) {
        embedding_describe(&config->embedding, &out->embedding);
        m->embedding = &out->embedding;
    } else {
        m->covariance = fill_text(linear || config->covariance == COVARIANCE_FULL ? "full" : "diagonal");
        FILL(m, intercept_sd, config->intercept_sd);
    }
    if (v->weight_prior) {
        m->prior_source = fill_text(v->prior_source);
        m->n_weight_prior = v->weight_prior_values;
        m->weight_prior = v->weight_prior;
    }
    if (linear)
        FILL(m, noise_sd, config->noise_sd);
    if (v->representation[0])
        m->representation = fill_text(v->representation);
}

static void fill_policy(const struct policy *p, Tidemill__V1__VersionStatus *m)
{
    m->policy = fill_text(version_policy_word(p->kind));
    FILL(m, epsilon, p->epsilon);
    if (p->kind == POLICY_UCB)
        FILL(m, width, p->width);
    if (p->kind == POLICY_THOMPSON)
        FILL(m, propensity_draws, p->reranks);
}

static void fill_waiting(const struct version *v, Tidemill__V1__VersionStatus *m)
{
    bool batches = v->batch.samples > 1;
    FILL(m, batch_samples, batches ? v->batch.samples : 1);
    FILL(m, batch_positive_ratio, batches ? v->batch.positive_ratio : 0);
    FILL(m, batch_age_ms, batches ? v->batch.age_ms : 0);
    m->order = fill_text(option_choice_word(OPTION_ORDER, v->order));
}

static void fill_batches(const struct engine_version_status *v, Tidemill__V1__BatchCounts *m)
{
    tidemill__v1__batch_counts__init(m);
    FILL(m, open, v->open_batches);
#define C(name, help) FILL(m, name, v->batches.name);
    BATCH_COUNTS(C)
#undef C
}

static void fill_description(const struct engine *engine, const struct version *v, struct version_message *out)
{
    Tidemill__V1__VersionStatus *m = &out->message;
    m->name = fill_text(v->name);
    FILL(m, id, v->id);
    m->model = fill_text(v->model->name);
    m->n_prior = v->config.prior_count;
    m->prior = (double *)(uintptr_t)v->config.prior;
    if (model_uses_features(v->model))
        fill_features(v, out);
    FILL(m, half_life_ms, (int64_t)v->half_life_ms);
    fill_waiting(v, m);
    m->reward = fill_text(v->reward.text);
    m->n_samples_from = v->samples_from_count;
    m->samples_from = out->samples_from;
    for (uint32_t i = 0; i < v->samples_from_count; i++)
        out->samples_from[i] = fill_text(engine_version_by_id(engine, v->samples_from[i])->name);
}

void version_message_fill(const struct engine *engine, const struct engine_version_status *v,
                          struct version_message *out)
{
    Tidemill__V1__VersionStatus *m = &out->message;
    tidemill__v1__version_status__init(m);
    fill_description(engine, v->version, out);
    fill_counts(&v->fresh, &out->fresh);
    fill_counts(&v->corrections, &out->corrections);
    const char *encoder = engine_version_encoder(engine, v->version);
    if (encoder)
        m->encoder = fill_text(encoder);
    m->state = fill_text(version_state_name(v->state));
    FILL(m, catching_up, v->catching_up);
    m->new_samples = &out->fresh;
    m->corrections = &out->corrections;
    FILL(m, imbalance, v->imbalance);
    FILL(m, documents, v->documents);
    FILL(m, validate, v->version->validate);
    fill_policy(&v->version->policy, m);
    if (version_waits(v->version)) {
        fill_batches(v, &out->batches);
        m->batches = &out->batches;
    }
    if (v->version->validate) {
        FILL(m, unjudged_served, v->judge.served);
        FILL(m, unjudged_prequential, v->judge.prequential);
        FILL(m, unjudged_corrections, v->judge.corrections);
    }
    if (model_uses_features(v->version->model))
        FILL(m, repairs, v->repairs);
}
