/* Are the probabilities of a logistic regression right, and is it as sure as it may be? Documents whose true weights come
 * from the prior, learned from simulated clicks; the same rows whatever the machine.
 *
 * Reliability  each click is predicted before it is learned; predictions in bins of log-odds, mean against clicked.
 * Coverage     from LEARNED_MIN samples of a document on, for fresh features: how often is the true score within the interval
 *              that the posterior gives 50, 80, 90 or 95 % to?
 * --curves FILE   also writes both as a table for pictures.gp. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "learner/draw.h"
#include "learner/lr.h"
#include "learner/model.h"

enum { DOCUMENTS = 40, SAMPLES = 2000, FEATURES = 8, BINS = 12, LEVELS = 19, LEARNED_MIN = 50, EVERY = 10 };

static const double bin_first = -5, bin_width = 0.5; /* log-odds */
static const double prior_sd = 0.5, intercept_mean = -2, intercept_sd = 0.7;

struct form {
    const char *name;
    const struct model *model;
    enum model_covariance covariance;
    size_t batch;
};

static const struct form forms[] = {
    {"full", &model_lr_full, COVARIANCE_FULL, 1},
    {"diagonal, batches of 100", &model_lr_diagonal, COVARIANCE_DIAGONAL, 100},
    {"diagonal, one by one", &model_lr_diagonal, COVARIANCE_DIAGONAL, 1},
};

struct findings {
    double predicted[BINS], clicked[BINS], count[BINS];
    double all_predicted, all_clicked;
    double within[LEVELS], asked; /* level i is (i + 1) / (LEVELS + 1) */
};

struct document {
    const struct form *form;
    struct model_config config;
    struct draw chance;
    double weight[FEATURES + 1];
    float x[SAMPLES][FEATURES];
    struct example waiting[SAMPLES]; /* for its batch */
    size_t waits;
    uint64_t *block;
};

static double true_score(const struct document *d, const float *x)
{
    double score = d->weight[FEATURES];
    for (int i = 0; i < FEATURES; i++)
        score += d->weight[i] * (double)x[i];
    return score;
}

static void make_features(struct document *d, float x[static FEATURES])
{
    for (int i = 0; i < FEATURES; i++)
        x[i] = (float)(3.4641 * (draw_uniform(&d->chance) - 0.5));
}

/* ---- one sample ---- */

static void count_prediction(struct findings *f, double expected, bool clicked)
{
    double at = (log(expected / (1 - expected)) - bin_first) / bin_width;
    int bin = at < 0 ? 0 : at >= BINS ? BINS - 1 : (int)at;
    f->predicted[bin] += expected;
    f->clicked[bin] += clicked;
    f->count[bin]++;
    f->all_predicted += expected;
    f->all_clicked += clicked;
}

static void count_coverage(struct findings *f, struct document *d)
{
    float x[FEATURES];
    struct score s;
    make_features(d, x);
    d->form->model->score(&d->config, d->block, x, 1, &s);
    double within = erf(fabs(true_score(d, x) - s.mean) / sqrt(2 * s.variance)); /* the least level that has it */
    for (int i = 0; i < LEVELS; i++)
        f->within[i] += within <= (i + 1.0) / (LEVELS + 1);
    f->asked++;
}

static void play(struct findings *f, struct document *d, int sample)
{
    float *x = d->x[sample];
    struct score s;
    make_features(d, x);
    d->form->model->score(&d->config, d->block, x, 1, &s);
    bool clicked = draw_uniform(&d->chance) < lr_logistic(true_score(d, x));
    count_prediction(f, s.expected, clicked);
    d->waiting[d->waits++] = (struct example){.reward = clicked, .weight = 1, .time = 1, .x = x};
    if (d->waits == d->form->batch) {
        d->form->model->learn(&d->config, d->block, d->waiting, d->waits);
        d->waits = 0;
    }
    if (sample >= LEARNED_MIN && sample % EVERY == 0)
        count_coverage(f, d);
}

static void play_document(struct findings *f, const struct form *form, uint64_t number)
{
    struct document *d = mem_new(1, sizeof *d);
    d->form = form;
    d->chance = draw_begin(number, 1, 1);
    d->config = (struct model_config){.dimension = FEATURES,
                                      .covariance = form->covariance,
                                      .feature_max = 100,
                                      .prior_sd = prior_sd,
                                      .intercept = true,
                                      .intercept_mean = intercept_mean,
                                      .intercept_sd = intercept_sd,
                                      .reward_max = 1};
    for (int i = 0; i < FEATURES; i++)
        d->weight[i] = prior_sd * draw_normal(&d->chance);
    d->weight[FEATURES] = intercept_mean + intercept_sd * draw_normal(&d->chance);
    d->block = mem_new(1, form->model->block_size(&d->config));
    form->model->init(&d->config, d->block);
    for (int i = 0; i < SAMPLES; i++)
        play(f, d, i);
    free(d->block);
    free(d);
}

/* ---- rows and curves ---- */

static void add_rows(struct bench *b, const struct form *form, const struct findings *f)
{
    static const int levels[] = {50, 80, 90, 95};
    bench_add(b, (struct bench_row){.value = f->all_predicted / f->all_clicked, .unit = "predicted/clicked"},
              "calibration/lr/%s", form->name);
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        bench_add(b,
                  (struct bench_row){.value = 100 * f->within[levels[i] * (LEVELS + 1) / 100 - 1] / f->asked,
                                     .unit = "% of true scores",
                                     .reference = "of the posterior",
                                     .reference_value = levels[i]},
                  "coverage/lr/%s/%d %%", form->name, levels[i]);
}

/* Two blocks a form: bins that have 100 samples, with two standard errors of what was clicked; levels and coverage. */
static void write_curves(FILE *out, const struct form *form, const struct findings *f)
{
    enum { ENOUGH = 100 };
    fprintf(out, "# %s\n# predicted clicked error\n", form->name);
    for (int i = 0; i < BINS; i++) {
        double rate = f->clicked[i] / f->count[i];
        if (f->count[i] >= ENOUGH)
            fprintf(out, "%.6g %.6g %.6g\n", f->predicted[i] / f->count[i], rate,
                    2 * sqrt(rate * (1 - rate) / f->count[i]));
    }
    fprintf(out, "\n\n# %s\n# level covered\n", form->name);
    for (int i = 0; i < LEVELS; i++)
        fprintf(out, "%.6g %.6g\n", 100 * (i + 1.0) / (LEVELS + 1), 100 * f->within[i] / f->asked);
    fputs("\n\n", out);
}

int main(int argc, char **argv)
{
    struct bench b;
    FILE *curves = bench_curves(&argc, argv);
    bench_open(&b, argc, argv);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct findings f = {0};
        bench_say("calibration: lr, %s", forms[i].name);
        for (uint64_t document = 0; document < DOCUMENTS; document++)
            play_document(&f, &forms[i], document);
        add_rows(&b, &forms[i], &f);
        if (curves)
            write_curves(curves, &forms[i], &f);
    }
    if (curves && fclose(curves) != 0) {
        perror("curves");
        return 1;
    }
    return bench_finish(&b);
}
