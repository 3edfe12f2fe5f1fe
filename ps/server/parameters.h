/* ps/server/parameters.h - tidemill.v1.Parameters: what has been learned, for many documents at once.
 *
 * Pull     answered on the thread of its connection: scan the request, look up, pack; no allocation per document and
 *          no copy of the reply. A Pull that wants `at_least` a position that is not applied yet is parked; one thread
 *          waits for the engine and answers those whose turn has come, until their deadline (PULL_WAIT_MS when they
 *          have none, never more than PULL_WAIT_MAX_MS).
 * Bounds   ENGINE_PULL_DOCS_MAX documents a call, PULL_PARKED_MAX parked calls.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_PARAMETERS_H
#define TIDEMILL_PS_SERVER_PARAMETERS_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

enum { PULL_PARKED_MAX = 1024, PULL_WAIT_MS = 10000, PULL_WAIT_MAX_MS = 3600000 };

struct parameters;

/* Who asked, over gRPC or otherwise. Exactly one of reply and fail is called, once, now or later, from any thread. */
struct pull_caller {
    void *call;
    void (*reply)(void *call, struct buffer *body); /* a packed PullReply; takes the body over */
    void (*fail)(void *call, const struct tm_error *why);
    void (*watch)(void *call);           /* the answer will be late: from now on gone() is asked; NULL: not needed */
    bool (*gone)(void *call);            /* nobody waits for the answer any more; NULL: cannot be known */
    int64_t (*time_left_ms)(void *call); /* until the caller's deadline; INT64_MAX: it has none */
};

/* request: a packed PullRequest, which lives until the answer. */
void parameters_pull(struct parameters *p, const struct pull_caller *caller, struct bytes request);
uint32_t parameters_parked(struct parameters *p); /* Pulls that wait for their position */

struct parameters *parameters_open(struct engine *engine, struct rpc *rpc); /* adds its methods */
void parameters_drain(struct parameters *p); /* parked calls end with UNAVAILABLE, and so do those that would park */
void parameters_close(struct parameters *p); /* after rpc_stop() */

#endif
