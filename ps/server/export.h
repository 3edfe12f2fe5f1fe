/* ps/server/export.h - Admin.Export: every parameter of a version, streamed as fast as the reader takes it.
 *
 * Threads  export_begin and the stream's callbacks run on the call's thread, export_run on the operations thread: it
 *          gathers rows into a reply, and waits when EXPORT_UNSENT replies have not left.
 * Memory   an export lives until its stream is closed and its run has returned. */
#ifndef TIDEMILL_PS_SERVER_EXPORT_H
#define TIDEMILL_PS_SERVER_EXPORT_H

#include <stdatomic.h>

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

enum { EXPORT_ROWS = 1000, EXPORT_UNSENT = 4, EXPORT_STALL_MS = 30000 };

struct export;

/* stop: when it becomes true, the export ends with UNAVAILABLE. */
struct export *export_begin(struct engine *engine, const struct version *v, struct rpc_call *call,
                            const atomic_bool *stop);
void export_run(struct export *x);                                /* sends everything and ends the call */
void export_refuse(struct export *x, const struct tm_error *why); /* instead of export_run */

#endif
