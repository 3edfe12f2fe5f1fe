/* ps/engine/parts.h - the inside of the engine: its threads and what they share. Only ps/engine includes it.
 *
 *   worker     one thread, its inbox of blocks, its share of the shards; the only one that writes them
 *   committer  one thread that writes what workers froze, and syncs the state once a second
 *   progress   how far every worker has come, and those who wait for it */
#ifndef TIDEMILL_PS_ENGINE_PARTS_H
#define TIDEMILL_PS_ENGINE_PARTS_H

#include <stdatomic.h>

#include "base/histogram.h"
#include "base/queue.h"
#include "base/thread.h"
#include "ps/engine/encoders.h"
#include "ps/engine/engine.h"
#include "ps/engine/pressure.h"
#include "ps/engine/registry.h"
#include "ps/engine/user_lists.h"
#include "ps/engine/waiting.h"
#include "ps/state/shard.h"
#include "ps/storage/data_dir.h"
#include "ps/storage/lookup_rows.h"
#include "ps/storage/state_db.h"

enum { COMMIT_IDLE_MS = 5000, STATE_SYNC_MS = 1000, COMMITS_QUEUED_MAX = 1024 };

/* Somebody waits until all workers have committed and the state is synced. */
struct barrier {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    uint32_t missing; /* committer only, once it is pushed: workers whose commits are not written yet */
    bool passed;
};

/* What lies in an inbox: a block, or a barrier. */
struct work {
    struct shared_block *block;
    struct barrier *barrier;
};

/* What lies in the committer's queue: a frozen shard, or a barrier that came through. */
struct commit {
    uint32_t shard;
    struct store_batch batch;
    struct shard_rows rows;     /* as shard_commit() returned them */
    uint64_t archived;          /* as shard_archived() returned it then */
    struct shard_counts counts; /* one copy, taken when it was frozen */
    struct barrier *barrier;
};

struct worker_shard {
    struct shard *shard;
    int64_t next_commit_ns;
};

struct worker {
    struct engine *engine;
    pthread_t thread;
    bool started;
    struct queue *inbox;
    struct worker_shard *shards;
    uint32_t count;
    uint64_t position;                     /* worker only; everything before it is applied */
    int64_t watermark[JOINER_STREAMS_MAX]; /* worker only; as of position */
    _Atomic uint64_t applied;              /* = position, for readers */
    _Atomic int64_t gate;                  /* event time decided; WATERMARK_NONE */
    _Atomic bool behind;                   /* some of its shards have held samples to learn */
    _Atomic uint64_t events;               /* applied since start, by shards that had not seen them */
    struct tm_error load_error;            /* of worker_load */
};

/* The rows of a shard's last written commit, for shard_written(); rows of kept samples below `archived` can be read. */
struct written {
    _Atomic uint64_t samples, features, commit, archived;
};

struct committer {
    struct engine *engine;
    pthread_t thread;
    bool started;
    struct queue *queue;
    struct written *written;     /* per shard */
    pthread_mutex_t mutex;       /* guards the rest */
    struct shard_counts *counts; /* per shard, as of its last written commit */
    struct waiting *waiting;     /* per shard */
    uint64_t commits, bytes;
    _Atomic int64_t beat_ns; /* when it last began a turn: at least every STATE_SYNC_MS / 4 when it is well */
    struct histogram write, sync;
};

/* Whoever is behind works a slice off after each block; this thread makes blocks while nothing else does. */
struct catch_up {
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t came; /* a worker has fallen behind, or the engine is closing */
};

/* The join as some stretch of the log has it, for any thread. */
struct schema {
    struct catalog catalog; /* streams, labels and key, no versions */
    int64_t out_of_orderness_ms[SEQUENCER_STREAMS_MAX];
    int64_t end_window_ms;
    struct schema *older;
};

/* What the file of a configured version makes; "": it has none. */
struct configured_encoder {
    uint32_t version; /* its id */
    struct encoder_id id;
};

struct engine {
    struct options options;              /* as it was started */
    struct options *configured;          /* as read last; whoever holds `control` */
    struct sequencer_options sequencing; /* likewise, and the log writer's when the join changes */
    struct data_dir dir;
    char generation[48];
    struct input_log *log;
    struct lookup_rows *lookups;
    struct schema *_Atomic schema; /* what engine_schema() shows; the older ones live as long as the engine */
    struct catalog catalog;        /* the fold of what came out of the log: the log writer's, see control.c */
    struct user_lists users;
    _Atomic int64_t reloaded_ms; /* the wall clock; 0: never */
    _Atomic bool reload_failed;
    struct pressure *pressure; /* what waits in the shards, and is on its way there */
    struct encoders *encoders; /* of its versions, past and present */
    struct configured_encoder
        *configured_encoder; /* of each version that was configured last; whoever holds `control` */
    uint32_t configured_encoders;
    struct registry *registry; /* the same versions, for any thread */
    pthread_mutex_t control;   /* held from the check of a control record until every shard has applied it */
    struct shard **shard;
    uint32_t *shard_worker; /* shard -> worker */
    struct worker *worker;
    uint32_t workers;
    struct committer committer;
    struct catch_up catch_up;
    pthread_mutex_t progress_mutex;
    pthread_cond_t progress;
    _Atomic uint32_t progress_waiters;
    _Atomic bool closing;
    double recovery_ms;
    uint64_t recovered_events;
    struct histogram freshness; /* a block's oldest batch handed in -> applied by all workers */
    _Atomic uint64_t awaited;   /* end of a block that was delivered at awaited_ns; the log writer's */
    _Atomic int64_t awaited_ns;
};

/* workers.c */
void worker_open(struct worker *w, struct engine *e, uint32_t index);
/* Fill its shards from the state and find where it stands; runs before worker_start, on any thread. */
enum tm_code worker_load(struct worker *w, struct tm_error *err);
enum tm_code worker_start(struct worker *w, struct tm_error *err);
/* Hand over; waits while the inbox is full. */
void worker_push_block(struct worker *w, struct shared_block *block);
void worker_push_barrier(struct worker *w, struct barrier *barrier);
/* Applies and freezes what is left, then ends the thread; fine when never started. */
void worker_stop(struct worker *w);
void worker_close(struct worker *w);

/* committer.c */
void committer_open(struct committer *c, struct engine *e);
enum tm_code committer_start(struct committer *c, struct tm_error *err);
/* What status shows of a shard: taken over, the older copy is freed. */
void committer_set_counts(struct committer *c, uint32_t shard, struct shard_counts *counts);
void committer_push(struct committer *c, struct commit *commit); /* takes it over */
void committer_stop(struct committer *c);                        /* writes what is queued; fine when never started */
void committer_close(struct committer *c);

/* catch_up.c */
void catch_up_open(struct engine *e);
enum tm_code catch_up_start(struct engine *e, struct tm_error *err);
void catch_up_wake(struct engine *e);
void catch_up_stop(struct engine *e); /* e->closing is set; fine when never started */
void catch_up_close(struct engine *e);

/* inspect.c: one version in all shards, as of the last commits; intervals: the most of any shard. */
struct shard_version_counts inspect_version(struct engine *e, const struct version *v);

/* control.c: what changes how later records are treated. */
/* A block came out of the log: on the log writer's thread, before the workers get it. */
void control_follow(struct engine *e, const struct block *b);
/* Let all threads see the catalog's join. */
void control_publish(struct engine *e);
/* Returns when everything that was handed in before is in the log, in front of *position. Writes nothing itself. */
enum tm_code control_pass(struct engine *e, uint64_t *position, struct tm_error *err);
/* Append a control record and wait until every shard has applied it; *position is behind it. The caller has checked
 * that it can be applied, and holds e->control if it changes anything (at the start nobody else is there). */
enum tm_code control_append(struct engine *e, const struct buffer *control, uint64_t *position, struct tm_error *err);

/* new_prior.c: give a version that is being made the prior that it is to have; see engine_create_version. */
enum tm_code prior_of_new_version(struct engine *e, const struct engine_prior *prior, struct version *v,
                                  struct tm_error *err);

/* blocks.c: every block of a version, as the shards have it now, each whole. Blocks that come meanwhile may be missed.
 * False from visit ends it. Any thread; nobody waits. */
typedef bool engine_visit_block(void *context, const void *block);
void engine_visit_blocks(struct engine *e, const struct version *v, engine_visit_block *visit, void *context);

/* setup.c: the configuration as a catalog, and what is missing of it in the log. */
enum tm_code setup_catalog(const struct options *o, struct catalog *out, struct tm_error *err);
/* Fill in the defaults of a version that comes while the engine runs and check it, as the configuration's are. */
enum tm_code setup_check_version(const struct engine *e, struct version_options *v, struct tm_error *err);
/* Everything of a checked version but its id and whose samples it learns. schema: labels. */
void setup_version(const struct version_options *from, const struct catalog *schema, struct version *out);
/* setup_encoders.c. Before the shards are loaded: their files are kept, the catalog knows their names. */
enum tm_code setup_encoders(struct engine *e, struct catalog *wanted, struct tm_error *err);
/* setup_priors.c. Once the state is there: versions that are made get the prior of their prior_from, those that are
 * there are checked against it. */
enum tm_code setup_priors(struct engine *e, struct catalog *wanted, struct tm_error *err);
/* new_encoder.c. May v, which learns from `before`, begin anew with `after`? TM_FAILED_PRECONDITION: not with a prior
 * of every weight of `before`. */
enum tm_code encoder_check_change(const struct version *v, const struct encoder_id *before,
                                  const struct encoder_id *after, struct tm_error *err);
/* An encoder that is another one now: may it be, and then let it. */
enum tm_code setup_compare_encoders(const struct engine *e, const struct catalog *wanted, struct tm_error *err);
enum tm_code setup_apply_encoders(struct engine *e, const struct catalog *wanted, struct tm_error *err);
void setup_remember_encoders(struct engine *e, const struct catalog *wanted);
bool setup_same_version(const struct version *a, const struct version *b); /* apart from name and id */
uint32_t setup_next_id(const struct catalog *c);
/* wanted: made by setup_catalog(). Streams and labels get the numbers that they have in `have`, new ones those behind
 * them. */
void setup_renumber(const struct options *o, const struct catalog *have, struct catalog *wanted);
/* setup_join.c: streams, labels and window, with the numbers of `have`; then what the log has to know of them. */
void setup_join(const struct options *o, const struct catalog *have, struct catalog *c);
void setup_sequencer(const struct options *o, const struct catalog *wanted, struct sequencer_options *out);
/* What the data directory knows keeps its number in `wanted`, which is of e->configured, and e->sequencing follows. Its
 * window, for end marks, is the longest of impressions that may still wait. */
void setup_number(struct engine *e, struct catalog *wanted);
/* May the join become the wanted one? Then let it. */
enum tm_code setup_compare_join(struct engine *e, const struct catalog *wanted, struct tm_error *err);
enum tm_code setup_apply_join(struct engine *e, const struct catalog *wanted, struct tm_error *err);
enum tm_code setup_apply(struct engine *e, struct catalog *wanted, struct tm_error *err);

#endif
