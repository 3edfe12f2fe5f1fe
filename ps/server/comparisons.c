#include "ps/server/comparisons.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proto/wire.h"
#include "ps/server/comparison_message.h"
#include "ps/server/door.h"
#include "ps/server/operations.h"
#include "tidemill/v1/comparisons.pb-c.h"

enum { REQUEST_MAX = 4096 };

struct comparisons {
    struct engine *engine;
    struct operations *operations;
};

/* One call. It lives until its stream is closed and its run has ended. */
struct compared_call {
    struct comparisons *service;
    struct rpc_call *call;
    struct comparison_query query;
    int64_t told_ns; /* when progress was sent */
    atomic_bool closed;
    atomic_int references;
};

/* What waits: the queue frees it. */
struct waiting {
    struct compared_call *call;
};

/* ---- the request ---- */

static enum tm_code read_times(const Tidemill__V1__CompareVersionsRequest *m, struct comparison_query *out,
                               struct tm_error *err)
{
    out->since = m->has_decided_since ? m->decided_since : INT64_MIN;
    out->until = m->has_decided_until ? m->decided_until : INT64_MAX;
    if (out->since >= out->until)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "decided_until: %lld; expected a time behind decided_since, %lld",
                            (long long)out->until, (long long)out->since);
    return TM_OK;
}

static enum tm_code read_candidates(const char *word, struct comparison_query *out, struct tm_error *err)
{
    if (!word)
        out->candidates = REQUEST_EITHER;
    else if (strcmp(word, "together") == 0)
        out->candidates = REQUEST_TOGETHER;
    else if (strcmp(word, "any") == 0)
        out->candidates = REQUEST_ANY;
    else
        return tm_error_set(err, TM_INVALID_ARGUMENT, "candidates: \"%.40s\"; expected together or any", word);
    return TM_OK;
}

static enum tm_code read_reward(const struct engine *e, const char *text, struct comparison_query *out,
                                struct tm_error *err)
{
    const struct reward *a = &out->version[0]->reward, *b = &out->version[1]->reward;
    if (text) {
        enum tm_code rc = catalog_compile_reward(engine_schema(e), bytes_text(text), &out->reward, err);
        return rc == TM_OK ? TM_OK : tm_error_wrap(err, "reward");
    }
    if (strcmp(a->text, b->text) != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "reward: the versions have different ones, \"%s\" and \"%s\"; say which one to compare",
                            a->text, b->text);
    out->reward = *a;
    return TM_OK;
}

static enum tm_code read_request(struct engine *e, struct bytes wire, struct comparison_query *out,
                                 struct tm_error *err)
{
    Tidemill__V1__CompareVersionsRequest *m =
        (void *)wire_unpack(&tidemill__v1__compare_versions_request__descriptor, wire, REQUEST_MAX, err);
    if (!m)
        return err->code;
    enum tm_code rc = door_version(e, bytes_text(m->a ? m->a : ""), &out->version[0], err);
    if (rc == TM_OK)
        rc = door_version(e, bytes_text(m->b ? m->b : ""), &out->version[1], err);
    if (rc == TM_OK && out->version[0]->id == out->version[1]->id)
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "b: \"%s\"; expected another version than a", m->b);
    if (rc == TM_OK)
        rc = read_times(m, out, err);
    if (rc == TM_OK)
        rc = read_candidates(m->candidates, out, err);
    if (rc == TM_OK)
        rc = read_reward(e, m->reward, out, err);
    wire_free(&m->base);
    return rc;
}

/* ---- the stream ---- */

static void release(struct compared_call *x)
{
    if (atomic_fetch_sub(&x->references, 1) > 1)
        return;
    rpc_release(x->call);
    free(x);
}

static void reply_sent(void *state) { (void)state; } /* what does not go out is left out */

static void call_closed(void *state)
{
    struct compared_call *x = state;
    atomic_store(&x->closed, true);
    release(x);
}

static const struct rpc_stream callbacks = {.sent = reply_sent, .closed = call_closed};

/* ---- the run ---- */

static void put_progress(const struct comparison *c, struct buffer *out)
{
    enum { DONE_BYTES = 1, TOTAL_BYTES };
    wire_put_integer(out, DONE_BYTES, comparison_done(c));
    wire_put_integer(out, TOTAL_BYTES, comparison_total(c));
}

static void tell_progress(struct compared_call *x, const struct comparison *c)
{
    struct buffer body = {0};
    if (clock_ms_since(x->told_ns) < COMPARISONS_PROGRESS_MS || rpc_unsent(x->call) > 0)
        return;
    x->told_ns = clock_monotonic_ns();
    put_progress(c, &body);
    rpc_send(x->call, &body);
}

static enum tm_code read_all(struct compared_call *x, struct comparison *c, struct tm_error *err)
{
    const atomic_bool *leaving = operations_draining(x->service->operations);
    bool end = false;
    enum tm_code rc = TM_OK;
    while (rc == TM_OK && !end) {
        if (atomic_load(leaving))
            return tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down");
        if (atomic_load(&x->closed))
            return tm_error_set(err, TM_DEADLINE_EXCEEDED, "nobody waits for it any more");
        rc = comparison_step(c, &end, err);
        tell_progress(x, c);
    }
    return rc;
}

static enum tm_code compare(struct compared_call *x, struct tm_error *err)
{
    struct comparison *c = NULL;
    struct comparison_result result;
    struct buffer body = {0};
    enum tm_code rc = comparison_open(x->service->engine, &x->query, &c, err);
    if (rc == TM_OK)
        rc = read_all(x, c, err);
    if (rc == TM_OK)
        rc = comparison_result(c, &result, err);
    if (rc == TM_OK) {
        put_progress(c, &body);
        comparison_message_pack(&x->query, &result, &body);
        rpc_send(x->call, &body);
    }
    comparison_close(c);
    return rc;
}

static void run(void *request, struct rpc_call *call)
{
    struct compared_call *x = ((struct waiting *)request)->call;
    struct tm_error err;
    (void)call;
    x->told_ns = clock_monotonic_ns();
    rpc_finish(x->call, compare(x, &err) == TM_OK ? NULL : &err);
    release(x);
}

static void refuse(void *request, struct rpc_call *call, const struct tm_error *why)
{
    struct compared_call *x = ((struct waiting *)request)->call;
    (void)call;
    rpc_finish(x->call, why);
    release(x);
}

static void start(void *service, struct rpc_call *call, struct bytes request)
{
    struct comparisons *s = service;
    struct comparison_query query;
    struct tm_error err;
    if (read_request(s->engine, request, &query, &err) != TM_OK) {
        rpc_fail(call, &err);
        return;
    }
    struct compared_call *x = mem_new(1, sizeof *x);
    *x = (struct compared_call){.service = s, .call = call, .query = query, .references = 2};
    struct waiting *w = mem_new(1, sizeof *w);
    w->call = x;
    rpc_hold(call);
    rpc_stream_begin(call, &callbacks, x);
    operations_later(s->operations, &(struct operation){call, w, run, refuse});
}

/* ---- the service ---- */

struct comparisons *comparisons_open(struct engine *engine, struct rpc *rpc)
{
    struct comparisons *s = mem_new(1, sizeof *s);
    s->engine = engine;
    s->operations = operations_open("compare");
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/CompareVersions", .start = start, .service = s});
    return s;
}

void comparisons_drain(struct comparisons *s) { operations_drain(s->operations); }

void comparisons_close(struct comparisons *s)
{
    operations_close(s->operations);
    free(s);
}
