#include "learner/blas.h"

#include <cblas.h>

#include "base/check.h"

/* LAPACK as OpenBLAS exports it: Fortran, so everything is a pointer and matrices go by columns. The lower triangle by
 * rows is the upper one by columns. */
int dpotrf_(const char *triangle, const int *n, double *a, const int *stride, int *info);
int dpotri_(const char *triangle, const int *n, double *a, const int *stride, int *info);

/* What OpenBLAS itself does in front of a fork; its serial build has no such function. */
extern int blas_thread_shutdown_(void) __attribute__((weak));

/* Its threads are there as soon as it is loaded, before main() can block a signal: one of them would take a SIGTERM
 * that the server waits for, and the process would just end. */
__attribute__((constructor)) static void hold_to_one_thread(void)
{
    openblas_set_num_threads(1);
    if (blas_thread_shutdown_)
        blas_thread_shutdown_();
}

enum tm_code blas_check(struct tm_error *err)
{
    if (openblas_get_parallel() == OPENBLAS_SEQUENTIAL)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "%s: the serial build is not safe under threads; install libopenblas0-pthread",
                            openblas_get_config());
    return TM_OK;
}

bool blas_factor(double *a, uint32_t n)
{
    int order = (int)n, info;
    dpotrf_("U", &order, a, &order, &info);
    return info == 0;
}

void blas_solve_lower(const double *c, double *b, uint32_t n)
{
    int order = (int)n;
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, order, order, 1, c, order, b, order);
}

void blas_solve(const double *c, double *x, uint32_t n)
{
    int order = (int)n;
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, order, c, order, x, 1);
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, order, c, order, x, 1);
}

void blas_add_product(double alpha, double *a, double beta, const double *b, uint32_t n)
{
    int order = (int)n;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, order, order, beta, b, order, alpha, a, order);
}

bool blas_invert(double *a, uint32_t n)
{
    double square[BLAS_MAX * BLAS_MAX];
    int order = (int)n, info;
    CHECK(n > 0 && n <= BLAS_MAX);
    const double *from = a;
    for (uint32_t i = 0; i < n; from += ++i)
        for (uint32_t j = 0; j <= i; j++)
            square[i * n + j] = from[j];
    if (!blas_factor(square, n))
        return false;
    dpotri_("U", &order, square, &order, &info);
    if (info != 0)
        return false;
    for (uint32_t i = 0; i < n; a += ++i)
        for (uint32_t j = 0; j <= i; j++)
            a[j] = square[i * n + j];
    return true;
}
