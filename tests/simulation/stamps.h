/* tests/simulation/stamps.h - what the server's own events must be stamped with, and that none is late by the server's
 * own hand.
 *
 * The rule is that of ps/state/server_lane.h, told naively: the wall clock, never going back, and a stream that the
 * lane sends is never further than that clock. A crash may lose what the lane had asserted since its last durable
 * event, so after one its clock is known to lie between two times.
 * Errors   mismatch(), as everywhere here. */
#ifndef TIDEMILL_TESTS_SIMULATION_STAMPS_H
#define TIDEMILL_TESTS_SIMULATION_STAMPS_H

#include "tests/simulation/history.h"

struct stamps {
    int64_t wall, low, high; /* low <= the lane's clock <= high */
    int64_t sent_ms;         /* by the log writer's clock; of any stream */
    uint32_t declared;       /* bit set: streams that it sent in this life */
    uint32_t held;           /* of them, those that were not ahead of it in a block behind: they stay so */
};

struct stamp {
    int64_t low, high; /* of a batch as it was taken */
    int64_t seen;      /* in the log; WATERMARK_NONE: not yet */
};

void stamps_open(struct stamps *s);
void stamps_tell(struct stamps *s, int64_t wall);
void stamps_gone(struct stamps *s); /* the lane was refused, or forgotten */
/* newest_durable: WATERMARK_NONE: none is; forgotten: the lane may be, with all that it asserted. */
void stamps_crash(struct stamps *s, int64_t newest_durable, bool forgotten);

/* A block was sealed while the lane could not have been forgotten. */
void stamps_sealed(struct stamps *s, const struct sequencer *q);

/* A batch of these streams is about to be taken. */
struct stamp stamps_take(struct stamps *s, uint32_t streams, int64_t now_ms);

/* One of its events is in the log. */
void stamp_see(struct stamp *s, int64_t time);

#endif
