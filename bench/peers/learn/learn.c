/* What our learner costs on examples that its rivals read too, and how well it predicts them; and what a decision of
 * Thompson sampling over 100 documents costs.
 *
 * usage    peer_learn FILE        FILE: examples.bin of bench/peers/learn/world.py, read into memory first
 * Output   one object of JSON: by name, microseconds of CPU of one thread and the log loss.
 * Order    progressive: each example is scored, then learned, in the order of the file, all weights at the prior in
 *          front of the first. In batches, an example waits until 100 of its document are there and is scored when it
 *          comes; what waits at the end is not learned.
 * CPU      "cpu_us" of scoring and learning, "learn_us" of learning alone, of an example; medians of ROUNDS. The
 *          logarithms of the loss are taken behind it.
 * Model    weights of each document by themselves, an intercept, no forgetting: the world does not change. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/bench.h"
#include "bench/events.h"
#include "learner/beta.h"
#include "learner/lr.h"
#include "learner/policy.h"
#include "learner/pooled_prior.h"

enum { FEATURES = 32, DOCUMENTS_MAX = 1 << 20, BATCH = 100, POOLED_AFTER = 50, ROUNDS = 3, FILE_MAX = 1 << 30 };

struct record {
    uint32_t document, label;
    float x[FEATURES];
};
static_assert(sizeof(struct record) == 8 + 4 * FEATURES, "as world.py writes it");

/* ---- examples ---- */

struct world {
    const struct record *record;
    size_t records;
    uint32_t documents;
    double *predicted; /* by record */
};

static void world_open(struct world *w, struct bytes file)
{
    CHECK(file.size > 0 && file.size % sizeof(struct record) == 0);
    *w = (struct world){.record = (const struct record *)(const void *)file.data,
                        .records = file.size / sizeof(struct record)};
    for (size_t i = 0; i < w->records; i++)
        if (w->record[i].document >= w->documents)
            w->documents = w->record[i].document + 1;
    CHECK(w->documents <= DOCUMENTS_MAX);
    w->predicted = mem_new(w->records, sizeof *w->predicted);
}

static double log_loss(const struct world *w)
{
    double sum = 0;
    for (size_t i = 0; i < w->records; i++)
        sum -= log(w->record[i].label ? w->predicted[i] : 1 - w->predicted[i]);
    return sum / (double)w->records;
}

/* ---- learning ---- */

struct learning {
    const struct model *model;
    struct model_config config;
    size_t batch, block_size;
    bool scored;
    uint8_t *blocks;
    struct example *waiting; /* batch of each document */
    uint32_t *waits;
};

static struct model_config lr_config(enum model_covariance covariance, uint32_t dimension)
{
    return (struct model_config){.dimension = dimension,
                                 .intercept = true,
                                 .covariance = covariance,
                                 .feature_max = 100,
                                 .prior_sd = 0.3,
                                 .intercept_mean = -2,
                                 .intercept_sd = 1};
}

static void learning_open(struct learning *l, const struct world *w)
{
    l->block_size = l->model->block_size(&l->config);
    l->blocks = mem_new(w->documents, l->block_size);
    l->waiting = mem_new(w->documents, l->batch * sizeof *l->waiting);
    l->waits = mem_new(w->documents, sizeof *l->waits);
    for (uint32_t i = 0; i < w->documents; i++)
        l->model->init(&l->config, l->blocks + i * l->block_size);
}

static void learning_close(struct learning *l)
{
    free(l->blocks);
    free(l->waiting);
    free(l->waits);
}

static void take(struct learning *l, const struct record *r, double *predicted)
{
    uint8_t *block = l->blocks + r->document * l->block_size;
    struct example *waiting = l->waiting + r->document * l->batch;
    if (l->scored) {
        struct score s;
        l->model->score(&l->config, block, r->x, 1, &s);
        *predicted = s.expected;
    }
    waiting[l->waits[r->document]++] = (struct example){.reward = r->label, .weight = 1, .time = 1, .x = r->x};
    if (l->waits[r->document] == l->batch) {
        l->model->learn(&l->config, block, waiting, l->batch);
        l->waits[r->document] = 0;
    }
}

/* Microseconds per example. */
static double learn_all(struct learning l, const struct world *w, bool scored)
{
    double cost[ROUNDS];
    l.scored = scored;
    for (int round = 0; round < ROUNDS; round++) {
        learning_open(&l, w);
        int64_t began = clock_thread_cpu_ns();
        for (size_t i = 0; i < w->records; i++)
            take(&l, &w->record[i], &w->predicted[i]);
        cost[round] = (double)(clock_thread_cpu_ns() - began) / 1e3 / (double)w->records;
        learning_close(&l);
    }
    return bench_quantile(cost, ROUNDS, 0.5);
}

static void report_learning(const struct world *w, const char *name, enum model_covariance covariance, size_t batch)
{
    struct learning l = {.config = lr_config(covariance, FEATURES), .batch = batch};
    l.model = lr_model(&l.config);
    double learn_us = learn_all(l, w, false), cpu_us = learn_all(l, w, true);
    printf("\"%s\": {\"cpu_us\": %.6g, \"learn_us\": %.6g, \"log_loss\": %.6g},\n ", name, cpu_us, learn_us,
           log_loss(w));
}

/* After a share of the examples what the documents have learned becomes the prior of a new version, whose documents begin
 * anew: as `version create --prior-from` does. CPU of all of it. */
static void report_pooled(const struct world *w, const char *name, enum model_covariance covariance)
{
    struct learning l = {.config = lr_config(covariance, FEATURES), .batch = 1, .scored = true};
    double values[2][FEATURES + 1];
    l.model = lr_model(&l.config);
    learning_open(&l, w);
    struct model_config first = l.config;
    struct pooled_prior pooled = {.model = l.model, .config = &first};
    int64_t began = clock_thread_cpu_ns();
    for (size_t i = 0; i < w->records; i++) {
        take(&l, &w->record[i], &w->predicted[i]);
        if (i != w->records / POOLED_AFTER)
            continue;
        for (uint32_t d = 0; d < w->documents; d++)
            pooled_prior_add(&pooled, l.blocks + d * l.block_size, 1);
        CHECK(pooled_prior_estimate(&pooled, values[0], values[1], NULL) == TM_OK);
        l.config.prior_means = values[0];
        l.config.prior_sds = values[1];
        for (uint32_t d = 0; d < w->documents; d++)
            l.model->init(&l.config, l.blocks + d * l.block_size);
    }
    double cpu_us = (double)(clock_thread_cpu_ns() - began) / 1e3 / (double)w->records;
    printf("\"%s\": {\"cpu_us\": %.6g, \"log_loss\": %.6g},\n ", name, cpu_us, log_loss(w));
    pooled_prior_close(&pooled);
    learning_close(&l);
}

/* ---- Thompson sampling ---- */

enum { ARMS = 100, SHARED = 8, OF_ARM = 8, CONTEXT = SHARED + OF_ARM, SEEN = 200, DECISIONS = 20000 };

struct arms {
    const struct model *model;
    struct model_config config;
    size_t block_size;
    uint8_t *blocks;
    float own[ARMS][OF_ARM];
};

static double unit(uint64_t *seed) { return (double)(events_mix((*seed)++) >> 11) * 0x1p-53; }

static void fill(float *x, int count, uint64_t *seed)
{
    for (int i = 0; i < count; i++)
        x[i] = (float)(3.4641 * (unit(seed) - 0.5));
}

/* Every arm has learned SEEN samples, one in eight of them a success. */
static void arms_open(struct arms *a, const struct model *model, struct model_config config)
{
    uint64_t seed = 1;
    *a = (struct arms){.model = model, .config = config, .block_size = model->block_size(&config)};
    a->blocks = mem_new(ARMS, a->block_size);
    for (int i = 0; i < ARMS; i++) {
        fill(a->own[i], OF_ARM, &seed);
        model->init(&config, a->blocks + (size_t)i * a->block_size);
        for (int k = 0; k < SEEN; k++) {
            float x[CONTEXT];
            fill(x, SHARED, &seed);
            memcpy(x + SHARED, a->own[i], sizeof a->own[i]);
            struct example e = {.reward = unit(&seed) < 0.125, .weight = 1, .time = 1, .x = x};
            model->learn(&config, a->blocks + (size_t)i * a->block_size, &e, 1);
        }
    }
}

static struct arm arm_of(const struct arms *a, int arm, const float *x)
{
    const void *block = a->blocks + (size_t)arm * a->block_size;
    struct score s;
    double shape[2];
    if (a->model->locate) {
        a->model->locate(&a->config, block, x, 1, &s);
        return arm_of_score((uint64_t)arm, &s);
    }
    a->model->values(&a->config, block, 1, shape);
    return arm_of_beta((uint64_t)arm, shape);
}

/* Features put together, the belief about every arm, and the policy's choice, as Rank does it. */
static uint32_t decide(const struct arms *a, const float *shared, uint64_t request)
{
    static const struct policy thompson = {.kind = POLICY_THOMPSON};
    float x[CONTEXT];
    struct arm arm[ARMS];
    struct choice chosen;
    memcpy(x, shared, SHARED * sizeof *x);
    for (int i = 0; i < ARMS; i++) {
        memcpy(x + SHARED, a->own[i], sizeof a->own[i]);
        arm[i] = arm_of(a, i, x);
    }
    policy_rank(&thompson, request, 1, arm, ARMS, 1, &chosen);
    return chosen.arm;
}

static void report_decisions(const char *name, const struct model *model, struct model_config config, const char *end)
{
    struct arms a;
    double cost[ROUNDS];
    uint64_t seed = 7, chosen = 0;
    arms_open(&a, model, config);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_thread_cpu_ns();
        for (uint64_t i = 0; i < DECISIONS; i++) {
            float shared[SHARED];
            fill(shared, SHARED, &seed);
            chosen += decide(&a, shared, i);
        }
        cost[round] = (double)(clock_thread_cpu_ns() - began) / 1e3 / DECISIONS;
    }
    CHECK(chosen > 0);
    printf("\"%s\": {\"cpu_us\": %.6g}%s", name, bench_quantile(cost, ROUNDS, 0.5), end);
    free(a.blocks);
}

int main(int argc, char **argv)
{
    struct world w;
    struct buffer file = {0};
    struct tm_error err;
    if (argc != 2)
        stop(2, "usage: peer_learn FILE");
    if (file_read(argv[1], FILE_MAX, &file, &err) != TM_OK)
        stop(1, "%s", err.message);
    world_open(&w, buffer_view(&file));
    printf("{");
    report_learning(&w, "one by one", COVARIANCE_DIAGONAL, 1);
    report_learning(&w, "in batches", COVARIANCE_DIAGONAL, BATCH);
    report_learning(&w, "full", COVARIANCE_FULL, 1);
    report_pooled(&w, "one by one, pooled prior", COVARIANCE_DIAGONAL);
    report_pooled(&w, "full, pooled prior", COVARIANCE_FULL);
    report_decisions("Thompson, diagonal", &model_lr_diagonal, lr_config(COVARIANCE_DIAGONAL, CONTEXT), ",\n ");
    report_decisions("Thompson, Beta", &model_beta,
                     (struct model_config){.prior = {1, 20}, .prior_count = 2, .feature_max = 1}, "}\n");
    free(w.predicted);
    buffer_close(&file);
    return fflush(stdout) == 0 ? 0 : 1;
}
