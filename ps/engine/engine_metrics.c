/* The engine's part of a scrape: events, versions, producers, log, state, RocksDB, process. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/process.h"
#include "ps/engine/metrics.h"
#include "ps/engine/dead_letters.h"
#include "ps/engine/parts.h"

/* Fates are what a record came to in the end; these are where it stays for a while. */
static bool is_stop_over(const char *fate)
{
    return strcmp(fate, "waiting") == 0 || strcmp(fate, "batched") == 0 || strcmp(fate, "held") == 0;
}

/* ---- events ---- */

static void stream_counts(const char *stream, const struct stream_counts *c, struct metrics *m)
{
    struct metric_labels name = METRIC_LABELS(stream);
    metric_count(m, METRIC_STREAM_CONSUMED, c->consumed, name);
#define F(fate, help)         \
    if (!is_stop_over(#fate)) \
        metric_count(m, METRIC_STREAM_EVENTS, c->fate, METRIC_LABELS(stream, #fate));
    STREAM_FATES(F)
#undef F
    metric_count(m, METRIC_STREAM_WAITING, c->waiting, name);
    metric_count(m, METRIC_STREAM_CROWDED_OUT, c->crowded_out, name);
    metric_count(m, METRIC_STREAM_TABLE_LATE, c->table_late, name);
    metric_count(m, METRIC_STREAM_GIVEN_UP, c->given_up, name);
    metric_value(m, METRIC_STREAM_IMBALANCE, (double)stream_counts_imbalance(c), name);
}

static void stream_time(const char *stream, const struct input_log_status *log, uint32_t i, struct metrics *m)
{
    struct metric_labels name = METRIC_LABELS(stream);
    const struct producer_id *holder = &log->stream[i].holder;
    if (log->stream[i].watermark != WATERMARK_NONE) {
        metric_value(m, METRIC_STREAM_WATERMARK, (double)log->stream[i].watermark / 1e3, name);
        metric_value(m, METRIC_STREAM_LAG, (double)(clock_wall_ms() - log->stream[i].watermark) / 1e3, name);
    }
    if (!log->stream[i].held)
        return;
    metric_count(m, METRIC_STREAM_HOLDER, 1, METRIC_LABELS(stream, holder->client, holder->instance, holder->lane));
    metric_value(m, METRIC_STREAM_HOLDER_SILENT, (double)log->stream[i].holder_silent_ms / 1e3, name);
}

/* Durations that are bounds of the histogram, so that the counts are exact. */
static void join_delays(struct engine *e, struct metrics *m)
{
    static const int64_t seconds[] = {1,     2,     5,      10,     20,     30,      60,     120,
                                      300,   600,   1200,   1800,   3600,   7200,    14400,  21600,
                                      43200, 86400, 172800, 259200, 604800, 1209600, 2592000};
    enum { BOUNDS = 1 + ARRAY_LEN(seconds) };
    const struct catalog *schema = engine_schema(e);
    double bounds[BOUNDS] = {0.1};
    struct engine_window w;
    for (unsigned i = 1; i < BOUNDS; i++)
        bounds[i] = (double)seconds[i - 1];
    engine_window(e, &w);
    metric_count(m, METRIC_UNDECIDED_BYTES, w.undecided_bytes, METRIC_PLAIN);
    metric_count(m, METRIC_DOOR_CLOSED, pressure_closed(e->pressure), METRIC_PLAIN);
    metric_count(m, METRIC_DOOR_REFUSED, pressure_refused(e->pressure), METRIC_PLAIN);
    for (uint32_t i = 0; i < schema->join.streams; i++) {
        const struct delays *d = &w.stream[i].delays;
        uint64_t cumulative[BOUNDS];
        if (schema->join.stream[i].kind != JOINER_ACTION)
            continue;
        for (unsigned k = 0; k < BOUNDS; k++)
            cumulative[k] = (uint64_t)delays_within(d, (int64_t)(bounds[k] * 1e3));
        metric_buckets(m, METRIC_JOIN_DELAY, bounds, cumulative, BOUNDS, delays_count(d), (double)d->sum_ms / 1e3,
                       METRIC_LABELS(schema->stream_name[i]));
    }
    engine_window_close(&w);
}

static void tables(const struct lookup_rows_counts *c, struct metrics *m)
{
    metric_count(m, METRIC_TABLE_ROWS_WRITTEN, c->written, METRIC_PLAIN);
    metric_count(m, METRIC_TABLE_ROWS_REMOVED, c->removed, METRIC_PLAIN);
    metric_count(m, METRIC_TABLE_LOOKUPS, c->cache.lookups, METRIC_PLAIN);
    metric_count(m, METRIC_TABLE_MISSES, c->cache.misses, METRIC_PLAIN);
    metric_count(m, METRIC_TABLE_CACHE, c->cache.bytes, METRIC_PLAIN);
}

static void events(struct engine *e, const struct engine_status *s, struct metrics *m)
{
    const struct catalog *schema = engine_schema(e);
    uint64_t undecided = 0, decided = 0, samples = 0, kept = 0;
    for (uint32_t i = 0; i < schema->join.streams; i++) {
        stream_counts(schema->stream_name[i], &s->streams[i], m);
        if (i < s->log.streams)
            stream_time(schema->stream_name[i], &s->log, i, m);
    }
    for (uint32_t i = 0; i < e->options.shards; i++) {
        undecided += s->shards[i].undecided;
        decided += s->shards[i].decided;
        samples += s->shards[i].samples;
        kept += s->shards[i].kept_bytes;
    }
    if (s->as_of != WATERMARK_NONE)
        metric_value(m, METRIC_GATE, (double)s->as_of / 1e3, METRIC_PLAIN);
    metric_count(m, METRIC_UNDECIDED, undecided, METRIC_PLAIN);
    metric_count(m, METRIC_DECIDED, decided, METRIC_PLAIN);
    metric_count(m, METRIC_SAMPLE_LOG, samples, METRIC_PLAIN);
    metric_count(m, METRIC_KEPT_BYTES, kept, METRIC_PLAIN);
    if (s->tables)
        tables(&s->lookups, m);
    join_delays(e, m);
    metric_histogram(m, METRIC_FRESHNESS, &e->freshness, METRIC_PLAIN);
    metric_value(m, METRIC_IMBALANCE, (double)s->imbalance, METRIC_PLAIN);
}

/* ---- dead letters ---- */

static void dead_letters(struct engine *e, struct metrics *m)
{
    const struct catalog *schema = engine_schema(e);
    struct dead_letter_counts counts;
    if (engine_dead_letter_counts(e, &counts, NULL) != TM_OK)
        return; /* what cannot be read shows where it is asked for: in the list of dead letters */
    for (uint32_t i = 0; i <= SEQUENCER_STREAMS_MAX; i++)
        for (int reason = 0; reason < REASON_COUNT; reason++) {
            if (counts.of[i][reason].seen == 0)
                continue;
            const char *stream = i < schema->join.streams ? schema->stream_name[i] : "";
            struct metric_labels labels = METRIC_LABELS(stream, joiner_reason_text((enum joiner_reason)reason));
            metric_count(m, METRIC_DEAD_LETTERS, counts.of[i][reason].seen, labels);
            metric_count(m, METRIC_DEAD_LETTERS_KEPT, counts.of[i][reason].kept, labels);
        }
}

/* ---- versions ---- */

static void sample_counts(const char *version, const char *kind, const struct sample_counts *c, struct metrics *m)
{
    metric_count(m, METRIC_VERSION_SAMPLES, c->samples, METRIC_LABELS(version, kind));
#define F(fate, help)                                                                               \
    metric_count(m, is_stop_over(#fate) ? METRIC_VERSION_PENDING : METRIC_VERSION_SETTLED, c->fate, \
                 METRIC_LABELS(version, kind, #fate));
    SAMPLE_FATES(F)
#undef F
#define F(reason, help) \
    metric_count(m, METRIC_VERSION_SKIPPED, c->reason, METRIC_LABELS(version, kind, #reason + sizeof "skipped"));
    SKIP_REASONS(F)
#undef F
    metric_count(m, METRIC_VERSION_CLAMPED, c->clamped, METRIC_LABELS(version, kind));
}

static void batches(const char *version, const struct engine_version_status *v, struct metrics *m)
{
    metric_count(m, METRIC_VERSION_OPEN_BATCHES, v->open_batches, METRIC_LABELS(version));
#define C(trigger, help) metric_count(m, METRIC_VERSION_BATCHES, v->batches.trigger, METRIC_LABELS(version, #trigger));
    BATCH_COUNTS(C)
#undef C
}

static void version(const char *name, const struct engine_version_status *v, struct metrics *m)
{
    sample_counts(name, "new", &v->fresh, m);
    sample_counts(name, "correction", &v->corrections, m);
    metric_value(m, METRIC_VERSION_IMBALANCE, (double)v->imbalance, METRIC_LABELS(name));
    metric_count(m, METRIC_VERSION_DOCUMENTS, v->documents, METRIC_LABELS(name));
    metric_count(m, METRIC_VERSION_BYTES, v->bytes, METRIC_LABELS(name));
    metric_count(m, METRIC_VERSION_REPAIRS, v->repairs, METRIC_LABELS(name));
    if (!v->version || version_waits(v->version))
        batches(name, v, m);
    metric_count(m, METRIC_VERSION_PAUSED, v->state == VERSION_PAUSED, METRIC_LABELS(name));
    metric_count(m, METRIC_VERSION_CATCHING_UP, v->catching_up, METRIC_LABELS(name));
}

/* What there is nothing to divide by has no value. */
static void number(struct metrics *m, enum metric metric, double value, struct metric_labels labels)
{
    if (!isnan(value))
        metric_value(m, metric, value, labels);
}

static void report(const char *version, const char *kind, const char *window, const struct validation_report *r,
                   struct metrics *m)
{
    struct metric_labels labels = METRIC_LABELS(version, kind, window);
    metric_count(m, METRIC_VALIDATION_SAMPLES, r->samples, labels);
    number(m, METRIC_VALIDATION_LOSS, r->log_loss, labels);
    number(m, METRIC_VALIDATION_NE, r->normalised_entropy, labels);
    number(m, METRIC_VALIDATION_AUC, r->auc, labels);
    number(m, METRIC_VALIDATION_GAUC, r->requests.by_samples, labels);
    number(m, METRIC_VALIDATION_RATIO, r->calibration, labels);
    number(m, METRIC_VALIDATION_ECE, r->calibration_error, labels);
    number(m, METRIC_VALIDATION_MSE, r->errors.squared, labels);
    number(m, METRIC_VALIDATION_MAE, r->errors.absolute, labels);
    number(m, METRIC_VALIDATION_EXPLAINED, r->errors.explained, labels);
    number(m, METRIC_VALIDATION_DENSITY, r->errors.density, labels);
    number(m, METRIC_VALIDATION_INTERVAL, r->errors.coverage, labels);
    if (r->trials > 0) {
        metric_count(m, METRIC_VALIDATION_TRIALS, r->trials, labels);
        number(m, METRIC_VALIDATION_COVERAGE, r->coverage, labels);
        number(m, METRIC_VALIDATION_DISPERSION, r->dispersion, labels);
    }
}

static void validation(struct engine *e, const struct engine_version_status *v, struct metrics *m)
{
    const char *name = v->version->name;
    struct engine_validation *read = mem_new(1, sizeof *read);
    metric_count(m, METRIC_VALIDATION_UNJUDGED, v->judge.served, METRIC_LABELS(name, "served"));
    metric_count(m, METRIC_VALIDATION_UNJUDGED, v->judge.prequential, METRIC_LABELS(name, "prequential"));
    metric_count(m, METRIC_VALIDATION_UNJUDGED, v->judge.corrections, METRIC_LABELS(name, "correction"));
    if (engine_validation(e, v->version, read, NULL) == TM_OK) /* else version show says what cannot be read */
        for (int k = 0; k < VALIDATION_KINDS; k++)
            if (read->kind[k].there) {
                const char *kind = k == VALIDATION_SERVED ? "served" : "prequential";
                report(name, kind, "1h", &read->kind[k].window[VALIDATION_HOUR], m);
                report(name, kind, "24h", &read->kind[k].window[VALIDATION_DAY], m);
            }
    free(read);
}

static void validations(struct engine *e, const struct engine_status *s, struct metrics *m)
{
    uint32_t shown = 0;
    for (uint32_t i = 0; i < s->version_count && shown < METRIC_VALIDATIONS_MAX; i++)
        if (s->versions[i].version->validate) {
            validation(e, &s->versions[i], m);
            shown++;
        }
}

/* Versions can be made at run time: those beyond a limit are added up, so that a scrape stays bounded and complete. */
static void versions(const struct engine_status *s, struct metrics *m)
{
    struct engine_version_status rest = {0};
    for (uint32_t i = 0; i < s->version_count; i++) {
        const struct engine_version_status *v = &s->versions[i];
        if (i < METRIC_VERSIONS_MAX) {
            version(v->version->name, v, m);
            continue;
        }
        sample_counts_add(&rest.fresh, &v->fresh);
        sample_counts_add(&rest.corrections, &v->corrections);
        rest.imbalance += v->imbalance;
        rest.documents += v->documents;
        rest.bytes += v->bytes;
        rest.repairs += v->repairs;
        rest.open_batches += v->open_batches;
        batch_counts_add(&rest.batches, &v->batches);
        rest.catching_up += v->catching_up;
    }
    if (s->version_count > METRIC_VERSIONS_MAX)
        version("(other)", &rest, m);
    metric_count(m, METRIC_METRIC_VERSIONS, s->version_count, METRIC_PLAIN);
}

/* ---- log ---- */

static void inboxes(struct engine *e, struct metrics *m)
{
    for (uint32_t i = 0; i < e->workers; i++) {
        char thread[16];
        snprintf(thread, sizeof thread, "%u", i);
        metric_count(m, METRIC_INBOX_BLOCKS, queue_length(e->worker[i].inbox), METRIC_LABELS(thread));
        metric_count(m, METRIC_INBOX_BYTES, queue_weight(e->worker[i].inbox), METRIC_LABELS(thread));
    }
}

static void positions(struct engine *e, const struct engine_status *s, struct metrics *m)
{
    /* In this order: none of the three may seem to be ahead of the one behind it. */
    uint64_t committed = UINT64_MAX;
    for (uint32_t i = 0; i < e->options.shards; i++)
        if (s->shards[i].committed_position < committed)
            committed = s->shards[i].committed_position;
    uint64_t applied = engine_applied(e), head = engine_durable(e);
    metric_count(m, METRIC_LOG_HEAD, head, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_APPLIED, applied, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_COMMITTED, committed, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_APPLIED_LAG, head - applied, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_COMMITTED_LAG, head - committed, METRIC_PLAIN);
    metric_value(m, METRIC_LOG_APPLIED_LAG_SECONDS, engine_behind_seconds(e), METRIC_PLAIN);
}

static void the_log(struct engine *e, const struct engine_status *s, struct metrics *m)
{
    struct input_log_gauges gauges;
    input_log_gauges(e->log, &gauges);
    positions(e, s, m);
    metric_count(m, METRIC_PRODUCERS, s->log.producers, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_BYTES, s->log.bytes_written, METRIC_PLAIN);
    metric_histogram(m, METRIC_LOG_SYNC, gauges.sync, METRIC_PLAIN);
    metric_histogram(m, METRIC_LOG_APPEND, gauges.append, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_QUEUE, gauges.queue_length, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_QUEUE_BYTES, gauges.queue_bytes, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_FIRST, s->log.retained.first, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_KEPT_BYTES, s->log.retained.bytes, METRIC_PLAIN);
    metric_count(m, METRIC_LOG_OVERDUE_BYTES, s->log.retained.overdue_bytes, METRIC_PLAIN);
    if (s->log.retained.oldest_ms)
        metric_value(m, METRIC_LOG_OLDEST, (double)s->log.retained.oldest_ms / 1e3, METRIC_PLAIN);
    inboxes(e, m);
}

/* ---- state ---- */

static void state(struct engine *e, const struct engine_status *s, struct metrics *m)
{
    metric_count(m, METRIC_COMMITS, s->commits, METRIC_PLAIN);
    metric_count(m, METRIC_COMMIT_BYTES, s->commit_bytes, METRIC_PLAIN);
    metric_histogram(m, METRIC_COMMIT_SECONDS, &e->committer.write, METRIC_PLAIN);
    metric_histogram(m, METRIC_STATE_SYNC, &e->committer.sync, METRIC_PLAIN);
    metric_count(m, METRIC_COMMIT_QUEUE, queue_length(e->committer.queue), METRIC_PLAIN);
    metric_count(m, METRIC_COMMIT_QUEUE_BYTES, queue_weight(e->committer.queue), METRIC_PLAIN);
    metric_value(m, METRIC_RECOVERY, s->recovery_ms / 1e3, METRIC_PLAIN);
    metric_count(m, METRIC_RECOVERED, s->recovered_events, METRIC_PLAIN);
    metric_count(m, METRIC_DISK_FREE, s->disk.free, METRIC_PLAIN);
    metric_count(m, METRIC_DISK_RESERVE, s->disk.reserve, METRIC_PLAIN);
    metric_count(m, METRIC_DISK_SIZE, s->disk.size, METRIC_PLAIN);
    metric_count(m, METRIC_DISK_STATE, s->disk.state, METRIC_PLAIN);
}

static void rocks(const struct rocks_status *r, const char *name, struct metrics *m)
{
    struct metric_labels db = METRIC_LABELS(name);
    metric_count(m, METRIC_ROCKS_TABLES, r->table_bytes, db);
    metric_count(m, METRIC_ROCKS_LIVE_TABLES, r->live_table_bytes, db);
    metric_count(m, METRIC_ROCKS_LIVE_FILES, r->live_files, db);
    metric_count(m, METRIC_ROCKS_BLOBS, r->blob_bytes, db);
    metric_count(m, METRIC_ROCKS_KEYS, r->estimated_keys, db);
    metric_count(m, METRIC_ROCKS_MEMTABLES, r->memtable_bytes, db);
    metric_count(m, METRIC_ROCKS_IMMUTABLE, r->immutable_memtables, db);
    metric_count(m, METRIC_ROCKS_READERS, r->table_reader_bytes, db);
    metric_count(m, METRIC_ROCKS_CACHE, r->block_cache_bytes, db);
    metric_count(m, METRIC_ROCKS_CACHE_SIZE, r->block_cache_capacity, db);
    metric_count(m, METRIC_ROCKS_PENDING, r->pending_compaction_bytes, db);
    metric_count(m, METRIC_ROCKS_COMPACTIONS, r->running_compactions, db);
    metric_count(m, METRIC_ROCKS_FLUSHES, r->running_flushes, db);
    metric_count(m, METRIC_ROCKS_DELAYED, r->delayed_write_rate, db);
    metric_count(m, METRIC_ROCKS_STOPPED, r->write_stopped, db);
    metric_count(m, METRIC_ROCKS_ERRORS, r->background_errors, db);
}

static void databases(struct engine *e, struct metrics *m)
{
    struct rocks_status status;
    rocks_status(e->dir.log, &status);
    rocks(&status, "log", m);
    state_db_status(e->dir.state, &status);
    rocks(&status, "state", m);
}

static void reloaded(const struct engine *e, struct metrics *m)
{
    struct engine_reloaded now = engine_reloaded(e);
    metric_count(m, METRIC_USERS_LISTED, now.blocked, METRIC_LABELS("block"));
    metric_count(m, METRIC_USERS_LISTED, now.allowed, METRIC_LABELS("allow"));
    metric_count(m, METRIC_RELOAD_SUCCESSFUL, !now.failed, METRIC_PLAIN);
    metric_value(m, METRIC_RELOAD_TIME, (double)now.at_ms / 1e3, METRIC_PLAIN);
}

static void process(const struct engine *e, struct metrics *m)
{
    struct process_usage p;
    process_usage(&p);
    metric_count(m, METRIC_GENERATION_INFO, 1, METRIC_LABELS(e->generation));
    metric_value(m, METRIC_PROCESS_CPU, p.cpu_seconds, METRIC_PLAIN);
    metric_value(m, METRIC_PROCESS_START, p.start_seconds, METRIC_PLAIN);
    metric_count(m, METRIC_PROCESS_RESIDENT, p.resident_bytes, METRIC_PLAIN);
    metric_count(m, METRIC_PROCESS_VIRTUAL, p.virtual_bytes, METRIC_PLAIN);
    metric_count(m, METRIC_PROCESS_THREADS, p.threads, METRIC_PLAIN);
    metric_count(m, METRIC_PROCESS_FDS, p.open_files, METRIC_PLAIN);
    metric_count(m, METRIC_PROCESS_FDS_MAX, p.open_files_max, METRIC_PLAIN);
}

void engine_metrics(struct engine *e, struct metrics *m)
{
    struct engine_status s;
    engine_status(e, &s);
    events(e, &s, m);
    versions(&s, m);
    validations(e, &s, m);
    dead_letters(e, m);
    the_log(e, &s, m);
    state(e, &s, m);
    engine_status_close(&s);
    databases(e, m);
    reloaded(e, m);
    process(e, m);
}
