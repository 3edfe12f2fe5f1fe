#include "ps/server/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/server/door.h"
#include "ps/server/export.h"
#include "ps/server/operations.h"
#include "ps/server/status.h"
#include "tidemill/v1/admin.pb-c.h"

struct admin {
    struct engine *engine;
    struct operations *operations;
};

/* Something the operations thread does. */
struct admin_operation {
    struct operation base;
    struct admin *admin;
    struct rpc_call *call;
    const struct version *version; /* NULL: all */
};

/* ---- requests ---- */

static bool leaving(const struct admin *a) { return atomic_load(operations_draining(a->operations)); }

static void start_unary(struct admin *a, struct rpc_call *call, const struct version *v,
                        void (*run)(struct operation *))
{
    struct tm_error err;
    struct admin_operation *o = mem_new(1, sizeof *o);
    *o = (struct admin_operation){{run}, a, call, v};
    if (operations_push(a->operations, &o->base, &err) != TM_OK) {
        free(o);
        rpc_fail(call, &err);
    }
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

static void drain_run(struct operation *base)
{
    enum { POSITION = 1 };
    struct admin_operation *o = (struct admin_operation *)(void *)base;
    struct buffer body = {0};
    struct tm_error err = operations_leaving;
    uint64_t position;
    if (!leaving(o->admin) && engine_drain(o->admin->engine, &position, &err) == TM_OK) {
        wire_put_integer(&body, POSITION, position);
        rpc_reply(o->call, &body);
    } else {
        rpc_fail(o->call, &err);
    }
    free(o);
}

static void drain(void *service, struct rpc_call *call, struct bytes request)
{
    if (guard(&tidemill__v1__drain_request__descriptor, request, call) == TM_OK)
        start_unary(service, call, NULL, drain_run);
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

static void digest_run(struct operation *base)
{
    struct admin_operation *o = (struct admin_operation *)(void *)base;
    struct engine *e = o->admin->engine;
    struct buffer body = {0};
    struct tm_error err = operations_leaving;
    enum tm_code rc = leaving(o->admin) ? err.code : TM_OK;
    for (uint32_t i = 0, n = engine_versions(e); rc == TM_OK && i < n; i++)
        if (!o->version || o->version == engine_version_at(e, i))
            rc = digest_version(e, engine_version_at(e, i), &body, &err);
    if (rc == TM_OK) {
        rpc_reply(o->call, &body);
    } else {
        buffer_close(&body);
        rpc_fail(o->call, &err);
    }
    free(o);
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
        start_unary(a, call, v, digest_run);
    else
        rpc_fail(call, &err);
}

/* ---- Export ---- */

/* An operation whose call is a stream: the export answers it, not the operation. */
struct export_operation {
    struct operation base;
    struct admin *admin;
    struct export *export;
};

static void export_operation_run(struct operation *base)
{
    struct export_operation *o = (struct export_operation *)(void *)base;
    if (leaving(o->admin))
        export_refuse(o->export, &operations_leaving);
    else
        export_run(o->export);
    free(o);
}

static void start_export(struct admin *a, struct rpc_call *call, const struct version *v)
{
    struct tm_error err;
    struct export_operation *o = mem_new(1, sizeof *o);
    *o = (struct export_operation){
        {export_operation_run}, a, export_begin(a->engine, v, call, operations_draining(a->operations))};
    if (operations_push(a->operations, &o->base, &err) != TM_OK) {
        export_refuse(o->export, &err);
        free(o);
    }
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
    return a;
}

void admin_drain(struct admin *a) { operations_drain(a->operations); }

void admin_close(struct admin *a)
{
    operations_close(a->operations);
    free(a);
}
