/* learner/special.h - the special functions that libm lacks.
 *
 * Sources  incomplete beta: continued fraction, DLMF 8.17.22 (modified Lentz); quantile: safeguarded Newton on it;
 *          derivatives of ln Gamma: recurrence up to 12, then DLMF 5.11.2 and its derivative.
 * Errors   arguments are the caller's promise: a, b > 0 and finite, 0 <= x, p <= 1. */
#ifndef TIDEMILL_LEARNER_SPECIAL_H
#define TIDEMILL_LEARNER_SPECIAL_H

/* Regularised incomplete beta function I_x(a, b): P(X <= x) for X ~ Beta(a, b). Relative error below 1e-12 for a, b <=
 * 1e6. */
double beta_cdf(double a, double b, double x);

/* The x with beta_cdf(a, b, x) = p. Relative error below 1e-9; values below 1e-300 are given as 0. */
double beta_quantile(double a, double b, double p);

/* Derivatives of ln Gamma(x), x > 0. Relative error below 1e-13 (digamma: absolute near its zero, 1.46). */
double digamma(double x);
double trigamma(double x);

#endif
