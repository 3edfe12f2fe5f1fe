/* client/batcher.h - the merged stream cut into numbered batches, the same way every time for the same files.
 *
 * That is what makes `ingest` resumable: a batch's number says which events it holds, so after a crash of either side
 * the server's last number is all one needs to know.
 * Bound    BATCH_EVENTS events and BATCH_BYTES bytes of them in a batch (one larger event stands alone).
 * Memory   a batch owns its request; batch_close() ends it. Threads: one. */
#ifndef TIDEMILL_CLIENT_BATCHER_H
#define TIDEMILL_CLIENT_BATCHER_H

#include "client/merge.h"

enum { BATCH_EVENTS = 1000, BATCH_BYTES = 512 << 10 };

struct batch {
    uint64_t sequence;
    struct buffer request; /* a packed IngestRequest */
    uint32_t events;
    int64_t newest;                          /* largest event time up to its end, of all batches; INT64_MIN: none */
    struct merge_place places[BATCH_EVENTS]; /* of each event, to name it when it is refused */
};

void batch_close(struct batch *b);

/* Called for each malformed record. */
typedef void batcher_report(void *context, const struct merge_place *place, const char *message);
/* Called for each event put into a batch, with its stream. */
typedef void batcher_taken(void *context, const char *stream);

struct batcher {
    struct merge *merge;
    uint32_t events_max; /* 1 to BATCH_EVENTS */
    batcher_report *report;
    batcher_taken *taken;
    void *context;
    /* private */
    uint64_t sequence; /* of the batch made last */
    int64_t newest;
    struct buffer body;       /* the Batch being filled */
    struct merge_record held; /* read, but not yet in a batch */
    bool holds;
};

void batcher_close(struct batcher *b); /* the merge stays the caller's */

/* Fill *batch, from where the last call left off.
 * MERGE_RECORD: it is full. MERGE_WAIT: nothing more for now; the batch may be sent as it is, or filled on.
 * MERGE_END: that was all. MERGE_FAILED: *err says why. A batch may end up without events: then it is none. */
enum merge_result batcher_fill(struct batcher *b, struct batch *batch, struct tm_error *err);

/* The batch is complete: its request is made, the next batcher_fill() starts another. */
void batcher_seal(struct batcher *b, struct batch *batch);

#endif
