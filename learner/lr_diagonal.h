/* learner/lr_diagonal.h - logistic regression with a variance for every weight: up to 4,096, by batches.
 *
 * Learning  what one call of learn brings is one batch: the mean moves to the mode of prior times likelihoods, each
 *           precision grows by its diagonal curvature there (Laplace; Chapelle and Li 2011, algorithm 3). A batch of
 *           one is solved in its score alone, exactly. Beyond LR_DIAGONAL_BATCH samples a call is several batches, in
 *           order.
 * Forgetting towards the prior, in event time, exactly: q becomes g q + (1 - g) q0 and q m likewise, g = e^(-lambda
 *           dt), up to the newest time of the batch; samples behind it count with what is left of them.
 * Repairs   counted in the head: a batch whose Newton iterations did not end; it stands where they stopped.
 * Correction see learner/lr.h. Values: the mean, then the variance of each weight. */
#ifndef TIDEMILL_LEARNER_LR_DIAGONAL_H
#define TIDEMILL_LEARNER_LR_DIAGONAL_H

#include "learner/features.h"

enum { LR_DIAGONAL_BATCH = 4096 };

struct lr_diagonal_block {
    struct block_head head;
    double value[]; /* mean: n; precision: n */
};

#endif
