#include "ps/storage/input_log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/queue.h"
#include "base/thread.h"
#include "ps/storage/data_dir.h"
#include "ps/storage/log_blocks.h"
#include "ps/storage/log_rows.h"
#include "ps/storage/rejects.h"

enum {
    QUEUE_ITEMS_MAX = 8192,
    TICK_MS = 100,
    STEP_MS_MAX = 1000,     /* see writer_clock */
    SUBMISSION_WEIGHT = 256 /* of the queue's bytes, beside what a submission points to */
};

struct submissions {
    struct submission *first, **end; /* end: where the next one is hung up */
};

struct sealed {
    struct shared_block **block;
    size_t count, capacity;
    size_t bytes;
};

struct input_log {
    struct input_log_options options;
    struct sequencer *sequencer; /* the writer's once it runs */
    struct queue *queue;
    pthread_t thread;
    bool started;
    struct log_retention *retention;
    _Atomic uint64_t head;         /* the writer stores, any thread loads */
    _Atomic uint64_t synced, held; /* the log is not cut past them; any thread stores, the writer loads */
    _Atomic int64_t beat_ns;
    struct histogram sync, append;

    /* The writer's. */
    struct rocks_batch *batch;
    struct log_rows rows;
    struct submissions pending; /* in the block under construction */
    struct submissions taken;   /* in blocks that are sealed, not yet synced */
    struct sealed sealed;
    struct rejects rejects;
    int64_t oldest_ns; /* when the oldest submission of the block under construction was handed in; 0: none was */
    int64_t clock_ms, clock_at_ns; /* see writer_clock */
    int64_t last_tick_ms;
    int64_t last_sync_ns, sync_took_ns; /* when it ended; how long it took */

    pthread_mutex_t status_lock;
    struct input_log_status status;
};

static void list_clear(struct submissions *l) { *l = (struct submissions){NULL, &l->first}; }

static void list_add(struct submissions *l, struct submission *s)
{
    s->next = NULL;
    *l->end = s;
    l->end = &s->next;
}

static void list_move(struct submissions *to, struct submissions *from)
{
    if (!from->first)
        return;
    *to->end = from->first;
    to->end = from->end;
    list_clear(from);
}

static enum tm_code load_blocks(struct input_log *log, struct tm_error *err)
{
    uint64_t head;
    struct log_retention_options retention = {log->options.db, log->options.retain_ms, log->options.retain_bytes};
    enum tm_code rc = log_retention_open(&retention, clock_wall_ms(), &log->retention, err);
    if (rc == TM_OK)
        rc = log_blocks_head(log->options.db, log_retention_first(log->retention), &head, err);
    if (rc)
        return rc;
    atomic_store_explicit(&log->head, head, memory_order_relaxed);
    sequencer_load_position(log->sequencer, head);
    return TM_OK;
}

static void update_status(struct input_log *log, bool holders);

enum tm_code input_log_open(const struct input_log_options *options, struct input_log **out, struct tm_error *err)
{
    CHECK(options->sequencer.streams <= SEQUENCER_STREAMS_MAX);
    struct input_log *log = mem_new(1, sizeof *log);
    log->options = *options;
    log->sequencer = sequencer_open(&options->sequencer);
    log->queue = queue_open(QUEUE_ITEMS_MAX, options->queue_bytes_max);
    log->batch = rocks_batch_new(options->db);
    log->clock_ms = clock_wall_ms();
    log->clock_at_ns = clock_monotonic_ns();
    atomic_init(&log->beat_ns, log->clock_at_ns);
    atomic_init(&log->held, UINT64_MAX);
    list_clear(&log->pending);
    list_clear(&log->taken);
    CHECK(pthread_mutex_init(&log->status_lock, NULL) == 0);
    enum tm_code rc = load_blocks(log, err);
    if (rc == TM_OK)
        rc = log_rows_load(&log->rows, log->options.db, log->sequencer, log->options.sequencer.streams,
                           input_log_head(log), log->clock_ms, err);
    if (rc == TM_OK)
        rc = rejects_load(options->db, &log->rejects, err);
    if (rc) {
        input_log_close(log);
        return tm_error_wrap(err, "input log");
    }
    update_status(log, true);
    *out = log;
    return TM_OK;
}

enum tm_code input_log_replay(struct input_log *log, uint64_t from, input_log_visit *visit, void *context,
                              struct tm_error *err)
{
    uint64_t head = input_log_head(log);
    CHECK(!log->started);
    if (from > head)
        return tm_error_set(err, TM_DATA_LOSS, "the log ends at position %" PRIu64 ", a shard stands at %" PRIu64, head,
                            from);
    if (from < input_log_first(log))
        return tm_error_set(err, TM_DATA_LOSS,
                            "the log is kept from position %" PRIu64 " on, but a shard needs it from %" PRIu64
                            " on: the state is older than the log",
                            input_log_first(log), from);
    return log_blocks_replay(log->options.db, from, head, visit, context, err);
}

uint64_t input_log_first(struct input_log *log)
{
    struct log_retention_status now;
    log_retention_status(log->retention, &now);
    return now.first;
}

uint64_t input_log_head(struct input_log *log) { return atomic_load_explicit(&log->head, memory_order_acquire); }

/* Milliseconds that time-outs go by: monotonic, and a step counts for a second at most. So neither a wall clock that
 * is set nor a process that was stopped or held back makes producers look silent whose batches wait in the queue. */
static int64_t writer_clock(struct input_log *log)
{
    int64_t elapsed_ms = clock_ms_since(log->clock_at_ns);
    log->clock_at_ns += elapsed_ms * NS_PER_MS; /* the rest of a millisecond is kept */
    log->clock_ms += elapsed_ms < STEP_MS_MAX ? elapsed_ms : STEP_MS_MAX;
    return log->clock_ms;
}

static void seal(struct input_log *log)
{
    struct tm_error err;
    struct buffer bytes = {0};
    struct shared_block *block;
    sequencer_seal(log->sequencer, log->pending.first, &bytes);
    list_move(&log->taken, &log->pending);
    if (bytes.size == 0)
        return;
    log->sealed.bytes += bytes.size;
    if (shared_block_new(&bytes, &block, &err)) /* what readers could not parse must not become durable */
        stop(STOP_BUG, "input log: a block we built: %s", err.message);
    if (log->sealed.count == log->sealed.capacity) {
        log->sealed.capacity = log->sealed.capacity ? 2 * log->sealed.capacity : 8;
        log->sealed.block = mem_grow(log->sealed.block, log->sealed.capacity, sizeof(struct shared_block *));
    }
    block->accepted_ns = log->oldest_ns;
    log->oldest_ns = 0;
    log->sealed.block[log->sealed.count++] = block;
}

static void take(struct input_log *log, struct submission *s)
{
    if (!sequencer_take(log->sequencer, s, log->clock_ms)) {
        seal(log); /* a control record behind events begins a block */
        CHECK(sequencer_take(log->sequencer, s, log->clock_ms));
    }
    list_add(&log->pending, s);
    if (log->oldest_ns == 0 || s->accepted_ns < log->oldest_ns)
        log->oldest_ns = s->accepted_ns;
}

/* The next submission for this write. Company is waited for as long as the last sync took, sync_ms at most: that a
 * batch just missed a sync costs it less than another sync would, and the disk is busy half of the time at most. */
static struct submission *next_submission(struct input_log *log)
{
    int64_t limit_ns = log->options.sync_ms * NS_PER_MS;
    int64_t wait_ns = log->sync_took_ns < limit_ns ? log->sync_took_ns : limit_ns;
    struct submission *s = queue_try_pop(log->queue);
    return s ? s : queue_pop_until(log->queue, log->last_sync_ns + wait_ns);
}

static void collect(struct input_log *log, struct submission *s)
{
    for (; s; s = next_submission(log)) {
        take(log, s);
        if (log->sealed.bytes + sequencer_pending_bytes(log->sequencer) >= BLOCK_BYTES_TARGET)
            return;
    }
}

static void count_sync(struct input_log *log, size_t bytes, int64_t began_ns)
{
    struct input_log_status *status = &log->status;
    log->last_sync_ns = clock_monotonic_ns();
    log->sync_took_ns = log->last_sync_ns - began_ns;
    histogram_observe(&log->sync, log->sync_took_ns);
    double ms = (double)log->sync_took_ns / (double)NS_PER_MS;
    CHECK(pthread_mutex_lock(&log->status_lock) == 0);
    status->bytes_written += bytes;
    status->syncs++;
    status->sync_ms_sum += ms;
    if (ms > status->sync_ms_max)
        status->sync_ms_max = ms;
    CHECK(pthread_mutex_unlock(&log->status_lock) == 0);
}

/* Everything in front of it may be dropped. */
static uint64_t floor_of(struct input_log *log)
{
    uint64_t synced = atomic_load_explicit(&log->synced, memory_order_acquire);
    uint64_t held = atomic_load_explicit(&log->held, memory_order_acquire);
    return synced < held ? synced : held;
}

/* Blocks, what is kept of them, rows of tables, producers, watermarks and rejected events in one batch: whatever a
 * crash leaves of the log, they agree. */
static void write_sealed(struct input_log *log, bool tick)
{
    uint64_t head = input_log_head(log);
    int64_t wall_ms = clock_wall_ms();
    rocks_batch_clear(log->batch);
    for (size_t i = 0; i < log->sealed.count; i++) {
        struct shared_block *b = log->sealed.block[i];
        CHECK(b->block.first == head);
        head = b->block.end;
        log_blocks_put(log->batch, b);
        if (log->options.lookups)
            lookup_rows_put(log->options.lookups, &b->block, log->batch);
        log_retention_add(log->retention, log->batch, b->block.first, b->bytes.size, wall_ms);
    }
    if (tick) {
        log_retention_trim(log->retention, log->batch, wall_ms, floor_of(log));
        if (log->options.lookups)
            lookup_rows_sweep(log->options.lookups, log->clock_ms, log->batch);
    }
    log_retention_put(log->retention, log->batch);
    log_rows_put(&log->rows, log->batch, head);
    rejects_put(&log->rejects, log->taken.first, log->batch);
    if (rocks_batch_count(log->batch) == 0)
        return;
    int64_t began_ns = clock_monotonic_ns();
    rocks_write(log->options.db, log->batch);
    count_sync(log, rocks_batch_bytes(log->batch), began_ns);
    log_retention_synced(log->retention);
    for (size_t i = 0; i < log->sealed.count && log->options.lookups; i++)
        lookup_rows_written(log->options.lookups, &log->sealed.block[i]->block);
    atomic_store_explicit(&log->head, head, memory_order_release);
}

static void acknowledge(struct input_log *log)
{
    struct submission *s = log->taken.first;
    int64_t now_ns = clock_monotonic_ns();
    list_clear(&log->taken);
    while (s) {
        struct submission *next = s->next; /* done() may free s */
        histogram_observe(&log->append, now_ns - s->accepted_ns);
        s->done(s);
        s = next;
    }
}

static void deliver(struct input_log *log)
{
    for (size_t i = 0; i < log->sealed.count; i++)
        log->options.deliver(log->options.context, log->sealed.block[i]);
    log->sealed.count = log->sealed.bytes = 0;
}

/* Counters at every write; who holds a stream back is searched for at ticks only. */
static void update_status(struct input_log *log, bool holders)
{
    struct input_log_status *status = &log->status;
    CHECK(pthread_mutex_lock(&log->status_lock) == 0);
    status->head = input_log_head(log);
    status->producers = sequencer_producers(log->sequencer);
    status->streams = log->options.sequencer.streams;
    for (uint32_t s = 0; s < status->streams; s++) {
        status->stream[s].watermark = sequencer_watermark(log->sequencer, (uint8_t)s);
        if (holders)
            status->stream[s].held = sequencer_holder(log->sequencer, (uint8_t)s, log->clock_ms,
                                                      &status->stream[s].holder, &status->stream[s].holder_silent_ms);
    }
    CHECK(pthread_mutex_unlock(&log->status_lock) == 0);
}

/* One write: s and what came with it (NULL: only time has passed). */
static void round_of(struct input_log *log, struct submission *s)
{
    atomic_store_explicit(&log->beat_ns, clock_monotonic_ns(), memory_order_relaxed);
    bool tick = writer_clock(log) - log->last_tick_ms >= TICK_MS;
    sequencer_tell_time(log->sequencer, clock_wall_ms());
    collect(log, s);
    if (tick) {
        sequencer_tick(log->sequencer, log->clock_ms);
        log->last_tick_ms = log->clock_ms;
    }
    seal(log);
    write_sealed(log, tick);
    update_status(log, tick);
    acknowledge(log);
    deliver(log);
}

static void *write_until_shut(void *context)
{
    struct input_log *log = context;
    for (;;) {
        bool shut = queue_is_shut(log->queue); /* asked first: what was pushed before is popped below */
        struct submission *s = queue_pop(log->queue, TICK_MS);
        if (!s && shut)
            return NULL;
        round_of(log, s);
    }
}

enum tm_code input_log_start(struct input_log *log, struct tm_error *err)
{
    CHECK(!log->started);
    enum tm_code rc = thread_start(&log->thread, "input-log", write_until_shut, log, err);
    log->started = rc == TM_OK;
    return rc;
}

void input_log_configure(struct input_log *log, const struct sequencer_options *options)
{
    sequencer_configure(log->sequencer, options);
}

static size_t weight_of(const struct submission *s)
{
    size_t weight = SUBMISSION_WEIGHT + s->shared.size + s->rejects.size + s->letters.size + s->control.size;
    for (uint32_t i = 0; i < s->event_count; i++)
        weight += sizeof s->events[i] + s->events[i].wire.size;
    return weight;
}

bool input_log_try_submit(struct input_log *log, struct submission *sub)
{
    sub->accepted_ns = clock_monotonic_ns();
    return queue_try_push(log->queue, sub, weight_of(sub));
}

bool input_log_submit(struct input_log *log, struct submission *sub)
{
    sub->accepted_ns = clock_monotonic_ns();
    return queue_push(log->queue, sub, weight_of(sub));
}

void input_log_stop(struct input_log *log)
{
    queue_shut(log->queue);
    if (log->started)
        CHECK(pthread_join(log->thread, NULL) == 0);
    else
        write_until_shut(log); /* what was handed in before a start that never came is owed an answer, too */
    log->started = false;
}

void input_log_close(struct input_log *log)
{
    if (!log)
        return;
    CHECK(!log->started);
    pthread_mutex_destroy(&log->status_lock);
    log_retention_close(log->retention);
    rocks_batch_free(log->batch);
    queue_close(log->queue);
    sequencer_close(log->sequencer);
    free(log->sealed.block);
    free(log);
}

void input_log_release(struct input_log *log, uint64_t synced)
{
    atomic_store_explicit(&log->synced, synced, memory_order_release);
    log_retention_reclaim(log->retention);
}

void input_log_hold(struct input_log *log, uint64_t position)
{
    atomic_store_explicit(&log->held, position, memory_order_release);
}

void input_log_status(struct input_log *log, struct input_log_status *out)
{
    CHECK(pthread_mutex_lock(&log->status_lock) == 0);
    *out = log->status;
    out->held = atomic_load_explicit(&log->held, memory_order_relaxed);
    log_retention_status(log->retention, &out->retained);
    CHECK(pthread_mutex_unlock(&log->status_lock) == 0);
}

void input_log_gauges(struct input_log *log, struct input_log_gauges *out)
{
    *out = (struct input_log_gauges){.queue_length = queue_length(log->queue),
                                     .queue_bytes = queue_weight(log->queue),
                                     .beat_ns = atomic_load_explicit(&log->beat_ns, memory_order_relaxed),
                                     .sync = &log->sync,
                                     .append = &log->append};
}
