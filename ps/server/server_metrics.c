#include "ps/server/server_metrics.h"

#include <stdio.h>

#include "ps/engine/metrics.h"
#include "ps/server/ingest_counts.h"

static uint64_t load(const _Atomic uint64_t *counter) { return atomic_load_explicit(counter, memory_order_relaxed); }

/* ---- ingest ---- */

static void ingest(struct events *e, struct metrics *m)
{
    static const char *const doors[] = {[INGEST_GRPC] = "grpc", [INGEST_HTTP] = "http", [INGEST_RANKING] = "ranking"};
    static const char *const fields[] = {
#define F(name) #name,
        DOOR_FIELDS(F)
#undef F
    };
    const struct ingest_counts *c = events_counts(e);
    metric_count(m, METRIC_INGEST_CALLS, events_calls(e), METRIC_PLAIN);
    metric_count(m, METRIC_INGEST_BYTES, events_bytes(e), METRIC_PLAIN);
    for (int i = 0; i < INGEST_DOORS; i++) {
        metric_count(m, METRIC_INGEST_BATCHES, load(&c->door[i].batches), METRIC_LABELS(doors[i]));
        metric_count(m, METRIC_INGEST_REPEATED, load(&c->door[i].repeated), METRIC_LABELS(doors[i]));
        metric_count(m, METRIC_INGEST_EVENTS, load(&c->door[i].events), METRIC_LABELS(doors[i]));
    }
    for (int i = 0; i < DOOR_FIELD_COUNT; i++)
        metric_count(m, METRIC_INGEST_REJECTED, load(&c->rejected[i]), METRIC_LABELS(fields[i]));
    for (enum tm_code code = TM_OK + 1; code < TM_CODE_COUNT; code++)
        if (load(&c->refused[code]))
            metric_count(m, METRIC_INGEST_REFUSED, load(&c->refused[code]), METRIC_LABELS(tm_code_name(code)));
}

/* ---- calls ---- */

/* As gRPC's own libraries write them, and dashboards expect them. */
static const char *const grpc_codes[RPC_STATUS_CODES] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

/* "/tidemill.v1.Events/Ingest"; "": methods that there are not. */
static void call_stats(void *context, const char *path, const struct rpc_stats *s)
{
    struct metrics *m = context;
    char service[128] = "unknown";
    const char *slash = strrchr(path, '/'), *method = slash ? slash + 1 : "unknown";
    if (slash)
        snprintf(service, sizeof service, "%.*s", (int)(slash - path) - 1, path + 1);
    metric_count(m, METRIC_GRPC_STARTED, load(&s->started), METRIC_LABELS(service, method));
    for (int i = 0; i < RPC_STATUS_CODES; i++)
        if (i == 0 || load(&s->handled[i]))
            metric_count(m, METRIC_GRPC_HANDLED, load(&s->handled[i]), METRIC_LABELS(service, method, grpc_codes[i]));
    metric_histogram(m, METRIC_GRPC_HANDLING, &s->handling, METRIC_LABELS(service, method));
}

static void request_stats(void *context, const char *path, const struct http_stats *s)
{
    struct metrics *m = context;
    for (unsigned i = 0; i < HTTP_STATUSES; i++) {
        char code[16];
        snprintf(code, sizeof code, "%u", http_status(i));
        if (load(&s->answered[i]))
            metric_count(m, METRIC_HTTP_REQUESTS, load(&s->answered[i]), METRIC_LABELS(path, code));
    }
    metric_histogram(m, METRIC_HTTP_SECONDS, &s->handling, METRIC_LABELS(path));
}

void server_metrics(const struct http_services *services, struct http *http, struct buffer *out)
{
    struct metrics m = {0};
    engine_metrics(services->engine, &m);
    ingest(services->events, &m);
    rpc_visit_stats(services->rpc, call_stats, &m);
    metric_count(&m, METRIC_PULL_PARKED, parameters_parked(services->parameters), METRIC_PLAIN);
    http_visit_stats(http, request_stats, &m);
    metric_count(&m, METRIC_HTTP_CONNECTIONS, http_connections(http), METRIC_PLAIN);
    metric_count(&m, METRIC_BUILD_INFO, 1, METRIC_LABELS(TIDEMILL_VERSION));
    metrics_text(&m, out);
    metrics_close(&m);
}
