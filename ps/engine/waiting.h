/* ps/engine/waiting.h - what waiting for decisions costs: how many impressions come per second of event time, and how
 * many bytes a key takes while it waits. Measured from the copies of its counters that a shard makes at each commit.
 *
 *   expected bytes at a window = impressions per second x window x bytes per undecided key
 *
 * Rate      of what was decided (joiner_pace()), over the last half to full hour of event time; while a start has seen
 *           less, over what it has seen. When nothing more comes, it stays what it was.
 * Bytes     of all that was taken since the start, so that the figure does not depend on how many keys wait just now. A
 *           commit's records stay in memory until the last of them is decided: in a fast replay, where one commit
 *           brings more than a window, more is kept than waits.
 * Unknown   0, until impressions of different times were decided. Not stored: a start
 *           measures anew.
 * Threads   plain; the committer's mutex guards it. */
#ifndef TIDEMILL_PS_ENGINE_WAITING_H
#define TIDEMILL_PS_ENGINE_WAITING_H

#include "joiner/joiner.h"

enum { WAITING_STRETCH_MS = 1800000 };

struct waiting_mark {
    int64_t time;         /* event time, ms */
    uint64_t impressions; /* decided up to there */
};

struct waiting {
    struct waiting_mark from, half, now; /* impressions 0: none yet */
    uint64_t taken, bytes;               /* impressions, and what they took */
};

void waiting_observe(struct waiting *w, const struct joiner_pace *pace);
double waiting_rate(const struct waiting *w); /* impressions per second of event time */

#endif
