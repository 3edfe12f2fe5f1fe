#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "ps/server/rpc_call.h"

enum {
    FLUSH_MS = 30,
    SLOTS = 16, /* calls of one method that a thread can take between two turns of its loop */
    LOOKAHEAD_BYTES = 1 << 18,
    KEEPALIVE_MS = 30000,
    KEEPALIVE_TIMEOUT_MS = 10000,
    PING_INTERVAL_MIN_MS = 10000,
    HANDSHAKE_MS = 5000,
    STOP_POLL_MS = 2,
    REASON_MAX = 128,
};

struct method {
    struct rpc_method method;
    void *registered;
    struct rpc_stats stats;
};

struct rpc {
    grpc_server *server;
    struct rpc_worker *worker;
    uint32_t workers;
    struct method method[RPC_METHODS_MAX];
    uint32_t methods;
    const struct descriptors *declared;
    struct rpc_stats unknown; /* of calls of methods that there are not */
    char listen[256];
    int port; /* 0: not started */
    struct rpc_tag stopped_tag;
    atomic_bool stopped;
    atomic_int calls; /* open ones and empty slots */
};

void rpc_call_count(struct rpc *rpc, int change) { atomic_fetch_add(&rpc->calls, change); }

bool rpc_is_declared(const struct rpc *rpc, struct bytes path)
{
    return rpc->declared && descriptors_has_method(rpc->declared, path);
}

/* ---- what gRPC writes ---- */

static _Thread_local char system_reason[REASON_MAX];

/* gRPC would tell standard error whatever any client does. All we want of it is the system's word when a port cannot be
 * had: os_error:"Address already in use". */
static void keep_reason(gpr_log_func_args *args)
{
    static const char mark[] = "os_error:\"";
    const char *at = strstr(args->message, mark);
    if (args->severity == GPR_LOG_SEVERITY_ERROR && at) {
        at += sizeof mark - 1;
        snprintf(system_reason, sizeof system_reason, "%.*s", (int)strcspn(at, "\""), at);
    }
}

/* ---- slots ---- */

static void call_arrived(struct rpc_tag *tag, bool ok);

static void slot_arm(struct rpc_worker *worker, struct method *m)
{
    struct rpc_call *call = rpc_call_new(worker, m ? &m->method : NULL, m ? &m->stats : &worker->rpc->unknown);
    grpc_server *server = worker->rpc->server;
    call->arrived.run = call_arrived;
    grpc_call_error e =
        m ? grpc_server_request_registered_call(server, m->registered, &call->call, &call->deadline, &call->metadata,
                                                m->method.client_streams ? NULL : &call->request, worker->queue,
                                                worker->queue, &call->arrived)
          : grpc_server_request_call(server, &call->call, &call->details, &call->metadata, worker->queue, worker->queue,
                                     &call->arrived);
    CHECK(e == GRPC_CALL_OK);
}

static void call_arrived(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = (struct rpc_call *)(void *)((char *)tag - offsetof(struct rpc_call, arrived));
    if (!ok) { /* the server is shutting down */
        rpc_release(call);
        return;
    }
    slot_arm(call->worker,
             (struct method *)(void *)call->method); /* first: the next caller need not wait for this one */
    rpc_call_begin(call);
}

static void *worker_main(void *context)
{
    struct rpc_worker *worker = context;
    for (;;) {
        grpc_event e = grpc_completion_queue_next(worker->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct rpc_tag *tag = e.tag;
        tag->run(tag, e.success != 0);
    }
}

/* ---- server ---- */

static grpc_arg number(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static grpc_server *server_new(size_t memory_max)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("rpc");
    grpc_resource_quota_resize(quota, memory_max);
    grpc_arg args[] = {
        {.type = GRPC_ARG_POINTER,
         .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {quota, grpc_resource_quota_arg_vtable()}},
        number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_MAX),
        number(GRPC_ARG_MAX_CONCURRENT_STREAMS, RPC_STREAMS_MAX),
        number(GRPC_ARG_ALLOW_REUSEPORT, 0), /* a second server on our port must fail, not share it */
        number(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
               1),                           /* identity: the size limit is checked too late else */
        number(GRPC_ARG_HTTP2_BDP_PROBE, 0), /* probing gives every stream 4 MiB whether it is read or not */
        number(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, LOOKAHEAD_BYTES),
        number(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
        number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
        number(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_INTERVAL_MIN_MS),
        number(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        number(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS),
    };
    grpc_server *server = grpc_server_create(&(grpc_channel_args){ARRAY_LEN(args), args}, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

struct rpc *rpc_open(const struct rpc_options *options)
{
    struct rpc *rpc = mem_new(1, sizeof *rpc);
    CHECK(options->threads > 0);
    gpr_set_log_function(keep_reason);
    grpc_init();
    rpc->server = server_new(options->memory_max);
    rpc->workers = options->threads;
    rpc->declared = options->declared;
    rpc->worker = mem_new(rpc->workers, sizeof *rpc->worker);
    snprintf(rpc->listen, sizeof rpc->listen, "%s", options->listen);
    for (uint32_t i = 0; i < rpc->workers; i++) {
        struct rpc_worker *w = &rpc->worker[i];
        w->rpc = rpc;
        w->queue = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(rpc->server, w->queue, NULL);
    }
    return rpc;
}

void rpc_add(struct rpc *rpc, const struct rpc_method *method)
{
    CHECK(rpc->methods < RPC_METHODS_MAX && !rpc->port);
    struct method *m = &rpc->method[rpc->methods++];
    m->method = *method;
    m->registered = grpc_server_register_method(
        rpc->server, method->path, NULL,
        method->client_streams ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    CHECK(m->registered);
}

enum tm_code rpc_start(struct rpc *rpc, struct tm_error *err)
{
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    system_reason[0] = '\0';
    rpc->port = grpc_server_add_http2_port(rpc->server, rpc->listen, plain);
    grpc_server_credentials_release(plain);
    if (!rpc->port)
        return tm_error_set(err, TM_UNAVAILABLE, "listen: %s: %s; expected HOST:PORT of this machine that is free",
                            rpc->listen, system_reason[0] ? system_reason : "no such address");
    grpc_server_start(rpc->server);
    for (uint32_t i = 0; i < rpc->workers; i++) {
        struct rpc_worker *w = &rpc->worker[i];
        for (uint32_t m = 0; m < rpc->methods; m++)
            for (int slot = 0; slot < SLOTS; slot++)
                slot_arm(w, &rpc->method[m]);
        slot_arm(w, NULL); /* without it, calls of unknown methods hang until their deadline */
        CHECK(thread_start(&w->thread, "rpc", worker_main, w, NULL) == TM_OK);
    }
    return TM_OK;
}

void rpc_visit_stats(const struct rpc *rpc, void (*visit)(void *context, const char *path, const struct rpc_stats *s),
                     void *context)
{
    for (uint32_t i = 0; i < rpc->methods; i++)
        visit(context, rpc->method[i].method.path, &rpc->method[i].stats);
    visit(context, "", &rpc->unknown);
}

int rpc_port(const struct rpc *rpc) { return rpc->port; }

static void on_stopped(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    atomic_store(&((struct rpc *)(void *)((char *)tag - offsetof(struct rpc, stopped_tag)))->stopped, true);
}

static gpr_timespec in_ms(int64_t ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* Queues are shut only when no handler holds a call any more: an operation on a shut queue aborts the process. */
void rpc_stop(struct rpc *rpc, int64_t grace_ms)
{
    gpr_timespec end = in_ms(grace_ms);
    bool cancelled = false, idle = false;
    if (!rpc->port)
        return;
    rpc->stopped_tag.run = on_stopped;
    grpc_server_shutdown_and_notify(rpc->server, rpc->worker[0].queue, &rpc->stopped_tag);
    while (!atomic_load(&rpc->stopped) || atomic_load(&rpc->calls) > 0) {
        gpr_sleep_until(in_ms(STOP_POLL_MS));
        /* Only connections are left: their last bytes leave, then they close. */
        if (!idle && atomic_load(&rpc->calls) == 0) {
            idle = true;
            end = in_ms(FLUSH_MS);
        }
        if (!cancelled && gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), end) > 0) {
            grpc_server_cancel_all_calls(rpc->server);
            cancelled = true;
        }
    }
    for (uint32_t i = 0; i < rpc->workers; i++)
        grpc_completion_queue_shutdown(rpc->worker[i].queue);
    for (uint32_t i = 0; i < rpc->workers; i++)
        CHECK(pthread_join(rpc->worker[i].thread, NULL) == 0);
    rpc->port = 0;
}

/* A server that never started is shut down too, as gRPC demands, with nobody but us at the queue. */
static void stop_unstarted(struct rpc *rpc)
{
    grpc_server_shutdown_and_notify(rpc->server, rpc->worker[0].queue, NULL);
    for (uint32_t i = 0; i < rpc->workers; i++)
        grpc_completion_queue_shutdown(rpc->worker[i].queue);
    for (uint32_t i = 0; i < rpc->workers; i++)
        while (grpc_completion_queue_next(rpc->worker[i].queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
               GRPC_QUEUE_SHUTDOWN)
            continue;
}

void rpc_close(struct rpc *rpc)
{
    CHECK(!rpc->port);
    if (!atomic_load(&rpc->stopped))
        stop_unstarted(rpc);
    grpc_server_destroy(rpc->server);
    for (uint32_t i = 0; i < rpc->workers; i++)
        grpc_completion_queue_destroy(rpc->worker[i].queue);
    free(rpc->worker);
    free(rpc);
    grpc_shutdown_blocking();
}
