#include "ps/server/events.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/queue.h"
#include "base/thread.h"
#include "ps/server/ack.h"
#include "ps/server/ingest_counts.h"

/* One message on its way: checked and submitted by the door, then in the log, then to be answered. */
struct pending {
    struct submission submission;
    struct door_batch batch;
    struct rpc_message *message;
    size_t bytes;
    bool done; /* guarded by the call's mutex, as next: to be answered, by submission.code */
    struct ingest *ingest;
    struct pending *next;
};

/* One call. References: the stream until closed(), the door while it is busy with the call, each submission until its
 * done(). */
struct ingest {
    struct events *events;
    struct rpc_call *call;
    atomic_int references;

    /* The door thread's. */
    bool opened, left, refused;
    struct producer_id producer;
    uint32_t streams;

    pthread_mutex_t mutex; /* guards what follows */
    struct pending *first, **last;
    struct pending *at_door; /* the first that the door has not seen */
    uint32_t in_flight;
    size_t bytes_in_flight;
    bool reading;   /* a message was asked for */
    bool door_busy; /* the call is in the door's queue or hands */
    bool ending;    /* no more is read; with `status` behind the answers still due */
    struct tm_error status;
    atomic_bool starved; /* would read on, but all calls together hold too much */

    struct ingest *previous_call, *next_call; /* guarded by the service's mutex */
};

struct events {
    struct engine *engine;
    struct door door;
    struct ingest_counts counts;
    struct queue *to_door; /* calls with messages; each once, so it never fills */
    pthread_t thread;
    size_t bytes_max; /* of messages that are not answered, of all calls */
    atomic_size_t bytes;
    atomic_int starved;    /* calls */
    pthread_mutex_t mutex; /* guards what follows */
    struct ingest *calls;
    uint32_t count;
    bool draining;
};

enum { DOOR_TURN = 16 }; /* messages of one call, then it is the next one's turn */

static const struct tm_error leaving = {TM_UNAVAILABLE, "the server is shutting down; connect again and go on"};

static void lock(pthread_mutex_t *mutex) { CHECK(pthread_mutex_lock(mutex) == 0); }
static void unlock(pthread_mutex_t *mutex) { CHECK(pthread_mutex_unlock(mutex) == 0); }

/* ---- memory ---- */

static void pending_free(struct pending *p)
{
    atomic_fetch_sub(&p->ingest->events->bytes, p->bytes);
    door_batch_close(&p->batch);
    buffer_close(&p->submission.old_rejects);
    rpc_message_free(p->message);
    free(p);
}

static void ingest_release(struct ingest *in)
{
    struct events *e = in->events;
    if (atomic_fetch_sub(&in->references, 1) != 1)
        return;
    lock(&e->mutex);
    if (atomic_load(&in->starved))
        atomic_fetch_sub(&e->starved, 1);
    *(in->previous_call ? &in->previous_call->next_call : &e->calls) = in->next_call;
    if (in->next_call)
        in->next_call->previous_call = in->previous_call;
    e->count--;
    unlock(&e->mutex);
    while (in->first) {
        struct pending *p = in->first;
        in->first = p->next;
        pending_free(p);
    }
    pthread_mutex_destroy(&in->mutex);
    rpc_release(in->call);
    free(in);
}

static struct ingest *ingest_new(struct events *e, struct rpc_call *call)
{
    struct ingest *in = mem_new(1, sizeof *in);
    in->events = e;
    in->call = call;
    in->last = &in->first;
    atomic_init(&in->references, 1);
    CHECK(pthread_mutex_init(&in->mutex, NULL) == 0);
    rpc_hold(call);
    return in;
}

/* NULL with *err set: no more calls are taken. */
static struct ingest *ingest_add(struct events *e, struct rpc_call *call, struct tm_error *err)
{
    struct ingest *in = NULL;
    lock(&e->mutex);
    if (e->draining) {
        *err = leaving;
    } else if (e->count == INGEST_CALLS_MAX) {
        tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%d calls are open already; try again in a second", INGEST_CALLS_MAX);
    } else {
        in = ingest_new(e, call);
        in->next_call = e->calls;
        if (e->calls)
            e->calls->previous_call = in;
        e->calls = in;
        e->count++;
    }
    unlock(&e->mutex);
    return in;
}

/* ---- answers ---- */

static void end_with(struct ingest *in, const struct tm_error *why)
{
    if (in->ending)
        return;
    in->ending = true;
    in->status = *why;
}

static void answer(struct ingest *in, const struct submission *s)
{
    struct buffer body = {0};
    if (s->code != TM_OK) {
        in->ending = true; /* whatever was found behind it: this is what the producer must hear */
        in->status = s->error;
        in->status.code = s->code;
        rpc_finish(in->call, &in->status);
    } else if (s->kind == SUBMIT_LEAVE) {
        in->ending = true; /* with OK, unless something else was the matter before */
    } else if (ack_pack(&in->events->door, s, &body)) {
        rpc_send(in->call, &body);
    }
}

static bool may_read(struct ingest *in)
{
    struct events *e = in->events;
    if (in->ending || in->reading || in->in_flight >= INGEST_IN_FLIGHT || in->bytes_in_flight >= INGEST_BYTES_IN_FLIGHT)
        return false;
    if (atomic_load(&e->bytes) < e->bytes_max || in->in_flight == 0) /* one at a time always goes: nobody starves */
        return true;
    if (!atomic_exchange(&in->starved, true))
        atomic_fetch_add(&e->starved, 1);
    return false;
}

/* Under the call's mutex: send what is due, then end the call, or read on when there is room. */
static void pump(struct ingest *in)
{
    while (in->first && in->first->done && rpc_unsent(in->call) < RPC_UNSENT_MAX) {
        struct pending *p = in->first;
        in->first = p->next;
        if (!in->first)
            in->last = &in->first;
        in->in_flight--;
        in->bytes_in_flight -= p->bytes;
        answer(in, &p->submission);
        pending_free(p);
    }
    if (in->ending && !in->first) {
        rpc_finish(in->call, &in->status);
    } else if (may_read(in)) {
        in->reading = true;
        rpc_read(in->call);
    }
}

static void feed_starved(struct events *e)
{
    lock(&e->mutex);
    for (struct ingest *in = e->calls; in; in = in->next_call)
        if (atomic_exchange(&in->starved, false)) {
            atomic_fetch_sub(&e->starved, 1);
            rpc_wake(in->call);
        }
    unlock(&e->mutex);
}

static void pump_call(void *state)
{
    struct ingest *in = state;
    struct events *e = in->events;
    lock(&in->mutex);
    pump(in);
    unlock(&in->mutex);
    if (atomic_load(&e->starved) > 0 && atomic_load(&e->bytes) < e->bytes_max)
        feed_starved(e);
}

/* ---- the door ---- */

/* On the log writer's thread. */
static void submission_done(struct submission *s)
{
    struct pending *p = s->context;
    struct ingest *in = p->ingest;
    ingest_count(&in->events->counts, INGEST_GRPC, s, &p->batch);
    if (s->kind == SUBMIT_BATCH)
        engine_release_batch(in->events->engine, s);
    lock(&in->mutex);
    p->done = true; /* from here on p may be gone */
    unlock(&in->mutex);
    rpc_wake(in->call);
    ingest_release(in);
}

/* Fills the submission; refuses what may not come now. */
static enum tm_code read_message(struct ingest *in, struct pending *p, struct tm_error *err)
{
    static const enum submission_kind kinds[] = {[DOOR_OPEN] = SUBMIT_OPEN,
                                                 [DOOR_BATCH] = SUBMIT_BATCH,
                                                 [DOOR_WATERMARK] = SUBMIT_WATERMARK,
                                                 [DOOR_END] = SUBMIT_END,
                                                 [DOOR_LEAVE] = SUBMIT_LEAVE};
    const struct door *door = &in->events->door;
    struct submission *s = &p->submission;
    enum door_message kind;
    struct bytes content;
    enum tm_code rc = door_read(rpc_message_bytes(p->message), &kind, &content, err);
    if (rc != TM_OK)
        return rc;
    if (in->left)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "leave: not the last message of the call");
    if ((kind == DOOR_OPEN) == in->opened)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            in->opened ? "open: a second one; expected one per call"
                                       : "open: missing; expected it in the first message");
    rc = engine_admit(in->events->engine, kind == DOOR_BATCH, err);
    if (rc != TM_OK)
        return rc;
    s->kind = kinds[kind];
    in->left = kind == DOOR_LEAVE;
    if (kind == DOOR_OPEN) {
        rc = door_read_open(door, content, &in->producer, &s->streams, &in->streams, err);
        in->opened = rc == TM_OK;
    } else if (kind == DOOR_WATERMARK) {
        rc = door_read_watermark(door, content, in->streams, clock_wall_ms(), &s->stream, &s->time, err);
    } else if (kind == DOOR_BATCH) {
        rc = door_read_batch(door, content, in->streams, clock_wall_ms(), &p->batch, err);
        if (rc == TM_OK)
            door_batch_hand_over(&p->batch, s);
        if (rc == TM_OK)
            rc = engine_admit_batch(in->events->engine, s, err);
    }
    s->producer = in->producer;
    return rc;
}

/* Refuse a message, or answer for a log that takes no more. Its place in the list keeps the answers before it first. */
static void refuse(struct pending *p, const struct tm_error *why)
{
    struct ingest *in = p->ingest;
    in->refused = true;
    ingest_count_refused(&in->events->counts, why->code);
    lock(&in->mutex);
    p->submission.code = why->code;
    p->submission.error = *why;
    p->done = true;
    end_with(in, why);
    pump(in);
    unlock(&in->mutex);
}

/* One message. Waits when the log's queue is full. Behind a refused one all are. */
static void door_pass(struct ingest *in, struct pending *p)
{
    struct tm_error err = leaving;
    if (in->refused || read_message(in, p, &err) != TM_OK) {
        refuse(p, &err);
        return;
    }
    atomic_fetch_add(&in->references, 1);
    if (!engine_submit(in->events->engine, &p->submission)) {
        if (p->submission.kind == SUBMIT_BATCH)
            engine_release_batch(in->events->engine, &p->submission);
        refuse(p, &leaving);
        ingest_release(in); /* never the last: the door has one of its own */
    }
}

/* False: nothing is left to do for this call. */
static bool door_turn(struct ingest *in)
{
    for (int i = 0; i < DOOR_TURN; i++) {
        lock(&in->mutex);
        struct pending *p = in->at_door;
        if (p)
            in->at_door = p->next;
        else
            in->door_busy = false;
        unlock(&in->mutex);
        if (!p)
            return false;
        door_pass(in, p);
    }
    return true;
}

static void *door_main(void *context)
{
    struct events *e = context;
    for (struct ingest *in; (in = queue_pop(e->to_door, -1)) != NULL;)
        if (door_turn(in))
            CHECK(queue_try_push(e->to_door, in, 0)); /* there is more: behind the other calls */
        else
            ingest_release(in);
    return NULL;
}

/* ---- the call ---- */

static void append(struct ingest *in, struct rpc_message *m)
{
    struct pending *p = mem_new(1, sizeof *p);
    p->ingest = in;
    p->message = m;
    p->bytes = rpc_message_bytes(m).size + sizeof *p;
    p->submission.context = p;
    p->submission.done = submission_done;
    *in->last = p;
    in->last = &p->next;
    in->in_flight++;
    in->bytes_in_flight += p->bytes;
    atomic_fetch_add(&in->events->bytes, p->bytes);
    if (!in->at_door)
        in->at_door = p;
    if (!in->door_busy) {
        in->door_busy = true;
        atomic_fetch_add(&in->references, 1);
        CHECK(queue_try_push(in->events->to_door, in, 0));
    }
}

static void message_came(void *state, struct rpc_message *m)
{
    static const struct tm_error done = {TM_OK, ""};
    struct ingest *in = state;
    lock(&in->mutex);
    in->reading = false;
    if (m && !in->ending) {
        append(in, m);
    } else {
        rpc_message_free(m);
        end_with(in, &done);
    }
    pump(in);
    unlock(&in->mutex);
}

static void call_closed(void *state) { ingest_release(state); }

static const struct rpc_stream callbacks = {
    .message = message_came, .sent = pump_call, .woken = pump_call, .closed = call_closed};

static void ingest(void *service, struct rpc_call *call, struct bytes request)
{
    struct tm_error err;
    struct ingest *in = ingest_add(service, call, &err);
    (void)request; /* empty: the client streams */
    if (!in) {
        rpc_fail(call, &err);
        return;
    }
    rpc_stream_begin(call, &callbacks, in);
    pump_call(in);
}

struct events *events_open(struct engine *engine, struct rpc *rpc)
{
    struct events *e = mem_new(1, sizeof *e);
    e->engine = engine;
    e->bytes_max = engine_options(engine)->memory_inbox;
    door_open(&e->door, engine);
    e->to_door = queue_open(INGEST_CALLS_MAX, 0);
    CHECK(pthread_mutex_init(&e->mutex, NULL) == 0);
    CHECK(thread_start(&e->thread, "door", door_main, e, NULL) == TM_OK);
    rpc_add(rpc, &(struct rpc_method){
                     .path = "/tidemill.v1.Events/Ingest", .client_streams = true, .start = ingest, .service = e});
    return e;
}

void events_cut(struct events *e)
{
    static const struct tm_error full = {TM_RESOURCE_EXHAUSTED,
                                         "the disk is full, and the log waits for room; open the call again later"};
    lock(&e->mutex);
    for (struct ingest *in = e->calls; in; in = in->next_call) {
        lock(&in->mutex);
        end_with(in, &full);
        rpc_finish(in->call, &full);
        unlock(&in->mutex);
    }
    unlock(&e->mutex);
}

void events_drain(struct events *e)
{
    lock(&e->mutex);
    e->draining = true;
    for (struct ingest *in = e->calls; in; in = in->next_call) {
        lock(&in->mutex);
        end_with(in, &leaving);
        pump(in);
        unlock(&in->mutex);
    }
    unlock(&e->mutex);
}

void events_close(struct events *e)
{
    queue_shut(e->to_door);
    CHECK(pthread_join(e->thread, NULL) == 0);
    CHECK(e->count == 0);
    queue_close(e->to_door);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

struct ingest_counts *events_counts(struct events *e) { return &e->counts; }

uint32_t events_calls(struct events *e)
{
    lock(&e->mutex);
    uint32_t count = e->count;
    unlock(&e->mutex);
    return count;
}

size_t events_bytes(struct events *e) { return atomic_load(&e->bytes); }
