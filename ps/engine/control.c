/* Control records of a running engine, in one order: check against the catalog, append, wait until every shard has
 * applied it. The catalog is written by the log writer alone, as records come out of the log, so what the doors know is
 * what is durable. It may be read by whoever holds `control`: between two of these nothing changes it. */
#include <stdio.h>
#include <stdlib.h>

#include "ps/engine/parts.h"

/* On its way through the log. */
struct append {
    struct submission submission;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
};

static void appended(struct submission *s)
{
    struct append *a = s->context;
    pthread_mutex_lock(&a->mutex);
    a->done = true;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->mutex);
}

/* Returns when it is in the log, or refused. */
static enum tm_code submit_and_wait(struct engine *e, const struct submission *s, uint64_t *position,
                                    struct tm_error *err)
{
    struct append a = {.submission = *s, .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    a.submission.done = appended;
    a.submission.context = &a;
    if (!input_log_submit(e->log, &a.submission))
        return tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down");
    pthread_mutex_lock(&a.mutex);
    while (!a.done)
        pthread_cond_wait(&a.cond, &a.mutex);
    pthread_mutex_unlock(&a.mutex);
    if (a.submission.code != TM_OK) {
        *err = a.submission.error;
        return a.submission.code;
    }
    *position = a.submission.position;
    return TM_OK;
}

enum tm_code control_pass(struct engine *e, uint64_t *position, struct tm_error *err)
{
    return submit_and_wait(e, &(struct submission){.kind = SUBMIT_STAMPED}, position, err);
}

enum tm_code control_append(struct engine *e, const struct buffer *control, uint64_t *position, struct tm_error *err)
{
    struct submission s = {.kind = SUBMIT_CONTROL, .control = buffer_view(control)};
    enum tm_code rc = submit_and_wait(e, &s, position, err);
    if (rc != TM_OK)
        return rc;
    if (!engine_wait_applied(e, *position, -1))
        return tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down; the record at position %llu is durable",
                            (unsigned long long)*position);
    return TM_OK;
}

void control_publish(struct engine *e)
{
    struct schema *s = mem_new(1, sizeof *s);
    struct catalog *c = &s->catalog;
    *c = (struct catalog){.joined = e->catalog.joined, .join = e->catalog.join, .key_fields = e->catalog.key_fields};
    memcpy(c->stream_name, e->catalog.stream_name, sizeof c->stream_name);
    memcpy(c->label_name, e->catalog.label_name, sizeof c->label_name);
    memcpy(s->out_of_orderness_ms, e->sequencing.out_of_orderness_ms, sizeof s->out_of_orderness_ms);
    s->end_window_ms = e->sequencing.window_ms;
    s->older = atomic_load_explicit(&e->schema, memory_order_relaxed);
    atomic_store_explicit(&e->schema, s, memory_order_release);
}

void control_follow(struct engine *e, const struct block *b)
{
    struct reader r = reader_of(b->control_bytes);
    struct bytes control;
    struct tm_error err;
    bool joined = false;
    if (b->controls == 0)
        return;
    while (block_next_control(b, &r, &control)) {
        struct catalog_change change;
        if (catalog_apply(&e->catalog, control, &change, &err) != TM_OK)
            stop(STOP_BUG, "a control record that was checked: %s", err.message);
        joined |= change.kind == CATALOG_JOINED;
    }
    if (joined) {
        input_log_configure(e->log, &e->sequencing);
        control_publish(e);
    }
    registry_follow(e->registry, &e->catalog);
}

/* ---- create ---- */

static enum tm_code refuse_taken(const struct version *old, const struct version *wanted, struct tm_error *err)
{
    return tm_error_set(err, TM_ALREADY_EXISTS, "name: there is a version %s already, %s", old->name,
                        setup_same_version(old, wanted) ? "with exactly this description"
                                                        : "with another description; take another name");
}

/* samples_from was checked: every name is a version's, or its own. */
static void set_sources(const struct engine *e, const struct version_options *from, struct version *v)
{
    for (uint32_t i = 0; i < from->samples_from_count; i++) {
        const struct version *source = catalog_find(&e->catalog, bytes_text(from->samples_from[i]));
        v->samples_from[i] = source ? source->id : v->id;
    }
    v->samples_from_count = from->samples_from_count;
}

static enum tm_code describe(struct engine *e, struct version_options *from, struct version *v, struct tm_error *err)
{
    const struct version *old = catalog_find(&e->catalog, bytes_text(from->name));
    memset(v, 0, sizeof *v); /* versions are compared byte by byte */
    v->id = old ? old->id : setup_next_id(&e->catalog);
    enum tm_code rc = setup_check_version(e, from, err);
    if (rc != TM_OK)
        return rc;
    setup_version(from, &e->catalog, v);
    set_sources(e, from, v);
    if (old)
        return refuse_taken(old, v, err);
    if (e->catalog.versions >= ENGINE_VERSIONS_MAX)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "there are %u versions already; expected at most %d",
                            e->catalog.versions, ENGINE_VERSIONS_MAX);
    return TM_OK;
}

enum tm_code engine_create_version(struct engine *e, struct version_options *wanted, const struct engine_prior *prior,
                                   struct engine_change *out, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    struct version v;
    uint64_t position = 0;
    pthread_mutex_lock(&e->control);
    enum tm_code rc = describe(e, wanted, &v, err);
    if (rc == TM_OK)
        rc = prior_of_new_version(e, prior, &v, err) == TM_OK
                 ? TM_OK
                 : tm_error_wrap(err, "%s", prior->from ? "prior_from" : "weight_prior");
    if (rc == TM_OK) {
        catalog_pack_version(&v, NULL, &control);
        rc = control_append(e, &control, &position, err);
    }
    pthread_mutex_unlock(&e->control);
    free(v.weight_prior);
    if (rc == TM_OK)
        *out = (struct engine_change){.version = engine_version(e, bytes_text(v.name)), .position = position};
    return rc;
}

/* ---- pause and resume ---- */

static enum tm_code set_state(struct engine *e, const struct version *v, enum version_state state, bool discard,
                              struct engine_change *out, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    catalog_pack_state(v->id, state, discard, &control);
    *out = (struct engine_change){.version = v};
    return control_append(e, &control, &out->position, err);
}

static enum tm_code already(struct engine *e, const struct version *v, struct engine_change *out)
{
    *out = (struct engine_change){.version = v, .position = engine_applied(e), .unchanged = true};
    return TM_OK;
}

enum tm_code engine_pause_version(struct engine *e, const struct version *v, struct engine_change *out,
                                  struct tm_error *err)
{
    pthread_mutex_lock(&e->control);
    enum tm_code rc = catalog_state(&e->catalog, v->id) == VERSION_PAUSED
                          ? already(e, v, out)
                          : set_state(e, v, VERSION_PAUSED, false, out, err);
    pthread_mutex_unlock(&e->control);
    return rc;
}

/* Of a version that learns already: a command that is given again is fine, one that would be forgotten is not. */
static enum tm_code resume_again(struct engine *e, const struct version *v, bool discard, struct engine_change *out,
                                 struct tm_error *err)
{
    struct shard_version_counts c = inspect_version(e, v);
    uint64_t held = c.fresh.held + c.corrections.held;
    if (!discard || held == 0)
        return already(e, v, out);
    return tm_error_set(err, TM_FAILED_PRECONDITION,
                        "version %s learns again already and is working off %llu held samples; to discard them, pause "
                        "it first",
                        v->name, (unsigned long long)held);
}

/* A discard makes a gap in what was learned. Each shard remembers a number of them, for corrections. */
static enum tm_code check_gaps(struct engine *e, const struct version *v, struct tm_error *err)
{
    if (inspect_version(e, v).intervals < CURSOR_INTERVALS_MAX)
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "samples of version %s were skipped %d times within the time that corrections reach back; "
                        "apply what is held, or discard it when that time has passed",
                        v->name, CURSOR_INTERVALS_MAX);
}

static enum tm_code resume_paused(struct engine *e, const struct version *v, bool discard, struct engine_change *out,
                                  struct tm_error *err)
{
    enum tm_code rc = discard ? check_gaps(e, v, err) : TM_OK;
    return rc == TM_OK ? set_state(e, v, VERSION_LEARNING, discard, out, err) : rc;
}

enum tm_code engine_resume_version(struct engine *e, const struct version *v, bool discard, struct engine_change *out,
                                   struct tm_error *err)
{
    pthread_mutex_lock(&e->control);
    enum tm_code rc = catalog_state(&e->catalog, v->id) == VERSION_LEARNING ? resume_again(e, v, discard, out, err)
                                                                            : resume_paused(e, v, discard, out, err);
    pthread_mutex_unlock(&e->control);
    return rc;
}
