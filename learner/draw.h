/* learner/draw.h - seeded draws for Thompson sampling, the same bits everywhere.
 *
 * A stream of numbers is named by (seed, version, item): of one request, for one version, about one candidate. It has
 * no state but its name and a counter, so draws do not depend on the order in which candidates are asked for, or on
 * threads, and whoever has the name can repeat them; python/tidemill/draws.py does.
 *
 * Space    scores: the logit ln(p / (1 - p)) of a probability. Candidates are compared there, because probabilities of
 *          tiny shapes all round to 0 or 1. draw_probability() brings a score back.
 * Bits     only +, -, *, / and square roots of doubles, in a fixed order, never fused (CMakeLists.txt sees to it), and
 *          own logarithm and exponential: no two libms agree in the last bit. tests/golden/draws.txt holds both
 *          languages to it.
 * Memory   a stream is a value; nothing is allocated.
 * Threads  a stream belongs to one thread.
 * Sources  bits: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 *          normals: Leva, "A fast normal random number generator", ACM TOMS 18 (1992), Algorithm 712.
 *          gammas: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000), with
 *          their U^(1/a) for shapes below 1, taken as a logarithm, because it underflows below a = 0.01. */
#ifndef TIDEMILL_LEARNER_DRAW_H
#define TIDEMILL_LEARNER_DRAW_H

#include "base/bytes.h"

struct draw {
    uint64_t seed, item;
    uint32_t version, block; /* the next one of 2^32, each of two numbers */
    uint64_t spare;
    bool has_spare;
};

static inline struct draw draw_begin(uint64_t seed, uint32_t version, uint64_t item)
{
    return (struct draw){.seed = seed, .item = item, .version = version};
}

/* The number that a text stands for as a seed (a request id) or an item (a document). */
uint64_t draw_key(struct bytes text);

double draw_uniform(struct draw *d); /* in (0, 1), both excluded: odd multiples of 2^-53 */
double draw_normal(struct draw *d);  /* mean 0, variance 1 */

/* The logit of a Beta(a, b) variable. a, b > 0 and finite; shapes below 1e-100 are drawn as 1e-100. Finite. */
double draw_beta(struct draw *d, double a, double b);

/* The probability of a score; 0 or 1 where nothing else is near. */
double draw_probability(double score);

#endif
