/* client/progress.h - how far a long command is, told on standard error: a line that is drawn over on a terminal, a
 * plain line every five seconds elsewhere.
 *
 * Threads  one. Units: bytes, and what `unit` says; times are monotonic nanoseconds. */
#ifndef TIDEMILL_CLIENT_PROGRESS_H
#define TIDEMILL_CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool quiet; /* problems only */
    bool terminal;
    bool drawn; /* the cursor stands behind a line that may be drawn over */
    int64_t started_ns, shown_ns;
    const char *unit; /* what is counted: "events" */
};

void progress_start(struct progress *p, bool quiet);

/* bytes_total 0: not known. Cheap to call often. */
void progress_show(struct progress *p, uint64_t bytes, uint64_t bytes_total, uint64_t count);

/* A line of its own, control characters escaped: a notice (not when quiet), or a problem (always). */
void progress_notice(struct progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_problem(struct progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Take the drawn line away. */
void progress_clear(struct progress *p);

#endif
