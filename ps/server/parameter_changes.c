#include "ps/server/parameter_changes.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/event.h"
#include "proto/wire.h"
#include "ps/engine/parameter_changes.h"
#include "ps/server/door.h"
#include "ps/server/fill.h"
#include "ps/server/operations.h"
#include "tidemill/v1/changes.pb-c.h"

enum { REQUEST_MAX = 64 << 10 };

struct parameter_changes {
    struct engine *engine;
    struct operations *operations;
};

/* A call that waits for its turn; its request as it came, and checked. */
struct change {
    struct engine *engine;
    const struct version *version; /* NULL: all */
    struct buffer request;
};

typedef Tidemill__V1__ResetParametersRequest ResetRequest;

static void refuse(void *request, struct rpc_call *call, const struct tm_error *why)
{
    struct change *c = request;
    buffer_close(&c->request);
    rpc_fail(call, why);
}

/* Later: the request is unpacked again then, because what waits is one piece of memory. */
static void later(struct parameter_changes *p, struct rpc_call *call, const struct version *v, struct bytes request,
                  void (*run)(void *change, struct rpc_call *call))
{
    struct change *c = mem_new(1, sizeof *c);
    c->engine = p->engine;
    c->version = v;
    buffer_put(&c->request, request.data, request.size);
    operations_later(p->operations, &(struct operation){.call = call, .request = c, .run = run, .refuse = refuse});
}

static void answer(struct rpc_call *call, enum tm_code rc, const ProtobufCMessage *reply, const struct tm_error *err)
{
    struct buffer body = {0};
    if (rc == TM_OK)
        wire_pack(reply, &body);
    rpc_answer(call, rc, &body, err);
}

/* ---- reset ---- */

/* "reason: 300 bytes; expected 1 to 200" */
static enum tm_code check_text(const char *name, const char *text, size_t least, size_t most, struct tm_error *err)
{
    size_t size = text ? strlen(text) : 0;
    if (size >= least && size <= most)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: %zu bytes; expected %zu to %zu", name, size, least, most);
}

static enum tm_code check_docs(const ResetRequest *q, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    if ((q->n_docs > 0) == q->all)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "docs, all: got %s; expected one of them: some documents, or all of the version",
                            q->all ? "both" : "none");
    if (q->n_docs > PARAMETER_RESET_DOCS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "docs: %zu; expected at most %d, split the call", q->n_docs,
                            PARAMETER_RESET_DOCS_MAX);
    for (size_t i = 0; rc == TM_OK && i < q->n_docs; i++)
        rc = check_text("docs", q->docs[i], 1, EVENT_ID_MAX, err);
    return rc;
}

static enum tm_code check_reset(struct engine *e, const ResetRequest *q, const struct version **v, struct tm_error *err)
{
    enum tm_code rc = door_version(e, bytes_text(q->version ? q->version : ""), v, err);
    if (rc == TM_OK)
        rc = check_docs(q, err);
    if (rc == TM_OK)
        rc = check_text("reason", q->reason, q->execute ? 1 : 0, AUDIT_REASON_MAX, err);
    return rc == TM_OK ? check_text("by", q->by, 0, AUDIT_BY_MAX, err) : rc;
}

/* docs: the request's, those that are reset. */
static enum tm_code execute(const struct change *c, const ResetRequest *q, const char **docs, size_t count,
                            Tidemill__V1__ResetParametersReply *reply, struct tm_error *err)
{
    const struct parameter_reset reset = {.version = c->version->id,
                                          .docs = docs,
                                          .count = count,
                                          .note = {q->by ? q->by : "", q->reason, clock_wall_ms()}};
    reply->has_position = true;
    return engine_reset(c->engine, &reset, &reply->position, err);
}

static void reset_run(void *request, struct rpc_call *call)
{
    struct change *c = request;
    Tidemill__V1__ResetParametersReply reply = TIDEMILL__V1__RESET_PARAMETERS_REPLY__INIT;
    struct engine_reset_plan plan;
    struct tm_error err;
    const char *docs[PARAMETER_RESET_DOCS_MAX];
    enum tm_code rc = TM_OK;
    ResetRequest *q = (void *)wire_unpack(&tidemill__v1__reset_parameters_request__descriptor, buffer_view(&c->request),
                                          REQUEST_MAX, &err);
    CHECK(q && q->n_docs <= PARAMETER_RESET_DOCS_MAX); /* it was checked before it had to wait */
    size_t count = q->n_docs;
    for (size_t i = 0; i < count; i++)
        docs[i] = q->docs[i];
    engine_plan_reset(c->engine, c->version, docs, &count, &plan);
    FILL(&reply, documents, plan.documents);
    FILL(&reply, samples, plan.samples);
    if (q->execute && plan.documents > 0)
        rc = execute(c, q, docs, count, &reply, &err);
    wire_free(&q->base);
    buffer_close(&c->request);
    answer(call, rc, &reply.base, &err);
}

static void reset(void *service, struct rpc_call *call, struct bytes request)
{
    struct parameter_changes *p = service;
    const struct version *v = NULL;
    struct tm_error err;
    ResetRequest *q =
        (void *)wire_unpack(&tidemill__v1__reset_parameters_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = q ? check_reset(p->engine, q, &v, &err) : err.code;
    wire_free(q ? &q->base : NULL);
    if (rc == TM_OK)
        later(p, call, v, request, reset_run);
    else
        rpc_fail(call, &err);
}

/* ---- priors ---- */

typedef Tidemill__V1__SetPriorRequest PriorRequest;
typedef Tidemill__V1__SetPriorReply PriorReply;

static const char *const methods[] = {[BETA_PRIOR_MOMENTS] = "moments", [BETA_PRIOR_MLE] = "mle"};

static enum tm_code read_method(const char *name, enum beta_prior_method *out, struct tm_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(name, methods[i]) == 0) {
            *out = (enum beta_prior_method)i;
            return TM_OK;
        }
    return tm_error_set(err, TM_INVALID_ARGUMENT, "method: got %s; expected moments or mle", name);
}

static enum tm_code check_prior(struct engine *e, const PriorRequest *q, const struct version **v, struct tm_error *err)
{
    enum beta_prior_method method;
    enum tm_code rc = door_version(e, bytes_text(q->version ? q->version : ""), v, err);
    if (rc == TM_OK && (q->n_prior > 0) == (q->method != NULL))
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "prior, method: got %s; expected one of them",
                          q->method ? "both" : "none");
    if (rc == TM_OK && q->method)
        rc = read_method(q->method, &method, err);
    if (rc == TM_OK && q->n_prior > 0)
        rc = parameter_prior_check(*v, q->prior, q->n_prior, err);
    if (rc == TM_OK)
        rc = check_text("reason", q->reason, q->execute ? 1 : 0, AUDIT_REASON_MAX, err);
    return rc == TM_OK ? check_text("by", q->by, 0, AUDIT_BY_MAX, err) : rc;
}

/* What the request asks for: as given, or estimated; and where it comes from, in words. */
static enum tm_code find_prior(const struct change *c, const PriorRequest *q, double prior[static 2], char *source,
                               size_t room, PriorReply *reply, struct tm_error *err)
{
    enum beta_prior_method method = BETA_PRIOR_MOMENTS;
    struct engine_prior_estimate estimate;
    if (!q->method) {
        memcpy(prior, q->prior, 2 * sizeof *prior);
        snprintf(source, room, "given");
        return TM_OK;
    }
    enum tm_code rc = read_method(q->method, &method, err);
    if (rc == TM_OK)
        rc = engine_estimate_prior(c->engine, c->version, method, &estimate, err);
    if (rc != TM_OK)
        return rc;
    prior[0] = estimate.prior.alpha;
    prior[1] = estimate.prior.beta;
    snprintf(source, room, "%s of %" PRIu64 " documents", methods[method], estimate.documents);
    FILL(reply, documents, estimate.documents);
    FILL(reply, passed, estimate.passed);
    FILL(reply, held, estimate.prior.held);
    return TM_OK;
}

static void prior_run(void *request, struct rpc_call *call)
{
    struct change *c = request;
    PriorReply reply = TIDEMILL__V1__SET_PRIOR_REPLY__INIT;
    char source[PARAMETER_PRIOR_SOURCE_MAX];
    struct parameter_prior wanted = {.version = c->version->id, .source = source};
    double before[2] = {c->version->config.prior[0], c->version->config.prior[1]};
    struct tm_error err;
    PriorRequest *q =
        (void *)wire_unpack(&tidemill__v1__set_prior_request__descriptor, buffer_view(&c->request), REQUEST_MAX, &err);
    CHECK(q); /* it was checked before it had to wait */
    wanted.note = (struct audit_note){q->by ? q->by : "", q->reason ? q->reason : "", clock_wall_ms()};
    enum tm_code rc = find_prior(c, q, wanted.prior, source, sizeof source, &reply, &err);
    if (rc == TM_OK && q->execute) {
        rc = engine_set_prior(c->engine, &wanted, &reply.position, &err);
        reply.has_position = true;
    }
    reply.n_before = reply.n_prior = 2;
    reply.before = before;
    reply.prior = wanted.prior;
    wire_free(&q->base);
    buffer_close(&c->request);
    answer(call, rc, &reply.base, &err);
}

static void set_prior(void *service, struct rpc_call *call, struct bytes request)
{
    struct parameter_changes *p = service;
    const struct version *v = NULL;
    struct tm_error err;
    PriorRequest *q = (void *)wire_unpack(&tidemill__v1__set_prior_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = q ? check_prior(p->engine, q, &v, &err) : err.code;
    wire_free(q ? &q->base : NULL);
    if (rc == TM_OK)
        later(p, call, v, request, prior_run);
    else
        rpc_fail(call, &err);
}

/* ---- encoders ---- */

typedef Tidemill__V1__SetEncoderRequest EncoderRequest;

static enum tm_code check_encoder(struct engine *e, const EncoderRequest *q, const struct version **v,
                                  struct tm_error *err)
{
    enum tm_code rc = door_version(e, bytes_text(q->version ? q->version : ""), v, err);
    if (rc == TM_OK)
        rc = check_text("file", q->file, 1, PATH_MAX - 1, err);
    if (rc == TM_OK && q->file[0] != '/')
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "file: %.200s; expected an absolute path on the server's machine",
                          q->file);
    if (rc == TM_OK)
        rc = check_text("reason", q->reason, q->execute ? 1 : 0, AUDIT_REASON_MAX, err);
    return rc == TM_OK ? check_text("by", q->by, 0, AUDIT_BY_MAX, err) : rc;
}

static void change_encoder_run(void *request, struct rpc_call *call)
{
    struct change *c = request;
    Tidemill__V1__SetEncoderReply reply = TIDEMILL__V1__SET_ENCODER_REPLY__INIT;
    struct engine_encoder_plan plan;
    struct tm_error err;
    EncoderRequest *q = (void *)wire_unpack(&tidemill__v1__set_encoder_request__descriptor, buffer_view(&c->request),
                                            REQUEST_MAX, &err);
    CHECK(q); /* it was checked before it had to wait */
    enum tm_code rc = engine_plan_encoder(c->engine, c->version, q->file, &plan, &err);
    if (rc == TM_OK && q->execute && strcmp(plan.before.text, plan.after.text) != 0) {
        const struct audit_note note = {q->by ? q->by : "", q->reason, clock_wall_ms()};
        rc = engine_set_encoder(c->engine, c->version, q->file, &note, &reply.position, &err);
        reply.has_position = true;
    }
    reply.before = plan.before.text;
    reply.encoder = plan.after.text;
    FILL(&reply, documents, plan.forgotten.documents);
    FILL(&reply, samples, plan.forgotten.samples);
    wire_free(&q->base);
    buffer_close(&c->request);
    answer(call, rc, &reply.base, &err);
}

static void set_encoder(void *service, struct rpc_call *call, struct bytes request)
{
    struct parameter_changes *p = service;
    const struct version *v = NULL;
    struct tm_error err;
    EncoderRequest *q = (void *)wire_unpack(&tidemill__v1__set_encoder_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = q ? check_encoder(p->engine, q, &v, &err) : err.code;
    wire_free(q ? &q->base : NULL);
    if (rc == TM_OK)
        later(p, call, v, request, change_encoder_run);
    else
        rpc_fail(call, &err);
}

/* ---- the list ---- */

static void list_run(void *request, struct rpc_call *call)
{
    struct change *c = request;
    struct audit_entry *entry = mem_new(AUDIT_MAX, sizeof *entry);
    Tidemill__V1__ParameterChangeStatus item[AUDIT_MAX], *items[AUDIT_MAX];
    Tidemill__V1__ListParameterChangesReply reply = TIDEMILL__V1__LIST_PARAMETER_CHANGES_REPLY__INIT;
    uint32_t count = engine_audit(c->engine, entry);
    for (uint32_t i = count; i > 0; i--) {
        const struct audit_entry *from = &entry[i - 1];
        Tidemill__V1__ParameterChangeStatus *m = &item[reply.n_changes];
        if (c->version && c->version->id != from->version)
            continue;
        tidemill__v1__parameter_change_status__init(m);
        m->version = fill_text(engine_version_by_id(c->engine, from->version)->name);
        m->what = fill_text(from->what);
        m->by = fill_text(from->by);
        m->reason = fill_text(from->reason);
        FILL(m, time, from->time_ms);
        items[reply.n_changes++] = m;
    }
    reply.changes = items;
    buffer_close(&c->request);
    answer(call, TM_OK, &reply.base, NULL);
    free(entry);
}

static void list(void *service, struct rpc_call *call, struct bytes request)
{
    struct parameter_changes *p = service;
    const struct version *v = NULL;
    struct tm_error err;
    Tidemill__V1__ListParameterChangesRequest *q =
        (void *)wire_unpack(&tidemill__v1__list_parameter_changes_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = !q ? err.code : q->version ? door_version(p->engine, bytes_text(q->version), &v, &err) : TM_OK;
    wire_free(q ? &q->base : NULL);
    if (rc == TM_OK)
        later(p, call, v, request, list_run);
    else
        rpc_fail(call, &err);
}

/* ---- the methods ---- */

struct parameter_changes *parameter_changes_open(struct engine *engine, struct rpc *rpc)
{
    struct parameter_changes *p = mem_new(1, sizeof *p);
    p->engine = engine;
    p->operations = operations_open("param-changes");
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ResetParameters", .start = reset, .service = p});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/SetPrior", .start = set_prior, .service = p});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/SetEncoder", .start = set_encoder, .service = p});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ListParameterChanges", .start = list, .service = p});
    return p;
}

void parameter_changes_drain(struct parameter_changes *p) { operations_drain(p->operations); }

void parameter_changes_close(struct parameter_changes *p)
{
    operations_close(p->operations);
    free(p);
}
