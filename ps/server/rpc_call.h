/* ps/server/rpc_call.h - what the two halves of rpc share; for rpc.c and rpc_call.c alone.
 *
 * A completion tag is a callback: the thread of a completion queue calls run() of what comes out of it. */
#ifndef TIDEMILL_PS_SERVER_RPC_CALL_H
#define TIDEMILL_PS_SERVER_RPC_CALL_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ps/server/rpc.h"

struct rpc_tag {
    void (*run)(struct rpc_tag *tag, bool ok);
};

struct rpc_worker {
    struct rpc *rpc;
    grpc_completion_queue *queue;
    pthread_t thread;
};

/* A slice of up to 23 bytes holds them inside itself, so a message never moves. */
struct rpc_message {
    grpc_slice slice;
    struct bytes bytes;
};

struct rpc_call {
    struct rpc_tag arrived, answered, watched, received, sent, finished, closed, kicked;
    struct rpc_worker *worker;
    const struct rpc_method *method; /* NULL: a method we do not have */
    struct rpc_stats *stats;
    int64_t began_ns;
    grpc_call *call; /* NULL until a client's call filled the slot */
    grpc_call_details details;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request, *incoming, *reply;
    struct rpc_message *request_view;
    atomic_int refs;
    atomic_bool kick_pending;
    int recv_cancelled; /* gRPC's; read when the close has come */
    atomic_bool cancelled;
    bool watching;

    grpc_slice status_text;
    grpc_metadata pushback;

    /* Streams. start_batch on one call must be serialised, so everything below is guarded by the mutex. */
    pthread_mutex_t mutex;
    const struct rpc_stream *stream;
    void *state;
    grpc_byte_buffer *unsent[RPC_UNSENT_MAX]; /* a ring; the first one is on its way while `sending` */
    uint32_t unsent_first, unsent_count, operations;
    bool started, sending, ending, over, told_closed;
    struct tm_error status;
};

struct rpc_call *rpc_call_new(struct rpc_worker *worker, const struct rpc_method *method, struct rpc_stats *stats);
void rpc_call_begin(struct rpc_call *call); /* a client's call has come */

/* One more, one less struct rpc_call, empty slots included: rpc_stop waits for the last. */
void rpc_call_count(struct rpc *rpc, int change);

/* Do the services promise this method, "/tidemill.v1.Events/Ingest"? */
bool rpc_is_declared(const struct rpc *rpc, struct bytes path);

#endif
