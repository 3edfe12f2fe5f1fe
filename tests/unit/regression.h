/* tests/unit/regression.h - what the tests of the regression models share: random samples, and linear algebra told
 * naively in long double. */
#ifndef TIDEMILL_TESTS_UNIT_REGRESSION_H
#define TIDEMILL_TESTS_UNIT_REGRESSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "learner/features.h"
#include "learner/lr.h"
#include "learner/lr_diagonal.h"
#include "learner/lr_full.h"
#include "learner/packed.h"
#include "learner/probit_mixture.h"
#include "tests/unit/random.h"
#include "tests/unit/stops.h"

#define HOUR INT64_C(3600000)
#define NOON INT64_C(1700000000000)

enum { N_MAX = MODEL_FULL_MAX, BATCH_MAX = 300 };

static inline double softplus(double a) { return fmax(a, 0) + log1p(exp(-fabs(a))); } /* ln(1 + e^a) */

/* The site behind a tilt at (m, v): what it adds to precision and precision times mean. */
struct site {
    double tau, nu;
};

static inline struct site site_of(struct tilt t, double m, double v)
{
    double tau = t.beta / (1 - t.beta * v);
    return (struct site){tau, t.alpha * (1 + tau * v) + tau * m};
}

static inline double uniform(uint64_t *seed) { return ((double)(draw(seed) >> 11) + 0.5) * 0x1p-53; }

static inline double normal(uint64_t *seed) /* Box and Muller */
{
    double radius = sqrt(-2 * log(uniform(seed)));
    return radius * cos(2 * M_PI * uniform(seed));
}

static inline void assert_near(double have, double want, double tolerance, const char *what)
{
    if (!(fabs(have - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%s: %.17g instead of %.17g", what, have, want);
}

static inline void assert_all_near(const double *have, const double *want, size_t count, double tolerance,
                                   const char *what)
{
    char name[80];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s[%zu]", what, i);
        assert_near(have[i], want[i], tolerance, name);
    }
}

/* A version without forgetting, prior N(0, 1), features of about 1. */
static inline struct model_config plain(uint32_t dimension, bool intercept, enum model_covariance covariance)
{
    return (struct model_config){.dimension = dimension,
                                 .intercept = intercept,
                                 .covariance = covariance,
                                 .feature_max = 1000,
                                 .prior_sd = 1,
                                 .intercept_sd = 1};
}

static inline void *block_new(const struct model *m, const struct model_config *config)
{
    struct tm_error err = {0};
    if (m->check(config, &err) != TM_OK)
        fail_msg("%s", err.message);
    void *block = mem_new(1, m->block_size(config));
    m->init(config, block);
    return block;
}

static inline void fill_features(uint64_t *seed, float *x, uint32_t dimension, double scale)
{
    for (uint32_t i = 0; i < dimension; i++)
        x[i] = (float)(scale * normal(seed));
}

static inline struct example sample(const float *x, double reward)
{
    return (struct example){.reward = reward, .weight = 1, .time = NOON, .x = x};
}

/* Invert a full symmetric positive definite n x n matrix in place: Gauss and Jordan with row pivots. */
static inline void invert_naively(long double *a, uint32_t n)
{
    long double wide[N_MAX][2 * N_MAX] = {{0}};
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++)
            wide[i][j] = a[i * n + j];
        wide[i][n + i] = 1;
    }
    for (uint32_t k = 0; k < n; k++) {
        uint32_t pivot = k;
        for (uint32_t i = k; i < n; i++)
            pivot = fabsl(wide[i][k]) > fabsl(wide[pivot][k]) ? i : pivot;
        for (uint32_t j = 0; j < 2 * n; j++) {
            long double held = wide[k][j];
            wide[k][j] = wide[pivot][j];
            wide[pivot][j] = held;
        }
        for (uint32_t i = 0; i < n; i++) {
            long double factor = wide[i][k] / wide[k][k];
            for (uint32_t j = 0; i != k && j < 2 * n; j++)
                wide[i][j] -= factor * wide[k][j];
        }
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++)
            a[i * n + j] = wide[i][n + j] / wide[i][i];
}

static inline void unpack(const double *packed, uint32_t n, long double *full)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++)
            full[i * n + j] = full[j * n + i] = packed[packed_at(i, j)];
}

/* A normal belief in natural parameters: precision, and precision times mean. */
struct natural {
    uint32_t n;
    long double precision[N_MAX * N_MAX], shift[N_MAX];
};

static inline void natural_of(const double *mean, const double *covariance, uint32_t n, struct natural *out)
{
    out->n = n;
    unpack(covariance, n, out->precision);
    invert_naively(out->precision, n);
    for (uint32_t i = 0; i < n; i++) {
        out->shift[i] = 0;
        for (uint32_t j = 0; j < n; j++)
            out->shift[i] += out->precision[i * n + j] * mean[j];
    }
}

static inline void natural_add(struct natural *to, const double *x, long double tau, long double nu)
{
    for (uint32_t i = 0; i < to->n; i++) {
        to->shift[i] += nu * x[i];
        for (uint32_t j = 0; j < to->n; j++)
            to->precision[i * to->n + j] += tau * x[i] * x[j];
    }
}

/* Mean and packed covariance. */
static inline void natural_moments(const struct natural *from, double *mean, double *covariance)
{
    uint32_t n = from->n;
    long double full[N_MAX * N_MAX];
    memcpy(full, from->precision, n * n * sizeof *full);
    invert_naively(full, n);
    for (uint32_t i = 0; i < n; i++) {
        long double sum = 0;
        for (uint32_t j = 0; j < n; j++) {
            sum += full[i * n + j] * from->shift[j];
            if (j <= i)
                covariance[packed_at(i, j)] = (double)full[i * n + j];
        }
        mean[i] = (double)sum;
    }
}

/* ---- logistic regression with a full covariance ---- */

static inline double *covariance_of(struct lr_full_block *b, uint32_t n) { return b->value + n; }

static inline void learn(const struct model_config *config, struct lr_full_block *b, struct example e)
{
    model_lr_full.learn(config, b, &e, 1);
}

static inline void learn_some(const struct model_config *config, struct lr_full_block *b, uint64_t *seed, int count)
{
    float x[N_MAX];
    for (int i = 0; i < count; i++) {
        fill_features(seed, x, config->dimension, 1);
        learn(config, b, sample(x, below(seed, 4) == 0));
    }
}

/* Forgets within hours, towards a prior that is not the plain one. */
static inline struct model_config hourly(uint32_t dimension)
{
    struct model_config config = plain(dimension, true, COVARIANCE_FULL);
    config.decay_per_ms = model_decay(HOUR);
    config.prior_mean = 0.1;
    config.prior_sd = 1.5;
    config.intercept_mean = -2;
    config.intercept_sd = 0.7;
    return config;
}

static inline struct correction flip(const float *x, double from, double to, int64_t time)
{
    struct correction c = {sample(x, from), sample(x, to)};
    c.before.time = c.after.time = time;
    return c;
}

/* ---- with a diagonal one ---- */

static inline struct lr_diagonal_block *copy_of(const struct model_config *config, const struct lr_diagonal_block *b)
{
    size_t size = model_lr_diagonal.block_size(config);
    return memcpy(mem_new(1, size), b, size);
}

struct batch {
    size_t count;
    struct example e[BATCH_MAX];
    double weight[BATCH_MAX];
    float x[BATCH_MAX][N_MAX];
};

static inline void batch_make(struct batch *b, uint64_t *seed, const struct model_config *config, size_t count,
                              double scale)
{
    b->count = count;
    for (size_t j = 0; j < count; j++) {
        fill_features(seed, b->x[j], config->dimension, scale);
        b->e[j] = sample(b->x[j], below(seed, 4) == 0);
        b->weight[j] = 1;
    }
}

#endif
