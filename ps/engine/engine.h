/* ps/engine/engine.h - the running system behind the doors: log, threads with their shards, commits, recovery, reads.
 *
 *   door ──► input log (writer thread) ──► inbox per thread ──► shards: step ──► tables ──► engine_pull
 *                                                                  └──► commits ──► storage thread ──► state
 *
 * Threads  every function here may be called from any thread, unless it says otherwise.
 * Memory   struct version pointers and names live as long as the engine. */
#ifndef TIDEMILL_PS_ENGINE_ENGINE_H
#define TIDEMILL_PS_ENGINE_ENGINE_H

#include "learner/policy.h"
#include "learner/validation_report.h"
#include "ps/engine/options.h"
#include "ps/engine/user_lists.h"
#include "ps/state/catalog.h"
#include "ps/state/sequencer.h"
#include "ps/state/shard.h"
#include "ps/storage/disk.h"
#include "ps/storage/input_log.h"

enum {
    ENGINE_PULL_DOCS_MAX = 10000,
    ENGINE_VERSIONS_MAX = 1000, /* each takes about 10 KB of every shard even when it never learns */
};

struct engine;

/* Open the data directory, recover every shard (replaying the log behind its last commit), append the control records
 * the configuration asks for, start all threads. When it returns the engine serves. Configuration that contradicts what
 * the directory was made with: TM_FAILED_PRECONDITION with the way out. watch: of the
 * disk (ps/storage/disk.h), also while it recovers; NULL when nobody does. */
enum tm_code engine_open(const struct options *options, const struct disk_watch *watch, struct engine **out,
                         struct tm_error *err);

/* Take no more, apply and commit everything accepted, sync, free. */
void engine_close(struct engine *e);

const struct options *engine_options(const struct engine *e);
/* By which configuration events become samples now: that which was read last and accepted, with the lists and limits of
 * users of the start, which no other replaces. Waits for changes that are on their way. */
void engine_configured(struct engine *e, struct options *out);
const char *engine_generation(const struct engine *e); /* "restore.start" */

/* The door: names to numbers. Lock-free. */
/* Streams, labels and key as they are now; its versions are left out. What it shows stays as it is: when streams or
 * labels are added there is another one, with these at its beginning. */
const struct catalog *engine_schema(const struct engine *e);
int engine_stream(const struct engine *e, struct bytes name);             /* index, or -1 */
int64_t engine_out_of_orderness(const struct engine *e, uint32_t stream); /* ms */
/* How far behind the last event time watermarks have to go so that every window closes, ms: join.window, or that of
 * older impressions which waited when it was made shorter. */
int64_t engine_end_window(const struct engine *e);
const struct version *engine_version(const struct engine *e, struct bytes name); /* NULL: no such version */
uint32_t engine_versions(const struct engine *e);                                /* how many; only grows */
const struct version *engine_version_at(const struct engine *e, uint32_t i);     /* in the order they were made */
const struct version *engine_version_by_id(const struct engine *e, uint32_t id); /* NULL: none of that id */
enum version_state engine_version_state(const struct engine *e, const struct version *v);
const char *engine_version_encoder(const struct engine *e, const struct version *v); /* as registry_encoder */
/* The encoder itself, *out, which lives as long as the engine; NULL: the version has none. Any thread. */
enum tm_code engine_find_encoder(const struct engine *e, const struct version *v, const struct encoder **out,
                                 struct tm_error *err);
uint32_t engine_shard(const struct engine *e, struct bytes doc);
/* Who is blocked, and who may do what he likes. */
struct user_lists *engine_users(struct engine *e);
/* Take over what may change while the engine runs of a configuration that was read again (NULL: nothing): streams,
 * labels, join.window, filters, sampling, encoders, versions that are new, and the lists of users, from where it names
 * them; the rest is for the next start. If a part is refused, nothing changes: TM_INVALID_ARGUMENT,
 * TM_FAILED_PRECONDITION, TM_RESOURCE_EXHAUSTED; of the lists TM_NOT_FOUND and TM_IO, too. Blocks. One at a time. */
enum tm_code engine_reload(struct engine *e, const struct options *wanted, struct tm_error *err);
/* When that was tried last (the wall clock; 0: never), and whether it succeeded. */
struct engine_reloaded {
    int64_t at_ms;
    bool failed;
    uint64_t blocked, allowed; /* ids */
};
struct engine_reloaded engine_reloaded(const struct engine *e);
/* Is there room on the disk for events, or (events: false) for anything else? TM_RESOURCE_EXHAUSTED says how much is
 * missing; what was submitted all the same waits until there is. To be asked before engine_submit. */
enum tm_code engine_admit(struct engine *e, bool events, struct tm_error *err);
/* Is there room for what the batch brings to the shards? TM_RESOURCE_EXHAUSTED: not for its impressions and features
 * (ps/engine/pressure.h). Whoever was let in calls engine_release_batch() when the batch is done, or not handed in. */
enum tm_code engine_admit_batch(struct engine *e, const struct submission *batch, struct tm_error *err);
void engine_release_batch(struct engine *e, const struct submission *batch);
/* In place of the watch's. */
void engine_on_disk(struct engine *e, void (*changed)(void *context, enum disk_state state), void *context);
/* The process wants to end: from now on a write that has to wait for room on the disk stops it instead. To be called
 * before anybody is waited for who may wait for such a write; engine_close() does it, too. */
void engine_leave(struct engine *e);
/* See input_log_submit, input_log_try_submit. */
bool engine_submit(struct engine *e, struct submission *sub);
bool engine_try_submit(struct engine *e, struct submission *sub);

/* Progress. engine_applied: every shard has applied everything before it. */
uint64_t engine_applied(const struct engine *e);
uint64_t engine_durable(const struct engine *e);
/* For how long a synced block has been waiting to be applied; 0: nothing waits. */
double engine_behind_seconds(const struct engine *e);
/* Event time up to which every shard has decided; INT64_MIN: nothing yet. */
int64_t engine_gate(const struct engine *e);
/* Waits until engine_applied() >= position. False: not within timeout_ms, or the engine is closing. Blocks: not for the
 * threads that serve calls. */
bool engine_wait_applied(struct engine *e, uint64_t position, int64_t timeout_ms);

/* Parameters of many documents. Arrays are the caller's, `count` long (values: count x model->width()). Statistics are
 * computed when `mean` is there; then sd, lower and upper must be, too.
 * Lock-free: never waits for a writer. */
#define PULL_NO_PRIOR SIZE_MAX
struct pull {
    const struct version *version;
    const struct bytes *docs;
    size_t count;
    double *values;
    uint8_t *known; /* 0 or 1 */
    int64_t *updated_at;
    uint64_t *n;
    uint8_t *source; /* enum Source of parameters.proto */
    double *mean, *sd, *lower, *upper;
    /* Results. */
    const char *encoder; /* the representation that all values are of; NULL: the version has no encoder */
    int64_t as_of;       /* event time decided in all shards touched; INT64_MIN: nothing yet */
    uint64_t position, durable_position;
    size_t prior_at; /* the first document that nothing was learned about; PULL_NO_PRIOR */
};
void engine_pull(struct engine *e, struct pull *p);

/* What is believed of many candidates. Arrays are the caller's, `count` long. Lock-free, as engine_pull. */
struct scoring {
    const struct version *version;
    const struct bytes *docs;
    size_t count;
    const float *x;      /* count x dimension, guarded like a sample's; NULL: a model without features */
    const char *encoder; /* that made x: parameters of another are as if nothing had been learned; NULL: none */
    struct arm *arms;
    double *means; /* expected rewards */
    bool *known;
    int64_t as_of; /* result; as of a Pull */
};
void engine_score(struct engine *e, struct scoring *s);

/* Rows of tables, for events with the ids that impressions of now would have. fetch: read those that are not in memory
 * together, JOINER_COMING_MAX at most; find: append the event of the newest row with a time up to `time`, nothing if
 * there is none. Block: disk. */
void engine_fetch_rows(struct engine *e, uint8_t stream, const struct event *shown, uint32_t count);
enum tm_code engine_find_row(struct engine *e, uint8_t stream, const struct event *shown, int64_t time,
                             struct buffer *row, struct tm_error *err);

/* Versions at run time. A call returns when every shard has applied its control record, so that whoever was answered
 * finds what it asked for; two calls come one after the other. Blocks, for about a sync. */
struct engine_change {
    const struct version *version;
    uint64_t position; /* everything behind it is treated the new way */
    bool unchanged;    /* it was so already: nothing was appended, and position is what is applied */
};
/* Where the prior of a new version comes from; {0}: from its options. */
struct engine_prior {
    const struct version *from; /* what its documents have learned (learner/pooled_prior.h); weights of the same */
    const double *values;       /* or these, as ps/state/weight_prior.h has them... */
    size_t count;
    const char *source;  /* ...from here, in words */
    size_t others;       /* values of versions that are about to be made, too */
    const char *encoder; /* the representation that the version's encoder makes; NULL: it has none */
};
/* Fills in the defaults of *wanted. TM_INVALID_ARGUMENT: what the configuration's versions are refused for, too, or the
 * prior does not fit; TM_ALREADY_EXISTS: the name is taken, and whether by exactly such a version;
 * TM_RESOURCE_EXHAUSTED: there are ENGINE_VERSIONS_MAX, or CATALOG_PRIOR_VALUES_MAX values of priors;
 * TM_FAILED_PRECONDITION: prior->from has learned too little. With prior->from it reads all parameters of that one. */
enum tm_code engine_create_version(struct engine *e, struct version_options *wanted, const struct engine_prior *prior,
                                   struct engine_change *out, struct tm_error *err);
/* Its samples are held from here on, its parameters served as they are. */
enum tm_code engine_pause_version(struct engine *e, const struct version *v, struct engine_change *out,
                                  struct tm_error *err);
/* It learns what is held, in slices and behind what this call waits for; discard: without the new samples among it.
 * TM_FAILED_PRECONDITION: nothing can be discarded of a version that learns already and has not caught up.
 * TM_RESOURCE_EXHAUSTED: more gaps than shards remember (learner/cursor.h). */
enum tm_code engine_resume_version(struct engine *e, const struct version *v, bool discard, struct engine_change *out,
                                   struct tm_error *err);

/* Everything accepted before the call is applied, committed and synced when it returns; *position is that point.
 * Blocks. */
enum tm_code engine_drain(struct engine *e, uint64_t *position, struct tm_error *err);

/* Every parameter of a version, as of each shard's last commit; rows in no particular order. Blocks: disk. */
struct export_row {
    struct bytes doc;
    const double *values; /* model->width() */
    struct belief belief;
};
typedef enum tm_code engine_visit_row(void *context, const struct export_row *row, struct tm_error *err);
enum tm_code engine_export(struct engine *e, const struct version *v, engine_visit_row *visit, void *context,
                           int64_t *as_of, struct tm_error *err);

/* Sum modulo 2^128 of XXH3-128(document id, block bytes), as of each shard's last commit. Blocks: disk. */
enum tm_code engine_digest(struct engine *e, const struct version *v, struct hash128 *digest, uint64_t *documents,
                           struct tm_error *err);

struct engine_version_status {
    const struct version *version;
    struct sample_counts fresh, corrections; /* joiner/counts.h */
    int64_t imbalance;
    uint64_t documents, bytes; /* bytes: of memory for their parameters */
    uint64_t repairs;          /* of them, by the model's guards */
    uint64_t open_batches;
    struct batch_counts batches;
    struct judge_counts judge; /* what was not judged */
    enum version_state state;  /* now */
    uint64_t catching_up;      /* held samples that it is learning; 0: it has caught up, or is paused */
};

struct engine_shard_status {
    uint32_t thread;
    uint64_t committed_position, samples, undecided, decided;
    uint64_t kept_bytes; /* of samples, samples.retain */
};

/* As of the shards' last commits: every number of a shard is from one copy taken when it committed. */
struct engine_status {
    struct input_log_status log;
    struct disk_status disk;
    struct stream_counts streams[SEQUENCER_STREAMS_MAX];
    struct engine_version_status *versions; /* owned */
    uint32_t version_count;
    struct engine_shard_status *shards; /* owned; options->shards of them */
    int64_t as_of, imbalance;
    uint64_t applied, commits, commit_bytes;
    double recovery_ms;
    uint64_t recovered_events;
    bool tables; /* some stream is a table */
    struct lookup_rows_counts lookups;
};
void engine_status(struct engine *e, struct engine_status *out);
void engine_status_close(struct engine_status *s);

/* How good the predictions of a version were, as of the shards' last commits; read from the state, so not for the
 * threads that serve calls. The windows end with what the shard that is furthest has decided. */
struct engine_validation {
    int64_t as_of; /* event time; WATERMARK_NONE: nothing is decided, so nothing was counted */
    struct {
        bool there; /* something was ever counted */
        struct validation_report window[VALIDATION_WINDOWS];
    } kind[VALIDATION_KINDS];
};
enum tm_code engine_validation(struct engine *e, const struct version *v, struct engine_validation *out,
                               struct tm_error *err);

/* For the choice of join.window: how long actions take, and what it costs to wait for them. As of the shards' last
 * commits; the last two as ps/engine/waiting.h measures them, 0 while they are unknown. */
struct engine_stream_delays {
    struct delays delays; /* of the matched actions; empty for other streams */
    uint64_t late;        /* actions that came after their horizon: how late is not known */
};
struct engine_window {
    struct engine_stream_delays *stream; /* owned; one per stream */
    uint64_t undecided, undecided_bytes;
    double impressions_per_second, bytes_per_undecided;
};
void engine_window(struct engine *e, struct engine_window *out);
void engine_window_close(struct engine_window *w);

#endif
