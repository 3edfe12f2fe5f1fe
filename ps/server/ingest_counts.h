/* ps/server/ingest_counts.h - what came in, through which door, and what was refused: for metrics.
 *
 * Threads  any; relaxed additions, once a batch. */
#ifndef TIDEMILL_PS_SERVER_INGEST_COUNTS_H
#define TIDEMILL_PS_SERVER_INGEST_COUNTS_H

#include "ps/server/door.h"

enum ingest_door { INGEST_GRPC, INGEST_HTTP, INGEST_RANKING /* Rank and Reward, over either */, INGEST_DOORS };

struct ingest_counts {
    struct {
        _Atomic uint64_t batches, repeated, events;
    } door[INGEST_DOORS];
    _Atomic uint64_t rejected[DOOR_FIELD_COUNT]; /* events, by what was wrong */
    _Atomic uint64_t refused[TM_CODE_COUNT];     /* opens and batches as a whole */
};

/* A submission that the log has answered. batch: of a SUBMIT_BATCH, what the door made of it; else not looked at. */
void ingest_count(struct ingest_counts *c, enum ingest_door door, const struct submission *s,
                  const struct door_batch *batch);
/* Something the door refused as a whole. */
void ingest_count_refused(struct ingest_counts *c, enum tm_code why);

#endif
