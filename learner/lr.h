/* learner/lr.h - Bayesian logistic regression: P(y = 1) = logistic(w'x + offset), belief about w: a normal.
 *
 * What its two forms share: model_lr_full (a covariance for every pair of weights, learned one sample at a time) and
 * model_lr_diagonal (a variance for every weight, learned by batches).
 * Correction  the label of a learned sample is flipped without its being taken out. Seen from a fixed point w, a
 *          sample's approximate likelihood adds x x' c h to the precision, whatever its label, and x c (y - p + h x'w)
 *          to precision times mean (p = logistic(x'w), h = p (1 - p)). So at the mean of today the gradient of `before`
 *          is exchanged for that of `after`: mean += covariance (c1 (y1 - p1) x1 - c0 (y0 - p0) x0), each contribution
 *          with what time has left of it. With equal features, weight and offset p drops out: c (y1 - y0) covariance x,
 *          which flips of other samples commute with; the curvature stays that of `before`. Nothing needs to be stored
 *          of a sample, and no covariance can lose its sign. With other features the curvature is exchanged, too, in
 *          front of the step: the precision gains c1 h1 x1 x1' and loses c0 h0 x0 x0', but full no more than leaves the
 *          old score half of its precision, diagonal none that the prior gave. In the batch form a flip equals a linear
 *          term in the objective of the next batch: -r'w added to half q (w - m)^2 moves m to m + r / q, and that can
 *          be done at once.
 * Error    of flips, against a refit with the right labels, n = 8, three of ten positives 150 samples late (tests/unit/
 *          lr_correction_test.c): full 0.18 nats after 300 samples and 0.04 after 2,000, positives foretold 4 % and 1 %
 *          too many; diagonal 0.9 and 0.45 nats, 12 % and 3 %. Without corrections 5.8 and 32 nats, 26 % and 30 % too
 *          few.
 *          Of other features, as excess log-loss over the true weights, n = 6, three features of three in ten samples
 *          150 samples late (late_features_test.c): mended 0.0014, in time 0.0014, never mended 0.0030; diagonal
 *          0.0022, 0.0020 and 0.0044.
 * Taking out  a sample is exchanged for nothing: mean -= covariance c0 (y0 - p0) x0. Its curvature stays, so what is
 *          taken out and learned again gives its certainty twice, its label once.
 * Bound    a correction moves the score of its sample by LR_SHIFT_MAX at most.
 * Offset   counts while learning, not in scores or values.
 * Source   of the flip: for Laplace sites nu = y - p + h a and tau = h; a change of y changes nu by 1, tau by 0. */
#ifndef TIDEMILL_LEARNER_LR_H
#define TIDEMILL_LEARNER_LR_H

#include "learner/features.h"

#define LR_SHIFT_MAX 8.0
#define LR_OFFSET_MAX 50.0

extern const struct model model_lr_full, model_lr_diagonal;

/* The one of config->covariance. */
const struct model *lr_model(const struct model_config *config);

/* Without overflow or cancellation for any a. */
double lr_logistic(double a);
double lr_curvature(double a); /* p (1 - p) */

/* The same from e = exp(-|a|), for who needs both. */
static inline double lr_logistic_of(double a, double e) { return (a >= 0 ? 1 : e) / (1 + e); }
static inline double lr_curvature_of(double e) { return e / ((1 + e) * (1 + e)); }

enum tm_code lr_takes(const struct model_config *config, const struct example *sample, struct tm_error *err);

bool lr_same_features(const struct model_config *config, const struct correction *change);

/* The gradient that a correction adds, n of them, at the weights `mean`. */
void lr_exchange(const struct model_config *config, const double *mean, const struct correction *change,
                 double *gradient);
/* How much of a step of the mean is taken, so that no score of the correction moves farther than LR_SHIFT_MAX. */
double lr_limit(const struct model_config *config, const struct correction *change, const double *step);

/* The probability of a positive, for a score ~ N(mean, variance). */
double lr_expected(const struct score *s);
struct belief lr_belief(const struct block_head *head, double mean, double variance); /* head may be NULL */

#endif
