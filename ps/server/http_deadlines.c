/* Connections that trickle. libmicrohttpd closes who is silent, but every byte begins its patience anew: with one now
 * and then, as many clients as there may be connections would keep everybody else out, health checks first. So each
 * connection has a deadline for what its client does next; a thread looks once a second and shuts those that missed it,
 * which libmicrohttpd sees as a client that has gone. */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "ps/server/http_request.h"

enum { LOOK_MS = 1000 };

struct http_connection {
    int fd;
    int64_t deadline_ns;
    struct http_connection *previous, *next;
};

static void lock(struct http_deadlines *d) { CHECK(pthread_mutex_lock(&d->mutex) == 0); }
static void unlock(struct http_deadlines *d) { CHECK(pthread_mutex_unlock(&d->mutex) == 0); }

static int64_t in_seconds(int seconds) { return clock_monotonic_ns() + (int64_t)seconds * 1000 * NS_PER_MS; }

/* ---- libmicrohttpd's threads ---- */

static void come(struct http_deadlines *d, struct MHD_Connection *connection, void **place)
{
    const union MHD_ConnectionInfo *socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_connection *c = mem_new(1, sizeof *c);
    *c = (struct http_connection){.fd = socket->connect_fd, .deadline_ns = in_seconds(HTTP_HEADERS_S)};
    lock(d);
    c->next = d->first;
    if (c->next)
        c->next->previous = c;
    d->first = c;
    unlock(d);
    *place = c;
}

/* Before its socket is closed: nobody shuts another one that has its number by then. */
static void go(struct http_deadlines *d, struct http_connection *c)
{
    lock(d);
    *(c->previous ? &c->previous->next : &d->first) = c->next;
    if (c->next)
        c->next->previous = c->previous;
    unlock(d);
    free(c);
}

void http_on_connection(void *context, struct MHD_Connection *connection, void **place,
                        enum MHD_ConnectionNotificationCode what)
{
    struct http *http = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        come(&http->deadlines, connection, place);
    else
        go(&http->deadlines, *place);
}

void http_deadline(struct http *http, struct MHD_Connection *connection, int seconds)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *c = info->socket_context;
    lock(&http->deadlines);
    c->deadline_ns = seconds ? in_seconds(seconds) : INT64_MAX;
    unlock(&http->deadlines);
}

/* ---- the thread ---- */

static void look(struct http_deadlines *d)
{
    int64_t now_ns = clock_monotonic_ns();
    for (struct http_connection *c = d->first; c; c = c->next)
        if (c->deadline_ns < now_ns) {
            shutdown(c->fd, SHUT_RDWR);
            c->deadline_ns = INT64_MAX;
        }
}

static void *run(void *context)
{
    struct http_deadlines *d = context;
    lock(d);
    while (!d->stopping) {
        int64_t until_ns = clock_monotonic_ns() + (int64_t)LOOK_MS * NS_PER_MS;
        struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
        pthread_cond_timedwait(&d->changed, &d->mutex, &until);
        look(d);
    }
    unlock(d);
    return NULL;
}

void http_deadlines_open(struct http_deadlines *d)
{
    pthread_condattr_t monotonic;
    CHECK(pthread_mutex_init(&d->mutex, NULL) == 0);
    CHECK(pthread_condattr_init(&monotonic) == 0);
    CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&d->changed, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    CHECK(pthread_create(&d->thread, NULL, run, d) == 0);
    pthread_setname_np(d->thread, "http-deadlines");
}

void http_deadlines_close(struct http_deadlines *d)
{
    lock(d);
    d->stopping = true;
    pthread_cond_signal(&d->changed);
    unlock(d);
    CHECK(pthread_join(d->thread, NULL) == 0);
    CHECK(!d->first);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->mutex);
}
