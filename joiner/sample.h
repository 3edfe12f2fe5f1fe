/* joiner/sample.h - what the joiner makes: one labelled sample, or the correction of one.
 *
 * Units    times are event time, ms since 1970 UTC.
 * Labels   as many as the epoch of its impression has (joiner/joiner.h), in the order of the join configuration; what
 *          they are: joiner/labels.h. The rest is 0.
 * Sampling negatives may be left out (joiner/sampling.h). What is kept carries `rate`, with which a negative of its
 *          kind is kept, and `keep`, with which this one was: 1 for a positive, else the rate. A correction takes back
 *          what was learned with old_keep; what it says instead has keep 1. A negative that was left out and becomes
 *          positive is a *new* sample with keep 1, made by the action; later corrections name that one. What has been
 *          positive once keeps 1, whatever becomes of its labels.
 * Features of a sample are those that have come until it is decided. One that comes later makes a correction with the
 *          labels of now before and after, and with the record among its features.
 * Excluded a filter of samples (joiner/verdict.h) says that nobody is to learn it, of the labels as they are now; a
 *          correction says what was said of the old ones. Labels may be the same then, before and after.
 * Memory   a sample is a value; the events it was made from live during the call that hands it over. */
#ifndef TIDEMILL_JOINER_SAMPLE_H
#define TIDEMILL_JOINER_SAMPLE_H

#include "base/hash.h"
#include "joiner/labels.h"

enum sample_kind { SAMPLE_NEW, SAMPLE_CORRECTION };

/* Where the features lie among the rows of features that the shard keeps; row 0: they are not kept. */
struct sample_place {
    uint64_t row;
    uint32_t offset;
};

/* An event, in one part or two: of a feature stream, mostly. */
struct sample_features {
    struct bytes body, shared;
    uint8_t stream;
};

struct sample {
    uint64_t sequence; /* gap-free per shard, from 1 */
    uint64_t original; /* corrections: the sequence of what they correct; else 0 */
    enum sample_kind kind;
    uint32_t version;   /* the impression's */
    struct hash128 key; /* join key */
    struct hash128 doc; /* hash of the document id */
    int64_t impression_time;
    int64_t decided_at; /* the gate when it was made; as long as that is not known, the largest of an epoch. It does not
                         * go back from one sample to the next. */
    bool behind;        /* a new one that was late for its turn: the gate had passed its impression when that came, or
                         * it had been left out. Whoever learns in the order of time goes by it, now or later. */
    uint64_t position;  /* in the input, of what made it: the impression, or the record that corrects it */
    double weight;
    double keep, old_keep; /* probability with which it was kept; old_keep: corrections, as it was */
    double rate;           /* with which a negative of its kind is kept; 1 without sampling */
    uint32_t label_count;
    double labels[JOINER_LABELS_MAX];     /* as they are now */
    double old_labels[JOINER_LABELS_MAX]; /* corrections: as they were */
    bool excluded, old_excluded;          /* old_: corrections */
    struct sample_place place; /* of the features; whoever takes the new sample says it, corrections bring it back */
    /* Of a correction: where they were. Another place than that of now if features have come: then whoever takes the
     * correction says the new one. */
    struct sample_place old_place;
    /* Where new features are kept: their bytes; and how many rows in front of its own were kept then, because no later
     * sample refers to an older one. */
    uint32_t feature_bytes, feature_reach;

    /* Of a new one that will be judged (learner/validation.h); whoever takes the sample says it. */
    bool told;
    uint32_t request; /* hash of its request's id */
    float score;      /* the prediction that was served; NaN: none was sent */

    bool named;    /* of a new one for a version that draws a document's first parameters; whoever takes it says it */
    uint64_t item; /* draw_key() of the document */

    /* During the call that hands the sample over, and not stored: of new ones, and of corrections that bring features,
     * which have these alone, and body and shared are they. */
    bool elsewhere;      /* made by an event that shares only the document with the impression */
    bool late;           /* a negative that was left out before: its place is where its features lie since */
    struct bytes body;   /* the impression's event; of a late one, the event that made it, of the same document */
    struct bytes shared; /* the other part of the same event, if it has two */
    uint8_t stream;      /* the same event's */
    uint64_t event_position;
    uint32_t streams;                       /* of its epoch (joiner/joiner.h): what came later is no part of it */
    const struct sample_features *features; /* at most one of each stream, in the order of the streams */
    uint32_t feature_count;
};

static inline bool sample_brings_features(const struct sample *s)
{
    return s->kind == SAMPLE_CORRECTION && s->feature_count > 0;
}

static inline bool sample_place_same(struct sample_place a, struct sample_place b)
{
    return a.row == b.row && a.offset == b.offset;
}

/* Features came for it that changed something: they are kept at another place. */
static inline bool sample_moved(const struct sample *s)
{
    return s->kind == SAMPLE_CORRECTION && !sample_place_same(s->place, s->old_place);
}

/* Is there any label? Only samples without are left out. */
static inline bool sample_is_positive(const double *labels, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (labels[i] != 0)
            return true;
    return false;
}

void sample_encode(const struct sample *s, struct buffer *out); /* without body */
void sample_decode(struct reader *r, struct sample *out);

#endif
