#include "ps/server/admin.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/queue.h"
#include "proto/wire.h"
#include "ps/server/door.h"
#include "ps/server/export.h"
#include "ps/server/status.h"
#include "tidemill/v1/admin.pb-c.h"

enum { ADMIN_REQUEST_MAX = 4096 };

struct admin {
    struct engine *engine;
    const struct catalog *catalog;
    struct queue *operations;
    pthread_t thread;
    atomic_bool draining;
};

/* Something the operations thread does. Freed by `run`, which answers the call. */
struct operation {
    struct admin *admin;
    struct rpc_call *call;
    const struct version *version; /* NULL: all */
    void (*run)(struct operation *o);
};

static const struct tm_error leaving = {TM_UNAVAILABLE, "the server is shutting down"};

/* ---- requests ---- */

/* Hand over. False: not taken, with *err set; the operation is still the caller's. */
static bool enqueue(struct operation *o, struct tm_error *err)
{
    if (atomic_load(&o->admin->draining))
        *err = leaving;
    else if (!queue_try_push(o->admin->operations, o, 0))
        tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%d operations wait already; try again in a second",
                     OPERATIONS_WAITING);
    else
        return true;
    return false;
}

static void start_unary(struct admin *a, struct rpc_call *call, const struct version *v,
                        void (*run)(struct operation *))
{
    struct tm_error err;
    struct operation *o = mem_new(1, sizeof *o);
    *o = (struct operation){.admin = a, .call = call, .version = v, .run = run};
    if (!enqueue(o, &err)) {
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

/* What still waited when the server began to leave is refused, as what comes now. */
static bool refuse_when_leaving(struct operation *o)
{
    if (!atomic_load(&o->admin->draining))
        return false;
    rpc_fail(o->call, &leaving);
    free(o);
    return true;
}

static void drain_run(struct operation *o)
{
    enum { POSITION = 1 };
    struct buffer body = {0};
    struct tm_error err;
    uint64_t position;
    if (refuse_when_leaving(o))
        return;
    if (engine_drain(o->admin->engine, &position, &err) == TM_OK) {
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

static void digest_run(struct operation *o)
{
    const struct catalog *c = o->admin->catalog;
    struct buffer body = {0};
    struct tm_error err;
    enum tm_code rc = TM_OK;
    if (refuse_when_leaving(o))
        return;
    for (uint32_t i = 0; rc == TM_OK && i < c->versions; i++)
        if (!o->version || o->version == c->version[i])
            rc = digest_version(o->admin->engine, c->version[i], &body, &err);
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
    struct export *export;
};

static void export_operation_run(struct operation *o)
{
    struct export_operation *x = (struct export_operation *)(void *)o;
    if (atomic_load(&o->admin->draining))
        export_refuse(x->export, &leaving);
    else
        export_run(x->export);
    free(x);
}

static void start_export(struct admin *a, struct rpc_call *call, const struct version *v)
{
    struct tm_error err;
    struct export_operation *x = mem_new(1, sizeof *x);
    x->base = (struct operation){.admin = a, .call = call, .version = v, .run = export_operation_run};
    x->export = export_begin(a->engine, v, call, &a->draining);
    if (!enqueue(&x->base, &err)) {
        export_refuse(x->export, &err);
        free(x);
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

/* ---- operations of other services ---- */

struct foreign_operation {
    struct operation base;
    void *request;
    void (*answer)(void *request, struct rpc_call *call);
};

static void foreign_run(struct operation *o)
{
    struct foreign_operation *f = (struct foreign_operation *)(void *)o;
    void *request = f->request;
    if (!refuse_when_leaving(o)) {
        f->answer(request, o->call);
        free(f);
    }
    free(request);
}

void admin_later(struct admin *a, struct rpc_call *call, void *request,
                 void (*run)(void *request, struct rpc_call *call))
{
    struct tm_error err;
    struct foreign_operation *f = mem_new(1, sizeof *f);
    *f = (struct foreign_operation){{.admin = a, .call = call, .run = foreign_run}, request, run};
    if (!enqueue(&f->base, &err)) {
        free(f);
        free(request);
        rpc_fail(call, &err);
    }
}

/* ---- the service ---- */

static void *operations_main(void *context)
{
    struct admin *a = context;
    for (struct operation *o; (o = queue_pop(a->operations, -1)) != NULL;)
        o->run(o);
    return NULL;
}

struct admin *admin_open(struct engine *engine, const struct catalog *catalog, struct rpc *rpc)
{
    struct admin *a = mem_new(1, sizeof *a);
    a->engine = engine;
    a->catalog = catalog;
    a->operations = queue_open(OPERATIONS_WAITING, 0);
    CHECK(pthread_create(&a->thread, NULL, operations_main, a) == 0);
    pthread_setname_np(a->thread, "operations");
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Status", .start = status, .service = a});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Drain", .start = drain, .service = a});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Export", .start = export, .service = a});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/Digest", .start = digest, .service = a});
    return a;
}

void admin_drain(struct admin *a) { atomic_store(&a->draining, true); }

void admin_close(struct admin *a)
{
    queue_shut(a->operations);
    CHECK(pthread_join(a->thread, NULL) == 0);
    queue_close(a->operations);
    free(a);
}
