#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rcu.h"
#include "ps/engine/parts.h"

/* A block goes once to every worker. */
static void hand_over(struct engine *e, struct shared_block *block)
{
    if (engine_applied(e) >= atomic_load_explicit(&e->awaited, memory_order_relaxed)) {
        atomic_store_explicit(&e->awaited_ns, clock_monotonic_ns(), memory_order_relaxed);
        atomic_store_explicit(&e->awaited, block->block.end, memory_order_release);
    }
    pressure_send(e->pressure, &block->block);
    for (uint32_t i = 0; i < e->workers; i++)
        worker_push_block(&e->worker[i], block);
    shared_block_unref(block);
}

/* On the log writer's thread. */
static void deliver(void *context, struct shared_block *block)
{
    struct engine *e = context;
    control_follow(e, &block->block);
    hand_over(e, block);
}

static enum tm_code replay_block(void *context, struct shared_block *block, struct tm_error *err)
{
    (void)err;
    hand_over(context, block);
    return TM_OK;
}

static void make_parts(struct engine *e)
{
    uint32_t processors = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    e->workers = e->options.threads ? e->options.threads : processors;
    if (e->workers > e->options.shards)
        e->workers = e->options.shards;
    e->shard = mem_new(e->options.shards, sizeof(struct shard *));
    e->shard_worker = mem_new(e->options.shards, sizeof *e->shard_worker);
    e->lookups = lookup_rows_open(e->dir.log, &e->catalog, e->dir.hash_seed, e->options.memory_lookup);
    for (uint32_t i = 0; i < e->options.shards; i++)
        e->shard[i] = shard_open(&(struct shard_options){
            .id = i,
            .hash_seed = e->dir.hash_seed,
            .store = state_db_patient_store(e->dir.state),
            .encoder = encoders_find,
            .encoder_context = e->encoders,
            .archive = {e->options.samples_retain_ms, e->options.memory_samples / e->options.shards},
            .lookup = lookup_rows_source(e->lookups)});
    e->pressure =
        pressure_open(e->options.shards, e->options.memory_join / e->options.shards, e->options.door_timeout_ms);
    e->worker = mem_new(e->workers, sizeof *e->worker);
    for (uint32_t i = 0; i < e->workers; i++)
        worker_open(&e->worker[i], e, i);
    committer_open(&e->committer, e);
    catch_up_open(e);
}

static void *load_worker(void *argument)
{
    struct worker *w = argument;
    w->load_error.code = TM_OK;
    w->load_error.code = worker_load(w, &w->load_error);
    return NULL;
}

static enum tm_code load_workers(struct engine *e, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    uint32_t started = 0;
    for (; rc == TM_OK && started < e->workers; started++)
        rc = thread_start(&e->worker[started].thread, "loader", load_worker, &e->worker[started], err);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(e->worker[i].thread, NULL);
        if (rc == TM_OK && e->worker[i].load_error.code != TM_OK) {
            *err = e->worker[i].load_error;
            rc = err->code;
        }
    }
    return rc;
}

static enum tm_code start_workers(struct engine *e, struct tm_error *err)
{
    enum tm_code rc = committer_start(&e->committer, err);
    for (uint32_t i = 0; rc == TM_OK && i < e->workers; i++)
        rc = worker_start(&e->worker[i], err);
    return rc;
}

/* The log must reach every shard: a shard ahead of it has applied what is lost, and would skip what comes instead. */
static enum tm_code check_log(const struct engine *e, struct tm_error *err)
{
    uint64_t head = input_log_head(e->log);
    for (uint32_t i = 0; i < e->options.shards; i++)
        if (shard_position(e->shard[i]) > head)
            return tm_error_set(err, TM_DATA_LOSS,
                                "the log ends at position %llu, but shard %u has applied it up to %llu",
                                (unsigned long long)head, i, (unsigned long long)shard_position(e->shard[i]));
    return TM_OK;
}

/* Read on from where the shard stands that is furthest behind. */
static enum tm_code replay(struct engine *e, struct tm_error *err)
{
    uint64_t from = UINT64_MAX;
    for (uint32_t i = 0; i < e->workers; i++)
        if (e->worker[i].position < from)
            from = e->worker[i].position;
    return from < input_log_head(e->log) ? input_log_replay(e->log, from, replay_block, e, err) : TM_OK;
}

/* The door's own copy of what the control records have established. */
static enum tm_code copy_catalog(struct engine *e, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer encoded = {0};
    catalog_encode(shard_catalog(e->shard[0]), &encoded);
    enum tm_code rc = catalog_decode(&e->catalog, buffer_view(&encoded), err);
    registry_follow(e->registry, &e->catalog);
    return rc;
}

static enum tm_code open_log(struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    struct input_log_options o = {.db = e->dir.log,
                                  .sync_ms = e->options.log_sync_ms,
                                  .retain_ms = e->options.log_retain_ms,
                                  .retain_bytes = e->options.log_retain_size,
                                  .queue_bytes_max = e->options.memory_inbox,
                                  .lookups = e->lookups,
                                  .deliver = deliver,
                                  .context = e};
    setup_sequencer(&e->options, wanted, &o.sequencer);
    return input_log_open(&o, &e->log, err);
}

static enum tm_code recover(struct engine *e, struct catalog *wanted, struct tm_error *err)
{
    int64_t started = clock_monotonic_ns();
    enum tm_code rc = load_workers(e, err);
    uint64_t position = 0;
    if (rc == TM_OK)
        rc = check_log(e, err);
    /* Threads first, so that the log is applied while it is read. Whatever fails from here on stops the process: there
     * is nothing to go back to, and the state is as it was. */
    if (rc == TM_OK && (start_workers(e, err) != TM_OK || replay(e, err) != TM_OK))
        stop(tm_code_exit(err->code), "recovery: %s", err->message);
    if (rc == TM_OK)
        CHECK(engine_wait_applied(e, input_log_head(e->log), -1));
    if (rc == TM_OK)
        rc = copy_catalog(e, err);
    if (rc == TM_OK) {
        setup_number(e, wanted);
        input_log_configure(e->log, &e->sequencing);
    }
    for (uint32_t i = 0; i < e->workers; i++)
        e->recovered_events += atomic_load(&e->worker[i].events);
    e->recovery_ms = (double)(clock_monotonic_ns() - started) / 1e6;
    if (rc == TM_OK)
        rc = input_log_start(e->log, err);
    if (rc == TM_OK)
        rc = setup_apply(e, wanted, err);
    if (rc == TM_OK)
        rc = catch_up_start(e, err);
    control_publish(e);
    return rc == TM_OK ? engine_drain(e, &position, err) : rc;
}

/* What is there before any part is. */
static void release(struct engine *e)
{
    for (struct schema *s = atomic_load(&e->schema), *older; s; s = older) {
        older = s->older;
        free(s);
    }
    free(e->configured);
    user_lists_close(&e->users);
    registry_close(e->registry);
    pressure_close(e->pressure);
    pthread_mutex_destroy(&e->control);
    pthread_mutex_destroy(&e->progress_mutex);
    pthread_cond_destroy(&e->progress);
    free(e);
}

enum tm_code engine_open(const struct options *options, const struct disk_watch *watch, struct engine **out,
                         struct tm_error *err)
{
    struct engine *e = mem_new(1, sizeof *e);
    struct catalog wanted = {0};
    e->options = *options;
    e->configured = mem_new(1, sizeof *e->configured);
    *e->configured = *options;
    control_publish(e);
    e->registry = registry_open();
    pthread_mutex_init(&e->control, NULL);
    pthread_mutex_init(&e->progress_mutex, NULL);
    condition_open(&e->progress);
    enum tm_code rc = setup_catalog(options, &wanted, err);
    if (rc == TM_OK)
        rc = data_dir_open(options->data, options->shards, options->disk_reserve, watch, &e->dir, err);
    if (rc != TM_OK) {
        catalog_close(&wanted);
        release(e);
        return rc;
    }
    e->encoders = encoders_open(options->data);
    snprintf(e->generation, sizeof e->generation, "%llu.%llu", (unsigned long long)e->dir.restore,
             (unsigned long long)e->dir.start);
    make_parts(e);
    e->users.hash_seed = e->dir.hash_seed;
    rc = engine_reload(e, NULL, err);
    if (rc == TM_OK)
        rc = setup_encoders(e, &wanted, err);
    if (rc == TM_OK)
        rc = open_log(e, &wanted, err);
    if (rc == TM_OK)
        rc = recover(e, &wanted, err);
    catalog_close(&wanted);
    if (rc == TM_OK)
        *out = e;
    else
        engine_close(e);
    return rc;
}

void engine_close(struct engine *e)
{
    atomic_store(&e->closing, true);
    pthread_mutex_lock(&e->progress_mutex);
    pthread_cond_broadcast(&e->progress);
    pthread_mutex_unlock(&e->progress_mutex);
    engine_leave(e);
    catch_up_stop(e);
    if (e->log)
        input_log_stop(e->log);
    for (uint32_t i = 0; i < e->workers; i++)
        worker_stop(&e->worker[i]);
    committer_stop(&e->committer);
    committer_close(&e->committer);
    catch_up_close(e);
    for (uint32_t i = 0; i < e->workers; i++)
        worker_close(&e->worker[i]);
    rcu_settle();
    for (uint32_t i = 0; i < e->options.shards; i++)
        shard_close(e->shard[i]);
    encoders_close(e->encoders);
    free(e->configured_encoder);
    input_log_close(e->log);
    lookup_rows_close(e->lookups);
    data_dir_close(&e->dir);
    free(e->worker);
    free(e->shard);
    free(e->shard_worker);
    catalog_close(&e->catalog);
    release(e);
}

const struct options *engine_options(const struct engine *e) { return &e->options; }
const char *engine_generation(const struct engine *e) { return e->generation; }
static const struct schema *schema_of(const struct engine *e)
{
    return atomic_load_explicit(&e->schema, memory_order_acquire);
}

const struct catalog *engine_schema(const struct engine *e) { return &schema_of(e)->catalog; }
int engine_stream(const struct engine *e, struct bytes name) { return catalog_stream(engine_schema(e), name); }
int64_t engine_out_of_orderness(const struct engine *e, uint32_t stream)
{
    return schema_of(e)->out_of_orderness_ms[stream];
}
int64_t engine_end_window(const struct engine *e) { return schema_of(e)->end_window_ms; }
const struct version *engine_version(const struct engine *e, struct bytes name)
{
    return registry_find(e->registry, name);
}
uint32_t engine_versions(const struct engine *e) { return registry_count(e->registry); }
const struct version *engine_version_by_id(const struct engine *e, uint32_t id)
{
    return registry_by_id(e->registry, id);
}
enum version_state engine_version_state(const struct engine *e, const struct version *v)
{
    return registry_state(e->registry, v);
}
const char *engine_version_encoder(const struct engine *e, const struct version *v)
{
    return registry_encoder(e->registry, v);
}
enum tm_code engine_find_encoder(const struct engine *e, const struct version *v, const struct encoder **out,
                                 struct tm_error *err)
{
    const char *representation = registry_encoder(e->registry, v);
    struct encoder_id id;
    *out = NULL;
    if (!representation)
        return TM_OK;
    snprintf(id.text, sizeof id.text, "%s", representation);
    *out = encoders_find(e->encoders, &id, err);
    return *out ? TM_OK : TM_DATA_LOSS;
}
const struct version *engine_version_at(const struct engine *e, uint32_t i) { return registry_at(e->registry, i); }
uint32_t engine_shard(const struct engine *e, struct bytes doc) { return hash_shard(doc, e->options.shards); }
bool engine_submit(struct engine *e, struct submission *sub) { return input_log_submit(e->log, sub); }
bool engine_try_submit(struct engine *e, struct submission *sub) { return input_log_try_submit(e->log, sub); }
enum tm_code engine_admit(struct engine *e, bool events, struct tm_error *err)
{
    return disk_admit(e->dir.disk, events, err);
}

enum tm_code engine_admit_batch(struct engine *e, const struct submission *batch, struct tm_error *err)
{
    return pressure_admit(e->pressure, &engine_schema(e)->join, batch, clock_monotonic_ns(), err);
}

void engine_release_batch(struct engine *e, const struct submission *batch)
{
    pressure_release(e->pressure, &engine_schema(e)->join, batch);
}

void engine_on_disk(struct engine *e, void (*changed)(void *context, enum disk_state state), void *context)
{
    disk_on_change(e->dir.disk, changed, context);
}

void engine_leave(struct engine *e) { disk_leave(e->dir.disk); }

uint64_t engine_durable(const struct engine *e) { return input_log_head(e->log); }

uint64_t engine_applied(const struct engine *e)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < e->workers; i++) {
        uint64_t applied = atomic_load(&e->worker[i].applied);
        least = applied < least ? applied : least;
    }
    return least;
}

double engine_behind_seconds(const struct engine *e)
{
    uint64_t awaited = atomic_load_explicit(&e->awaited, memory_order_acquire);
    int64_t since_ns = atomic_load_explicit(&e->awaited_ns, memory_order_relaxed);
    return engine_applied(e) >= awaited ? 0 : (double)(clock_monotonic_ns() - since_ns) / 1e9;
}

int64_t engine_gate(const struct engine *e)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < e->workers; i++) {
        int64_t gate = atomic_load_explicit(&e->worker[i].gate, memory_order_acquire);
        least = gate < least ? gate : least;
    }
    return least;
}

bool engine_wait_applied(struct engine *e, uint64_t position, int64_t timeout_ms)
{
    int64_t until_ns = clock_deadline_ns(timeout_ms);
    bool in_time = true;
    atomic_fetch_add(&e->progress_waiters, 1);
    pthread_mutex_lock(&e->progress_mutex);
    while (engine_applied(e) < position && in_time && !atomic_load(&e->closing))
        in_time = condition_wait(&e->progress, &e->progress_mutex, until_ns);
    pthread_mutex_unlock(&e->progress_mutex);
    atomic_fetch_sub(&e->progress_waiters, 1);
    return engine_applied(e) >= position;
}

enum tm_code engine_drain(struct engine *e, uint64_t *position, struct tm_error *err)
{
    struct barrier b = {.mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER, .missing = e->workers};
    *position = engine_durable(e);
    /* What was accepted without its sync is still on its way; while the disk is full it has to stay there. */
    if (engine_admit(e, false, NULL) == TM_OK && control_pass(e, position, err) != TM_OK)
        return err->code;
    if (!engine_wait_applied(e, *position, -1))
        return tm_error_set(err, TM_UNAVAILABLE, "the server is shutting down");
    for (uint32_t i = 0; i < e->workers; i++)
        worker_push_barrier(&e->worker[i], &b);
    pthread_mutex_lock(&b.mutex);
    while (!b.passed)
        pthread_cond_wait(&b.done, &b.mutex);
    pthread_mutex_unlock(&b.mutex);
    return TM_OK;
}
