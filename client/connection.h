/* client/connection.h - calls to a Tidemill server (the only door to gRPC on the client side).
 *
 * connection_call  one request, one reply. A struct duplex is a call of many messages in both directions; a call with
 *                  one request and many replies is a duplex that sends once.
 * Memory   replies are unpacked messages: the caller ends them with wire_free.
 * Errors   the server's status as its tm_code, with its words. TM_UNAVAILABLE: nobody answers there, or not now.
 * Bounds   a reply has at most CONNECTION_RECEIVE_MAX bytes; one message is sent at a time.
 * Threads  a connection and its calls belong to one thread. Bytes move only while that thread waits in here. */
#ifndef TIDEMILL_CLIENT_CONNECTION_H
#define TIDEMILL_CLIENT_CONNECTION_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/error.h"

enum { CONNECTION_RECEIVE_MAX = 64 << 20 };

struct connection;

/* Cannot fail: the first call connects. server: "HOST:PORT". Every connection has its own socket. */
struct connection *connection_open(const char *server);
void connection_close(struct connection *c); /* its calls are closed before; NULL is fine */

/* method: "/tidemill.v1.Parameters/Pull". *reply is set on TM_OK only. */
enum tm_code connection_call(struct connection *c, const char *method, const ProtobufCMessage *request,
                             const ProtobufCMessageDescriptor *reply_type, int64_t timeout_ms, ProtobufCMessage **reply,
                             struct tm_error *err);

struct duplex;

/* timeout_ms: of the whole call; negative: none. */
struct duplex *duplex_open(struct connection *c, const char *method, const ProtobufCMessageDescriptor *reply_type,
                           int64_t timeout_ms);
void duplex_close(struct duplex *d); /* cancels what is under way; NULL is fine */

/* Start to send one packed message; the bytes are copied. Only when duplex_can_send() says so. */
bool duplex_can_send(const struct duplex *d);
void duplex_send(struct duplex *d, struct bytes message);
/* No more messages from here; under the same condition. */
void duplex_finish(struct duplex *d);

enum duplex_event {
    DUPLEX_NOTHING, /* timeout_ms passed */
    DUPLEX_SENT,    /* duplex_can_send() again */
    DUPLEX_MESSAGE, /* *message is the caller's */
    DUPLEX_ENDED,   /* the server ended the call, with status OK */
};

/* What happens next. A call that failed, whoever broke it off, is an error; after that only duplex_close(). */
enum tm_code duplex_next(struct duplex *d, int64_t timeout_ms, enum duplex_event *event, ProtobufCMessage **message,
                         struct tm_error *err);

#endif
