/* ps/server/comparisons.h - Admin.CompareVersions: two versions compared from the samples that are kept.
 *
 * Bounds   one at a time, on a thread of its own, row by row: it holds up nobody but the next one. OPERATIONS_WAITING
 *          wait; more are RESOURCE_EXHAUSTED. Memory: ps/engine/comparison.h.
 * Ends     with the caller's deadline or when the caller goes, within one row; with UNAVAILABLE when the server leaves.
 *          Progress goes out once a second, and is left out for a caller that does not take it.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_COMPARISONS_H
#define TIDEMILL_PS_SERVER_COMPARISONS_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

enum { COMPARISONS_PROGRESS_MS = 1000 };

struct comparisons;

struct comparisons *comparisons_open(struct engine *engine, struct rpc *rpc); /* adds its method */
void comparisons_drain(struct comparisons *s);
void comparisons_close(struct comparisons *s); /* after rpc_stop() */

#endif
