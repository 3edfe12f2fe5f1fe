#include "learner/pooled_prior.h"

#include <math.h>
#include <stdlib.h>

#include "learner/features.h"
#include "learner/lr.h"
#include "learner/packed.h"

static const double converged = 1e-9; /* of t^2, in a round */

void pooled_prior_close(struct pooled_prior *p)
{
    free(p->site);
    p->site = NULL;
    p->kept = p->stride = 0;
}

size_t pooled_prior_row(const struct pooled_prior *p)
{
    uint32_t n = model_weights(p->config);
    return 2 * n + (p->full ? n + packed_size(n) : 0);
}

static uint32_t room(const struct pooled_prior *p)
{
    uint32_t fit = POOLED_VALUES_MAX / (uint32_t)pooled_prior_row(p);
    return fit < POOLED_DOCUMENTS_MAX ? fit : POOLED_DOCUMENTS_MAX;
}

/* Every other document goes. */
static void thin(struct pooled_prior *p, size_t row)
{
    for (uint32_t i = 0; i < p->kept / 2; i++)
        memmove(p->site + i * row, p->site + 2 * i * row, row * sizeof *p->site);
    p->kept /= 2;
    p->stride *= 2;
}

/* What the document has seen of each weight: its posterior without the prior. */
static void put_sites(const struct pooled_prior *p, const double *values, double *site)
{
    uint32_t n = model_weights(p->config);
    for (uint32_t i = 0; i < n; i++) {
        double m0 = features_prior_mean(p->config, i), sd0 = features_prior_sd(p->config, i), v0 = sd0 * sd0;
        double v = values[n + (p->model == &model_lr_diagonal ? i : packed_diagonal(i))];
        site[2 * i] = fmax(1 / v - 1 / v0, 0);
        site[2 * i + 1] = site[2 * i] > 0 ? values[i] / v - m0 / v0 : 0;
    }
}

void pooled_prior_add(struct pooled_prior *p, const void *block, int64_t now)
{
    CLEANUP(block_copy_close) struct block_copy copy;
    double *values = block_copy_open(&copy, p->model->width(p->config) * sizeof *values);
    size_t row = pooled_prior_row(p);
    struct summary s;
    p->model->summarise(p->config, block, &s);
    if (s.samples == 0)
        return;
    if (!p->site) {
        p->site = mem_new(room(p) * row, sizeof *p->site);
        p->stride = 1;
    }
    if (p->documents++ % p->stride != 0)
        return;
    if (p->kept == room(p))
        thin(p, row);
    p->model->values(p->config, block, now, values);
    double *site = p->site + p->kept * row;
    if (p->full && !pooled_covariance_site(p, values, site + 2 * model_weights(p->config)))
        return;
    put_sites(p, values, site);
    p->kept++;
}

/* One round for the weight whose first site is at `site`. */
static void improve(const struct pooled_prior *p, const double *site, size_t row, double *mean, double *variance)
{
    double sum = 0, squares = 0;
    for (uint32_t d = 0; d < p->kept; d++) {
        double v = 1 / (1 / *variance + site[d * row]), w = v * (*mean / *variance + site[d * row + 1]);
        sum += w;
        squares += v + w * w;
    }
    *mean = sum / p->kept;
    *variance = fmax(squares / p->kept - *mean * *mean, 0);
}

static void estimate_weight(const struct pooled_prior *p, uint32_t weight, double *mean, double *sd)
{
    double sd0 = features_prior_sd(p->config, weight), m = features_prior_mean(p->config, weight), v = sd0 * sd0;
    double least = v * POOLED_SD_LEAST * POOLED_SD_LEAST, most = v, before = 0;
    for (int i = 0; i < POOLED_ROUNDS && fabs(v - before) > converged * v; i++) {
        before = v;
        improve(p, p->site + 2 * weight, pooled_prior_row(p), &m, &v);
        v = fmin(fmax(v, least), most);
    }
    *mean = m;
    *sd = sqrt(v);
}

enum tm_code pooled_prior_estimate(const struct pooled_prior *p, double *means, double *sds, struct tm_error *err)
{
    if (!p->model->locate)
        return tm_error_set(err, TM_FAILED_PRECONDITION, "model %s has no weights", p->model->name);
    if (p->documents < POOLED_DOCUMENTS_LEAST || p->kept == 0)
        return tm_error_set(err, TM_FAILED_PRECONDITION, "%llu documents have learned something; expected at least %d",
                            (unsigned long long)p->documents, POOLED_DOCUMENTS_LEAST);
    for (uint32_t i = 0; i < model_weights(p->config); i++)
        estimate_weight(p, i, &means[i], &sds[i]);
    return TM_OK;
}
