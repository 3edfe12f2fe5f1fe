#include <stdlib.h>

#include "base/clock.h"
#include "ps/engine/parts.h"

/* The copy of the counters becomes what status shows, together with the commit that it belongs to. */
static void note(struct committer *c, struct commit *commit, uint64_t bytes)
{
    pthread_mutex_lock(&c->mutex);
    shard_counts_close(&c->counts[commit->shard]);
    c->counts[commit->shard] = commit->counts;
    c->commits++;
    c->bytes += bytes;
    pthread_mutex_unlock(&c->mutex);
}

static void pass(struct committer *c, struct barrier *barrier)
{
    state_db_sync(c->engine->dir.state);
    pthread_mutex_lock(&barrier->mutex);
    if (--barrier->missing == 0)
        pthread_cond_signal(&barrier->done);
    pthread_mutex_unlock(&barrier->mutex);
}

static void write_one(struct committer *c, struct commit *commit)
{
    if (commit->barrier)
        pass(c, commit->barrier);
    else
        note(c, commit, state_db_commit(c->engine->dir.state, &commit->batch));
    store_batch_close(&commit->batch);
    free(commit);
}

static void *run(void *argument)
{
    struct committer *c = argument;
    int64_t synced_at = clock_monotonic_ns();
    bool unsynced = false;
    for (;;) {
        struct commit *commit = queue_pop(c->queue, STATE_SYNC_MS / 4);
        if (commit) {
            write_one(c, commit);
            unsynced = true;
        } else if (queue_is_shut(c->queue)) {
            break;
        }
        if (unsynced && clock_monotonic_ns() - synced_at >= (int64_t)STATE_SYNC_MS * 1000000) {
            state_db_sync(c->engine->dir.state);
            synced_at = clock_monotonic_ns();
            unsynced = false;
        }
    }
    state_db_sync(c->engine->dir.state);
    return NULL;
}

enum tm_code committer_start(struct committer *c, struct engine *e, struct tm_error *err)
{
    c->engine = e;
    c->queue = queue_open(COMMITS_QUEUED_MAX, e->options.memory_inbox);
    c->counts = mem_new(e->options.shards, sizeof *c->counts);
    pthread_mutex_init(&c->mutex, NULL);
    return engine_thread(&c->thread, run, c, err);
}

void committer_push(struct committer *c, struct commit *commit)
{
    CHECK(queue_push(c->queue, commit, commit->batch.operations.size));
}

void committer_stop(struct committer *c)
{
    queue_shut(c->queue);
    pthread_join(c->thread, NULL);
    queue_close(c->queue);
    for (uint32_t i = 0; i < c->engine->options.shards; i++)
        shard_counts_close(&c->counts[i]);
    free(c->counts);
    pthread_mutex_destroy(&c->mutex);
}
