#include "tests/server/lanes.h"

#include <stdio.h>
#include <time.h>

#include "proto/wire.h"
#include "tests/transport/transport.h"
#include "tests/unit/random.h"
#include "tidemill/v1/events.pb-c.h"

enum { IN_FLIGHT = 6, CANCEL_ONE_IN = 60, REPLY_MAX = 1 << 16 };

static const char method[] = "/tidemill.v1.Events/Ingest";

static struct lanes *all; /* whose totals every lane adds to */

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

/* The caller ends the reply with wire_free. NULL: the call is over. */
static Tidemill__V1__IngestReply *read_reply(struct grpc_call *call)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    struct tm_error err;
    if (!transport_read(call, &reply))
        return NULL;
    Tidemill__V1__IngestReply *r =
        (void *)wire_unpack(&tidemill__v1__ingest_reply__descriptor, buffer_view(&reply), REPLY_MAX, &err);
    CHECK(r);
    return r;
}

static bool say(struct grpc_call *call, const struct buffer *message)
{
    return transport_write(call, buffer_view(message));
}

/* Open, and hear where to go on. False: the call is over. */
static bool open_lane(struct lane *lane, struct grpc_call *call)
{
    CLEANUP(buffer_close) struct buffer message = {0};
    traffic_open(lane->client, lane->kind, &message);
    if (!say(call, &message))
        return false;
    Tidemill__V1__IngestReply *r = read_reply(call);
    if (!r)
        return false;
    CHECK(r->opened);
    uint64_t last = r->opened->last_sequence;
    CHECK(last >= lane->acked && last <= lane->sent_most); /* what was acknowledged is there, and nothing is made up */
    lane->sent = last;
    wire_free(&r->base);
    return true;
}

/* Batches up to `last` are in although their acks were lost. */
static void acknowledge(struct lane *lane, uint64_t last)
{
    atomic_fetch_add(&all->acked, last - lane->acked);
    lane->acked = last;
}

static bool hear_ack(struct lane *lane, struct grpc_call *call)
{
    Tidemill__V1__IngestReply *r = read_reply(call);
    if (!r)
        return false;
    /* It may be repeated: the cancelled call's batches were still on their way to the log when this one began. */
    CHECK(r->ack && r->ack->sequence == lane->acked + 1 && r->ack->durable && r->ack->n_rejected == 0);
    uint64_t before = atomic_load(&all->position);
    while (before < r->ack->position && !atomic_compare_exchange_weak(&all->position, &before, r->ack->position))
        continue;
    acknowledge(lane, lane->acked + 1);
    wire_free(&r->base);
    return true;
}

/* False: the call is over, or was cancelled. */
static bool turn(struct lane *lane, struct grpc_call *call)
{
    CLEANUP(buffer_close) struct buffer message = {0};
    while (lane->sent < TRAFFIC_BATCHES && lane->sent - lane->acked < IN_FLIGHT) {
        traffic_batch(lane->client, lane->kind, lane->sent + 1, &message);
        if (!say(call, &message))
            return false;
        lane->sent++;
        lane->sent_most = lane->sent > lane->sent_most ? lane->sent : lane->sent_most;
    }
    if (below(&lane->random, CANCEL_ONE_IN) == 0) {
        lane->cancelled++;
        transport_cancel(call);
        return false;
    }
    return hear_ack(lane, call);
}

static void session(struct lane *lane)
{
    struct tm_error status;
    struct grpc_call *call =
        transport_call(lane->port, (uint32_t)below(&lane->random, 8), method, NULL, TRANSPORT_NO_DEADLINE);
    if (!call) {
        pause_ms(2);
        return;
    }
    lane->calls++;
    bool runs = open_lane(lane, call);
    if (runs)
        acknowledge(lane, lane->sent);
    while (runs && lane->acked < TRAFFIC_BATCHES)
        runs = turn(lane, call);
    if (runs) {
        transport_half_close(call);
        runs = read_reply(call) == NULL;
    }
    enum tm_code code = transport_end(call, &status);
    if (code != TM_OK && code != TM_UNAVAILABLE) {
        fprintf(stderr, "client%u/%s: %s\n", lane->client, traffic_streams[lane->kind], status.message);
        CHECK(!"another end of an Ingest call");
    }
}

static void *run(void *context)
{
    struct lane *lane = context;
    while (lane->acked < TRAFFIC_BATCHES)
        session(lane);
    return NULL;
}

/* A call that opens the lane, says `message` behind it if there is one, and waits for its answer. */
static void call_once(struct lane *lane, const struct buffer *message)
{
    struct tm_error status;
    struct grpc_call *call = transport_call(lane->port, 0, method, NULL, TRANSPORT_NO_DEADLINE);
    CHECK(call && open_lane(lane, call));
    if (message) {
        CHECK(say(call, message));
        Tidemill__V1__IngestReply *r = read_reply(call);
        CHECK(r && r->ended);
        wire_free(&r->base);
    }
    transport_half_close(call);
    CHECK(!read_reply(call) && transport_end(call, &status) == TM_OK);
}

void lanes_start(struct lanes *l, int port)
{
    all = l;
    for (uint32_t i = 0; i < ARRAY_LEN(l->lane); i++) {
        l->lane[i] = (struct lane){
            .port = port, .client = i / LANE_COUNT, .kind = (enum traffic_lane)(i % LANE_COUNT), .random = i + 1};
        call_once(&l->lane[i], NULL);
    }
    for (uint32_t i = 0; i < ARRAY_LEN(l->lane); i++)
        CHECK(pthread_create(&l->lane[i].thread, NULL, run, &l->lane[i]) == 0);
}

void lanes_join(struct lanes *l)
{
    for (uint32_t i = 0; i < ARRAY_LEN(l->lane); i++)
        CHECK(pthread_join(l->lane[i].thread, NULL) == 0);
}

void lanes_end(struct lanes *l)
{
    CLEANUP(buffer_close) struct buffer message = {0};
    traffic_end(&message);
    for (uint32_t i = 0; i < ARRAY_LEN(l->lane); i++)
        call_once(&l->lane[i], &message);
}
