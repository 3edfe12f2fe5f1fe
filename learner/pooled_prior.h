/* learner/pooled_prior.h - empirical Bayes for models over features: what the documents of a version have learned,
 * as the prior of another version's documents.
 *
 * Every weight by itself: the weight of document d is drawn from N(m, t^2), and what d has seen of it is a normal
 * likelihood, the one that makes its posterior N(mean_d, v_d) of the prior N(m0, v0) it began with: precision
 * a_d = 1 / v_d - 1 / v0, precision times mean h_d = mean_d / v_d - m0 / v0. m and t^2 maximise the likelihood of all
 * documents, by EM: with p_d = 1 / (1 / t^2 + a_d) and w_d = p_d (m / t^2 + h_d), m becomes the mean of the w_d and t^2
 * the mean of p_d + (w_d - m)^2. Documents that have seen little count little.
 * Means    of weights that documents share come out sharp, and t says how much a document is still free to differ.
 * Found    of 400 documents with 200 samples each, by model lr with covariance: full, means and sds within 0.08 of the
 *          truth; with covariance: diagonal means up to 0.13 too small, because its precisions grow too fast.
 * Limits   marginals of a posterior with covariances are taken as if weights were independent, unless `full`. t is held
 *          within [POOLED_SD_LEAST, 1] of the prior's sd: a document must be able to learn what is its own.
 * Full     with `full`, of model lr with covariance: full: the weights of d together are drawn from N(m, T), A_d =
 *          S_d^-1 - S0^-1 and h_d = S_d^-1 mean_d - S0^-1 m0: nothing is taken as independent. The same EM, from the
 *          result of the one above: P_d = (T^-1 + A_d)^-1, w_d = P_d (T^-1 m + h_d), m the mean of the w_d and T that
 *          of P_d + (w_d - m) (w_d - m)'. Correlations are held within 1 - POOLED_SD_LEAST^2, so that T is never
 *          singular. A document whose A_d is no precision (after a repair: learner/lr_full.h) is left out.
 * Bound    POOLED_ROUNDS rounds; POOLED_FULL_ROUNDS of those that invert a matrix a document (3 s at n = 65, 0.5 s at
 *          33, with 1,024 documents). Of as many documents as POOLED_VALUES_MAX values have room for (at most
 *          POOLED_DOCUMENTS_MAX) they are kept, every k-th of those that came, k a power of 2.
 * Memory   owned until pooled_prior_close(); {0} with weights set is empty. Threads: one at a time.
 * Source   A. Gelman et al., "Bayesian Data Analysis" (2013), chapter 5 (hierarchical normal model) and section 13.4
 *          (EM); A. Dempster, N. Laird, D. Rubin, "Maximum likelihood from incomplete data via the EM algorithm"
 *          (1977). */
#ifndef TIDEMILL_LEARNER_POOLED_PRIOR_H
#define TIDEMILL_LEARNER_POOLED_PRIOR_H

#include "learner/model.h"

enum {
    POOLED_DOCUMENTS_MAX = 1024,
    POOLED_DOCUMENTS_LEAST = 2,
    POOLED_VALUES_MAX = 4 << 20, /* 32 MiB */
    POOLED_ROUNDS = 500,
    POOLED_FULL_ROUNDS = 60,
};
#define POOLED_SD_LEAST 0.01

struct pooled_prior {
    const struct model *model;
    const struct model_config *config;
    bool full; /* model_lr_full alone; keep what pooled_prior_estimate_full() needs, too */
    uint64_t documents;
    double *site; /* of each kept document: a and h of each weight, and if full the h_d: n, and A_d: packed */
    uint32_t kept, stride;
};

void pooled_prior_close(struct pooled_prior *p);
/* A block of the model, as of `now`; one that has learned nothing is left out. */
void pooled_prior_add(struct pooled_prior *p, const void *block, int64_t now);

/* n means and n standard deviations, the intercept's last. TM_FAILED_PRECONDITION: fewer than POOLED_DOCUMENTS_LEAST
 * documents have learned something, or the model has no weights. */
enum tm_code pooled_prior_estimate(const struct pooled_prior *p, double *means, double *sds, struct tm_error *err);

/* n means and the packed covariance (learner/packed.h). p->full. Errors as above. */
enum tm_code pooled_prior_estimate_full(const struct pooled_prior *p, double *means, double *covariance,
                                        struct tm_error *err);

/* ---- for pooled_covariance.c ---- */

size_t pooled_prior_row(const struct pooled_prior *p); /* doubles in `site` of a document */
/* The row's last part, n + packed_size(n) of these doubles. False: it is no precision. */
bool pooled_covariance_site(const struct pooled_prior *p, const double *values, double *site);

#endif
