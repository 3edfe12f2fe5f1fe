/* client/aside.h - what became of records that a server has taken, but no sample has learned from.
 *
 * Two looks at the counters of its streams, before and after, and the difference for people. The counters are
 * everybody's: other producers add to them.
 * Memory   a look is a message that the caller ends with wire_free.
 * Threads  any. */
#ifndef TIDEMILL_CLIENT_ASIDE_H
#define TIDEMILL_CLIENT_ASIDE_H

#include <protobuf-c/protobuf-c.h>

#include "client/progress.h"

/* The counters once all that was accepted is applied. *look stays NULL if the server does not tell. */
void aside_look(const char *server, int64_t timeout_ms, ProtobufCMessage **look);

/* A notice for each stream of which more records are late, or filtered, than before. */
void aside_tell(const ProtobufCMessage *before, const ProtobufCMessage *after, struct progress *p);

#endif
