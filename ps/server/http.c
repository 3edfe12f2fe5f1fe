#include "ps/server/http.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "ps/server/http_request.h"

enum { BACKLOG = 128, STOP_POLL_MS = 5 };

static enum tm_code refuse_address(const char *listen_on, const char *reason, struct tm_error *err)
{
    return tm_error_set(err, TM_UNAVAILABLE, "http: %s: %s; expected HOST:PORT of this machine that is free, or off",
                        listen_on, reason);
}

static enum tm_code bind_address(struct http *http, const struct addrinfo *a, const char *listen_on,
                                 struct tm_error *err)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &size) != 0) {
        int reason = errno;
        if (fd >= 0)
            close(fd);
        return refuse_address(listen_on, strerrordesc_np(reason), err);
    }
    http->listening = fd;
    http->port = ntohs(bound.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)&bound)->sin6_port
                                                   : ((const struct sockaddr_in *)(const void *)&bound)->sin_port);
    return TM_OK;
}

static enum tm_code bind_listen(struct http *http, const char *listen_on, struct tm_error *err)
{
    char host[256];
    const char *colon = strrchr(listen_on, ':');
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    bool bracketed = listen_on[0] == '[';
    CHECK(colon && (size_t)(colon - listen_on) < sizeof host);
    snprintf(host, sizeof host, "%.*s", (int)(colon - listen_on) - 2 * bracketed, listen_on + bracketed);
    int failed = getaddrinfo(host, colon + 1, &hints, &found);
    if (failed)
        return refuse_address(listen_on, gai_strerror(failed), err);
    enum tm_code rc = bind_address(http, found, listen_on, err);
    freeaddrinfo(found);
    return rc;
}

enum tm_code http_open(const char *listen_on, struct http **out, struct tm_error *err)
{
    struct http *http = mem_new(1, sizeof *http);
    http->other.route.path = "other";
    enum tm_code rc = bind_listen(http, listen_on, err);
    if (rc == TM_OK)
        *out = http;
    else
        free(http);
    return rc;
}

void http_add(struct http *http, const struct http_route *route)
{
    CHECK(http->routes < HTTP_ROUTES_MAX && !http->daemon);
    http->route[http->routes++].route = *route;
}

static void on_panic(void *context, const char *file, unsigned line, const char *reason)
{
    (void)context;
    stop(STOP_BUG, "libmicrohttpd: %s:%u: %s", file, line, reason ? reason : "no reason given");
}

void http_start(struct http *http)
{
    MHD_set_panic_func(on_panic, NULL);
    http_deadlines_open(&http->deadlines);
    http->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL,
                         http_on_request, http, MHD_OPTION_LISTEN_SOCKET, http->listening, MHD_OPTION_THREAD_POOL_SIZE,
                         (unsigned)HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)HTTP_HEADERS_MAX, MHD_OPTION_NOTIFY_COMPLETED, http_on_end, http,
                         MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, http, MHD_OPTION_END);
    CHECK(http->daemon);
}

int http_port(const struct http *http) { return http->port; }

/* libmicrohttpd aborts the process when it is stopped while a connection sleeps. */
/* Requests that sleep are owed an answer, however long it takes; the others have until end_ns. */
static void await_answers(struct http *http, int64_t end_ns)
{
    while (atomic_load(&http->asleep) > 0 || (atomic_load(&http->requests) > 0 && clock_monotonic_ns() < end_ns))
        clock_sleep_ms(STOP_POLL_MS);
}

/* As long as somebody is owed an answer, who comes is answered too: a socket that listens unserved would hang. */
void http_stop(struct http *http)
{
    if (!http->daemon)
        return;
    int64_t end_ns = clock_deadline_ns(HTTP_STOP_GRACE_MS);
    await_answers(http, end_ns);
    atomic_store(&http->stopping, true);
    if (MHD_quiesce_daemon(http->daemon) == MHD_INVALID_SOCKET)
        http->listening = -1; /* it stays libmicrohttpd's */
    await_answers(http, end_ns);
    MHD_stop_daemon(http->daemon);
    http_deadlines_close(&http->deadlines);
    http->daemon = NULL;
}

void http_close(struct http *http)
{
    if (!http)
        return;
    CHECK(!http->daemon);
    if (http->listening >= 0)
        close(http->listening);
    free(http);
}

/* ---- figures ---- */

void http_visit_stats(const struct http *http,
                      void (*visit)(void *context, const char *path, const struct http_stats *s), void *context)
{
    for (uint32_t i = 0; i < http->routes; i++)
        visit(context, http->route[i].route.path, &http->route[i].stats);
    visit(context, http->other.route.path, &http->other.stats);
}

uint32_t http_connections(struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}
