/* bench/caller.h - a lean native client: any number of calls and streams of one thread, over one completion queue.
 *
 * It costs less than client/connection.h, which has a queue for each call, unpacks every reply and waits for one call
 * at a time: with client and server on the same cores, what the client burns the server lacks.
 * Callbacks run inside caller_turn(), and may start more calls.
 * Memory   the bytes of a request must live until its done(); those of a reply live while the callback runs.
 * Errors   a call that fails ends the program with its status: a benchmark of failures measures nothing.
 * Threads  a caller belongs to one thread; bytes move only while it is in caller_turn(). */
#ifndef TIDEMILL_BENCH_CALLER_H
#define TIDEMILL_BENCH_CALLER_H

#include "base/bytes.h"

enum { CALLER_CONNECTIONS_MAX = 16, CALLER_METHODS_MAX = 8 };

struct caller;
struct caller_stream;

/* To 127.0.0.1:port, over so many sockets. Waits until they are connected. */
struct caller *caller_open(int port, uint32_t connections);
void caller_close(struct caller *c); /* no call is under way, all streams are closed */

/* Deal with one thing that has happened, waiting up to timeout_ms for it. False: nothing did. */
bool caller_turn(struct caller *c, int64_t timeout_ms);
/* The same, waiting until something happens; a server that is silent for a minute ends the program. */
void caller_wait(struct caller *c);

/* One request, one reply. Calls go round the connections. */
typedef void caller_done(void *context, struct bytes reply);
void caller_call(struct caller *c, const char *method, struct bytes request, caller_done *done, void *context);
/* The same, waited for; *reply is appended to unless it is NULL. */
void caller_ask(struct caller *c, const char *method, struct bytes request, struct buffer *reply);

/* A call of many messages in both directions; heard() gets each one. */
typedef void caller_heard(void *context, struct bytes message);
struct caller_stream *caller_stream_open(struct caller *c, const char *method, caller_heard *heard, void *context);
/* Queue a message behind those before it; *message is taken over. */
void caller_stream_send(struct caller_stream *s, struct buffer *message);
/* Break it off, and wait until it is over. */
void caller_stream_close(struct caller_stream *s);

#endif
