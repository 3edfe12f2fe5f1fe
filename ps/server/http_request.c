#include "ps/server/http_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "proto/json.h"
#include "proto/wire.h"

enum { RETRY_S = 1 };

static_assert(HTTP_BODY_MAX == 4 << 20 && HTTP_BODIES_MAX == 64 << 20, "refusals name these numbers");

static const unsigned statuses[HTTP_STATUSES] = {0,   200, 400, 401, 403, 404, 405, 409,
                                                 413, 415, 429, 500, 501, 503, 504};

/* Who gets to know first that a request is answered and its connection sleeps wakes it up. */
enum { RUNNING, ASLEEP, ANSWERED };

struct http_request {
    struct http *http;
    struct MHD_Connection *connection;
    struct route *route;
    struct buffer body, kept;
    size_t received; /* bytes of the body, kept or not */
    bool post, dispatched;
    int64_t began_ns, complete_ns;
    struct tm_error refusal; /* of a body that is not kept; code TM_OK: none */
    unsigned refusal_status;
    atomic_int state;

    /* The answer. */
    unsigned status;
    const char *content_type;
    const ProtobufCMessageDescriptor *message; /* answer is packed, and goes out as JSON; NULL: as it is */
    struct buffer answer;
    const char *allow; /* NULL: every method that was tried is */
};

/* ---- answers ---- */

static void answered(struct http_request *r)
{
    if (atomic_exchange(&r->state, ANSWERED) != ASLEEP)
        return;
    struct http *http = r->http; /* once it is awake, r may be gone at any time */
    MHD_resume_connection(r->connection);
    atomic_fetch_sub(&http->asleep, 1);
}

void http_reply(struct http_request *r, unsigned status, const char *content_type, struct buffer *body)
{
    r->status = status;
    r->content_type = content_type;
    r->answer = *body;
    *body = (struct buffer){0};
    answered(r);
}

void http_reply_message(struct http_request *r, const ProtobufCMessageDescriptor *type, struct buffer *packed)
{
    r->message = type;
    http_reply(r, MHD_HTTP_OK, "application/json", packed);
}

static void fail_with(struct http_request *r, unsigned status, const struct tm_error *why)
{
    struct buffer body = {0};
    struct bytes message = bytes_text(why->message);
    while (message.size && !wire_is_text(message)) /* a cut message may end inside a character */
        message.size--;
    buffer_print(&body, "{\"code\": \"%s\", \"message\": ", tm_code_name(why->code));
    json_put_text(&body, message);
    buffer_print(&body, "}\n");
    http_reply(r, status, "application/json", &body);
}

void http_fail(struct http_request *r, const struct tm_error *why)
{
    fail_with(r, (unsigned)tm_code_http(why->code), why);
}

/* A packed reply becomes JSON only now, on the connection's own thread. */
static void write_message(struct http_request *r)
{
    struct tm_error err;
    struct buffer text = {0};
    ProtobufCMessage *m = wire_unpack(r->message, buffer_view(&r->answer), SIZE_MAX, &err);
    r->message = NULL;
    buffer_close(&r->answer);
    if (!m) {
        http_fail(r, &err);
        return;
    }
    json_put_message(&text, m);
    buffer_put_u8(&text, '\n');
    wire_free(m);
    r->answer = text;
}

static enum MHD_Result send_answer(struct http_request *r)
{
    char seconds[16];
    if (r->message)
        write_message(r);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(r->answer.size, r->answer.data, MHD_RESPMEM_MUST_FREE);
    CHECK(response);
    r->answer = (struct buffer){0};
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (r->allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow);
    snprintf(seconds, sizeof seconds, "%d", RETRY_S);
    if (r->status == MHD_HTTP_TOO_MANY_REQUESTS || r->status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    if (atomic_load(&r->http->stopping))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result queued = MHD_queue_response(r->connection, r->status, response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- routes ---- */

static bool method_fits(const char *method, const char *methods)
{
    size_t size = strlen(method);
    if (strcmp(method, "HEAD") == 0)
        return strncmp(methods, "GET", 3) == 0;
    for (const char *p = methods; *p; p += strspn(p, ", ")) {
        size_t word = strcspn(p, ",");
        if (word == size && strncmp(p, method, size) == 0)
            return true;
        p += word;
    }
    return false;
}

static void refuse(struct http_request *r, unsigned status, enum tm_code code, const char *message)
{
    r->refusal_status = status;
    tm_error_set(&r->refusal, code, "%s", message);
}

static void refuse_length(struct http_request *r)
{
    refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, TM_RESOURCE_EXHAUSTED, "the body is too long; expected at most 4 MiB");
}

static void no_such_path(struct http_request *r)
{
    char text[sizeof r->refusal.message] = "no such path; there are";
    for (uint32_t i = 0; i < r->http->routes; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, " %s", r->http->route[i].route.path);
    }
    refuse(r, MHD_HTTP_NOT_FOUND, TM_NOT_FOUND, text);
}

/* Find the route, or what is wrong. */
static void choose_route(struct http_request *r, const char *method, const char *path)
{
    struct http *http = r->http;
    r->route = &http->other;
    r->post = strcmp(method, "POST") == 0;
    for (uint32_t i = 0; i < http->routes; i++)
        if (strcmp(http->route[i].route.path, path) == 0)
            r->route = &http->route[i];
    if (r->route == &http->other) {
        no_such_path(r);
    } else if (!method_fits(method, r->route->route.methods)) {
        r->allow = r->route->route.methods;
        refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, TM_UNIMPLEMENTED, "not with this method; the header Allow names those");
    }
}

static bool is_json(const char *content_type)
{
    static const char json[] = "application/json";
    size_t size = sizeof json - 1;
    return content_type && strncasecmp(content_type, json, size) == 0 &&
           (content_type[size] == '\0' || content_type[size] == ';' || content_type[size] == ' ');
}

/* What can be said before the body comes. */
static void check_headers(struct http_request *r)
{
    const char *length = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *type = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (atomic_load(&r->http->stopping))
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, TM_UNAVAILABLE, "the server is shutting down");
    else if (length && strtoull(length, NULL, 10) > HTTP_BODY_MAX)
        refuse_length(r);
    else if (r->post && !is_json(type))
        refuse(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, TM_INVALID_ARGUMENT,
               "Content-Type: expected application/json (curl --json sends it)");
}

/* ---- one request ---- */

static struct http_request *request_begin(struct http *http, struct MHD_Connection *connection, const char *method,
                                          const char *path)
{
    struct http_request *r = mem_new(1, sizeof *r);
    atomic_fetch_add(&http->requests, 1);
    r->http = http;
    r->connection = connection;
    r->began_ns = r->complete_ns = clock_monotonic_ns();
    http_deadline(http, connection, 0);
    choose_route(r, method, path);
    if (r->refusal.code == TM_OK)
        check_headers(r);
    return r;
}

void http_on_end(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
    struct http_request *r = *state;
    struct http *http = context;
    (void)how;
    if (!r)
        return;
    http_deadline(http, connection, HTTP_HEADERS_S);
    atomic_fetch_sub(&http->bodies, r->body.capacity);
    buffer_close(&r->body);
    buffer_close(&r->kept);
    buffer_close(&r->answer);
    free(r);
    atomic_fetch_sub(&http->requests, 1);
}

/* False: it will never end, or not in time; the connection is closed. Of a body that is refused nothing is kept, but it
 * is read, so that the answer is heard. */
static bool take_body(struct http_request *r, const char *data, size_t size)
{
    size_t before = r->body.capacity;
    r->received += size;
    if (r->received > 2 * HTTP_BODY_MAX || clock_ms_since(r->began_ns) > HTTP_BODY_S * 1000)
        return false;
    if (r->refusal.code == TM_OK && r->body.size + size > HTTP_BODY_MAX)
        refuse_length(r);
    else if (r->refusal.code == TM_OK && atomic_load(&r->http->bodies) + size > HTTP_BODIES_MAX)
        refuse(r, MHD_HTTP_TOO_MANY_REQUESTS, TM_RESOURCE_EXHAUSTED,
               "requests of 64 MiB are on their way already; try again in a second");
    if (r->refusal.code != TM_OK)
        return true;
    buffer_put(&r->body, data, size);
    atomic_fetch_add(&r->http->bodies, r->body.capacity - before);
    return true;
}

static void dispatch(struct http_request *r)
{
    r->dispatched = true;
    r->complete_ns = clock_monotonic_ns();
    if (r->refusal.code != TM_OK)
        fail_with(r, r->refusal_status, &r->refusal);
    else
        r->route->route.handle(r->route->route.service, r);
}

static unsigned status_index(unsigned status)
{
    unsigned i = HTTP_STATUSES - 1;
    while (i > 0 && statuses[i] != status)
        i--;
    return i;
}

static enum MHD_Result finish(struct http_request *r)
{
    struct http_stats *stats = &r->route->stats;
    enum MHD_Result queued = send_answer(r);
    http_deadline(r->http, r->connection, HTTP_ANSWER_S);
    atomic_fetch_add_explicit(&stats->answered[status_index(r->status)], 1, memory_order_relaxed);
    histogram_observe(&stats->handling, clock_monotonic_ns() - r->complete_ns);
    return queued;
}

/* To sleep until it is answered; the answer may come while we lie down. */
static void sleep_until_answered(struct http_request *r)
{
    struct http *http = r->http;
    int running = RUNNING;
    atomic_fetch_add(&http->asleep, 1);
    MHD_suspend_connection(r->connection);
    if (!atomic_compare_exchange_strong(&r->state, &running, ASLEEP)) {
        MHD_resume_connection(r->connection);
        atomic_fetch_sub(&http->asleep, 1);
    }
}

enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                                const char *version, const char *data, size_t *size, void **state)
{
    struct http_request *r = *state;
    (void)version;
    if (!r) {
        *state = r = request_begin(context, connection, method, path);
        const char *expect = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
        if (r->refusal.code == TM_OK || !expect)
            return MHD_YES;
        dispatch(r); /* it asked before sending: it need not send */
        return finish(r);
    }
    if (*size > 0) {
        bool taken = take_body(r, data, *size);
        *size = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    if (!r->dispatched)
        dispatch(r);
    if (atomic_load(&r->state) == ANSWERED)
        return finish(r);
    sleep_until_answered(r);
    return MHD_YES;
}

/* ---- what handlers ask ---- */

bool http_is_post(const struct http_request *r) { return r->post; }
struct bytes http_body(const struct http_request *r) { return buffer_view(&r->body); }

const char *http_query(struct http_request *r, const char *name)
{
    const char *value = NULL;
    enum MHD_Result found =
        MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL);
    return found == MHD_YES ? (value ? value : "") : NULL;
}

struct query_walk {
    http_visit *visit;
    void *context;
    enum tm_code code;
    struct tm_error *err;
};

static enum MHD_Result on_parameter(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                    const char *value, size_t value_size)
{
    struct query_walk *w = context;
    (void)kind;
    (void)name_size;
    w->code = w->visit(w->context, name, value ? bytes_of(value, value_size) : bytes_text(""), w->err);
    return w->code == TM_OK ? MHD_YES : MHD_NO;
}

enum tm_code http_visit_query(struct http_request *r, http_visit *visit, void *context, struct tm_error *err)
{
    struct query_walk w = {.visit = visit, .context = context, .code = TM_OK, .err = err};
    MHD_get_connection_values_n(r->connection, MHD_GET_ARGUMENT_KIND, on_parameter, &w);
    return w.code;
}

struct bytes http_keep(struct http_request *r, struct buffer *b)
{
    CHECK(!r->kept.data);
    r->kept = *b;
    *b = (struct buffer){0};
    return buffer_view(&r->kept);
}

unsigned http_status(unsigned index) { return statuses[index]; }
