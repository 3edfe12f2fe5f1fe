/* ps/state/feature_rows.h - the features of a shard's samples, kept for as long as a correction may need them.
 *
 *   sample ──► append ──► place (row, offset): in the sample, and in the key that may be corrected
 *   correction, or a sample that was held ──► read(place)
 *
 * Rows     packed features (ps/state/feature_vector.h) one after the other, each with its size (u32) in front, in rows
 *          of at most FEATURE_ROW_BYTES, numbered without gaps from 1: STORE_FEATURE, {shard u16, row u64}, big-endian.
 *          A commit writes the rows that came since the last one. A row goes, oldest first, once no impression in it
 *          can be corrected any more, unless a version still holds samples that refer to it.
 * Where    a row is in memory until the commit that carries it is written to the store; after that it is read back from
 *          there, through a cache of the FEATURE_ROWS_CACHED read last. So what is read never depends on commits.
 * Time     rows are taken together in stretches, each with its newest impression time: FEATURE_STRETCHES of them, of
 *          about the same number of rows. So a row goes late by about a sixteenth of all, and nothing has to be read to
 *          let it go.
 * Memory   owns its rows. Threads: one owner; rows in the store may be read by anybody (feature_rows_fetch). */
#ifndef TIDEMILL_PS_STATE_FEATURE_ROWS_H
#define TIDEMILL_PS_STATE_FEATURE_ROWS_H

#include "joiner/sample.h"
#include "ps/state/store.h"

enum {
    FEATURE_ROW_BYTES = 64 << 10,
    FEATURE_PACKED_MAX = FEATURE_ROW_BYTES - 4,
    FEATURE_ROWS_CACHED = 4,
    FEATURE_STRETCHES = 32
};

struct feature_stretch {
    uint64_t end;   /* its rows are in front of this one */
    int64_t newest; /* impression time */
};

struct feature_cached {
    uint64_t row; /* 0: none */
    uint64_t used;
    struct buffer bytes;
};

struct feature_rows {
    uint32_t shard;
    uint64_t first;     /* the oldest row that is not deleted; it begins the first stretch */
    uint64_t memory;    /* the oldest row in memory; older ones are in the store */
    uint64_t frozen;    /* rows from here on are in no commit yet; the last one is being filled */
    struct buffer *row; /* memory, memory + 1, ... */
    size_t rows, capacity;
    struct feature_stretch stretch[FEATURE_STRETCHES]; /* oldest first */
    uint32_t stretches;
    struct feature_cached cache[FEATURE_ROWS_CACHED];
    uint64_t reads;
};

void feature_rows_open(struct feature_rows *f, uint32_t shard);
void feature_rows_close(struct feature_rows *f);

/* At most FEATURE_PACKED_MAX bytes, of an impression of this time. */
struct sample_place feature_rows_append(struct feature_rows *f, struct bytes packed, int64_t time);

/* What was appended there: a view until the next call. TM_DATA_LOSS: the row is damaged or missing. */
enum tm_code feature_rows_read(struct feature_rows *f, const struct store *store, struct sample_place place,
                               struct bytes *packed, struct tm_error *err);

size_t feature_rows_unfrozen(const struct feature_rows *f); /* bytes that the next commit will carry */

/* Put what came since the last freeze into the commit. Impressions before `expiry` are corrected no more; rows from
 * `held` on are needed all the same (UINT64_MAX: none). Returns the number up to which (exclusive) rows are in commits
 * now, or needed by nobody: f->frozen. */
uint64_t feature_rows_freeze(struct feature_rows *f, int64_t expiry, uint64_t held, struct store_batch *out);

/* The commits that carry the rows below `rows` can be read from the store. */
void feature_rows_written(struct feature_rows *f, uint64_t rows);

/* Where it stands is part of the shard's place. Decoding: into one that was just opened; r->bad: it makes no sense. */
void feature_rows_encode(const struct feature_rows *f, struct buffer *out);
void feature_rows_decode(struct feature_rows *f, struct reader *r);

/* For who only reads: append to *out what lies at this place in the store. TM_NOT_FOUND: it is not there (any more). */
enum tm_code feature_rows_fetch(const struct store *store, uint32_t shard, struct sample_place place,
                                struct buffer *out, struct tm_error *err);

#endif
