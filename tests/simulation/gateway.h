/* tests/simulation/gateway.h - clients with their lanes, and the log writer with a disk that can lose what was not
 * synced.
 *
 * A lane behaves as the client library does: it connects (open answers the last sequence), sends batches one after
 * the other, keeps what was not acknowledged, and sends it again when the call broke. A batch carries its number in
 * every event's payload, so that the log itself tells how often it came in.
 * A write is {block, rows of producers}, atomic; a crash keeps all that was synced and any number of writes behind
 * it. */
#ifndef TIDEMILL_TESTS_SIMULATION_GATEWAY_H
#define TIDEMILL_TESTS_SIMULATION_GATEWAY_H

#include "tests/simulation/history.h"
#include "tests/simulation/memory_store.h"
#include "tests/simulation/stamps.h"

struct batch {
    uint32_t lane, instance; /* lane NOBODY: the server's own */
    uint64_t sequence;
    uint32_t first, count; /* of the world's events */
    uint32_t streams;      /* that there were when it was made */
    uint32_t sent;         /* events of it that were not dropped */
    bool acked;
    uint64_t position; /* of the ack */
    uint32_t seen;     /* events of it in the log */
    struct stamp stamp;
};

struct lane {
    uint32_t instance;
    bool connected;
    uint64_t last;    /* newest sequence that it gave to a batch */
    int64_t heard_ms; /* when it sent what was last acknowledged: the server remembers it at least from there */
};

struct call { /* a submission with all that it points to */
    struct submission sub;
    struct submission_event *events;
    struct buffer wires, shared, control;
    uint32_t lane, batch; /* NOBODY: none */
    int64_t taken_ms;
};

struct write {
    struct buffer block;
    struct memory_table puts, removes;
    struct call **call;
    uint32_t calls;
};

struct gateway {
    const struct world *world;
    struct history *history;
    struct sequencer *sequencer;
    struct memory_table rows; /* synced */
    int64_t now_ms;
    struct stamps stamps;
    struct lane lane[WORLD_LANES_MAX];
    uint32_t instances[WORLD_LANES_MAX]; /* per client, the newest */
    struct batch *batch;
    uint32_t batches;
    struct call **taken; /* since the last seal */
    uint32_t n_taken;
    struct write *write; /* sealed, not synced */
    uint32_t writes;
    uint32_t created; /* versions in the log or on their way */
    uint32_t stage;   /* of the join, as configured */
    uint32_t streams; /* of that stage */
};

void gateway_open(struct gateway *g, const struct world *w, struct history *h); /* join and first version are synced */
void gateway_close(struct gateway *g);
void gateway_act(struct gateway *g, const struct act *a); /* everything but HAND_OVER, COMMIT, SYNC, CRASH */
void gateway_crash(struct gateway *g, uint32_t writes_that_survive);
void gateway_finish(struct gateway *g); /* seal, sync, then check that the log holds every acked batch exactly once */

#endif
