/* learner/probit_mixture.h - the logistic function under a normal: the integrals of Bayesian logistic regression.
 *
 * The logistic is approximated by a mixture of eight probits, sum p_i Phi(s_i a), off by 2.1e-9 at most; under a normal
 * every probit integrates in closed form, and so do its derivatives in m.
 * Sources  J. Monahan, L. Stefanski, "Normal scale mixture approximations to F*(z) and computation of the
 *          logistic-normal integral", in: Handbook of the Logistic Distribution (1992), table for k = 8. The moments of
 *          the tilted normal from the derivatives of ln Z: T. Minka, "A family of algorithms for approximate Bayesian
 *          inference" (2001), section 3.2 (assumed-density filtering).
 * Units    scores are log-odds. Arguments: m finite, v >= 0 and finite. */
#ifndef TIDEMILL_LEARNER_PROBIT_MIXTURE_H
#define TIDEMILL_LEARNER_PROBIT_MIXTURE_H

#include <stdbool.h>

/* E[logistic(a)], a ~ N(m, v): the probability of a positive, nothing sampled. Absolute error below 1e-8; relative
 * below 3e-4 for v <= 4, and 4 % for v = 25 at its worst (log-odds of -36). */
double probit_mixture_mean(double m, double v);

/* What one observation does to a ~ N(m, v): the mean becomes m + v alpha, the variance v - v^2 beta. With
 * Z = E[p(label | a)], alpha = Z' / Z and beta = alpha^2 - Z'' / Z. Error of each below 3e-4 for v <= 4, 2e-3 for v =
 * 9, 1e-2 for v = 25, all of it about the border of the tail. */
struct tilt {
    double alpha, beta; /* |alpha| <= 1; 0 <= beta <= 1/4 and beta v < 1 */
};
struct tilt probit_mixture_tilt(double m, double v, bool positive);

#endif
