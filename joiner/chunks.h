/* joiner/chunks.h - what came in and waits, one chunk per commit: one value on disk, one array in memory.
 *
 * A record is {size u32, version u32, position u64, time i64, weight f32, stream u8, kind u8, withdraw u8, lot u8,
 * key 16, doc 16, event u64}, the rate f32 where `lot` says that a rule of sampling fits, and then `size` bytes of body
 * (impressions and features). An action is stored without a body: only its marks are needed, and its value, f64, in
 * place of the doc, which is its impression's.
 * A chunk's bytes stay in memory while a body in it may be needed for a decision; its row stays on disk while a restart
 * needs one of its records or its run, or an older chunk is still needed: rows go oldest first.
 * Memory   owns its arrays; views of bodies live until the chunk's last body is released. Threads: one owner. */
#ifndef TIDEMILL_JOINER_CHUNKS_H
#define TIDEMILL_JOINER_CHUNKS_H

#include "joiner/joiner.h"

enum chunk_record_kind { CHUNK_RECORD, CHUNK_REMOVED /* the record at this position and key waits no more */ };

struct chunk {
    struct buffer bytes;
    uint32_t waiting; /* records a restart needs */
    uint32_t bodies;  /* of them, records whose body a decision may need */
    int64_t newest;   /* held until expiry passes it: largest time of an impression, or of features and their wait */
};

enum { CHUNK_SPARES = 4, CHUNK_HEAD_BYTES = 72 };

struct chunks {
    struct chunk *ring;
    uint32_t capacity;                 /* power of two */
    uint64_t first;                    /* commit number of the oldest one still needed */
    uint64_t open;                     /* commit number of the one being filled */
    uint64_t waiting;                  /* no older one has a record that waits */
    struct buffer spare[CHUNK_SPARES]; /* arrays to use again: fresh ones cost a page fault every 4 KiB */
    uint32_t spares;
    size_t memory;   /* of the chunks' bytes, spares included */
    size_t used;     /* bytes of records in memory: what memory was asked for */
    uint64_t stored; /* bytes of all records since chunks_open() */
};

void chunks_open(struct chunks *c, uint64_t first);
void chunks_close(struct chunks *c);
struct chunk *chunks_at(struct chunks *c, uint64_t commit);

/* Append to the open chunk; returns the record's offset. */
uint32_t chunks_append(struct chunks *c, const struct joiner_record *r, enum chunk_record_kind kind);

/* Decode the record at r; false at the end or when malformed (r->bad). weight etc. as they were appended. */
bool chunk_next(struct reader *r, struct joiner_record *record, enum chunk_record_kind *kind);

/* The body, weight and stream of the record at (commit, offset). */
struct bytes chunks_body(struct chunks *c, uint64_t commit, uint32_t offset, double *weight, uint8_t *stream);

/* The lot that the impression at (commit, offset) drew. */
struct sampling_lot chunks_lot(struct chunks *c, uint64_t commit, uint32_t offset);

/* A record of that commit needs not be kept for a restart (and its body not for a decision). */
void chunks_release(struct chunks *c, uint64_t commit, bool body);

/* Close the open chunk and begin the next. The view of its bytes lives until the next call. */
struct bytes chunks_seal(struct chunks *c);

size_t chunks_memory(const struct chunks *c);
size_t chunks_unsealed(const struct chunks *c); /* bytes in the open one */

/* Number of the oldest one with a record that waits; that of the open one when there is none. */
uint64_t chunks_waiting_from(struct chunks *c);

/* Forget the oldest ones that nobody needs: nothing waits, and every impression of theirs is older than expiry. */
void chunks_trim(struct chunks *c, int64_t expiry);

#endif
