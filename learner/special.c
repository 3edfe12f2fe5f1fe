#include "learner/special.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#define LN_SQRT_2PI 0.91893853320467274178

enum {
    FRACTION_STEPS_MAX = 1 << 20, /* a = b = 1e12 takes a tenth of it */
    QUANTILE_STEPS_MAX = 200,     /* bisection alone halves 691 to the last bit in 63 */
};

static const double quantile_min = 1e-300;
/* From here on the Cornish-Fisher expansion is good to 1e-10, and the fraction slow. */
static const double shape_large = 1e7;

/* ln Gamma(z) - ((z - 1/2) ln z - z + ln sqrt(2 pi)): what Stirling's formula leaves out (DLMF 5.11.1). */
static double stirling_rest(double z)
{
    if (z < 16) {
        int sign;
        return lgamma_r(z, &sign) - ((z - 0.5) * log(z) - z + LN_SQRT_2PI);
    }
    double r = 1 / (z * z);
    return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r / 1188)))) / z;
}

/* ln(1 + u) - u for |u| <= 1/2, without the cancellation: with r = u / (2 + u), ln(1 + u) = 2 artanh(r). */
static double log1p_minus(double u)
{
    double r = u / (2 + u), square = r * r, power = 1, sum = 0;
    for (int k = 3; power > DBL_EPSILON / 8; k += 2) { /* r <= 1/3: at most 18 terms */
        sum += power / k;
        power *= square;
    }
    return r * (2 * square * sum - u);
}

/* shape * (ln(1 + u) - u) where 1 + u = ratio; each is given by whoever knows it best. */
static double deviance(double shape, double u, double ratio)
{
    return shape * (fabs(u) <= 0.5 ? log1p_minus(u) : log(ratio) - u);
}

/* ln(x^a y^b / B(a, b)), y = 1 - x. Written around the mean (Loader's saddle point form): with logarithms of Gamma one
 * would lose seven digits at a = b = 1e6, and with ln y as many. */
static double log_front(double a, double b, double x, double y)
{
    double n = a + b, lost = fmin(a, b) - (n - fmax(a, b)); /* n + lost is the exact sum */
    double distance = fma(x, n, -a) + x * lost;             /* of x from the mean a / n, times n */
    return deviance(a, distance / a, x * (n / a)) + deviance(b, -distance / b, y * (n / b)) + 0.5 * log(a / n * b) -
           LN_SQRT_2PI + stirling_rest(n) - stirling_rest(a) - stirling_rest(b);
}

static double away_from_zero(double v) { return fabs(v) < DBL_MIN ? DBL_MIN : v; }

/* The h of I_x(a, b) = x^a y^b / (a B(a, b)) * h, DLMF 8.17.22 by the modified Lentz method.
 * Wants x <= (a + 1) / (a + b + 2). */
static double fraction(double a, double b, double x)
{
    double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), h = d;
    for (int step = 1; step < FRACTION_STEPS_MAX; step++) {
        double m = step, even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / away_from_zero(1 + even * d);
        c = away_from_zero(1 + even / c);
        h *= d * c;
        d = 1 / away_from_zero(1 + odd * d);
        c = away_from_zero(1 + odd / c);
        h *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON)
            break;
    }
    return h;
}

/* The side of x on which the fraction converges fast, and the logarithm of its probability. */
struct tail {
    bool upper;
    double log_mass;
};

static struct tail tail_at(double a, double b, double x, double y, double front)
{
    if (x <= (a + 1) / (a + b + 2))
        return (struct tail){false, front + log(fraction(a, b, x) / a)};
    return (struct tail){true, front + log(fraction(b, a, y) / b)};
}

double beta_cdf(double a, double b, double x)
{
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    struct tail t = tail_at(a, b, x, 1 - x, log_front(a, b, x, 1 - x));
    return t.upper ? -expm1(fmin(t.log_mass, 0)) : exp(fmin(t.log_mass, 0));
}

static double log_cdf(double a, double b, double x, double front)
{
    struct tail t = tail_at(a, b, x, 1 - x, front);
    return t.upper ? log(-expm1(fmin(t.log_mass, 0))) : t.log_mass;
}

/* The z with P(Z <= z) = p: Abramowitz and Stegun 26.2.23 (good to 4.5e-4), then Newton. */
static double normal_quantile(double p)
{
    if (p > 0.5)
        return -normal_quantile(1 - p);
    double t = sqrt(-2 * log(p));
    double z = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
    for (int step = 0; step < 3; step++)
        z -= (0.5 * erfc(-z * M_SQRT1_2) - p) / exp(-0.5 * z * z - LN_SQRT_2PI);
    return z;
}

/* ln(x / (1 - x)) of the quantile for large shapes. The logit of a Beta variable is the difference of two log-Gamma
 * variables; its first three cumulants go into the Cornish-Fisher expansion. */
static double logit_quantile(double a, double b, double p)
{
    double mean = log(a / b) - 0.5 / a + 0.5 / b;
    double variance = (1 + 0.5 / a) / a + (1 + 0.5 / b) / b;
    double third = 1 / (b * b) - 1 / (a * a), z = normal_quantile(p);
    return mean + sqrt(variance) * z + third / variance * (z * z - 1) / 6;
}

/* ln x from cdf = x^a / (a B(a, b)), true for small x. */
static double power_law_quantile(double a, double b, double p)
{
    int sign;
    return (log(p) + lgamma_r(a + 1, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign)) / a;
}

/* The quantile, known to lie in (0, 1/2]: Newton for ln cdf as a function of ln x, which is nearly a line where shapes
 * are tiny and nearly a parabola where they are large; a step out of the bracket becomes a bisection. */
static double quantile_low(double a, double b, double p)
{
    double low = log(quantile_min), high = -M_LN2, target = log(p);
    double at = a > 1 && b > 1 ? -log1p(exp(-logit_quantile(a, b, p))) : power_law_quantile(a, b, p);
    if (!(at > low && at < high))
        at = 0.5 * (low + high);
    for (int step = 0; step < QUANTILE_STEPS_MAX; step++) {
        double x = exp(at), front = log_front(a, b, x, 1 - x), value = log_cdf(a, b, x, front);
        if (value < target)
            low = at;
        else
            high = at;
        double next = at - (value - target) * exp(value - front) * (1 - x);
        if (!(next > low && next < high))
            next = 0.5 * (low + high);
        if (fabs(next - at) <= 8 * DBL_EPSILON * fmax(1, fabs(at)))
            return exp(next);
        at = next;
    }
    return exp(at);
}

double beta_quantile(double a, double b, double p)
{
    if (p <= 0)
        return 0;
    if (p >= 1)
        return 1;
    if (fmin(a, b) > shape_large)
        return 1 / (1 + exp(-logit_quantile(a, b, p)));
    if (p > beta_cdf(a, b, 0.5))
        return 1 - (beta_cdf(b, a, quantile_min) >= 1 - p ? 0 : quantile_low(b, a, 1 - p));
    return beta_cdf(a, b, quantile_min) >= p ? 0 : quantile_low(a, b, p);
}

/* The asymptotic series are good to the last bits from here on. */
static const double series_from = 12;

double digamma(double x)
{
    double shift = 0;
    for (; x < series_from; x++)
        shift += 1 / x;
    double r = 1 / (x * x);
    double rest =
        r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132 - r * 691.0 / 32760)))));
    return log(x) - 0.5 / x - rest - shift;
}

double trigamma(double x)
{
    double shift = 0;
    for (; x < series_from; x++)
        shift += 1 / (x * x);
    double r = 1 / (x * x);
    double rest = r * (1.0 / 6 - r * (1.0 / 30 - r * (1.0 / 42 - r * (1.0 / 30 - r * (5.0 / 66 - r * 691.0 / 2730)))));
    return (1 + 0.5 / x + rest) / x + shift;
}
