/* ps/server/admin.h - tidemill.v1.Admin: how is it going, and what takes longer. Versions: versions.h.
 *
 * Status   answered at once. Drain, Digest and Export wait for disks and shards, JoinRules for changes of the join, so
 *          they are operations (operations.h). Export streams (export.h); a reader that takes nothing is given up,
 *          since it holds up whoever comes behind it.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_ADMIN_H
#define TIDEMILL_PS_SERVER_ADMIN_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

struct admin;

struct admin *admin_open(struct engine *engine, struct rpc *rpc); /* adds its methods */
/* Have run(request, call) answer the call on the operations thread; request is freed behind it. When no more can wait,
 * or the server is leaving, the call is refused instead. */
void admin_later(struct admin *a, struct rpc_call *call, void *request,
                 void (*run)(void *request, struct rpc_call *call));
void admin_drain(struct admin *a); /* exports end with UNAVAILABLE, and so does what waits */
void admin_close(struct admin *a); /* after rpc_stop() */

#endif
