/* learner/lr_full.h - logistic regression with a covariance for every pair of weights: at most 64, one pass.
 *
 * Learning  sample by sample in the order given, each by moment matching (learner/moment_match.h): with u = S x,
 *           m += alpha u and S -= beta u u'. Nothing is stored of a sample. Against the true posterior (tests/unit/
 *           posterior_test.c) the mean is off by 0.11 sd, the sd by 6 %.
 * Forgetting towards the prior, in event time, in steps of 1/64 of the half-life: within a step nothing fades, between
 *           steps S^-1 becomes g S^-1 + (1 - g) S0^-1 and its product with the mean likewise, g = 2^(-steps / 64). So a
 *           busy document pays for a factorisation once a step, not with every sample (a share is off by 1.1 % at most,
 *           equally for all samples of a step). A sample behind the block's time counts with the share that a sample of
 *           its step has left.
 * Repairs   counted in the head: a pivot, or what an update would leave of a variance, is not positive. Then the
 *           covariances are dropped, the variances kept, and it goes on.
 * Correction see learner/lr.h. Values: the mean, then the covariance packed by rows (learner/packed.h). */
#ifndef TIDEMILL_LEARNER_LR_FULL_H
#define TIDEMILL_LEARNER_LR_FULL_H

#include "learner/features.h"

struct lr_full_block {
    struct block_head head;
    double value[]; /* mean: n; covariance: n (n + 1) / 2 */
};

#endif
