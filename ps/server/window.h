/* ps/server/window.h - Admin.SampleWindow: how long actions take, and what each join.window would mean.
 *
 * The reply is computed from one copy of the shards' counters (engine_window()); about twenty rows and at most
 * DELAY_BUCKETS buckets per action stream. Answered at once.
 * Threads  any; constant after window_open(). */
#ifndef TIDEMILL_PS_SERVER_WINDOW_H
#define TIDEMILL_PS_SERVER_WINDOW_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

struct window;

struct window *window_open(struct engine *engine, struct rpc *rpc); /* adds its method */
void window_close(struct window *w);                                /* after rpc_stop() */

#endif
