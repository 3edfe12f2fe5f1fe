/* bench/traffic.h - made-up events sent over gRPC: lanes that are kept full, and acknowledged batches counted.
 *
 * Lane     one Ingest stream. Batches of TRAFFIC_BATCH events go to the lanes in turn, TRAFFIC_UNACKED under way in
 *          each; every eighth is followed by a watermark for each stream.
 * Order    the lanes together carry one sequence of events (bench/events.h); opening other lanes goes on with it.
 * Errors   a batch that is rejected, in part or in whole, ends the program.
 * Threads  one owner, that of the caller. */
#ifndef TIDEMILL_BENCH_TRAFFIC_H
#define TIDEMILL_BENCH_TRAFFIC_H

#include <stdatomic.h>

#include "bench/caller.h"
#include "bench/encode.h"

enum { TRAFFIC_LANES_MAX = 16, TRAFFIC_BATCH = 200, TRAFFIC_UNACKED = 32 };

struct traffic_lane {
    struct traffic *traffic;
    struct caller_stream *stream;
    uint64_t sent, acked; /* batches */
};

struct traffic {
    struct caller *caller;
    struct events events;
    struct traffic_lane lane[TRAFFIC_LANES_MAX];
    uint32_t lanes, next;
    uint32_t instances;   /* opened so far: each set of lanes is a new instance of one client */
    uint64_t sent, bytes; /* events; bytes of batches as messages */
    int64_t time;         /* of the newest event */
    bool records;         /* a batch is one record of as many items; then there must be impressions alone */
};

/* The events are t->events: open them before, close them behind. */
void traffic_open(struct traffic *t, struct caller *c, uint32_t lanes);
void traffic_close(struct traffic *t);

/* Send so many events as fast as they are acknowledged, wait for all acks, and say that time has come as far as the
 * last of them. */
void traffic_send(struct traffic *t, uint64_t events);

/* The same at `rate` a second, until somebody sets *over. */
void traffic_send_until(struct traffic *t, double rate, atomic_bool *over);

/* Everything sent is applied, committed and synced. */
void traffic_drain(struct traffic *t);

/* Every document of the first version has learned something, and nothing comes in any more. The documents are decided
 * once the samples behind them have moved time on by more than a window of 10 s. */
void traffic_learn(int port, uint32_t docs);

/* For lanes of one's own: messages as they are sent. */
void traffic_put_open(struct buffer *out, const char *client, uint32_t instance, const char *lane);
void traffic_put_watermark(struct buffer *out, const char *stream, int64_t time);
/* batch: sequence and events; it is emptied. */
void traffic_put_batch(struct buffer *out, struct buffer *batch);
void traffic_begin_batch(struct buffer *batch, uint64_t sequence);
void traffic_add_event(struct buffer *batch, struct bytes event);
/* A reply that is an ack of a whole batch; opened and the like are not. */
bool traffic_is_ack(struct bytes reply);

#endif
