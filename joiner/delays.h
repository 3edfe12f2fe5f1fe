/* joiner/delays.h - how long the actions of one stream take: counts of (action time - impression time) by size.
 *
 * What for  a window is chosen from this distribution: of a window W the share up to W is in the first labels, the rest
 *           comes as corrections.
 * Buckets   delays up to a bound, the bound included, for the DELAY_BOUNDS durations of delay_bounds[]: three or four
 *           per octave from 1 ms to 30 days, at durations that people choose (1s, 90s, 20m, 6h...), so that counts up
 *           to such a duration are exact. In front of them one for actions whose time lies before their impression's
 *           (clocks differ), behind them one for what is longer than 30 days.
 * Memory    fixed, no pointers; {0} is empty. Two are added up bucket by bucket, in any order.
 * Cost      a look-up and four comparisons an action.
 * Threads   plain counters of one owner, copied as a whole.
 * Errors    only in decoding: the reader is bad then. */
#ifndef TIDEMILL_JOINER_DELAYS_H
#define TIDEMILL_JOINER_DELAYS_H

#include "base/bytes.h"

enum {
    DELAY_BOUNDS = 95,
    DELAY_BEFORE = 0,                /* bucket of delays below 0 */
    DELAY_LONGER = DELAY_BOUNDS + 1, /* bucket i in between: up to delay_bounds[i - 1] */
    DELAY_BUCKETS,
    DELAY_OCTAVE_MAX = 4, /* bounds from a power of 2 to below the next, at most */
    DELAY_UNKNOWN = -1,
};

extern const int64_t delay_bounds[DELAY_BOUNDS + DELAY_OCTAVE_MAX]; /* ms, ascending; behind them INT64_MAX */

struct delays {
    uint64_t bucket[DELAY_BUCKETS];
    uint64_t sum_ms; /* those before their impression count as 0 */
};

void delays_add(struct delays *d, int64_t delay_ms);
void delays_merge(struct delays *sum, const struct delays *d);
uint64_t delays_count(const struct delays *d);

/* How many took at most `ms`; exact at a bound, else as if a bucket were evenly filled. */
double delays_within(const struct delays *d, int64_t ms);

/* The least bound that at least this share (0 to 1) of all did not exceed; 0: of actions before their impression alone.
 * `unseen` more took longer than all that were counted. DELAY_UNKNOWN: there are none, or it lies among the unseen, or
 * behind the last bound. */
int64_t delays_quantile(const struct delays *d, uint64_t unseen, double share);

/* Sparse: u8 number of buckets that are not 0; for each its number u8 and count u64, ascending; sum u64. */
void delays_encode(const struct delays *d, struct buffer *out);
void delays_decode(struct reader *r, struct delays *out);

#endif
