/* tests/transport/core.h - what the files of this folder share: queue.c, call.c, server.c, client.c, slice.c.
 *
 * Locks    are taken in the order server, call, queue. */
#ifndef TIDEMILL_TESTS_TRANSPORT_CORE_H
#define TIDEMILL_TESTS_TRANSPORT_CORE_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/transport/transport.h"

/* ---- queue.c ---- */

/* Every operation is announced before it can be done: a queue that is shut ends when none is left. */
void transport_announce(grpc_completion_queue *queue);
void transport_post(grpc_completion_queue *queue, void *tag, bool ok);

/* ---- call.c ---- */

/* What one grpc_call_start_batch began. */
struct batch {
    void *tag;
    uint32_t missing;
    bool ok;
};

struct messages {
    grpc_byte_buffer *ring[TRANSPORT_WINDOW];
    uint32_t first, count;
};

/* Both ends of a call. An operation waits while its batch is there. */
struct grpc_call {
    grpc_server *server; /* from the arrival on */
    char *path;
    uint32_t connection;
    gpr_timespec deadline;
    atomic_int references;             /* the client's, and the server's from the arrival to grpc_call_unref */
    struct grpc_call *previous, *next; /* calls that are not over; guarded by the server's mutex */
    struct grpc_call *next_waiting;    /* until a slot takes it; guarded by the server's mutex */

    pthread_mutex_t mutex;        /* guards what follows */
    pthread_cond_t moved;         /* the client waits for it */
    grpc_completion_queue *queue; /* from when a slot has taken the call */
    struct messages up, down;
    bool half_closed, over, cancelled;
    struct tm_error status;
    struct batch *receiving, *sending, *ending, *closing;
    grpc_byte_buffer **receive_to, *to_send;
    int *tell_cancelled;
    struct tm_error to_end_with;
};

struct grpc_call *transport_call_new(const char *path);
void transport_call_unref(struct grpc_call *call);

bool messages_put(struct messages *m, grpc_byte_buffer *message); /* false: full, the message is still the caller's */
grpc_byte_buffer *messages_take(struct messages *m);              /* NULL: empty */

/* Under the call's mutex: do what can be done now. True: the call has just ended, and transport_call_over must be told
 * when the mutex is free. */
bool transport_settle(struct grpc_call *call);
void transport_cancel_for(struct grpc_call *call, const struct tm_error *why); /* without the mutex */

/* ---- server.c ---- */

bool transport_arrive(struct grpc_call *call, int port); /* false: nobody listens there */
void transport_call_over(struct grpc_call *call);

/* ---- slice.c ---- */

grpc_byte_buffer *transport_message_of(struct bytes bytes); /* copied; in frames, as from a network */
void transport_message_read(const grpc_byte_buffer *message, struct buffer *out);

static inline void core_lock(pthread_mutex_t *mutex) { CHECK(pthread_mutex_lock(mutex) == 0); }
static inline void core_unlock(pthread_mutex_t *mutex) { CHECK(pthread_mutex_unlock(mutex) == 0); }

#endif
