#include "learner/moment_match.h"

#include <math.h>

/* Sites seen from the prior N(m, v): their sum. `pull` is nu - tau m, which does not cancel where nu and tau m do. */
struct sites {
    double tau, pull;
};

/* What the sites so far make of the prior. */
static double mean_after(const struct sites *s, double m, double v) { return m + v * s->pull / (1 + s->tau * v); }
static double variance_after(const struct sites *s, double v) { return v / (1 + s->tau * v); }

/* A part of the site of one label, as N(mean, variance) sees it; m is the prior's mean. */
static void add_part(struct sites *s, double m, double mean, double variance, bool positive, double part)
{
    struct tilt t = probit_mixture_tilt(mean, variance, positive);
    double tau = t.beta / (1 - t.beta * variance), pull = t.alpha * (1 + tau * variance);
    s->pull += part * (pull + tau * (mean - m));
    s->tau += part * tau;
}

struct tilt moment_match(double m, double v, double reward, double weight)
{
    struct sites s = {0};
    int steps = (int)fmin(ceil(weight), MOMENT_MATCH_STEPS);
    for (int i = 0; i < steps; i++) {
        double mean = mean_after(&s, m, v), variance = variance_after(&s, v);
        if (reward > 0)
            add_part(&s, m, mean, variance, true, reward * weight / steps);
        if (reward < 1)
            add_part(&s, m, mean, variance, false, (1 - reward) * weight / steps);
    }
    return (struct tilt){s.pull / (1 + s.tau * v), s.tau / (1 + s.tau * v)};
}
