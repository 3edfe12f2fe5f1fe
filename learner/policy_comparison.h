/* learner/policy_comparison.h - two policies that were served side by side, compared from both logs: what each earned,
 * and what each would have earned where the other was served (learner/off_policy.h).
 *
 * Action     a document at a position. What a target would have done is one probability per action: the logged
 *            propensity, if all samples of each action of its log have the same one (and there are
 *            POLICY_REPEATS samples an action, so that this says something); else how often its log shows the document
 *            at the position, of all it shows there. Both hold for policies that do not look at the context; of one
 *            that does they describe the mean over contexts, and the estimate is that of a policy that draws from it.
 *            The frequencies' own error is not in the estimates' errors. Where what a target would have done in each
 *            request is known, policy_estimate_of_requests() takes the place of the estimate.
 * DR         q of an action is the mean reward that it had in the log in use, drawn to the mean of its position by
 *            POLICY_SHRINKAGE samples of that; q of the target is its mean over the target's probabilities.
 * Intervals  95 %: by the normal distribution, for one look; and of learner/sequential.h, for any number of looks.
 * Refused    an estimate from a log in which more than POLICY_UNTOLD of the samples, or of what they earned, has no
 *            propensity: left out, samples that earned more than others would move the estimate. Up to that they are.
 * Sampling   `times`: how many samples one stands for, 1 / keep under negative sampling. Errors do not know that the
 *            others were drawn: they are a little small there.
 * Bounds     POLICY_ACTIONS_MAX actions of both logs together, about 60 MB.
 * Memory     owns its actions. Threads: one owner; pure. */
#ifndef TIDEMILL_LEARNER_POLICY_COMPARISON_H
#define TIDEMILL_LEARNER_POLICY_COMPARISON_H

#include "base/hash.h"
#include "learner/off_policy_requests.h"

enum {
    POLICY_ACTIONS_MAX = 1 << 18,
    POLICY_REPEATS = 10,
    POLICY_SHRINKAGE = 100,
    POLICY_EFFECTIVE_MIN = 100, /* below, an estimate says next to nothing */
};
#define POLICY_UNTOLD 0.01 /* share of the samples, and of the sum of their rewards' sizes */
#define POLICY_ALPHA 0.05

struct policy_decision {
    struct bytes doc;
    int32_t position;  /* any number that means one; samples without a position share one */
    double propensity; /* in (0, 1]; 0: not told */
    double reward;     /* finite */
    double times;      /* > 0 */
};

/* What one log says of an action. */
struct policy_shown {
    struct off_policy_action told; /* the samples that have a propensity */
    double times, reward;          /* all samples; sum of their rewards */
    double propensity_min, propensity_max;
};

struct policy_action {
    struct hash128 doc;
    int32_t position;
    struct policy_shown log[2];
    double mean[2]; /* reward of a sample at the position, of each log; set by policy_comparison_seal() */
};

struct policy_log {
    uint64_t samples, untold; /* untold: without a propensity */
    double times;
    struct off_policy_sum reward;
    double size, untold_size; /* sum of |reward|, and of those without a propensity */
    bool fixed;               /* every action has one propensity */
};

struct policy_comparison {
    struct policy_action *action;
    uint32_t *slot; /* open addressing: index + 1 of an action; 0: free */
    uint32_t actions, slots;
    struct policy_log log[2];
    bool sealed;
};

void policy_comparison_close(struct policy_comparison *c); /* {0} is an empty one */
/* log: 0 or 1. TM_RESOURCE_EXHAUSTED: too many actions. */
enum tm_code policy_comparison_add(struct policy_comparison *c, int log, const struct policy_decision *d,
                                   struct tm_error *err);

struct policy_interval {
    double value, error;                                 /* error: standard error */
    double lower, upper, any_time_lower, any_time_upper; /* NaN of fewer than two samples */
};

/* The value of one policy from the log of the other. */
struct policy_estimate {
    bool refused; /* too much without a propensity: nothing that follows is set */
    struct policy_interval ips, snips, dr, weight;
    struct off_policy_report report;
    bool little; /* the effective size is below POLICY_EFFECTIVE_MIN */
};

struct policy_comparison_report {
    struct policy_interval mean[2];     /* of each log */
    struct policy_interval difference;  /* mean[1] - mean[0] */
    struct policy_estimate estimate[2]; /* [i]: of policy i from the log of the other */
    bool from_propensities[2];          /* whether policy i is described by its propensities, or by frequencies */
};

/* Sorts the actions; nothing can be added behind it. */
void policy_comparison_seal(struct policy_comparison *c);
/* q of DR: the reward that the log lets expect of a document at a position that it has. */
double policy_comparison_expected(const struct policy_comparison *c, int log, struct hash128 doc, int32_t position);

/* Of a log without a sample: its mean and the difference are NaN, the estimate from it is refused. */
void policy_comparison_report(struct policy_comparison *c, struct policy_comparison_report *out);

/* The same figures of decisions whose target is known request by request. */
void policy_estimate_of_requests(const struct off_policy_requests *o, struct policy_estimate *out);

#endif
