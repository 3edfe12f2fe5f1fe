/* learner/draw_parts.h - the formulas of learner/draw.h, for draws one by one and for many at once. Only draw*.c and
 * its test include it.
 *
 * Every expression here has a twin in python/tidemill/draws.py, with its operations in the same order. Whole numbers
 * below 2^52 become doubles by their bits, which is exact like a conversion, and can be done for several at once. */
#ifndef TIDEMILL_LEARNER_DRAW_PARTS_H
#define TIDEMILL_LEARNER_DRAW_PARTS_H

#include <math.h>

#include "learner/draw.h"

#define LN2_HIGH 0x1.62e42fee00000p-1 /* ends in zeros: its product with an exponent is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define DRAW_SHAPE_MIN 1e-100

static inline double draw_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t draw_bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* (double)n of n < 2^52: as the fraction of a double whose last bit counts 1. */
static inline double draw_whole(uint64_t n) { return draw_from_bits(n | UINT64_C(0x4330000000000000)) - 0x1p52; }

/* ln x of a normal positive x, within 2 ulp: x = 2^k m, and ln m = 2 artanh(s) with s = (m - 1) / (m + 1), |s| < 0.172.
 * The nine terms behind the first are summed in pairs of pairs, which is faster than one after the other; the tenth is
 * below 2^-55 of the sum. */
static inline double draw_log_of(double x)
{
    uint64_t bits = draw_bits_of(x);
    /* The exponent that leaves m in [sqrt(1/2), sqrt(2)): the added bits carry where the fraction is that large. */
    uint64_t biased = (bits + UINT64_C(0x00095f619980c433)) >> 52;
    double k = draw_whole(biased) - 1023, m = draw_from_bits(bits - (biased << 52) + (UINT64_C(1023) << 52));
    double f = m - 1, s = f / (2 + f), z = s * s, z2 = z * z, z4 = z2 * z2;
    double q0 = (2.0 / 3 + 2.0 / 5 * z) + (2.0 / 7 + 2.0 / 9 * z) * z2;
    double q1 = (2.0 / 11 + 2.0 / 13 * z) + (2.0 / 15 + 2.0 / 17 * z) * z2;
    double rest = s * z * (q0 + q1 * z4 + 2.0 / 19 * (z4 * z4));
    return k * LN2_HIGH + (2 * s + (rest + k * LN2_LOW));
}

static inline uint64_t draw_next(struct draw *d) { return draw_mix(d->state += DRAW_STEP); }

/* 52 bits: with 53, the largest would round to 1. */
static inline double draw_unit(uint64_t bits) { return (draw_whole(bits >> 12) + 0.5) * 0x1p-52; }

/* A candidate of Leva's for a normal: v / u. One number for both uniforms: 32 bits each shape the density to 2^-30. */
#define DRAW_LEVA_OPEN 0.27846 /* beyond it a candidate is rejected, whatever its logarithm */
struct draw_leva {
    double u, v, q;
};

static inline struct draw_leva draw_leva_of(uint64_t bits)
{
    double u = (draw_whole(bits >> 32) + 0.5) * 0x1p-32, half = (draw_whole(bits & UINT32_MAX) + 0.5) * 0x1p-32;
    double v = 1.7156 * (half - 0.5), x = u - 0.449871, y = fabs(v) + 0.386595;
    return (struct draw_leva){u, v, x * x + y * (0.196 * y - 0.25472 * x)};
}

static inline bool draw_leva_clear(double q) { return q < 0.27597; }
static inline bool draw_leva_accepts(const struct draw_leva *x)
{
    return draw_leva_clear(x->q) || (x->q <= DRAW_LEVA_OPEN && x->v * x->v <= -4 * (x->u * x->u) * draw_log_of(x->u));
}

/* Marsaglia and Tsang's constants of a shape >= 1, and the test that most candidates pass. */
static inline double draw_gamma_third(double shape) { return shape - 1.0 / 3; }
static inline double draw_gamma_scale(double third) { return 1 / sqrt(9 * third); }
static inline bool draw_gamma_clear(double u, double square) { return u < 1 - 0.0331 * (square * square); }

/* Go on from the normal z: that one, or those that follow it in the stream. */
double draw_gamma_from(struct draw *d, double third, double c, double z);

/* The logarithm of what makes a Gamma(shape) of a Gamma(shape + 1), shape < 1. */
static inline double draw_gamma_small(struct draw *d, double shape)
{
    return draw_log_of(draw_unit(draw_next(d))) / (shape < DRAW_SHAPE_MIN ? DRAW_SHAPE_MIN : shape);
}

/* draw_normals() and draw_betas() on a processor without wide registers: the same bits. */
void draw_normals_plain(struct draw *d, uint32_t n, double *out);
void draw_betas_plain(struct draw *d, const double *a, const double *b, uint32_t n, double *out);

#endif
