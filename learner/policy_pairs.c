/* Of two candidates it is known without draws how often the first is ahead. */
#include "learner/policy.h"

/* Every expression here has a twin in python/tidemill/policy.py, with its operations in the same order. */

static const double term_min = 1e-290;
static const double erf_series_max = 2;
enum { ERF_TERMS = 40, ERF_LEVELS = 60 };

#define SQRT_PI 0x1.c5bf891b4ef6ap+0

/* erf(x), 0 <= x <= erf_series_max: 2 / sqrt(pi) e^(-x^2) sum of x (2 x^2)^n / (1 3 5 .. (2 n + 1)). */
static double erf_near(double x)
{
    double square = x * x, term = x, sum = x;
    for (int n = 1; n < ERF_TERMS; n++) {
        term = term * (2 * square) / (2 * n + 1);
        sum += term;
    }
    return 2 / SQRT_PI * draw_exp(-square) * sum;
}

/* erfc(x), x > erf_series_max: e^(-x^2) / sqrt(pi) / (x + 1/2 / (x + 2/2 / (x + 3/2 / (x + ..)))). */
static double erfc_far(double x)
{
    double below = x;
    for (int k = ERF_LEVELS; k > 0; k--)
        below = x + 0.5 * k / below;
    return draw_exp(-(x * x)) / SQRT_PI / below;
}

static double normal_cdf(double z)
{
    double x = fabs(z) * M_SQRT1_2;
    double tail = x <= erf_series_max ? 0.5 - 0.5 * erf_near(x) : 0.5 * erfc_far(x);
    return z < 0 ? tail : 1 - tail;
}

static bool whole(double x) { return x >= 1 && x <= POLICY_EXACT_SHAPES && floor(x) == x; }

/* P(X > Y) of X ~ Beta(a, b), Y ~ Beta(c, d), a and c whole: sum over i < a of B(c + i, b + d) / ((b + i) B(1 + i, b)
 * B(c, d)). Its first term is a product of c factors, each next one a ratio away. */
static double beta_beats(double a, double b, double c, double d)
{
    double term = 1, sum = 0;
    if (!whole(a) || !whole(c) || a + c > POLICY_EXACT_SHAPES)
        return NAN;
    for (int j = 0; j < (int)c; j++)
        term = term * ((d + j) / (b + d + j));
    if (term < term_min) /* the sum would be of what rounding left */
        return NAN;
    for (int i = 0; i < (int)a; i++) {
        sum += term;
        term = term * ((c + i) / (c + i + b + d)) * ((b + i) / (1 + i));
    }
    return sum < 1 ? sum : 1;
}

double policy_beats(const struct arm *first, const struct arm *second)
{
    if (first->family != second->family)
        return NAN;
    if (first->family == ARM_BETA)
        return beta_beats(first->a, first->b, second->a, second->b);
    double ahead = first->a - second->a, variance = first->b + second->b;
    if (variance > 0)
        return normal_cdf(ahead / sqrt(variance));
    return ahead > 0 ? 1 : ahead < 0 ? 0 : 0.5;
}
