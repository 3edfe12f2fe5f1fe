/* joiner/joiner.h - the join of one shard: step(state, record) -> samples. Pure: no clock, no thread, no I/O.
 *
 * What it does
 *   Features, impressions and actions of a key come in any order; each waits for the others. A sample is decided when
 *   the gate has passed its impression's time t (t < gate):
 *       gate = min( every action stream with a label: watermark - window;
 *                   every impression stream: watermark;  every required feature stream: watermark )
 *   Its first labels fold the actions with event time <= t + window. Actions after that, up to t + within of their
 *   stream, are corrections, already here or still to come. An impression whose gate is open is decided on arrival. A
 *   stalled action stream holds samples back; it never makes negatives. How actions are folded: joiner/labels.h.
 *   Samples decided by one advance come in the order of (impression time, position). Corrections due at a decision
 *   follow their sample in the order of the actions' (time, position). Each record that changes a label makes one
 *   correction, with all labels before and after it; where no value changes there is none.
 * At once  in an epoch that says so an impression is decided before its gate, as soon as its actions that count make
 *   any label something else than 0, by the labels' fold and the filters of samples. Its first labels fold all that has
 *   come by then, whatever its time; all that comes later corrects them. Every required feature must be there, and the
 *   gate must be known, however far behind it is. Whoever becomes ready by a record is decided by it, behind the
 *   corrections that it makes; several of them in the order of (impression time, position), and so are those that
 *   become ready when the gate becomes known, behind those that it has passed. Negatives are made by the gate alone.
 *   Who is before expiry when he is decided, because a required stream was behind all others or for want of memory, is
 *   forgotten at once.
 * Epochs   streams and labels may be added, the window may become another, and so may whether positives are decided at
 *   once, for impressions from a position on: each belongs to the epoch under which it came, the streams and labels
 *   that there were then, its window and its way with positives. So the gate
 *   is the epoch's: an impression waits for no stream that came after it, has no features of such a stream, and no
 *   label that came after it, whatever its actions are. W, below, is the newest epoch's; horizons do not go back when
 *   an epoch begins. `gate` without an epoch is that of all: what no undecided impression of the past is before, and
 *   what the newest epoch has decided.
 * Withdrawal  a record that takes back the action with its event id, in the same stream and key. What was taken back
 *   counts no more: silently when both came before the decision, whatever their times, else by a correction. It may
 *   come before its action, and waits for it; then that will not count. It has the horizons and fates of an action of
 *   its time: one that met its impression is matched, even if its action never comes; a second one is a duplicate. The
 *   action stays matched, and its event id stays taken.
 * Features that come after their sample was decided correct it: the labels stay, the features are what came, whatever
 *   of the key came before or comes later. A negative that was left out has them when it becomes a sample.
 * Attribution  an action of a stream with a key of its own belongs to impressions under that key by the stream's rule:
 *   joiner/attribution.h. It waits for the first of them as any early action does; what it adds to their labels, and
 *   what it takes along when an earlier or later impression or a withdrawal arrives, is told by corrections, in the
 *   order of the impressions. One that names a version belongs to that version's impressions only.
 * Tables   a row of a table stream waits for nothing and belongs to no sample: whoever takes samples looks rows up.
 *   Here it is only counted: applied, and beside that table_late when its time t < gate, because samples of impressions
 *   from t on are decided already. Rules do not look at rows.
 * Horizons (L = allowed_lateness, I = smallest impression watermark)
 *   impression   late when its time < I - L
 *   action       without an impression: late on arrival, orphaned when it waited, once its time < I - L;
 *                with an undecided one: late when its time > t + within. One that precedes its impression counts:
 *                clocks differ.
 *   features     the same without an impression, with W = max(window, 1 minute) in place of L
 *   decided key  forgotten when t < expiry = min(I - L, every labelled action stream: watermark - within)
 *   All of them only grow with the watermarks, so it makes no difference in how many steps these advance.
 * Near enough  so that not all that was ever decided must be asked for every record, one at time s knows a decided
 *   impression with t >= s - W, an action one with t >= s - within. To others it is as if it had never come: an action
 *   or features wait for another impression; another impression of the key is another one, takes the key over when it
 *   is decided, and is later, so of one key the newest is the one. (While an impression is known under an action key,
 *   others of its join key are duplicates whatever their time.)
 * Fates  the first that applies. Any: of a robot; excluded by a rule (joiner/filters.h). Impression: late, duplicate;
 *        it waits until it is decided. Action: version mismatch, before its impression by more than before_ms, late,
 *        duplicate, too many. What was set aside is not remembered, so it can make no other record a duplicate.
 * Filters  of the joined sample: joiner/verdict.h. What is excluded is a sample like any other, and says so.
 * Sampling  a sample without any label may be left out: joiner/sampling.h says when, sample.h what becomes of it.
 * Duplicates  by event id inside a key, before and after it was decided; a second impression of a key that is undecided
 *             or decided near enough; second features of a stream. At most JOINER_ACTIONS_MAX actions of one stream are
 *             taken per key, and as many withdrawals, more are filtered.
 *
 * Bound  more than held_bytes_max waits: the oldest undecided impressions are shed by (time, position), with what waits
 *        with them; what waits for impressions that have not come goes first when it has more than half of the room,
 *        features before actions. What was shed is not remembered either.
 *        Decided keys and their actions take more than decided_bytes_max: whole stretches of event time (a sixteenth of
 *        the longest horizon) are given up, the oldest first (joiner/remembered.h). Expiry, and the horizon of
 *        impressions, are not before the end of what was given up.
 * Durability  between two commits the joiner gathers what a restart needs: records that came in (chunk), decided keys
 *             that changed (run). joiner_freeze() hands both over under the commit's number; numbers whose contents
 *             nobody needs any more are given back as `keep_from`. Too many decided keys for memory go into sorted
 *             runs (joiner_keep_runs()), with rows of their own. What a chunk says of an impression is past if its
 *             time is before the gate; of any record, if this chunk or a later one says that it waits no more.
 * Memory   the joiner owns all it keeps; a record's body is copied in, and what records share once for all of them that
 *          come one behind the other in a commit.
 * Threads  one owner. */
#ifndef TIDEMILL_JOINER_JOINER_H
#define TIDEMILL_JOINER_JOINER_H

#include "base/error.h"
#include "base/hash.h"
#include "joiner/counts.h"
#include "joiner/delays.h"
#include "joiner/filters.h"
#include "joiner/reason.h"
#include "joiner/sample.h"
#include "joiner/sampling.h"
#include "joiner/verdict.h"
#include "joiner/watermark.h"

enum {
    JOINER_STREAMS_MAX = 32,
    JOINER_FEATURE_STREAMS_MAX = 16,
    JOINER_ACTION_KEYS_MAX = 3, /* sets of key fields with doc, but the join key */
    JOINER_COMING_MAX = 64,
    JOINER_EPOCHS_MAX = 8, /* with undecided impressions, at once */
};

enum joiner_stream_kind { JOINER_FEATURES, JOINER_IMPRESSION, JOINER_ACTION, JOINER_TABLE };
enum joiner_key_field { JOINER_KEY_REQUEST = 1, JOINER_KEY_USER = 2, JOINER_KEY_DOC = 4 };

/* Which of the impressions under an action's own key it counts for; the numbers are stored. */
enum joiner_attribute {
    JOINER_ATTRIBUTE_NONE, /* the stream has the join key: the one impression of that key */
    JOINER_ATTRIBUTE_LAST,
    JOINER_ATTRIBUTE_FIRST,
    JOINER_ATTRIBUTE_ALL,
    JOINER_ATTRIBUTES
};

struct joiner_stream {
    enum joiner_stream_kind kind;
    int64_t within_ms;  /* actions */
    int64_t before_ms;  /* actions: how long before their impression they count; 0: without limit */
    bool required;      /* features: the gate waits for them */
    uint32_t dimension; /* features: values that are 0 while they have not come; 0: nothing stands in for them */
    uint64_t labels;    /* actions: bits of the labels they set */
    enum joiner_attribute attribute;
    uint32_t key_fields; /* of attributed actions and of tables: enum joiner_key_field */
    bool payload_only;   /* tables: their features are no part of samples */
};

/* What impressions from a position on belong to: the first `streams` and `labels` of the configuration. */
struct joiner_epoch {
    uint32_t number; /* from 1, one after the other */
    uint32_t streams, labels;
    int64_t window_ms;
    uint64_t from; /* position */
    bool at_once;  /* positives are decided before the gate */
};

/* What may change from one record to the next. */
struct joiner_rules {
    struct filters filters;
    struct sampling sampling;
};

struct joiner_config {
    struct joiner_stream stream[JOINER_STREAMS_MAX];
    uint32_t streams;
    struct joiner_label label[JOINER_LABELS_MAX]; /* its stream is the one that has its bit */
    uint32_t labels;
    struct label_filters label_filters; /* of what is joined */
    int64_t window_ms, allowed_lateness_ms;
    bool at_once;
    struct joiner_epoch epoch[JOINER_EPOCHS_MAX]; /* the oldest first; the last one is of what is above */
    uint32_t epochs;                              /* 0: one, that was there from the beginning */
    uint32_t first_streams;  /* of the first epoch there ever was: their horizons say how finely time is cut; 0: all */
    uint64_t held_bytes_max; /* of all that waits: when more waits, the oldest is shed; 0: no limit */
    uint64_t decided_bytes_max; /* of decided keys and their actions: the oldest are given up; 0: no limit */
    struct joiner_rules rules;
    uint32_t action_key[JOINER_ACTION_KEYS_MAX]; /* the key fields of attributed streams, each set once */
    uint32_t action_keys;                        /* how many: joiner_derive_keys() */
};

/* A key of its own is an action stream's, has doc, and is not the join key; or a table's, and has any field. */
bool joiner_key_fits(const struct joiner_stream *s, uint32_t join_key_fields);

/* Fill in action_key from the streams. */
void joiner_derive_keys(struct joiner_config *config);

/* One record of the input, resolved and hashed by the caller. */
struct joiner_record {
    uint64_t position;
    int64_t time;
    struct hash128 key; /* hash of the join key's fields; of an attributed action, of its stream's */
    struct hash128 doc; /* hash of the document id */
    struct hash128
        action_key[JOINER_ACTION_KEYS_MAX]; /* impressions: by each of the action keys; 0: a field is missing */
    uint64_t event;                         /* hash of the event id, or of the identifying fields */
    uint32_t version;                       /* 0: none named (actions) */
    uint8_t stream;
    bool withdraw; /* actions: takes back the action with the same event */
    bool robot;    /* its user sends more than people do; a withdrawal is taken all the same */
    double weight; /* impressions */
    double value;  /* actions */
    uint64_t user; /* hash; 0: it names none */
    int32_t place; /* impressions: where it was shown */
    float score, propensity;
    uint32_t has;            /* bit set of enum filter_field */
    struct sampling_lot lot; /* impressions: drawn by the joiner */
    struct bytes body;       /* the event as it came; of impressions and features never empty, kept while it waits */
    struct bytes shared;     /* the other part of it that records with the same bytes here have in common: kept once */
    uint32_t sharers;        /* how many of them come together, each as a part of what waits; 0: nothing is shared */
};

struct joiner_output {
    void *self;
    /* A sample was made. Of a new one the callee may say where features are kept: its corrections bring the place. */
    void (*sample)(void *self, struct sample *s);
    /* A record is set aside. Of *r only stream, position, time (0: it could not be read), body and shared hold; both
     * are empty when only the record's marks were kept while it waited. */
    void (*aside)(void *self, const struct joiner_record *r, enum joiner_reason reason);
    /* A negative was decided and left out: it is no sample yet (sequence 0); its place is kept, as a sample's is.
     * Again, as a correction, when features come for it. May be NULL while there are no rules of sampling. */
    void (*left_out)(void *self, struct sample *s);
    /* Impressions with these events are about to be decided, JOINER_COMING_MAX at most: what their samples need may be
     * fetched together. May be NULL. */
    void (*coming)(void *self, const struct sample_features *shown, uint32_t count);
};

struct joiner;

struct joiner *joiner_open(const struct joiner_config *config, struct joiner_output output);
void joiner_close(struct joiner *j); /* NULL is fine */

/* From now on decided keys leave memory, in sorted runs that are written into the store with the commits. Before
 * anything is stepped or loaded; never said, they all stay in memory. The store is copied. */
struct runs_tuning; /* joiner/runs.h */
struct run_store;   /* joiner/run.h */
void joiner_keep_runs(struct joiner *j, const struct runs_tuning *tuning, const struct run_store *store);

/* TM_OK, or why a run could not be read: what was stepped since then means nothing. */
enum tm_code joiner_failure(const struct joiner *j, struct tm_error *err);

void joiner_step(struct joiner *j, const struct joiner_record *r);

/* The configuration has one more epoch, for impressions from here on; all else was only added to. Where the list was
 * full its oldest one is gone: nothing of that may be undecided. */
void joiner_change(struct joiner *j, const struct joiner_config *config, struct joiner_output output);

/* Other rules, for records that come from here on. */
void joiner_set_rules(struct joiner *j, const struct joiner_rules *rules);

/* Other limits of what waits, and of what is decided; at once. */
void joiner_set_bounds(struct joiner *j, uint64_t held_bytes_max, uint64_t decided_bytes_max);
/* What waits, in logical bytes: what joiner_waiting_bytes() says of each record that is kept. */
uint64_t joiner_held_bytes(const struct joiner *j);
uint64_t joiner_waiting_bytes(enum joiner_stream_kind kind, size_t body);
/* What of shared bytes one of so many counts for, beside its body. */
static inline size_t joiner_shared_bytes(size_t shared, uint32_t sharers)
{
    return sharers ? (shared + sharers - 1) / sharers : 0;
}

/* This record is about to come: start its cache misses. Of it the stream and the keys are enough. */
void joiner_prefetch(const struct joiner *j, const struct joiner_record *r);

/* A record that the caller could not read: counted and set aside. */
void joiner_malformed(struct joiner *j, uint8_t stream, uint64_t position, struct bytes body, struct bytes shared);

/* Time has passed: one watermark per stream (WATERMARK_NONE: not yet). None may go back. */
void joiner_advance(struct joiner *j, const int64_t *watermarks);

/* The gate of the newest epoch for these watermarks: what comes now is decided at once if it is in front of it.
 * WATERMARK_NONE while any is unknown. */
int64_t joiner_gate(const struct joiner_config *config, const int64_t *watermarks);

/* The gate of all epochs, as it will be when the joiner is at these; WATERMARK_NONE. It does not go back. */
int64_t joiner_gate_at(const struct joiner *j, const int64_t *watermarks);
/* The same as of now; and an end that no decided impression is behind, nor one that was decided before its gate. */
int64_t joiner_gate_now(const struct joiner *j);
int64_t joiner_front(const struct joiner *j);

/* No impression before it is decided any more, now or later: what is kept for decisions may end there. WATERMARK_NONE
 * while a watermark is unknown. */
int64_t joiner_decided_before(const struct joiner *j);

/* What was decided of impressions before it is forgotten: only newer ones can still be corrected. WATERMARK_NONE while
 * a watermark is unknown. */
int64_t joiner_expiry(const struct joiner *j);

/* At these watermarks, may an undecided impression be decided: in front of the gate of its epoch, or when that becomes
 * known? */
bool joiner_is_due(const struct joiner *j, const int64_t *watermarks);
/* Number of the oldest epoch with undecided impressions; of the newest where there are none. */
uint32_t joiner_oldest_epoch(const struct joiner *j);

/* Per stream; exact at any moment between calls. */
const struct stream_counts *joiner_counts(const struct joiner *j);
/* What came since the joiner was opened. Impressions decided, and the event times of the first and of the newest of
 * them: in between lie just they (and few that came when their gate was open), so count and times make a rate; those
 * that were decided before their gate are counted only, once there are times.
 * Impressions taken, decided or not, and the memory that they and all that came for them took until the decision:
 * entries, notes, index, timers, records. */
struct joiner_pace {
    uint64_t decided, taken, bytes;
    int64_t first, newest; /* meaningless while none is decided */
};
struct joiner_pace joiner_pace(const struct joiner *j);
/* Of the matched actions of a stream, as many as it counts (but its withdrawals); NULL: none yet. */
const struct delays *joiner_delays(const struct joiner *j, uint32_t stream);
uint64_t joiner_sequence(const struct joiner *j); /* of the newest sample; 0: none yet */
uint64_t joiner_undecided(const struct joiner *j);
uint64_t joiner_decided(const struct joiner *j);
size_t joiner_memory(const struct joiner *j); /* bytes held, about */
/* The part of it that decided keys take: entries in memory, filters, blocks that are not written yet, and the cache. */
size_t joiner_decided_memory(const struct joiner *j);
/* The part of it that the number of keys that wait decides: their entries, notes, index and timers (pools, as far as
 * they were ever used), and the bytes of records in memory. */
size_t joiner_undecided_entries(const struct joiner *j);
size_t joiner_undecided_payload(const struct joiner *j);
size_t joiner_unfrozen(const struct joiner *j); /* bytes that came in since the last freeze */

struct joiner_delta {
    struct bytes chunk, run;   /* the joiner's, until its next call; the chunk is empty when nothing came in */
    struct bytes attribution;  /* what changed about attributed actions; empty: nothing */
    uint64_t keep_from;        /* commits below this number are needed by nobody */
    uint64_t waiting_from;     /* a restart needs the chunks from this number on, */
    uint64_t runs_from;        /* the runs from this one on, */
    uint64_t attribution_from; /* and what changed about attributed actions from this one on; those before may go */
};

/* Hand over what came in since the last freeze; later records belong to commit + 1. Commits are numbered 1, 2, 3...
 * False: there was nothing, and the number is not used up. */
bool joiner_freeze(struct joiner *j, uint64_t commit, struct joiner_delta *out);

/* The commits up to this one can be read from the store of runs. */
void joiner_written(struct joiner *j, uint64_t commit);

/* Loading an empty joiner: begin, every row of the store of runs but the blocks, in the order of their keys (load_row
 * answers TM_ABORTED to the first block: enough), commits, every run from runs_from on and attribution in the order of
 * commits, every chunk from waiting_from on, done. TM_DATA_LOSS when bytes make no sense. watermarks: as of the last
 * commit; first_commit: keep_from of the last freeze. */
void joiner_load_begin(struct joiner *j, const int64_t *watermarks);
enum tm_code joiner_load_row(struct joiner *j, struct bytes key, struct bytes row, struct tm_error *err);
enum tm_code joiner_load_commits(struct joiner *j, uint64_t first_commit, uint64_t last_commit, struct tm_error *err);
uint64_t joiner_runs_from(const struct joiner *j); /* as of the last freeze, when commits are known */
uint64_t joiner_attribution_from(const struct joiner *j);
/* How much is remembered, and what does not go back: part of a commit, and read again before all else. r->bad: it makes
 * no sense. */
void joiner_encode_remembered(const struct joiner *j, struct buffer *out);
void joiner_load_remembered(struct joiner *j, struct reader *r);
enum tm_code joiner_load_run(struct joiner *j, uint64_t commit, struct bytes run, struct tm_error *err);
enum tm_code joiner_load_attribution(struct joiner *j, struct bytes stored, struct tm_error *err);
enum tm_code joiner_load_chunk(struct joiner *j, uint64_t commit, struct bytes chunk, struct tm_error *err);
void joiner_load_delays(struct joiner *j, uint32_t stream, const struct delays *delays); /* at any time before done */
/* position (everything before it was stepped), sequence and counts as of the last commit. */
enum tm_code joiner_load_done(struct joiner *j, uint64_t position, uint64_t sequence,
                              const struct stream_counts *counts, struct tm_error *err);

#endif
