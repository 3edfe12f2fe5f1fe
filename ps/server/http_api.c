#include "ps/server/http_api.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ps/engine/metrics.h"
#include "ps/engine/readiness.h"
#include "ps/server/http_ingest.h"
#include "ps/server/http_pull.h"
#include "ps/server/http_ranking.h"
#include "ps/server/server_metrics.h"
#include "ps/server/status.h"
#include "tidemill/v1/admin.pb-c.h"

struct http_api {
    struct http *http;
    struct http_services services;
    struct http_ingest *ingest;
    atomic_bool serving, draining; /* serving: services and ingest are there */
};

/* The handlers below this line run only when everything is there. */
static bool is_serving(struct http_api *a, struct http_request *r)
{
    static const struct tm_error starting = {TM_UNAVAILABLE, "the server is starting; /readyz tells when it is ready"};
    if (atomic_load_explicit(&a->serving, memory_order_acquire))
        return true;
    http_fail(r, &starting);
    return false;
}

static void reply_text(struct http_request *r, unsigned status, struct buffer *body)
{
    http_reply(r, status, "text/plain; charset=utf-8", body);
}

/* ---- health ---- */

static void healthz(void *service, struct http_request *r)
{
    struct buffer body = {0};
    (void)service;
    buffer_print(&body, "ok\n");
    reply_text(r, 200, &body);
}

/* Returns whether all checks are well; writes those that are not, or all. */
static bool write_checks(struct http_api *a, bool verbose, struct buffer *out)
{
    struct ready_check checks[READY_CHECKS];
    if (!atomic_load_explicit(&a->serving, memory_order_acquire)) {
        buffer_print(out, "[-] recovered: the server reads its state and its log\n");
        return false;
    }
    bool ready = engine_ready(a->services.engine, checks);
    for (size_t i = 0; i < READY_CHECKS; i++)
        if (verbose || !checks[i].ok)
            buffer_print(out, "[%c] %s: %s\n", checks[i].ok ? '+' : '-', checks[i].name, checks[i].reason);
    if (!atomic_load(&a->draining))
        return ready;
    buffer_print(out, "[-] serving: the server is shutting down\n");
    return false;
}

static void readyz(void *service, struct http_request *r)
{
    struct buffer body = {0};
    bool ready = write_checks(service, http_query(r, "verbose") != NULL, &body);
    buffer_print(&body, ready ? "ready\n" : "not ready\n");
    reply_text(r, ready ? 200 : 503, &body);
}

static void version(void *service, struct http_request *r)
{
    struct http_api *a = service;
    struct buffer body = {0};
    buffer_print(&body, "{\"version\": \"" TIDEMILL_VERSION "\"");
    if (atomic_load_explicit(&a->serving, memory_order_acquire))
        buffer_print(&body, ", \"generation\": \"%s\"", engine_generation(a->services.engine));
    buffer_print(&body, "}\n");
    http_reply(r, 200, "application/json", &body);
}

/* ---- what is inside ---- */

static void metrics(void *service, struct http_request *r)
{
    struct http_api *a = service;
    struct buffer body = {0};
    if (!is_serving(a, r))
        return;
    server_metrics(&a->services, a->http, &body);
    http_reply(r, 200, METRICS_CONTENT_TYPE, &body);
}

static void status(void *service, struct http_request *r)
{
    struct http_api *a = service;
    struct buffer body = {0};
    if (!is_serving(a, r))
        return;
    status_pack(a->services.engine, &body);
    http_reply_message(r, &tidemill__v1__status_reply__descriptor, &body);
}

static void pull(void *service, struct http_request *r)
{
    struct http_api *a = service;
    if (is_serving(a, r))
        http_pull(a->services.parameters, r);
}

static void ingest(void *service, struct http_request *r)
{
    struct http_api *a = service;
    if (is_serving(a, r))
        http_ingest(a->ingest, r);
}

static void rank(void *service, struct http_request *r)
{
    struct http_api *a = service;
    if (is_serving(a, r))
        http_rank(a->services.ranking, r);
}

static void reward(void *service, struct http_request *r)
{
    struct http_api *a = service;
    if (is_serving(a, r))
        http_reward(a->services.ranking, r);
}

/* ---- life ---- */

struct http_api *http_api_open(struct http *http)
{
    static const struct {
        const char *path, *methods;
        void (*handle)(void *service, struct http_request *r);
    } routes[] = {{"/healthz", "GET", healthz},   {"/readyz", "GET", readyz},    {"/version", "GET", version},
                  {"/metrics", "GET", metrics},   {"/v1/status", "GET", status}, {"/v1/pull", "GET, POST", pull},
                  {"/v1/ingest", "POST", ingest}, {"/v1/rank", "POST", rank},    {"/v1/reward", "POST", reward}};
    struct http_api *a = mem_new(1, sizeof *a);
    a->http = http;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        http_add(http, &(struct http_route){routes[i].path, routes[i].methods, routes[i].handle, a});
    return a;
}

void http_api_serve(struct http_api *a, const struct http_services *services)
{
    a->services = *services;
    a->ingest = http_ingest_open(services->engine, events_counts(services->events));
    atomic_store_explicit(&a->serving, true, memory_order_release);
}

void http_api_drain(struct http_api *a)
{
    atomic_store(&a->draining, true);
    if (a->ingest)
        http_ingest_drain(a->ingest);
}

void http_api_close(struct http_api *a)
{
    if (!a)
        return;
    http_ingest_close(a->ingest);
    free(a);
}
