/* base/histogram.h - how long things take: counts of durations by size, kept without a lock.
 *
 * Buckets  1, 2 and 5 times the powers of ten from 10 us to 100 s, upper bounds included, and one for what is longer.
 * Memory   fixed; {0} is an empty one.
 * Threads  any number observe and read at once. histogram_observe costs two relaxed additions and a search among 22
 *          bounds, so it is for blocks, commits and calls, not for single events. A copy is not of one moment; its
 *          count is the sum of its buckets, so that it is never at odds with itself. */
#ifndef TIDEMILL_BASE_HISTOGRAM_H
#define TIDEMILL_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 22, HISTOGRAM_BUCKETS = HISTOGRAM_BOUNDS + 1 };

struct histogram {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
};

struct histogram_copy {
    uint64_t cumulative[HISTOGRAM_BUCKETS]; /* observations up to each bound; the last one: all */
    double sum_seconds;
};

void histogram_observe(struct histogram *h, int64_t ns); /* below 0, as after a clock's jump, counts as 0 */
void histogram_copy(const struct histogram *h, struct histogram_copy *out);
const char *histogram_bound(unsigned bucket); /* "0.005", seconds; "+Inf" of the last one */

#endif
