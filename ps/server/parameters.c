#include "ps/server/parameters.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "proto/event.h"
#include "proto/wire.h"
#include "ps/server/door.h"
#include "ps/server/version_message.h"
#include "tidemill/v1/parameters.pb-c.h"

enum {
    PULL_VALUES_MAX = 4 << 20, /* of one reply: 32 MiB */
    WAIT_SLICE_MS = 5,         /* how late a deadline, a cancellation or an earlier position may be noticed */
    ANSWER_EARLY_MS = 50,
};

/* A scanned PullRequest: views into the request, which lives as long as the call. */
struct request {
    struct bytes version;
    struct bytes *docs; /* owned */
    size_t count;
    uint64_t at_least;
    bool statistics;
};

struct parked {
    struct pull_caller caller;
    struct request request;
    const struct version *version;
    int64_t began_ns, deadline_ns;
};

struct parameters {
    struct engine *engine;
    pthread_t waiter;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t came;
    struct parked parked[PULL_PARKED_MAX];
    uint32_t count;
    bool draining, closing;
};

static void lock(struct parameters *p) { CHECK(pthread_mutex_lock(&p->mutex) == 0); }
static void unlock(struct parameters *p) { CHECK(pthread_mutex_unlock(&p->mutex) == 0); }

/* ---- the request ---- */

static enum tm_code add_doc(struct request *q, struct bytes doc, struct tm_error *err)
{
    if (q->count == ENGINE_PULL_DOCS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "docs: more than %d; split the call", ENGINE_PULL_DOCS_MAX);
    if (doc.size < 1 || doc.size > EVENT_ID_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "docs[%zu]: %zu bytes; expected 1 to %d", q->count, doc.size,
                            EVENT_ID_MAX);
    q->docs[q->count++] = doc;
    return TM_OK;
}

static enum tm_code take_field(struct request *q, const struct wire_field *f, struct tm_error *err)
{
    static const struct {
        const char *name;
        enum wire_type type;
    } fields[] = {[1] = {"version", WIRE_BYTES},
                  [2] = {"docs", WIRE_BYTES},
                  [3] = {"at_least", WIRE_VARINT},
                  [4] = {"statistics", WIRE_VARINT}};
    if (f->number >= ARRAY_LEN(fields))
        return TM_OK;
    if (f->type != fields[f->number].type)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: wire type %d; expected %d", fields[f->number].name,
                            (int)f->type, (int)fields[f->number].type);
    switch (f->number) {
    case 1: q->version = f->bytes; return TM_OK;
    case 2: return add_doc(q, f->bytes, err);
    case 3: q->at_least = f->integer; return TM_OK;
    default: q->statistics = f->integer != 0; return TM_OK;
    }
}

/* What nearly every field of a request is: a document of less than 128 bytes. False: something else, left alone. */
static bool take_doc(struct reader *r, struct bytes *doc)
{
    enum { TAG = 2 << 3 | WIRE_BYTES };
    const uint8_t *p = r->at;
    if (reader_left(r) < 2 || p[0] != TAG || p[1] >= 0x80 || p[1] > reader_left(r) - 2)
        return false;
    *doc = bytes_of(p + 2, p[1]);
    r->at += 2 + p[1];
    return true;
}

/* On TM_OK the caller frees q->docs. */
static enum tm_code request_scan(struct bytes wire, struct request *q, struct tm_error *err)
{
    enum { DOC_BYTES_MIN = 3 }; /* tag, length, one byte */
    struct reader r = reader_of(wire);
    struct wire_field f;
    enum tm_code rc = TM_OK;
    size_t most = wire.size / DOC_BYTES_MIN + 1;
    *q = (struct request){0};
    q->docs = mem_grow(NULL, most < ENGINE_PULL_DOCS_MAX ? most : ENGINE_PULL_DOCS_MAX, sizeof *q->docs);
    while (rc == TM_OK)
        if (take_doc(&r, &f.bytes))
            rc = add_doc(q, f.bytes, err);
        else if (wire_next(&r, &f))
            rc = take_field(q, &f, err);
        else
            break;
    if (r.bad)
        rc = wire_malformed(&r, wire, err);
    if (rc != TM_OK)
        free(q->docs);
    return rc;
}

/* ---- the reply ---- */

/* Arrays of one Pull in one piece of memory, the 8-byte ones first. */
static void *pull_arrays(struct pull *p, bool statistics)
{
    size_t n = p->count, width = p->version->model->width(&p->version->config);
    size_t doc_bytes = (width + (statistics ? 4 : 0) + 2) * sizeof(double) + 2;
    void *memory = mem_grow(NULL, n + 1, doc_bytes);
    double *at = memory;
    p->values = at;
    at += n * width;
    if (statistics) {
        p->mean = at;
        p->sd = at + n;
        p->lower = at + 2 * n;
        p->upper = at + 3 * n;
        at += 4 * n;
    }
    p->updated_at = (int64_t *)(void *)at;
    p->n = (uint64_t *)(void *)(at + n);
    p->known = (uint8_t *)(at + 2 * n);
    p->source = p->known + n;
    return memory;
}

static void put_array(struct buffer *b, uint32_t number, const void *data, size_t size)
{
    if (data)
        wire_put_bytes(b, number, bytes_of(data, size));
}

static void put_text(struct buffer *b, uint32_t number, const char *text)
{
    if (text)
        wire_put_bytes(b, number, bytes_text(text));
}

/* NULL: the parameters move. */
static const char *stale_reason(const struct engine *e, const struct version *v)
{
    enum version_state state = engine_version_state(e, v);
    return state == VERSION_LEARNING ? NULL : version_state_name(state);
}

/* NULL: any. */
static const char *representation(const struct pull *p)
{
    const char *named = p->version->representation;
    return p->encoder ? p->encoder : named[0] ? named : NULL;
}

static void reply_pack(const struct engine *e, const struct pull *p, struct buffer *b)
{
    const struct model *model = p->version->model;
    uint32_t width = model->width(&p->version->config);
    size_t n = p->count, eight = n * sizeof(double);
    struct value_name name;
    buffer_reserve(b, n * (width + 6) * sizeof(double) + 2 * n + 1024);
    wire_put_bytes(b, 1, bytes_text(p->version->name));
    wire_put_bytes(b, 2, bytes_text(engine_generation(e)));
    if (p->as_of != INT64_MIN)
        wire_put_integer(b, 3, (uint64_t)p->as_of);
    wire_put_integer(b, 4, p->position);
    wire_put_integer(b, 5, p->durable_position);
    wire_put_bytes(b, 6, bytes_text(model->name));
    wire_put_integer(b, 7, width);
    for (uint32_t i = 0; i < width; i++) {
        model->value_name(&p->version->config, i, &name);
        wire_put_bytes(b, 8, bytes_text(name.text));
    }
    put_array(b, 9, p->values, eight * width);
    put_array(b, 10, p->known, n);
    put_array(b, 11, p->updated_at, eight);
    put_array(b, 12, p->n, eight);
    put_array(b, 13, p->source, n);
    put_array(b, 14, p->mean, eight);
    put_array(b, 15, p->sd, eight);
    put_array(b, 16, p->lower, eight);
    put_array(b, 17, p->upper, eight);
    put_text(b, 18, stale_reason(e, p->version));
    put_text(b, 19, representation(p));
}

static void answer(struct engine *e, const struct pull_caller *caller, const struct version *v, const struct request *q)
{
    struct pull p = {.version = v, .docs = q->docs, .count = q->count};
    struct buffer body = {0};
    void *arrays = pull_arrays(&p, q->statistics);
    engine_pull(e, &p);
    reply_pack(e, &p, &body);
    free(arrays);
    caller->reply(caller->call, &body);
}

/* ---- parked calls ---- */

static enum tm_code park(struct parameters *p, const struct parked *call, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    lock(p);
    if (p->draining)
        rc = tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down");
    else if (p->count == PULL_PARKED_MAX)
        rc = tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%d calls wait for their position already; try again in a second",
                          PULL_PARKED_MAX);
    else {
        if (call->caller.watch)
            call->caller.watch(call->caller.call);
        p->parked[p->count++] = *call;
        pthread_cond_signal(&p->came);
    }
    unlock(p);
    return rc;
}

static bool is_gone(const struct pull_caller *caller) { return caller->gone && caller->gone(caller->call); }

/* What a parked call gets now; TM_OK with *ready false: it waits on. */
static enum tm_code look(const struct parked *c, uint64_t applied, bool draining, bool *ready, struct tm_error *err)
{
    int64_t now = clock_monotonic_ns();
    *ready = c->request.at_least <= applied;
    if (*ready)
        return TM_OK;
    if (draining)
        return tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down");
    if (now >= c->deadline_ns || is_gone(&c->caller))
        return tm_error_set(err, TM_DEADLINE_EXCEEDED,
                            "at_least: position %" PRIu64 " not applied within %.1f s; applied is %" PRIu64,
                            c->request.at_least, (double)(now - c->began_ns) / 1e9, applied);
    return TM_OK;
}

static void answer_parked(struct parameters *p, struct parked *c, const struct tm_error *why)
{
    if (why)
        c->caller.fail(c->caller.call, why);
    else
        answer(p->engine, &c->caller, c->version, &c->request);
    free(c->request.docs);
}

/* Answer every parked call whose time has come. False: nobody waits any more; else *smallest is waited for. */
static bool sweep(struct parameters *p, uint64_t *smallest)
{
    uint64_t applied = engine_applied(p->engine);
    *smallest = UINT64_MAX;
    lock(p);
    for (uint32_t i = 0; i < p->count;) {
        struct parked c = p->parked[i];
        struct tm_error err;
        bool ready;
        enum tm_code rc = look(&c, applied, p->draining, &ready, &err);
        if (!ready && rc == TM_OK) {
            *smallest = c.request.at_least < *smallest ? c.request.at_least : *smallest;
            i++;
            continue;
        }
        p->parked[i] = p->parked[--p->count];
        unlock(p);
        answer_parked(p, &c, ready ? NULL : &err);
        lock(p);
    }
    bool waiting = p->count > 0;
    unlock(p);
    return waiting;
}

static void *waiter_main(void *context)
{
    struct parameters *p = context;
    for (;;) {
        lock(p);
        while (p->count == 0 && !p->closing)
            pthread_cond_wait(&p->came, &p->mutex);
        bool end = p->count == 0;
        unlock(p);
        if (end)
            return NULL;
        uint64_t smallest;
        if (sweep(p, &smallest))
            engine_wait_applied(p->engine, smallest, WAIT_SLICE_MS);
    }
}

/* ---- the method ---- */

static enum tm_code check_size(const struct request *q, const struct version *v, struct tm_error *err)
{
    uint32_t width = v->model->width(&v->config);
    if (q->count <= PULL_VALUES_MAX / width)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "docs: %zu of %u values each; expected at most %d of version %s, split the call", q->count,
                        width, PULL_VALUES_MAX / width, v->name);
}

static enum tm_code pull_start(struct parameters *p, const struct pull_caller *caller, struct request *q,
                               struct tm_error *err)
{
    const struct version *v;
    enum tm_code rc = door_version(p->engine, q->version, &v, err);
    if (rc == TM_OK)
        rc = check_size(q, v, err);
    if (rc != TM_OK)
        return rc;
    if (q->at_least <= engine_applied(p->engine)) {
        answer(p->engine, caller, v, q);
        free(q->docs);
        return TM_OK;
    }
    int64_t left = caller->time_left_ms(caller->call), now = clock_monotonic_ns();
    struct parked parked = {.caller = *caller, .request = *q, .version = v, .began_ns = now};
    if (left == INT64_MAX)
        left = PULL_WAIT_MS;
    else if (left > PULL_WAIT_MAX_MS)
        left = PULL_WAIT_MAX_MS;
    /* Before the caller's own clock cuts it off: the answer says why, the caller could not. */
    left -= left / 10 < ANSWER_EARLY_MS ? left / 10 : ANSWER_EARLY_MS;
    parked.deadline_ns = now + left * NS_PER_MS;
    return park(p, &parked, err);
}

void parameters_pull(struct parameters *p, const struct pull_caller *caller, struct bytes request)
{
    struct request q;
    struct tm_error err;
    enum tm_code rc = request_scan(request, &q, &err);
    if (rc == TM_OK) {
        rc = pull_start(p, caller, &q, &err);
        if (rc != TM_OK)
            free(q.docs);
    }
    if (rc != TM_OK)
        caller->fail(caller->call, &err);
}

uint32_t parameters_parked(struct parameters *p)
{
    lock(p);
    uint32_t count = p->count;
    unlock(p);
    return count;
}

static void call_reply(void *call, struct buffer *body) { rpc_reply(call, body); }
static void call_fail(void *call, const struct tm_error *why) { rpc_fail(call, why); }
static void call_watch(void *call) { rpc_watch(call); }
static bool call_gone(void *call) { return rpc_cancelled(call); }
static int64_t call_time_left_ms(void *call) { return rpc_time_left_ms(call); }

static void pull(void *service, struct rpc_call *call, struct bytes request)
{
    struct pull_caller caller = {.call = call,
                                 .reply = call_reply,
                                 .fail = call_fail,
                                 .watch = call_watch,
                                 .gone = call_gone,
                                 .time_left_ms = call_time_left_ms};
    parameters_pull(service, &caller, request);
}

struct parameters *parameters_open(struct engine *engine, struct rpc *rpc)
{
    struct parameters *p = mem_new(1, sizeof *p);
    p->engine = engine;
    CHECK(pthread_mutex_init(&p->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&p->came, NULL) == 0);
    CHECK(thread_start(&p->waiter, "pull-waiter", waiter_main, p, NULL) == TM_OK);
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Parameters/Pull", .start = pull, .service = p});
    return p;
}

void parameters_drain(struct parameters *p)
{
    lock(p);
    p->draining = true;
    unlock(p);
}

void parameters_close(struct parameters *p)
{
    lock(p);
    p->closing = true;
    pthread_cond_signal(&p->came);
    unlock(p);
    CHECK(pthread_join(p->waiter, NULL) == 0);
    pthread_cond_destroy(&p->came);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}
