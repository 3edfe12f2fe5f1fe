/* joiner/joiner_state.h - the inside of a joiner, shared by its parts: joiner.c (step, advance), decide.c (samples),
 * known.c (what decided keys are to later records), attribute.c (actions with a key of their own), at_once.c (positives
 * before their gate), let_go.c (what is dropped), durable.c (freeze, load) and joiner_read.c (counters). Nobody else
 * includes it. */
#ifndef TIDEMILL_JOINER_JOINER_STATE_H
#define TIDEMILL_JOINER_JOINER_STATE_H

#include "joiner/attribution.h"
#include "joiner/chunks.h"
#include "joiner/decided.h"
#include "joiner/due.h"
#include "joiner/pending.h"
#include "joiner/remembered.h"
#include "joiner/runs.h"

/* What does not go back when an epoch begins: it was so far then. */
struct joiner_floor {
    int64_t gate, front, expiry, action_horizon;
};

struct joiner {
    struct joiner_config config;
    struct joiner_output output;
    uint16_t feature_bit[JOINER_STREAMS_MAX]; /* one for each stream of features; of others 0 */
    int64_t watermark[JOINER_STREAMS_MAX];
    int64_t gate[JOINER_EPOCHS_MAX]; /* of each epoch; WATERMARK_NONE: nothing is decided */
    struct joiner_floor floor;
    int64_t told_at;        /* decided_at of the newest sample; WATERMARK_NONE */
    int64_t ahead;          /* behind the newest impression that was decided before its gate; WATERMARK_NONE */
    int64_t expiry;         /* WATERMARK_NONE: nothing expires */
    int64_t action_horizon; /* early actions and late impressions before it are set aside */
    int64_t features_horizon;
    uint64_t sequence;                     /* of the newest sample */
    uint64_t position;                     /* of the newest record stepped */
    uint64_t undecided[JOINER_EPOCHS_MAX]; /* impressions that wait, by their epochs' numbers modulo that */
    uint64_t held;                         /* logical bytes of all that waits... */
    uint64_t early;                        /* ...and of what has not met its impression */
    struct stream_counts counts[JOINER_STREAMS_MAX];
    struct joiner_pace pace;
    struct delays *delays[JOINER_STREAMS_MAX]; /* NULL: no action of the stream has matched */
    struct pending pending;
    struct decided decided;       /* keys in memory */
    struct runs runs;             /* the other decided keys */
    struct remembered remembered; /* how much of both */
    struct chunks chunks;
    struct due decisions[JOINER_EPOCHS_MAX]; /* impressions, by their time; of epochs as above */
    struct due early_actions;                /* notes without an impression, by their time */
    struct due early_features;
    struct attribution attribution;
    struct buffer frozen_run;
    bool at_once; /* some epoch decides positives before its gate */
    bool loading; /* counters, samples and set-asides are not told: they were told before the restart */
};

void joiner_set_watermarks(struct joiner *j, const int64_t *watermarks);

/* epochs.c */
int64_t joiner_newest_gate(const struct joiner *j); /* what an impression of some epoch was decided by, or will be */
void joiner_set_gates(struct joiner *j);            /* the watermarks, or the epochs, have changed */
void joiner_open_epochs(struct joiner *j);
/* Which an impression of this position belongs to, as its place in the list; behind the newest record: the
 * last one. JOINER_EPOCHS_MAX: one that is gone. */
uint32_t joiner_epoch_of(const struct joiner *j, uint64_t position);
static inline uint32_t joiner_slot(const struct joiner *j, uint32_t epoch)
{
    return j->config.epoch[epoch].number % JOINER_EPOCHS_MAX;
}
/* Of the epochs with an impression before its limit, the one whose comes first by (time, position); limits: NULL: any.
 * JOINER_EPOCHS_MAX: there is none. */
uint32_t joiner_next_epoch(const struct joiner *j, const int64_t *limits);

/* The three kinds of records, after the checks that only a first arrival needs. The record lies in the chunk
 * at offset. */
void joiner_hold_impression(struct joiner *j, const struct joiner_record *r, uint64_t chunk, uint32_t offset);
void joiner_hold_note(struct joiner *j, const struct joiner_record *r, uint64_t chunk, uint32_t offset);

/* joiner.c */
void joiner_set_aside(struct joiner *j, const struct joiner_record *r, enum joiner_reason reason);
void joiner_wait_no_more(struct joiner *j, uint8_t stream);
void joiner_match(struct joiner *j, uint8_t stream, bool withdraw, int64_t time, int64_t impression_time);

void joiner_prefetch_key(const struct joiner *j, struct hash128 key);

/* known.c */
/* Features of an impression, and what is taken for the same one, are not further apart, ms. */
int64_t joiner_nearby(const struct joiner *j);
int64_t joiner_span(const struct joiner *j); /* of what goes as a whole: the horizon in a few parts, ms */
bool joiner_was_decided(struct joiner *j, const struct joiner_record *r); /* its key, near enough */
/* A decided impression before it is not known to the record (joiner.h, near enough). */
int64_t joiner_known_from(const struct joiner *j, const struct joiner_record *r);
/* The entry of a decided key from this time on, where it can be changed: one out of a run is put back into memory,
 * until the next freeze at least. NULL: there is none. */
struct decided_key *joiner_reopen(struct joiner *j, struct hash128 key, int64_t from);
void joiner_keep_decided_bound(struct joiner *j);
void joiner_forget(struct joiner *j); /* what is before expiry */

/* let_go.c */
uint64_t joiner_note_bytes(struct joiner *j, const struct pending_note *n);
static inline uint64_t joiner_record_bytes(enum joiner_stream_kind kind, const struct joiner_record *r)
{
    return joiner_waiting_bytes(kind, r->body.size + joiner_shared_bytes(r->shared.size, r->sharers));
}
static inline uint64_t joiner_kept_bytes(enum joiner_stream_kind kind, const struct chunk_record *r)
{
    return joiner_waiting_bytes(kind, r->body.size + joiner_shared_bytes(r->shared.size, r->sharers));
}
void joiner_release_note(struct joiner *j, uint32_t number);
/* The same, and a restart that reads the note's chunk learns that it waits no more. */
void joiner_settle_note(struct joiner *j, uint32_t number);
void joiner_drop_early(struct joiner *j, uint32_t number);      /* a note without an impression */
void joiner_drop_impression(struct joiner *j, uint32_t number); /* with its notes */
/* Is the item's key undecided? It may be stale: what it was for is gone, and its place used again. */
bool joiner_waits(const struct joiner *j, const struct due_item *item);
void joiner_orphan(struct joiner *j, struct due *queue, int64_t horizon); /* notes whose impression cannot come */
void joiner_number_features(struct joiner *j);                            /* there is a configuration, or another one */
void joiner_keep_bounds(struct joiner *j); /* let the oldest go while more is held, or remembered, than may be */

/* at_once.c: who is ready by a record that was taken, and who is when the gate of his epoch becomes known; gates that
 * are, of epochs that decide at once, as bits by their place in the list. */
void joiner_decide_ready(struct joiner *j, const struct joiner_record *r);
void joiner_decide_all_ready(struct joiner *j);
uint32_t joiner_known_gates(const struct joiner *j);

/* What makes a key a sample: the gate has passed it; had passed it when it came; it is positive, before the gate. */
enum joiner_cause { JOINER_BY_GATE, JOINER_ON_ARRIVAL, JOINER_AT_ONCE };

/* decide.c: the undecided key with this number becomes a sample, and all whose time the gate has passed do; an action,
 * or its withdrawal, comes for a decided one; features do, the first of their stream. */
void joiner_decide(struct joiner *j, uint32_t number, enum joiner_cause cause);
void joiner_decide_due(struct joiner *j);
void joiner_amend(struct joiner *j, struct decided_key *k, const struct joiner_record *r);
void joiner_amend_features(struct joiner *j, struct decided_key *k, const struct joiner_record *r);
/* The last one of n actions takes its place among those in front of it, by (time, position). */
void joiner_put_in_order(struct label_action *action, uint32_t n);

/* The document, and an event of it for a sample that was left out and is made now. */
struct correction_of {
    struct hash128 doc;
    struct bytes body, shared;
    uint64_t position; /* of the event */
    uint8_t stream;    /* the same */
    bool elsewhere;    /* the event has other ids but the document */
};

/* What the actions that count for a decided key come to now, and the correction if that is not what was told. */
void joiner_verdict_now(const struct joiner *j, const struct decided_key *k, struct verdict *out);
void joiner_correct(struct joiner *j, struct decided_key *k, struct verdict *told, const struct verdict *now,
                    uint64_t position, const struct correction_of *of);

/* attribute.c: an attributed action or its withdrawal; an impression that was taken; what becomes due. */
enum joiner_reason joiner_take_attributed(struct joiner *j, const struct joiner_record *r);
void joiner_show(struct joiner *j, const struct joiner_record *r);
/* The undecided impression of this position goes without a decision; actions that it holds count for nobody. */
void joiner_shed_shown(struct joiner *j, struct hash128 key, uint64_t position);
void joiner_forget_attributed(struct joiner *j);
void joiner_attributed_loaded(struct joiner *j);

static inline bool joiner_behind(int64_t time, int64_t horizon) { return horizon != WATERMARK_NONE && time < horizon; }
static inline int64_t joiner_smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t joiner_larger(int64_t a, int64_t b) { return a > b ? a : b; }
/* w - d, where an unknown watermark stays unknown. */
static inline int64_t joiner_minus(int64_t w, int64_t d)
{
    int64_t v;
    return w == WATERMARK_NONE || __builtin_sub_overflow(w, d, &v) ? WATERMARK_NONE : v;
}
static inline uint8_t joiner_came(bool withdraw) { return withdraw ? DECIDED_WITHDRAWAL : DECIDED_ACTION; }

#endif
