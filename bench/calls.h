/* bench/calls.h - the same call again and again: so many under way, their latencies kept.
 *
 * Threads  one owner, that of the caller. */
#ifndef TIDEMILL_BENCH_CALLS_H
#define TIDEMILL_BENCH_CALLS_H

#include "bench/caller.h"

enum { CALLS_MAX = 20000, CALLS_INFLIGHT_MAX = 256 };

struct calls {
    struct caller *caller;
    const char *method;
    const struct buffer *requests; /* in turn */
    uint32_t requests_count;
    uint32_t started, finished, wanted;
    double us[CALLS_MAX]; /* latencies, as they come */
};

/* wanted <= CALLS_MAX, inflight <= CALLS_INFLIGHT_MAX and at most wanted. */
void calls_play(struct calls *c, uint32_t wanted, uint32_t inflight);

#endif
