#include "client/connection.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"

enum {
    KEEPALIVE_MS = 30000,
    KEEPALIVE_TIMEOUT_MS = 10000,
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 1000,
    CONNECT_MS = 5000
};

struct connection {
    grpc_channel *channel;
    char server[256]; /* for messages */
};

/* What a completion stands for: the address of a member of struct duplex. */
enum operation { OP_START, OP_STATUS, OP_SEND, OP_FINISH, OP_RECEIVE, OP_COUNT };

struct duplex {
    struct connection *connection;
    const ProtobufCMessageDescriptor *reply_type;
    grpc_completion_queue *queue;
    grpc_call *call;
    bool pending[OP_COUNT];
    char tag[OP_COUNT]; /* only the addresses matter */
    bool broken;        /* a send failed: the status will say why */
    bool drained;       /* no more messages will come */
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    grpc_byte_buffer *outgoing, *incoming;
};

static void ignore_log(gpr_log_func_args *args) { (void)args; }

static grpc_arg arg_int(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

struct connection *connection_open(const char *server)
{
    static bool quiet;
    struct connection *c = mem_new(1, sizeof *c);
    grpc_arg args[] = {
        arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, CONNECTION_RECEIVE_MAX),
        arg_int(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        arg_int(GRPC_ARG_ENABLE_RETRIES, 0), /* who calls knows better what may be sent twice */
        arg_int(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        arg_int(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
        arg_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
        arg_int(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_MS),
        arg_int(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS), /* in truth how long one attempt may take */
        arg_int(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS),
    };
    if (!quiet) /* what matters of gRPC's log comes as a status */
        gpr_set_log_function(ignore_log);
    quiet = true;
    grpc_init();
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    c->channel = grpc_channel_create(server, plain, &(grpc_channel_args){ARRAY_LEN(args), args});
    grpc_channel_credentials_release(plain);
    CHECK(c->channel);
    snprintf(c->server, sizeof c->server, "%s", server);
    return c;
}

void connection_close(struct connection *c)
{
    if (!c)
        return;
    grpc_channel_destroy(c->channel);
    grpc_shutdown();
    free(c);
}

static gpr_timespec deadline_in(int64_t timeout_ms)
{
    if (timeout_ms < 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}

/* A batch that is refused at once was ours to get right. */
static void start(struct duplex *d, enum operation which, const grpc_op *ops, size_t count)
{
    CHECK(!d->pending[which]);
    CHECK(grpc_call_start_batch(d->call, ops, count, &d->tag[which], NULL) == GRPC_CALL_OK);
    d->pending[which] = true;
}

static void start_receive(struct duplex *d)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &d->incoming;
    start(d, OP_RECEIVE, &op, 1);
}

struct duplex *duplex_open(struct connection *c, const char *method, const ProtobufCMessageDescriptor *reply_type,
                           int64_t timeout_ms)
{
    struct duplex *d = mem_new(1, sizeof *d);
    grpc_op begin[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    grpc_slice path = grpc_slice_from_copied_string(method);
    d->connection = c;
    d->reply_type = reply_type;
    d->details = grpc_empty_slice();
    grpc_metadata_array_init(&d->initial);
    grpc_metadata_array_init(&d->trailing);
    d->queue = grpc_completion_queue_create_for_next(NULL);
    d->call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, d->queue, path, NULL,
                                       deadline_in(timeout_ms), NULL);
    grpc_slice_unref(path);
    CHECK(d->call);
    begin[1].data.recv_initial_metadata.recv_initial_metadata = &d->initial;
    end.data.recv_status_on_client.trailing_metadata = &d->trailing;
    end.data.recv_status_on_client.status = &d->status;
    end.data.recv_status_on_client.status_details = &d->details;
    start(d, OP_START, begin, 2);
    start(d, OP_STATUS, &end, 1);
    start_receive(d);
    return d;
}

void duplex_close(struct duplex *d)
{
    if (!d)
        return;
    grpc_call_cancel(d->call, NULL);
    grpc_completion_queue_shutdown(d->queue);
    while (grpc_completion_queue_next(d->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type != GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_byte_buffer_destroy(d->outgoing);
    grpc_byte_buffer_destroy(d->incoming);
    grpc_slice_unref(d->details);
    grpc_metadata_array_destroy(&d->initial);
    grpc_metadata_array_destroy(&d->trailing);
    grpc_call_unref(d->call);
    grpc_completion_queue_destroy(d->queue);
    free(d);
}

bool duplex_can_send(const struct duplex *d) { return !d->pending[OP_SEND] && !d->pending[OP_FINISH] && !d->broken; }

void duplex_send(struct duplex *d, struct bytes message)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)message.data, message.size);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    CHECK(duplex_can_send(d));
    grpc_byte_buffer_destroy(d->outgoing);
    d->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    op.data.send_message.send_message = d->outgoing;
    start(d, OP_SEND, &op, 1);
}

void duplex_finish(struct duplex *d)
{
    CHECK(duplex_can_send(d));
    start(d, OP_FINISH, &(grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, 1);
}

/* The status of a call that has ended. */
static enum tm_code status_code(const struct duplex *d, struct tm_error *err)
{
    const char *server = d->connection->server;
    int size = (int)GRPC_SLICE_LENGTH(d->details);
    const char *words = (const char *)GRPC_SLICE_START_PTR(d->details);
    enum tm_code code = tm_code_from_grpc((int)d->status);
    if (code == TM_OK)
        return TM_OK;
    if (code == TM_UNAVAILABLE && size && memmem(words, (size_t)size, "Connection refused", 18))
        return tm_error_set(err, code, "nothing listens at %s: is `tidemill serve` running?", server);
    if (code == TM_UNAVAILABLE)
        return tm_error_set(err, code, "server %s: %.*s", server, size, words);
    return tm_error_set(err, code, "%.*s", size, size ? words : "");
}

static enum tm_code take_message(struct duplex *d, ProtobufCMessage **message, struct tm_error *err)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, d->incoming))
        return tm_error_set(err, TM_IO, "server %s: a reply that cannot be decompressed", d->connection->server);
    grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
    struct bytes wire = bytes_of(GRPC_SLICE_START_PTR(whole), GRPC_SLICE_LENGTH(whole));
    *message = wire_unpack(d->reply_type, wire, CONNECTION_RECEIVE_MAX, err);
    grpc_slice_unref(whole);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(d->incoming);
    d->incoming = NULL;
    return *message ? TM_OK : tm_error_wrap(err, "server %s: reply", d->connection->server);
}

/* A message came, or none will come any more. */
static enum tm_code received(struct duplex *d, enum duplex_event *event, ProtobufCMessage **message,
                             struct tm_error *err)
{
    if (!d->incoming) {
        d->drained = true;
        return TM_OK;
    }
    enum tm_code rc = take_message(d, message, err);
    if (rc != TM_OK)
        return rc;
    start_receive(d);
    *event = DUPLEX_MESSAGE;
    return TM_OK;
}

enum tm_code duplex_next(struct duplex *d, int64_t timeout_ms, enum duplex_event *event, ProtobufCMessage **message,
                         struct tm_error *err)
{
    /* gRPC rounds what is left of a deadline up to a millisecond: who does not want to wait must name the past. */
    gpr_timespec until = timeout_ms == 0 ? gpr_inf_past(GPR_CLOCK_MONOTONIC) : deadline_in(timeout_ms);
    enum tm_code rc = TM_OK;
    *event = DUPLEX_NOTHING;
    while (rc == TM_OK && *event == DUPLEX_NOTHING) {
        if (d->drained && !d->pending[OP_STATUS]) { /* everything received before the end was handed out */
            *event = DUPLEX_ENDED;
            return status_code(d, err);
        }
        grpc_event done = grpc_completion_queue_next(d->queue, until, NULL);
        if (done.type != GRPC_OP_COMPLETE)
            return TM_OK;
        enum operation which = (enum operation)((char *)done.tag - d->tag);
        d->pending[which] = false;
        if (which == OP_RECEIVE)
            rc = received(d, event, message, err);
        else if (which == OP_SEND && done.success)
            *event = DUPLEX_SENT;
        else if (which == OP_SEND)
            d->broken = true;
    }
    return rc;
}

enum tm_code connection_call(struct connection *c, const char *method, const ProtobufCMessage *request,
                             const ProtobufCMessageDescriptor *reply_type, int64_t timeout_ms, ProtobufCMessage **reply,
                             struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    struct duplex *d = duplex_open(c, method, reply_type, timeout_ms);
    ProtobufCMessage *found = NULL, *message = NULL;
    enum duplex_event event = DUPLEX_NOTHING;
    enum tm_code rc = TM_OK;
    wire_pack(request, &packed);
    duplex_send(d, buffer_view(&packed));
    while (rc == TM_OK && event != DUPLEX_ENDED) {
        rc = duplex_next(d, -1, &event, &message, err);
        if (rc == TM_OK && event == DUPLEX_SENT)
            duplex_finish(d);
        if (rc == TM_OK && event == DUPLEX_MESSAGE) {
            wire_free(found);
            found = message;
        }
    }
    duplex_close(d);
    if (rc == TM_OK && !found)
        rc = tm_error_set(err, TM_IO, "server %s: ended %s without a reply", c->server, method);
    if (rc == TM_OK)
        *reply = found;
    else
        wire_free(found);
    return rc;
}
