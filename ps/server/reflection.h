/* ps/server/reflection.h - grpc.reflection.v1 and v1alpha: tools ask which services there are, and get their .proto
 * files.
 *
 * Questions  files by name and by symbol (services, methods, messages, enums, nested ones) are answered with the file
 *            and all it imports; services are listed; no message here has extensions, so there are none to find. What
 *            is not there is an answer with NOT_FOUND, not the end of the call.
 * Bounds     REFLECTION_CALLS_MAX calls, of one question at a time: the next one is read when the answer has left.
 *            A longer question than REFLECTION_REQUEST_MAX ends the call, and what is none does.
 * Threads    any. */
#ifndef TIDEMILL_PS_SERVER_REFLECTION_H
#define TIDEMILL_PS_SERVER_REFLECTION_H

#include "proto/descriptors.h"
#include "ps/server/rpc.h"

enum { REFLECTION_CALLS_MAX = 64 };

struct reflection;

/* Adds its methods; descriptors must outlive it. */
struct reflection *reflection_open(const struct descriptors *descriptors, struct rpc *rpc);
void reflection_drain(struct reflection *r); /* no more calls; those that are open end */
void reflection_close(struct reflection *r); /* after rpc_stop() */

#endif
