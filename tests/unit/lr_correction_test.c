/* How far a corrected logistic regression is from one that saw the right labels in the first place: three of ten
 * positives come 150 samples late, were learned as negatives, and are flipped then. learner/lr.h states the figures. */
#include "tests/unit/regression.h"

#include "learner/vector.h"

enum { FEATURES = 7, N = FEATURES + 1, PACKED = N * (N + 1) / 2, SAMPLES = 2000, BATCH = 50, DELAY = 150 };
enum { WORLDS = 20, FRESH = 2000 };

enum course { REFITTED, IGNORED, FLIPPED, COURSES };

struct world {
    struct model_config config;
    const struct model *model;
    double truth[N];
    float x[SAMPLES][FEATURES];
    bool positive[SAMPLES], late[SAMPLES];
};

static double rate(const struct world *w, const float *x)
{
    double wide[N];
    features_expand(&w->config, x, wide);
    return lr_logistic(vector_dot(wide, w->truth, N));
}

/* About 15 % of the samples are positive. */
static void world_make(struct world *w, enum model_covariance covariance, uint64_t *seed)
{
    w->config = plain(FEATURES, true, covariance);
    w->config.prior_sd = w->config.intercept_sd = 0.5;
    w->config.intercept_mean = -2;
    w->model = lr_model(&w->config);
    for (uint32_t i = 0; i < N; i++)
        w->truth[i] = features_prior_mean(&w->config, i) + 0.5 * normal(seed);
    for (size_t j = 0; j < SAMPLES; j++) {
        fill_features(seed, w->x[j], FEATURES, 1);
        w->positive[j] = uniform(seed) < rate(w, w->x[j]);
        w->late[j] = w->positive[j] && uniform(seed) < 0.3;
    }
}

static void flip_late(const struct world *w, void *block, size_t from, size_t to)
{
    for (size_t j = from; j < to; j++)
        if (w->late[j]) {
            struct correction c = flip(w->x[j], 0, 1, NOON);
            w->model->correct(&w->config, block, &c);
        }
}

/* By batches of 50; the flips that are due come before the next one, the last ones behind all. */
static void *follow(const struct world *w, enum course course, size_t count)
{
    void *block = block_new(w->model, &w->config);
    size_t flipped = 0;
    for (size_t j = 0; j < count; j += BATCH) {
        struct example e[BATCH];
        size_t due = j > DELAY ? j - DELAY : 0;
        if (course == FLIPPED)
            flip_late(w, block, flipped, due);
        flipped = due;
        for (size_t k = 0; k < BATCH; k++)
            e[k] = sample(w->x[j + k], w->positive[j + k] && (course == REFITTED || !w->late[j + k]));
        w->model->learn(&w->config, block, e, BATCH);
    }
    if (course == FLIPPED)
        flip_late(w, block, flipped, count);
    return block;
}

static void moments(const struct world *w, const void *block, double *mean, double *covariance)
{
    double value[N + PACKED];
    w->model->values(&w->config, block, NOON, value);
    memcpy(mean, value, N * sizeof *mean);
    memset(covariance, 0, PACKED * sizeof *covariance);
    for (uint32_t i = 0; i < (w->config.covariance == COVARIANCE_FULL ? PACKED : N); i++)
        covariance[w->config.covariance == COVARIANCE_FULL ? i : packed_diagonal(i)] = value[N + i];
}

/* ln det, by the pivots of Cholesky's factor. */
static double log_determinant(const double *covariance)
{
    double l[N][N] = {{0}}, sum = 0;
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double rest = covariance[packed_at(i, j)] - vector_dot(l[i], l[j], j);
            l[i][j] = i == j ? sqrt(rest) : rest / l[j][j];
            sum += i == j ? log(rest) : 0;
        }
    return sum;
}

/* Of the belief `is` from `right`, in nats. */
static double divergence(const struct world *w, const void *is, const void *right)
{
    static struct natural natural;
    double mean[N], covariance[PACKED], other[N], wide[PACKED];
    long double full[N * N], sum = -(long double)N;
    moments(w, is, mean, covariance);
    moments(w, right, other, wide);
    natural_of(other, wide, N, &natural);
    unpack(covariance, N, full);
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < N; j++)
            sum += natural.precision[i * N + j] * (full[i * N + j] + (mean[i] - other[i]) * (mean[j] - other[j]));
    return 0.5 * ((double)sum + log_determinant(wide) - log_determinant(covariance));
}

/* Positives that are foretold of samples to come, for each that there will be. */
static double calibration(const struct world *w, const void *block, uint64_t seed)
{
    double foretold = 0, real = 0;
    for (int k = 0; k < FRESH; k++) {
        struct score s;
        float x[FEATURES];
        fill_features(&seed, x, FEATURES, 1);
        w->model->score(&w->config, block, x, NOON, &s);
        foretold += s.expected / FRESH;
        real += rate(w, x) / FRESH;
    }
    return foretold / real;
}

struct outcome {
    double divergence, calibration; /* means over worlds */
};

static void measure(enum model_covariance covariance, size_t count, struct outcome out[COURSES])
{
    static struct world w;
    uint64_t seed = 1;
    memset(out, 0, COURSES * sizeof *out);
    for (int k = 0; k < WORLDS; k++) {
        world_make(&w, covariance, &seed);
        void *right = follow(&w, REFITTED, count);
        for (enum course c = REFITTED; c < COURSES; c++) {
            void *block = follow(&w, c, count);
            out[c].divergence += divergence(&w, block, right) / WORLDS;
            out[c].calibration += calibration(&w, block, seed) / WORLDS;
            free(block);
        }
        free(right);
    }
    print_message("%s, %zu samples: of a refit %.3f nats (ignored: %.2f); foretold for each positive %.3f, refitted "
                  "%.3f, ignored %.3f\n",
                  covariance == COVARIANCE_FULL ? "full" : "diagonal", count, out[FLIPPED].divergence,
                  out[IGNORED].divergence, out[FLIPPED].calibration, out[REFITTED].calibration,
                  out[IGNORED].calibration);
}

static void assert_within(enum model_covariance covariance, size_t count, double divergence_max, double off_max)
{
    struct outcome out[COURSES];
    measure(covariance, count, out);
    assert_true(fabs(out[REFITTED].divergence) < 1e-9);
    assert_true(out[FLIPPED].divergence > 0 && out[FLIPPED].divergence < divergence_max);
    assert_true(fabs(out[FLIPPED].calibration / out[REFITTED].calibration - 1) < off_max);
    assert_true(out[IGNORED].divergence > 4 * out[FLIPPED].divergence);
    assert_true(out[IGNORED].calibration < 0.85 * out[REFITTED].calibration);
}

static void a_flip_is_nearly_a_refit(void **state)
{
    (void)state;
    assert_within(COVARIANCE_FULL, 300, 0.27, 0.05);
    assert_within(COVARIANCE_FULL, SAMPLES, 0.11, 0.02);
}

static void in_the_diagonal_form_too(void **state)
{
    (void)state;
    assert_within(COVARIANCE_DIAGONAL, 300, 1.2, 0.15);
    assert_within(COVARIANCE_DIAGONAL, SAMPLES, 0.7, 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flip_is_nearly_a_refit),
        cmocka_unit_test(in_the_diagonal_form_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
