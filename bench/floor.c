/* floor_server BYTES - the least that a server on our rpc door can do, as a process to measure against.
 *
 * Ingest reads every message, drops it, and acknowledges each batch with as many bytes as the real one; nothing is
 * parsed but what kind of message it is. Pull answers BYTES bytes to any request. So what it costs is gRPC, the kernel
 * and rpc.c; the rest of the real server's cost is ours. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/server/rpc.h"

enum { THREADS = 2, MEMORY = 320 << 20, GRACE_MS = 1000 }; /* as `tidemill serve` has them if not told otherwise */

/* ---- Ingest ---- */

/* Callbacks of a call come one at a time, so it needs no lock. */
struct lane {
    struct rpc_call *call;
    uint64_t batches;
    bool waits; /* for room to acknowledge the batch it has read */
};

static void acknowledge(struct lane *l)
{
    struct buffer ack = {0}, reply = {0};
    wire_put_integer(&ack, 1, ++l->batches);
    wire_put_integer(&ack, 2, l->batches * 200);
    wire_put_integer(&ack, 3, 1);
    wire_put_integer(&ack, 4, 0);
    wire_put_bytes(&reply, 2, buffer_view(&ack));
    buffer_close(&ack);
    rpc_send(l->call, &reply);
}

/* Acknowledge what waits and read on, if there is room. */
static void go_on(struct lane *l)
{
    if (rpc_unsent(l->call) == RPC_UNSENT_MAX)
        return;
    l->waits = false;
    acknowledge(l);
    rpc_read(l->call);
}

static void came(void *state, struct rpc_message *m)
{
    enum { REQUEST_BATCH_TAG = 2 << 3 | WIRE_BYTES };
    struct lane *l = state;
    struct bytes b = m ? rpc_message_bytes(m) : (struct bytes){0};
    if (!m) {
        rpc_finish(l->call, NULL);
    } else if (b.size && b.data[0] == REQUEST_BATCH_TAG) {
        l->waits = true;
        go_on(l);
    } else {
        rpc_read(l->call);
    }
    rpc_message_free(m);
}

static void sent(void *state)
{
    struct lane *l = state;
    if (l->waits)
        go_on(l);
}

static void woken(void *state) { (void)state; }

static void closed(void *state) { free(state); }

static void ingest(void *service, struct rpc_call *call, struct bytes request)
{
    static const struct rpc_stream callbacks = {.message = came, .sent = sent, .woken = woken, .closed = closed};
    struct lane *l = mem_new(1, sizeof *l);
    (void)service, (void)request;
    l->call = call;
    rpc_stream_begin(call, &callbacks, l);
    rpc_read(call);
}

/* ---- Pull ---- */

static void pull(void *service, struct rpc_call *call, struct bytes request)
{
    const struct buffer *filling = service;
    struct buffer body = {0};
    (void)request;
    buffer_put(&body, filling->data, filling->size);
    rpc_reply(call, &body);
}

int main(int argc, char **argv)
{
    struct buffer filling = {0};
    struct tm_error err;
    sigset_t set;
    int signal;
    if (argc != 2) {
        fprintf(stderr, "usage: floor_server BYTES\n");
        return 2;
    }
    filling.size = strtoul(argv[1], NULL, 10);
    filling.data = mem_new(filling.size + 1, 1);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    struct rpc *rpc =
        rpc_open(&(struct rpc_options){.listen = "127.0.0.1:0", .threads = THREADS, .memory_max = MEMORY});
    rpc_add(rpc, &(struct rpc_method){"/tidemill.v1.Events/Ingest", true, ingest, NULL});
    rpc_add(rpc, &(struct rpc_method){"/tidemill.v1.Parameters/Pull", false, pull, &filling});
    if (rpc_start(rpc, &err) != TM_OK)
        stop(err.code, "%s", err.message);
    printf("listen      127.0.0.1:%d\nready\n", rpc_port(rpc));
    fflush(stdout);
    CHECK(sigwait(&set, &signal) == 0);
    rpc_stop(rpc, GRACE_MS);
    rpc_close(rpc);
    buffer_close(&filling);
    return 0;
}
