/* learner/vector.h - sums over features in one fixed order of additions, two lanes of two.
 *
 * Own loops, because they win where models work (n <= 64; ns a call, one core, against OpenBLAS 0.3.21): packed
 * symmetric times vector 37 : 97 at n = 8, 223 : 455 at 32, 1227 : 1942 at 64; rank-one update 16 : 38, 121 : 243,
 * 629 : 978. And the bits do not depend on which kernel a library picks for the processor.
 * Shapes   n elements each; the arrays do not overlap. No alignment beyond that of an element.
 * Precision features are float, everything computed is double. */
#ifndef TIDEMILL_LEARNER_VECTOR_H
#define TIDEMILL_LEARNER_VECTOR_H

#include <stdint.h>

typedef double vector_pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef float vector_float_pair __attribute__((vector_size(8), aligned(4), may_alias));

static inline vector_pair vector_at(const double *a) { return *(const vector_pair *)a; }

static inline vector_pair vector_widen(const float *a)
{
    return __builtin_convertvector(*(const vector_float_pair *)a, vector_pair);
}

static inline double vector_sum(vector_pair even, vector_pair odd) { return (even[0] + odd[0]) + (even[1] + odd[1]); }

static inline double vector_dot(const double *a, const double *b, uint32_t n)
{
    vector_pair even = {0, 0}, odd = {0, 0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        even += vector_at(a + i) * vector_at(b + i);
        odd += vector_at(a + i + 2) * vector_at(b + i + 2);
    }
    double sum = vector_sum(even, odd);
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* y += c x */
static inline void vector_add(double *restrict y, double c, const double *restrict x, uint32_t n)
{
    vector_pair factor = {c, c};
    uint32_t i = 0;
    for (; i + 2 <= n; i += 2)
        *(vector_pair *)(y + i) += factor * vector_at(x + i);
    for (; i < n; i++)
        y[i] += c * x[i];
}

/* The same with features. */
static inline double vector_dot_features(const float *x, const double *w, uint32_t n)
{
    vector_pair even = {0, 0}, odd = {0, 0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        even += vector_widen(x + i) * vector_at(w + i);
        odd += vector_widen(x + i + 2) * vector_at(w + i + 2);
    }
    double sum = vector_sum(even, odd);
    for (; i < n; i++)
        sum += (double)x[i] * w[i];
    return sum;
}

/* Of two rows of floats. */
static inline double vector_dot_floats(const float *a, const float *b, uint32_t n)
{
    vector_pair even = {0, 0}, odd = {0, 0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        even += vector_widen(a + i) * vector_widen(b + i);
        odd += vector_widen(a + i + 2) * vector_widen(b + i + 2);
    }
    double sum = vector_sum(even, odd);
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static inline void vector_add_features(double *restrict y, double c, const float *restrict x, uint32_t n)
{
    vector_pair factor = {c, c};
    uint32_t i = 0;
    for (; i + 2 <= n; i += 2)
        *(vector_pair *)(y + i) += factor * vector_widen(x + i);
    for (; i < n; i++)
        y[i] += c * (double)x[i];
}

/* y += c x^2, feature by feature. */
static inline void vector_add_squares(double *restrict y, double c, const float *restrict x, uint32_t n)
{
    vector_pair factor = {c, c};
    uint32_t i = 0;
    for (; i + 2 <= n; i += 2) {
        vector_pair wide = vector_widen(x + i);
        *(vector_pair *)(y + i) += factor * wide * wide;
    }
    for (; i < n; i++)
        y[i] += c * (double)x[i] * (double)x[i];
}

/* sum x^2 / q */
static inline double vector_sum_ratios(const float *x, const double *q, uint32_t n)
{
    vector_pair even = {0, 0}, odd = {0, 0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vector_pair first = vector_widen(x + i), second = vector_widen(x + i + 2);
        even += first * first / vector_at(q + i);
        odd += second * second / vector_at(q + i + 2);
    }
    double sum = vector_sum(even, odd);
    for (; i < n; i++)
        sum += (double)x[i] * (double)x[i] / q[i];
    return sum;
}

#endif
