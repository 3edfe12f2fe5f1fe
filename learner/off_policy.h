/* learner/off_policy.h - what would another policy have earned? Estimates from the log of the one that was served.
 *
 * Of every logged decision: the probability with which the served policy took the action (its propensity), the one
 * with which the other policy, the target, would have, and the reward. w = target / propensity; v = min(w, clip).
 *   IPS    mean of v r: unbiased without clipping, if the propensities are right and none is 0 where the target is not.
 *   SNIPS  sum of v r over sum of v: slightly biased, far less variance.
 *   DR     mean of q(target) + v (r - q(action)), q a model of the reward: unbiased if either q or w is right.
 * Whether the log can tell at all is said beside them: the effective sample size, the largest weight, the share of
 * weights that were clipped, and the mean of w, which is 1 up to chance whenever the propensities are right and cover
 * the target.
 *
 * Actions  decisions of one action may be summed up while the target is not known yet: off_policy_add_action.
 * Merging  sums of logs are added; their order changes the last bits only.
 * Memory   a flat value, {0} plus a clip: off_policy_start.
 * Threads  one owner.
 * Use      the shell adds a decision where its label is final, or takes the old one out by a correction: see
 *          off_policy_correct.
 * Sources  formulas as in the Open Bandit Pipeline (Saito et al., NeurIPS Datasets 2021): IPS r min(w, clip), SNIPS
 *          r w / mean(w) and DR q + w (r - q(action)); with a clip, v takes the place of w in all three. Effective
 *          sample size: Kish, "Survey sampling" (1965). DR: Dudik, Langford, Li, ICML 2011. Standard error of a ratio:
 *          the delta method. */
#ifndef TIDEMILL_LEARNER_OFF_POLICY_H
#define TIDEMILL_LEARNER_OFF_POLICY_H

#include <math.h>

#include "base/bytes.h"
#include "base/error.h"

/* One logged decision. */
struct decision {
    double propensity; /* of the served policy; in (0, 1] */
    double target;     /* probability of the same action under the other policy; in [0, 1] */
    double reward;     /* finite */
    double expected_target,
        expected_action; /* q: of the reward, averaged over the target's actions, and of this action;
                                                finite; both 0 without a model, and then DR is IPS */
};

/* A mean and what its standard error needs. */
struct off_policy_sum {
    double first, second;
};

struct off_policy {
    double clip;               /* largest v; INFINITY: none */
    double decisions, clipped; /* counts; no whole numbers where decisions stand for others: off_policy_add_action */
    double weight_max;
    struct off_policy_sum weight, kept, reward, doubly; /* w, v, v r, DR's */
    double kept_reward;                                 /* sum of v v r: of the covariance of SNIPS */
};

void off_policy_start(struct off_policy *o, double clip); /* clip > 0 */

/* TM_INVALID_ARGUMENT names the field that is not what struct decision says; off_policy_add CHECKs it. */
enum tm_code off_policy_takes(const struct decision *d, struct tm_error *err);
void off_policy_add(struct off_policy *o, const struct decision *d);

/* Decisions that took the same action, summed up before the target is known: what all of them need to know of it is one
 * probability. `times`: how many decisions this one stands for, 1 / keep where only a share of them was kept. */
struct off_policy_action {
    double decisions;
    double inverse, inverse_second, inverse_max; /* 1 / propensity */
    double reward, reward_second, reward_cross;  /* r / propensity, its square, and r / propensity^2 */
};
void off_policy_action_add(struct off_policy_action *a, double propensity, double reward, double times);
/* As off_policy_add of each of them; up to rounding. Only without a clip. expected_...: as in struct decision. */
void off_policy_add_action(struct off_policy *o, const struct off_policy_action *a, double target,
                           double expected_target, double expected_action);

/* What was added as `before` has another reward: up to rounding as if it had been so at first. */
void off_policy_correct(struct off_policy *o, const struct decision *before, double reward);
void off_policy_merge(struct off_policy *into, const struct off_policy *other); /* of the same clip */

/* f64 clip, f64 decisions, f64 clipped, f64 weight_max, then first and second of the four sums, f64 kept_reward.
 * Decoding refuses (TM_DATA_LOSS) what encoding never writes. */
void off_policy_encode(const struct off_policy *o, struct buffer *out);
enum tm_code off_policy_decode(struct off_policy *o, struct reader *in, struct tm_error *err);

struct estimate {
    double value, error; /* error: standard error; for an interval that may be looked at any time see sequential.h */
};

/* NaN of nothing, errors NaN of fewer than two decisions. */
struct off_policy_report {
    struct estimate ips, snips, dr;
    struct estimate weight;       /* the mean of w */
    bool weight_plausible;        /* it is within 3 errors of 1 */
    double effective, weight_max; /* decisions that the weights are worth, before clipping: (sum w)^2 / sum w^2 */
    double clipped;               /* share of decisions */
};

void off_policy_report(const struct off_policy *o, struct off_policy_report *out);

#endif
