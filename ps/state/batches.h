/* ps/state/batches.h - the samples that one version of one shard has taken and not yet learned: open batches, and what
 * waits for its turn.
 *
 *   put ──► wait ──► turn ──► join ──► a batch of its document ──► remove (it was learned)
 *      └───────────────────────┘ (order: arrival)
 *
 * Batches  one per document at most. They lie in the order in which they were opened, which is that of their ages,
 *          because the version's clock never goes back: so the oldest is found without looking at the others.
 * Turns    by (due, key): with order: event_time a sample is learned when the clock has passed its due time.
 * Order    samples have serial numbers, given when they begin to wait and again when they join: so their numbers say
 *          how they lie in a batch, and how batches follow each other.
 * Rows     a sample that waits when a commit is made has a row: STORE_BATCH, {shard u16, version u32, serial u64},
 *          big-endian. It is written once, again if it is relabelled, and deleted by the commit that finds it gone.
 *          What came and went between two commits is never written.
 * Bytes    logical ones: batches_bytes() does not depend on commits or on how arrays grow. They are at most twice as
 *          much.
 * Memory   owns copies of all it is given. Threads: one owner. */
#ifndef TIDEMILL_PS_STATE_BATCHES_H
#define TIDEMILL_PS_STATE_BATCHES_H

#include "joiner/due.h"
#include "joiner/key_index.h"
#include "learner/model.h"
#include "ps/state/store.h"

#define BATCHES_NONE UINT32_MAX
enum { BATCHES_KEY = 14, BATCHES_SAMPLE_BYTES = 192 /* and 4 a feature, 8 where corrections wait */ };

enum batched_place { BATCHED_NOWHERE, BATCHED_OPEN, BATCHED_TURN };

/* One of them. Rewards, weights and the rest as in struct example. */
struct batched {
    struct hash128 sample; /* what it is found by: the new sample's sequence in the sample log, and 0 */
    struct hash128 key;    /* of the impression; it may come again when it was forgotten */
    struct hash128 doc;
    uint64_t item;
    double reward, weight, offset;
    double old_reward, old_weight; /* of a correction: what the version has learned */
    int64_t time;                  /* of the impression */
    int64_t due;                   /* of a turn: when it comes; else when the batch was opened */
    uint32_t corrections;          /* of it that wait with it */
    bool correction;               /* it was learned already, or, if it was_nothing, gone by */
    bool was_nothing;              /* its features did not fit: a correction alone tells of it */
    bool is_nothing;               /* they do not any more: there is nothing to learn */
    bool late;                     /* its turn is among the corrections: it is found by its sample */
    bool whole;                    /* it stands for itself alone, and was judged: see learner/trial.h */

    /* The owner's. */
    enum batched_place place;
    bool changed, stored; /* since the last commit; there is a row */
    uint32_t next;        /* in its batch */
    uint64_t serial;
};

struct open_batch {
    struct hash128 doc;
    int64_t opened;
    uint32_t first, last, count, positives;
    uint32_t before, after; /* in the order of opening; after: of a free one, the next free one */
};

struct batches {
    uint32_t shard, version, dimension;
    uint32_t stride;            /* floats a sample: twice the dimension where corrections wait, who know both sides */
    int64_t clock;              /* event time that the version has come to; INT64_MIN before the first sample */
    uint64_t serial;            /* the next one */
    uint32_t samples, expected; /* expected: while loading, as the last commit counted them */
    struct batched *sample;     /* by number */
    float *x;                   /* stride each: as it is, and as it was learned */
    uint32_t sample_capacity, free_sample;
    struct open_batch *batch; /* by number */
    uint32_t open, batch_capacity, free_batch, oldest, newest;
    struct key_index by_doc, by_sample; /* batches; late turns */
    struct due turns;
    uint32_t *changed; /* samples, some of them gone since */
    size_t changes, change_capacity;
    uint32_t rows_due;  /* of them those that are still here */
    uint64_t *unfrozen; /* the owner's: bytes that the next commit carries, of all its batches */
    uint64_t *gone;     /* serials of rows to delete */
    size_t losses, loss_capacity;
};

struct batches_options {
    uint32_t shard, version;
    uint32_t dimension;    /* 0: samples without features */
    bool corrections_wait; /* until their turn: they keep what was learned, too */
    uint64_t *unfrozen;    /* a sum of the owner's, which this keeps its part of; it outlives the batches */
};
void batches_open(struct batches *b, const struct batches_options *options);
void batches_close(struct batches *b);

static inline uint64_t batches_sample_bytes(const struct batches *b)
{
    return BATCHES_SAMPLE_BYTES + 4 * (uint64_t)b->stride;
}
static inline uint64_t batches_bytes(const struct batches *b) { return b->samples * batches_sample_bytes(b); }

/* A copy of what the caller says of a sample; x, was: dimension features, as they are and as they were. Returns its
 * number. Pointers into a struct batches live until the next call of this. */
uint32_t batches_put(struct batches *b, const struct batched *sample, const float *x, const float *was);
void batches_drop(struct batches *b, uint32_t number); /* one that is in no batch and waits no more */
static inline const float *batches_x(const struct batches *b, uint32_t number)
{
    return b->x + (size_t)number * b->stride;
}
/* Where corrections wait. */
static inline const float *batches_was(const struct batches *b, uint32_t number)
{
    return batches_x(b, number) + b->dimension;
}

/* Its turn comes at sample.due. */
void batches_wait(struct batches *b, uint32_t number);
/* The next one with due < limit, which waits no more. BATCHES_NONE: there is none. */
uint32_t batches_turn(struct batches *b, int64_t limit);
static inline int64_t batches_next_turn(const struct batches *b) { return due_earliest(&b->turns); } /* INT64_MAX */
/* The late turn of a sample; BATCHES_NONE. */
uint32_t batches_late(const struct batches *b, uint64_t sequence);
/* Does this new sample wait for a turn? Looks at all that wait: of turns that are not late there is no index. */
bool batches_turns_have(const struct batches *b, uint64_t sequence);

/* Into the batch of its document, opened by the clock if there is none. Returns the batch. */
uint32_t batches_join(struct batches *b, uint32_t number);
uint32_t batches_of(const struct batches *b, struct hash128 doc); /* BATCHES_NONE */
/* The sample of a document's batch that has this sequence; BATCHES_NONE. */
uint32_t batches_find(const struct batches *b, struct hash128 doc, uint64_t sequence);
/* One of a batch, or a late turn, has other labels. */
void batches_relabel(struct batches *b, uint32_t number, double reward, double weight, uint32_t corrections);
/* And other features. */
void batches_refit(struct batches *b, uint32_t number, const float *x, bool is_nothing);
/* One goes from its batch, which goes with its last one. */
void batches_leave(struct batches *b, uint32_t number);
/* Its samples were learned. */
void batches_remove(struct batches *b, uint32_t batch);

/* Put what changed into the commit; the rest of the state is part of the shard's place. */
void batches_freeze(struct batches *b, struct store_batch *out);
void batches_encode(const struct batches *b, struct buffer *out);
void batches_decode(struct batches *b, struct reader *r);
/* A row, in the order of keys; then whether they were all. TM_DATA_LOSS. */
enum tm_code batches_load_row(struct batches *b, struct bytes key, struct bytes value, struct tm_error *err);
enum tm_code batches_loaded(const struct batches *b, struct tm_error *err);

/* ---- for the files of this part ---- */
void batches_place(struct batches *b, uint32_t number, uint64_t serial); /* where sample.place says, with this serial */
enum { BATCHES_ROW_HEAD = 109 };
static inline uint64_t batches_row_bytes(const struct batches *b) { return BATCHES_ROW_HEAD + 4 * (uint64_t)b->stride; }

#endif
