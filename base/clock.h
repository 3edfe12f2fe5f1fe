/* base/clock.h - the only places where the project asks what time it is, and how times are written.
 *
 * Units    milliseconds since 1970-01-01 UTC in int64_t, as in events; monotonic times are nanoseconds.
 * Threads  any. */
#ifndef TIDEMILL_BASE_CLOCK_H
#define TIDEMILL_BASE_CLOCK_H

#include "base/bytes.h"

enum { CLOCK_TEXT_SIZE = 32 };

int64_t clock_wall_ms(void);
int64_t clock_monotonic_ns(void);
int64_t clock_thread_cpu_ns(void);

#define NS_PER_MS INT64_C(1000000)
int64_t clock_ms_since(int64_t monotonic_ns);
/* The monotonic time at which a time-out is over; negative: INT64_MAX, never. */
int64_t clock_deadline_ns(int64_t timeout_ms);
void clock_sleep_ms(int64_t ms);

/* "2019-11-24T00:00:12.345Z", always UTC; returns buf. Times outside the years 0-9999 are written as a number. */
const char *clock_text(int64_t ms, char buf[static CLOCK_TEXT_SIZE]);

/* RFC 3339 with any offset and any number of fraction digits (cut to milliseconds). False: not such a time. */
bool clock_parse(struct bytes text, int64_t *ms);

#endif
