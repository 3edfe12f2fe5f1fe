#include "ps/server/http_ingest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/queue.h"
#include "base/thread.h"
#include "proto/json_ingest.h"
#include "ps/server/ack.h"
#include "tidemill/v1/events.pb-c.h"

struct http_ingest {
    struct engine *engine;
    struct door door;
    struct ingest_counts *counts;
    struct queue *requests;
    pthread_t thread;
    atomic_bool draining;
};

/* A request on its way through the log, as two submissions; the last to be done answers. */
struct one {
    struct http_ingest *service;
    struct http_request *request;
    struct json_ingest message; /* what the submissions' events point into */
    struct submission open, batch;
    struct door_batch events;
    atomic_int missing;
};

static const struct tm_error leaving = {TM_UNAVAILABLE, "the server is shutting down; send it again later"};

static void one_free(struct one *o)
{
    door_batch_close(&o->events);
    buffer_close(&o->batch.old_rejects);
    buffer_close(&o->open.old_rejects);
    json_ingest_close(&o->message);
    free(o);
}

static void fail_submission(struct one *o, struct submission *s)
{
    s->error.code = s->code;
    http_fail(o->request, &s->error);
}

/* The batch of a producer that could not be opened was refused, too; why is the first one's to say. */
static void answer(struct one *o)
{
    struct buffer ack = {0};
    if (o->open.code != TM_OK) {
        fail_submission(o, &o->open);
    } else if (o->batch.code != TM_OK) {
        fail_submission(o, &o->batch);
    } else {
        ack_pack_batch(&o->batch, &ack);
        http_reply_message(o->request, &tidemill__v1__ack__descriptor, &ack);
    }
    one_free(o);
}

static void one_done(struct one *o)
{
    if (atomic_fetch_sub(&o->missing, 1) == 1)
        answer(o);
}

/* On the log writer's thread. */
static void submission_done(struct submission *s)
{
    struct one *o = s->context;
    if (s == &o->batch)
        engine_release_batch(o->service->engine, s);
    if (s == &o->batch && o->open.code == TM_OK)
        ingest_count(o->service->counts, INGEST_HTTP, s, &o->events);
    else if (s == &o->open)
        ingest_count(o->service->counts, INGEST_HTTP, s, NULL);
    one_done(o);
}

static void submit(struct one *o, struct submission *s)
{
    s->context = o;
    s->done = submission_done;
    s->producer = o->open.producer;
    if (engine_submit(o->service->engine, s))
        return;
    if (s == &o->batch)
        engine_release_batch(o->service->engine, s);
    s->code = leaving.code;
    s->error = leaving;
    one_done(o);
}

/* The same door as in an Ingest call: Open, then Batch. */
static enum tm_code pass_door(struct one *o, struct tm_error *err)
{
    const struct door *door = &o->service->door;
    uint32_t streams;
    enum tm_code rc = json_ingest_read(http_body(o->request), &o->message, err);
    if (rc == TM_OK)
        rc = engine_admit(o->service->engine, true, err);
    if (rc == TM_OK)
        rc = door_read_open(door, buffer_view(&o->message.open), &o->open.producer, &o->open.streams, &streams, err);
    if (rc == TM_OK)
        rc = door_read_batch(door, buffer_view(&o->message.batch), streams, clock_wall_ms(), &o->events, err);
    if (rc != TM_OK)
        return rc;
    o->open.kind = SUBMIT_OPEN;
    o->batch.kind = SUBMIT_BATCH;
    door_batch_hand_over(&o->events, &o->batch);
    return engine_admit_batch(o->service->engine, &o->batch, err);
}

static void handle(struct one *o)
{
    struct tm_error err = leaving;
    if (atomic_load(&o->service->draining) || pass_door(o, &err) != TM_OK) {
        ingest_count_refused(o->service->counts, err.code);
        http_fail(o->request, &err);
        one_free(o);
        return;
    }
    atomic_store(&o->missing, 3); /* both submissions, and we */
    submit(o, &o->open);
    submit(o, &o->batch);
    one_done(o);
}

static void *ingest_main(void *context)
{
    struct http_ingest *service = context;
    for (struct one *o; (o = queue_pop(service->requests, -1)) != NULL;)
        handle(o);
    return NULL;
}

void http_ingest(struct http_ingest *service, struct http_request *r)
{
    struct tm_error err;
    struct one *o = mem_new(1, sizeof *o);
    o->service = service;
    o->request = r;
    if (queue_try_push(service->requests, o, 0))
        return;
    tm_error_set(&err, TM_RESOURCE_EXHAUSTED, "%d requests wait already; try again in a second", HTTP_INGEST_WAITING);
    ingest_count_refused(service->counts, err.code);
    http_fail(r, &err);
    one_free(o);
}

struct http_ingest *http_ingest_open(struct engine *engine, struct ingest_counts *counts)
{
    struct http_ingest *service = mem_new(1, sizeof *service);
    service->engine = engine;
    service->counts = counts;
    door_open(&service->door, engine);
    service->requests = queue_open(HTTP_INGEST_WAITING, 0);
    CHECK(thread_start(&service->thread, "http-door", ingest_main, service, NULL) == TM_OK);
    return service;
}

void http_ingest_drain(struct http_ingest *service) { atomic_store(&service->draining, true); }

void http_ingest_close(struct http_ingest *service)
{
    if (!service)
        return;
    queue_shut(service->requests);
    CHECK(pthread_join(service->thread, NULL) == 0);
    queue_close(service->requests);
    free(service);
}
