/* ps/state/lookup.h - rows of table streams: what is known of a user, a document or a request, by event time.
 *
 *   event of a table ──► row, stored with the block that brought it       (written once for the whole node)
 *   sample           ──► key of its impression ──► the row that counts for it
 *
 * Row      {key, time, position} -> the event, or nothing when it deletes (withdraw). The one that counts for an
 *          impression of time t, decided in front of position p, is the newest by (time, position) of those with
 *          time <= t and position < p; one that deletes counts as none. So what is read follows from the input alone: a
 *          shard that reads on after a crash skips the rows that the log has beyond its place.
 * Key      {place, stream, hash of the key's fields}. Of a table whose key has doc the place is the document's shard,
 *          so a shard's rows are one range; the others are LOOKUP_NODE_WIDE, read by all shards.
 * Stored   place u16, stream u8, hash high and low u64, time and position so that newer ones come first; big-endian.
 * Memory   a row's views live as long as its block's bytes. Threads: pure; a source says for itself. */
#ifndef TIDEMILL_PS_STATE_LOOKUP_H
#define TIDEMILL_PS_STATE_LOOKUP_H

#include "proto/event.h"
#include "ps/state/block.h"
#include "ps/state/catalog.h"

enum { LOOKUP_NODE_WIDE = UINT16_MAX, LOOKUP_KEY_SIZE = 2 + 1 + 16, LOOKUP_ROW_SIZE = LOOKUP_KEY_SIZE + 16 };

struct lookup_key {
    uint16_t place;
    uint8_t stream;
    struct hash128 hash;
};

struct lookup_row {
    struct lookup_key key;
    int64_t time;
    uint64_t position;
    struct bytes event; /* empty: it deletes */
};

/* The key under which an event has, or looks for, rows of this table. False: it lacks one of the fields. */
bool lookup_key_of(const struct event *e, const struct catalog *c, uint8_t stream, uint32_t shard, uint64_t hash_seed,
                   struct lookup_key *out);

/* Which shard counts the row: the document's, or one that its first field names. key_fields: of its table. */
uint32_t lookup_shard(const struct event *e, uint32_t key_fields, uint32_t shards);

bool lookup_any(const struct catalog *c); /* is there a table? */

/* The rows that a block brings, in no order. Events that cannot be read bring none. */
typedef void lookup_visit(void *context, const struct lookup_row *row);
void lookup_rows_of(const struct block *b, const struct catalog *c, uint64_t hash_seed, lookup_visit *visit,
                    void *context);

void lookup_put_key(const struct lookup_key *key, uint8_t out[static LOOKUP_KEY_SIZE]);
void lookup_put_row(const struct lookup_key *key, int64_t time, uint64_t position, uint8_t out[static LOOKUP_ROW_SIZE]);
/* Time and position of a stored row. False: that is no row. */
bool lookup_get_row(struct bytes stored, int64_t *time, uint64_t *position);

/* Where rows are read; it has every row of the blocks that were handed out. */
struct lookup_source {
    void *self;
    /* Keys that will be asked for soon. */
    void (*fetch)(void *self, const struct lookup_key *keys, uint32_t count);
    /* Append the event of the row that counts; *found: there is one. */
    enum tm_code (*find)(void *self, const struct lookup_key *key, int64_t time, uint64_t position,
                         struct buffer *event, bool *found, struct tm_error *err);
};

#endif
