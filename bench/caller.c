#include "bench/caller.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_MAX = 64 << 20, CONNECT_MS = 10000, SILENCE_MS = 60000, ENDED_BY_FAILURE = 1 };

#define OWNER(tag, type, field) ((type *)(void *)((char *)(tag)-offsetof(type, field)))

struct tag {
    void (*run)(struct tag *tag, bool ok);
};

struct connection {
    grpc_channel *channel;
    const char *method[CALLER_METHODS_MAX]; /* registered ones, by address of the name */
    void *registered[CALLER_METHODS_MAX];
};

struct caller {
    grpc_completion_queue *queue;
    struct connection connection[CALLER_CONNECTIONS_MAX];
    uint32_t connections, next;
};

/* What a call of either kind ends with. */
struct ending {
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
};

struct unary {
    struct tag tag;
    grpc_call *call;
    struct ending ending;
    grpc_byte_buffer *request, *reply;
    const char *method;
    caller_done *done;
    void *context;
};

struct outgoing {
    grpc_byte_buffer *message;
    struct outgoing *next;
};

struct caller_stream {
    struct tag began, sent, received, ended;
    struct caller *caller;
    grpc_call *call;
    struct ending ending;
    struct outgoing *first, **last;
    grpc_byte_buffer *incoming;
    uint32_t operations; /* under way */
    bool sending, closing;
    const char *method;
    caller_heard *heard;
    void *context;
};

/* ---- connections ---- */

static void ignore_log(gpr_log_func_args *args) { (void)args; }

static grpc_arg number(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static gpr_timespec in_ms(int64_t ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

static void connect_to(struct caller *c, struct connection *to, int port)
{
    char target[32];
    grpc_arg args[] = {number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MESSAGE_MAX), number(GRPC_ARG_ENABLE_RETRIES, 0),
                       number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1)};
    snprintf(target, sizeof target, "127.0.0.1:%d", port);
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    to->channel = grpc_channel_create(target, plain, &(grpc_channel_args){ARRAY_LEN(args), args});
    grpc_channel_credentials_release(plain);
    for (;;) {
        grpc_connectivity_state state = grpc_channel_check_connectivity_state(to->channel, 1);
        if (state == GRPC_CHANNEL_READY)
            return;
        grpc_channel_watch_connectivity_state(to->channel, state, in_ms(CONNECT_MS), c->queue, NULL);
        if (!grpc_completion_queue_next(c->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).success)
            stop(ENDED_BY_FAILURE, "%s: no connection within %d ms", target, CONNECT_MS);
    }
}

struct caller *caller_open(int port, uint32_t connections)
{
    struct caller *c = mem_new(1, sizeof *c);
    CHECK(connections >= 1 && connections <= CALLER_CONNECTIONS_MAX);
    gpr_set_log_function(ignore_log);
    grpc_init();
    c->queue = grpc_completion_queue_create_for_next(NULL);
    for (; c->connections < connections; c->connections++)
        connect_to(c, &c->connection[c->connections], port);
    return c;
}

void caller_close(struct caller *c)
{
    for (uint32_t i = 0; i < c->connections; i++)
        grpc_channel_destroy(c->connection[i].channel);
    grpc_completion_queue_shutdown(c->queue);
    while (grpc_completion_queue_next(c->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type != GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(c->queue);
    grpc_shutdown();
    free(c);
}

bool caller_turn(struct caller *c, int64_t timeout_ms)
{
    /* A deadline is rounded up to a millisecond, so "now" would wait for one. */
    gpr_timespec until = timeout_ms ? in_ms(timeout_ms) : gpr_inf_past(GPR_CLOCK_MONOTONIC);
    grpc_event e = grpc_completion_queue_next(c->queue, until, NULL);
    if (e.type != GRPC_OP_COMPLETE)
        return false;
    struct tag *tag = e.tag;
    tag->run(tag, e.success != 0);
    return true;
}

void caller_wait(struct caller *c)
{
    if (!caller_turn(c, SILENCE_MS))
        stop(ENDED_BY_FAILURE, "the server has not answered for %d s", SILENCE_MS / 1000);
}

/* ---- calls ---- */

static void *registered(struct connection *to, const char *method)
{
    for (int i = 0; i < CALLER_METHODS_MAX; i++) {
        if (!to->method[i]) {
            to->method[i] = method;
            to->registered[i] = grpc_channel_register_call(to->channel, method, NULL, NULL);
        }
        if (strcmp(to->method[i], method) == 0)
            return to->registered[i];
    }
    stop(ENDED_BY_FAILURE, "%s: more than %d methods", method, CALLER_METHODS_MAX);
}

static grpc_call *call_new(struct caller *c, const char *method)
{
    struct connection *to = &c->connection[c->next++ % c->connections];
    grpc_call *call =
        grpc_channel_create_registered_call(to->channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->queue,
                                            registered(to, method), gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    CHECK(call);
    return call;
}

static void start(grpc_call *call, const grpc_op *ops, size_t count, struct tag *tag)
{
    CHECK(grpc_call_start_batch(call, ops, count, tag, NULL) == GRPC_CALL_OK);
}

static void ending_open(struct ending *e)
{
    e->details = grpc_empty_slice();
    grpc_metadata_array_init(&e->initial);
    grpc_metadata_array_init(&e->trailing);
}

static void ending_close(struct ending *e)
{
    grpc_slice_unref(e->details);
    grpc_metadata_array_destroy(&e->initial);
    grpc_metadata_array_destroy(&e->trailing);
}

static grpc_op receive_initial(struct ending *e)
{
    grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = &e->initial;
    return op;
}

static grpc_op receive_status(struct ending *e)
{
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &e->trailing;
    op.data.recv_status_on_client.status = &e->status;
    op.data.recv_status_on_client.status_details = &e->details;
    return op;
}

static grpc_op receive_message(grpc_byte_buffer **into)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = into;
    return op;
}

static grpc_op send_message(grpc_byte_buffer *message)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = message;
    return op;
}

static void demand_ok(const char *method, const struct ending *e)
{
    if (e->status != GRPC_STATUS_OK)
        stop(ENDED_BY_FAILURE, "%s: status %d: %.*s", method, (int)e->status, (int)GRPC_SLICE_LENGTH(e->details),
             (const char *)GRPC_SLICE_START_PTR(e->details));
}

/* Show a message to whoever waits for it, then free it. */
static void show(grpc_byte_buffer *message, void (*see)(void *context, struct bytes bytes), void *context)
{
    grpc_byte_buffer_reader reader;
    CHECK(grpc_byte_buffer_reader_init(&reader, message));
    grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
    see(context, bytes_of(GRPC_SLICE_START_PTR(whole), GRPC_SLICE_LENGTH(whole)));
    grpc_slice_unref(whole);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(message);
}

static void nothing(void *memory) { (void)memory; }

static void on_answered(struct tag *tag, bool ok)
{
    struct unary *u = OWNER(tag, struct unary, tag);
    CHECK(ok);
    demand_ok(u->method, &u->ending);
    CHECK(u->reply);
    show(u->reply, u->done, u->context);
    grpc_byte_buffer_destroy(u->request);
    ending_close(&u->ending);
    grpc_call_unref(u->call);
    free(u);
}

void caller_call(struct caller *c, const char *method, struct bytes request, caller_done *done, void *context)
{
    struct unary *u = mem_new(1, sizeof *u);
    grpc_slice slice = grpc_slice_new_with_user_data((void *)(uintptr_t)request.data, request.size, nothing, u);
    *u = (struct unary){.tag.run = on_answered, .method = method, .done = done, .context = context};
    u->request = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    ending_open(&u->ending);
    u->call = call_new(c, method);
    grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA}, send_message(u->request),   {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        receive_initial(&u->ending),           receive_message(&u->reply), receive_status(&u->ending)};
    start(u->call, ops, ARRAY_LEN(ops), &u->tag);
}

struct asking {
    struct buffer *reply;
    bool answered;
};

static void asked(void *context, struct bytes reply)
{
    struct asking *a = context;
    if (a->reply)
        buffer_put(a->reply, reply.data, reply.size);
    a->answered = true;
}

void caller_ask(struct caller *c, const char *method, struct bytes request, struct buffer *reply)
{
    struct asking a = {.reply = reply};
    caller_call(c, method, request, asked, &a);
    while (!a.answered)
        caller_wait(c);
}

/* ---- streams ---- */

static void stream_start(struct caller_stream *s, grpc_op op, struct tag *tag)
{
    s->operations++;
    start(s->call, &op, 1, tag);
}

static void send_first(struct caller_stream *s)
{
    if (s->sending || !s->first || s->closing)
        return;
    s->sending = true;
    stream_start(s, send_message(s->first->message), &s->sent);
}

static void drop_first(struct caller_stream *s)
{
    struct outgoing *o = s->first;
    s->first = o->next;
    if (!s->first)
        s->last = &s->first;
    grpc_byte_buffer_destroy(o->message);
    free(o);
}

static void on_began(struct tag *tag, bool ok)
{
    (void)ok; /* the status will say why not */
    OWNER(tag, struct caller_stream, began)->operations--;
}

static void on_sent(struct tag *tag, bool ok)
{
    struct caller_stream *s = OWNER(tag, struct caller_stream, sent);
    s->operations--;
    s->sending = false;
    drop_first(s);
    if (ok)
        send_first(s);
}

static void on_received(struct tag *tag, bool ok)
{
    struct caller_stream *s = OWNER(tag, struct caller_stream, received);
    grpc_byte_buffer *message = s->incoming;
    s->operations--;
    s->incoming = NULL;
    if (!message || !ok) /* no more will come */
        return;
    show(message, s->heard, s->context);
    stream_start(s, receive_message(&s->incoming), &s->received);
}

static void on_ended(struct tag *tag, bool ok)
{
    struct caller_stream *s = OWNER(tag, struct caller_stream, ended);
    (void)ok;
    s->operations--;
    if (!s->closing)
        demand_ok(s->method, &s->ending);
}

struct caller_stream *caller_stream_open(struct caller *c, const char *method, caller_heard *heard, void *context)
{
    struct caller_stream *s = mem_new(1, sizeof *s);
    *s = (struct caller_stream){.began.run = on_began,
                                .sent.run = on_sent,
                                .received.run = on_received,
                                .ended.run = on_ended,
                                .caller = c,
                                .last = &s->first,
                                .method = method,
                                .heard = heard,
                                .context = context};
    ending_open(&s->ending);
    s->call = call_new(c, method);
    grpc_op begin[] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, receive_initial(&s->ending)};
    s->operations++;
    start(s->call, begin, ARRAY_LEN(begin), &s->began);
    stream_start(s, receive_status(&s->ending), &s->ended);
    stream_start(s, receive_message(&s->incoming), &s->received);
    return s;
}

void caller_stream_send(struct caller_stream *s, struct buffer *message)
{
    struct outgoing *o = mem_new(1, sizeof *o);
    CHECK(message->size > 0);
    grpc_slice slice = grpc_slice_new_with_user_data(message->data, message->size, free, message->data);
    o->message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    *message = (struct buffer){0};
    *s->last = o;
    s->last = &o->next;
    send_first(s);
}

void caller_stream_close(struct caller_stream *s)
{
    s->closing = true;
    grpc_call_cancel(s->call, NULL);
    while (s->operations > 0)
        caller_wait(s->caller);
    while (s->first)
        drop_first(s);
    ending_close(&s->ending);
    grpc_call_unref(s->call);
    free(s);
}
