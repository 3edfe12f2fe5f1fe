/* bench/events.h - a stream of made-up events in the order of event time, the same for the same seed.
 *
 * Per sample  optionally a features event, an impression at the same time, and with probability `clicks` one click,
 * delayed exponentially with mean window / 4, at most 3/2 windows: about 2 % of the clicks come behind the window.
 * Documents   Zipf (exponent 1) over EVENTS_DOCS, or one after the other over `docs`.
 * Rate        `live` samples come in one window: so many wait for their decision once a window has passed.
 * Memory      8 bytes for each sample of two windows. Threads: one owner. */
#ifndef TIDEMILL_BENCH_EVENTS_H
#define TIDEMILL_BENCH_EVENTS_H

#include "base/bytes.h"

enum { EVENTS_DOCS = 10000, EVENTS_WINDOW_MS = 10000 };

enum made_kind { MADE_FEATURES, MADE_IMPRESSION, MADE_CLICK, MADE_KINDS };

struct made {
    enum made_kind kind;
    int64_t time;
    uint64_t sample;             /* which one it belongs to, from 0 */
    uint32_t doc, user, version; /* version: 0 or 1 */
};

struct events {
    uint64_t live;
    double clicks;
    bool features;
    uint32_t docs;       /* 0: Zipf; this and the next may be set behind events_open() */
    bool one_version;    /* all samples are version 0's */
    int64_t start;       /* event time of the first sample */
    uint64_t next;       /* sample */
    bool features_made;  /* of it */
    uint64_t click_ring; /* samples in the two lists; a power of two */
    uint32_t *due;       /* by sample at which they are due: a sample with a click, low half + 1; 0: none */
    uint32_t *due_after; /* by sample with a click: the next one in its list */
    uint16_t *zipf;      /* document by quantile */
};

void events_open(struct events *e, uint64_t live, double clicks, bool features);
void events_close(struct events *e);
void events_next(struct events *e, struct made *out);

/* Well-mixed bits of a number. */
uint64_t events_mix(uint64_t x);

#endif
