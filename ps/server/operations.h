/* ps/server/operations.h - what takes longer than the thread of a call may wait: one queue, and one thread that does it
 * in order.
 *
 * Bound    OPERATIONS_WAITING wait; more are RESOURCE_EXHAUSTED.
 * Memory   an operation is its service's, which embeds it; run() answers the call and frees it.
 * Threads  operations_push and operations_drain: any. run() is called on the queue's thread. */
#ifndef TIDEMILL_PS_SERVER_OPERATIONS_H
#define TIDEMILL_PS_SERVER_OPERATIONS_H

#include <stdatomic.h>

#include "ps/server/rpc.h"

enum { OPERATIONS_WAITING = 16 };

struct operations;

struct operation {
    void (*run)(struct operation *o);
};

struct operations *operations_open(const char *thread_name); /* at most 15 characters */

/* Hand over. On an error the operation is still the caller's. */
enum tm_code operations_push(struct operations *q, struct operation *o, struct tm_error *err);

/* The server leaves: nothing more is taken. What waits is still run; run() asks this first and refuses, so that nobody
 * is left without an answer. */
void operations_drain(struct operations *q);
const atomic_bool *operations_draining(const struct operations *q);
extern const struct tm_error operations_leaving; /* what is answered then */

void operations_close(struct operations *q); /* after rpc_stop(); does what still waits */

#endif
