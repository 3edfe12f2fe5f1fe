/* learner/linear.h - Bayesian linear regression: reward = w'x + noise, with a belief about the noise, too.
 *
 * Prior     w | s2 ~ N(m0, s2 V0 / noise_sd^2) and s2 ~ inverse gamma(noise_samples / 2, noise_samples noise_sd^2 / 2):
 *           conjugate, so the posterior is of the same form whatever the noise turns out to be. V0 is diagonal with the
 *           squares of prior_sd, which is thus the sd of a weight if the noise is as guessed; or prior_covariance.
 * Learning  sums over samples, of residuals r = y - m0'x (so that a large common mean of the rewards does not cancel
 *           digits): sum c, sum c r^2, sum c r x, sum c x x', c the sample's weight times what forgetting has left of
 *           it at the newest time learned. A correction subtracts what the first label added: exact, in any order. So
 *           is forgetting, towards the prior, in event time.
 * Reading   factors a matrix each time (7 us at n = 32). Scores and weights have Student's t with noise_samples + sum c
 *           degrees of freedom; variances are those of it. A pivot that is not positive (rounding after corrections):
 *           covariances are left out of that reading.
 * Values    the mean, the covariance packed by rows (learner/packed.h), the variance of the noise.
 * Source    A. Gelman et al., "Bayesian Data Analysis" (2013), section 14.2 and the informative prior of 14.8;
 *           C. Bishop, "Pattern Recognition and Machine Learning" (2006), section 3.3 and exercise 3.12. */
#ifndef TIDEMILL_LEARNER_LINEAR_H
#define TIDEMILL_LEARNER_LINEAR_H

#include "learner/features.h"

struct linear_block {
    struct block_head head;
    double weight;  /* sum c */
    double square;  /* sum c r^2 */
    double value[]; /* sum c r x: n; sum c x x': packed */
};

extern const struct model model_linear;

#endif
