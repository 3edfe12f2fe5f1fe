/* learner/cursor.h - the place of one version in the sample log of one shard, and what it learned on the way.
 *
 * The sample log numbers its samples without gaps. A version goes through them in that order: it learns a new sample,
 * skips it, or passes what is not its business (corrections; samples of versions it does not listen to). A correction
 * applies if and only if its original was learned, so the cursor keeps the learned sequences as intervals [from, to).
 * An interval goes on until a new sample is skipped: what is passed within it is never asked for.
 * Refused  what a version refuses for its features counts as learned here: a correction that brings others makes it one
 *          that is (ps/state/shard.h, Late).
 *
 * Gaps     between two intervals samples were skipped. Once nothing can correct them any more the gap is forgotten
 *          and its neighbours become one: whoever skips says up to which impression time (`until`, exclusive) the
 *          skipped samples reach; whoever learns says from which impression time on corrections still come (`horizon`).
 * Memory   one flat value without pointers: assigning it is how a fork inherits what its parent learned.
 * Bounds   CURSOR_INTERVALS_MAX intervals; see cursor_full(). When one more begins all the same, the oldest is given
 *          up: its samples count as not learned, so their corrections are skipped, never misapplied.
 * Threads  the shard's own. */
#ifndef TIDEMILL_LEARNER_CURSOR_H
#define TIDEMILL_LEARNER_CURSOR_H

#include "base/bytes.h"
#include "base/error.h"

enum { CURSOR_INTERVALS_MAX = 256 };

struct interval {
    uint64_t from, to; /* [from, to) */
    int64_t gap_until; /* what was skipped in front of it has impression times below */
};

struct cursor {
    uint64_t next;      /* the sequence to go on with */
    uint64_t discarded; /* new samples before it are not to be learned */
    bool skipped;       /* a new sample was skipped since the last one that was learned... */
    int64_t gap_until;  /* ...and the impression times of those skipped are below */
    uint32_t count;     /* intervals in use: sorted, not empty, with a gap between any two */
    struct interval learned[CURSOR_INTERVALS_MAX];
};

/* A version made when `head` is the next sequence of the log: nothing learned, nothing missed. */
void cursor_start(struct cursor *c, uint64_t head);

/* The sample `sequence` >= next was learned, skipped, or passed; everything between next and it was passed. */
void cursor_learn(struct cursor *c, uint64_t sequence, int64_t horizon);
void cursor_skip(struct cursor *c, uint64_t sequence, int64_t until);
void cursor_pass(struct cursor *c, uint64_t sequence);

/* All new samples from next to `head`, exclusive, will not be learned (some there are); next stays, for the corrections
 * among them. */
void cursor_discard(struct cursor *c, uint64_t head, int64_t until);
static inline bool cursor_discards(const struct cursor *c, uint64_t sequence) { return sequence < c->discarded; }

bool cursor_learned(const struct cursor *c, uint64_t sequence);

/* How many intervals would be left at this horizon; one more fits unless cursor_full(). A command that skips samples is
 * refused while it is. */
uint32_t cursor_intervals(const struct cursor *c, int64_t horizon);
static inline bool cursor_full(const struct cursor *c, int64_t horizon)
{
    return cursor_intervals(c, horizon) >= CURSOR_INTERVALS_MAX;
}

/* u64 next, u64 discarded, u8 skipped, i64 gap_until, u32 count, then u64 from, u64 to, i64 gap_until of each interval.
 * Decoding refuses (TM_DATA_LOSS) what encoding never writes and then leaves *c as it was. */
void cursor_encode(const struct cursor *c, struct buffer *out);
enum tm_code cursor_decode(struct cursor *c, struct reader *in, struct tm_error *err);

#endif
