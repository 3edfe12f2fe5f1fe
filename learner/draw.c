#include "learner/draw_parts.h"

#include <math.h>

/* Every expression here has a twin in python/tidemill/draws.py, with its operations in the same order. */

static const double exp_min = -745.2; /* below it is 0 */

/* ---- functions ---- */

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

/* ---- variables ---- */

double draw_uniform(struct draw *d) { return draw_unit(draw_next(d)); }

double draw_normal(struct draw *d)
{
    for (;;) {
        struct draw_leva x = draw_leva_of(draw_next(d));
        if (draw_leva_accepts(&x))
            return x.v / x.u;
    }
}

double draw_gamma_from(struct draw *d, double third, double c, double z)
{
    for (;; z = draw_normal(d)) {
        double t = 1 + c * z;
        if (t <= 0)
            continue;
        double v = t * t * t, u = draw_uniform(d), square = z * z;
        if (draw_gamma_clear(u, square) || draw_log_of(u) < 0.5 * square + third * ((1 - v) + draw_log_of(v)))
            return third * v;
    }
}

/* Gamma(shape, 1), shape >= 1. */
static double gamma_large(struct draw *d, double shape)
{
    double third = draw_gamma_third(shape), c = draw_gamma_scale(third);
    return draw_gamma_from(d, third, c, draw_normal(d));
}

/* A Gamma(shape, 1) variable, as a factor and the logarithm of another. */
struct gamma {
    double factor, log_factor;
};

static struct gamma gamma_any(struct draw *d, double shape)
{
    if (shape >= 1)
        return (struct gamma){gamma_large(d, shape), 0};
    double factor = gamma_large(d, shape + 1);
    return (struct gamma){factor, draw_gamma_small(d, shape)};
}

double draw_beta(struct draw *d, double a, double b)
{
    struct gamma x = gamma_any(d, a), y = gamma_any(d, b);
    return (draw_log_of(x.factor / y.factor) + x.log_factor) - y.log_factor;
}

double draw_probability(double score)
{
    double e = exp_of(-fabs(score));
    return (score < 0 ? e : 1) / (1 + e);
}

double draw_log(double x) { return draw_log_of(x); }

double draw_exp(double x) { return exp_of(x); }
