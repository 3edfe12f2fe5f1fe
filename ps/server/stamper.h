/* ps/server/stamper.h - the server's own events on their way into the log: what Rank shows, what Reward tells.
 *
 * A batch is one submission, so it lies in one block: of its events all are there or none, whatever shards they are of.
 * Its events have no time; the log writer stamps them (ps/state/server_lane.h).
 * Answer   when the batch is queued, or when it is durable, as the caller wants.
 * Bounds   those of the log's queue and of the shards: a full one is TM_RESOURCE_EXHAUSTED, as at the door of Ingest.
 * Memory   a batch copies what is added to it, and goes with stamped_send or stamped_drop.
 * Threads  any; a batch belongs to one until it is sent. */
#ifndef TIDEMILL_PS_SERVER_STAMPER_H
#define TIDEMILL_PS_SERVER_STAMPER_H

#include "proto/event.h"
#include "ps/engine/engine.h"
#include "ps/server/caller.h"
#include "ps/server/ingest_counts.h"

struct stamper;
struct stamped;

/* counts: as for the other doors; it lives longer than the stamper. */
struct stamper *stamper_open(struct engine *engine, struct ingest_counts *counts);
void stamper_close(struct stamper *s); /* waits until what was sent is written */

/* one_record: the events are what its user was shown at once, and one to the limit of robots. */
struct stamped *stamped_new(struct stamper *s, uint32_t events_max, bool one_record);
/* A whole event of the stream but for its time; its user is not blocked. */
void stamped_add(struct stamped *b, const struct event *e, uint8_t stream, uint32_t version);
void stamped_drop(struct stamped *b); /* NULL is fine */

/* Calls the caller. body: the packed reply, taken over; a durable one gets its position, and behind it that it is
 * durable, under these numbers. */
void stamped_send(struct stamped *b, const struct caller *caller, struct buffer *body, bool durable,
                  uint32_t position_field);

#endif
