/* learner/laplace.h - the mode of a batch of logistic observations under independent normal priors, and its curvature.
 *
 * Minimises  1/2 sum_i q_i d_i^2 + sum_j c_j (ln(1 + e^a_j) - y_j a_j),  a_j = a0_j + x_j'd
 * over the step d from the prior's mean; a0_j is the score at that mean, offset included.
 * Method   Newton with step halving (Armijo; without it Newton does not always arrive), its systems solved by conjugate
 *          gradients with a diagonal preconditioner, only as exactly as the step deserves. Memory and time stay linear
 *          in the features: no n x n or B x B matrix. At n = 32 one product with the Hessian costs 11 ns a sample,
 *          forming the Hessian with dsyrk 55 ns and factoring it 20 to 40 ns more.
 * Bound    50 iterations of at most 256 products, each 4 n count flops; 10 to 20 products in all are what it takes.
 * Sources  O. Chapelle, L. Li, "An empirical evaluation of Thompson sampling" (2011), algorithm 3; J. Nocedal, S.
 *          Wright, "Numerical Optimization" (2006), algorithm 7.1 (inexact Newton with line search).
 * Memory   takes 8 (6 n + 9 count) bytes and gives them back before it returns. */
#ifndef TIDEMILL_LEARNER_LAPLACE_H
#define TIDEMILL_LEARNER_LAPLACE_H

#include "learner/model.h"

struct laplace_problem {
    const struct model_config *config;
    const double *precision; /* q: n, all > 0 */
    const struct example *samples;
    const double *mean;   /* n */
    const double *weight; /* c: count, all >= 0: what forgetting and the samples' own weights leave */
    size_t count;
};

/* step: d, n; curvature: sum_j c_j p_j (1 - p_j) x_ij^2 at the mode, n. False: 50 iterations did not end (then the
 * objective is lower than at the prior's mean, and the curvature is that of where it stands). */
bool laplace_solve(const struct laplace_problem *problem, double *step, double *curvature);

#endif
