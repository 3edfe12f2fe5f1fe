/* What learning by batches does to a posterior, and whether a posterior knows how wide it is: worlds whose documents are
 * drawn from the prior, so that everything believed is right. */
#include "tests/unit/regression.h"

#include "learner/beta.h"
#include "learner/draw.h"
#include "learner/trial.h"
#include "learner/validation_report.h"

enum { DIMENSION = 7, WEIGHTS = DIMENSION + 1, SAMPLES_MAX = 1000 };

struct doc {
    double weight[WEIGHTS]; /* the truth */
    float x[SAMPLES_MAX][DIMENSION];
    struct example e[SAMPLES_MAX];
};

static struct model_config world(enum model_covariance covariance)
{
    struct model_config config = plain(DIMENSION, true, covariance);
    config.intercept_mean = -1.5;
    config.prior_sd = 0.5;
    config.intercept_sd = 0.7;
    return config;
}

/* A document of the prior, and samples of it; features that vary together by `common` (0: each by itself). */
static void make_doc(struct doc *d, const struct model_config *config, size_t count, double common, uint64_t *seed)
{
    double x[WEIGHTS];
    for (uint32_t i = 0; i < WEIGHTS; i++)
        d->weight[i] = features_prior_mean(config, i) + features_prior_sd(config, i) * normal(seed);
    for (size_t j = 0; j < count; j++) {
        double shared = normal(seed), a = 0;
        for (uint32_t i = 0; i < DIMENSION; i++)
            d->x[j][i] = (float)(common * shared + sqrt(1 - common * common) * normal(seed));
        features_expand(config, d->x[j], x);
        for (uint32_t i = 0; i < WEIGHTS; i++)
            a += x[i] * d->weight[i];
        d->e[j] = (struct example){.reward = uniform(seed) < lr_logistic(a), .weight = 1, .time = NOON, .x = d->x[j]};
    }
}

/* ---- batches against one fit of everything ---- */

/* Root mean square of the distances of the means, in standard deviations of `b`. */
static double distance(const struct lr_diagonal_block *a, const struct lr_diagonal_block *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < WEIGHTS; i++)
        sum += pow(a->value[i] - b->value[i], 2) * b->value[WEIGHTS + i];
    return sqrt(sum / WEIGHTS);
}

static double width(const struct lr_diagonal_block *a, const struct lr_diagonal_block *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < WEIGHTS; i++)
        sum += sqrt(b->value[WEIGHTS + i] / a->value[WEIGHTS + i]);
    return sum / WEIGHTS;
}

static void learn_by(const struct model_config *config, struct lr_diagonal_block *b, const struct doc *d, size_t batch)
{
    for (size_t j = 0; j < SAMPLES_MAX; j += batch)
        model_lr_diagonal.learn(config, b, &d->e[j], batch);
}

/* 1,000 samples a document, features that vary together, as one fit and in batches of 100, 10 and 1. Bounds: batches of
 * 100 end within half a standard deviation of the mean of one fit, and a twentieth of its width; smaller ones are farther
 * off, but within 0.7. */
static void batches_are_near_one_fit_of_everything(void **state)
{
    static const size_t batches[] = {100, 10, 1};
    static const double far[] = {0.5, 0.65, 0.7};
    struct model_config config = world(COVARIANCE_DIAGONAL);
    struct doc *d = mem_new(1, sizeof *d);
    double off[3] = {0}, wide[3] = {0};
    enum { DOCS = 40 };
    uint64_t seed = 5;
    (void)state;
    for (int i = 0; i < DOCS; i++) {
        struct lr_diagonal_block *all = block_new(&model_lr_diagonal, &config);
        make_doc(d, &config, SAMPLES_MAX, 0.5, &seed);
        learn_by(&config, all, d, SAMPLES_MAX);
        for (size_t k = 0; k < ARRAY_LEN(batches); k++) {
            struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
            learn_by(&config, b, d, batches[k]);
            off[k] += distance(b, all) / DOCS;
            wide[k] += width(b, all) / DOCS;
            free(b);
        }
        free(all);
    }
    printf("batches of 100, 10, 1: %.3f, %.3f, %.3f sd off, %.3f, %.3f, %.3f times as wide\n", off[0], off[1], off[2],
           wide[0], wide[1], wide[2]);
    for (size_t k = 0; k < ARRAY_LEN(batches); k++) {
        assert_true(off[k] < far[k]);
        assert_true(fabs(wide[k] - 1) < 0.05);
        assert_true(k == 0 || off[k] > off[k - 1]);
    }
    free(d);
}

/* ---- coverage ---- */

struct coverage {
    struct validation *v;
    uint64_t trials;
};

static void try_batch(struct coverage *c, const struct model *model, const struct model_config *config,
                      const void *block, const struct example *e, size_t count)
{
    struct trial t;
    assert_true(trial_of(model, config, block, e, count, &t));
    validation_try(c->v, &t);
    c->trials++;
}

static struct validation_report report_of(struct coverage *c)
{
    struct validation_total t;
    struct validation_report r;
    validation_total_open(&t, VALIDATION_DAY, NOON);
    validation_total_add(&t, c->v);
    validation_report(&t, &r);
    validation_total_close(&t);
    assert_int_equal(r.trials, c->trials);
    free(c->v);
    return r;
}

static struct coverage coverage_open(void)
{
    struct coverage c = {.v = mem_new(1, sizeof *c.v)};
    validation_start(c.v);
    return c;
}

/* Batch after batch, each judged by what was learned of those before it. sure: how many times too sure the version is. */
static struct validation_report learn_documents(const struct model *model, enum model_covariance covariance,
                                                double common, double sure)
{
    enum { DOCS = 300, BATCHES = 8, BATCH = 60 };
    struct model_config truth = world(covariance), config = truth;
    struct coverage c = coverage_open();
    struct doc *d = mem_new(1, sizeof *d);
    uint64_t seed = 11;
    config.prior_sd /= sure;
    config.intercept_sd /= sure;
    for (int i = 0; i < DOCS; i++) {
        void *block = block_new(model, &config);
        make_doc(d, &truth, BATCHES * BATCH, common, &seed);
        for (size_t k = 0; k < BATCHES; k++) {
            try_batch(&c, model, &config, block, &d->e[k * BATCH], BATCH);
            model->learn(&config, block, &d->e[k * BATCH], BATCH);
        }
        free(block);
    }
    free(d);
    return report_of(&c);
}

static void assert_covers(const char *what, struct validation_report r, double from, double to)
{
    printf("%s: %.1f %% of %llu batches covered, dispersion %.3f\n", what, 100 * r.coverage,
           (unsigned long long)r.trials, r.dispersion);
    assert_true(r.coverage >= from && r.coverage <= to);
}

static void a_right_posterior_covers_its_batches(void **state)
{
    (void)state;
    assert_covers("full", learn_documents(&model_lr_full, COVARIANCE_FULL, 0.6, 1), 0.93, 0.97);
    assert_covers("diagonal", learn_documents(&model_lr_diagonal, COVARIANCE_DIAGONAL, 0, 1), 0.93, 0.97);
    assert_covers("too sure", learn_documents(&model_lr_full, COVARIANCE_FULL, 0.6, 4), 0, 0.9);
}

static void a_right_beta_covers_its_batches(void **state)
{
    enum { DOCS = 2000, BATCHES = 3, BATCH = 80 };
    const struct model_config config = {.prior = {6, 20}, .prior_count = 2};
    struct coverage c = coverage_open();
    uint64_t seed = 3;
    (void)state;
    for (uint64_t i = 0; i < DOCS; i++) {
        struct draw stream = draw_begin(1, 2, i);
        double p = draw_probability(draw_beta(&stream, 6, 20));
        void *block = block_new(&model_beta, &config);
        struct example e[BATCH];
        for (int k = 0; k < BATCHES; k++) {
            for (int j = 0; j < BATCH; j++)
                e[j] = (struct example){.reward = uniform(&seed) < p, .weight = 1, .time = NOON};
            try_batch(&c, &model_beta, &config, block, e, BATCH);
            model_beta.learn(&config, block, e, BATCH);
        }
        free(block);
    }
    assert_covers("beta", report_of(&c), 0.93, 0.97);
}

/* What is foretold against what comes, over documents of the prior: the beta-binomial's formula to the digit, the
 * logistic's by chance. */
static void what_is_foretold_comes(void **state)
{
    enum { DOCS = 20000, COUNT = 30 };
    const struct model_config beta = {.prior = {3, 7}, .prior_count = 2}, config = world(COVARIANCE_FULL);
    struct doc *d = mem_new(1, sizeof *d);
    struct example e[COUNT] = {{0}};
    double sum = 0, square = 0;
    struct trial t;
    uint64_t seed = 9;
    (void)state;
    for (int j = 0; j < COUNT; j++)
        e[j] = (struct example){.reward = j % 3 == 0, .weight = 1, .time = NOON + j};
    assert_true(trial_of(&model_beta, &beta, NULL, e, COUNT, &t));
    assert_near(t.expected, 30 * 0.3, 1e-12, "expected");
    assert_near(t.variance, 30 * 0.3 * 0.7 * (3 + 7 + 30) / (3 + 7 + 1), 1e-12, "variance");
    assert_true(t.positives == 10 && t.time == NOON + COUNT - 1);
    make_doc(d, &config, COUNT, 0.6, &seed);
    assert_true(trial_of(&model_lr_full, &config, NULL, d->e, COUNT, &t));
    for (int i = 0; i < DOCS; i++) {
        double positives = 0, x[WEIGHTS];
        for (uint32_t k = 0; k < WEIGHTS; k++)
            d->weight[k] = features_prior_mean(&config, k) + features_prior_sd(&config, k) * normal(&seed);
        for (int j = 0; j < COUNT; j++) {
            double a = 0;
            features_expand(&config, d->x[j], x);
            for (uint32_t k = 0; k < WEIGHTS; k++)
                a += x[k] * d->weight[k];
            positives += uniform(&seed) < lr_logistic(a);
        }
        sum += positives / DOCS;
        square += positives * positives / DOCS;
    }
    assert_near(sum, t.expected, 0.02, "mean of the positives");
    printf("variance of the positives: %.3f, foretold %.3f\n", square - sum * sum, t.variance);
    assert_near((square - sum * sum) / t.variance, 1, 0.1, "variance of the positives");
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_near_one_fit_of_everything),
        cmocka_unit_test(what_is_foretold_comes),
        cmocka_unit_test(a_right_beta_covers_its_batches),
        cmocka_unit_test(a_right_posterior_covers_its_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
