/* learner/draw.h - seeded draws for Thompson sampling, the same bits everywhere.
 *
 * A stream of numbers is named by (seed, version, item): of one request, for one version, about one candidate. It is a
 * function of its name and a counter, so draws do not depend on the order in which candidates are asked for, or on
 * threads, and whoever has the name can repeat them; python/tidemill/draws.py does. Two items of one seed and version
 * never share a stream: each step of the naming is a bijection.
 *
 * Space    scores: the logit ln(p / (1 - p)) of a probability. Candidates are compared there, because probabilities of
 *          tiny shapes all round to 0 or 1. draw_probability() brings a score back.
 * Bits     only +, -, *, / and square roots of doubles, in a fixed order, never fused (CMakeLists.txt sees to it), and
 *          own logarithm and exponential: no two libms agree in the last bit. tests/golden/draws.txt holds both
 *          languages to it.
 * Memory   a stream is a value; nothing is allocated.
 * Threads  a stream belongs to one thread.
 * Sources  bits: SplitMix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
 *          normals: Leva, "A fast normal random number generator", ACM TOMS 18 (1992), Algorithm 712.
 *          gammas: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000), with
 *          their U^(1/a) for shapes below 1, taken as a logarithm, because it underflows below a = 0.01. */
#ifndef TIDEMILL_LEARNER_DRAW_H
#define TIDEMILL_LEARNER_DRAW_H

#include "base/bytes.h"

#define DRAW_STEP UINT64_C(0x9e3779b97f4a7c15) /* odd, 2^64 over the golden ratio */

struct draw {
    uint64_t state; /* number i of the stream is draw_mix(first state + i DRAW_STEP), i from 1 */
};

static inline uint64_t draw_mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline struct draw draw_begin(uint64_t seed, uint32_t version, uint64_t item)
{
    uint64_t state = draw_mix(seed + DRAW_STEP);
    state = draw_mix((state ^ version) + DRAW_STEP);
    return (struct draw){draw_mix((state ^ item) + DRAW_STEP)};
}

/* The same in two steps, for many items of one seed and version. */
static inline uint64_t draw_family(uint64_t seed, uint32_t version)
{
    return draw_mix((draw_mix(seed + DRAW_STEP) ^ version) + DRAW_STEP);
}
static inline struct draw draw_of_family(uint64_t family, uint64_t item)
{
    return (struct draw){draw_mix((family ^ item) + DRAW_STEP)};
}

/* The number that a text stands for as a seed (a request id) or an item (a document). */
uint64_t draw_key(struct bytes text);

double draw_uniform(struct draw *d); /* in (0, 1), both excluded: odd multiples of 2^-53 */
double draw_normal(struct draw *d);  /* mean 0, variance 1 */

/* The logit of a Beta(a, b) variable. a, b > 0 and finite; shapes below 1e-100 are drawn as 1e-100. Finite. */
double draw_beta(struct draw *d, double a, double b);

/* The same draws of n streams at once, bit for bit, in half the time: what is common is worked out for all, and the few
 * that are rejected at first go on by themselves. Streams of one call are different objects. */
void draw_normals(struct draw *d, uint32_t n, double *out);
void draw_betas(struct draw *d, const double *a, const double *b, uint32_t n, double *out);

/* The probability of a score; 0 or 1 where nothing else is near. */
double draw_probability(double score);

/* Within 2 ulp, and the same bits everywhere: ln x of a normal positive x, and e^x of x <= 0. */
double draw_log(double x);
double draw_exp(double x);

#endif
