/* joiner/chunks.h - what came in and waits, one chunk per commit: one value on disk, one array in memory.
 *
 * A record is {size u32, version u32, position u64, time i64, weight f32, stream u8, kind u8, withdraw u8, lot u8,
 * key 16, doc 16}, the rate f32 where `lot` says that a rule of sampling fits, and then `size` bytes of body
 * (impressions and features). An action is stored without a body: only its marks are needed, and {value f64, event
 * u64} in place of the doc, which is its impression's; nobody asks for the event ids of others again.
 * What records share is a record by itself, of kind CHUNK_SHARED, once in front of all that come one behind the other.
 * Where `lot` says so they name it by {offset u32 in the chunk, sharers u32} behind the rate. It waits for nothing: its
 * bytes are there as long as the chunk's.
 * A chunk's bytes stay in memory while a body in it may be needed for a decision; its row stays on disk while a restart
 * needs one of its records, or an older chunk is still needed: rows go oldest first.
 * Retired  a chunk in which nothing waits is remembered only for how long the other rows of its commit are held
 *          (joiner/held_rows.h): its run, and what it says of attributed actions.
 * Memory   owns its arrays; views of bodies live until the chunk's last body is released. Threads: one owner. */
#ifndef TIDEMILL_JOINER_CHUNKS_H
#define TIDEMILL_JOINER_CHUNKS_H

#include "joiner/held_rows.h"
#include "joiner/joiner.h"

enum chunk_record_kind {
    CHUNK_RECORD,
    CHUNK_REMOVED, /* the record at this position and key waits no more */
    CHUNK_SHARED,  /* what records behind it have in common */
};

struct chunk {
    struct buffer bytes;
    uint32_t waiting; /* records a restart needs */
    uint32_t bodies;  /* of them, records whose body a decision may need */
    int64_t newest;   /* its run is held until expiry passes it: largest time of an impression in it, */
    int64_t
        attributed; /* largest time in its attribution, which is held for actions of that time; INT64_MIN: nothing */
};

enum { CHUNK_SPARES = 4, CHUNK_HEAD_BYTES = 64 };

struct chunks {
    struct chunk *ring;
    uint32_t capacity;                 /* power of two */
    uint64_t live;                     /* commit number of the oldest one in the ring; older ones are retired */
    struct held_rows runs, attributed; /* of the retired ones */
    bool regrouped;                    /* these have changed; whoever stores them sets it back */
    uint64_t open;                     /* commit number of the one being filled */
    bool has_shared;                   /* the open one has a shared part... */
    uint32_t shared;                   /* ...and this is the newest one's offset */
    struct buffer spare[CHUNK_SPARES]; /* arrays to use again: fresh ones cost a page fault every 4 KiB */
    uint32_t spares;
    size_t memory;   /* of the chunks' bytes, spares included */
    size_t used;     /* bytes of records in memory: what memory was asked for */
    uint64_t stored; /* bytes of all records and marks since chunks_open() */
};

void chunks_open(struct chunks *c, uint64_t first, int64_t span);
void chunks_close(struct chunks *c);
struct chunk *chunks_at(struct chunks *c, uint64_t commit);

/* Append to the open chunk; returns the record's offset. */
uint32_t chunks_append(struct chunks *c, const struct joiner_record *r);
/* The record at this position and key waits no more. */
void chunks_append_removed(struct chunks *c, uint64_t position, int64_t time, struct hash128 key, uint8_t stream);

/* Decode the record at r, which walks the chunk; false at the end or when malformed (r->bad). weight etc. as they were
 * appended. Of CHUNK_SHARED only the kind holds. */
bool chunk_next(struct bytes chunk, struct reader *r, struct joiner_record *record, enum chunk_record_kind *kind);

/* What a decision needs of an impression or features record: its own bytes and what it shares, weight, the lot that it
 * drew. */
struct chunk_record {
    struct bytes body, shared;
    uint32_t sharers;
    uint8_t stream;
    double weight;
    struct sampling_lot lot;
};
struct chunk_record chunks_record(struct chunks *c, uint64_t commit, uint32_t offset);

/* A decision will ask for it soon. */
static inline void chunks_prefetch(const struct chunks *c, uint64_t commit, uint32_t offset)
{
    const uint8_t *p = c->ring[commit & (c->capacity - 1)].bytes.data + offset;
    __builtin_prefetch(p);
    __builtin_prefetch(p + CHUNK_HEAD_BYTES);
}

/* A record of that commit needs not be kept for a restart (and its body not for a decision). */
void chunks_release(struct chunks *c, uint64_t commit, bool body);

/* Close the open chunk and begin the next. The view of its bytes lives until the next call. */
struct bytes chunks_seal(struct chunks *c);

size_t chunks_memory(const struct chunks *c);
size_t chunks_unsealed(const struct chunks *c); /* bytes in the open one */

/* Retire the oldest ones in which nothing waits. Returns the number of the oldest one with a record that waits; that of
 * the open one when there is none. */
uint64_t chunks_waiting_from(struct chunks *c);

/* What is known of retired ones, as it is stored. Loading into chunks that were just opened; the open one is behind
 * them then. r->bad: it makes no sense. */
void chunks_encode_held(const struct chunks *c, struct buffer *out);
void chunks_decode_held(struct chunks *c, struct reader *r);

/* Number of the oldest commit with a row that is held. */
uint64_t chunks_first(const struct chunks *c);

/* Forget the oldest retired ones whose rows nothing holds any more: runs before expiry, attribution of actions before
 * `actions`. */
void chunks_trim(struct chunks *c, int64_t expiry, int64_t actions);

#endif
