#include "ps/server/samples.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "proto/wire.h"
#include "ps/server/sample_batch.h"
#include "ps/server/sample_request.h"

/* One call. `closed` is the service mutex's, the rest the thread's. */
struct stream {
    struct stream *next;
    struct samples *service;
    struct rpc_call *call;
    struct sample_request request;
    struct sample_reader *reader;
    struct sample_batch batch;
    uint64_t lost;
    int64_t sent_ns;    /* the newest reply */
    int64_t blocked_ns; /* since when the reader takes nothing; 0: it does */
    bool begun;         /* a reply was sent */
    bool finished;      /* the call has its status */
    bool closed;
};

struct samples {
    struct engine *engine;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t moved;
    struct stream *first; /* in turns */
    uint32_t count;
    bool moves; /* something has happened since the thread looked */
    bool draining, closing;
};

static void lock(struct samples *s) { CHECK(pthread_mutex_lock(&s->mutex) == 0); }
static void unlock(struct samples *s) { CHECK(pthread_mutex_unlock(&s->mutex) == 0); }

static void move(struct samples *s)
{
    s->moves = true;
    pthread_cond_signal(&s->moved);
}

/* ---- the call's thread ---- */

static void reply_sent(void *state)
{
    struct stream *x = state;
    lock(x->service);
    move(x->service);
    unlock(x->service);
}

/* The last callback: the stream's thread takes it down. */
static void call_closed(void *state)
{
    struct stream *x = state;
    struct samples *s = x->service;
    lock(s);
    x->closed = true;
    move(s);
    unlock(s);
}

static const struct rpc_stream callbacks = {.sent = reply_sent, .closed = call_closed};

static enum tm_code admit(struct samples *s, struct stream *x, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    lock(s);
    if (s->draining)
        rc = tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down");
    else if (s->count == SAMPLES_CALLS)
        rc = tm_error_set(err, TM_RESOURCE_EXHAUSTED, "samples are read by %d calls already; try again in a second",
                          SAMPLES_CALLS);
    if (rc == TM_OK) {
        rpc_hold(x->call);
        rpc_stream_begin(x->call, &callbacks, x);
        x->next = s->first;
        s->first = x;
        s->count++;
        move(s);
    }
    unlock(s);
    return rc;
}

static void stream_free(struct stream *x)
{
    sample_reader_close(x->reader);
    sample_batch_close(&x->batch);
    sample_request_close(&x->request);
    free(x);
}

static void start(struct samples *s, struct rpc_call *call, struct bytes wire,
                  enum tm_code (*read)(struct engine *e, struct bytes wire, struct sample_request *out,
                                       struct tm_error *err))
{
    struct stream *x = mem_new(1, sizeof *x);
    struct tm_error err;
    *x = (struct stream){.service = s, .call = call};
    enum tm_code rc = read(s->engine, wire, &x->request, &err);
    sample_batch_open(&x->batch, s->engine, x->request.features);
    if (rc == TM_OK)
        rc = admit(s, x, &err);
    if (rc != TM_OK) {
        stream_free(x);
        rpc_fail(call, &err);
    }
}

static void tail(void *service, struct rpc_call *call, struct bytes request)
{
    start(service, call, request, sample_request_tail);
}

static void export(void *service, struct rpc_call *call, struct bytes request)
{
    start(service, call, request, sample_request_export);
}

/* ---- the thread ---- */

static void take_sample(void *context, const struct engine_sample *s)
{
    struct stream *x = context;
    sample_batch_add(&x->batch, s);
}

static void send_batch(struct stream *x)
{
    enum { LOST = 28, DONE_BYTES, TOTAL_BYTES };
    struct buffer body = {0};
    sample_batch_pack(&x->batch, !x->begun, &body);
    if (x->lost)
        wire_put_integer(&body, LOST, x->lost);
    wire_put_integer(&body, DONE_BYTES, sample_reader_done(x->reader));
    wire_put_integer(&body, TOTAL_BYTES, sample_reader_total(x->reader));
    x->begun = true;
    x->lost = 0;
    x->sent_ns = clock_monotonic_ns();
    rpc_send(x->call, &body);
}

static void finish(struct stream *x, const struct tm_error *why)
{
    x->finished = true;
    rpc_finish(x->call, why);
}

/* May another reply be sent? A reader that never says so is given up. */
static bool has_room(struct stream *x)
{
    struct tm_error err;
    if (rpc_unsent(x->call) < SAMPLES_UNSENT) {
        x->blocked_ns = 0;
        return true;
    }
    if (x->blocked_ns == 0)
        x->blocked_ns = clock_monotonic_ns();
    if (clock_ms_since(x->blocked_ns) > SAMPLES_STALL_MS) {
        tm_error_set(&err, TM_DEADLINE_EXCEEDED, "the reader took nothing for %d s; read faster, or ask again",
                     SAMPLES_STALL_MS / 1000);
        finish(x, &err);
    }
    return false;
}

/* Samples, or what else the reader should know: the names, that some are lost, and once a second how far it is. */
static bool has_news(const struct stream *x, enum sample_progress progress)
{
    if (x->batch.rows > 0)
        return true;
    if (progress == SAMPLES_MORE)
        return x->begun && clock_ms_since(x->sent_ns) >= SAMPLES_PROGRESS_MS;
    return !x->begun || x->lost > 0;
}

/* One piece of one call. Returns whether it should have its next turn at once. */
static bool serve(struct stream *x)
{
    enum sample_progress progress = SAMPLES_MORE;
    struct tm_error err;
    enum tm_code rc = TM_OK;
    if (x->finished || !has_room(x))
        return false;
    if (!x->reader)
        rc = sample_reader_open(x->service->engine, &x->request.query, &x->reader, &err);
    for (int step = 0; rc == TM_OK && progress == SAMPLES_MORE && x->batch.rows == 0 && step < SAMPLES_TURN; step++)
        rc = sample_reader_step(x->reader, take_sample, x, &progress, &err);
    if (rc == TM_OK)
        x->lost += sample_reader_lost(x->reader);
    if (rc == TM_OK && has_news(x, progress))
        send_batch(x);
    if (rc != TM_OK || progress == SAMPLES_END)
        finish(x, rc == TM_OK ? NULL : &err);
    return rc == TM_OK && progress == SAMPLES_MORE;
}

/* Take those away whose calls are over. Under the mutex. */
static void sweep(struct samples *s)
{
    for (struct stream **at = &s->first; *at;) {
        struct stream *x = *at;
        if (!x->closed) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        s->count--;
        rpc_release(x->call);
        stream_free(x);
    }
}

static void refuse_all(struct samples *s)
{
    static const struct tm_error leaving = {TM_UNAVAILABLE, "the server is shutting down"};
    for (struct stream *x = s->first; x; x = x->next)
        finish(x, &leaving);
}

/* Nothing to do: until something happens, or, when anybody is there, until it is time to look again. */
static void rest(struct samples *s, bool busy)
{
    if (!busy && !s->moves && !s->closing)
        condition_wait(&s->moved, &s->mutex, s->count ? clock_deadline_ns(SAMPLES_POLL_MS) : INT64_MAX);
    s->moves = false;
}

static void *run(void *context)
{
    struct samples *s = context;
    bool busy = false;
    lock(s);
    for (;;) {
        rest(s, busy);
        sweep(s);
        if (s->closing && s->count == 0)
            break;
        if (s->draining)
            refuse_all(s);
        struct stream *first = s->draining ? NULL : s->first; /* new ones come in front, only we take any away */
        busy = false;
        unlock(s);
        for (struct stream *x = first; x; x = x->next)
            busy |= serve(x);
        lock(s);
    }
    unlock(s);
    return NULL;
}

/* ---- the service ---- */

struct samples *samples_open(struct engine *engine, struct rpc *rpc)
{
    struct samples *s = mem_new(1, sizeof *s);
    s->engine = engine;
    CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
    condition_open(&s->moved);
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/TailSamples", .start = tail, .service = s});
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/ExportSamples", .start = export, .service = s});
    CHECK(thread_start(&s->thread, "samples", run, s, NULL) == TM_OK);
    return s;
}

void samples_drain(struct samples *s)
{
    lock(s);
    s->draining = true;
    move(s);
    unlock(s);
}

void samples_close(struct samples *s)
{
    lock(s);
    s->closing = true;
    move(s);
    unlock(s);
    CHECK(pthread_join(s->thread, NULL) == 0);
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}
