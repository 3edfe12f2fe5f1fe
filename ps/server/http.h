/* ps/server/http.h - requests and answers: the only door to libmicrohttpd; http.c the server, http_request.c one
 * request, http_deadlines.c who is too slow.
 *
 * Shapes   a route's handle() gets a request whose body has come whole, and answers it once, now or later, from any
 *          thread, with http_reply, http_reply_message or http_fail. What is answered later holds up nobody: its
 *          connection sleeps meanwhile.
 * Errors   every refusal is JSON, {"code": "NOT_FOUND", "message": "..."}, with the words that gRPC would use and the
 *          status of the table in base/error.h; the server's own are 404, 405 (with Allow), 413, 415 and 429. Only what
 *          is no HTTP, or has headers of more than HTTP_HEADERS_MAX, is answered by libmicrohttpd itself.
 * Threads  HTTP_THREADS of libmicrohttpd's. handle() runs on the one of its connection and must not block: other
 *          connections wait behind it. Answers of type message are turned into JSON on that thread, too.
 * Memory   a request lives until it was answered and sent. Bodies handed over are empty afterwards.
 * Bounds   connections HTTP_CONNECTIONS_MAX (more wait in the system's queue), a body HTTP_BODY_MAX, all bodies
 *          HTTP_BODIES_MAX together, an idle connection HTTP_IDLE_S, a request that trickles in HTTP_HEADERS_S until
 *          its headers are there and HTTP_BODY_S for its body, an answer that is taken slowly HTTP_ANSWER_S.
 * Safety   POST demands Content-Type: application/json, which a page in a browser cannot send here without asking. */
#ifndef TIDEMILL_PS_SERVER_HTTP_H
#define TIDEMILL_PS_SERVER_HTTP_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/histogram.h"

enum {
    HTTP_THREADS = 4,
    HTTP_CONNECTIONS_MAX = 256,
    HTTP_HEADERS_MAX = 32 << 10, /* request line and headers, beside which a connection keeps nothing */
    HTTP_BODY_MAX = 4 << 20,
    HTTP_BODIES_MAX = 64 << 20,
    HTTP_IDLE_S = 15,
    HTTP_HEADERS_S = 20,
    HTTP_BODY_S = 60,
    HTTP_ANSWER_S = 60,
    HTTP_ROUTES_MAX = 16,
    HTTP_STATUSES = 15,
    HTTP_STOP_GRACE_MS = 1000,
};

struct http;
struct http_request;

struct http_route {
    const char *path;    /* "/v1/pull" */
    const char *methods; /* "GET" (which serves HEAD, too), "POST" or "GET, POST" */
    void (*handle)(void *service, struct http_request *r);
    void *service;
};

/* Bind HOST:PORT (port 0: any free one), add routes, start. TM_UNAVAILABLE: the address cannot be had, with the
 * system's reason. Signals should be blocked before http_start: its threads inherit the mask. */
enum tm_code http_open(const char *listen, struct http **out, struct tm_error *err);
void http_add(struct http *http, const struct http_route *route);
void http_start(struct http *http);
int http_port(const struct http *http);

/* Take no new requests, wait for the answers still due (they must come: whoever owes one has been told to hurry) and up
 * to HTTP_STOP_GRACE_MS for slow clients. Then no handler runs any more. Fine when never started. */
void http_stop(struct http *http);
void http_close(struct http *http); /* stopped; NULL is fine */

/* The request. Views live as long as it does. */
bool http_is_post(const struct http_request *r);
struct bytes http_body(const struct http_request *r);
const char *http_query(struct http_request *r, const char *name); /* decoded; "" without a value; NULL: not there */
/* Every parameter in order; stops at the first that visit() refuses. */
typedef enum tm_code http_visit(void *context, const char *name, struct bytes value, struct tm_error *err);
enum tm_code http_visit_query(struct http_request *r, http_visit *visit, void *context, struct tm_error *err);
/* Memory that must live as long as the request; once. */
struct bytes http_keep(struct http_request *r, struct buffer *b);

/* Exactly one of these, once. */
void http_reply(struct http_request *r, unsigned status, const char *content_type, struct buffer *body);
void http_reply_message(struct http_request *r, const ProtobufCMessageDescriptor *type, struct buffer *packed);
void http_fail(struct http_request *r, const struct tm_error *why);

/* For metrics. Any thread. */
struct http_stats {
    _Atomic uint64_t answered[HTTP_STATUSES]; /* by http_status() */
    struct histogram handling;                /* from the request's last byte to the answer's being ready */
};
unsigned http_status(unsigned index); /* 200, 400, ...; 0: whatever else */
/* Path by path; last, with path "other", those that there are not. */
void http_visit_stats(const struct http *http,
                      void (*visit)(void *context, const char *path, const struct http_stats *s), void *context);
uint32_t http_connections(struct http *http);

#endif
