/* ps/state/record.h - from an event as it was sent to the record that the joiner takes: names to numbers, ids to
 * hashes.
 *
 * Hashes   XXH3-128 with the data directory's seed. Key: the join key's fields, each with its length, so that
 *          ("ab","c") and ("a","bc") differ; keys of action streams likewise, apart for each set of fields; a table's
 *          row needs none (ps/state/lookup.h). Event: the event id with its stream; without one, all identifying fields
 *          (stream, ids, time, value), so that the same line sent twice is one event.
 * Memory   record->body is the wire, of an item its own part. Threads: pure. */
#ifndef TIDEMILL_PS_STATE_RECORD_H
#define TIDEMILL_PS_STATE_RECORD_H

#include "joiner/joiner.h"
#include "proto/event.h"
#include "ps/state/block.h"
#include "ps/state/catalog.h"

/* The hash of these fields of an event, apart from that of other fields. False: it lacks one of them, or an id is too
 * long. */
bool record_key(const struct event *e, uint32_t fields, uint64_t hash_seed, struct hash128 *out);

/* c: its join; the event's stream is one of it.
 * TM_INVALID_ARGUMENT: the wire is no event, or an id is longer than EVENT_ID_MAX (the door lets neither through). */
enum tm_code record_resolve(const struct block_event *e, const struct catalog *c, uint64_t hash_seed,
                            struct joiner_record *out, struct tm_error *err);

#endif
