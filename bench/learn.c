/* What a sample costs the learner: every model by itself, blocks in cache, features ready; and the same work done by
 * OpenBLAS, or the bytes of the block copied, as a floor in the same run. */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "learner/beta.h"
#include "learner/embedding.h"
#include "learner/linear.h"
#include "learner/lr.h"

enum { DOCUMENTS = 64, SAMPLES = 1600, ROUNDS = 9, N_LARGEST = 256, BATCH = 100 };

#define DAY INT64_C(86400000)
#define BEGAN INT64_C(1700000000000)

int dpotrf_(const char *triangle, const int *n, double *a, const int *stride, int *info);
int dpotri_(const char *triangle, const int *n, double *a, const int *stride, int *info);

/* One way to handle all samples once. */
struct contestant {
    void (*run)(void *self);
    void *self;
};

/* ns of CPU per sample: the least of several rounds, since what else runs here only adds. */
static double cost_of(struct contestant who)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_thread_cpu_ns();
        who.run(who.self);
        best = fmin(best, (double)(clock_thread_cpu_ns() - began) / SAMPLES);
    }
    return best;
}

/* ---- ours ---- */

struct world {
    const struct model *model;
    struct model_config config;
    size_t batch;     /* samples a call */
    int64_t interval; /* event time between two calls for the same document */
    int64_t time;
    uint8_t *block[DOCUMENTS];
    struct example sample[SAMPLES];
    float *x; /* SAMPLES x n, row after row as in a batch of events */
};

static uint64_t draw(uint64_t *seed) /* splitmix64: Steele, Lea, Flood 2014 */
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *seed) { return (double)(draw(seed) >> 11) * 0x1p-53; }

/* Fresh ones, for the configuration as it is. */
static void world_blocks(struct world *w)
{
    for (int i = 0; i < DOCUMENTS; i++) {
        free(w->block[i]);
        w->block[i] = mem_new(1, w->model->block_size(&w->config));
        w->model->init(&w->config, w->block[i]);
    }
}

/* Features of variance 1, about one reward in eight. */
static struct world *world_open(const struct model *m, uint32_t n, enum model_covariance covariance, size_t batch)
{
    struct world *w = mem_new(1, sizeof *w);
    uint64_t seed = 1;
    w->model = m;
    w->x = mem_new(SAMPLES * n + 1, sizeof *w->x);
    w->config = (struct model_config){.decay_per_ms = model_decay(DAY),
                                      .dimension = n,
                                      .covariance = covariance,
                                      .feature_max = 100,
                                      .prior_sd = 1,
                                      .reward_max = 1,
                                      .noise_sd = 0.5,
                                      .noise_samples = 10};
    if (m == &model_beta) {
        w->config.prior[0] = 1;
        w->config.prior[1] = 20;
        w->config.prior_count = 2;
    }
    w->batch = batch;
    w->interval = 600000;
    w->time = BEGAN;
    world_blocks(w);
    for (int j = 0; j < SAMPLES; j++) {
        double score = -2.5;
        float *x = w->x + (size_t)j * n;
        for (uint32_t i = 0; i < n; i++) {
            x[i] = (float)(3.4641 * (uniform(&seed) - 0.5));
            score += (double)x[i] / sqrt(n);
        }
        w->sample[j] = (struct example){.reward = uniform(&seed) < lr_logistic(score), .weight = 1, .x = x};
    }
    return w;
}

static void world_close(struct world *w)
{
    for (int i = 0; i < DOCUMENTS; i++)
        free(w->block[i]);
    free(w->x);
    free(w);
}

static void learn_all(void *self)
{
    struct world *w = self;
    for (size_t j = 0; j < SAMPLES; j += w->batch) {
        size_t document = j / w->batch % DOCUMENTS;
        w->time += document == 0 ? w->interval : 0;
        for (size_t k = j; k < j + w->batch; k++)
            w->sample[k].time = w->time;
        w->model->learn(&w->config, w->block[document], &w->sample[j], w->batch);
    }
}

static void score_all(void *self)
{
    struct world *w = self;
    struct score s;
    double sum = 0;
    for (size_t j = 0; j < SAMPLES; j++) {
        w->model->score(&w->config, w->block[j % DOCUMENTS], w->sample[j].x, w->time, &s);
        sum += s.expected;
    }
    CHECK(isfinite(sum));
}

/* ---- floors ---- */

struct floor {
    int n, batch;
    size_t bytes;
    double a[N_LARGEST * N_LARGEST], copy[N_LARGEST * N_LARGEST], x[BATCH * N_LARGEST], y[N_LARGEST];
    uint8_t *from[DOCUMENTS], *to;
};

static struct floor *floor_open(uint32_t n, size_t batch, size_t bytes)
{
    struct floor *f = mem_new(1, sizeof *f);
    f->n = (int)n;
    f->batch = (int)batch;
    f->bytes = bytes;
    f->to = mem_new(1, bytes);
    for (int i = 0; i < DOCUMENTS; i++)
        f->from[i] = mem_new(1, bytes);
    for (uint32_t i = 0; i < n; i++)
        f->a[i * n + i] = 1;
    for (size_t i = 0; i < ARRAY_LEN(f->x); i++)
        f->x[i] = 1e-3 * (double)(i % 7);
    return f;
}

static void floor_close(struct floor *f)
{
    for (int i = 0; i < DOCUMENTS; i++)
        free(f->from[i]);
    free(f->to);
    free(f);
}

static void copy_all(void *self)
{
    struct floor *f = self;
    for (size_t j = 0; j < SAMPLES; j++) {
        memcpy(f->to, f->from[j % DOCUMENTS], f->bytes);
        __asm__ volatile("" : : "r"(f->to) : "memory");
    }
}

/* S x and S -= c u u', packed. */
static void rank_one_all(void *self)
{
    struct floor *f = self;
    for (size_t j = 0; j < SAMPLES; j++) {
        cblas_dspmv(CblasRowMajor, CblasLower, f->n, 1, f->a, f->x, 1, 0, f->y, 1);
        cblas_dspr(CblasRowMajor, CblasLower, f->n, -1e-9, f->y, 1, f->a);
    }
}

static void invert_all(void *self)
{
    struct floor *f = self;
    for (size_t j = 0; j < SAMPLES; j++) {
        int info;
        memcpy(f->copy, f->a, (size_t)(f->n * f->n) * sizeof *f->a);
        dpotrf_("U", &f->n, f->copy, &f->n, &info);
        dpotri_("U", &f->n, f->copy, &f->n, &info);
    }
}

/* One iteration of Newton on a batch with the Hessian formed and factored. */
static void newton_all(void *self)
{
    struct floor *f = self;
    for (int j = 0; j < SAMPLES; j += f->batch) {
        int info;
        memcpy(f->copy, f->a, (size_t)(f->n * f->n) * sizeof *f->a);
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, f->n, f->batch, 1, f->x, f->n, 1, f->copy, f->n);
        dpotrf_("U", &f->n, f->copy, &f->n, &info);
    }
}

/* ---- rows ---- */

static void add_row(struct bench *b, struct world *w, void (*run)(void *), const char *reference, void (*floor)(void *),
                    double aim, const char *name, uint32_t n)
{
    struct floor *f = floor_open(n, w->batch, w->model->block_size(&w->config));
    bench_say("learn: %s, n = %u", name, n);
    double below = cost_of((struct contestant){floor, f}), ours = cost_of((struct contestant){run, w});
    bench_add(b,
              (struct bench_row){
                  .value = ours, .unit = "ns CPU/sample", .reference = reference, .reference_value = below, .aim = aim},
              n ? "learn/%s/n=%u" : "learn/%s", name, n);
    floor_close(f);
}

static void beta_rows(struct bench *b)
{
    struct world *w = world_open(&model_beta, 0, COVARIANCE_DIAGONAL, 1);
    add_row(b, w, learn_all, "copy of the block", copy_all, 100, "beta", 0);
    world_close(w);
}

static void diagonal_rows(struct bench *b, uint32_t n)
{
    double aim = n == 32 ? 800 : 0;
    struct world *w = world_open(&model_lr_diagonal, n, COVARIANCE_DIAGONAL, BATCH);
    add_row(b, w, learn_all, "dsyrk, dpotrf", newton_all, aim, "diagonal/batch of 100", n);
    w->batch = BATCH / 10;
    add_row(b, w, learn_all, "dsyrk, dpotrf", newton_all, 0, "diagonal/batch of 10", n);
    w->batch = 1;
    add_row(b, w, learn_all, "copy of the block", copy_all, aim, "diagonal/one by one", n);
    add_row(b, w, score_all, "copy of the block", copy_all, 0, "diagonal/score", n);
    world_close(w);
}

static void full_rows(struct bench *b, uint32_t n)
{
    double aim = n == 32 ? 10000 : 0;
    struct world *w = world_open(&model_lr_full, n, COVARIANCE_FULL, 1);
    w->interval = 0;
    add_row(b, w, learn_all, "dspmv, dspr", rank_one_all, aim, "full/within a step", n);
    add_row(b, w, score_all, "copy of the block", copy_all, 0, "full/score", n);
    w->interval = DAY;
    add_row(b, w, learn_all, "dpotrf, dpotri", invert_all, aim, "full/each in a new step", n);
    world_close(w);
}

/* Vector and slots of each optimizer; the floor copies as many bytes. */
static void embedding_rows(struct bench *b, uint32_t n)
{
    char name[64];
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        struct world *w = world_open(&model_embedding, n, COVARIANCE_DIAGONAL, 1);
        snprintf(name, sizeof name, "embedding/%s", optimizer_name((enum optimizer_kind)kind));
        w->config.decay_per_ms = 0;
        w->config.intercept = true;
        w->config.intercept_sd = 1;
        w->config.embedding = (struct embedding_config){.optimizer = {.kind = (enum optimizer_kind)kind,
                                                                      .rate = 0.01,
                                                                      .momentum = 0.9,
                                                                      .beta1 = 0.9,
                                                                      .beta2 = 0.999,
                                                                      .epsilon = 1e-6,
                                                                      .beta = 1,
                                                                      .clip = 10},
                                                        .norm_max = 10,
                                                        .admit_at = 1,
                                                        .admit_share = 1};
        world_blocks(w);
        add_row(b, w, learn_all, "copy of the block", copy_all, 0, name, n);
        if (kind == 0)
            add_row(b, w, score_all, "copy of the block", copy_all, 0, "embedding/score", n);
        for (w->batch = 10; kind == OPTIMIZER_ADAGRAD && w->batch <= BATCH; w->batch *= 10) {
            snprintf(name, sizeof name, "embedding/batch of %zu", w->batch);
            add_row(b, w, learn_all, "copy of the block", copy_all, 0, name, n);
        }
        world_close(w);
    }
}

static void linear_rows(struct bench *b, uint32_t n)
{
    struct world *w = world_open(&model_linear, n, COVARIANCE_FULL, 1);
    add_row(b, w, learn_all, "dspmv, dspr", rank_one_all, 0, "linear", n);
    add_row(b, w, score_all, "dpotrf, dpotri", invert_all, 0, "linear/score", n);
    world_close(w);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {8, 32, 64, N_LARGEST};
    struct bench *b = mem_new(1, sizeof *b);
    bench_open(b, argc, argv);
    openblas_set_num_threads(1);
    beta_rows(b);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        diagonal_rows(b, sizes[i]);
    for (size_t i = 0; i < ARRAY_LEN(sizes) - 1; i++)
        full_rows(b, sizes[i]);
    for (size_t i = 0; i < ARRAY_LEN(sizes) - 1; i++)
        linear_rows(b, sizes[i]);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        embedding_rows(b, sizes[i]);
    int status = bench_finish(b);
    free(b);
    return status;
}
