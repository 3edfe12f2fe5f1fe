/* ps/server/versions.h - the versions' part of tidemill.v1.Admin: create, list, show, pause, resume.
 *
 * List and show are answered at once. What appends a control record waits for its sync and for all shards, so it is an
 * operation (operations.h) of a queue of its own: a pause must not wait behind somebody's export.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_VERSIONS_H
#define TIDEMILL_PS_SERVER_VERSIONS_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

struct versions;

struct versions *versions_open(struct engine *engine, struct rpc *rpc); /* adds its methods */
void versions_drain(struct versions *v);                                /* what waits or comes ends with UNAVAILABLE */
void versions_close(struct versions *v);                                /* after rpc_stop() */

#endif
