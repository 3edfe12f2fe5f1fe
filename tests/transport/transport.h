/* tests/transport/transport.h - calls without a network: the client's end of gRPC's C API as ps/server/rpc*.c use it.
 *
 * The library of gRPC is not built for TSan, which takes the order that it gives for no order at all. So a program
 * under TSan is linked with this folder instead: the functions of <grpc/grpc.h> that the server's door calls, in one
 * process, instrumented as the rest. The door itself is the real one.
 *
 * Order    as gRPC's: a batch of operations posts its tag when all of them are done, to the queue of the call's
 *          connection; one message at a time is read, one sent; the status goes behind the messages; the close is heard
 *          last. A reader that takes nothing holds up the sender behind TRANSPORT_WINDOW messages, in both directions.
 *          When a call is cancelled, what was on its way fails. A waiting read hears "no more" (half of the calls) or
 *          fails (the others): both happen with gRPC. An operation on a queue that was shut is a bug, and found here.
 * Locks    one for each call, queue and server, so that nothing is ordered here that gRPC would leave unordered.
 * Threads  functions on one call: one thread at a time, but transport_cancel, which may come from any.
 * Memory   a call is the client's until transport_end(); the server's end may live longer. */
#ifndef TIDEMILL_TESTS_TRANSPORT_TRANSPORT_H
#define TIDEMILL_TESTS_TRANSPORT_TRANSPORT_H

#include "base/bytes.h"
#include "base/error.h"

enum { TRANSPORT_WINDOW = 2, TRANSPORT_NO_DEADLINE = -1 };

struct grpc_call;

/* A call to who listens on `port`; NULL: nobody. Calls of one connection are served by one thread of the server.
 * request NULL: the client streams; else it is all that the client sends. */
struct grpc_call *transport_call(int port, uint32_t connection, const char *method, const struct bytes *request,
                                 int64_t deadline_ms);

bool transport_write(struct grpc_call *call, struct bytes message); /* waits for room; false: the call is over */
void transport_half_close(struct grpc_call *call);                  /* no more from our side */
bool transport_read(struct grpc_call *call, struct buffer *reply);  /* replaces *reply; false: there is none any more */
void transport_cancel(struct grpc_call *call);
/* What the call ended with, cancelled if it had not ended; lets go of it. *status says why. */
enum tm_code transport_end(struct grpc_call *call, struct tm_error *status);

/* One request, one reply. */
enum tm_code transport_unary(int port, uint32_t connection, const char *method, struct bytes request,
                             int64_t deadline_ms, struct buffer *reply, struct tm_error *status);

#endif
