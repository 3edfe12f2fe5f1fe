/* learner/tally.h - raw counts of learned samples, and what is left of a sample after some time: shared by all models.
 *
 * Units    times in ms of event time; shares in [0, 1].
 * Bound    a counter sticks at UINT32_MAX, in both directions: who has forgotten how far it went does not come back. */
#ifndef TIDEMILL_LEARNER_TALLY_H
#define TIDEMILL_LEARNER_TALLY_H

#include <math.h>

#include "learner/model.h"

/* The share of a sample of time t that is left at `now`. Times are subtracted as doubles: exact for every date of
 * interest and defined for the others. */
static inline double tally_remaining(double decay_per_ms, int64_t now, int64_t t)
{
    return decay_per_ms > 0 && now > t ? exp(-decay_per_ms * ((double)now - (double)t)) : 1;
}

static inline bool tally_positive(const struct example *x) { return x->reward >= 0.5; }

static inline void tally_in(uint32_t *count)
{
    if (*count < UINT32_MAX)
        ++*count;
}

static inline void tally_out(uint32_t *count)
{
    CHECK(*count > 0); /* a correction of something that was never learned */
    if (*count < UINT32_MAX)
        --*count;
}

#endif
