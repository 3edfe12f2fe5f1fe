/* ps/state/shard.h - a slice of the documents with all that belongs to it: step(state, block) -> state'. Pure.
 *
 *   event ──► joiner ──► sample ──► sample log ──► every version that listens ──► its table
 *
 * A shard has no clock, thread or I/O: what can change a result is in the blocks. So recovery is replay, and the same
 * input gives the same bytes whatever the threads, commits and crashes (promises E1, E2).
 * Paused   a version that is paused learns nothing: what its routes bring lies in the sample log and counts as held.
 *          When it learns again it first catches up, and what comes meanwhile is held behind the rest, so it learns in
 *          the order of the sample log, always. A correction applies if and only if its original was learned, or
 *          refused for its features (Late).
 * Slices   catching up is counted in samples, never in time. At the end of each step of a shard that is behind its
 *          sample log is read on, from the lowest cursor of the versions that are behind, sample by sample; each
 *          version whose cursor is there takes the sample or passes it. A sample costs one for each version that takes
 *          it, at least one, and the slice ends when it has cost limits.slice and as much as what the step itself
 *          brought: so a shard catches up under any load. shard_due() is true for such a shard: it steps with every
 *          block. While no block comes, whoever owns the log makes some (catalog_pack_proceed).
 * Limit    a paused version for which more than limits.held_bytes of sample log are kept gives up its oldest samples
 *          in the same slices: new ones are skipped, corrections apply if their original was learned. Nothing else
 *          moves a paused version.
 * Discard  skips the new samples held until then, at once; the corrections among them apply as if it had not been.
 * Features are gathered when a sample is made, for the versions that learn from them: the impression's own, or those
 *          of one record of every feature stream (zeros, as many as its `dimension`, where none has come; without a
 *          dimension the sample has no features), and behind them those of one row of every table that is not
 *          payload_only (ps/state/lookup.h); their vectors one behind the other: of feature streams by their numbers
 *          (by name; those that were added later behind), of tables by name. The row is the one that counts where the
 *          sample is made: at the end of the block that lets time pass it, or at the place of its impression when that
 *          is decided on arrival. A version refuses a sample that has none, or not as many as its dimension, or one
 *          beyond its range, or those of another representation than it wants: counted as skipped, and set aside once;
 *          its corrections are skipped until features come that fit (Late). What somebody takes is kept, for
 *          corrections and for who holds it, and so is what may still be made whole: a row that comes later changes
 *          nothing.
 * Late     features correct their sample: what was learned of x and y is exchanged for the new x and y; a sample that
 *          was refused is learned, if it fits now; one that does not fit any more is taken out, or left as it is by a
 *          model that cannot take samples out, and then nothing corrects it any more. An impression that brought its
 *          own features has no others. In a batch the sample gets them in place; with order: event_time when its
 *          corrections have their turn. Predictions stay what they were when they were made, and are judged by the
 *          label of now: a sample that was refused has none, one that is taken out keeps its. A version that skips
 *          samples, discarded or beyond the limit, skips those that it refused among them, too.
 * Filtered what a filter of samples excludes is skipped by every version that would learn it. A correction that takes a
 *          sample out of the filters lets it be learned, one that puts it there takes out what was learned.
 * Batches  a version with batch.samples > 1 learns a document's samples together, with one call of its model: when the
 *          batch has so many; when, after a sample or a correction, it has a positive and batch.positive_ratio
 *          positives for each negative; or when the version's clock has moved on by batch.age since the batch was
 *          opened. Positive: a reward of 1/2 or more. What is in a batch counts as batched, and will be learned; that
 *          its reward was cut is counted at once. A correction of it is no correction of the model: the sample in the
 *          batch gets the reward and weight of now.
 * Clock    of a version: the decided_at of the sample or correction that it gets; when it has learned all there is, the
 *          gate, at the end of each step. It never goes back. So ages are event time, and a version that was paused
 *          and catches up opens and learns the same batches as if it had not been.
 * Turns    with order: event_time a version takes its samples by (impression time, key) when the clock, which then is
 *          the impression_time of the newest sample it has got, or the gate, has passed it. Corrections wait as long as
 *          there can be another: until the clock has passed impression time + join.allowed_lateness; they are one by
 *          then. Samples that are made behind the gate (it had passed their impression when that came, or they are
 *          negatives that were left out) wait for that turn, too, with what corrects them, also when they are held
 *          first and the version has not come so far yet. So a version has learned the same bits
 *          whatever the interleaving of the inputs, where no impression or action was behind its watermark, nothing was
 *          withdrawn, and room sufficed.
 * Room     all samples of a shard that wait take limits.batch_bytes at most. While they take more, the oldest open
 *          batch of any version is learned early (of several, that of the lower place); without a batch the next turn
 *          is taken. Paused versions keep what they have, and it counts.
 * Paused   versions keep their batches open: nothing of them is learned, whatever their age. Discarding what is held
 *          leaves them as they are, and so does a reset: what waits is learned afterwards. Its corrections apply as
 *          long as it waits; then, and when a correction's turn comes, what was cut by a reset is cut. When a version
 *          gets another encoder what waits is skipped, as what came by a reset.
 * Judged   of a version that is validated (learner/validation.h) every new sample is scored when the version gets it,
 *          with the parameters as they are then: before it is learned, and before its batch is (what readers would be
 *          told); and with the score that was served, if its impression named the version and brought one. A correction
 *          replaces the loss, with the same prediction: it is kept as long as a correction can come
 *          (ps/state/predictions.h). What was not counted (a score that is no probability, a weight beyond
 *          VALIDATION_WEIGHT_MAX, a sample that was excluded) is not corrected either; both are counted. What is
 *          excluded afterwards weighs nothing while it is. A sample weighs what it stands for where
 *          negatives are left out, until it becomes positive.
 * Reset    a document begins anew with the prior (its block is as if nothing had been learned), or all of a version do.
 *          A document that is named and has no block is passed by.
 *          Corrections of what had been learned before are skipped for it (ps/state/resets.h), though they still mend
 *          how predictions are judged. What is held at that moment is learned afterwards, when the version learns
 *          again.
 * Come, go documents of a version that admits them and lets them expire (learner/embedding.h): a sample that does not
 *          admit its document is skipped, and so are corrections of what the parameters do not hold. Expiry is measured
 *          by when a sample was decided. Blocks that name the shard sweep a slice: bounded, and equal in every replay.
 * Encoder  a version may have one (learner/encoder.h): its samples' raw features become x when they are learned, or x
 *          comes itself and names the encoder's representation. When a control record changes the encoder, the
 *          version's documents begin anew, what it holds is discarded, and corrections of samples made before are
 *          skipped: what was learned from one representation never mixes with another. Predictions that were made for
 *          them are judged by the right label all the same.
 * Commit   shard_commit() freezes everything that changed since the last one, with the position it stands for, into one
 *          atomic store_batch. shard_load() is its inverse.
 * Threads  one writer; tables may be read by anybody inside rcu_enter/rcu_leave. */
#ifndef TIDEMILL_PS_STATE_SHARD_H
#define TIDEMILL_PS_STATE_SHARD_H

#include "joiner/runs.h"
#include "learner/cursor.h"
#include "learner/encoder.h"
#include "learner/validation.h"
#include "ps/state/archive.h"
#include "ps/state/block.h"
#include "ps/state/catalog.h"
#include "ps/state/lookup.h"
#include "ps/state/store.h"
#include "ps/state/table.h"

struct shard;

struct shard_options {
    uint32_t id;
    uint64_t hash_seed;
    /* A record was set aside (may be NULL). Runs inside the step. */
    void (*aside)(void *context, uint32_t shard, uint8_t stream, uint64_t position, enum joiner_reason reason,
                  struct bytes body, struct bytes shared);
    /* A sample was made (may be NULL). Inside the step, too. */
    void (*sample)(void *context, uint32_t shard, const struct sample *sample);
    void *context;
    /* Where commits can be read again, after shard_written(): held samples, and decided keys that left memory. None:
     * all of them stay in memory. */
    struct store store;
    size_t param_chunk_bytes; /* 0: PARAM_CHUNK_BYTES of ps/state/param_store.h */
    /* The encoder of this representation, which outlives the shard; NULL: there is none, and *err says why. May be NULL
     * while no version has one. Within a step, and while loading. */
    const struct encoder *(*encoder)(void *context, const struct encoder_id *id, struct tm_error *err);
    void *encoder_context;
    struct archive_options archive; /* samples kept for people and tools; changes nothing that is learned */
    struct lookup_source lookup;    /* of rows of tables; not asked while there is no table */
    struct runs_tuning runs;        /* joiner/runs.h */
};

struct shard *shard_open(const struct shard_options *options);
void shard_close(struct shard *s); /* no reader may be left; NULL is fine */

/* Fill an empty shard from its last commit. Nothing stored: it stays empty, at position 0. TM_DATA_LOSS says what is
 * damaged. */
enum tm_code shard_load(struct shard *s, const struct store *store, struct tm_error *err);

/* Apply what the block has for this shard: its control records, its events (slot: the shard's place in the block's
 * directory, SHARD_NOT_NAMED when it has none), then the watermarks as they are behind the block. `before` are the
 * watermarks in front of it. Both have one value per stream. TM_DATA_LOSS: a control record this program does
 * not know. */
#define SHARD_NOT_NAMED UINT32_MAX
enum tm_code shard_step(struct shard *s, const struct block *b, uint32_t slot, const int64_t *before,
                        const int64_t *after, struct tm_error *err);

/* Must the block be stepped although it does not name the shard? Something is decided at these watermarks, or it is
 * behind. */
bool shard_due(const struct shard *s, const int64_t *watermarks);

/* Event time decided as soon as it has stepped up to these; WATERMARK_NONE: nothing. */
int64_t shard_gate(const struct shard *s, const int64_t *watermarks);

/* Some version is behind, and works on with every step. */
bool shard_behind(const struct shard *s);

/* What commits carry: rows up to these numbers, exclusive, and decided keys of commits up to this one. */
struct shard_rows {
    uint64_t samples, features, commit;
};

/* Freeze: everything before `position` is applied. watermarks: as of there. Appends to *out. Returns this commit's rows
 * for shard_written(). */
struct shard_rows shard_commit(struct shard *s, uint64_t position, const int64_t *watermarks, struct store_batch *out);

/* The commit that returned `rows`, and all before it, can be read from options.store. Never saying so keeps the
 * samples that are held, and what left memory for a sorted run, in memory. */
void shard_written(struct shard *s, struct shard_rows rows);

/* The kept samples that this commit, or the one loaded, and those before it carry: rows below this number. */
uint64_t shard_archived(const struct shard *s);

/* Everything below is as of the last commit or load... */
uint64_t shard_position(const struct shard *s);
const int64_t *shard_watermarks(const struct shard *s);
/* ...and this, as of now. */
const struct catalog *shard_catalog(const struct shard *s);
bool shard_changed(const struct shard *s);    /* since the last commit */
size_t shard_unfrozen(const struct shard *s); /* bytes that the next commit will carry, about */

/* What was not judged: new samples, and corrections of such samples. */
struct judge_counts {
    uint64_t served, prequential, corrections;
};

/* clang-format off */
/*    name     how often, since the version began                                                    */
#define BATCH_COUNTS(C)                                                                              \
    C(samples, "batches learned because they had batch.samples samples")                             \
    C(ratio,   "batches learned because of batch.positive_ratio")                                    \
    C(age,     "batches learned because they were open for batch.age")                               \
    C(room,    "batches learned early: more waited than memory.batches allows")                      \
    C(turns,   "order: event_time: samples and corrections taken before their turn, for the same reason") \
    C(behind,  "order: event_time: samples of impressions behind the watermark; they wait for their corrections")
/* clang-format on */
struct batch_counts {
#define C(name, help) uint64_t name;
    BATCH_COUNTS(C)
#undef C
};

static inline void batch_counts_add(struct batch_counts *sum, const struct batch_counts *c)
{
#define C(name, help) sum->name += c->name;
    BATCH_COUNTS(C)
#undef C
}

/* One copy of the counters, for status and metrics; to be taken when committing. */
struct shard_version_counts {
    uint32_t id;
    struct sample_counts fresh, corrections; /* held of a version that learns: it catches up, so many are left */
    uint32_t intervals; /* of learned samples: at CURSOR_INTERVALS_MAX a discard is to be refused (learner/cursor.h) */
    uint64_t documents;
    uint64_t repairs; /* of parameters, by the model's guards */
    struct judge_counts judge;
    uint32_t open_batches;
    struct batch_counts batches;
    uint64_t bytes; /* of memory for their parameters */
};
struct shard_counts {
    uint64_t position, samples, undecided, decided;
    int64_t gate;                 /* event time decided; WATERMARK_NONE */
    int64_t front;                /* joiner_front() */
    int64_t decided_before;       /* joiner_decided_before() */
    uint32_t epoch, oldest_epoch; /* of the join: that of now; the oldest that undecided impressions belong to */
    struct stream_counts streams[JOINER_STREAMS_MAX];
    struct delays *delays[JOINER_STREAMS_MAX];     /* owned by the copy; NULL: no action of the stream has matched */
    uint64_t undecided_entries, undecided_payload; /* bytes, see joiner.h */
    uint64_t kept_bytes;                           /* of samples kept for people, in commits */
    struct joiner_pace pace;
    uint32_t versions;
    struct shard_version_counts *version; /* owned by the copy */
};
void shard_count(const struct shard *s, struct shard_counts *out); /* out: zeroed or an earlier copy */
void shard_counts_close(struct shard_counts *c);

/* How much waits for decisions, and how much has been decided since it was opened; for back-pressure. */
struct shard_room {
    uint64_t held_bytes; /* logical, as joiner_held_bytes() */
    uint64_t decided;    /* impressions */
};
struct shard_room shard_room(const struct shard *s);

/* The table of a version, for readers: inside rcu_enter/rcu_leave, any thread. NULL: the version is not here (yet). */
const struct table *shard_table(const struct shard *s, uint32_t version);

/* The era of a version's tables (ps/state/table.h): which representation its parameters are of; NULL or "": that of no
 * encoder. While a shard changes a version's encoder it is TABLE_NO_ERA. */
uint64_t shard_era(const char *encoder);

/* How good the predictions of a version were; NULL: nothing was counted (yet). */
const struct validation *shard_validation(struct shard *s, uint32_t version, enum validation_kind kind);

/* How documents and keys are hashed, for readers and tests. */
struct doc_id shard_doc_id(struct bytes doc, uint64_t hash_seed);

/* Rows of STORE_DOC, for exports: shard u16, document low u64, high u32, all big-endian. */
enum { SHARD_DOC_KEY = 14 };
void shard_doc_key(uint8_t key[static SHARD_DOC_KEY], uint32_t shard, struct doc_id id);
struct doc_id shard_doc_of_key(const uint8_t key[static SHARD_DOC_KEY]);

#endif
