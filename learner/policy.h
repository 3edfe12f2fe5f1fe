/* learner/policy.h - which candidate is shown first? Beliefs about candidates become a ranking, and the probability
 * with which it came out as it did.
 *
 * Scores   candidates are compared by log-odds (or by reward, for a linear model), the space of draw.h.
 *   Thompson  a draw of the belief: each candidate is first as often as it is believed to be the best.
 *   UCB       mean + width standard deviations. Of a Beta belief, those of its log-odds by the Laplace bridge:
 *             ln(a / b) and sqrt(1 / a + 1 / b).
 *   greedy    the mean: of a Beta belief a / (a + b), compared as its log-odds ln(a / b).
 * epsilon  with this probability the whole ranking is shuffled instead. It keeps every propensity at epsilon / n or
 *          above, so that weights of off_policy.h stay bounded; without it they cannot be relied on.
 * Ties     are broken by a number drawn for each candidate, never by order.
 * Propensity of a choice: the probability that this candidate comes to this place, over all seeds.
 *   UCB, greedy            exact: a candidate shares its places with those of the same score.
 *   Thompson, two          exact: of normals, Phi((m1 - m2) / sqrt(v1 + v2)); of Betas whose first shapes are whole
 *                          and sum to at most POLICY_EXACT_SHAPES, a finite sum.
 *   Thompson, otherwise    the share of `reranks` rankings with other seeds in which it came to this place, so with a
 *                          standard error of at most 1 / (2 sqrt(reranks)).
 * Bits     a ranking is a function of policy, seed, version, items and beliefs, whatever the order of the candidates
 *          (items are distinct); the same in C and Python (python/tidemill/policy.py; tests/golden/policy.txt): no
 *          libm, nothing fused.
 * Cost     a draw per candidate (bench_draw), and reranks times as much for propensities by re-ranking.
 * Memory   arms and results are the caller's; scratch of 48 B an arm is on the stack up to 128 arms, else taken and
 *          given back.
 * Threads  any.
 * Use      Rank reads the block of each candidate, makes an arm of it (arm_of_beta from values(), arm_of_score from
 *          locate(), or score()), and logs score and propensity of what it answers with the impression.
 * Sources  Thompson sampling and its propensities: Russo et al., "A tutorial on Thompson sampling" (2018); P(A > B) of
 *          two Betas: the sum over the whole shape of A (Cook, "Exact calculation of beta inequalities", 2005); Laplace
 *          bridge: MacKay, "Choice of basis for Laplace approximation" (1998); erf: its Maclaurin series and the
 *          continued fraction DLMF 7.9.1. */
#ifndef TIDEMILL_LEARNER_POLICY_H
#define TIDEMILL_LEARNER_POLICY_H

#include "learner/model.h"

#define POLICY_EPSILON_MIN 0.01 /* where propensities are estimated */
#define POLICY_WIDTH_MAX 100.0

enum {
    POLICY_ARMS_MAX = 10000,
    POLICY_RERANKS_MIN = 200,
    POLICY_RERANKS_MAX = 1000,
    POLICY_EXACT_SHAPES = 512,
};

enum policy_kind { POLICY_THOMPSON, POLICY_UCB, POLICY_GREEDY };

struct policy {
    enum policy_kind kind;
    double epsilon;   /* in [0, 1] */
    double width;     /* UCB: in [0, POLICY_WIDTH_MAX] */
    uint32_t reranks; /* Thompson: 0 (no propensities) or POLICY_RERANKS_MIN..MAX, which want an epsilon of at least
                         POLICY_EPSILON_MIN */
};

/* A candidate and the belief about it. */
struct arm {
    uint64_t item; /* draw_key of its name */
    enum arm_family { ARM_BETA, ARM_NORMAL } family;
    double a, b; /* Beta: shapes, > 0; normal: mean and variance of the score, >= 0 */
};

static inline struct arm arm_of_beta(uint64_t item, const double shape[2])
{
    return (struct arm){item, ARM_BETA, shape[0], shape[1]};
}
static inline struct arm arm_of_score(uint64_t item, const struct score *s)
{
    return (struct arm){item, ARM_NORMAL, s->mean, s->variance};
}

/* A place of a ranking, best first. */
struct choice {
    uint32_t arm;      /* index of the candidate */
    double score;      /* what the policy compared; when the ranking was shuffled, too */
    double propensity; /* of this candidate at this place; 0: not asked for */
};

/* TM_INVALID_ARGUMENT names the field that is out of its range. */
enum tm_code policy_check(const struct policy *p, struct tm_error *err);

/* The first `places` <= n of the ranking of n <= POLICY_ARMS_MAX arms. policy_check() is passed. */
void policy_rank(const struct policy *p, uint64_t seed, uint32_t version, const struct arm *arms, uint32_t n,
                 uint32_t places, struct choice *out);

/* The score of one candidate, as policy_rank compares it. */
double policy_score(const struct policy *p, uint64_t seed, uint32_t version, const struct arm *arm);

/* The probability that each arm comes to each of these places (from 0; any number of times the same), as `n` numbers a
 * place: exact where propensities are, else of `draws` >= 1 rankings with seeds that follow from `seed`, and unbiased
 * however few they are. p->reranks has no part. Of a place that a ranking does not have all are 0. */
void policy_chances(const struct policy *p, uint64_t seed, uint32_t version, const struct arm *arms, uint32_t n,
                    const uint32_t *place, uint32_t places, uint32_t draws, double *out);

/* P(a draw of the first is above one of the second), where it has a closed form; NAN where not. */
double policy_beats(const struct arm *first, const struct arm *second);

#endif
