#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ps/engine/parts.h"

enum {
    INBOX_ITEMS_MAX = 4096,
    UNFROZEN_MAX = 16 << 20, /* bytes of one shard: more does not wait for the interval */
};

void worker_open(struct worker *w, struct engine *e, uint32_t index)
{
    uint32_t shards = e->options.shards, workers = e->workers;
    *w = (struct worker){.engine = e};
    w->inbox = queue_open(INBOX_ITEMS_MAX, e->options.memory_inbox / workers);
    w->shards = mem_new(shards / workers + 1, sizeof *w->shards);
    for (uint32_t i = index; i < shards; i += workers) {
        w->shards[w->count++].shard = e->shard[i];
        e->shard_worker[i] = index;
    }
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        w->watermark[i] = WATERMARK_NONE;
    atomic_store(&w->gate, WATERMARK_NONE);
}

void worker_close(struct worker *w)
{
    queue_close(w->inbox);
    free(w->shards);
}

/* Before `applied`: whoever has seen a block applied also sees who is behind because of it. */
static void publish_behind(struct worker *w)
{
    bool behind = false;
    for (uint32_t i = 0; i < w->count && !behind; i++)
        behind = shard_behind(w->shards[i].shard);
    if (behind != atomic_exchange(&w->behind, behind) && behind)
        catch_up_wake(w->engine);
}

static void publish_gate(struct worker *w)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < w->count; i++) {
        int64_t gate = shard_gate(w->shards[i].shard, w->watermark);
        least = gate < least ? gate : least;
    }
    atomic_store_explicit(&w->gate, least, memory_order_release);
}

static void publish(struct worker *w)
{
    publish_behind(w);
    publish_gate(w);
    /* In one order with progress_waiters (no release store): either we see who waits, or they see this. */
    atomic_store(&w->applied, w->position);
    if (atomic_load(&w->engine->progress_waiters)) {
        pthread_mutex_lock(&w->engine->progress_mutex);
        pthread_cond_broadcast(&w->engine->progress);
        pthread_mutex_unlock(&w->engine->progress_mutex);
    }
}

/* Worker k of n has the shards k, k + n, k + 2n... */
static uint32_t shard_number(const struct worker *w, const struct worker_shard *s)
{
    return (uint32_t)(s - w->shards) * w->engine->workers + (uint32_t)(w - w->engine->worker);
}

static struct shard_rows written_rows(const struct worker *w, const struct worker_shard *s)
{
    const struct written *written = &w->engine->committer.written[shard_number(w, s)];
    return (struct shard_rows){atomic_load_explicit(&written->samples, memory_order_acquire),
                               atomic_load_explicit(&written->features, memory_order_acquire),
                               atomic_load_explicit(&written->commit, memory_order_acquire)};
}

static void tell_room(struct worker *w, const struct worker_shard *s)
{
    struct shard_room room = shard_room(s->shard);
    pressure_tell(w->engine->pressure, shard_number(w, s), room.held_bytes, room.decided);
}

/* What was on its way to our shards has arrived, or is known to them. */
static void arrive(struct worker *w, const struct block *b, const uint32_t *slots)
{
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t shard, events, first;
        if (slots[i] == SHARD_NOT_NAMED)
            continue;
        block_shard(b, slots[i], &shard, &events, &first);
        pressure_arrive(w->engine->pressure, b, shard, events);
    }
}

/* A worker stands where the shard stands that is furthest behind; the others skip what they have seen. */
enum tm_code worker_load(struct worker *w, struct tm_error *err)
{
    struct store store = state_db_store(w->engine->dir.state);
    w->position = UINT64_MAX;
    for (uint32_t i = 0; i < w->count; i++) {
        struct shard *s = w->shards[i].shard;
        enum tm_code rc = shard_load(s, &store, err);
        if (rc != TM_OK)
            return rc;
        struct shard_counts counts = {0};
        shard_count(s, &counts);
        tell_room(w, &w->shards[i]);
        committer_set_counts(&w->engine->committer, shard_number(w, &w->shards[i]), &counts);
        atomic_store(&w->engine->committer.written[shard_number(w, &w->shards[i])].archived, shard_archived(s));
        if (shard_position(s) < w->position) {
            w->position = shard_position(s);
            memcpy(w->watermark, shard_watermarks(s), sizeof w->watermark);
        }
    }
    publish(w);
    return TM_OK;
}

static void freeze(struct worker *w, struct worker_shard *s, int64_t now_ns)
{
    struct commit *c = mem_new(1, sizeof *c);
    c->rows = shard_commit(s->shard, w->position, w->watermark, &c->batch);
    c->archived = shard_archived(s->shard);
    shard_count(s->shard, &c->counts);
    c->shard = shard_number(w, s);
    s->next_commit_ns = now_ns + w->engine->options.commit_interval_ms * NS_PER_MS;
    committer_push(&w->engine->committer, c);
}

/* Commits are spread over the interval: all shards at once would hold everything up. */
static void stagger(struct worker *w)
{
    int64_t now = clock_monotonic_ns(), interval = w->engine->options.commit_interval_ms * NS_PER_MS;
    for (uint32_t i = 0; i < w->count; i++)
        w->shards[i].next_commit_ns = now + interval * (int64_t)(i + 1) / (int64_t)w->count;
}

static void freeze_due(struct worker *w)
{
    int64_t now = clock_monotonic_ns();
    int64_t idle = (COMMIT_IDLE_MS - w->engine->options.commit_interval_ms) * NS_PER_MS;
    for (uint32_t i = 0; i < w->count; i++) {
        struct worker_shard *s = &w->shards[i];
        if (now < s->next_commit_ns && shard_unfrozen(s->shard) < UNFROZEN_MAX)
            continue;
        if (shard_changed(s->shard) || (shard_position(s->shard) < w->position && now >= s->next_commit_ns + idle))
            freeze(w, s, now);
    }
}

static void freeze_all(struct worker *w)
{
    int64_t now = clock_monotonic_ns();
    for (uint32_t i = 0; i < w->count; i++)
        if (shard_changed(w->shards[i].shard) || shard_position(w->shards[i].shard) < w->position)
            freeze(w, &w->shards[i], now);
}

/* Returns the number of events applied. */
static uint64_t step_shards(struct worker *w, const struct block *b, const int64_t *after, const uint32_t *slots)
{
    struct tm_error err;
    uint64_t applied = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        struct shard *s = w->shards[i].shard;
        if (shard_position(s) >= b->end) /* it committed behind this block before the restart */
            continue;
        if (slots[i] == SHARD_NOT_NAMED && b->controls == 0 && !shard_due(s, after))
            continue;
        shard_written(s, written_rows(w, &w->shards[i]));
        if (shard_step(s, b, slots[i], w->watermark, after, &err) != TM_OK)
            stop(STOP_DATA_LOSS, "the log cannot be applied: %s", err.message);
        tell_room(w, &w->shards[i]);
        if (slots[i] != SHARD_NOT_NAMED) {
            uint32_t shard, events, first;
            block_shard(b, slots[i], &shard, &events, &first);
            applied += events;
        }
    }
    return applied;
}

/* Where in the block's directory each of our shards is named. */
static void find_slots(const struct worker *w, const struct block *b, uint32_t *slots)
{
    for (uint32_t i = 0; i < w->count; i++)
        slots[i] = SHARD_NOT_NAMED;
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        if (shard >= w->engine->options.shards)
            stop(STOP_DATA_LOSS, "the block at position %llu names shard %u of %u", (unsigned long long)b->first, shard,
                 w->engine->options.shards);
        if (&w->engine->worker[w->engine->shard_worker[shard]] == w)
            slots[shard / w->engine->workers] = slot;
    }
}

static void apply(struct worker *w, const struct block *b, uint32_t *slots)
{
    int64_t after[JOINER_STREAMS_MAX];
    struct reader r = reader_of(b->punctuation_bytes);
    uint8_t stream;
    int64_t time;
    find_slots(w, b, slots);
    if (b->end <= w->position) {
        arrive(w, b, slots);
        return;
    }
    memcpy(after, w->watermark, sizeof after);
    while (block_next_punctuation(&r, &stream, &time)) {
        if (stream >= JOINER_STREAMS_MAX || time < after[stream])
            stop(STOP_DATA_LOSS, "the block at position %llu sets stream %u back", (unsigned long long)b->first,
                 stream);
        after[stream] = time;
    }
    if (b->first != w->position)
        stop(STOP_DATA_LOSS, "the log goes on at position %llu; expected %llu", (unsigned long long)b->first,
             (unsigned long long)w->position);
    uint64_t events = step_shards(w, b, after, slots);
    arrive(w, b, slots);
    memcpy(w->watermark, after, sizeof after);
    w->position = b->end;
    atomic_fetch_add_explicit(&w->events, events, memory_order_relaxed);
    publish(w);
}

/* The last worker that a block comes to measures how long it took. */
static void measure(struct engine *e, struct shared_block *b)
{
    if (b->accepted_ns != 0 && engine_applied(e) >= b->block.end && !atomic_flag_test_and_set(&b->measured))
        histogram_observe(&e->freshness, clock_monotonic_ns() - b->accepted_ns);
}

static void pass_barrier(struct worker *w, struct barrier *barrier)
{
    struct commit *c = mem_new(1, sizeof *c);
    freeze_all(w);
    c->barrier = barrier;
    committer_push(&w->engine->committer, c);
}

static void *run(void *argument)
{
    struct worker *w = argument;
    uint32_t *slots = mem_new(w->count, sizeof *slots);
    stagger(w);
    for (;;) {
        bool shut = queue_is_shut(w->inbox); /* asked first: what is pushed before the shutting is still popped */
        struct work *work = queue_pop(w->inbox, 20);
        if (work) {
            if (work->block) {
                apply(w, &work->block->block, slots);
                measure(w->engine, work->block);
                shared_block_unref(work->block);
            } else {
                pass_barrier(w, work->barrier);
            }
            free(work);
        } else if (shut) {
            break;
        }
        freeze_due(w);
    }
    freeze_all(w);
    free(slots);
    return NULL;
}

enum tm_code worker_start(struct worker *w, struct tm_error *err)
{
    char name[16];
    snprintf(name, sizeof name, "worker-%u", (uint16_t)(w - w->engine->worker));
    enum tm_code rc = thread_start(&w->thread, name, run, w, err);
    w->started = rc == TM_OK;
    return rc;
}

void worker_push_block(struct worker *w, struct shared_block *block)
{
    struct work *work = mem_new(1, sizeof *work);
    shared_block_ref(block);
    work->block = block;
    if (!queue_push(w->inbox, work, block->bytes.size)) {
        shared_block_unref(block);
        free(work);
    }
}

void worker_push_barrier(struct worker *w, struct barrier *barrier)
{
    struct work *work = mem_new(1, sizeof *work);
    work->barrier = barrier;
    CHECK(queue_push(w->inbox, work, 0));
}

void worker_stop(struct worker *w)
{
    queue_shut(w->inbox);
    if (w->started)
        pthread_join(w->thread, NULL);
    w->started = false;
}
