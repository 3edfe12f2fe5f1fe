/* ps/server/caller.h - who asked, over gRPC or HTTP, and waits for one answer.
 *
 * Exactly one of reply and fail is called, once, now or later, from any thread. */
#ifndef TIDEMILL_PS_SERVER_CALLER_H
#define TIDEMILL_PS_SERVER_CALLER_H

#include "base/bytes.h"
#include "base/error.h"

struct caller {
    void *call;
    void (*reply)(void *call, struct buffer *body); /* a packed message; takes the body over */
    void (*fail)(void *call, const struct tm_error *why);
};

#endif
