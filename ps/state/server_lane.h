/* ps/state/server_lane.h - the server as a producer of its own: the events that Rank and Reward make.
 *
 * Their time is the log writer's clock, so nobody has to say how far they have come: the lane asserts the clock in
 * every stream that it sends, with each block, and each SERVER_LANE_STEP_MS while there are none. So an impression that
 * was ranked is decided when its window is over, whether or not anybody calls again, and since the lane is never behind
 * the clock it holds back nobody who is not ahead of it. All of it goes into the log as punctuations: a replay reads no
 * clock.
 *
 * Clock    the wall clock, but never going back: while that is behind, it stands, over a restart too.
 * Streams  one is declared by its first event in it, as a client's is. So before the first Reward of a stream nothing
 *          is known to be without one.
 * Life     one row in the table of producers, under a key that no client can have: its client and instance are empty.
 *          It has no sequence; it goes after producer_retain_ms without an event, not after producer_timeout_ms.
 * Threads  pure; the sequencer's. */
#ifndef TIDEMILL_PS_STATE_SERVER_LANE_H
#define TIDEMILL_PS_STATE_SERVER_LANE_H

#include "ps/state/roster.h"

enum { SERVER_LANE_STEP_MS = 1000 };

struct server_lane {
    int64_t clock_ms; /* WATERMARK_NONE: nobody has told the time yet */
    int64_t told_ms;  /* up to where it has asserted */
};

static inline void server_lane_open(struct server_lane *lane)
{
    *lane = (struct server_lane){WATERMARK_NONE, WATERMARK_NONE};
}

/* The wall clock says so. */
void server_lane_tell(struct server_lane *lane, const struct roster *r, int64_t wall_ms);

/* Events of these streams (a bit set) come, stamped lane->clock_ms. False: the table of producers is full. */
bool server_lane_send(const struct server_lane *lane, struct roster *r, uint32_t streams, int64_t now_ms);

/* Assert the clock, if the lane is there and live; if_due: only a step after the last time. */
void server_lane_advance(struct server_lane *lane, struct roster *r, bool if_due);

#endif
