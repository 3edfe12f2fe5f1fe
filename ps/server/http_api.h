/* ps/server/http_api.h - what HTTP answers: health and metrics for machines, the JSON mirror of gRPC for curl.
 *
 *   GET /healthz /readyz[?verbose] /version /metrics
 *   GET, POST /v1/pull     POST /v1/ingest /v1/rank /v1/reward     GET /v1/status
 *
 * Life     open adds the routes; from http_start() on /healthz and /version answer, and /readyz says what is missing.
 *          After serve() all do. drain() says not ready first and refuses what would wait; then whatever waits is
 *          answered by those it waits for, so http_stop() returns. close() after that.
 * Threads  any; handlers run on http's. */
#ifndef TIDEMILL_PS_SERVER_HTTP_API_H
#define TIDEMILL_PS_SERVER_HTTP_API_H

#include "ps/server/events.h"
#include "ps/server/http.h"
#include "ps/server/parameters.h"
#include "ps/server/ranking.h"

struct http_api;

/* Everything behind the door; copied, and must live until http_stop() returned. */
struct http_services {
    struct engine *engine;
    struct rpc *rpc;
    struct events *events;
    struct parameters *parameters;
    struct ranking *ranking;
};

struct http_api *http_api_open(struct http *http);
void http_api_serve(struct http_api *a, const struct http_services *services);
void http_api_drain(struct http_api *a);
void http_api_close(struct http_api *a);

#endif
