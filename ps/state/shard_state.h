/* ps/state/shard_state.h - the inside of a shard, shared by its parts: shard.c (step), shard_versions.c (who learns
 * what), shard_features.c (from what), shard_mend.c (when that comes late), shard_lookup.c (from which rows of
 * tables), shard_judge.c (how well), shard_batches.c and shard_batches_store.c (when), shard_archive.c (what is kept),
 * shard_catch_up.c (what was held), shard_documents.c (who is admitted, who has expired), shard_names.c (whose name is
 * needed), shard_encoder.c (which encoder), shard_reset.c (what is forgotten), shard_runs.c (where decided keys lie),
 * shard_commit.c (commit, load). Nobody else includes it. */
#ifndef TIDEMILL_PS_STATE_SHARD_STATE_H
#define TIDEMILL_PS_STATE_SHARD_STATE_H

#include <stdatomic.h>

#include "learner/trial.h"
#include "ps/state/archive.h"
#include "ps/state/batches.h"
#include "ps/state/dead_letters.h"
#include "ps/state/encoding.h"
#include "ps/state/feature_rows.h"
#include "ps/state/feature_vector.h"
#include "ps/state/lookup.h"
#include "ps/state/param_store.h"
#include "ps/state/predictions.h"
#include "ps/state/resets.h"
#include "ps/state/sample_log.h"
#include "ps/state/shard.h"
#include "ps/state/validation_rows.h"
#include "ps/state/version_input.h"

/* Progressive validation of one version in one shard. */
struct judge {
    struct validation *kind[VALIDATION_KINDS]; /* NULL: nothing was counted yet */
    bool changed[VALIDATION_KINDS];            /* since the last commit */
    struct predictions kept;
    uint64_t refused[VALIDATION_KINDS]; /* new samples: the prediction is no probability, or the weight too large */
    uint64_t unjudged;                  /* corrections of samples that were not counted */
};

/* One version in one shard. It is current (it learns, and nothing is held: a sample is learned as it is made), or its
 * cursor stays behind in the sample log. */
struct version_slot {
    const struct version *version;
    struct table *table;
    struct cursor cursor;
    struct sample_log_place place; /* while something is held: of cursor.next */
    int64_t horizon;               /* while something is held: impressions before it are corrected no more */
    bool may_lack_reward;          /* its reward divides by what can be 0 */
    uint64_t features_from;        /* while something is held: no older row of features is needed for it */
    struct sample_counts fresh, corrections;
    struct resets resets;          /* what its parameters were made to forget */
    const struct encoder *encoder; /* NULL: features are taken as they come */
    uint64_t encoded_from;         /* samples before it were made for another encoder */
    struct judge *judge;           /* NULL: the version is not judged */
    struct batches *batches;       /* NULL: a sample is learned when it comes */
    struct batch_counts fired;
    uint64_t repairs;          /* of its parameters, as the model says */
    uint32_t sweep_next;       /* mortal: the block that is looked at next, */
    uint32_t sweep_owed;       /* and how many are to be, because documents came */
    uint32_t stored_documents; /* as the last commit before loading counted them */
};

/* A sample of version `source` goes to the slots of its routes; sorted by source. */
struct route {
    uint32_t source, slot;
};

/* What readers see: replaced as a whole when a version comes. */
struct table_set {
    uint32_t count;
    struct {
        uint32_t version;
        struct table *table;
    } item[];
};

/* size 0: nobody needs its name any more. In the order in which it was said. */
struct new_doc {
    struct doc_id id;
    uint32_t offset, size; /* in new_doc_text */
};

/* Of documents whose name may be needed by nobody any more (shard_names.c). */
struct doc_names {
    struct doc_id *doubt; /* may be needed by what waits */
    uint32_t doubts;
    int64_t look_at; /* again when the gate is here */
    bool left;       /* there are others, to be found at a start */
};

/* The features of one sample at a time, while it goes round. */
struct features_at_hand {
    uint64_t sequence;         /* whose they are; 0: nobody's yet */
    struct sample_place place; /* and which of them: features that come later make others */
    bool there;                /* it has some */
    struct buffer packed;
    struct feature_vector vector;
    uint64_t letter; /* behind the newest event that became a dead letter, because a version refused its sample */
};

/* Tables, in the order of their names, and the rows of one sample at a time. */
struct sample_tables {
    uint8_t stream[JOINER_STREAMS_MAX];
    uint32_t count;
    uint64_t end;        /* the step sees rows in front of this position */
    struct buffer found; /* one row */
    struct buffer rows; /* all of the sample, packed as TableRows of samples.proto; and where each table's event lies */
    size_t at[JOINER_STREAMS_MAX], size[JOINER_STREAMS_MAX]; /* size 0: it has none */
};

/* Of one sample at a time: what feature streams brought for it, packed as FeatureRecords of samples.proto. */
struct sample_records {
    struct buffer one, all;
};

struct shard {
    struct shard_options options;
    struct catalog catalog;
    bool catalog_changed, changed;
    bool behind;           /* some version works on what was held */
    struct joiner *joiner; /* NULL until there is a join configuration */
    struct version_slot *slot;
    uint32_t slots;
    struct route *route;
    uint32_t routes;
    struct table_set *_Atomic readers;
    int64_t watermark[JOINER_STREAMS_MAX]; /* as of the last step or commit */
    uint64_t position;                     /* of the last commit */
    uint64_t commit;                       /* number of the last commit */
    uint64_t keep_from;                    /* older commits are needed by nobody */
    uint64_t waiting_from;                 /* chunks of older commits are deleted */
    uint64_t runs_from;                    /* runs of older commits are deleted, */
    uint64_t attribution_from;             /* and what they say of attributed actions */
    struct store_batch *freezing;          /* the commit that is being made */
    struct sample_log log;
    struct feature_rows features;
    struct features_at_hand hand;
    struct input_sources sources; /* of features */
    struct sample_tables tables;
    struct sample_records records;
    struct encoding encoding; /* of what is at hand */
    float *old_x;             /* what a sample was learned from before its features came; NULL: not needed yet */
    uint32_t feature_slots;   /* of versions that learn from features */
    uint32_t judges;          /* versions that are judged */
    uint32_t mortals;         /* versions whose documents come and go */
    uint32_t drawers;         /* versions that draw something for each document */
    uint32_t *batcher;        /* slots of the versions whose samples wait before they are learned: */
    uint32_t batching;        /* so many */
    uint64_t batch_bytes;     /* what all of these samples take, */
    uint64_t batch_unfrozen;  /* and the next commit carries of them */
    int64_t batches_due;      /* at this gate some of them have something to do; as of the last step */
    struct tm_error trouble; /* features that are kept cannot be read: the step fails, and so does every one after it */
    uint32_t holding;        /* slots for which something is held */
    uint64_t brought;        /* cost of the samples made in this step */
    struct param_store params; /* its tables are those of the slots, in the same order */
    struct new_doc *new_doc;
    size_t new_docs, new_doc_capacity;
    struct buffer new_doc_text;
    struct doc_names names;
    struct dead_letters *dead_letters;
    struct archive archive;
    const struct block_event *at_hand; /* the event being joined; NULL while time passes */
    struct buffer newest_ids;          /* of the sample made last, for corrections that come right behind it */
};

/* The events of a sample were read when they came in. */
static inline void shard_read_event(struct bytes body, struct bytes shared, struct event *e)
{
    CHECK(event_scan_parts(body, shared, e, NULL) == TM_OK);
}

/* shard.c */
void shard_follow_catalog(struct shard *s); /* it has grown */
void shard_set_aside(struct shard *s, const struct joiner_record *r, enum joiner_reason reason);

/* shard_runs.c: the store of the joiner's runs. */
void shard_keep_runs(struct shard *s); /* the joiner was opened */
enum tm_code shard_load_runs(struct shard *s, const struct store *store, struct tm_error *err);

/* shard_versions.c */
void shard_add_versions(struct shard *s); /* the catalog has grown: give the new versions their places */
struct version_slot *shard_slot(struct shard *s, uint32_t version);
void shard_take_sample(void *shard, struct sample *sample); /* joiner_output.sample */
void shard_leave_out(void *shard, struct sample *sample);   /* joiner_output.left_out */
uint32_t shard_first_route(const struct shard *s, uint32_t source);
/* The version learns a sample that it does not refuse, or corrects what it learned of it; samples++ and what held has
 * to do with it are the caller's. horizon: see cursor_learn(). Returns whether it is a new sample of a document without
 * parameters here: then the document's text must be stored. */
bool shard_learn(struct shard *s, struct version_slot *slot, const struct sample *sample, int64_t horizon);

void shard_unname_doc(struct shard *s, struct doc_id id);

/* shard_names.c */
void shard_let_name_go(struct shard *s, struct doc_id id); /* its parameters have left a table */
void shard_leave_names(struct shard *s);                   /* of samples that will not be learned */
void shard_look_at_names(struct shard *s);
bool shard_names_left(const struct shard *s);
enum tm_code shard_sweep_names(struct shard *s, const struct store *store, struct bytes prefix, struct tm_error *err);
void shard_names_close(struct doc_names *n);

/* shard_documents.c: for versions whose documents come and go */
void shard_begin_content(const struct version *v, void *content); /* of a document nothing was learned about */
uint64_t shard_base(const struct version *v, const void *content);
void shard_name_document(struct sample *sample); /* what it must carry, while its event is there */
/* Returns whether it was learned; else it was only counted. */
bool shard_learn_mortal(const struct version *v, void *content, const struct example *e, uint64_t sequence);
bool shard_has_expired(const struct version *v, const void *content, const struct sample *sample);
/* Is the original, which was given to the model, in the parameters as they are? True for the other versions. */
bool shard_has_learned(const struct version_slot *slot, const struct sample *correction);
void shard_forget_document(struct shard *s, struct version_slot *slot, uint32_t number);
void shard_owe_sweep(struct version_slot *slot, uint32_t fresh);
void shard_sweep(struct shard *s); /* a slice */
/* The document's block; NULL: it has none. */
const void *shard_block_of(const struct version_slot *slot, struct hash128 doc);
/* The block learns samples, as one batch, or from what was learned to what it should be (after NULL: it is taken out);
 * published. Returns whether it is a new one. */
bool shard_put_in(struct version_slot *slot, struct doc_id id, const struct example *samples, size_t count);
void shard_change_in(struct version_slot *slot, struct doc_id id, const struct example *before,
                     const struct example *after);

/* Is there something to correct? */
static inline bool shard_differs(const struct version *v, const struct example *a, const struct example *b)
{
    return a->reward != b->reward || a->weight != b->weight ||
           (a->x != b->x && memcmp(a->x, b->x, v->config.dimension * sizeof *a->x) != 0);
}

/* The most that it weighs: the same for a sample and its corrections. */
static inline double shard_weight(const struct sample *sample) { return sample->weight / sample->rate; }

/* shard_features.c */
/* A sample was made, and somebody learns from features: gather them, and keep them if somebody takes them. */
void shard_bring_features(struct shard *s, struct sample *sample);
/* The same for a negative that was left out and is a sample now. */
void shard_bring_again(struct shard *s, struct sample *sample);
/* Where features lie that somebody takes, or will when all have come. False: more than FEATURE_PACKED_MAX, which no
 * version takes (ps/state/encoding.h). */
bool shard_keep_features(struct shard *s, struct sample *sample, struct bytes packed);
/* Decoded once for a sample, until another's are asked for. NULL: it has none, or s->trouble. */
const struct feature_vector *shard_features(struct shard *s, const struct sample *sample);
/* What the version learns of a sample that it does not refuse from: its features, or what its encoder makes of them. */
const float *shard_x(struct shard *s, const struct version_slot *slot, const struct sample *sample);
/* Why the version cannot learn the sample from the features at its place: originals and corrections are judged by the
 * same rule, so that what was refused needs no mark. */
enum joiner_reason shard_refusal(struct shard *s, const struct version_slot *slot, const struct sample *sample);
/* A dead letter of the event that made it, its impression mostly, or of the record that brought it features late: one
 * of an event, for whoever is the first to refuse a sample of it; its place names it. */
void shard_write_letter(struct shard *s, const struct sample *sample, enum joiner_reason reason);
/* A new sample goes by a version that cannot learn it: counted and set aside. False: it can. */
bool shard_refuse(struct shard *s, struct version_slot *slot, const struct sample *sample);
void shard_count_refusal(struct sample_counts *c, enum joiner_reason reason);
uint64_t shard_features_held(
    const struct shard *s); /* rows from here on are needed for held samples; UINT64_MAX: none */

/* shard_mend.c */
/* A correction brings features: they are kept with those that were there, and the sample says where. */
void shard_mend_features(struct shard *s, struct sample *sample);
/* While the record that brought them is at hand: a dead letter of it, if the sample fitted the version before and does
 * not now, as of a new sample that does not fit. */
void shard_tell_unfit(struct shard *s, const struct version_slot *slot, const struct sample *correction);
/* Whether the version can learn a correction's sample from the features it had, and from those it has; they are the
 * same if none have come. Where it cannot, the x of the other side stands in: what weighs nothing needs one, too. Both
 * views live until the next sample's features are asked for. */
struct sample_fit {
    bool was, is;
    enum joiner_reason refused; /* why not, as it is */
    const float *x_was, *x_is;  /* NULL: fits nobody, or the model learns from labels alone */
};
struct sample_fit shard_fit(struct shard *s, const struct version_slot *slot, const struct sample *sample);

/* shard_lookup.c */
void shard_order_sources(struct shard *s); /* there is a join configuration, or another one */
void shard_coming(void *shard, const struct sample_features *shown, uint32_t count); /* joiner_output.coming */
/* Find the rows that count for a new sample whose impression is at hand. */
void shard_find_rows(struct shard *s, const struct sample *sample);
/* The row of this table that was found last; empty: none. */
struct bytes shard_found_row(const struct shard *s, uint8_t stream);

/* shard_judge.c */
struct judge *shard_judge_open(uint32_t shard, uint32_t version);
void shard_judge_close(struct judge *j);                       /* NULL is fine */
void shard_judge_tell(struct shard *s, struct sample *sample); /* what it must carry, while its event is there */
/* The version has got the new sample while this is its document's block (NULL: none); and has learned of a correction,
 * from one reward to another; and is about to learn a batch. */
void shard_judge(struct version_slot *slot, const struct sample *sample, const void *block, const struct example *e);
bool shard_has_judged(const struct version_slot *slot, const struct sample *correction); /* its original */
void shard_judge_again(struct version_slot *slot, const struct sample *sample, double before, double after);
void shard_judge_batch(struct judge *j, const struct trial *trial);
size_t shard_judge_unfrozen(const struct shard *s);
void shard_judge_commit(struct shard *s, struct store_batch *out);
void shard_judge_encode(const struct judge *j, struct buffer *out);
void shard_judge_decode(struct judge *j, struct reader *r);
enum tm_code shard_judge_load(struct shard *s, const struct store *store, struct bytes prefix, struct tm_error *err);

static inline uint64_t slot_held(const struct version_slot *slot) { return slot->fresh.held + slot->corrections.held; }
static inline bool slot_paused(const struct shard *s, const struct version_slot *slot)
{
    return s->catalog.state[slot - s->slot] == VERSION_PAUSED;
}

/* Impressions before it are corrected no more, neither by what is held nor by what comes. */
static inline int64_t shard_horizon(const struct shard *s, const struct version_slot *slot)
{
    return slot_held(slot) || !s->joiner ? slot->horizon : joiner_expiry(s->joiner);
}

/* shard_batches.c: of versions whose samples wait */
static inline struct version_slot *shard_batcher(const struct shard *s, uint32_t i) { return &s->slot[s->batcher[i]]; }
void shard_batches_open(struct shard *s, struct version_slot *slot); /* if it is one */
void shard_batches_close(struct version_slot *slot);
/* A new sample that it does not refuse. */
void shard_batch_new(struct shard *s, struct version_slot *slot, const struct sample *sample, const float *x);
/* A correction of what waits, and gets other labels where it is. False: there is no such thing, or its features must
 * tell. */
bool shard_batch_relabel(struct shard *s, struct version_slot *slot, const struct sample *sample);
/* Any other correction of what the version has. */
void shard_batch_correction(struct shard *s, struct version_slot *slot, const struct sample *sample,
                            const struct sample_fit *fit);
/* Is the correction's original one that is not learned yet, or does another correction of it wait? */
bool shard_batch_has(const struct version_slot *slot, const struct sample *sample);
/* Can what it has of the original be taken out of it? */
bool shard_can_take_out(const struct version_slot *slot, const struct sample *correction);
void shard_batches_pass_to(struct shard *s, struct version_slot *slot, int64_t decided_at); /* a correction's */
/* As shard_horizon(), and no correction of an older impression waits. */
int64_t shard_batches_horizon(const struct shard *s, const struct version_slot *slot);
void shard_note_batches_due(struct shard *s); /* what is due has changed otherwise than by a step */
void shard_pass_batches(struct shard *s);     /* versions that have learned all there is come to the gate */
bool shard_batches_due(const struct shard *s, int64_t gate);
/* What waits was made for another encoder: it is never learned. */
void shard_forget_batches(struct shard *s, struct version_slot *slot);
void shard_keep_batch_bound(struct shard *s);
void shard_batches_commit(struct shard *s, struct store_batch *out);
void shard_batches_encode(const struct version_slot *slot, struct buffer *out);
void shard_batches_decode(struct version_slot *slot, struct reader *r);
enum tm_code shard_batches_load(struct shard *s, const struct store *store, struct bytes prefix, struct tm_error *err);

/* shard_archive.c */
void shard_archive(struct shard *s, const struct sample *sample); /* keep it, if samples are kept */

/* shard_encoder.c */
void shard_find_encoder(struct shard *s, struct version_slot *slot); /* that the catalog names; else s->trouble */
void shard_change_encoder(struct shard *s, uint32_t version);        /* a CATALOG_ENCODED */

/* shard_reset.c */
void shard_forget_all(struct shard *s, struct version_slot *slot);         /* blocks alone */
void shard_reset(struct shard *s, uint32_t version, struct bytes control); /* a CATALOG_RESET */

/* shard_catch_up.c */
void shard_hold(struct shard *s, struct version_slot *slot, const struct sample *sample, struct sample_log_place place);
void shard_discard(struct shard *s, uint32_t version);
enum tm_code shard_catch_up(struct shard *s, struct tm_error *err); /* one slice */
void shard_count_held(struct shard *s);                             /* after loading */
uint64_t shard_rows_needed(const struct shard *s);                  /* of the sample log, from here; UINT64_MAX: none */

#endif
