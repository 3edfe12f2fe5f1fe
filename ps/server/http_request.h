/* ps/server/http_request.h - what the two halves of http share; for http.c and http_request.c alone. */
#ifndef TIDEMILL_PS_SERVER_HTTP_REQUEST_H
#define TIDEMILL_PS_SERVER_HTTP_REQUEST_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "ps/server/http.h"

struct route {
    struct http_route route;
    struct http_stats stats;
};

struct http {
    int listening; /* file descriptor; -1: libmicrohttpd's */
    int port;
    struct MHD_Daemon *daemon; /* NULL: not started */
    struct route route[HTTP_ROUTES_MAX];
    uint32_t routes;
    struct route other; /* paths that there are not */
    atomic_bool stopping;
    atomic_int requests, asleep; /* begun and not ended; of those, answered later and not yet */
    atomic_size_t bodies;        /* bytes */
};

/* libmicrohttpd calls this when the headers are there, for each piece of the body, at its end and when resumed. */
enum MHD_Result http_on_request(void *http, struct MHD_Connection *connection, const char *path, const char *method,
                                const char *version, const char *data, size_t *size, void **request);
/* ... and this when it was answered, or the connection is gone. */
void http_on_end(void *http, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode how);

#endif
