/* ps/server/http_request.h - what the parts of http share; for http.c, http_request.c and http_deadlines.c alone. */
#ifndef TIDEMILL_PS_SERVER_HTTP_REQUEST_H
#define TIDEMILL_PS_SERVER_HTTP_REQUEST_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ps/server/http.h"

struct route {
    struct http_route route;
    struct http_stats stats;
};

/* http_deadlines.c: who does not do his next thing in time is cut off. */
struct http_connection;

struct http_deadlines {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool stopping;
    struct http_connection *first; /* those that are open */
};

struct http {
    int listening; /* file descriptor; -1: libmicrohttpd's */
    int port;
    struct MHD_Daemon *daemon; /* NULL: not started */
    struct route route[HTTP_ROUTES_MAX];
    uint32_t routes;
    struct route other; /* paths that there are not */
    struct http_deadlines deadlines;
    atomic_bool stopping;
    atomic_int requests, asleep; /* begun and not ended; of those, answered later and not yet */
    atomic_size_t bodies;        /* bytes */
};

/* libmicrohttpd calls this when the headers are there, for each piece of the body, at its end and when resumed. */
enum MHD_Result http_on_request(void *http, struct MHD_Connection *connection, const char *path, const char *method,
                                const char *version, const char *data, size_t *size, void **request);
/* ... and this when it was answered, or the connection is gone. */
void http_on_end(void *http, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode how);

void http_deadlines_open(struct http_deadlines *d);  /* before the first connection */
void http_deadlines_close(struct http_deadlines *d); /* behind the last */
void http_on_connection(void *http, struct MHD_Connection *connection, void **place,
                        enum MHD_ConnectionNotificationCode what);
/* From now on its client has so long for what comes next; 0: it is not its turn, or bounded otherwise. */
void http_deadline(struct http *http, struct MHD_Connection *connection, int seconds);

#endif
