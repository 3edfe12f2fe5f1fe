/* learner/validation_errors.h - how far predictions of a real-valued reward were off: the sums of a pane of
 * learner/validation.h, for versions whose rewards are no probabilities.
 *
 * What is foretold of a reward is Student's t: mean, scale, degrees of freedom (struct predictive of learner/model.h);
 * a score that was served is a mean alone, and is judged by its error alone.
 * Errors   squared and absolute distance of mean and reward.
 * Density  -ln of the foretold density at the reward, nats in the reward's own unit: the loss that punishes a wrong
 *          width, too. Proper, so a model cannot gain by telling another width than it believes.
 * Interval the central 95 % of what was foretold: how many rewards lay within.
 * Explained 1 - squared errors over the squared distances from the mean reward of the same samples: 0 is worth
 *          nothing, below it is worse than that mean, which nobody knew beforehand.
 * Sums     are whole numbers of 2^-20 (of `unit`, the version's noise_sd, or its square), so that taking out what was
 *          put in leaves nothing behind, in any order. A distance, or a reward, of more than ERROR_MOST units counts as
 *          that. Rounding: 2^-21 a sample at most. They are exact below 2^27 samples of the greatest weight.
 * Memory   the caller's; {0} is empty. Threads: pure. Pure functions of their arguments. */
#ifndef TIDEMILL_LEARNER_VALIDATION_ERRORS_H
#define TIDEMILL_LEARNER_VALIDATION_ERRORS_H

#include "base/bytes.h"

#define ERROR_MOST 0x1p30

typedef __int128 error_sum; /* 100 bits hold the greatest square, weighed */

struct error_sums {
    uint64_t samples;
    int64_t weight;
    error_sum squared, absolute, reward, reward_squared;
    int64_t foretold, covered; /* weights: of samples with a width; of those within the interval */
    error_sum density;
};

/* A prediction and what became of it; scale 0: no width was foretold. */
struct real_outcome {
    double mean, scale, freedom, reward, weight, unit;
};

/* What one outcome adds: a function of it alone. */
struct error_sums error_share(const struct real_outcome *o);
void error_sums_add(struct error_sums *to, const struct error_sums *from);
void error_sums_take(struct error_sums *from, const struct error_sums *what);

/* NaN where there is nothing to divide by. */
struct error_report {
    double mean_reward, squared, absolute, explained; /* means; squared in the reward's unit squared */
    double density, coverage;                         /* of the samples with a width */
};
struct error_report error_report(const struct error_sums *s, double unit);

void error_sums_encode(const struct error_sums *s, struct buffer *out);
void error_sums_decode(struct error_sums *s, struct reader *in); /* in->bad: it is not what was written */

#endif
