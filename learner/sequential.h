/* learner/sequential.h - intervals and tests that may be looked at any time: peeking does not make them lie.
 *
 * A fixed-sample 95 % interval that is looked at after every batch excludes the truth sooner or later nearly always.
 * These hold for all sample sizes at once: with probability 1 - alpha the truth is never outside, however often
 * somebody looks, and whenever they stop.
 *
 * Interval  of one mean (of an outcome, or of a difference of units): asymptotic, so it wants some tens of units first;
 *           tightest about `tuned` of them.
 * Test      of a difference of two means after n units in each arm: mixture sequential probability ratio test (mSPRT)
 *           with a normal mixture N(0, tau^2) over the difference, tau about the lift that is hoped for.
 * Caution   both want independent units. What one arm of a learning policy earns is not: use means of users or
 *           stretches of time, and compare traffic buckets, not documents.
 * Sources   interval: Waudby-Smith et al., "Time-uniform central limit theory and asymptotic confidence sequences",
 *           Annals of Statistics 52 (2024), as A/B platforms use it. mSPRT: Johari, Koomen, Pekelis, Walsh, "Always
 *           valid inference", Operations Research 70 (2022).
 * Threads   any: pure functions. */
#ifndef TIDEMILL_LEARNER_SEQUENTIAL_H
#define TIDEMILL_LEARNER_SEQUENTIAL_H

#define SEQUENTIAL_TUNED 5000.0 /* units: where an interval is tightest unless the caller knows better */

/* Half the width of the interval about the mean of n > 0 units with standard deviation sd of one unit. alpha in (0, 1),
 * tuned > 0. */
double sequential_half_width(double sd, double n, double alpha, double tuned);

/* ln of the likelihood ratio: n > 0 units in each arm, variance > 0 of the difference of two units (the sum of the
 * arms' variances), difference of the means, tau > 0. */
double msprt_log_ratio(double n, double variance, double difference, double tau);

/* Half the width of the interval that the test gives. */
double msprt_half_width(double n, double variance, double tau, double alpha);

/* The p-value that may be looked at any time: p_before is the last one, 1 at first. */
double msprt_p_value(double p_before, double log_ratio);

#endif
