#include "ps/server/operations.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/queue.h"

struct operations {
    struct queue *queue;
    pthread_t thread;
    atomic_bool draining;
};

const struct tm_error operations_leaving = {TM_UNAVAILABLE, "the server is shutting down"};

static void *run(void *context)
{
    struct operations *q = context;
    for (struct operation *o; (o = queue_pop(q->queue, -1)) != NULL;)
        o->run(o);
    return NULL;
}

struct operations *operations_open(const char *thread_name)
{
    struct operations *q = mem_new(1, sizeof *q);
    q->queue = queue_open(OPERATIONS_WAITING, 0);
    CHECK(pthread_create(&q->thread, NULL, run, q) == 0);
    pthread_setname_np(q->thread, thread_name);
    return q;
}

enum tm_code operations_push(struct operations *q, struct operation *o, struct tm_error *err)
{
    if (atomic_load(&q->draining))
        *err = operations_leaving;
    else if (!queue_try_push(q->queue, o, 0))
        tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%d operations wait already; try again in a second",
                     OPERATIONS_WAITING);
    else
        return TM_OK;
    return err->code;
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
