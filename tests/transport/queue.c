/* Completion queues: an unbounded list of tags, one thread that takes them. */
#include <stdlib.h>

#include "tests/transport/core.h"

struct event {
    void *tag;
    bool ok;
    struct event *next;
};

struct grpc_completion_queue {
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t filled;
    struct event *first, **last;
    uint32_t announced; /* and not yet taken */
    bool shut;
};

grpc_completion_queue *grpc_completion_queue_create_for_next(void *reserved)
{
    grpc_completion_queue *q = mem_new(1, sizeof *q);
    CHECK(!reserved);
    q->last = &q->first;
    CHECK(pthread_mutex_init(&q->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&q->filled, NULL) == 0);
    return q;
}

void transport_announce(grpc_completion_queue *q)
{
    core_lock(&q->mutex);
    CHECK(!q->shut); /* gRPC aborts */
    q->announced++;
    core_unlock(&q->mutex);
}

void transport_post(grpc_completion_queue *q, void *tag, bool ok)
{
    struct event *e = mem_new(1, sizeof *e);
    *e = (struct event){.tag = tag, .ok = ok};
    core_lock(&q->mutex);
    *q->last = e;
    q->last = &e->next;
    pthread_cond_signal(&q->filled);
    core_unlock(&q->mutex);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue *q, gpr_timespec deadline, void *reserved)
{
    CHECK(!reserved && gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0);
    core_lock(&q->mutex);
    while (!q->first && !(q->shut && q->announced == 0))
        pthread_cond_wait(&q->filled, &q->mutex);
    struct event *e = q->first;
    if (e) {
        q->first = e->next;
        if (!q->first)
            q->last = &q->first;
        q->announced--;
    }
    core_unlock(&q->mutex);
    if (!e)
        return (grpc_event){.type = GRPC_QUEUE_SHUTDOWN};
    grpc_event found = {.type = GRPC_OP_COMPLETE, .success = e->ok, .tag = e->tag};
    free(e);
    return found;
}

void grpc_completion_queue_shutdown(grpc_completion_queue *q)
{
    core_lock(&q->mutex);
    q->shut = true;
    pthread_cond_broadcast(&q->filled);
    core_unlock(&q->mutex);
}

void grpc_completion_queue_destroy(grpc_completion_queue *q)
{
    CHECK(q->shut && q->announced == 0);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->mutex);
    free(q);
}
