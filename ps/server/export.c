#include "ps/server/export.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "proto/wire.h"

enum { STOP_POLL_MS = 100 };

/* Field numbers of ExportReply. */
enum {
    MODEL = 1,
    NAMES,
    AS_OF,
    WIDTH,
    DOCS,
    VALUES,
    POSITIVES,
    NEGATIVES,
    MEAN,
    SD,
    LOWER,
    UPPER,
    UPDATED_AT,
    REPRESENTATION
};

/* Columns of the reply under construction; docs are packed fields already. */
struct columns {
    struct buffer docs, values, positives, negatives, mean, sd, lower, upper, updated_at;
    uint32_t rows;
};

struct export
{
    struct engine *engine;
    const struct version *version;
    struct rpc_call *call;
    const atomic_bool *stop;
    struct columns columns; /* the operations thread's, as the next two */
    int64_t as_of;
    bool begun; /* a reply was sent */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t moved;
    bool closed;
    int references; /* the stream's and the run's */
};

static void lock(struct export *x) { CHECK(pthread_mutex_lock(&x->mutex) == 0); }
static void unlock(struct export *x) { CHECK(pthread_mutex_unlock(&x->mutex) == 0); }

static void columns_close(struct columns *c)
{
    struct buffer *const all[] = {&c->docs, &c->values, &c->positives, &c->negatives, &c->mean,
                                  &c->sd,   &c->lower,  &c->upper,     &c->updated_at};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buffer_close(all[i]);
    *c = (struct columns){0};
}

static void release(struct export *x)
{
    lock(x);
    bool last = --x->references == 0;
    unlock(x);
    if (!last)
        return;
    columns_close(&x->columns);
    pthread_cond_destroy(&x->moved);
    pthread_mutex_destroy(&x->mutex);
    rpc_release(x->call);
    free(x);
}

/* ---- the stream ---- */

static void reply_sent(void *state)
{
    struct export *x = state;
    lock(x);
    pthread_cond_signal(&x->moved);
    unlock(x);
}

static void call_closed(void *state)
{
    struct export *x = state;
    lock(x);
    x->closed = true;
    pthread_cond_signal(&x->moved);
    unlock(x);
    release(x);
}

static const struct rpc_stream callbacks = {.sent = reply_sent, .closed = call_closed};

struct export *export_begin(struct engine *engine, const struct version *v, struct rpc_call *call,
                            const atomic_bool *stop)
{
    struct export *x = mem_new(1, sizeof *x);
    *x = (struct export){
        .engine = engine, .version = v, .call = call, .stop = stop, .as_of = INT64_MIN, .references = 2};
    CHECK(pthread_mutex_init(&x->mutex, NULL) == 0);
    condition_open(&x->moved);
    rpc_hold(call);
    rpc_stream_begin(call, &callbacks, x);
    return x;
}

void export_refuse(struct export *x, const struct tm_error *why)
{
    rpc_finish(x->call, why);
    release(x);
}

/* ---- the run ---- */

/* Wait until another reply may be sent. */
static enum tm_code wait_for_room(struct export *x, struct tm_error *err)
{
    int64_t give_up = clock_deadline_ns(EXPORT_STALL_MS);
    enum tm_code rc = TM_OK;
    lock(x);
    while (rc == TM_OK && !x->closed && rpc_unsent(x->call) >= EXPORT_UNSENT) {
        condition_wait(&x->moved, &x->mutex, clock_deadline_ns(STOP_POLL_MS));
        if (clock_monotonic_ns() > give_up)
            rc = tm_error_set(err, TM_DEADLINE_EXCEEDED, "the reader took nothing for %d s; read faster, or ask again",
                              EXPORT_STALL_MS / 1000);
        if (atomic_load(x->stop))
            rc = tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down");
    }
    if (rc == TM_OK && x->closed) /* nobody will read this: it only stops the export */
        rc = tm_error_set(err, TM_UNAVAILABLE, "the reader is gone");
    unlock(x);
    return rc;
}

static void put_head(struct export *x, struct buffer *body)
{
    const struct version *v = x->version;
    struct value_name name;
    wire_put_bytes(body, MODEL, bytes_text(v->model->name));
    for (uint32_t i = 0; i < v->model->width(&v->config); i++) {
        v->model->value_name(&v->config, i, &name);
        wire_put_bytes(body, NAMES, bytes_text(name.text));
    }
    if (x->as_of != INT64_MIN)
        wire_put_integer(body, AS_OF, (uint64_t)x->as_of);
    const char *encoder = engine_version_encoder(x->engine, v); /* if it changes the export ends with an error */
    if (encoder)
        wire_put_bytes(body, REPRESENTATION, bytes_text(encoder));
}

static enum tm_code send_reply(struct export *x, struct tm_error *err)
{
    const struct columns *c = &x->columns;
    const struct buffer *const packed[] = {&c->values, &c->positives, &c->negatives, &c->mean,
                                           &c->sd,     &c->lower,     &c->upper,     &c->updated_at};
    struct buffer body = {0};
    enum tm_code rc = wait_for_room(x, err);
    if (rc != TM_OK)
        return rc;
    if (!x->begun)
        put_head(x, &body);
    x->begun = true;
    wire_put_integer(&body, WIDTH, x->version->model->width(&x->version->config));
    buffer_put(&body, c->docs.data, c->docs.size);
    for (uint32_t i = 0; i < ARRAY_LEN(packed); i++)
        wire_put_bytes(&body, VALUES + i, buffer_view(packed[i]));
    rpc_send(x->call, &body);
    columns_close(&x->columns);
    return TM_OK;
}

static enum tm_code visit_row(void *context, const struct export_row *row, struct tm_error *err)
{
    struct export *x = context;
    struct columns *c = &x->columns;
    const struct belief *b = &row->belief;
    wire_put_bytes(&c->docs, DOCS, row->doc);
    buffer_put(&c->values, row->values, x->version->model->width(&x->version->config) * sizeof(double));
    buffer_put_u64(&c->positives, b->positives);
    buffer_put_u64(&c->negatives, b->negatives);
    buffer_put_f64(&c->mean, b->mean);
    buffer_put_f64(&c->sd, sqrt(b->variance));
    buffer_put_f64(&c->lower, b->lower);
    buffer_put_f64(&c->upper, b->upper);
    buffer_put_i64(&c->updated_at, b->updated_at);
    return ++c->rows < EXPORT_ROWS ? TM_OK : send_reply(x, err);
}

void export_run(struct export *x)
{
    struct tm_error err = {0};
    enum tm_code rc = engine_export(x->engine, x->version, visit_row, x, &x->as_of, &err);
    if (rc == TM_OK && (x->columns.rows > 0 || !x->begun)) /* a version without documents still has its head */
        rc = send_reply(x, &err);
    rpc_finish(x->call, rc == TM_OK ? NULL : &err);
    release(x);
}
