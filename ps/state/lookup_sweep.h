/* ps/state/lookup_sweep.h - which rows of tables nobody can need any more.
 *
 * A row is superseded when its key has a newer one, by (time, position), that every shard already sees for every
 * impression it may still decide: with time <= decided_before and position < synced, the time and the place of the
 * shard that a crash would set back furthest. All others stay, those that delete, too: a row of an earlier time may
 * still come, and must not show through.
 * Order    rows are looked at in their stored order, those of a key together and the newest first; a walk may be cut
 *          anywhere and goes on behind `row`.
 * Memory   a plain value. Threads: pure. */
#ifndef TIDEMILL_PS_STATE_LOOKUP_SWEEP_H
#define TIDEMILL_PS_STATE_LOOKUP_SWEEP_H

#include "ps/state/lookup.h"

struct lookup_sweep {
    int64_t decided_before;
    uint64_t synced;
    uint8_t row[LOOKUP_ROW_SIZE]; /* looked at last; all 0: none yet */
    bool settled;                 /* what follows of its key is superseded */
    bool left;                    /* some key keeps several rows: time will supersede them */
};

/* The stored key of a row. Is it superseded? *bad: it is no row. */
bool lookup_sweep_row(struct lookup_sweep *s, struct bytes stored, bool *bad);

#endif
