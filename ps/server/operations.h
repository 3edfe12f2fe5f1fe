/* ps/server/operations.h - what takes longer than the thread of a call may wait: one queue, and one thread that does it
 * in order.
 *
 * Bound    OPERATIONS_WAITING wait; more are RESOURCE_EXHAUSTED. When the server leaves, what waits and what comes is
 *          UNAVAILABLE.
 * Threads  any; run() and refuse() of what waited are called on the queue's thread. */
#ifndef TIDEMILL_PS_SERVER_OPERATIONS_H
#define TIDEMILL_PS_SERVER_OPERATIONS_H

#include <stdatomic.h>

#include "ps/server/rpc.h"

enum { OPERATIONS_WAITING = 16 };

struct operations;

/* One of run and refuse answers the call. */
struct operation {
    struct rpc_call *call;
    void *request; /* freed behind them; NULL is fine */
    void (*run)(void *request, struct rpc_call *call);
    void (*refuse)(void *request, struct rpc_call *call, const struct tm_error *why); /* NULL: rpc_fail() */
};

struct operations *operations_open(const char *thread_name); /* at most 15 characters */

/* Do it later, or refuse it now. */
void operations_later(struct operations *q, const struct operation *o);

/* The server leaves. The flag is for what runs long: it becomes true and stays so. */
void operations_drain(struct operations *q);
const atomic_bool *operations_draining(const struct operations *q);

void operations_close(struct operations *q); /* after rpc_stop() */

#endif
