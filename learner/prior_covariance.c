#include "learner/prior_covariance.h"

#include <math.h>
#include <string.h>

#include "learner/blas.h"
#include "learner/packed.h"

/* Square: the correlations, below the diagonal. */
static enum tm_code correlate(const double *covariance, uint32_t n, double *square, struct tm_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        double variance = covariance[packed_diagonal(i)];
        if (!(variance > 0 && isfinite(variance)))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "prior covariance[%u][%u]: %g is no variance above 0", i, i,
                                variance);
        for (uint32_t j = 0; j <= i; j++) {
            double c = covariance[packed_at(i, j)];
            square[i * n + j] = c / sqrt(variance) / sqrt(covariance[packed_diagonal(j)]);
            if (!(fabs(square[i * n + j]) <= 1 + PRIOR_VARIANCE_LEFT))
                return tm_error_set(err, TM_INVALID_ARGUMENT,
                                    "prior covariance[%u][%u]: %g is more than the sds of the two allow", i, j, c);
        }
    }
    return TM_OK;
}

enum tm_code prior_covariance_check(const double *covariance, uint32_t n, struct tm_error *err)
{
    double square[BLAS_MAX * BLAS_MAX];
    enum tm_code rc = correlate(covariance, n, square, err);
    if (rc != TM_OK)
        return rc;
    if (!blas_factor(square, n))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "prior covariance: it is not positive definite");
    for (uint32_t i = 0; i < n; i++) {
        double root = square[i * n + i];
        if (!(root * root >= PRIOR_VARIANCE_LEFT))
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "prior covariance: it is singular: the weights before weight %u leave %.2g of its "
                                "variance; expected at least %g",
                                i, root * root, PRIOR_VARIANCE_LEFT);
    }
    return TM_OK;
}

void prior_covariance_invert(const double *covariance, uint32_t n, double *precision)
{
    memcpy(precision, covariance, packed_size(n) * sizeof *precision);
    if (prior_covariance_check(covariance, n, NULL) != TM_OK || !blas_invert(precision, n))
        memset(precision, 0, packed_size(n) * sizeof *precision);
}
