/* ps/server/rpc.h - calls: the only door to gRPC on the server side (rpc.c the server, rpc_call.c one call).
 *
 * Shapes   unary: start() gets the request and answers once, now or later, from any thread, with rpc_reply or rpc_fail.
 *          streams: start() calls rpc_stream_begin and is told by callbacks what happens; it sends with rpc_send, ends
 *          with rpc_finish. A stream from the client is read message by message with rpc_read: who does not ask gets
 *          nothing, and flow control stops the sender.
 * Threads  options.threads completion queues of one thread each. start() and all callbacks of a call run on the thread
 *          of its connection, one at a time; they must not block, because every call of that connection waits behind
 *          them. All functions on a call may be called from any thread.
 * Memory   requests and messages are gRPC's own memory, kept alive instead of copied, and count against its quota.
 *          Bodies sent are taken over with their memory: *body is empty afterwards.
 * Bounds   messages RPC_MESSAGE_MAX, unsent replies of a stream RPC_UNSENT_MAX, memory in flight by a resource quota,
 *          open calls of one connection RPC_STREAMS_MAX. No compression: nothing inflates.
 * Methods  a call of a declared method that nobody added ends with UNIMPLEMENTED and the words "not built yet", one of
 *          an unknown method with "no such method".
 * Errors   a struct tm_error becomes a status: code by the table of base/error.h, message as it is. RESOURCE_EXHAUSTED
 *          also carries grpc-retry-pushback-ms, which clients with a retry policy obey. */
#ifndef TIDEMILL_PS_SERVER_RPC_H
#define TIDEMILL_PS_SERVER_RPC_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/histogram.h"
#include "proto/descriptors.h"

enum {
    RPC_MESSAGE_MAX = 8 << 20,
    RPC_UNSENT_MAX = 8,
    RPC_STREAMS_MAX = 1024,
    RPC_METHODS_MAX = 64,
    RPC_RETRY_MS = 1000, /* what RESOURCE_EXHAUSTED suggests */
};

struct rpc;
struct rpc_call;
struct rpc_message;

/* One method. request lives until the call is answered; it is empty for a stream from the client. */
struct rpc_method {
    const char *path; /* "/tidemill.v1.Events/Ingest" */
    bool client_streams;
    void (*start)(void *service, struct rpc_call *call, struct bytes request);
    void *service;
};

struct rpc_options {
    const char *listen; /* HOST:PORT; port 0: any free one */
    uint32_t threads;
    size_t memory_max;                  /* of gRPC's buffers and of messages that are kept */
    const struct descriptors *declared; /* what the services promise, outlives the rpc; NULL: nothing */
};

/* Make, add methods, start, stop, close. Signals should be blocked before rpc_open: gRPC's threads inherit the mask. */
struct rpc *rpc_open(const struct rpc_options *options);
void rpc_add(struct rpc *rpc, const struct rpc_method *method);
/* TM_UNAVAILABLE: the address cannot be listened on, with the system's reason. */
enum tm_code rpc_start(struct rpc *rpc, struct tm_error *err);
int rpc_port(const struct rpc *rpc);
/* Take no more calls, wait up to grace_ms for those that run, cancel the rest, wait until every handler has let go. */
void rpc_stop(struct rpc *rpc, int64_t grace_ms);
void rpc_close(struct rpc *rpc); /* stopped, or never started */

/* What became of the calls of one method. Any thread. */
enum { RPC_STATUS_CODES = 17 }; /* as in gRPC's table, 0 to UNAUTHENTICATED */
struct rpc_stats {
    _Atomic uint64_t started, handled[RPC_STATUS_CODES];
    struct histogram handling; /* from the request to the status */
};
/* Method by method, in the order they were added; last, with path "", calls of methods that there are not. */
void rpc_visit_stats(const struct rpc *rpc, void (*visit)(void *context, const char *path, const struct rpc_stats *s),
                     void *context);

/* A call lives until it is over and every rpc_hold was met by an rpc_release. */
void rpc_hold(struct rpc_call *call);
void rpc_release(struct rpc_call *call);
/* Until the caller's deadline; INT64_MAX: it has none. */
int64_t rpc_time_left_ms(const struct rpc_call *call);

/* Unary: exactly one of these, once; the call must not be touched afterwards. */
void rpc_reply(struct rpc_call *call, struct buffer *body);
void rpc_fail(struct rpc_call *call, const struct tm_error *why);
/* One of them, by rc. What was packed before it failed is dropped. */
void rpc_answer(struct rpc_call *call, enum tm_code rc, struct buffer *body, const struct tm_error *why);
/* Unary calls that answer late: after rpc_watch(), rpc_cancelled() tells whether anybody still waits. */
void rpc_watch(struct rpc_call *call);
bool rpc_cancelled(struct rpc_call *call);

struct rpc_stream {
    void (*message)(void *state,
                    struct rpc_message *m); /* what rpc_read asked for, now the callee's; NULL: client is done */
    void (*sent)(void *state);              /* a reply left: rpc_unsent() went down */
    void (*woken)(void *state);             /* rpc_wake() was called, once or more often */
    void (*closed)(void *state);            /* the call is over, in whatever way; the last callback */
};

/* All four callbacks that can happen must be there. The call stays valid until closed() returned, longer if held. */
void rpc_stream_begin(struct rpc_call *call, const struct rpc_stream *callbacks, void *state);
void rpc_read(struct rpc_call *call); /* one at a time */
/* Queue a reply. There must be room: rpc_unsent() < RPC_UNSENT_MAX. When the call is over the body is dropped. */
void rpc_send(struct rpc_call *call, struct buffer *body);
uint32_t rpc_unsent(struct rpc_call *call);
/* End with a status, behind what is unsent. why NULL: OK. A second time does nothing. */
void rpc_finish(struct rpc_call *call, const struct tm_error *why);
/* Have woken() called on the call's own thread. Cheap: posts an event and returns. Only while the call is held. */
void rpc_wake(struct rpc_call *call);

struct bytes rpc_message_bytes(const struct rpc_message *m);
void rpc_message_free(struct rpc_message *m); /* NULL is fine */

#endif
