/* ps/storage/log_retention.h - how long the log keeps its blocks, and what it keeps.
 *
 * Rules    Whole blocks, oldest first, are dropped when they are older than retain_ms or when what is kept exceeds
 *          retain_bytes; never past the floor that the caller names (what every shard has committed and synced, and
 *          what somebody holds), and never the newest block. While the floor is in the way nothing beyond it is dropped
 *          and log_retention_status() says so.
 * Marks    Where a block begins, when it was written (wall clock; when that is set back, what is ahead of it counts as
 *          written then) and how many bytes of blocks were written before it, for one block in many: one per step of
 *          time and of bytes. A step is a 1024th of the limit, within 1 s to 1 h and 64 KiB to 64 MiB. Only there the
 *          log is cut, so it may keep a step more. They lie in LOG_META, and in memory: 24 bytes each.
 * Dropping is moving the first position, a row that is written with the next blocks. What lies in front of it is never
 *          looked at again: no tombstones to step over, and a start seeks the first block. Its tables (of some 32 MiB)
 *          are deleted whole by log_retention_reclaim(); the one in which the log now begins stays until it is passed.
 * Errors   TM_DATA_LOSS: rows are damaged.
 * Threads  the log's writer; log_retention_reclaim() any one other, log_retention_status() any. */
#ifndef TIDEMILL_PS_STORAGE_LOG_RETENTION_H
#define TIDEMILL_PS_STORAGE_LOG_RETENTION_H

#include "ps/storage/rocks.h"

struct log_retention;

struct log_retention_options {
    struct rocks *db;      /* borrowed */
    int64_t retain_ms;     /* 0: no limit */
    uint64_t retain_bytes; /* 0: no limit */
};

/* Loads the rows. A log that has none was never cut, and counts as written now. */
enum tm_code log_retention_open(const struct log_retention_options *options, int64_t wall_ms,
                                struct log_retention **out, struct tm_error *err);
void log_retention_close(struct log_retention *r);

/* The first position that is kept. */
uint64_t log_retention_first(const struct log_retention *r);

/* A block that goes into the batch. */
void log_retention_add(struct log_retention *r, struct rocks_batch *batch, uint64_t position, size_t bytes,
                       int64_t wall_ms);

/* Drop what is due, up to `floor`: rows go into the batch when there is something. */
void log_retention_trim(struct log_retention *r, struct rocks_batch *batch, int64_t wall_ms, uint64_t floor);

/* Put the rows that changed; last. Then, once the batch is synced, log_retention_synced(). */
void log_retention_put(struct log_retention *r, struct rocks_batch *batch);
void log_retention_synced(struct log_retention *r);

/* Delete the tables that lie in front of the first position, as of the last sync. Costs some 20 ms per 64 MiB. */
void log_retention_reclaim(struct log_retention *r);

struct log_retention_status {
    uint64_t first, bytes;  /* kept: first position, bytes of blocks */
    int64_t oldest_ms;      /* wall clock; 0: the log is empty */
    uint64_t overdue_bytes; /* that a limit says to drop, and the floor holds */
};
void log_retention_status(struct log_retention *r, struct log_retention_status *out);

#endif
