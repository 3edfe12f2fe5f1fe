/* client/settle.h - after an end mark: wait until everything is applied and durable, and every window is decided.
 *
 * Errors   TM_DEADLINE_EXCEEDED when nothing moved for timeout_ms; meanwhile a line tells who holds what back.
 * Threads  one. */
#ifndef TIDEMILL_CLIENT_SETTLE_H
#define TIDEMILL_CLIENT_SETTLE_H

#include "base/error.h"
#include "client/progress.h"

struct settle {
    const char *server, *client; /* client: ours, which holds nothing back any more */
    bool decided;                /* wait for windows too */
    int64_t newest;              /* event time, ms: the newest that must be decided */
    int64_t timeout_ms;
    struct progress *progress;
};

enum tm_code settle_wait(const struct settle *s, struct tm_error *err);

#endif
