#include "ps/server/parameter_changes.h"

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

/* Later: the request is unpacked again then, because what waits is one piece of memory. */
static void later(struct parameter_changes *p, struct rpc_call *call, const struct version *v, struct bytes request,
                  void (*run)(void *change, struct rpc_call *call),
                  void (*refuse)(void *change, struct rpc_call *call, const struct tm_error *why))
{
    struct change *c = mem_new(1, sizeof *c);
    c->engine = p->engine;
    c->version = v;
    buffer_put(&c->request, request.data, request.size);
    operations_later(p->operations, &(struct operation){.call = call, .request = c, .run = run, .refuse = refuse});
}

static void refuse(void *request, struct rpc_call *call, const struct tm_error *why)
{
    struct change *c = request;
    buffer_close(&c->request);
    rpc_fail(call, why);
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
        later(p, call, v, request, reset_run, refuse);
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
        later(p, call, v, request, list_run, refuse);
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
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ListParameterChanges", .start = list, .service = p});
    return p;
}

void parameter_changes_drain(struct parameter_changes *p) { operations_drain(p->operations); }

void parameter_changes_close(struct parameter_changes *p)
{
    operations_close(p->operations);
    free(p);
}
