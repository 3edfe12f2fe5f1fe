/* One call: what the server's operations and the client's wishes make of each other. */
#include <stdlib.h>

#include "tests/transport/core.h"

struct grpc_call *transport_call_new(const char *path)
{
    struct grpc_call *call = mem_new(1, sizeof *call);
    pthread_condattr_t monotonic;
    call->path = strdup(path);
    CHECK(call->path);
    atomic_init(&call->references, 1);
    CHECK(pthread_mutex_init(&call->mutex, NULL) == 0);
    CHECK(pthread_condattr_init(&monotonic) == 0 && pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&call->moved, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    return call;
}

void transport_call_unref(struct grpc_call *call)
{
    if (atomic_fetch_sub(&call->references, 1) != 1)
        return;
    CHECK(!call->receiving && !call->sending && !call->ending && !call->closing);
    for (grpc_byte_buffer *m; (m = messages_take(&call->up)) != NULL;)
        grpc_byte_buffer_destroy(m);
    for (grpc_byte_buffer *m; (m = messages_take(&call->down)) != NULL;)
        grpc_byte_buffer_destroy(m);
    pthread_cond_destroy(&call->moved);
    pthread_mutex_destroy(&call->mutex);
    free(call->path);
    free(call);
}

void grpc_call_unref(grpc_call *call) { transport_call_unref(call); }

/* ---- messages on their way ---- */

bool messages_put(struct messages *m, grpc_byte_buffer *message)
{
    if (m->count == TRANSPORT_WINDOW)
        return false;
    m->ring[(m->first + m->count++) % TRANSPORT_WINDOW] = message;
    return true;
}

grpc_byte_buffer *messages_take(struct messages *m)
{
    if (m->count == 0)
        return NULL;
    m->count--;
    return m->ring[m->first++ % TRANSPORT_WINDOW];
}

/* ---- what can be done now ---- */

static void operation_done(struct grpc_call *call, struct batch **waiting, bool ok)
{
    struct batch *b = *waiting;
    *waiting = NULL;
    b->ok &= ok;
    if (--b->missing > 0)
        return;
    transport_post(call->queue, b->tag, b->ok);
    free(b);
}

static void settle_receive(struct grpc_call *call)
{
    if (!call->receiving)
        return;
    *call->receive_to = call->cancelled ? NULL : messages_take(&call->up);
    if (*call->receive_to)
        operation_done(call, &call->receiving, true);
    else if (call->half_closed && !call->cancelled)
        operation_done(call, &call->receiving, true);
    else if (call->over) /* see "Order": by the address, which is as good as a coin */
        operation_done(call, &call->receiving, (uintptr_t)call >> 6 & 1);
}

static void settle_send(struct grpc_call *call)
{
    if (call->sending && call->over) {
        operation_done(call, &call->sending, false);
    } else if (call->sending) {
        grpc_byte_buffer *copy = call->to_send; /* whoever sends destroys what he has: both hold the slices */
        grpc_slice_buffer *parts = &copy->data.raw.slice_buffer;
        if (call->down.count == TRANSPORT_WINDOW)
            return;
        CHECK(messages_put(&call->down, grpc_raw_byte_buffer_create(parts->slices, parts->count)));
        operation_done(call, &call->sending, true);
    }
}

bool transport_settle(struct grpc_call *call)
{
    bool was_over = call->over;
    settle_send(call);
    if (call->ending && !call->sending) {
        if (!call->over)
            call->status = call->to_end_with;
        operation_done(call, &call->ending, !call->over);
        call->over = true;
    }
    settle_receive(call);
    if (call->closing && call->over) {
        *call->tell_cancelled = call->cancelled;
        operation_done(call, &call->closing, true);
    }
    pthread_cond_broadcast(&call->moved);
    return call->over && !was_over;
}

void transport_cancel_for(struct grpc_call *call, const struct tm_error *why)
{
    core_lock(&call->mutex);
    bool ends = !call->over;
    if (ends) {
        call->over = call->cancelled = true;
        call->status = *why;
        transport_settle(call);
    }
    core_unlock(&call->mutex);
    if (ends)
        transport_call_over(call);
}

/* ---- operations ---- */

static struct tm_error status_of(const grpc_op *op)
{
    struct tm_error status = {.code = TM_OK};
    grpc_slice *text = op->data.send_status_from_server.status_details;
    if (op->data.send_status_from_server.status != GRPC_STATUS_OK)
        tm_error_set(&status, tm_code_from_grpc((int)op->data.send_status_from_server.status), "%.*s",
                     text ? (int)GRPC_SLICE_LENGTH(*text) : 0, text ? (const char *)GRPC_SLICE_START_PTR(*text) : "");
    return status;
}

/* Returns where the operation waits; NULL: it is done at once. */
static struct batch **begin(struct grpc_call *call, const grpc_op *op)
{
    switch (op->op) {
    case GRPC_OP_SEND_INITIAL_METADATA: return NULL;
    case GRPC_OP_SEND_MESSAGE: call->to_send = op->data.send_message.send_message; return &call->sending;
    case GRPC_OP_SEND_STATUS_FROM_SERVER: call->to_end_with = status_of(op); return &call->ending;
    case GRPC_OP_RECV_MESSAGE: call->receive_to = op->data.recv_message.recv_message; return &call->receiving;
    case GRPC_OP_RECV_CLOSE_ON_SERVER:
        call->tell_cancelled = op->data.recv_close_on_server.cancelled;
        return &call->closing;
    default: CHECK(!"an operation of a server");
    }
}

grpc_call_error grpc_call_start_batch(grpc_call *call, const grpc_op *ops, size_t count, void *tag, void *reserved)
{
    struct batch *b = mem_new(1, sizeof *b);
    CHECK(!reserved);
    *b = (struct batch){.tag = tag, .ok = true, .missing = 1}; /* 1: this function */
    atomic_fetch_add(&call->references, 1); /* whoever hears of what is done here may let go of the call */
    transport_announce(call->queue);
    core_lock(&call->mutex);
    for (size_t i = 0; i < count; i++) {
        struct batch **slot = begin(call, &ops[i]);
        if (!slot)
            continue;
        CHECK(!*slot); /* one of a kind at a time: gRPC answers TOO_MANY_OPERATIONS */
        *slot = b;
        b->missing++;
    }
    operation_done(call, &b, true);
    bool ended = transport_settle(call);
    core_unlock(&call->mutex);
    if (ended)
        transport_call_over(call);
    transport_call_unref(call);
    return GRPC_CALL_OK;
}
