#include "ps/engine/parameter_changes.h"

#include "base/rcu.h"
#include "ps/engine/parts.h"

struct counting {
    const struct version *version;
    struct engine_reset_plan *plan;
};

static bool count_block(void *context, const void *block)
{
    struct counting *c = context;
    struct summary s;
    c->version->model->summarise(&c->version->config, block, &s);
    c->plan->documents += s.samples > 0;
    c->plan->samples += s.samples;
    return true;
}

/* Returns whether anything was learned about it. */
static bool count_doc(const struct engine *e, const struct counting *c, struct bytes doc)
{
    const struct version *v = c->version;
    CLEANUP(block_copy_close) struct block_copy room;
    void *copy = block_copy_open(&room, version_content_size(v));
    uint64_t before = c->plan->documents;
    rcu_enter();
    const struct table *t = shard_table(e->shard[hash_shard(doc, e->options.shards)], v->id);
    const struct doc_id id = shard_doc_id(doc, e->dir.hash_seed);
    uint32_t number = t ? table_find(t, id) : TABLE_NONE;
    bool there = number != TABLE_NONE && table_read(t, number, id, copy);
    rcu_leave();
    if (there)
        count_block((void *)(uintptr_t)c, copy);
    return c->plan->documents > before;
}

void engine_plan_reset(struct engine *e, const struct version *v, const char **docs, size_t *count,
                       struct engine_reset_plan *out)
{
    struct counting c = {v, out};
    size_t stay = 0;
    *out = (struct engine_reset_plan){0};
    if (*count == 0)
        engine_visit_blocks(e, v, count_block, &c);
    for (size_t i = 0; i < *count; i++)
        if (count_doc(e, &c, bytes_text(docs[i])))
            docs[stay++] = docs[i];
    *count = stay;
}

/* Append a record that was checked. */
static enum tm_code append(struct engine *e, const struct buffer *control, uint64_t *position, struct tm_error *err)
{
    pthread_mutex_lock(&e->control);
    enum tm_code rc = control_append(e, control, position, err);
    pthread_mutex_unlock(&e->control);
    return rc;
}

enum tm_code engine_reset(struct engine *e, const struct parameter_reset *reset, uint64_t *position,
                          struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    parameter_reset_pack(reset, &control);
    return append(e, &control, position, err);
}

/* ---- priors ---- */

struct estimating {
    const struct version *version;
    struct beta_prior evidence;
    int64_t as_of;
};

static bool add_block(void *context, const void *block)
{
    struct estimating *x = context;
    beta_prior_add_block(&x->evidence, &x->version->config, block, x->as_of);
    return true;
}

enum tm_code engine_estimate_prior(struct engine *e, const struct version *v, enum beta_prior_method method,
                                   struct engine_prior_estimate *out, struct tm_error *err)
{
    struct estimating x = {.version = v, .as_of = engine_gate(e)};
    enum tm_code rc = parameter_prior_check(v, v->config.prior, v->config.prior_count, err);
    if (rc != TM_OK)
        return rc;
    engine_visit_blocks(e, v, add_block, &x);
    rc = beta_prior_estimate(&x.evidence, method, &out->prior, err);
    out->documents = x.evidence.documents;
    out->passed = x.evidence.passed;
    beta_prior_close(&x.evidence);
    return rc;
}

enum tm_code engine_set_prior(struct engine *e, const struct parameter_prior *prior, uint64_t *position,
                              struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    const struct version *v = engine_version_by_id(e, prior->version);
    enum tm_code rc = parameter_prior_check(v, prior->prior, ARRAY_LEN(prior->prior), err);
    if (rc == TM_OK && registry_changes(e->registry) >= REGISTRY_CHANGES_MAX)
        rc = tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                          "priors were changed %d times since the start; restart the server", REGISTRY_CHANGES_MAX);
    if (rc != TM_OK)
        return rc;
    parameter_prior_pack(prior, &control);
    return append(e, &control, position, err);
}

uint32_t engine_audit(struct engine *e, struct audit_entry out[static AUDIT_MAX])
{
    pthread_mutex_lock(&e->control);
    uint32_t count = e->catalog.audit.count;
    if (count)
        memcpy(out, e->catalog.audit.entry, count * sizeof *out);
    pthread_mutex_unlock(&e->control);
    return count;
}
