/* learner/packed.h - symmetric matrices as the lower triangle, packed by rows: a[i (i + 1) / 2 + j], j <= i.
 *
 * Packed storage is symmetric whatever is rounded, and half the bytes.
 * Shapes   n <= MODEL_FULL_MAX; vectors of n. Memory: the caller's. */
#ifndef TIDEMILL_LEARNER_PACKED_H
#define TIDEMILL_LEARNER_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t packed_size(uint32_t n) { return n * (n + 1) / 2; }
static inline uint32_t packed_at(uint32_t i, uint32_t j) { return i * (i + 1) / 2 + j; } /* j <= i */
static inline uint32_t packed_diagonal(uint32_t i) { return packed_at(i, i); }

/* out := a x */
void packed_multiply(const double *a, const double *x, uint32_t n, double *out);

/* a += c x x' */
void packed_add_square(double *a, double c, const double *x, uint32_t n);

/* a := its diagonal. */
void packed_drop_covariances(double *a, uint32_t n);

/* Finite, a positive diagonal, and no element larger than a positive definite matrix can have beside it. O(n^2). */
bool packed_plausible(const double *a, uint32_t n);

#endif
