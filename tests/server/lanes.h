/* tests/server/lanes.h - producers: one thread for each lane of each client, that sends until all is acknowledged.
 *
 * Its call is cancelled now and then, by itself with batches on their way, and goes on behind the server's
 * last_sequence, as a client must; a server that leaves or is gone is tried again. What a server may not do is a
 * CHECK. */
#ifndef TIDEMILL_TESTS_SERVER_LANES_H
#define TIDEMILL_TESTS_SERVER_LANES_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/server/traffic.h"

struct lane {
    int port;
    uint32_t client;
    enum traffic_lane kind;
    pthread_t thread;
    uint64_t sent, acked; /* sequences, of what the server has */
    uint64_t sent_most;   /* in any call */
    uint64_t random;
    uint32_t calls, cancelled;
};

struct lanes {
    struct lane lane[TRAFFIC_CLIENTS * LANE_COUNT];
    atomic_uint_fast64_t acked;    /* batches, of all */
    atomic_uint_fast64_t position; /* of the newest ack */
};

/* Every producer is known before the first one sends: what an unknown one sends behind the others would be late. */
void lanes_start(struct lanes *l, int port);
void lanes_join(struct lanes *l); /* returns when everything is acknowledged */
void lanes_end(struct lanes *l);  /* every client says that it has sent all */

#endif
