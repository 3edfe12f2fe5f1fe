#include <stdlib.h>

#include "base/clock.h"
#include "ps/engine/parts.h"

void committer_set_counts(struct committer *c, uint32_t shard, struct shard_counts *counts)
{
    pthread_mutex_lock(&c->mutex);
    shard_counts_close(&c->counts[shard]);
    c->counts[shard] = *counts;
    waiting_observe(&c->waiting[shard], &counts->pace);
    pthread_mutex_unlock(&c->mutex);
}

static void commit(struct committer *c, struct commit *frozen)
{
    int64_t began_ns = clock_monotonic_ns();
    uint64_t bytes = state_db_commit(c->engine->dir.state, &frozen->batch);
    histogram_observe(&c->write, clock_monotonic_ns() - began_ns);
    struct written *written = &c->written[frozen->shard];
    atomic_store_explicit(&written->samples, frozen->rows.samples, memory_order_release);
    atomic_store_explicit(&written->features, frozen->rows.features, memory_order_release);
    atomic_store_explicit(&written->commit, frozen->rows.commit, memory_order_release);
    atomic_store_explicit(&written->archived, frozen->archived, memory_order_release);
    committer_set_counts(c, frozen->shard, &frozen->counts);
    pthread_mutex_lock(&c->mutex);
    c->commits++;
    c->bytes += bytes;
    pthread_mutex_unlock(&c->mutex);
}

/* What every shard has written is durable then, and the log need not be kept in front of it. Read before the sync: what
 * is loaded at the start counts as written. */
static void sync_state(struct committer *c)
{
    int64_t began_ns = clock_monotonic_ns();
    uint64_t written = UINT64_MAX;
    int64_t decided_before = INT64_MAX;
    for (uint32_t i = 0; i < c->engine->options.shards; i++) {
        const struct shard_counts *n = &c->counts[i];
        written = n->position < written ? n->position : written;
        decided_before = n->decided_before < decided_before ? n->decided_before : decided_before;
    }
    state_db_sync(c->engine->dir.state);
    histogram_observe(&c->sync, clock_monotonic_ns() - began_ns);
    input_log_release(c->engine->log, written);
    lookup_rows_release(c->engine->lookups, written, decided_before);
}

/* The last worker's turn makes everything before it durable. */
static void pass(struct committer *c, struct barrier *barrier)
{
    if (--barrier->missing > 0)
        return;
    sync_state(c);
    pthread_mutex_lock(&barrier->mutex);
    barrier->passed = true;
    pthread_cond_signal(&barrier->done);
    pthread_mutex_unlock(&barrier->mutex);
}

static void take(struct committer *c, struct commit *next)
{
    if (next->barrier)
        pass(c, next->barrier);
    else
        commit(c, next);
    store_batch_close(&next->batch);
    free(next);
}

static void *run(void *argument)
{
    struct committer *c = argument;
    int64_t synced_at = clock_monotonic_ns();
    bool unsynced = false;
    for (;;) {
        atomic_store_explicit(&c->beat_ns, clock_monotonic_ns(), memory_order_relaxed);
        disk_look(c->engine->dir.disk);      /* when nobody writes, nobody else looks whether there is room again */
        bool shut = queue_is_shut(c->queue); /* asked first: what is pushed before the shutting is still popped */
        struct commit *next = queue_pop(c->queue, STATE_SYNC_MS / 4);
        if (next) {
            take(c, next);
            unsynced = true;
        } else if (shut) {
            break;
        }
        if (unsynced && clock_ms_since(synced_at) >= STATE_SYNC_MS) {
            sync_state(c);
            synced_at = clock_monotonic_ns();
            unsynced = false;
        }
    }
    sync_state(c);
    return NULL;
}

void committer_open(struct committer *c, struct engine *e)
{
    c->engine = e;
    c->queue = queue_open(COMMITS_QUEUED_MAX, e->options.memory_inbox);
    c->counts = mem_new(e->options.shards, sizeof *c->counts);
    c->waiting = mem_new(e->options.shards, sizeof *c->waiting);
    c->written = mem_new(e->options.shards, sizeof *c->written);
    pthread_mutex_init(&c->mutex, NULL);
}

enum tm_code committer_start(struct committer *c, struct tm_error *err)
{
    enum tm_code rc = thread_start(&c->thread, "committer", run, c, err);
    c->started = rc == TM_OK;
    return rc;
}

void committer_push(struct committer *c, struct commit *next)
{
    CHECK(queue_push(c->queue, next, next->batch.operations.size));
}

void committer_stop(struct committer *c)
{
    queue_shut(c->queue);
    if (c->started)
        pthread_join(c->thread, NULL);
}

void committer_close(struct committer *c)
{
    queue_close(c->queue);
    for (uint32_t i = 0; i < c->engine->options.shards; i++)
        shard_counts_close(&c->counts[i]);
    free(c->counts);
    free(c->waiting);
    free(c->written);
    pthread_mutex_destroy(&c->mutex);
}
