/* ps/server/admin.h - tidemill.v1.Admin: how is it going, and what takes longer.
 *
 * Status   answered at once. Drain, Digest and Export wait for disks and shards, so one operations thread does them,
 *          one after the other; at most OPERATIONS_WAITING wait, more are RESOURCE_EXHAUSTED. Export streams
 *          (export.h); a reader that takes nothing is given up, since it holds up whoever comes behind it.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_ADMIN_H
#define TIDEMILL_PS_SERVER_ADMIN_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

enum { OPERATIONS_WAITING = 16 };

struct admin;

struct admin *admin_open(struct engine *engine, const struct catalog *catalog, struct rpc *rpc); /* adds its methods */
/* Have run(request, call) answer the call on the operations thread; request is freed behind it. When no more can wait,
 * or the server is leaving, the call is refused instead. */
void admin_later(struct admin *a, struct rpc_call *call, void *request,
                 void (*run)(void *request, struct rpc_call *call));
void admin_drain(struct admin *a); /* exports end with UNAVAILABLE, and so does what waits */
void admin_close(struct admin *a); /* after rpc_stop() */

#endif
