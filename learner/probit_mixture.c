#include "learner/probit_mixture.h"

#include <math.h>

#include "base/check.h"

#define INV_SQRT_2PI 0.39894228040143267794

/* clang-format off */
static const struct {
    double share, slope; /* p_i, s_i */
} probits[] = {
    {0.003246343272134, 1.365340806296348}, {0.051517477033972, 1.059523971016916},
    {0.195077912673858, 0.830791313765644}, {0.315569823632818, 0.650732166639391},
    {0.274149576158423, 0.508135425366489}, {0.131076880695470, 0.396313345166341},
    {0.027912418727972, 0.308904252267995}, {0.001449567805354, 0.238212616409306},
};
/* clang-format on */

/* Farther out the logistic is an exponential (the relative error is that of 1 / (1 + e^a)), while the mixture falls
 * like a normal: 2e-4 too low at -12, 12 % at -18. */
static const double tail_begins = -9;
/* An observation leaves at least this share of the variance, so that no difference cancels to the last digit. */
static const double variance_kept = 1e-6;

/* Is most of the normal in the exponential tail, also when it is tilted by e^a (which moves its mean by v)? Half a
 * standard deviation of distance gives the smallest error on both sides of the border. */
static bool in_tail(double m, double v) { return m + v + 0.5 * sqrt(v) < tail_begins; }

static double normal_cdf(double t) { return 0.5 * erfc(-t * M_SQRT1_2); }

double probit_mixture_mean(double m, double v)
{
    double sum = 0;
    if (in_tail(m, v))
        return exp(m + 0.5 * v);
    if (in_tail(-m, v))
        return 1 - exp(-m + 0.5 * v);
    for (size_t i = 0; i < ARRAY_LEN(probits); i++) {
        double s = probits[i].slope;
        sum += probits[i].share * normal_cdf(m * s / sqrt(1 + s * s * v));
    }
    return sum;
}

struct tilt probit_mixture_tilt(double m, double v, bool positive)
{
    double sign = positive ? 1 : -1, z = 0, first = 0, second = 0;
    if (in_tail(sign * m, v))
        return (struct tilt){sign, 0};
    for (size_t i = 0; i < ARRAY_LEN(probits); i++) {
        double s = probits[i].slope, k = s / sqrt(1 + s * s * v), t = k * sign * m;
        double density = probits[i].share * k * (INV_SQRT_2PI * exp(-0.5 * t * t));
        z += probits[i].share * normal_cdf(t);
        first += density;
        second -= density * k * t;
    }
    double ratio = first / z, beta = ratio * ratio - second / z;
    double most = fmin(0.25, (1 - variance_kept) / v);
    return (struct tilt){sign * fmin(ratio, 1), fmin(fmax(beta, 0), most)};
}
