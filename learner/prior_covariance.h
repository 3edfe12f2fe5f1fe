/* learner/prior_covariance.h - is a matrix a covariance that weights can begin with? And its inverse.
 *
 * A prior that is nearly singular says that a weight is known from the others; then a document could never learn it,
 * and rounding would decide its sign. So every weight keeps PRIOR_VARIANCE_LEFT of its variance when those before it
 * are known: a pivot of the correlations' Cholesky factor, which does not depend on the features' scales.
 * Shapes   packed by rows (learner/packed.h), n <= MODEL_FULL_MAX. Memory: the caller's, and 34 KiB of stack.
 * Threads  any. */
#ifndef TIDEMILL_LEARNER_PRIOR_COVARIANCE_H
#define TIDEMILL_LEARNER_PRIOR_COVARIANCE_H

#include <stdint.h>

#include "base/error.h"

#define PRIOR_VARIANCE_LEFT 1e-10

/* TM_INVALID_ARGUMENT names the element that is no number or too large beside its variances, or the weight that those
 * before it decide. */
enum tm_code prior_covariance_check(const double *covariance, uint32_t n, struct tm_error *err);

/* What passes the check has an inverse; that of anything else is all zeros. */
void prior_covariance_invert(const double *covariance, uint32_t n, double *precision);

#endif
