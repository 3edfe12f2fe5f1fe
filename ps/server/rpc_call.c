#include "ps/server/rpc_call.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define OWNER(tag, field) ((struct rpc_call *)(void *)((char *)(tag)-offsetof(struct rpc_call, field)))

/* ---- memory ---- */

/* NULL: there is no message, or it is compressed. One slice is kept, several are copied into one. */
static struct rpc_message *message_view(grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    struct rpc_message *m;
    if (!buffer || !grpc_byte_buffer_reader_init(&reader, buffer))
        return NULL;
    grpc_slice_buffer *parts = &reader.buffer_out->data.raw.slice_buffer;
    m = mem_new(1, sizeof *m);
    m->slice = parts->count == 1 ? grpc_slice_ref(parts->slices[0]) : grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    m->bytes = bytes_of(GRPC_SLICE_START_PTR(m->slice), GRPC_SLICE_LENGTH(m->slice));
    return m;
}

struct bytes rpc_message_bytes(const struct rpc_message *m) { return m->bytes; }

void rpc_message_free(struct rpc_message *m)
{
    if (m)
        grpc_slice_unref(m->slice);
    free(m);
}

/* The buffer's memory becomes gRPC's, without a copy. */
static grpc_byte_buffer *body_take(struct buffer *body)
{
    grpc_slice slice =
        body->size ? grpc_slice_new_with_user_data(body->data, body->size, free, body->data) : grpc_empty_slice();
    grpc_byte_buffer *taken = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    if (!body->size)
        buffer_close(body);
    *body = (struct buffer){0};
    return taken;
}

void rpc_hold(struct rpc_call *call) { atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed); }

void rpc_release(struct rpc_call *call)
{
    struct rpc *rpc = call->worker->rpc;
    if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (; call->unsent_count > 0; call->unsent_count--, call->unsent_first++)
        grpc_byte_buffer_destroy(call->unsent[call->unsent_first % RPC_UNSENT_MAX]);
    rpc_message_free(call->request_view);
    if (call->request)
        grpc_byte_buffer_destroy(call->request);
    if (call->reply)
        grpc_byte_buffer_destroy(call->reply);
    if (call->incoming)
        grpc_byte_buffer_destroy(call->incoming);
    grpc_slice_unref(call->status_text);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    pthread_mutex_destroy(&call->mutex);
    if (call->call)
        grpc_call_unref(call->call);
    free(call);
    rpc_call_count(rpc, -1);
}

int64_t rpc_time_left_ms(const struct rpc_call *call)
{
    if (gpr_time_cmp(call->deadline, gpr_inf_future(call->deadline.clock_type)) == 0)
        return INT64_MAX;
    return gpr_time_to_millis(gpr_time_sub(call->deadline, gpr_now(call->deadline.clock_type)));
}

/* ---- what is counted ---- */

enum { CANCELED = 1 }; /* gRPC's code, which we never send: the client left first */

/* Once: unary calls when they are answered, streams when they are over. */
static void count_handled(struct rpc_call *call, int status)
{
    atomic_fetch_add_explicit(&call->stats->handled[status], 1, memory_order_relaxed);
    histogram_observe(&call->stats->handling, clock_monotonic_ns() - call->began_ns);
}

/* ---- what is handed to gRPC ---- */

static void start(struct rpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    CHECK(grpc_call_start_batch(call->call, ops, count, tag, NULL) == GRPC_CALL_OK);
}

static grpc_op send_status(struct rpc_call *call, const struct tm_error *why)
{
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    if (!why || why->code == TM_OK)
        return op;
    call->status_text = grpc_slice_from_copied_string(why->message);
    op.data.send_status_from_server.status = (grpc_status_code)tm_code_grpc(why->code);
    op.data.send_status_from_server.status_details = &call->status_text;
    if (why->code == TM_RESOURCE_EXHAUSTED) {
        char text[16];
        snprintf(text, sizeof text, "%d", RPC_RETRY_MS);
        call->pushback.key = grpc_slice_from_static_string("grpc-retry-pushback-ms");
        call->pushback.value = grpc_slice_from_copied_string(text); /* at most 23 bytes: lies inside the slice */
        op.data.send_status_from_server.trailing_metadata_count = 1;
        op.data.send_status_from_server.trailing_metadata = &call->pushback;
    }
    return op;
}

static grpc_op receive_close(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &call->recv_cancelled;
    return op;
}

static grpc_op send_message(grpc_byte_buffer *body, bool more)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .flags = more ? GRPC_WRITE_BUFFER_HINT : 0};
    op.data.send_message.send_message = body;
    return op;
}

/* ---- unary ---- */

static void on_answered(struct rpc_tag *tag, bool ok)
{
    (void)ok; /* whoever asked may be gone by now */
    rpc_release(OWNER(tag, answered));
}

static void answer(struct rpc_call *call, grpc_byte_buffer *body, const struct tm_error *why)
{
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    size_t count = 1;
    if (body)
        ops[count++] = send_message(body, false);
    ops[count++] = send_status(call, why);
    if (!call->watching)
        ops[count++] = receive_close(call);
    call->reply = body;
    count_handled(call, why ? tm_code_grpc(why->code) : 0);
    start(call, ops, count, &call->answered);
}

void rpc_reply(struct rpc_call *call, struct buffer *body) { answer(call, body_take(body), NULL); }
void rpc_fail(struct rpc_call *call, const struct tm_error *why) { answer(call, NULL, why); }

void rpc_answer(struct rpc_call *call, enum tm_code rc, struct buffer *body, const struct tm_error *why)
{
    if (rc == TM_OK) {
        rpc_reply(call, body);
        return;
    }
    buffer_close(body);
    rpc_fail(call, why);
}

static void on_watched(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = OWNER(tag, watched);
    (void)ok;
    if (call->recv_cancelled)
        atomic_store(&call->cancelled, true);
    rpc_release(call);
}

void rpc_watch(struct rpc_call *call)
{
    grpc_op op = receive_close(call);
    call->watching = true;
    rpc_hold(call);
    start(call, &op, 1, &call->watched);
}

bool rpc_cancelled(struct rpc_call *call) { return atomic_load(&call->cancelled); }

/* ---- streams ---- */

static void lock(struct rpc_call *call) { CHECK(pthread_mutex_lock(&call->mutex) == 0); }
static void unlock(struct rpc_call *call) { CHECK(pthread_mutex_unlock(&call->mutex) == 0); }

static void start_counted(struct rpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    call->operations++;
    start(call, ops, count, tag);
}

/* Send the next reply, or the status when it is its turn. One send at a time is all gRPC takes. */
static void send_next(struct rpc_call *call)
{
    grpc_op ops[2];
    size_t count = 0;
    if (call->sending || call->over || (call->unsent_count == 0 && !call->ending))
        return;
    if (!call->started)
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    call->started = true;
    call->sending = true; /* for ever, once it is the status */
    if (call->unsent_count > 0) {
        ops[count++] = send_message(call->unsent[call->unsent_first % RPC_UNSENT_MAX], call->unsent_count > 1);
        start_counted(call, ops, count, &call->sent);
    } else {
        ops[count++] = send_status(call, &call->status);
        start_counted(call, ops, count, &call->finished);
    }
}

/* An operation is done; the last one after the close tells the owner. Called without the lock, after the owner has
 * heard of the operation itself. */
static void operation_done(struct rpc_call *call)
{
    lock(call);
    bool last = --call->operations == 0 && call->over;
    call->told_closed |= last;
    unlock(call);
    if (last) {
        call->stream->closed(call->state);
        rpc_release(call);
    }
}

static void on_sent(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = OWNER(tag, sent);
    lock(call);
    grpc_byte_buffer_destroy(call->unsent[call->unsent_first % RPC_UNSENT_MAX]);
    call->unsent_first++;
    call->unsent_count--;
    call->sending = false;
    if (ok)
        send_next(call);
    unlock(call);
    if (ok)
        call->stream->sent(call->state);
    operation_done(call);
}

static void on_received(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = OWNER(tag, received);
    grpc_byte_buffer *incoming = call->incoming;
    call->incoming = NULL;
    struct rpc_message *m = message_view(incoming);
    if (m || (ok && !incoming))
        call->stream->message(call->state, m);
    else if (incoming)
        rpc_finish(call, &(struct tm_error){TM_UNIMPLEMENTED, "compressed message; expected an uncompressed one"});
    if (incoming)
        grpc_byte_buffer_destroy(incoming);
    operation_done(call);
}

static void on_finished(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    operation_done(OWNER(tag, finished));
}

static void on_closed(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = OWNER(tag, closed);
    (void)ok;
    lock(call);
    call->over = true;
    count_handled(call, call->recv_cancelled ? CANCELED : tm_code_grpc(call->status.code));
    unlock(call);
    operation_done(call);
}

static void on_kicked(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = OWNER(tag, kicked);
    (void)ok;
    atomic_store(&call->kick_pending, false);
    if (!call->told_closed) /* only ever set on this thread */
        call->stream->woken(call->state);
    rpc_release(call);
}

void rpc_stream_begin(struct rpc_call *call, const struct rpc_stream *callbacks, void *state)
{
    grpc_op op = receive_close(call); /* on its own: it completes when the call ends */
    lock(call);
    call->stream = callbacks;
    call->state = state;
    start_counted(call, &op, 1, &call->closed);
    unlock(call);
}

void rpc_read(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->incoming;
    lock(call);
    if (!call->over)
        start_counted(call, &op, 1, &call->received);
    unlock(call);
}

void rpc_send(struct rpc_call *call, struct buffer *body)
{
    lock(call);
    CHECK(call->unsent_count < RPC_UNSENT_MAX);
    if (call->over || call->ending) {
        buffer_close(body);
    } else {
        call->unsent[(call->unsent_first + call->unsent_count++) % RPC_UNSENT_MAX] = body_take(body);
        send_next(call);
    }
    unlock(call);
}

uint32_t rpc_unsent(struct rpc_call *call)
{
    lock(call);
    uint32_t count = call->unsent_count;
    unlock(call);
    return count;
}

void rpc_finish(struct rpc_call *call, const struct tm_error *why)
{
    lock(call);
    if (!call->over && !call->ending) {
        call->ending = true;
        if (why)
            call->status = *why;
        send_next(call);
    }
    unlock(call);
}

void rpc_wake(struct rpc_call *call)
{
    if (atomic_exchange(&call->kick_pending, true))
        return;
    lock(call);
    if (!call->over) {
        rpc_hold(call);
        start(call, NULL, 0, &call->kicked); /* an empty batch posts its tag to the call's own queue */
    }
    unlock(call);
}

/* ---- birth ---- */

struct rpc_call *rpc_call_new(struct rpc_worker *worker, const struct rpc_method *method, struct rpc_stats *stats)
{
    struct rpc_call *call = mem_new(1, sizeof *call);
    rpc_call_count(worker->rpc, 1);
    call->worker = worker;
    call->method = method;
    call->stats = stats;
    call->answered.run = on_answered;
    call->watched.run = on_watched;
    call->received.run = on_received;
    call->sent.run = on_sent;
    call->finished.run = on_finished;
    call->closed.run = on_closed;
    call->kicked.run = on_kicked;
    call->status_text = grpc_empty_slice();
    atomic_init(&call->refs, 1);
    CHECK(pthread_mutex_init(&call->mutex, NULL) == 0);
    grpc_metadata_array_init(&call->metadata);
    grpc_call_details_init(&call->details);
    return call;
}

/* A method that nobody added. */
static void refuse_method(struct rpc_call *call)
{
    const grpc_slice *slice = &call->details.method;
    struct bytes path = bytes_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
    int shown = path.size > 200 ? 200 : (int)path.size;
    struct tm_error err;
    if (rpc_is_declared(call->worker->rpc, path))
        tm_error_set(&err, TM_UNIMPLEMENTED, "not built yet: %.*s is declared, but this server does not do it", shown,
                     (const char *)path.data);
    else
        tm_error_set(&err, TM_UNIMPLEMENTED, "%.*s: no such method", shown, (const char *)path.data);
    rpc_fail(call, &err);
}

void rpc_call_begin(struct rpc_call *call)
{
    struct tm_error err;
    call->began_ns = clock_monotonic_ns();
    atomic_fetch_add_explicit(&call->stats->started, 1, memory_order_relaxed);
    if (!call->method) {
        refuse_method(call);
        return;
    }
    call->request_view = message_view(call->request);
    if (!call->method->client_streams && !call->request_view) {
        tm_error_set(&err, TM_INVALID_ARGUMENT, "no request; expected one uncompressed message");
        rpc_fail(call, &err);
        return;
    }
    call->method->start(call->method->service, call,
                        call->request_view ? call->request_view->bytes : (struct bytes){0});
}
