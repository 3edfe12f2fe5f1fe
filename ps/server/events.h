/* ps/server/events.h - tidemill.v1.Events: streams of events come in, acks go back.
 *
 * Order    what a call sends is checked and submitted in order and answered in order: opened, acks, ended. What the
 *          log refuses (a gap) or the door cannot read ends the call with its status, behind the answers before it.
 * Threads  the thread of a connection only hands messages over and sends answers. One door thread checks events and
 *          submits them: it is the one that waits when the log's queue is full, so that calls of the same connection
 *          (Pulls, above all) never wait for the log. done() of a submission, on the log writer's thread, marks it and
 *          wakes its call.
 * Bounds   a call has at most INGEST_IN_FLIGHT messages or INGEST_BYTES_IN_FLIGHT (and one message more) that are not
 *          answered, all calls together the bytes of options.memory_inbox (and one message a call more). Who is above
 *          is not read, and flow control stops the producer. At most INGEST_CALLS_MAX calls.
 * Memory   a message is kept as gRPC gave it until its answer is sent; the submission's events are views into it. A
 *          call that ended lives on until the log has let go of its submissions. */
#ifndef TIDEMILL_PS_SERVER_EVENTS_H
#define TIDEMILL_PS_SERVER_EVENTS_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

enum { INGEST_IN_FLIGHT = 64, INGEST_BYTES_IN_FLIGHT = 8 << 20, INGEST_CALLS_MAX = 512 };

struct events;
struct ingest_counts;

struct events *events_open(struct engine *engine, struct rpc *rpc); /* adds its methods */
/* The log stands still, for want of room: every call ends at once with RESOURCE_EXHAUSTED, so that nobody waits in
 * silence. What was not answered is taken once there is room; `last_sequence` tells, as after every lost answer. */
void events_cut(struct events *e);
/* Read no more; every call is answered what it has submitted, then ends with UNAVAILABLE. */
void events_drain(struct events *e);
void events_close(struct events *e); /* after rpc_stop() */

/* What came through this door and any other: theirs is counted here, too. Lives as long as the service. */
struct ingest_counts *events_counts(struct events *e);
/* For metrics, as of now. */
uint32_t events_calls(struct events *e);
size_t events_bytes(struct events *e); /* of messages that are not answered */

#endif
