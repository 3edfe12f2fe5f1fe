/* learner/beta.h - Beta-Bernoulli: how often does this document succeed, and how sure are we?
 *
 * Posterior Beta(a0 + s, b0 + f). s and f are weighted sums of successes and failures at the reference time T (the
 * newest event time learned): a sample of weight w at time t contributes w * exp(-lambda (T - t)), also when it arrives
 * behind T. Forgetting decays towards the prior, not towards zero. A correction subtracts what the first label
 * contributed: exact, because the sums are linear. Without forgetting and with whole weights, every value is an integer
 * and every order of samples gives the same bits.
 * Source: conjugacy of Beta and Bernoulli (any textbook); discounting as in Russo et al., "A Tutorial on Thompson
 * Sampling", section 6.3, kept apart from the prior. */
#ifndef TIDEMILL_LEARNER_BETA_H
#define TIDEMILL_LEARNER_BETA_H

#include "learner/model.h"

struct beta_block {
    double s, f;                   /* weighted, decayed to `time`; prior not included */
    int64_t time;                  /* T; 0 before the first sample */
    uint32_t positives, negatives; /* raw; stick at UINT32_MAX */
};
static_assert(sizeof(struct beta_block) == 32, "the block is hashed and stored as it lies in memory");

extern const struct model model_beta;

#endif
