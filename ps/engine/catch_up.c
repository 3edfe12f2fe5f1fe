/* A version that learns again has held samples to work off. Its shards do that in slices, one after each block, so that
 * what comes meanwhile is never blocked and nothing depends on time. While no events come there are no blocks: then
 * this thread appends records that do nothing but make one, each as soon as all shards have applied the one before. */
#include "ps/engine/parts.h"

enum { LOOK_AGAIN_MS = 20 };

static bool anybody_behind(const struct engine *e)
{
    for (uint32_t i = 0; i < e->workers; i++)
        if (atomic_load(&e->worker[i].behind))
            return true;
    return false;
}

/* False: the engine is closing. */
static bool wait_until_behind(struct engine *e)
{
    struct catch_up *c = &e->catch_up;
    pthread_mutex_lock(&c->mutex);
    while (!anybody_behind(e) && !atomic_load(&e->closing))
        pthread_cond_wait(&c->came, &c->mutex);
    pthread_mutex_unlock(&c->mutex);
    return !atomic_load(&e->closing);
}

/* Everything in the log is applied, and nothing came while that was so: no block is under way. */
static bool is_idle(struct engine *e)
{
    uint64_t head = engine_durable(e);
    return engine_wait_applied(e, head, LOOK_AGAIN_MS) && engine_durable(e) == head;
}

static void *run(void *argument)
{
    struct engine *e = argument;
    CLEANUP(buffer_close) struct buffer control = {0};
    struct tm_error err;
    uint64_t position;
    catalog_pack_proceed(&control);
    while (wait_until_behind(e))
        if (is_idle(e) && control_append(e, &control, &position, &err) != TM_OK)
            engine_wait_applied(e, UINT64_MAX, LOOK_AGAIN_MS); /* the log takes nothing: closing, or for now */
    return NULL;
}

void catch_up_open(struct engine *e)
{
    pthread_mutex_init(&e->catch_up.mutex, NULL);
    pthread_cond_init(&e->catch_up.came, NULL);
}

enum tm_code catch_up_start(struct engine *e, struct tm_error *err)
{
    enum tm_code rc = thread_start(&e->catch_up.thread, "catch-up", run, e, err);
    e->catch_up.started = rc == TM_OK;
    return rc;
}

void catch_up_wake(struct engine *e)
{
    pthread_mutex_lock(&e->catch_up.mutex);
    pthread_cond_signal(&e->catch_up.came);
    pthread_mutex_unlock(&e->catch_up.mutex);
}

void catch_up_stop(struct engine *e)
{
    catch_up_wake(e);
    if (e->catch_up.started)
        pthread_join(e->catch_up.thread, NULL);
    e->catch_up.started = false;
}

void catch_up_close(struct engine *e)
{
    pthread_cond_destroy(&e->catch_up.came);
    pthread_mutex_destroy(&e->catch_up.mutex);
}
