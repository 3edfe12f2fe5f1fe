/* ps/engine/waiting.h - what waiting for decisions costs: how many impressions come per second of event time, and how
 * many bytes a key takes while it waits. Measured from the copies of its counters that a shard makes at each commit.
 *
 *   expected bytes at a window = impressions per second x window x bytes per undecided key
 *
 * Rate      of what was decided (joiner_pace()), over the last half to full hour of event time; while a start has seen
 *           less, over what it has seen. When nothing more comes, it stays what it was.
 * Bytes     what one entry takes with its notes, index and timer, at the commit with the most undecided keys since the
 *           start: pools keep what they once needed, so a shard that has decided everything would tell nothing. And the
 *           bytes of records that came with each impression since the start: a commit's records stay in memory until
 *           the last of them is decided, so in a fast replay there may be more of them than wait.
 * Unknown   0, until impressions of different times were decided and something has waited at a commit. Not stored: a start
 *           measures anew.
 * Threads   plain; the committer's mutex guards it. */
#ifndef TIDEMILL_PS_ENGINE_WAITING_H
#define TIDEMILL_PS_ENGINE_WAITING_H

#include "ps/state/shard.h"

enum { WAITING_STRETCH_MS = 1800000 };

struct waiting_mark {
    int64_t time;         /* event time, ms */
    uint64_t impressions; /* decided up to there */
};

struct waiting {
    struct waiting_mark from, half, now; /* impressions 0: none yet */
    uint64_t undecided, entries;         /* of one commit: keys, and their bytes */
    uint64_t taken, stored;              /* impressions, and bytes of the records that came with them */
};

void waiting_observe(struct waiting *w, const struct shard_counts *c);
double waiting_rate(const struct waiting *w); /* impressions per second of event time */

/* Sums over shards, {0} at first. */
struct waiting_bytes {
    uint64_t undecided, entries, taken, stored;
};
void waiting_add_bytes(struct waiting_bytes *sum, const struct waiting *w);
double waiting_bytes_per_key(const struct waiting_bytes *sum);

#endif
