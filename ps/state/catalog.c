#include "ps/state/catalog.h"

#include <math.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/state/catalog_join.h"
#include "ps/state/catalog_rules.h"
#include "ps/state/catalog_version.h"
#include "ps/state/parameter_prior.h"
#include "ps/state/parameter_reset.h"
#include "ps/state/catalog_encoder.h"

enum { CONTROL_SIZE_MAX = 1 << 20, CATALOG_SIZE_MAX = 8 << 20 };

typedef Tidemill__V1__VersionSpec VersionSpec;
typedef Tidemill__V1__VersionState VersionState;
typedef Tidemill__V1__EmbeddingSpec EmbeddingSpec;
typedef Tidemill__V1__Limits Limits;

static void free_version(struct version *v)
{
    free(v->weight_prior);
    free(v);
}

void catalog_close(struct catalog *c)
{
    for (uint32_t i = 0; i < c->versions; i++)
        free_version(c->version[i]);
    free(c->version);
    free(c->state);
    free(c->encoder);
    free(c->configured);
    audit_close(&c->audit);
    *c = (struct catalog){0};
}

static enum tm_code add_version(struct catalog *c, const VersionSpec *spec, struct tm_error *err)
{
    struct version *v = mem_new(1, sizeof *v);
    struct encoder_id encoder;
    enum tm_code rc = catalog_read_version(c, spec, v, err);
    if (rc == TM_OK)
        rc = catalog_encoder_read(spec->encoder, &encoder, err);
    if (rc == TM_OK && c->versions >= CATALOG_VERSIONS_MAX)
        rc = tm_error_set(err, TM_RESOURCE_EXHAUSTED, "version %s: there are %u already", v->name, c->versions);
    if (rc == TM_OK && (catalog_by_id(c, v->id) || catalog_find(c, bytes_text(v->name))))
        rc = tm_error_set(err, TM_DATA_LOSS, "version %s: id %u or name is taken", v->name, v->id);
    if (rc != TM_OK) {
        free_version(v);
        return rc;
    }
    c->version = mem_grow(c->version, c->versions + 1, sizeof(struct version *));
    c->state = mem_grow(c->state, c->versions + 1, sizeof *c->state);
    c->encoder = mem_grow(c->encoder, c->versions + 1, sizeof *c->encoder);
    c->configured = mem_grow(c->configured, c->versions + 1, sizeof *c->configured);
    c->state[c->versions] = VERSION_LEARNING;
    c->encoder[c->versions] = encoder;
    c->configured[c->versions] = (struct encoder_id){0};
    v->encoded = encoder.text[0] != '\0';
    c->version[c->versions++] = v;
    return TM_OK;
}

/* NULL: no such version. */
static enum version_state *state_of(const struct catalog *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (c->version[i]->id == id)
            return &c->state[i];
    return NULL;
}

static enum tm_code set_state(struct catalog *c, const VersionState *spec, struct catalog_change *change,
                              struct tm_error *err)
{
    enum version_state *state = state_of(c, spec->id);
    if (!state || spec->state > VERSION_PAUSED || (spec->discard && spec->state != VERSION_LEARNING))
        return tm_error_set(err, TM_DATA_LOSS, "version %u of %u goes to state %u%s: that makes no sense", spec->id,
                            c->versions, spec->state, spec->discard ? " and discards" : "");
    if (*state == spec->state)
        return TM_OK;
    *state = (enum version_state)spec->state;
    change->kind = *state == VERSION_PAUSED ? CATALOG_PAUSED : spec->discard ? CATALOG_DISCARDED : CATALOG_RESUMED;
    change->version = spec->id;
    return TM_OK;
}

static enum tm_code set_limits(struct catalog *c, const Limits *spec, struct tm_error *err)
{
    if (spec->held_bytes == 0 || spec->slice == 0)
        return tm_error_set(err, TM_DATA_LOSS, "limits of %llu bytes held and slices of %u samples make no sense",
                            (unsigned long long)spec->held_bytes, spec->slice);
    c->limits = (struct catalog_limits){.held_bytes = spec->held_bytes,
                                        .waiting_bytes = spec->waiting_bytes,
                                        .decided_bytes = spec->decided_bytes,
                                        .batch_bytes = spec->has_batch_bytes ? spec->batch_bytes : CATALOG_BATCH_BYTES,
                                        .slice = spec->slice};
    c->join.held_bytes_max = spec->waiting_bytes;
    c->join.decided_bytes_max = spec->decided_bytes;
    return TM_OK;
}

static enum tm_code apply(struct catalog *c, const Tidemill__V1__Control *m, struct catalog_change *change,
                          struct tm_error *err)
{
    if (m->join) {
        change->kind = CATALOG_JOINED;
        return catalog_read_join(c, m->join, err);
    }
    if (m->version) {
        *change = (struct catalog_change){CATALOG_CREATED, m->version->id};
        return add_version(c, m->version, err);
    }
    if (m->state)
        return set_state(c, m->state, change, err);
    if (m->limits) {
        change->kind = CATALOG_LIMITED;
        return set_limits(c, m->limits, err);
    }
    if (m->rules) {
        change->kind = CATALOG_RULED;
        return rules_read(m->rules, &c->join.rules, err);
    }
    if (m->encoder) {
        bool changed = false;
        enum tm_code rc = catalog_encoder_change(c, m->encoder, &changed, err);
        if (changed)
            *change = (struct catalog_change){CATALOG_ENCODED, m->encoder->id};
        return rc;
    }
    if (m->reset) {
        *change = (struct catalog_change){CATALOG_RESET, m->reset->id};
        return parameter_reset_note(c, m->reset, err);
    }
    if (m->prior) {
        *change = (struct catalog_change){CATALOG_PRIOR, m->prior->id};
        return parameter_prior_set(c, m->prior, err);
    }
    if (m->proceed)
        return TM_OK;
    return tm_error_set(err, TM_DATA_LOSS, "a control record of a kind that this program does not know");
}

enum tm_code catalog_apply(struct catalog *c, struct bytes control, struct catalog_change *change, struct tm_error *err)
{
    struct catalog_change ours = {CATALOG_SAME, 0};
    Tidemill__V1__Control *m =
        (Tidemill__V1__Control *)wire_unpack(&tidemill__v1__control__descriptor, control, CONTROL_SIZE_MAX, err);
    if (!m)
        return err ? err->code : TM_DATA_LOSS;
    enum tm_code rc = apply(c, m, &ours, err);
    wire_free(&m->base);
    if (change)
        *change = ours;
    return rc;
}

static void describe_limits(const struct catalog_limits *limits, Limits *spec)
{
    spec->has_held_bytes = spec->has_waiting_bytes = spec->has_decided_bytes = true;
    spec->has_batch_bytes = spec->has_slice = true;
    spec->batch_bytes = limits->batch_bytes;
    spec->waiting_bytes = limits->waiting_bytes;
    spec->decided_bytes = limits->decided_bytes;
    spec->held_bytes = limits->held_bytes;
    spec->slice = limits->slice;
}

void catalog_pack_rules(const struct joiner_rules *rules, struct buffer *out)
{
    struct rules_parts parts;
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    rules_describe(rules, &parts);
    control.rules = &parts.spec;
    wire_pack(&control.base, out);
}

void catalog_pack_version(const struct version *v, const struct encoder_id *encoder, struct buffer *out)
{
    VersionSpec spec;
    EmbeddingSpec embedding;
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    catalog_describe_version(v, encoder, &spec, &embedding);
    control.version = &spec;
    wire_pack(&control.base, out);
}

void catalog_pack_limits(const struct catalog_limits *limits, struct buffer *out)
{
    Limits spec = TIDEMILL__V1__LIMITS__INIT;
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    describe_limits(limits, &spec);
    control.limits = &spec;
    wire_pack(&control.base, out);
}

void catalog_encode(const struct catalog *c, struct buffer *out)
{
    struct join_parts parts;
    struct rules_parts rules;
    struct audit_parts changes;
    Tidemill__V1__Catalog m = TIDEMILL__V1__CATALOG__INIT;
    Limits limits = TIDEMILL__V1__LIMITS__INIT;
    VersionSpec *specs = mem_new(c->versions, sizeof *specs);
    EmbeddingSpec *embeddings = mem_new(c->versions, sizeof *embeddings);
    VersionSpec **list = mem_new(c->versions, sizeof(VersionSpec *));
    uint32_t *paused = mem_new(c->versions, sizeof *paused);
    Tidemill__V1__ParameterPrior *prior = mem_new(c->versions, sizeof *prior);
    Tidemill__V1__ParameterPrior **priors = mem_new(c->versions, sizeof *priors);
    Tidemill__V1__VersionEncoder *encoder = mem_new(c->versions, sizeof *encoder);
    Tidemill__V1__VersionEncoder **encoders = mem_new(c->versions, sizeof *encoders);
    if (c->joined) {
        catalog_describe_join(c, &parts);
        m.join = &parts.spec;
        m.n_epochs = c->join.epochs;
        m.epochs = parts.epochs;
        m.has_first_streams = true;
        m.first_streams = c->join.first_streams;
        rules_describe(&c->join.rules, &rules);
        m.rules = &rules.spec;
    }
    if (c->limits.slice) {
        describe_limits(&c->limits, &limits);
        m.limits = &limits;
    }
    for (uint32_t i = 0; i < c->versions; i++) {
        catalog_describe_version(c->version[i], &c->encoder[i], &specs[i], &embeddings[i]);
        list[i] = &specs[i];
        if (c->state[i] == VERSION_PAUSED)
            paused[m.n_paused++] = c->version[i]->id;
        if (c->version[i]->prior_changed) {
            parameter_prior_describe(c->version[i], &prior[i]);
            priors[m.n_priors++] = &prior[i];
        }
        if (c->configured[i].text[0]) {
            catalog_encoder_describe(c, i, &encoder[i]);
            encoders[m.n_encoders++] = &encoder[i];
        }
    }
    m.priors = priors;
    m.encoders = encoders;
    m.n_versions = c->versions;
    m.versions = list;
    m.paused = paused;
    audit_describe(&c->audit, &changes);
    m.n_changes = c->audit.count;
    m.changes = changes.list;
    wire_pack(&m.base, out);
    free(encoders);
    free(encoder);
    free(priors);
    free(prior);
    free(paused);
    free(list);
    free(embeddings);
    free(specs);
}

static enum tm_code decode(struct catalog *c, const Tidemill__V1__Catalog *m, struct tm_error *err)
{
    enum tm_code rc = m->join ? catalog_read_join(c, m->join, err) : TM_OK;
    if (rc == TM_OK && m->join)
        rc = catalog_read_epochs(c, m, err);
    for (size_t i = 0; rc == TM_OK && i < m->n_versions; i++)
        rc = add_version(c, m->versions[i], err);
    for (size_t i = 0; rc == TM_OK && i < m->n_paused; i++) {
        enum version_state *state = state_of(c, m->paused[i]);
        if (!state)
            return tm_error_set(err, TM_DATA_LOSS, "version %u is paused, but there is no such version", m->paused[i]);
        *state = VERSION_PAUSED;
    }
    if (rc == TM_OK && m->rules)
        rc = rules_read(m->rules, &c->join.rules, err);
    for (size_t i = 0; rc == TM_OK && i < m->n_priors; i++)
        rc = parameter_prior_read(c, m->priors[i], err);
    for (size_t i = 0; rc == TM_OK && i < m->n_encoders; i++)
        rc = catalog_encoder_restore(c, m->encoders[i], err);
    for (size_t i = 0; rc == TM_OK && i < m->n_changes; i++)
        rc = audit_read(&c->audit, m->changes[i], err);
    return rc == TM_OK && m->limits ? set_limits(c, m->limits, err) : rc;
}

enum tm_code catalog_decode(struct catalog *c, struct bytes stored, struct tm_error *err)
{
    Tidemill__V1__Catalog *m =
        (Tidemill__V1__Catalog *)wire_unpack(&tidemill__v1__catalog__descriptor, stored, CATALOG_SIZE_MAX, err);
    if (!m)
        return tm_error_wrap(err, "the stored catalog");
    enum tm_code rc = decode(c, m, err);
    wire_free(&m->base);
    return rc;
}
