/* bench/bandit.h - small worlds in which regret can be counted, because the true rates are known: ranked by
 * learner/policy.h, learned by model_beta. Shared by bench_regret and tests/unit/policy_test.c.
 *
 * Regret   sum over rounds of (rate of the best document - rate of the one that was shown).
 * Seeds    equal arguments give equal results; what happens to the documents (their rates, when they are replaced) does
 *          not depend on what the policy did, so runs with one seed can be compared pairwise.
 * Threads  any. */
#ifndef TIDEMILL_BENCH_BANDIT_H
#define TIDEMILL_BENCH_BANDIT_H

#include "learner/policy.h"

/* ---- feedback in batches: documents come and go, and what was shown is learned every `batch` rounds ---- */

struct batch_world {
    struct policy policy;
    uint32_t documents, batch;
    uint64_t rounds, seed;
    double rate_shape[2]; /* Beta that their rates come from; the belief begins at Beta(1, 1) */
    const double *rates;  /* the first ones instead, one per document; NULL: drawn */
    double replaced;      /* probability a round that one of them, any, is replaced by a new one */
};

double batch_world_regret(const struct batch_world *w);

/* What no consistent policy stays below as the rounds grow, when nothing is replaced: this times ln(rounds) (Lai and
 * Robbins, "Asymptotically efficient adaptive allocation rules", 1985). */
double regret_bound(const double *rates, uint32_t documents);

/* ---- late clicks: the label is fixed `window` rounds after the impression ---- */

enum late_rule {
    LATE_RETRACT, /* a click behind the window takes the negative back: the correction of a sample */
    LATE_ADD,     /* it is added as a positive, the negative stays */
    LATE_DROP,    /* it is lost */
    LATE_RULES
};

enum { LATE_POINTS = 100 }; /* of a curve */

struct late_world {
    enum late_rule rule;
    uint32_t documents;
    uint32_t window, mean_delay; /* rounds; delays are exponential */
    uint64_t rounds, seed;
    double rate_shape[2]; /* of the rates, and the prior */
};

struct late_result {
    double regret;
    double calibration;     /* sum of served means over sum of true rates */
    struct late_point {     /* after each hundredth of the rounds */
        double regret;      /* so far */
        double calibration; /* of this hundredth */
    } curve[LATE_POINTS];
};

void late_world_run(const struct late_world *w, struct late_result *out);

#endif
