/* learner/blas.h - the only door to OpenBLAS: factorisations and what needs n^3 steps, which it wins.
 *
 * ns a call, one core: a Cholesky factor 250 at n = 8, 2,200 at 32, 15,000 at 64 (own loops: 160, 4,400, 21,000), the
 * inverse by it 950, 7,400, 43,000 in all (LAPACK's packed routines: 1,350, 12,600, 67,000). Products of a matrix and a
 * vector and rank-one updates are own loops (learner/vector.h), and so is what an encoder multiplies (learner/dense.h).
 * Shapes   square matrices: n x n by rows, n <= BLAS_MAX. Packed ones: learner/packed.h. Others are named.
 * Threads  any number may call. OpenBLAS itself is held to one thread from the moment it is loaded, and those that it
 *          began are ended: small matrices only lose by more, equal inputs give equal bits on one machine, and no
 *          thread is there that main() did not start.
 * Memory   the caller's; blas_invert has a square matrix on its stack (33 KiB at most). */
#ifndef TIDEMILL_LEARNER_BLAS_H
#define TIDEMILL_LEARNER_BLAS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { BLAS_MAX = 65 };

/* TM_FAILED_PRECONDITION: the OpenBLAS that is installed gives wrong results when several threads call it (its serial
 * build does, silently). */
enum tm_code blas_check(struct tm_error *err);

/* Square a: the lower triangle becomes the C with C C' = a; the upper one is neither read nor written. False: a pivot
 * is not positive (or is not a number), and a is spoilt. */
bool blas_factor(double *a, uint32_t n);

/* Square b := C^-1 b. */
void blas_solve_lower(const double *c, double *b, uint32_t n);
/* x := (C C')^-1 x */
void blas_solve(const double *c, double *x, uint32_t n);

/* Square a, its lower triangle: a := alpha a + beta b'b */
void blas_add_product(double alpha, double *a, double beta, const double *b, uint32_t n);

/* Packed a := its inverse. False: as blas_factor, and a is as it was. */
bool blas_invert(double *a, uint32_t n);

#endif
