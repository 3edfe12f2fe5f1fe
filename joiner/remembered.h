/* joiner/remembered.h - how much is remembered of decided samples, by event time, and what is given up when that is
 * too much.
 *
 * Bytes   logical ones, what a sample and its actions take in a run, so that the same samples are given up whatever
 *         commits, merges and restarts do. They are counted by stretches of event time, `width` each.
 * Bound   above `most` whole stretches go, the oldest first, until the rest fits: `from` is the end of the last one
 *         that went, but never behind the gate: of the stretch that the gate is in goes what was decided so far.
 *         Nothing in front of `from` is remembered any more; nothing from the gate on is decided, so none of it need
 *         be.
 * Gate    behind all that is decided: where positives are decided at once, the newest of them. What is not decided yet
 *         and lies in front of `from` then is decided all the same, and not remembered.
 * Memory  24 bytes for each stretch between expiry and gate, a few dozen mostly. Threads: one owner. */
#ifndef TIDEMILL_JOINER_REMEMBERED_H
#define TIDEMILL_JOINER_REMEMBERED_H

#include "base/bytes.h"

struct remembered_stretch {
    int64_t number; /* from number * width on */
    uint64_t bytes, samples;
};

struct remembered {
    int64_t width, from; /* INT64_MIN: nothing was given up yet */
    uint64_t bytes;      /* of all stretches */
    struct remembered_stretch *stretch;
    size_t count, capacity; /* by number */
};

void remembered_open(struct remembered *r, int64_t width);
void remembered_close(struct remembered *r);

/* So many bytes, and samples, at this time; given up at once if it is in front of `from`. */
void remembered_add(struct remembered *r, int64_t time, uint64_t bytes, uint64_t samples);

/* Forget the stretches in front of expiry, then give up what is too much. Every sample told of is from before the gate.
 * Returns the samples that were given up. */
uint64_t remembered_trim(struct remembered *r, int64_t expiry, int64_t gate, uint64_t most);

void remembered_encode(const struct remembered *r, struct buffer *out);
void remembered_decode(struct remembered *r, struct reader *in); /* after open; in->bad: it makes no sense */

#endif
