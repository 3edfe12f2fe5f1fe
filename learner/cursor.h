/* learner/cursor.h - the place of one version in the sample log of one shard, and what it learned on the way.
 *
 * The sample log numbers its samples without gaps. A version learns them in that order or jumps over a stretch; a
 * correction applies if and only if its original was learned, so the cursor keeps the learned sequences as intervals
 * [from, to): sorted, not empty, with a gap between any two (touching ones are merged), none beyond `next`.
 *
 * Memory   one flat value without pointers: assigning it is how a fork inherits what its parent learned.
 * Bounds   CURSOR_INTERVALS_MAX intervals. A new one begins only with the first sample after a jump, so whoever lets an
 *          operator jump refuses while `count` is at the limit; learning past it is a CHECK.
 * Threads  the shard's own. */
#ifndef TIDEMILL_LEARNER_CURSOR_H
#define TIDEMILL_LEARNER_CURSOR_H

#include "base/bytes.h"
#include "base/error.h"

enum { CURSOR_INTERVALS_MAX = 256 };

struct interval {
    uint64_t from, to; /* [from, to) */
};

struct cursor {
    uint64_t next;  /* the sequence to learn next */
    uint32_t count; /* intervals in use */
    struct interval learned[CURSOR_INTERVALS_MAX];
};

/* A version made when `head` is the next sequence of the log: nothing learned, nothing missed. */
void cursor_start(struct cursor *c, uint64_t head);

/* `sequence` was learned; it must be `next`. */
void cursor_learn(struct cursor *c, uint64_t sequence);

/* Everything up to `sequence` >= next was learned, or was made for versions this one does not listen to (nothing of
 * theirs is ever corrected here). */
void cursor_learn_through(struct cursor *c, uint64_t sequence);

/* Go on at `to` >= next; the stretch between counts as not learned. */
void cursor_skip(struct cursor *c, uint64_t to);

bool cursor_learned(const struct cursor *c, uint64_t sequence);

/* u64 next, u32 count, then u64 from, u64 to of each interval. Decoding refuses (TM_DATA_LOSS) what encoding never
 * writes and then leaves *c as it was. */
void cursor_encode(const struct cursor *c, struct buffer *out);
enum tm_code cursor_decode(struct cursor *c, struct reader *in, struct tm_error *err);

#endif
