/* ps/storage/log_rows.h - what the log stores beside its blocks, in the same writes: producers and watermarks.
 *
 * Whatever a crash leaves, blocks and rows are of the same write: the row of the watermarks says which.
 * Errors  TM_DATA_LOSS: the rows are damaged, or stand elsewhere than the blocks. TM_FAILED_PRECONDITION: the log knows
 *         more streams than the configuration names.
 * Threads the log's writer, once it runs. */
#ifndef TIDEMILL_PS_STORAGE_LOG_ROWS_H
#define TIDEMILL_PS_STORAGE_LOG_ROWS_H

#include "ps/state/sequencer.h"
#include "ps/storage/rocks.h"

struct log_rows {
    struct sequencer *sequencer; /* borrowed */
    uint32_t streams;
    uint64_t head;                            /* of the write before */
    int64_t watermark[SEQUENCER_STREAMS_MAX]; /* as written last */
};

/* Fill the sequencer with what the log knew at position `head`, where its blocks end. */
enum tm_code log_rows_load(struct log_rows *rows, struct rocks *db, struct sequencer *sequencer, uint32_t streams,
                           uint64_t head, int64_t clock_ms, struct tm_error *err);

/* Put what changed since the last call; blocks up to `head` are in the same batch. */
void log_rows_put(struct log_rows *rows, struct rocks_batch *batch, uint64_t head);

#endif
