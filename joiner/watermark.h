/* joiner/watermark.h - how far has a stream of one producer come, as far as its event times tell?
 *
 * Meaning  a watermark w says: every event with time < w has been sent. WATERMARK_NONE: nothing is known yet.
 * Measured highest event time after dropping the top max(1, 1 %) of the last 1,024, minus out_of_orderness: one mad
 * clock moves nothing. With a single event there is nothing left, hence no watermark.
 * A watermark never goes back.
 * Threads  pure; one owner. */
#ifndef TIDEMILL_JOINER_WATERMARK_H
#define TIDEMILL_JOINER_WATERMARK_H

#include "base/bytes.h"

enum { WATERMARK_RECENT = 1024 };
#define WATERMARK_NONE INT64_MIN

struct watermark {
    int64_t value; /* WATERMARK_NONE until known */
    uint32_t seen; /* filled places of recent, then WATERMARK_RECENT */
    uint32_t next; /* place of the next time in recent */
    int64_t recent[WATERMARK_RECENT];
};

void watermark_open(struct watermark *w);
void watermark_see(struct watermark *w, int64_t time);
/* Once per batch, not per event: selects in the last 1,024 times. */
void watermark_measure(struct watermark *w, int64_t out_of_orderness_ms);

#endif
