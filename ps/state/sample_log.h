/* ps/state/sample_log.h - every sample of one shard, in order: what a version that is paused reads afterwards.
 *
 * Rows     samples are encoded one after the other into rows of about SAMPLE_ROW_BYTES, numbered without gaps from 1.
 *          A commit writes the rows that came since the last one and that somebody needs (STORE_SAMPLE), and deletes
 *          those that nobody needs any more.
 * Where    a row is in memory until the commit that carries it is written to the store, but only while somebody needs
 *          it; after that it is read back from there. So memory is bounded by the commits that wait to be written.
 * Bytes    the log counts the encoded bytes of all samples ever, and those of the features that are kept for them: a
 *          place in it and two places' distance do not depend on commits.
 * Memory   owns its rows. Threads: one owner. */
#ifndef TIDEMILL_PS_STATE_SAMPLE_LOG_H
#define TIDEMILL_PS_STATE_SAMPLE_LOG_H

#include "joiner/sample.h"
#include "ps/state/store.h"

enum { SAMPLE_ROW_BYTES = 64 << 10 };

struct sample_log_place {
    uint64_t row;   /* the sample is in it or in a later one */
    uint64_t bytes; /* of the log in front of it */
};

struct sample_log {
    uint32_t shard;
    uint64_t bytes;
    uint64_t first;     /* the oldest row that is not deleted */
    uint64_t memory;    /* the oldest row in memory; older ones are in the store */
    uint64_t frozen;    /* rows from here on are in no commit yet; the last one is being filled */
    struct buffer *row; /* memory, memory + 1, ... */
    size_t rows, capacity;
    struct buffer spare; /* an array to use again: a fresh one costs a page fault every 4 KiB */
};

/* A log whose next row is `next`, with `bytes` behind it; nothing in memory. A new one: first = next = 1, bytes = 0. */
void sample_log_open(struct sample_log *l, uint32_t shard, uint64_t first, uint64_t next, uint64_t bytes);
void sample_log_close(struct sample_log *l);

struct sample_log_place sample_log_end(const struct sample_log *l); /* of the sample that is appended next */
void sample_log_append(struct sample_log *l, const struct sample *s);
size_t sample_log_unfrozen(const struct sample_log *l); /* bytes that the next commit will carry */

/* Put what came since the last freeze into the commit; rows below `needed` are needed by nobody (UINT64_MAX: none is).
 * Returns the number up to which (exclusive) rows are in commits now, or needed by nobody: l->frozen. */
uint64_t sample_log_freeze(struct sample_log *l, uint64_t needed, struct store_batch *out);

/* The commits that carry the rows below `rows` can be read from the store. */
void sample_log_written(struct sample_log *l, uint64_t rows);

/* Called for each sample; size: its bytes, features included. False ends the reading. */
typedef bool sample_log_visit(void *context, const struct sample *s, uint64_t row, size_t size);

/* Read from the beginning of a row to the end of the log. TM_DATA_LOSS: a row is damaged or missing. */
enum tm_code sample_log_read(const struct sample_log *l, const struct store *store, uint64_t row,
                             sample_log_visit *visit, void *context, struct tm_error *err);

#endif
