/* learner/blas.h - the only door to OpenBLAS: factorisations, which it wins.
 *
 * Cholesky and inverse together, ns a call, one core, against own packed loops of the same size: 950 : 500 at n = 8,
 * 7,400 : 13,000 at 32, 43,000 : 62,000 at 64. Products and rank-one updates are own loops (learner/vector.h).
 * Shapes   symmetric matrices: the lower triangle, packed by rows: a[i (i + 1) / 2 + j], j <= i. n <= BLAS_MAX.
 * Threads  any number may call. OpenBLAS itself is held to one thread from the moment it is loaded: small matrices only
 *          lose by more, and equal inputs give equal bits on one machine.
 * Memory   n x n doubles on the stack (32 KiB at most). */
#ifndef TIDEMILL_LEARNER_BLAS_H
#define TIDEMILL_LEARNER_BLAS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { BLAS_MAX = 64 };

/* TM_FAILED_PRECONDITION: the OpenBLAS that is installed gives wrong results when several threads call it (its serial
 * build does, silently). */
enum tm_code blas_check(struct tm_error *err);

/* a := its inverse. False: a has a pivot that is not positive (or is not a number), and is as it was. */
bool blas_invert(double *a, uint32_t n);

#endif
