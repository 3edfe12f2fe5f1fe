/* ps/storage/rejects.h - the dead letters of the door: a ring of rows in the log's database.
 *
 * The newest REJECTS_KEPT events that were refused, and how many there ever were of each stream. They are written with
 * the batch that carries the producer's sequence: a letter is as durable as the acknowledgement that names it, and a
 * batch that is repeated adds nothing.
 * Rows     of LOG_REJECTED: slot u16 big-endian (number modulo REJECTS_KEPT) -> row of ps/state/rejected.h;
 *          of LOG_META: "rejected" -> {next number u64, {seen u64, kept u64} of each stream, unknown ones last}.
 * Bound    REJECTS_KEPT rows of at most 1.1 KB, 4.5 MB.
 * Threads  struct rejects belongs to the log writer; what reads rows may run on any thread. */
#ifndef TIDEMILL_PS_STORAGE_REJECTS_H
#define TIDEMILL_PS_STORAGE_REJECTS_H

#include "ps/state/rejected.h"
#include "ps/storage/rocks.h"

enum { REJECTS_KEPT = 4096, REJECTS_STREAMS = REJECTED_STREAM_UNKNOWN + 1 };

struct rejects_count {
    uint64_t seen, kept;
};

struct rejects {
    uint64_t next; /* number of the next letter */
    struct rejects_count count[REJECTS_STREAMS];
    uint8_t stream[REJECTS_KEPT]; /* of each slot that is taken */
};

enum tm_code rejects_load(struct rocks *db, struct rejects *out, struct tm_error *err);

/* What the door refused of the submissions on the list, into the batch of their write; positions are known. */
void rejects_put(struct rejects *r, const struct submission *taken, struct rocks_batch *batch);

/* For readers. */
enum tm_code rejects_counts(struct rocks *db, struct rejects_count count[static REJECTS_STREAMS], struct tm_error *err);
/* Append the row of a number. TM_NOT_FOUND without a message: there is none, or a newer one took its place. */
enum tm_code rejects_get(struct rocks *db, uint64_t number, struct buffer *row, struct tm_error *err);

#endif
