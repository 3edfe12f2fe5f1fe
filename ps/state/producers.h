/* ps/state/producers.h - the table of who sends, and how a producer is stored.
 *
 * Key      "client\0instance\0lane": the row's key in the log, and what the table looks up by.
 * Row      little-endian: version u8 = 1, sequence u64, position u64, seen i64, newest i64, live u8, declared u32, then
 *          for each stream declared, by rising number, {value i64, asserted u8}, then rejects {size u32, bytes}. The
 *          recent times a watermark is measured from are not stored: they come again, and the value is the floor.
 * Rejects  {sequence u64, size u32, bytes}... by rising sequence: what was refused in the last SEQUENCER_REJECTS_KEPT
 *          batches, as far as it fits into PRODUCER_REJECTS_BYTES; older ones go first.
 * Memory   the table owns the producers; a pointer is good until producers_remove(). `list` has them without gaps:
 *          removing one moves the last into its slot.
 * Threads  pure; one owner. */
#ifndef TIDEMILL_PS_STATE_PRODUCERS_H
#define TIDEMILL_PS_STATE_PRODUCERS_H

#include "joiner/watermark.h"
#include "ps/state/sequencer.h"

enum {
    PRODUCER_KEY_MAX = 3 * SEQUENCER_ID_MAX + 2,
    PRODUCER_REJECTS_BYTES = 64 << 10,
};

struct producer_key {
    uint8_t size, data[PRODUCER_KEY_MAX];
};
static_assert(PRODUCER_KEY_MAX <= UINT8_MAX, "a key's size fits its field");

struct progress { /* of one producer in one stream */
    int64_t value;
    bool asserted;
    struct watermark *measured; /* NULL: nothing came yet, or the producer asserts, or it is not live */
};

struct producer {
    struct producer *chain; /* of the same hash bucket */
    uint32_t slot;          /* in the table's list */
    struct producer_key key;
    uint64_t sequence, position; /* of the last batch taken, and the end of its block; 0 before the first */
    int64_t seen_ms;             /* when it last sent anything, by the log writer's clock */
    int64_t newest;              /* largest event time taken; WATERMARK_NONE before the first */
    uint32_t declared;           /* bit set of streams */
    bool live;
    bool pending; /* its last batch lies in the block under construction: position is not known yet */
    bool changed; /* its row waits to be written */
    struct buffer rejects;
    struct progress progress[]; /* one per stream of the table */
};

struct producers {
    uint32_t streams, count, capacity, mask;
    struct producer **list, **buckets;
};

void producers_open(struct producers *t, uint32_t streams, uint32_t expected);
void producers_close(struct producers *t);

struct producer_key producer_key_of(const struct producer_id *id);
bool producer_key_parse(struct bytes stored, struct producer_key *out); /* false: no such key */
struct producer_id producer_id_of(const struct producer_key *key);
bool producer_same_client(const struct producer_key *a, const struct producer_key *b);
bool producer_same_instance(const struct producer_key *a, const struct producer_key *b); /* and client */
static inline bool producer_is_server(const struct producer_key *key) { return key->data[0] == '\0'; }

struct producer *producers_find(const struct producers *t, const struct producer_key *key); /* NULL: not there */
struct producer *producers_add(struct producers *t, const struct producer_key *key);        /* which is not there yet */
void producers_remove(struct producers *t, struct producer *p);

void producer_encode(const struct producers *t, const struct producer *p, struct buffer *row);
/* TM_DATA_LOSS: damaged; TM_FAILED_PRECONDITION: it knows streams that the table does not. *p is half-filled then. */
enum tm_code producer_decode(const struct producers *t, struct bytes row, struct producer *p, struct tm_error *err);

/* Forget how the times of every stream were measured; the values stay. */
void producer_stop_measuring(const struct producers *t, struct producer *p);

void producer_keep_rejects(struct producer *p, uint64_t sequence, struct bytes rejects);
void producer_old_rejects(const struct producer *p, uint64_t sequence, struct buffer *out); /* appends, if still kept */

#endif
