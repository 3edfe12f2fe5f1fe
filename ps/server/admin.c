#include "ps/server/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/server/door.h"
#include "ps/server/export.h"
#include "ps/server/join_rules.h"
#include "ps/server/operations.h"
#include "ps/server/status.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/joining.pb-c.h"

enum { ADMIN_REQUEST_MAX = 4096 };

struct admin {
    struct engine *engine;
    struct operations *operations;
};

void admin_later(struct admin *a, struct rpc_call *call, void *request,
                 void (*run)(void *request, struct rpc_call *call))
{
    operations_later(a->operations, &(struct operation){.call = call, .request = request, .run = run});
}

/* ---- Status ---- */

static enum tm_code guard(const ProtobufCMessageDescriptor *type, struct bytes request, struct rpc_call *call)
{
    struct tm_error err;
    enum tm_code rc = wire_guard(type, request, ADMIN_REQUEST_MAX, &err);
    if (rc != TM_OK)
        rpc_fail(call, &err);
    return rc;
}

static void status(void *service, struct rpc_call *call, struct bytes request)
{
    struct admin *a = service;
    struct buffer body = {0};
    if (guard(&tidemill__v1__status_request__descriptor, request, call) != TM_OK)
        return;
    status_pack(a->engine, &body);
    rpc_reply(call, &body);
}

/* ---- Drain ---- */

/* What Drain, Digest, JoinRules and Export wait with. */
struct later {
    struct admin *admin;
    const struct version *version; /* NULL: all */
    struct export *export;         /* Export */
};

static struct later *later(struct admin *a, const struct version *v)
{
    struct later *l = mem_new(1, sizeof *l);
    l->admin = a;
    l->version = v;
    return l;
}

static void drain_run(void *request, struct rpc_call *call)
{
    enum { POSITION = 1 };
    const struct later *l = request;
    struct buffer body = {0};
    struct tm_error err;
    uint64_t position;
    enum tm_code rc = engine_drain(l->admin->engine, &position, &err);
    if (rc == TM_OK)
        wire_put_integer(&body, POSITION, position);
    rpc_answer(call, rc, &body, &err);
}

static void drain(void *service, struct rpc_call *call, struct bytes request)
{
    if (guard(&tidemill__v1__drain_request__descriptor, request, call) == TM_OK)
        admin_later(service, call, later(service, NULL), drain_run);
}

/* ---- JoinRules ---- */

/* Samples may be kept of a join that is over. */
static bool was_at_once(const struct engine *e)
{
    const struct joiner_config *join = &engine_schema(e)->join;
    bool any = false;
    for (uint32_t i = 0; i < join->epochs; i++)
        any |= join->epoch[i].at_once;
    return any;
}

static void join_rules_run(void *request, struct rpc_call *call)
{
    const struct later *l = request;
    struct options *o = mem_new(1, sizeof *o);
    struct buffer body = {0};
    engine_configured(l->admin->engine, o);
    join_rules_pack(o, was_at_once(l->admin->engine), &body);
    free(o);
    rpc_reply(call, &body);
}

static void join_rules(void *service, struct rpc_call *call, struct bytes request)
{
    if (guard(&tidemill__v1__join_rules_request__descriptor, request, call) == TM_OK)
        admin_later(service, call, later(service, NULL), join_rules_run);
}

/* ---- Digest ---- */

static enum tm_code digest_version(struct engine *e, const struct version *v, struct buffer *out, struct tm_error *err)
{
    enum { DIGESTS = 1, VERSION = 1, DIGEST, DOCUMENTS };
    CLEANUP(buffer_close) struct buffer one = {0};
    struct hash128 digest;
    uint64_t documents;
    char hex[33];
    enum tm_code rc = engine_digest(e, v, &digest, &documents, err);
    if (rc != TM_OK)
        return rc;
    snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, digest.hi, digest.lo);
    wire_put_bytes(&one, VERSION, bytes_text(v->name));
    wire_put_bytes(&one, DIGEST, bytes_text(hex));
    wire_put_integer(&one, DOCUMENTS, documents);
    wire_put_bytes(out, DIGESTS, buffer_view(&one));
    return TM_OK;
}

static void digest_run(void *request, struct rpc_call *call)
{
    const struct later *l = request;
    struct engine *e = l->admin->engine;
    struct buffer body = {0};
    struct tm_error err;
    enum tm_code rc = TM_OK;
    for (uint32_t i = 0, n = engine_versions(e); rc == TM_OK && i < n; i++)
        if (!l->version || l->version->id == engine_version_at(e, i)->id)
            rc = digest_version(e, engine_version_at(e, i), &body, &err);
    rpc_answer(call, rc, &body, &err);
}

static void digest(void *service, struct rpc_call *call, struct bytes request)
{
    struct admin *a = service;
    struct tm_error err;
    const struct version *v = NULL;
    Tidemill__V1__DigestRequest *q =
        (void *)wire_unpack(&tidemill__v1__digest_request__descriptor, request, ADMIN_REQUEST_MAX, &err);
    enum tm_code rc = q ? TM_OK : err.code;
    if (q && q->version)
        rc = door_version(a->engine, bytes_text(q->version), &v, &err);
    wire_free(q ? &q->base : NULL);
    if (rc == TM_OK)
        admin_later(a, call, later(a, v), digest_run);
    else
        rpc_fail(call, &err);
}

/* ---- Export ---- */

/* The call is a stream: the export answers it, not the operation. */
static void export_later(void *request, struct rpc_call *call)
{
    const struct later *l = request;
    (void)call;
    export_run(l->export);
}

static void export_refused(void *request, struct rpc_call *call, const struct tm_error *why)
{
    const struct later *l = request;
    (void)call;
    export_refuse(l->export, why);
}

static void start_export(struct admin *a, struct rpc_call *call, const struct version *v)
{
    struct later *l = later(a, v);
    l->export = export_begin(a->engine, v, call, operations_draining(a->operations));
    operations_later(a->operations, &(struct operation){call, l, export_later, export_refused});
}

static void export(void *service, struct rpc_call *call, struct bytes request)
{
    struct admin *a = service;
    struct tm_error err;
    const struct version *v;
    Tidemill__V1__ExportRequest *q =
        (void *)wire_unpack(&tidemill__v1__export_request__descriptor, request, ADMIN_REQUEST_MAX, &err);
    enum tm_code rc = q ? door_version(a->engine, bytes_text(q->version ? q->version : ""), &v, &err) : err.code;
    wire_free(q ? &q->base : NULL);
    if (rc == TM_OK)
        start_export(a, call, v);
    else
        rpc_fail(call, &err);
}

/* ---- the service ---- */

struct admin *admin_open(struct engine *engine, struct rpc *rpc)
{
    struct admin *a = mem_new(1, sizeof *a);
    a->engine = engine;
    a->operations = operations_open("operations");
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Status", .start = status, .service = a});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Drain", .start = drain, .service = a});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Export", .start = export, .service = a});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Digest", .start = digest, .service = a});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/JoinRules", .start = join_rules, .service = a});
    return a;
}

void admin_drain(struct admin *a) { operations_drain(a->operations); }

void admin_close(struct admin *a)
{
    operations_close(a->operations);
    free(a);
}
