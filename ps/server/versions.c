#include "ps/server/versions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/engine/option_table.h"
#include "ps/server/door.h"
#include "ps/server/operations.h"
#include "ps/server/validation_message.h"
#include "ps/server/version_message.h"
#include "ps/state/catalog_embedding.h"

enum { REQUEST_MAX = 4096, CREATE_MAX = REQUEST_MAX + 2 * 8 * MODEL_DIAGONAL_MAX, PRIOR_SOURCE_MAX = 80 };

struct versions {
    struct engine *engine;
    struct operations *operations;
};

/* What one call wants changed. */
struct change {
    struct engine *engine;
    struct version_options wanted;    /* create */
    const struct version *version;    /* show, pause, resume */
    bool discard;                     /* resume */
    const struct version *prior_from; /* create */
    double *prior_values;             /* create; owned */
    size_t prior_count;
    char prior_source[PRIOR_SOURCE_MAX + 1];
};

/* ---- changes ---- */

enum { REPLY_VERSION = 1, REPLY_POSITION = 2, REPLY_UNCHANGED = 3 }; /* fields of the replies to changes */
enum { REPLY_VALIDATIONS = 2 };                                      /* of ShowVersionReply, beside REPLY_VERSION */

static void put_version(const struct engine *e, const struct engine_version_status *v, struct buffer *out)
{
    CLEANUP(buffer_close) struct buffer one = {0};
    struct version_message m;
    version_message_fill(e, v, &m);
    wire_pack(&m.message.base, &one);
    wire_put_bytes(out, REPLY_VERSION, buffer_view(&one));
}

/* only: NULL for all. */
static void put_versions(struct engine *e, const struct version *only, struct buffer *out)
{
    struct engine_status s;
    engine_status(e, &s);
    for (uint32_t i = 0; i < s.version_count; i++)
        if (!only || s.versions[i].version->id == only->id)
            put_version(e, &s.versions[i], out);
    engine_status_close(&s);
}

static void answer(struct engine *e, struct rpc_call *call, enum tm_code rc, const struct engine_change *done,
                   const struct tm_error *err)
{
    struct buffer body = {0};
    if (rc == TM_OK) {
        put_versions(e, done->version, &body);
        wire_put_integer(&body, REPLY_POSITION, done->position);
        if (done->unchanged)
            wire_put_integer(&body, REPLY_UNCHANGED, true);
    }
    rpc_answer(call, rc, &body, err);
}

static void refuse(void *request, struct rpc_call *call, const struct tm_error *why)
{
    struct change *c = request;
    free(c->prior_values);
    rpc_fail(call, why);
}

/* Do it later, when it could be read. */
static void start(struct versions *s, struct rpc_call *call, const struct change *what, enum tm_code rc,
                  const struct tm_error *err, void (*run)(void *change, struct rpc_call *call))
{
    if (rc != TM_OK) {
        rpc_fail(call, err);
        return;
    }
    struct change *c = mem_new(1, sizeof *c);
    *c = *what;
    c->engine = s->engine;
    operations_later(s->operations, &(struct operation){.call = call, .request = c, .run = run, .refuse = refuse});
}

/* ---- list and show ---- */

static void list(void *service, struct rpc_call *call, struct bytes request)
{
    struct versions *s = service;
    struct buffer body = {0};
    struct tm_error err;
    if (wire_guard(&tidemill__v1__list_versions_request__descriptor, request, REQUEST_MAX, &err) != TM_OK) {
        rpc_fail(call, &err);
        return;
    }
    put_versions(s->engine, NULL, &body);
    rpc_reply(call, &body);
}

static void show_run(void *request, struct rpc_call *call)
{
    const struct change *c = request;
    struct buffer body = {0};
    struct tm_error err;
    put_versions(c->engine, c->version, &body);
    rpc_answer(call, validation_message_put(c->engine, c->version, REPLY_VALIDATIONS, &body, &err), &body, &err);
}

/* Validations are read from the state: later, not here. */
static void show(void *service, struct rpc_call *call, struct bytes request)
{
    struct versions *s = service;
    struct change c = {0};
    struct buffer body = {0};
    struct tm_error err;
    Tidemill__V1__ShowVersionRequest *q =
        (void *)wire_unpack(&tidemill__v1__show_version_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc =
        q ? door_version(s->engine, bytes_text(q->version ? q->version : ""), &c.version, &err) : err.code;
    wire_free(q ? &q->base : NULL);
    if (rc != TM_OK || c.version->validate) {
        start(s, call, &c, rc, &err, show_run);
        return;
    }
    put_versions(s->engine, c.version, &body);
    rpc_reply(call, &body);
}

/* ---- create ---- */

/* Lists and numbers become the texts of the configuration, so that they are refused for the same reasons. */
static void set_prior(struct version_options *v, const double *prior, size_t count, struct option_problems *problems)
{
    enum { NUMBER_TEXT = 32, SHOWN = ARRAY_LEN(v->prior) + 1 }; /* one too many is refused, too */
    char text[SHOWN * NUMBER_TEXT] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && i < SHOWN; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.17g", i ? ", " : "", prior[i]);
    if (count > 0)
        options_set_version(v, "prior", text, problems);
}

static void set_samples_from(struct version_options *v, char **names, size_t count, struct option_problems *problems)
{
    CLEANUP(buffer_close) struct buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        char shown[OPTION_SHOWN_SIZE];
        if (strchr(names[i], ',')) /* it would read as two */
            option_problem(problems, NULL, NULL, "samples_from: got %s; expected names", option_shown(names[i], shown));
        buffer_print(&text, "%s%s", i ? ", " : "", names[i]);
    }
    buffer_put_u8(&text, '\0');
    if (count > 0)
        options_set_version(v, "samples_from", (const char *)text.data, problems);
}

static void set_number(struct version_options *v, const char *key, bool has, double number,
                       struct option_problems *problems)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", number);
    if (has)
        options_set_version(v, key, text, problems);
}

static void set_text(struct version_options *v, const char *key, const char *text, struct option_problems *problems)
{
    if (text)
        options_set_version(v, key, text, problems);
}

static void set_features(const Tidemill__V1__CreateVersionRequest *q, struct version_options *v,
                         struct option_problems *problems)
{
    set_number(v, "dimension", q->has_dimension, q->dimension, problems);
    set_text(v, "covariance", q->covariance, problems);
    set_number(v, "prior_mean", q->has_prior_mean, q->prior_mean, problems);
    set_number(v, "prior_sd", q->has_prior_sd, q->prior_sd, problems);
    set_number(v, "intercept_mean", q->has_intercept_mean, q->intercept_mean, problems);
    set_number(v, "intercept_sd", q->has_intercept_sd, q->intercept_sd, problems);
    set_number(v, "noise_sd", q->has_noise_sd, q->noise_sd, problems);
    set_text(v, "representation", q->representation, problems);
}

static void set_policy(const Tidemill__V1__CreateVersionRequest *q, struct version_options *v,
                       struct option_problems *problems)
{
    set_text(v, "policy", q->policy, problems);
    set_number(v, "epsilon", q->has_epsilon, q->epsilon, problems);
    set_number(v, "width", q->has_width, q->width, problems);
    set_number(v, "propensity_draws", q->has_propensity_draws, q->propensity_draws, problems);
}

static void set_embedding(const Tidemill__V1__EmbeddingSpec *q, struct version_options *v,
                          struct option_problems *problems)
{
    char expire_after[32];
    set_text(v, "loss", q->loss, problems);
    set_text(v, "optimizer", q->optimizer, problems);
#define N(field, to, who)                       \
    if (strcmp(#field, "expire_after_ms") != 0) \
        set_number(v, #field, q->has_##field, (double)q->field, problems);
    EMBEDDING_NUMBERS(N)
#undef N
    snprintf(expire_after, sizeof expire_after, "%" PRId64 "ms", q->expire_after_ms);
    if (q->has_expire_after_ms)
        options_set_version(v, "expire_after", expire_after, problems);
}

static void set_duration(struct version_options *v, const char *key, bool has, int64_t ms,
                         struct option_problems *problems)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64 "ms", ms);
    if (has)
        options_set_version(v, key, text, problems);
}

static void set_batch(const Tidemill__V1__CreateVersionRequest *q, struct version_options *v,
                      struct option_problems *problems)
{
    set_number(v, "batch.samples", q->has_batch_samples, q->batch_samples, problems);
    set_number(v, "batch.positive_ratio", q->has_batch_positive_ratio, q->batch_positive_ratio, problems);
    set_duration(v, "batch.age", q->has_batch_age_ms, q->batch_age_ms, problems);
    set_text(v, "order", q->order, problems);
}

static void read_description(const Tidemill__V1__CreateVersionRequest *q, struct version_options *v,
                             struct option_problems *problems)
{
    options_set_version(v, "name", q->name ? q->name : "", problems);
    options_set_version(v, "model", q->model ? q->model : "", problems);
    set_prior(v, q->prior, q->n_prior, problems);
    set_duration(v, "half_life", q->has_half_life_ms, q->half_life_ms, problems);
    set_text(v, "reward", q->reward, problems);
    if (q->has_validate)
        options_set_version(v, "validate", q->validate ? "on" : "off", problems);
    set_batch(q, v, problems);
    set_features(q, v, problems);
    set_policy(q, v, problems);
    if (q->embedding)
        set_embedding(q->embedding, v, problems);
    set_samples_from(v, q->samples_from, q->n_samples_from, problems);
}

static void create_run(void *request, struct rpc_call *call)
{
    struct change *c = request;
    struct engine_change done;
    struct tm_error err;
    const struct engine_prior prior = {
        .from = c->prior_from, .values = c->prior_values, .count = c->prior_count, .source = c->prior_source};
    answer(c->engine, call, engine_create_version(c->engine, &c->wanted, &prior, &done, &err), &done, &err);
    free(c->prior_values);
}

/* Words for people: they stand in lists. */
static enum tm_code read_source(const char *words, char out[static PRIOR_SOURCE_MAX + 1], struct tm_error *err)
{
    size_t size = words ? strlen(words) : 0;
    for (size_t i = 0; i < size; i++)
        if (size > PRIOR_SOURCE_MAX || (uint8_t)words[i] < 0x20 || words[i] == 0x7f)
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "prior_source: expected at most %d bytes without control characters", PRIOR_SOURCE_MAX);
    snprintf(out, PRIOR_SOURCE_MAX + 1, "%s", size ? words : "the call that made it");
    return TM_OK;
}

/* *c takes over the values. */
static enum tm_code read_prior(struct engine *e, const Tidemill__V1__CreateVersionRequest *q, struct change *c,
                               struct tm_error *err)
{
    if (q->prior_from && q->n_weight_prior > 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "prior_from, weight_prior: got both; expected one of them");
    if (q->prior_from)
        return door_version(e, bytes_text(q->prior_from), &c->prior_from, err);
    c->prior_count = q->n_weight_prior;
    c->prior_values = q->n_weight_prior ? mem_grow(NULL, q->n_weight_prior, sizeof *c->prior_values) : NULL;
    if (q->n_weight_prior > 0)
        memcpy(c->prior_values, q->weight_prior, q->n_weight_prior * sizeof *c->prior_values);
    return read_source(q->prior_source, c->prior_source, err);
}

static void create(void *service, struct rpc_call *call, struct bytes request)
{
    struct change c = {0};
    struct option_problems problems = {0};
    struct tm_error err;
    Tidemill__V1__CreateVersionRequest *q =
        (void *)wire_unpack(&tidemill__v1__create_version_request__descriptor, request, CREATE_MAX, &err);
    enum tm_code rc = q ? TM_OK : err.code;
    if (q) {
        read_description(q, &c.wanted, &problems);
        rc = options_refuse(&problems, &err);
    }
    if (rc == TM_OK)
        rc = read_prior(((struct versions *)service)->engine, q, &c, &err);
    wire_free(q ? &q->base : NULL);
    start(service, call, &c, rc, &err, create_run);
}

/* ---- pause and resume ---- */

static void pause_run(void *request, struct rpc_call *call)
{
    const struct change *c = request;
    struct engine_change done;
    struct tm_error err;
    answer(c->engine, call, engine_pause_version(c->engine, c->version, &done, &err), &done, &err);
}

static void pause_version(void *service, struct rpc_call *call, struct bytes request)
{
    struct versions *s = service;
    struct change c = {0};
    struct tm_error err;
    Tidemill__V1__PauseVersionRequest *q =
        (void *)wire_unpack(&tidemill__v1__pause_version_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc =
        q ? door_version(s->engine, bytes_text(q->version ? q->version : ""), &c.version, &err) : err.code;
    wire_free(q ? &q->base : NULL);
    start(s, call, &c, rc, &err, pause_run);
}

static void resume_run(void *request, struct rpc_call *call)
{
    const struct change *c = request;
    struct engine_change done;
    struct tm_error err;
    answer(c->engine, call, engine_resume_version(c->engine, c->version, c->discard, &done, &err), &done, &err);
}

static enum tm_code read_resume(struct engine *e, const Tidemill__V1__ResumeVersionRequest *q, struct change *c,
                                struct tm_error *err)
{
    if (q->apply == q->discard)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "apply, discard: got %s; expected one of them: apply learns the samples that are held, "
                            "discard skips the new ones among them",
                            q->apply ? "both" : "none");
    c->discard = q->discard;
    return door_version(e, bytes_text(q->version ? q->version : ""), &c->version, err);
}

static void resume_version(void *service, struct rpc_call *call, struct bytes request)
{
    struct versions *s = service;
    struct change c = {0};
    struct tm_error err;
    Tidemill__V1__ResumeVersionRequest *q =
        (void *)wire_unpack(&tidemill__v1__resume_version_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = q ? read_resume(s->engine, q, &c, &err) : err.code;
    wire_free(q ? &q->base : NULL);
    start(s, call, &c, rc, &err, resume_run);
}

/* ---- the methods ---- */

struct versions *versions_open(struct engine *engine, struct rpc *rpc)
{
    struct versions *s = mem_new(1, sizeof *s);
    s->engine = engine;
    s->operations = operations_open("versions");
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/CreateVersion", .start = create, .service = s});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ListVersions", .start = list, .service = s});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ShowVersion", .start = show, .service = s});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/PauseVersion", .start = pause_version, .service = s});
    rpc_add(rpc,
            &(struct rpc_method){.path = "/tidemill.v1.Admin/ResumeVersion", .start = resume_version, .service = s});
    return s;
}

void versions_drain(struct versions *s) { operations_drain(s->operations); }

void versions_close(struct versions *s)
{
    operations_close(s->operations);
    free(s);
}
