/* ps/engine/pressure.h - back-pressure at the door: who brings impressions or features waits while a shard has no room.
 *
 * A shard's sequence is never held up by what waits in it. What is held up is a batch at the door: refused as a whole
 * with TM_RESOURCE_EXHAUSTED when it has impressions or features for a shard above its soft limit. Actions, watermarks
 * and control records always pass, since they are what decides and frees.
 *
 * Room     of a shard: logical bytes (joiner_held_bytes()) as of its last block, and those on their way to it: from
 *          the door to the ack, and from the log to the shard. So what was let in finds room when it arrives.
 * Limits   hard: what the joiner sheds above; soft: three quarters of it. A batch is let in while the shard is not
 *          above soft and what the batch brings to it stays within hard; one that brings more than hard, where nothing
 *          waits.
 * Time-out a shard that was closed for timeout_ms and has decided nothing since (the gate may be waiting for the very
 *          impressions that are refused) is open for what stays within hard, and above that for one batch per
 *          timeout_ms, for which the oldest is shed. So nothing waits for ever.
 * Threads  all of it from any thread. Memory: 56 bytes a shard. */
#ifndef TIDEMILL_PS_ENGINE_PRESSURE_H
#define TIDEMILL_PS_ENGINE_PRESSURE_H

#include "joiner/joiner.h"
#include "ps/state/sequencer.h"

struct pressure;

struct pressure *pressure_open(uint32_t shards, uint64_t hard_bytes, int64_t timeout_ms);
void pressure_close(struct pressure *p); /* NULL is fine */

/* May the batch come in? Then what it will take is reserved until pressure_release(). kinds: of the streams. */
enum tm_code pressure_admit(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch,
                            int64_t now_ns, struct tm_error *err);
void pressure_release(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch);

/* A block is on its way to the shards it names, or has arrived at one. */
void pressure_send(struct pressure *p, const struct block *b);
void pressure_arrive(struct pressure *p, const struct block *b, uint32_t shard, uint32_t events);

/* How a shard stands: bytes that wait in it, impressions it has decided since the start. */
void pressure_tell(struct pressure *p, uint32_t shard, uint64_t held_bytes, uint64_t decided);

uint32_t pressure_closed(struct pressure *p);        /* shards that let no impressions in, as of the last one refused */
uint64_t pressure_refused(const struct pressure *p); /* batches */

#endif
