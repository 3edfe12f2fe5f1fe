/* learner/model.h - what a model is: pure functions over a parameter block of fixed size.
 *
 * Shapes   a block is model->block_size(config) bytes, a multiple of 8 and at most MODEL_BLOCK_MAX, with no padding
 *          bytes that are not zero: the same belief is the same bytes (promise E2), and the digest of a version hashes
 *          them as they are. A model over features has n = model_weights(config) weights: one per feature, and behind
 *          them that of the intercept.
 * Units    times are event time, ms since 1970 UTC. Rewards and weights carry no unit; an offset is in log-odds.
 * Memory   blocks, features and the prior's arrays are the caller's; nothing here keeps a pointer. A block may be
 *          large: who works on copies uses a struct block_copy. lr_diagonal takes memory for a batch of several samples
 *          and gives it back before it returns; nothing else allocates.
 * Threads  any, on different blocks. No clock, no lock.
 * Order    equal blocks and equal samples in equal order give equal bits on one machine. */
#ifndef TIDEMILL_LEARNER_MODEL_H
#define TIDEMILL_LEARNER_MODEL_H

#include <math.h>

#include "base/bytes.h"
#include "base/error.h"
#include "learner/draw.h"
#include "learner/optimizer.h"

enum {
    MODEL_PRIOR_MAX = 8,
    MODEL_DIAGONAL_MAX = 4096, /* weights of a model with a variance for each */
    MODEL_FULL_MAX = 65,       /* weights of a model with a covariance for each pair: 64 features and the intercept */
    MODEL_BLOCK_MAX = 32 + 2 * 8 * MODEL_DIAGONAL_MAX,
    MODEL_BLOCK_SMALL = 8192, /* bytes that a copy may take on a stack */
};

enum model_covariance { COVARIANCE_DIAGONAL, COVARIANCE_FULL };

enum embedding_loss { LOSS_LOGISTIC, LOSS_SQUARED };

/* learner/embedding.h */
struct embedding_config {
    enum embedding_loss loss; /* squared: rewards in [reward_min, reward_max] */
    struct optimizer_config optimizer;
    double norm_max;      /* greatest length of a vector */
    uint32_t admit_at;    /* a document is learned from its n-th sample on; 1: from the first */
    double admit_share;   /* from there on a sample lets it in with this probability, in (0, 1] */
    int64_t expire_after; /* ms of event time without a sample, > 0; 0: never */
    uint64_t seed;        /* of first vectors and of admission */
};

/* How one version wants its model; fixed for the life of the version. */
struct model_config {
    double prior[MODEL_PRIOR_MAX]; /* beta: a0, b0, both > 0; others: none */
    uint32_t prior_count;
    double decay_per_ms; /* lambda = ln 2 / half-life in ms; 0 never forgets */

    /* Models over features. */
    uint32_t dimension; /* features of a sample */
    bool intercept;     /* a feature that is always 1 is appended */
    enum model_covariance covariance;
    double feature_max;                    /* largest |feature| that is taken; > 0 */
    double prior_mean, prior_sd;           /* of the weight of every feature */
    double intercept_mean, intercept_sd;   /* of the intercept's; log-odds of the base rate is a good mean */
    const double *prior_means, *prior_sds; /* instead of these four, if not NULL: n each, the intercept's last */
    /* lr, full, and linear, instead of prior_sds: the covariance of all weights, packed (learner/packed.h), and its
     * inverse (learner/prior_covariance.h). */
    const double *prior_covariance, *prior_precision;

    /* linear: rewards in [reward_min, reward_max]; residuals of about noise_sd, a guess worth noise_samples samples. */
    double reward_min, reward_max, noise_sd, noise_samples;

    struct embedding_config embedding;
};

/* One labelled sample as the learner sees it. */
struct example {
    double reward;  /* beta, lr: 0 or 1, fractions allowed between; linear: any in the version's range */
    double weight;  /* finite, >= 0; importance / keep probability */
    int64_t time;   /* event time of the impression */
    const float *x; /* dimension features; NULL for models without */
    double offset;  /* lr: added to the score while learning, not while serving: -ln r where negatives are kept with
                     * probability r; finite */
    uint64_t item;  /* embedding: draw_key() of the document, of which its first vector is drawn */
};

/* What a correction changes: the same impression, first learned as `before`, is really `after`. Times agree. */
struct correction {
    struct example before, after;
};

/* What a reader gets to see of a block. Models over features: of a sample whose features are all 0, which is the base
 * rate where there is an intercept. */
struct belief {
    double mean, variance, lower, upper; /* of the expected reward; lower..upper is the central 95 % interval */
    uint64_t positives, negatives;       /* raw, undecayed samples; positive: a reward of 1/2 or more */
    int64_t updated_at;                  /* newest event time learned; 0: none */
};

/* The cheap part of it, for Pulls without statistics. */
struct summary {
    uint64_t samples;   /* learned, raw */
    int64_t updated_at; /* as in struct belief */
    uint64_t repairs;   /* how often a guard had to step in; models without: 0 */
};

/* The belief about one candidate with its features. */
struct score {
    double mean, variance; /* of the score: log-odds (lr) or the reward (linear) */
    double expected;       /* reward */
};

/* What is foretold of the reward of a candidate, its noise included: Student's t. */
struct predictive {
    double mean, scale, freedom;
};

/* One draw of the score, for Thompson sampling; z: standard normal, the caller's. */
static inline double score_draw(const struct score *s, double z) { return s->mean + sqrt(s->variance) * z; }

/* Room for a copy of one block, or of its values: small ones lie on the stack, larger ones are allocated. */
struct block_copy {
    uint64_t small[MODEL_BLOCK_SMALL / 8];
    void *large; /* NULL: small */
};

struct value_name {
    char text[48];
};

struct model {
    const char *name;
    bool takes_offset; /* learns from negatives that were down-sampled by an offset, not by a weight */

    /* Values per document in a Pull, and what they are called. */
    uint32_t (*width)(const struct model_config *config);
    void (*value_name)(const struct model_config *config, uint32_t value, struct value_name *out);

    /* TM_INVALID_ARGUMENT names what is wrong in the configuration. */
    enum tm_code (*check)(const struct model_config *config, struct tm_error *err);
    size_t (*block_size)(const struct model_config *config);
    void (*init)(const struct model_config *config, void *block);

    /* May this sample be learned? TM_INVALID_ARGUMENT names the field that forbids it (NaN, out of range). Whoever
     * takes samples from outside asks first: learn and correct CHECK it. */
    enum tm_code (*takes)(const struct model_config *config, const struct example *sample, struct tm_error *err);

    /* Fold count samples in, all of one document: in order, or as one batch where the model says so. */
    void (*learn)(const struct model_config *config, void *block, const struct example *samples, size_t count);

    /* Take `before` out and put `after` in, as if `after` had been learned at first (lr: as nearly as its header
     * says). */
    void (*correct)(const struct model_config *config, void *block, const struct correction *change);

    /* The rewards it takes; others are cut to the nearest of them before they are learned. */
    void (*rewards)(const struct model_config *config, double *low, double *high);

    /* Take a learned sample out, as if it had never been learned. NULL: the model cannot. */
    void (*retract)(const struct model_config *config, void *block, const struct example *sample);

    /* The width values a predictor computes with, as of event time `now` (forgetting applied up to it). NULL block:
     * prior. */
    void (*values)(const struct model_config *config, const void *block, int64_t now, double *out);
    /* The same for one candidate; NULL: a model without features. x is taken as it is: guard it like a sample's. */
    void (*score)(const struct model_config *config, const void *block, const float *x, int64_t now, struct score *out);
    /* Mean and variance of it alone, which is all that a policy compares; `expected` is left as it is. */
    void (*locate)(const struct model_config *config, const void *block, const float *x, int64_t now,
                   struct score *out);
    /* For validation, of a model whose rewards are no probabilities; NULL: they are, or it cannot tell. */
    void (*predict)(const struct model_config *config, const void *block, const float *x, int64_t now,
                    struct predictive *out);
    /* The expected reward as of `now`. NULL block: prior. NULL: a model over features, whose score() says it. */
    double (*mean)(const struct model_config *config, const void *block, int64_t now);
    void (*summarise)(const struct model_config *config, const void *block, struct summary *out);
    void (*describe)(const struct model_config *config, const void *block, int64_t now, struct belief *out);

    /* A score drawn from the belief as of `now`: what Thompson sampling compares candidates by. NULL block: prior.
     * NULL: a model over features, of which score_draw() draws. */
    double (*draw)(const struct model_config *config, const void *block, int64_t now, struct draw *stream);

    /* False: the block holds something that no sequence of samples could have made (NaN, negative counts). */
    bool (*valid)(const struct model_config *config, const void *block);

    /* Documents that come and go: what whoever keeps the blocks does about it says learner/embedding.h. NULL: every
     * document is learned from its first sample on, and stays. A block of zeros that saw nothing is neither. */
    bool (*admitted)(const void *block);
    bool (*expired)(const struct model_config *config, const void *block, int64_t now);
};

static inline bool model_uses_features(const struct model *model) { return model->score != NULL; }

/* Is there something to be read in the block as of `now`? Else it reads as the prior. */
static inline bool model_knows(const struct model *model, const struct model_config *config, const void *block,
                               int64_t now)
{
    return !model->admitted || (model->admitted(block) && !model->expired(config, block, now));
}

static inline uint32_t model_weights(const struct model_config *config)
{
    return config->dimension + config->intercept;
}

/* size bytes, not zeroed, until block_copy_close(). Open a copy where it is declared: closing one that was never opened
 * is undefined. */
static inline void *block_copy_open(struct block_copy *copy, size_t size)
{
    copy->large = size > sizeof copy->small ? mem_grow(NULL, 1, size) : NULL;
    return copy->large ? copy->large : copy->small;
}
void block_copy_close(struct block_copy *copy);

/* What the model expects of a candidate; x: its features, NULL for a model without. NULL block: prior. */
double model_expected(const struct model *model, const struct model_config *config, const void *block, const float *x,
                      int64_t now);

/* decay_per_ms of a half-life; 0 (never forgets) for 0. */
double model_decay(double half_life_ms);

/* The models a version can be configured with; NULL: no such model. */
const struct model *model_find(struct bytes name);
/* model->rewards of a model that takes the unit interval. */
void model_unit_rewards(const struct model_config *config, double *low, double *high);
/* The form of it that the configuration asks for: lr has two. */
const struct model *model_form(const struct model *model, const struct model_config *config);
/* What no version chooses: the intercept, and the ranges of features and rewards. */
void model_fix(const struct model *model, struct model_config *config);
/* All names in one line, for messages. */
const char *model_names(void);

#endif
