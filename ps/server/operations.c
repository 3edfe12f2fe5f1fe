#include "ps/server/operations.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/queue.h"
#include "base/thread.h"

struct operations {
    struct queue *queue;
    pthread_t thread;
    atomic_bool draining;
};

static const struct tm_error leaving = {TM_UNAVAILABLE, "the server is shutting down"};

static void refuse(const struct operation *o, const struct tm_error *why)
{
    if (o->refuse)
        o->refuse(o->request, o->call, why);
    else
        rpc_fail(o->call, why);
}

static void *run(void *context)
{
    struct operations *q = context;
    for (struct operation *o; (o = queue_pop(q->queue, -1)) != NULL;) {
        if (atomic_load(&q->draining))
            refuse(o, &leaving);
        else
            o->run(o->request, o->call);
        free(o->request);
        free(o);
    }
    return NULL;
}

struct operations *operations_open(const char *thread_name)
{
    struct operations *q = mem_new(1, sizeof *q);
    q->queue = queue_open(OPERATIONS_WAITING, 0);
    CHECK(thread_start(&q->thread, thread_name, run, q, NULL) == TM_OK);
    return q;
}

void operations_later(struct operations *q, const struct operation *o)
{
    struct tm_error full;
    struct operation *kept = mem_new(1, sizeof *kept);
    *kept = *o;
    if (!atomic_load(&q->draining) && queue_try_push(q->queue, kept, 0))
        return;
    tm_error_set(&full, TM_RESOURCE_EXHAUSTED, "%d operations wait already; try again in a second", OPERATIONS_WAITING);
    refuse(kept, atomic_load(&q->draining) ? &leaving : &full);
    free(kept->request);
    free(kept);
}

void operations_drain(struct operations *q) { atomic_store(&q->draining, true); }
const atomic_bool *operations_draining(const struct operations *q) { return &q->draining; }

void operations_close(struct operations *q)
{
    queue_shut(q->queue);
    CHECK(pthread_join(q->thread, NULL) == 0);
    queue_close(q->queue);
    free(q);
}
