/* The client's end of a call. */
#include <grpc/support/time.h>
#include <stdlib.h>
#include <time.h>

#include "tests/transport/core.h"

static const struct tm_error cancelled = {TM_UNAVAILABLE, "cancelled by the client"};
static const struct tm_error late = {TM_DEADLINE_EXCEEDED, "the client's deadline has passed"};

struct grpc_call *transport_call(int port, uint32_t connection, const char *method, const struct bytes *request,
                                 int64_t deadline_ms)
{
    struct grpc_call *call = transport_call_new(method);
    call->connection = connection;
    call->deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (deadline_ms != TRANSPORT_NO_DEADLINE)
        call->deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(deadline_ms, GPR_TIMESPAN));
    if (request)
        CHECK(messages_put(&call->up, transport_message_of(*request)));
    call->half_closed = request != NULL;
    if (transport_arrive(call, port))
        return call;
    transport_call_unref(call);
    return NULL;
}

void transport_cancel(struct grpc_call *call) { transport_cancel_for(call, &cancelled); }

/* Under the mutex: wait for the server. False: the deadline has passed. */
static bool wait_moved(struct grpc_call *call)
{
    if (gpr_time_cmp(call->deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return pthread_cond_wait(&call->moved, &call->mutex) == 0;
    struct timespec t = {.tv_sec = call->deadline.tv_sec, .tv_nsec = call->deadline.tv_nsec};
    return pthread_cond_timedwait(&call->moved, &call->mutex, &t) == 0;
}

/* Under the mutex, which is let go when the call must be cancelled. False: the call is over, or was cancelled. */
static bool wait_or_cancel(struct grpc_call *call)
{
    if (call->over)
        return false;
    if (wait_moved(call))
        return true;
    core_unlock(&call->mutex);
    transport_cancel_for(call, &late);
    core_lock(&call->mutex);
    return false;
}

bool transport_write(struct grpc_call *call, struct bytes message)
{
    grpc_byte_buffer *m = transport_message_of(message);
    core_lock(&call->mutex);
    CHECK(!call->half_closed);
    while (call->up.count == TRANSPORT_WINDOW && wait_or_cancel(call))
        continue;
    bool written = !call->over && messages_put(&call->up, m);
    if (written)
        transport_settle(call); /* a message ends no call */
    core_unlock(&call->mutex);
    if (!written)
        grpc_byte_buffer_destroy(m);
    return written;
}

void transport_half_close(struct grpc_call *call)
{
    core_lock(&call->mutex);
    call->half_closed = true;
    transport_settle(call);
    core_unlock(&call->mutex);
}

bool transport_read(struct grpc_call *call, struct buffer *reply)
{
    bool ended = false;
    core_lock(&call->mutex);
    while (call->down.count == 0 && wait_or_cancel(call))
        continue;
    grpc_byte_buffer *m = call->cancelled ? NULL : messages_take(&call->down);
    if (m)
        ended = transport_settle(call); /* there is room: a message, and the status behind it, may come */
    core_unlock(&call->mutex);
    if (ended)
        transport_call_over(call);
    if (!m)
        return false;
    transport_message_read(m, reply);
    grpc_byte_buffer_destroy(m);
    return true;
}

enum tm_code transport_end(struct grpc_call *call, struct tm_error *status)
{
    transport_cancel(call); /* nothing when it is over */
    core_lock(&call->mutex);
    *status = call->status;
    core_unlock(&call->mutex);
    transport_call_unref(call);
    return status->code;
}

enum tm_code transport_unary(int port, uint32_t connection, const char *method, struct bytes request,
                             int64_t deadline_ms, struct buffer *reply, struct tm_error *status)
{
    CLEANUP(buffer_close) struct buffer more = {0};
    struct grpc_call *call = transport_call(port, connection, method, &request, deadline_ms);
    reply->size = 0;
    if (!call)
        return tm_error_set(status, TM_UNAVAILABLE, "nobody listens on port %d", port);
    if (transport_read(call, reply))
        CHECK(!transport_read(call, &more)); /* returns when the status is there */
    return transport_end(call, status);
}
