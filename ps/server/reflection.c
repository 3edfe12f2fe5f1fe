#include "ps/server/reflection.h"

#include <pthread.h>
#include <stdlib.h>

#include "ps/server/reflection_answer.h"

/* One call; in the list from start() to closed(). */
struct inquirer {
    struct reflection *reflection;
    struct rpc_call *call;
    struct inquirer *previous, *next;
};

struct reflection {
    const struct descriptors *descriptors;
    pthread_mutex_t mutex; /* guards what follows */
    bool draining;
    struct inquirer *first;
    uint32_t count;
};

static const struct tm_error leaving = {TM_UNAVAILABLE, "the server is shutting down"};

static void lock(struct reflection *r) { CHECK(pthread_mutex_lock(&r->mutex) == 0); }
static void unlock(struct reflection *r) { CHECK(pthread_mutex_unlock(&r->mutex) == 0); }

/* ---- one call ---- */

static void on_message(void *state, struct rpc_message *m)
{
    struct inquirer *q = state;
    struct buffer answer = {0};
    struct tm_error err;
    if (!m) {
        rpc_finish(q->call, NULL);
        return;
    }
    if (reflection_answer(q->reflection->descriptors, rpc_message_bytes(m), &answer, &err) == TM_OK)
        rpc_send(q->call, &answer); /* there is room: no question is read before the last answer has left */
    else
        rpc_finish(q->call, &err);
    rpc_message_free(m);
}

static void on_sent(void *state) { rpc_read(((struct inquirer *)state)->call); }

static void on_closed(void *state)
{
    struct inquirer *q = state;
    struct reflection *r = q->reflection;
    lock(r);
    *(q->previous ? &q->previous->next : &r->first) = q->next;
    if (q->next)
        q->next->previous = q->previous;
    r->count--;
    unlock(r);
    free(q);
}

static const struct rpc_stream callbacks = {.message = on_message, .sent = on_sent, .closed = on_closed};

/* Under the lock. */
static struct inquirer *inquirer_add(struct reflection *r, struct rpc_call *call)
{
    struct inquirer *q = mem_new(1, sizeof *q);
    *q = (struct inquirer){.reflection = r, .call = call, .next = r->first};
    if (r->first)
        r->first->previous = q;
    r->first = q;
    r->count++;
    return q;
}

static void start(void *service, struct rpc_call *call, struct bytes request)
{
    struct reflection *r = service;
    struct tm_error err = leaving;
    (void)request;
    lock(r);
    bool taken = !r->draining && r->count < REFLECTION_CALLS_MAX;
    if (taken) {
        rpc_stream_begin(call, &callbacks, inquirer_add(r, call));
        rpc_read(call);
    } else if (!r->draining) {
        tm_error_set(&err, TM_RESOURCE_EXHAUSTED, "%d calls ask already; try again in a second", REFLECTION_CALLS_MAX);
    }
    unlock(r);
    if (!taken)
        rpc_fail(call, &err);
}

/* ---- the service ---- */

struct reflection *reflection_open(const struct descriptors *descriptors, struct rpc *rpc)
{
    static const char *const paths[] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    };
    struct reflection *r = mem_new(1, sizeof *r);
    r->descriptors = descriptors;
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        rpc_add(rpc, &(struct rpc_method){.path = paths[i], .client_streams = true, .start = start, .service = r});
    return r;
}

void reflection_drain(struct reflection *r)
{
    lock(r);
    r->draining = true;
    for (struct inquirer *q = r->first; q; q = q->next)
        rpc_finish(q->call, &leaving);
    unlock(r);
}

void reflection_close(struct reflection *r)
{
    CHECK(r->count == 0);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}
