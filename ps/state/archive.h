/* ps/state/archive.h - the samples of one shard that are kept for people and their tools (samples.retain).
 *
 * It has no part in learning: nothing here can change a parameter, so it may be switched on and off at any start. What
 * versions hold lies in ps/state/sample_log.h, which counts its own bytes and lives by its own rule.
 * Rows     (ps/state/sample_row.h) of about ARCHIVE_ROW_BYTES, numbered from 1 without gaps; those that came since the
 *          last commit go with the next one. Only what a commit has written can be read.
 * Marks    stretches of rows with their bytes and the newest time of decision in them: 40 bytes in memory for
 *          about a MiB on disk. Whole stretches go, the oldest first: when all of it was decided more than retain_ms
 *          before the gate, or when there is more than bytes_max. So up to a stretch more than that is kept. With
 *          retain_ms 0 nothing is added and everything goes.
 * Bounds   ARCHIVE_DROPS stretches of at most ARCHIVE_MARK_ROWS rows go with one commit.
 * Keys     shard u16, tag u8 {place, mark, row}, number u64, big-endian.
 * Memory   owns its rows and marks. Threads: one owner. */
#ifndef TIDEMILL_PS_STATE_ARCHIVE_H
#define TIDEMILL_PS_STATE_ARCHIVE_H

#include "ps/state/sample_row.h"
#include "ps/state/store.h"

enum {
    ARCHIVE_ROW_BYTES = 64 << 10,
    ARCHIVE_MARK_BYTES = 1 << 20,
    ARCHIVE_MARK_ROWS = 4096,
    ARCHIVE_MARKS = 1024, /* with a large bytes_max stretches are as long as makes so many */
    ARCHIVE_TIMES = 64,   /* and of a time kept they are at most this part */
    ARCHIVE_DROPS = 4,
    ARCHIVE_KEY = 11,
};

struct archive_options {
    int64_t retain_ms;  /* 0: keep nothing */
    uint64_t bytes_max; /* of rows */
};

/* Rows [first, end). */
struct archive_mark {
    uint64_t first, end, bytes;
    int64_t oldest, newest; /* decided at; meaningless while it is empty */
};

/* Which rows there are: `count` marks, and behind them `open`, which grows. */
struct archive_index {
    struct archive_mark *mark;
    size_t count, capacity;
    struct archive_mark open;
    uint64_t bytes; /* of all rows */
};
void archive_index_close(struct archive_index *x); /* {0} is fine */

/* As it lies in a store; without any samples: one row number, 1. TM_DATA_LOSS: it contradicts itself. */
enum tm_code archive_index_read(const struct store *store, uint32_t shard, struct archive_index *out,
                                struct tm_error *err);

struct archive {
    uint32_t shard;
    struct archive_options options;
    struct archive_index index; /* of rows that are in commits */
    struct buffer *row;         /* in none yet; the last one is being filled */
    size_t rows, capacity;
};

void archive_open(struct archive *a, uint32_t shard, const struct archive_options *options);
void archive_close(struct archive *a);
enum tm_code archive_load(struct archive *a, const struct store *store, struct tm_error *err);

static inline bool archive_keeps(const struct archive *a) { return a->options.retain_ms > 0; }
void archive_add(struct archive *a, const struct kept_sample *s); /* only if it keeps */
size_t archive_unfrozen(const struct archive *a);                 /* bytes that the next commit will carry */

/* Put what came, and what goes, into a commit. gate: event time decided; INT64_MIN: nothing yet. */
void archive_freeze(struct archive *a, int64_t gate, struct store_batch *out);

/* The number of the row that comes next: all before it are in commits. */
uint64_t archive_end(const struct archive *a);

/* STORE_ARCHIVE's key of a row. */
void archive_row_key(uint8_t key[static ARCHIVE_KEY], uint32_t shard, uint64_t row);

#endif
