/* tests/simulation/lessons.h - the truth about learning, told naively: what every version of one shard does with every
 * sample, and when.
 *
 * Written from the specification alone (ps/state/shard.h). Every sample of the shard lies in an array, with a fate for
 * each version; who is behind, what is held and where reading goes on is found by looking. Parameters are told twice:
 * as sums over what is learned in the end, and by the model itself, sample by sample in the order of learning, so that
 * every bit of them is known.
 * Memory   owns its arrays. */
#ifndef TIDEMILL_TESTS_SIMULATION_LESSONS_H
#define TIDEMILL_TESTS_SIMULATION_LESSONS_H

#include "joiner/counts.h"
#include "learner/beta.h"
#include "learner/encoder.h"
#include "learner/embedding.h"
#include "learner/linear.h"
#include "learner/lr.h"
#include "ps/state/catalog.h"
#include "tests/simulation/judging.h"
#include "tests/simulation/waiting.h"

enum { LESSONS_VERSIONS_MAX = 8, LESSONS_DOCS_MAX = 8, LESSONS_VALUES_MAX = 64, LESSONS_BLOCK_MAX = 320 };
enum { LESSONS_RECORDS_MAX = 8 /* of features, for one sample */ };

enum lesson_fate {
    LESSON_NONE, /* the version does not listen, or did not exist */
    LESSON_HELD,
    LESSON_BATCHED, /* it waits (tests/simulation/waiting.h) */
    LESSON_LEARNED,
    LESSON_DISCARDED,
    LESSON_LIMIT,
    LESSON_ORIGINAL,  /* a correction whose original was not learned */
    LESSON_RESET,     /* a correction whose original was learned and forgotten */
    LESSON_ADMISSION, /* only counted: the document is not admitted yet */
    LESSON_GONE,      /* a correction of what the parameters do not hold (any more) */
    LESSON_REWARD,    /* the reward has no value, before and now */
    LESSON_FILTERED,  /* a filter of samples excludes it, before and now */
    LESSON_REFUSED,   /* its features do not fit the version */
};

/* What features that came late have changed for a version that learned from them. */
enum lesson_mending { MENDED_NOTHING, MENDED_X, MENDED_IN, MENDED_OUT };

/* What a sample was predicted from. */
struct lesson_features {
    bool there;                  /* nothing is missing but what zeros stand in for */
    bool open;                   /* a record of some stream may still come; missing: and nothing stands in for it */
    bool missing, named;         /* named: some record has come */
    bool kept;                   /* until corrections */
    double weight;               /* of the sample, as a negative */
    float x[LESSONS_VALUES_MAX]; /* 0 where none was named */
    uint32_t count;          /* values of a dense vector; of a sparse one, or one that ends sparse, at least so many */
    bool sparse, broken;     /* broken: something follows a sparse part */
    char representation[40]; /* "?": of several */
    uint32_t packed;         /* bytes, as they are kept */
};

/* One sample of the shard: sequence - 1 is its index. */
struct lesson {
    struct sample sample;
    uint32_t doc;                    /* index of the document */
    struct lesson_features features; /* as they are */
    struct lesson_features was;      /* of a correction: as they were */
    uint32_t latest;                 /* of a new sample: the lesson that tells its features of now */
    uint32_t streams;                /* of its epoch; 0: a correction, or one that was left out at first */
    uint32_t
        record[LESSONS_RECORDS_MAX]; /* what feature streams brought for it: the shard's records, by their streams */
    uint32_t records;
    size_t before; /* encoded bytes of all samples in front of it */
    enum lesson_fate fate[LESSONS_VERSIONS_MAX];
    bool gone_by[LESSONS_VERSIONS_MAX];    /* refused: features that come later make it one of its own */
    uint32_t waiter[LESSONS_VERSIONS_MAX]; /* batched: with whom it waits */
    enum lesson_mending mended[LESSONS_VERSIONS_MAX];
    bool cut[LESSONS_VERSIONS_MAX];                   /* the reward was beyond the model's range */
    bool put[LESSONS_VERSIONS_MAX];                   /* a new sample: at some time it was in the parameters */
    bool forgotten[LESSONS_VERSIONS_MAX];             /* a new sample: the parameter it was learned into was reset */
    bool before_reset[LESSONS_VERSIONS_MAX];          /* it waited when that happened, and was learned afterwards */
    enum joiner_reason refused[LESSONS_VERSIONS_MAX]; /* why */
    uint32_t life[LESSONS_VERSIONS_MAX]; /* embedding: of its document, in which it was learned; 0: it was not */
    struct judgement judgement[LESSONS_VERSIONS_MAX]; /* of a new sample */
};

struct student {
    uint32_t held;
    uint32_t at;        /* while something is held: index of the sample it goes on with */
    uint32_t discarded; /* samples in front of this index are not learned any more, if they were held or refused */
    bool known[LESSONS_DOCS_MAX];
    uint64_t belief[LESSONS_DOCS_MAX][LESSONS_BLOCK_MAX / 8];
    const struct encoder *encoder;    /* NULL: it has none */
    uint64_t encoded_from;            /* sequences up to here were made for another one */
    uint32_t life[LESSONS_DOCS_MAX];  /* embedding: how often the document has begun */
    int64_t newest[LESSONS_DOCS_MAX]; /* impression time in this life */
    uint32_t left_out;                /* negatives that were no samples of it */
    struct jury jury;
    struct waiting waiting;
};

struct lessons {
    struct lesson *lesson;
    uint32_t lessons;
    size_t bytes;     /* encoded, of all */
    uint32_t brought; /* what the samples of this block cost */
    struct student student[LESSONS_VERSIONS_MAX];
};

void lessons_close(struct lessons *l);

/* A sample was made; features: of a new one, or those that came late, else NULL. Returns why the first version
 * that refuses it, or that it fitted until these came, does so. */
enum joiner_reason lessons_add(struct lessons *l, const struct catalog *c, const struct sample *sample, uint32_t doc,
                               const struct lesson_features *features);
/* A negative of that version (id) was left out. */
void lessons_leave_out(struct lessons *l, const struct catalog *c, uint32_t version);
/* Are they kept: does anybody learn from them, or may when all have come? */
bool lessons_keep_features(const struct lessons *l, const struct catalog *c, uint32_t source,
                           const struct lesson_features *f);
/* Does anybody learn from them? source: id of the version whose samples they belong to. */
bool lessons_take_features(const struct lessons *l, const struct catalog *c, uint32_t source,
                           const struct lesson_features *features);
/* It learns by this encoder from now on (NULL: as features come). anew: it is another one than before. */
void lessons_encode(struct lessons *l, const struct version *v, uint32_t version, const struct encoder *encoder,
                    bool anew);
void lessons_discard(struct lessons *l, uint32_t version); /* index */
/* The version (its description and index) forgets what it has learned of a document. */
void lessons_reset(struct lessons *l, const struct version *v, uint32_t version, uint32_t doc);
/* One slice; then who has learned all there is comes to the gate (WATERMARK_NONE: there is none). */
void lessons_end_block(struct lessons *l, const struct catalog *c, int64_t gate);
bool lessons_behind(const struct lessons *l, const struct catalog *c);     /* would one more block change something? */
uint32_t lessons_needed(const struct lessons *l, const struct catalog *c); /* index of the oldest sample held */

/* Embeddings: is the document that is known forgotten at this time? */
bool lessons_expired(const struct lessons *l, const struct version *v, uint32_t version, uint32_t doc, int64_t now);

/* Of the version with this index. */
void lessons_count(const struct lessons *l, uint32_t version, struct sample_counts *fresh,
                   struct sample_counts *corrections);

/* What a version believes of a document, as a sum over what it has learned. */
struct lessons_sum {
    bool known;
    double s, f, mass; /* mass: sum of weights ever learned, the scale of rounding */
    int64_t time;
    uint32_t positives, negatives;
};
struct lessons_sum lessons_sum(const struct lessons *l, const struct version *v, uint32_t version, uint32_t doc);

#endif
