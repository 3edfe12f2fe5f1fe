#include "ps/server/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "grpc/health/v1/health.pb-c.h"
#include "proto/wire.h"

#define STATE(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

/* In the list from start() to closed(). */
struct watcher {
    struct health *health;
    struct rpc_call *call;
    bool known, of_events;
    bool untold; /* the state changed while too much was unsent */
    struct watcher *previous, *next;
};

struct health {
    pthread_mutex_t mutex; /* guards what follows */
    bool draining, taking; /* events */
    struct watcher *first;
    uint32_t watchers;
};

static void lock(struct health *h) { CHECK(pthread_mutex_lock(&h->mutex) == 0); }
static void unlock(struct health *h) { CHECK(pthread_mutex_unlock(&h->mutex) == 0); }

static const char events_service[] = "tidemill.v1.Events";

static bool is_ours(struct bytes service)
{
    static const char *const services[] = {"", events_service, "tidemill.v1.Parameters", "tidemill.v1.Admin",
                                           "grpc.health.v1.Health"};
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (bytes_equal(service, bytes_text(services[i])))
            return true;
    return false;
}

static enum tm_code read_service(struct bytes request, struct bytes *service, struct tm_error *err)
{
    enum { SERVICE = 1 };
    struct reader r = reader_of(request);
    struct wire_field f;
    *service = (struct bytes){0};
    while (wire_next(&r, &f))
        if (f.number == SERVICE && f.type == WIRE_BYTES)
            *service = f.bytes;
    return r.bad ? wire_malformed(&r, request, err) : TM_OK;
}

static struct buffer response(uint32_t state)
{
    enum { STATUS = 1 };
    struct buffer body = {0};
    wire_put_integer(&body, STATUS, state);
    return body;
}

/* Under the lock. */
static uint32_t state_of(const struct health *h, bool of_events)
{
    return h->draining || (of_events && !h->taking) ? STATE(NOT_SERVING) : STATE(SERVING);
}

static void check(void *service, struct rpc_call *call, struct bytes request)
{
    struct health *h = service;
    struct bytes name;
    struct tm_error err;
    enum tm_code rc = read_service(request, &name, &err);
    if (rc == TM_OK && !is_ours(name))
        rc = tm_error_set(&err, TM_NOT_FOUND,
                          "service: not one of this server's; expected \"\" or a service's full name");
    if (rc != TM_OK) {
        rpc_fail(call, &err);
        return;
    }
    lock(h);
    struct buffer body = response(state_of(h, bytes_equal(name, bytes_text(events_service))));
    unlock(h);
    rpc_reply(call, &body);
}

/* Under the lock. */
static void tell(struct watcher *w)
{
    static const struct tm_error leaving = {TM_UNAVAILABLE, "the server is shutting down"};
    w->untold = rpc_unsent(w->call) >= RPC_UNSENT_MAX;
    if (w->untold)
        return;
    struct buffer body = response(w->known ? state_of(w->health, w->of_events) : STATE(SERVICE_UNKNOWN));
    rpc_send(w->call, &body);
    if (w->health->draining)
        rpc_finish(w->call, &leaving);
}

static void sent(void *state)
{
    struct watcher *w = state;
    lock(w->health);
    if (w->untold)
        tell(w);
    unlock(w->health);
}

static void watch_closed(void *state)
{
    struct watcher *w = state;
    struct health *h = w->health;
    lock(h);
    *(w->previous ? &w->previous->next : &h->first) = w->next;
    if (w->next)
        w->next->previous = w->previous;
    h->watchers--;
    unlock(h);
    free(w);
}

static const struct rpc_stream watch_callbacks = {.sent = sent, .closed = watch_closed};

static struct watcher *watcher_add(struct health *h, struct rpc_call *call, struct bytes name)
{
    struct watcher *w = mem_new(1, sizeof *w);
    *w = (struct watcher){.health = h,
                          .call = call,
                          .known = is_ours(name),
                          .of_events = bytes_equal(name, bytes_text(events_service)),
                          .next = h->first};
    if (h->first)
        h->first->previous = w;
    h->first = w;
    h->watchers++;
    return w;
}

static void watch(void *service, struct rpc_call *call, struct bytes request)
{
    struct health *h = service;
    struct bytes name;
    struct tm_error err;
    enum tm_code rc = read_service(request, &name, &err);
    lock(h);
    if (rc == TM_OK && h->watchers >= HEALTH_WATCHERS_MAX)
        rc = tm_error_set(&err, TM_RESOURCE_EXHAUSTED, "%d calls watch already; try again later, or use Check",
                          HEALTH_WATCHERS_MAX);
    if (rc == TM_OK) {
        struct watcher *w = watcher_add(h, call, name);
        rpc_stream_begin(call, &watch_callbacks, w);
        tell(w);
    }
    unlock(h);
    if (rc != TM_OK)
        rpc_fail(call, &err);
}

struct health *health_open(struct rpc *rpc)
{
    struct health *h = mem_new(1, sizeof *h);
    h->taking = true;
    CHECK(pthread_mutex_init(&h->mutex, NULL) == 0);
    rpc_add(rpc, &(struct rpc_method){.path = "/grpc.health.v1.Health/Check", .start = check, .service = h});
    rpc_add(rpc, &(struct rpc_method){.path = "/grpc.health.v1.Health/Watch", .start = watch, .service = h});
    return h;
}

void health_events(struct health *h, bool taking)
{
    lock(h);
    h->taking = taking;
    for (struct watcher *w = h->first; w; w = w->next)
        if (w->of_events && !h->draining)
            tell(w);
    unlock(h);
}

void health_drain(struct health *h)
{
    lock(h);
    h->draining = true;
    for (struct watcher *w = h->first; w; w = w->next)
        tell(w);
    unlock(h);
}

void health_close(struct health *h)
{
    CHECK(h->watchers == 0);
    pthread_mutex_destroy(&h->mutex);
    free(h);
}
