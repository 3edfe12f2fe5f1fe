/* ps/server/health.h - grpc.health.v1.Health: is this server ready to be asked?
 *
 * Names    "" stands for the whole server, and the full name of every service; others are NOT_FOUND (Check) or
 *          SERVICE_UNKNOWN (Watch), as the protocol wants it.
 *          The whole serves as long as it answers: who only reads need not care that no events are taken.
 * Watch    the state at once, then when it changes; at most HEALTH_WATCHERS_MAX at a time.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_HEALTH_H
#define TIDEMILL_PS_SERVER_HEALTH_H

#include "ps/server/rpc.h"

enum { HEALTH_WATCHERS_MAX = 256 };

struct health;

struct health *health_open(struct rpc *rpc); /* adds its methods; SERVING from the first call on */
/* Events are taken, or not: then tidemill.v1.Events is NOT_SERVING, and the rest goes on. */
void health_events(struct health *h, bool taking);
/* NOT_SERVING from now on; every watcher hears it, and its call ends. */
void health_drain(struct health *h);
void health_close(struct health *h); /* after rpc_stop() */

#endif
