/* The full form of learner/pooled_prior.h: what documents have learned of weights that vary together. */
#include <math.h>
#include <stdlib.h>

#include "learner/blas.h"
#include "learner/features.h"
#include "learner/packed.h"
#include "learner/pooled_prior.h"
#include "learner/vector.h"

enum { PACKED_MAX = MODEL_FULL_MAX * (MODEL_FULL_MAX + 1) / 2 };

static const double converged = 1e-6; /* of a variance, in a round */
static const double rounding = 1e-6;  /* of the prior's precision: what a document's may be negative by */

/* ---- what a document has seen ---- */

static bool precision_of_prior(const struct model_config *config, double *out)
{
    uint32_t n = model_weights(config);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++)
            out[packed_at(i, j)] = features_prior_covariance(config, i, j);
    return blas_invert(out, n);
}

bool pooled_covariance_site(const struct pooled_prior *p, const double *values, double *site)
{
    double prior[PACKED_MAX], means[MODEL_FULL_MAX], before[MODEL_FULL_MAX];
    uint32_t n = model_weights(p->config);
    double *shift = site, *precision = site + n;
    memcpy(precision, values + n, packed_size(n) * sizeof *precision);
    if (!precision_of_prior(p->config, prior) || !blas_invert(precision, n))
        return false;
    for (uint32_t i = 0; i < n; i++)
        means[i] = features_prior_mean(p->config, i);
    packed_multiply(precision, values, n, shift);
    packed_multiply(prior, means, n, before);
    vector_add(shift, -1, before, n);
    double probe[PACKED_MAX]; /* with what rounding may have taken, is it positive? */
    for (uint32_t i = 0; i < packed_size(n); i++) {
        probe[i] = precision[i] - (1 - rounding) * prior[i];
        precision[i] -= prior[i];
    }
    return blas_invert(probe, n);
}

/* ---- EM ---- */

struct search {
    const struct pooled_prior *p;
    uint32_t n;
    double mean[MODEL_FULL_MAX], covariance[PACKED_MAX], precision[PACKED_MAX], pull[MODEL_FULL_MAX];
};

/* Sums over documents of w - m, of P + (w - m) (w - m)'; m: of the round before, near enough that nothing cancels. */
struct sums {
    uint32_t documents;
    double off[MODEL_FULL_MAX], spread[PACKED_MAX];
};

static void add_document(const struct search *s, const double *site, struct sums *sums)
{
    double posterior[PACKED_MAX], shift[MODEL_FULL_MAX], w[MODEL_FULL_MAX];
    for (uint32_t i = 0; i < packed_size(s->n); i++)
        posterior[i] = s->precision[i] + site[s->n + i];
    if (!blas_invert(posterior, s->n))
        return; /* rounding: it says nothing in this round */
    for (uint32_t i = 0; i < s->n; i++)
        shift[i] = s->pull[i] + site[i];
    packed_multiply(posterior, shift, s->n, w);
    vector_add(w, -1, s->mean, s->n);
    vector_add(sums->off, 1, w, s->n);
    vector_add(sums->spread, 1, posterior, packed_size(s->n));
    packed_add_square(sums->spread, 1, w, s->n);
    sums->documents++;
}

/* Variances within what pooled_prior.h says, correlations that leave something of each. */
static void hold(struct search *s)
{
    double scale[MODEL_FULL_MAX];
    for (uint32_t i = 0; i < s->n; i++) {
        double sd = features_prior_sd(s->p->config, i), variance = s->covariance[packed_diagonal(i)];
        double least = sd * sd * POOLED_SD_LEAST * POOLED_SD_LEAST;
        scale[i] = variance > sd * sd ? sd / sqrt(variance) : 1;
        s->covariance[packed_diagonal(i)] = fmin(fmax(variance, least), sd * sd);
    }
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t j = 0; j < i; j++)
            s->covariance[packed_at(i, j)] *= (1 - POOLED_SD_LEAST * POOLED_SD_LEAST) * scale[i] * scale[j];
}

/* The greatest change of an element, in units of the two weights' sds. */
static double change_since(const struct search *s, const double *before)
{
    double change = 0;
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double scale = sqrt(before[packed_diagonal(i)] * before[packed_diagonal(j)]);
            change = fmax(change, fabs(s->covariance[packed_at(i, j)] - before[packed_at(i, j)]) / scale);
        }
    return change;
}

/* One round; what it changed. Negative: nothing can be said. */
static double improve(struct search *s)
{
    struct sums sums = {0};
    memcpy(s->precision, s->covariance, packed_size(s->n) * sizeof *s->precision);
    if (!blas_invert(s->precision, s->n))
        return -1;
    packed_multiply(s->precision, s->mean, s->n, s->pull);
    size_t row = pooled_prior_row(s->p);
    for (uint32_t d = 0; d < s->p->kept; d++)
        add_document(s, s->p->site + d * row + 2 * s->n, &sums);
    if (sums.documents == 0)
        return -1;
    double before[PACKED_MAX];
    memcpy(before, s->covariance, packed_size(s->n) * sizeof *before);
    for (uint32_t i = 0; i < packed_size(s->n); i++)
        s->covariance[i] = sums.spread[i] / sums.documents;
    for (uint32_t i = 0; i < s->n; i++)
        sums.off[i] /= sums.documents;
    packed_add_square(s->covariance, -1, sums.off, s->n);
    vector_add(s->mean, 1, sums.off, s->n);
    hold(s);
    return change_since(s, before);
}

enum tm_code pooled_prior_estimate_full(const struct pooled_prior *p, double *means, double *covariance,
                                        struct tm_error *err)
{
    CHECK(p->full);
    struct search *s = mem_new(1, sizeof *s);
    double sds[MODEL_FULL_MAX];
    s->p = p;
    s->n = model_weights(p->config);
    enum tm_code rc = pooled_prior_estimate(p, s->mean, sds, err);
    for (uint32_t i = 0; rc == TM_OK && i < s->n; i++)
        s->covariance[packed_diagonal(i)] = sds[i] * sds[i];
    for (int i = 0; rc == TM_OK && i < POOLED_FULL_ROUNDS; i++) {
        double change = improve(s);
        if (change < 0)
            rc = tm_error_set(err, TM_FAILED_PRECONDITION, "its documents make no covariance that can be inverted");
        else if (change < converged)
            break;
    }
    if (rc == TM_OK) {
        memcpy(means, s->mean, s->n * sizeof *means);
        memcpy(covariance, s->covariance, packed_size(s->n) * sizeof *covariance);
    }
    free(s);
    return rc;
}
