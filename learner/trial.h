/* learner/trial.h - how many positives does a posterior expect among the samples of a batch, and how sure is it?
 *
 * The samples of a batch were predicted by one posterior, so their outcomes vary together, and by how much says how
 * wide it is: the one thing that single predictions cannot show (learner/validation.h, Trials).
 *   expected  sum_i m_i,  m_i = E[p_i]
 *   variance  sum_i m_i (1 - m_i) + sum_(i != j) Cov(p_i, p_j)
 * Without features all p_i are one p with variance v, and Cov = v: the beta-binomial's, exactly. With features p_i =
 * logistic(a_i + offset_i), the scores a are jointly normal, and Cov(p_i, p_j) = g_i g_j Cov(a_i, a_j) to the first
 * order of the covariance, with g_i = E[p_i (1 - p_i)] (Stein's lemma says it of Cov(p_i, a_j), exactly). The sum over
 * all pairs is G^2 Var(a of the mean features weighted by g), G = sum_i g_i: one score more, whatever the covariance.
 * Cost     a score a sample, and one more.
 * Sources  beta-binomial: any textbook; C. Stein, "Estimation of the mean of a multivariate normal distribution"
 *          (1981).
 * Threads  pure. */
#ifndef TIDEMILL_LEARNER_TRIAL_H
#define TIDEMILL_LEARNER_TRIAL_H

#include "learner/model.h"
#include "learner/validation.h"

/* Before they are learned. The model is one of probabilities, rewards are 0 or 1; block NULL: the prior; count > 0. The
 * trial's time is the newest of them. False: the posterior is certain of the outcome, there is nothing to try. */
bool trial_of(const struct model *model, const struct model_config *config, const void *block,
              const struct example *samples, size_t count, struct trial *out);

#endif
