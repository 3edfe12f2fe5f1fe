#include "learner/draw.h"

#include <math.h>

/* Every expression here has a twin in python/tidemill/draws.py, with its operations in the same order. */

#define LN2_HIGH 0x1.62e42fee00000p-1 /* ends in zeros: its product with an exponent is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33

static const double shape_min = 1e-100;
static const double exp_min = -745.2; /* below it is 0 */

/* ---- functions ---- */

/* ln x of a normal positive x, within 2 ulp: x = 2^k m, and ln m = 2 artanh(s) with s = (m - 1) / (m + 1), |s| < 0.172.
 * The nine terms behind the first are summed in pairs of pairs, which is faster than one after the other; the tenth is
 * below 2^-55 of the sum. */
static double log_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    /* The exponent that leaves m in [sqrt(1/2), sqrt(2)): the added bits carry where the fraction is that large. */
    int64_t k = (int64_t)((bits + UINT64_C(0x00095f619980c433)) >> 52) - 1023;
    bits -= (uint64_t)k << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    double f = m - 1, s = f / (2 + f), z = s * s, z2 = z * z, z4 = z2 * z2;
    double q0 = (2.0 / 3 + 2.0 / 5 * z) + (2.0 / 7 + 2.0 / 9 * z) * z2;
    double q1 = (2.0 / 11 + 2.0 / 13 * z) + (2.0 / 15 + 2.0 / 17 * z) * z2;
    double rest = s * z * (q0 + q1 * z4 + 2.0 / 19 * (z4 * z4));
    return (double)k * LN2_HIGH + (2 * s + (rest + (double)k * LN2_LOW));
}

/* e^x of x <= 0, within 2 ulp: x = k ln 2 + r, |r| < 0.35, and the Taylor polynomial of r. */
static double exp_of(double x)
{
    if (x < exp_min)
        return 0;
    double k = floor(x / M_LN2 + 0.5), r = (x - k * LN2_HIGH) - k * LN2_LOW, sum = 0;
    for (int n = 13; n > 1; n--)
        sum = (sum + 1) * r / n;
    return ldexp(1 + (r + r * sum), (int)k);
}

/* ---- bits ---- */

uint64_t draw_key(struct bytes text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a; draw_begin does the mixing */
    for (size_t i = 0; i < text.size; i++)
        h = (h ^ text.data[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t next(struct draw *d) { return draw_mix(d->state += DRAW_STEP); }

/* ---- variables ---- */

/* 52 bits: with 53, the largest would round to 1. */
double draw_uniform(struct draw *d) { return ((double)(next(d) >> 12) + 0.5) * 0x1p-52; }

/* One number for both uniforms: 32 bits each shape the density to 2^-30. */
double draw_normal(struct draw *d)
{
    for (;;) {
        uint64_t bits = next(d);
        double u = ((double)(bits >> 32) + 0.5) * 0x1p-32, half = ((double)(bits & UINT32_MAX) + 0.5) * 0x1p-32;
        double v = 1.7156 * (half - 0.5), x = u - 0.449871, y = fabs(v) + 0.386595;
        double q = x * x + y * (0.196 * y - 0.25472 * x);
        if (q < 0.27597 || (q <= 0.27846 && v * v <= -4 * (u * u) * log_of(u)))
            return v / u;
    }
}

/* Gamma(shape, 1), shape >= 1. */
static double gamma_large(struct draw *d, double shape)
{
    double third = shape - 1.0 / 3, c = 1 / sqrt(9 * third);
    for (;;) {
        double z = draw_normal(d), t = 1 + c * z;
        if (t <= 0)
            continue;
        double v = t * t * t, u = draw_uniform(d), square = z * z;
        if (u < 1 - 0.0331 * (square * square) || log_of(u) < 0.5 * square + third * ((1 - v) + log_of(v)))
            return third * v;
    }
}

/* A Gamma(shape, 1) variable, as a factor and the logarithm of another. */
struct gamma {
    double factor, log_factor;
};

static struct gamma gamma_any(struct draw *d, double shape)
{
    if (shape >= 1)
        return (struct gamma){gamma_large(d, shape), 0};
    double tiny = shape < shape_min ? shape_min : shape, factor = gamma_large(d, shape + 1);
    return (struct gamma){factor, log_of(draw_uniform(d)) / tiny};
}

double draw_beta(struct draw *d, double a, double b)
{
    struct gamma x = gamma_any(d, a), y = gamma_any(d, b);
    return (log_of(x.factor / y.factor) + x.log_factor) - y.log_factor;
}

double draw_probability(double score)
{
    double e = exp_of(-fabs(score));
    return (score < 0 ? e : 1) / (1 + e);
}

double draw_log(double x) { return log_of(x); }

double draw_exp(double x) { return exp_of(x); }
