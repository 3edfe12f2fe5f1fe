/* learner/beta_prior.h - empirical Bayes for model beta: which prior do the documents themselves suggest?
 *
 * Every document i has a rate of its own, drawn from Beta(a, b), and has shown s_i successes and f_i failures of it,
 * n_i = s_i + f_i. The estimate of (a, b) is the prior for documents that nothing is known of.
 * moments  with p_i = s_i / n_i, p their mean, V their variance and m the mean of 1 / n_i:
 *          E V = t (1 - m) + p (1 - p) m, where t is the variance of the true rates; so t = (V - p (1 - p) m) / (1 - m)
 *          and a + b = p (1 - p) / t - 1. Documents count alike, however much they were shown: a prior is about
 *          documents. One pass over all of them.
 * mle      the largest beta-binomial likelihood, sum of ln B(a + s_i, b + f_i) - ln B(a, b), by Newton's method in
 *          (ln a, ln b) from the moments, with step halving. Uses what little evidence says better (a document shown
 *          once); on at most BETA_PRIOR_KEPT documents: every k-th of those that came, k a power of 2.
 * Who counts documents with n_i >= BETA_PRIOR_EVIDENCE, after forgetting.
 * Bounds   a + b is held within [2, 10000]: less would be a prior that believes in 0 and 1 alone, more is what
 *          documents suggest that do not differ more than chance makes them.
 * Memory   owned until beta_prior_close(); 16 bytes a kept document. {0} is empty. Threads: one at a time.
 * Sources  moments: J. C. Kleinman, "Proportions with extraneous variance" (1973), with equal weights; likelihood: T.
 *          P. Minka, "Estimating a Dirichlet distribution" (2000), with two outcomes. */
#ifndef TIDEMILL_LEARNER_BETA_PRIOR_H
#define TIDEMILL_LEARNER_BETA_PRIOR_H

#include "learner/model.h"

enum { BETA_PRIOR_KEPT = 65536, BETA_PRIOR_DOCUMENTS = 10 };
#define BETA_PRIOR_EVIDENCE 2.0

enum beta_prior_method { BETA_PRIOR_MOMENTS, BETA_PRIOR_MLE };

struct beta_evidence {
    double s, f;
};

struct beta_prior {
    uint64_t documents, passed;   /* that count; that have too little evidence */
    double rate, square, inverse; /* sums of p, p^2 and 1 / n */
    struct beta_evidence *kept;
    uint32_t kept_count, stride;
};

struct beta_prior_estimate {
    double alpha, beta;
    bool held; /* alpha + beta is at a bound */
};

void beta_prior_close(struct beta_prior *p);
void beta_prior_add(struct beta_prior *p, double s, double f);
/* What a block of model beta has learned, as of `now`. */
void beta_prior_add_block(struct beta_prior *p, const struct model_config *config, const void *block, int64_t now);

/* TM_FAILED_PRECONDITION: fewer than BETA_PRIOR_DOCUMENTS count, or none of them (or all) ever succeeded. */
enum tm_code beta_prior_estimate(const struct beta_prior *p, enum beta_prior_method method,
                                 struct beta_prior_estimate *out, struct tm_error *err);

#endif
