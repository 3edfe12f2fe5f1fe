/* learner/model.h - what a model is: pure functions over a parameter block of fixed size.
 *
 * Shapes   a block is model->block_size(config) bytes, a multiple of 8, with no padding bytes that are not zero: the
 *          same belief is the same bytes (promise E2), and the digest of a version hashes them as they are.
 * Units    times are event time, ms since 1970 UTC. Rewards and weights carry no unit.
 * Memory   blocks are the caller's. Nothing here allocates, reads a clock or locks.
 * Threads  any, on different blocks. */
#ifndef TIDEMILL_LEARNER_MODEL_H
#define TIDEMILL_LEARNER_MODEL_H

#include "base/bytes.h"
#include "base/error.h"
#include "learner/draw.h"

enum {
    MODEL_PRIOR_MAX = 8,
    MODEL_BLOCK_MAX = 4096, /* bytes; a block is copied on the stack while it is learned */
};

/* How one version wants its model; fixed for the life of the version. */
struct model_config {
    double prior[MODEL_PRIOR_MAX]; /* beta: a0, b0, both > 0 */
    uint32_t prior_count;
    double decay_per_ms; /* lambda = ln 2 / half-life in ms; 0 never forgets */
};

/* One labelled sample as the learner sees it. */
struct example {
    double reward; /* beta: 0 or 1, fractions allowed between */
    double weight; /* finite, >= 0; importance / keep probability */
    int64_t time;  /* event time of the impression */
};

/* What a correction changes: the same impression, first learned as `before`, is really `after`. Times agree. */
struct correction {
    struct example before, after;
};

/* What a reader gets to see of a block. */
struct belief {
    double mean, variance, lower, upper; /* of the expected reward; lower..upper is the central 95 % interval */
    uint64_t positives, negatives;       /* raw, undecayed samples */
    int64_t updated_at;                  /* newest event time learned; 0: none */
};

/* The cheap part of it, for Pulls without statistics. */
struct summary {
    uint64_t samples;   /* learned, raw */
    int64_t updated_at; /* as in struct belief */
};

struct model {
    const char *name;
    uint32_t width;                 /* values per document in a Pull */
    const char *const *value_names; /* width of them */

    /* TM_INVALID_ARGUMENT names what is wrong in the prior or the forgetting. */
    enum tm_code (*check)(const struct model_config *config, struct tm_error *err);
    size_t (*block_size)(const struct model_config *config);
    void (*init)(const struct model_config *config, void *block);

    /* Fold count samples in, in order. */
    void (*learn)(const struct model_config *config, void *block, const struct example *samples, size_t count);

    /* Take `before` out and put `after` in, as if `after` had been learned at first. */
    void (*correct)(const struct model_config *config, void *block, const struct correction *change);

    /* The width values a predictor computes with, as of event time `now` (forgetting applied up to it). NULL block:
     * prior. */
    void (*values)(const struct model_config *config, const void *block, int64_t now, double *out);
    void (*summarise)(const struct model_config *config, const void *block, struct summary *out);
    void (*describe)(const struct model_config *config, const void *block, int64_t now, struct belief *out);

    /* A score drawn from the belief as of `now`: what Thompson sampling compares candidates by. NULL block: prior. */
    double (*draw)(const struct model_config *config, const void *block, int64_t now, struct draw *stream);

    /* False: the block holds something that no sequence of samples could have made (NaN, negative counts). */
    bool (*valid)(const struct model_config *config, const void *block);
};

/* decay_per_ms of a half-life; 0 (never forgets) for 0. */
double model_decay(double half_life_ms);

/* NULL: no such model. */
const struct model *model_find(struct bytes name);
/* All names in one line, for messages: "beta". */
const char *model_names(void);

#endif
