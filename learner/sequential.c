#include "learner/sequential.h"

#include <math.h>

#include "base/check.h"

double sequential_half_width(double sd, double n, double alpha, double tuned)
{
    CHECK(n > 0 && alpha > 0 && alpha < 1 && tuned > 0);
    double bits = -2 * log(alpha), rho2 = (bits + log1p(bits)) / tuned, spread = n * rho2 + 1;
    return sd * sqrt(2 * spread / (n * n * rho2) * (0.5 * log(spread) - log(alpha)));
}

double msprt_log_ratio(double n, double variance, double difference, double tau)
{
    CHECK(n > 0 && variance > 0 && tau > 0);
    double mixed = variance + n * tau * tau, pull = n * tau * difference;
    return 0.5 * log(variance / mixed) + pull * pull / (2 * variance * mixed);
}

double msprt_half_width(double n, double variance, double tau, double alpha)
{
    CHECK(n > 0 && variance > 0 && tau > 0 && alpha > 0 && alpha < 1);
    double mixed = variance + n * tau * tau;
    return sqrt(variance * mixed * (log(mixed / variance) - 2 * log(alpha))) / (n * tau);
}

double msprt_p_value(double p_before, double log_ratio) { return fmin(p_before, exp(-log_ratio)); }
