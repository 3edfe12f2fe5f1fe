/* ps/storage/input_log.h - the embedded log: one sequence, one writer thread, acks after the sync.
 *
 * Submissions queue up (bounded by bytes: a full queue is back-pressure at the door); the writer takes what is there,
 * up to BLOCK_BYTES_TARGET, lets the sequencer build a block, writes block + producer rows in one synced batch, calls
 * done() of every submission, then delivers the block. Delivering may wait (a bounded inbox is full): that is
 * back-pressure too.
 * Company  while a sync runs the next batch gathers. When it ran dry since, it waits for more until the last sync is as
 *          long ago as it took, or sync_ms ago if that is earlier; when idle not at all.
 * Kept     by log_retention.h, cut at ticks; never past what every shard has synced (input_log_release) or what
 *          somebody holds (input_log_hold).
 * Errors   a write or sync that fails stops the process (F1). Only a write that finds no room on the disk waits for it,
 *          with everything that was handed in: nothing of it is acknowledged before it is written. */
#ifndef TIDEMILL_PS_STORAGE_INPUT_LOG_H
#define TIDEMILL_PS_STORAGE_INPUT_LOG_H

#include "base/histogram.h"
#include "ps/state/sequencer.h"
#include "ps/state/shared_block.h"
#include "ps/storage/log_blocks.h"
#include "ps/storage/log_retention.h"
#include "ps/storage/lookup_rows.h"

struct input_log_options {
    struct rocks *db; /* borrowed; families as enum log_family */
    struct sequencer_options sequencer;
    int64_t sync_ms;
    int64_t retain_ms;     /* 0: no limit */
    uint64_t retain_bytes; /* 0: no limit */
    size_t queue_bytes_max;
    struct lookup_rows *lookups; /* borrowed: rows of tables go into the writes of their blocks; NULL: there are none */
    /* Called on the writer thread for every block, in order, after its sync. The reference is the callee's. */
    void (*deliver)(void *context, struct shared_block *block);
    void *context;
};

struct input_log;

/* Load producers, watermarks and the ends of the log, and check that the newest blocks are contiguous. No thread yet,
 * and everything is held until input_log_release(). */
enum tm_code input_log_open(const struct input_log_options *options, struct input_log **out, struct tm_error *err);

/* Blocks that end behind `from`, in order, checked for gaps: TM_DATA_LOSS names the position that is missing, or that
 * `from` lies in front of what is kept. The callee gets a reference. Only before input_log_start(). */
typedef log_blocks_visit input_log_visit;
enum tm_code input_log_replay(struct input_log *log, uint64_t from, input_log_visit *visit, void *context,
                              struct tm_error *err);

/* First position that the log still holds, and the next free one. */
uint64_t input_log_first(struct input_log *log);
uint64_t input_log_head(struct input_log *log); /* synced; any thread */

enum tm_code input_log_start(struct input_log *log, struct tm_error *err);

/* As sequencer_configure(): before the start, or on the writer's thread. */
void input_log_configure(struct input_log *log, const struct sequencer_options *options);

/* Hand in. Waits while the queue is full. False: the log is shutting down, done() will not be called. */
bool input_log_submit(struct input_log *log, struct submission *sub);
/* Does not wait. False: it is full, or shutting down. */
bool input_log_try_submit(struct input_log *log, struct submission *sub);

/* Take no more, write what is queued (also when never started), end the thread; then free. close(NULL) is fine. */
void input_log_stop(struct input_log *log);
void input_log_close(struct input_log *log);

/* Every shard has committed and synced everything before this position. One thread, which also deletes the files of
 * what was dropped before. */
void input_log_release(struct input_log *log, uint64_t synced);

/* Keep everything from here on, whatever the limits say: the oldest position somebody may want to read again from.
 * UINT64_MAX, as at the beginning: nobody does. Any thread. */
void input_log_hold(struct input_log *log, uint64_t position);

struct input_log_status {
    struct log_retention_status retained;
    uint64_t held; /* as by input_log_hold */
    uint64_t head, bytes_written, syncs;
    double sync_ms_sum, sync_ms_max;
    uint32_t producers, streams;
    struct {
        int64_t watermark;
        bool held;
        struct producer_id holder;
        int64_t holder_silent_ms;
    } stream[SEQUENCER_STREAMS_MAX];
};
/* Any thread; a copy made by the writer at its last write; who holds a stream back is as of the last tick (100 ms). */
void input_log_status(struct input_log *log, struct input_log_status *out);

/* What is of this moment. Any thread; the histograms live as long as the log. */
struct input_log_gauges {
    size_t queue_length, queue_bytes;
    int64_t
        beat_ns; /* when the writer last began a round, by the monotonic clock: at least every 100 ms when it is well */
    const struct histogram *sync, *append; /* a write with its sync; from input_log_submit to the sync */
};
void input_log_gauges(struct input_log *log, struct input_log_gauges *out);

#endif
