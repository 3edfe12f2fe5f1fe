/* The server: who listens where, slots that wait for calls, calls that wait for slots, and the end of it all. */
#include <stdlib.h>

#include "tests/transport/core.h"

enum { METHODS_MAX = 64, QUEUES_MAX = 16, SERVERS_MAX = 8, FIRST_FREE_PORT = 40000 };

/* One grpc_server_request_call: where the server wants the next call to be put. */
struct slot {
    grpc_call **call;
    gpr_timespec *deadline;       /* registered methods */
    grpc_byte_buffer **payload;   /* registered, unary */
    grpc_call_details *details;   /* methods that are not registered */
    grpc_completion_queue *queue; /* both the call's and the tag's */
    void *tag;
    struct slot *next;
};

struct method {
    char *path; /* NULL: all that are not registered */
    struct slot *slots[QUEUES_MAX];
    struct grpc_call *waiting[QUEUES_MAX]; /* the first that came is the first to go */
};

struct grpc_server {
    int port;
    grpc_completion_queue *queue[QUEUES_MAX];
    uint32_t queues;
    struct method method[METHODS_MAX]; /* [0]: all that are not registered */
    uint32_t methods;

    pthread_mutex_t mutex; /* guards what follows, and the slots and waiting calls */
    struct grpc_call *calls;
    bool started, leaving;
    grpc_completion_queue *tell_queue; /* of grpc_server_shutdown_and_notify */
    void *tell_tag;
};

static struct {
    pthread_mutex_t mutex;
    grpc_server *server[SERVERS_MAX];
} listening = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const struct tm_error leaving = {TM_UNAVAILABLE, "the server has stopped"};

/* ---- making one ---- */

grpc_server *grpc_server_create(const grpc_channel_args *args, void *reserved)
{
    grpc_server *s = mem_new(1, sizeof *s);
    CHECK(args && !reserved);
    s->methods = 1;
    CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
    return s;
}

void grpc_server_register_completion_queue(grpc_server *s, grpc_completion_queue *queue, void *reserved)
{
    CHECK(!reserved && s->queues < QUEUES_MAX);
    s->queue[s->queues++] = queue;
}

void *grpc_server_register_method(grpc_server *s, const char *path, const char *host,
                                  grpc_server_register_method_payload_handling payload, uint32_t flags)
{
    CHECK(!host && !flags && s->methods < METHODS_MAX);
    CHECK(payload == GRPC_SRM_PAYLOAD_NONE || payload == GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER);
    struct method *m = &s->method[s->methods++];
    m->path = strdup(path);
    CHECK(m->path);
    return m;
}

int grpc_server_add_http2_port(grpc_server *s, const char *address, grpc_server_credentials *credentials)
{
    const char *colon = strrchr(address, ':');
    CHECK(colon && !credentials);
    s->port = (int)strtol(colon + 1, NULL, 10);
    core_lock(&listening.mutex);
    int place = 0;
    while (place < SERVERS_MAX && listening.server[place])
        place++;
    CHECK(place < SERVERS_MAX);
    if (s->port == 0)
        s->port = FIRST_FREE_PORT + place;
    for (int i = 0; i < SERVERS_MAX; i++)
        if (listening.server[i] && listening.server[i]->port == s->port)
            s->port = 0;
    if (s->port)
        listening.server[place] = s;
    core_unlock(&listening.mutex);
    return s->port;
}

void grpc_server_start(grpc_server *s)
{
    core_lock(&s->mutex);
    s->started = true;
    core_unlock(&s->mutex);
}

/* ---- calls meet slots ---- */

/* Under the server's mutex: the slot's owner hears of the call, and has the server's reference from now on. */
static void hand_over(struct slot *slot, struct grpc_call *call)
{
    core_lock(&call->mutex);
    call->queue = slot->queue;
    if (slot->payload)
        *slot->payload = messages_take(&call->up);
    core_unlock(&call->mutex);
    *slot->call = call;
    if (slot->deadline)
        *slot->deadline = call->deadline;
    if (slot->details) {
        slot->details->method = grpc_slice_from_copied_string(call->path);
        slot->details->deadline = call->deadline;
    }
    transport_post(slot->queue, slot->tag, true);
    free(slot);
}

static void meet(struct method *m, uint32_t queue)
{
    while (m->slots[queue] && m->waiting[queue]) {
        struct grpc_call *call = m->waiting[queue];
        struct slot *slot = m->slots[queue];
        m->waiting[queue] = call->next_waiting;
        m->slots[queue] = slot->next;
        hand_over(slot, call);
    }
}

static grpc_call_error add_slot(grpc_server *s, struct method *m, const struct slot *wanted)
{
    uint32_t queue = 0;
    struct slot *slot = mem_new(1, sizeof *slot);
    *slot = *wanted;
    transport_announce(slot->queue);
    while (s->queue[queue] != slot->queue)
        CHECK(++queue < s->queues);
    core_lock(&s->mutex);
    if (s->leaving) {
        transport_post(slot->queue, slot->tag, false);
        free(slot);
    } else {
        slot->next = m->slots[queue];
        m->slots[queue] = slot;
        meet(m, queue);
    }
    core_unlock(&s->mutex);
    return GRPC_CALL_OK;
}

grpc_call_error grpc_server_request_registered_call(grpc_server *s, void *method, grpc_call **call,
                                                    gpr_timespec *deadline, grpc_metadata_array *metadata,
                                                    grpc_byte_buffer **payload, grpc_completion_queue *bound,
                                                    grpc_completion_queue *notified, void *tag)
{
    CHECK(metadata && bound == notified);
    return add_slot(s, method,
                    &(struct slot){.call = call, .deadline = deadline, .payload = payload, .queue = bound, .tag = tag});
}

grpc_call_error grpc_server_request_call(grpc_server *s, grpc_call **call, grpc_call_details *details,
                                         grpc_metadata_array *metadata, grpc_completion_queue *bound,
                                         grpc_completion_queue *notified, void *tag)
{
    CHECK(metadata && bound == notified);
    return add_slot(s, &s->method[0], &(struct slot){.call = call, .details = details, .queue = bound, .tag = tag});
}

static struct method *method_of(grpc_server *s, const char *path)
{
    for (uint32_t i = 1; i < s->methods; i++)
        if (strcmp(s->method[i].path, path) == 0)
            return &s->method[i];
    return &s->method[0];
}

/* Under the server's mutex. */
static void arrive(grpc_server *s, struct grpc_call *call)
{
    uint32_t queue = call->connection % s->queues;
    struct method *m = method_of(s, call->path);
    struct grpc_call **last = &m->waiting[queue];
    atomic_fetch_add(&call->references, 1); /* the server's */
    call->server = s;
    call->next = s->calls;
    if (s->calls)
        s->calls->previous = call;
    s->calls = call;
    while (*last)
        last = &(*last)->next_waiting;
    *last = call;
    meet(m, queue);
}

/* Whoever listens is not destroyed before it has stopped to. */
bool transport_arrive(struct grpc_call *call, int port)
{
    bool taken = false;
    core_lock(&listening.mutex);
    for (int i = 0; i < SERVERS_MAX && !taken; i++) {
        grpc_server *s = listening.server[i];
        if (!s || s->port != port)
            continue;
        core_lock(&s->mutex);
        taken = s->started && !s->leaving;
        if (taken)
            arrive(s, call);
        core_unlock(&s->mutex);
    }
    core_unlock(&listening.mutex);
    return taken;
}

/* ---- the end ---- */

/* Under the server's mutex. */
static void tell_if_left(grpc_server *s)
{
    if (!s->leaving || s->calls || !s->tell_queue)
        return;
    transport_post(s->tell_queue, s->tell_tag, true);
    s->tell_queue = NULL;
}

void transport_call_over(struct grpc_call *call)
{
    grpc_server *s = call->server;
    core_lock(&s->mutex);
    *(call->previous ? &call->previous->next : &s->calls) = call->next;
    if (call->next)
        call->next->previous = call->previous;
    tell_if_left(s);
    core_unlock(&s->mutex);
}

static void fail_slots(struct method *m, uint32_t queue)
{
    for (struct slot *slot; (slot = m->slots[queue]) != NULL;) {
        m->slots[queue] = slot->next;
        transport_post(slot->queue, slot->tag, false);
        free(slot);
    }
}

/* Calls that no slot has taken. Their references are the caller's. */
static struct grpc_call *take_waiting(grpc_server *s)
{
    struct grpc_call *taken = NULL, **last = &taken;
    for (uint32_t m = 0; m < s->methods; m++)
        for (uint32_t q = 0; q < s->queues; q++) {
            *last = s->method[m].waiting[q];
            s->method[m].waiting[q] = NULL;
            while (*last)
                last = &(*last)->next_waiting;
        }
    return taken;
}

static void stop_listening(grpc_server *s)
{
    core_lock(&listening.mutex);
    for (int i = 0; i < SERVERS_MAX; i++)
        if (listening.server[i] == s)
            listening.server[i] = NULL;
    core_unlock(&listening.mutex);
}

void grpc_server_shutdown_and_notify(grpc_server *s, grpc_completion_queue *queue, void *tag)
{
    stop_listening(s);
    transport_announce(queue);
    core_lock(&s->mutex);
    s->leaving = true;
    s->tell_queue = queue;
    s->tell_tag = tag;
    for (uint32_t m = 0; m < s->methods; m++)
        for (uint32_t q = 0; q < s->queues; q++)
            fail_slots(&s->method[m], q);
    struct grpc_call *refused = take_waiting(s);
    tell_if_left(s);
    core_unlock(&s->mutex);
    for (struct grpc_call *call, *next = refused; (call = next) != NULL;) {
        next = call->next_waiting;
        transport_cancel_for(call, &leaving);
        transport_call_unref(call);
    }
}

void grpc_server_cancel_all_calls(grpc_server *s)
{
    uint32_t count = 0, i = 0;
    core_lock(&s->mutex);
    for (struct grpc_call *call = s->calls; call; call = call->next)
        count++;
    struct grpc_call **calls = mem_new(count, sizeof(struct grpc_call *));
    for (struct grpc_call *call = s->calls; call; call = call->next) {
        atomic_fetch_add(&call->references, 1);
        calls[i++] = call;
    }
    core_unlock(&s->mutex);
    for (i = 0; i < count; i++) {
        transport_cancel_for(calls[i], &leaving);
        transport_call_unref(calls[i]);
    }
    free(calls);
}

void grpc_server_destroy(grpc_server *s)
{
    core_lock(&s->mutex); /* whoever ended the last call has left it */
    CHECK(s->leaving && !s->calls);
    core_unlock(&s->mutex);
    for (uint32_t i = 1; i < s->methods; i++)
        free(s->method[i].path);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}
