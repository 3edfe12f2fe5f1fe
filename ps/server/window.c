#include "ps/server/window.h"

#include <stdlib.h>

#include "proto/wire.h"
#include "ps/server/door.h"
#include "tidemill/v1/samples.pb-c.h"

enum { REQUEST_MAX = 4096 };

/* Rows of the table, beside the configured window: bounds of the histogram, so that their shares are exact. */
static const int64_t choices[] = {0,        1000,     5000,     10000,     30000,     60000,    120000,
                                  300000,   600000,   1200000,  1800000,   3600000,   7200000,  14400000,
                                  21600000, 43200000, 86400000, 172800000, 259200000, 604800000};

struct window {
    struct engine *engine;
};

static void put_double(struct buffer *out, uint32_t number, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    wire_put_fixed64(out, number, bits);
}

/* ---- one stream ---- */

static void put_choice(const struct engine_window *w, const struct engine_stream_delays *s, int64_t window_ms,
                       bool configured, struct buffer *out)
{
    enum { WINDOWS = 6, WINDOW_MS = 1, CONFIGURED, AT_DECISION, CORRECTIONS, LATE, MEMORY_BYTES };
    CLEANUP(buffer_close) struct buffer one = {0};
    double matched = (double)delays_count(&s->delays), all = matched + (double)s->late;
    double first = delays_within(&s->delays, window_ms);
    double memory = w->impressions_per_second * (double)window_ms / 1e3 * w->bytes_per_undecided;
    wire_put_integer(&one, WINDOW_MS, (uint64_t)window_ms);
    wire_put_integer(&one, CONFIGURED, configured);
    put_double(&one, AT_DECISION, first / all);
    put_double(&one, CORRECTIONS, (matched - first) / all);
    put_double(&one, LATE, (double)s->late / all);
    if (w->impressions_per_second > 0 && w->bytes_per_undecided > 0)
        wire_put_integer(&one, MEMORY_BYTES, (uint64_t)memory);
    wire_put_bytes(out, WINDOWS, buffer_view(&one));
}

/* None longer than actions count: of what comes later there is nothing to tell. */
static void put_choices(const struct engine_window *w, const struct engine_stream_delays *s, int64_t within_ms,
                        int64_t configured_ms, struct buffer *out)
{
    bool told = false;
    for (size_t i = 0; i <= ARRAY_LEN(choices); i++) {
        int64_t next = i < ARRAY_LEN(choices) ? choices[i] : INT64_MAX;
        if (!told && configured_ms <= next) {
            put_choice(w, s, configured_ms, true, out);
            told = true;
        }
        if (next <= within_ms && next != configured_ms)
            put_choice(w, s, next, false, out);
    }
}

static void put_quantiles(const struct engine_stream_delays *s, struct buffer *out)
{
    enum { HALF_MS = 7, MOST_MS, NEARLY_ALL_MS };
    static const double shares[] = {0.5, 0.8, 0.999};
    for (uint32_t i = 0; i < ARRAY_LEN(shares); i++) {
        int64_t ms = delays_quantile(&s->delays, s->late, shares[i]);
        if (ms != DELAY_UNKNOWN)
            wire_put_integer(out, HALF_MS + i, (uint64_t)ms);
    }
}

static void put_buckets(const struct delays *d, struct buffer *out)
{
    enum { BUCKETS = 10, UP_TO_MS = 1, ACTIONS };
    for (unsigned i = 0; i < DELAY_BUCKETS; i++) {
        CLEANUP(buffer_close) struct buffer one = {0};
        if (d->bucket[i] == 0)
            continue;
        if (i != DELAY_LONGER)
            wire_put_integer(&one, UP_TO_MS, i == DELAY_BEFORE ? (uint64_t)-1 : (uint64_t)delay_bounds[i - 1]);
        wire_put_integer(&one, ACTIONS, d->bucket[i]);
        wire_put_bytes(out, BUCKETS, buffer_view(&one));
    }
}

static void put_stream(const struct catalog *schema, const struct engine_window *w, uint32_t stream, struct buffer *out)
{
    enum { STREAMS = 7, STREAM = 1, WITHIN_MS, ACTIONS, BEFORE, LATE };
    CLEANUP(buffer_close) struct buffer one = {0};
    const struct engine_stream_delays *s = &w->stream[stream];
    int64_t within_ms = schema->join.stream[stream].within_ms;
    wire_put_bytes(&one, STREAM, bytes_text(schema->stream_name[stream]));
    wire_put_integer(&one, WITHIN_MS, (uint64_t)within_ms);
    wire_put_integer(&one, ACTIONS, delays_count(&s->delays));
    wire_put_integer(&one, BEFORE, s->delays.bucket[DELAY_BEFORE]);
    wire_put_integer(&one, LATE, s->late);
    if (delays_count(&s->delays) + s->late > 0)
        put_choices(w, s, within_ms, schema->join.window_ms, &one);
    put_quantiles(s, &one);
    put_buckets(&s->delays, &one);
    wire_put_bytes(out, STREAMS, buffer_view(&one));
}

/* ---- the method ---- */

/* stream: its index, or -1 for all action streams. */
static void pack(const struct engine *e, const struct engine_window *w, int stream, struct buffer *out)
{
    enum {
        WINDOW_MS = 1,
        ALLOWED_LATENESS_MS,
        IMPRESSIONS_PER_SECOND,
        UNDECIDED,
        UNDECIDED_BYTES,
        BYTES_PER_UNDECIDED
    };
    const struct catalog *schema = engine_schema(e);
    wire_put_integer(out, WINDOW_MS, (uint64_t)schema->join.window_ms);
    wire_put_integer(out, ALLOWED_LATENESS_MS, (uint64_t)schema->join.allowed_lateness_ms);
    if (w->impressions_per_second > 0)
        put_double(out, IMPRESSIONS_PER_SECOND, w->impressions_per_second);
    wire_put_integer(out, UNDECIDED, w->undecided);
    wire_put_integer(out, UNDECIDED_BYTES, w->undecided_bytes);
    if (w->bytes_per_undecided > 0)
        put_double(out, BYTES_PER_UNDECIDED, w->bytes_per_undecided);
    for (uint32_t i = 0; i < schema->join.streams; i++)
        if (schema->join.stream[i].kind == JOINER_ACTION && (stream < 0 || (uint32_t)stream == i))
            put_stream(schema, w, i, out);
}

static enum tm_code find_stream(const struct engine *e, const char *name, int *stream, struct tm_error *err)
{
    const struct catalog *schema = engine_schema(e);
    char names[DOOR_NAMES_MAX];
    *stream = name ? engine_stream(e, bytes_text(name)) : -1;
    if (!name || (*stream >= 0 && schema->join.stream[*stream].kind == JOINER_ACTION))
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "stream: \"%.*s\"; expected an action stream: %s", CATALOG_NAME_MAX,
                        name, door_streams_of(e, JOINER_ACTION, names));
}

static void sample_window(void *service, struct rpc_call *call, struct bytes request)
{
    struct window *s = service;
    struct tm_error err;
    int stream = -1;
    Tidemill__V1__SampleWindowRequest *m =
        (void *)wire_unpack(&tidemill__v1__sample_window_request__descriptor, request, REQUEST_MAX, &err);
    enum tm_code rc = m ? find_stream(s->engine, m->stream, &stream, &err) : err.code;
    wire_free(m ? &m->base : NULL);
    if (rc != TM_OK) {
        rpc_fail(call, &err);
        return;
    }
    struct buffer body = {0};
    struct engine_window w;
    engine_window(s->engine, &w);
    pack(s->engine, &w, stream, &body);
    engine_window_close(&w);
    rpc_reply(call, &body);
}

struct window *window_open(struct engine *engine, struct rpc *rpc)
{
    struct window *w = mem_new(1, sizeof *w);
    w->engine = engine;
    rpc_add(rpc, &(struct rpc_method){.path = "/tidemill.v1.Admin/SampleWindow", .start = sample_window, .service = w});
    return w;
}

void window_close(struct window *w) { free(w); }
