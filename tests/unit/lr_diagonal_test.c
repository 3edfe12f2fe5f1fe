/* Logistic regression with a diagonal covariance: its batches against a minimiser of another kind (BFGS), its single
 * samples against golden numbers, and what its headers promise about corrections. */
#include "tests/unit/regression.h"

static double *precision_of(struct lr_diagonal_block *b, uint32_t n) { return b->value + n; }

/* ---- the objective again, and BFGS ---- */

/* A batch, its prior and a linear term. */
struct problem {
    const struct model_config *config;
    const double *mean, *precision;
    const double *linear; /* n; NULL: none */
    const struct example *samples;
    const double *weight;
    size_t count;
};

static double objective(const struct problem *p, const double *w, double *gradient)
{
    uint32_t n = model_weights(p->config);
    double sum = 0, x[N_MAX];
    for (uint32_t i = 0; i < n; i++) {
        double d = w[i] - p->mean[i], r = p->linear ? p->linear[i] : 0;
        sum += 0.5 * p->precision[i] * d * d - r * w[i];
        gradient[i] = p->precision[i] * d - r;
    }
    for (size_t j = 0; j < p->count; j++) {
        double a = p->samples[j].offset;
        features_expand(p->config, p->samples[j].x, x);
        for (uint32_t i = 0; i < n; i++)
            a += x[i] * w[i];
        sum += p->weight[j] * (softplus(a) - p->samples[j].reward * a);
        for (uint32_t i = 0; i < n; i++)
            gradient[i] += p->weight[j] * (lr_logistic(a) - p->samples[j].reward) * x[i];
    }
    return sum;
}

static double dot(const double *a, const double *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* h: the inverse Hessian so far. Source: Nocedal and Wright, "Numerical Optimization", (6.17). */
static void bfgs_update(double h[N_MAX][N_MAX], const double *s, const double *y, uint32_t n)
{
    double hy[N_MAX], sy = dot(s, y, n);
    if (sy <= 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        hy[i] = dot(h[i], y, n);
    double scale = (1 + dot(y, hy, n) / sy) / sy;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < n; k++)
            h[i][k] += scale * s[i] * s[k] - (hy[i] * s[k] + s[i] * hy[k]) / sy;
}

static void bfgs(const struct problem *p, double *w)
{
    static double h[N_MAX][N_MAX];
    uint32_t n = model_weights(p->config);
    double gradient[N_MAX], step[N_MAX], next[N_MAX], change[N_MAX];
    for (uint32_t i = 0; i < n; i++) {
        memset(h[i], 0, sizeof h[i]);
        h[i][i] = 1 / p->precision[i];
        w[i] = p->mean[i];
    }
    double value = objective(p, w, gradient);
    for (int k = 0; k < 1000; k++) {
        double t = 1, slope, reached;
        for (uint32_t i = 0; i < n; i++)
            step[i] = -dot(h[i], gradient, n);
        slope = dot(gradient, step, n);
        if (slope > -1e-14)
            return;
        for (;; t /= 2) {
            for (uint32_t i = 0; i < n; i++)
                next[i] = w[i] + t * step[i];
            reached = objective(p, next, change);
            if (reached <= value + 1e-4 * t * slope)
                break;
            if (t < 1e-6)
                return; /* rounding */
        }
        for (uint32_t i = 0; i < n; i++) {
            double old = gradient[i];
            gradient[i] = change[i];
            change[i] -= old;
            step[i] *= t;
            w[i] = next[i];
        }
        value = reached;
        bfgs_update(h, step, change, n);
    }
}

/* ---- batches ---- */

/* The prior's block, the batch learned, the same by BFGS, and the curvature by hand. */
static void compare_with_bfgs(const struct model_config *config, const struct batch *batch, double tolerance)
{
    uint32_t n = model_weights(config);
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, config), *before = copy_of(config, b);
    const struct problem p = {.config = config,
                              .mean = before->value,
                              .precision = precision_of(before, n),
                              .samples = batch->e,
                              .weight = batch->weight,
                              .count = batch->count};
    double w[N_MAX], precision[N_MAX], x[N_MAX], gradient[N_MAX];
    model_lr_diagonal.learn(config, b, batch->e, batch->count);
    bfgs(&p, w);
    assert_all_near(b->value, w, n, tolerance, "mode");
    memcpy(precision, p.precision, n * sizeof *precision);
    for (size_t j = 0; j < batch->count; j++) {
        features_expand(config, batch->x[j], x);
        double h = batch->weight[j] * lr_curvature(dot(x, w, n) + batch->e[j].offset);
        for (uint32_t i = 0; i < n; i++)
            precision[i] += h * x[i] * x[i];
    }
    assert_all_near(precision_of(b, n), precision, n, tolerance, "precision");
    assert_int_equal(b->head.repairs, 0);
    objective(&p, b->value, gradient);
    for (uint32_t i = 0; i < n; i++)
        assert_true(fabs(gradient[i]) < 1e-5 * sqrt(precision[i]));
    free(b);
    free(before);
}

static void test_batch_is_the_mode(void **state)
{
    static const size_t counts[] = {2, 7, 100, BATCH_MAX};
    static const uint32_t dimensions[] = {1, 2, 8, 32, 63};
    static struct batch batch;
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        for (size_t k = 0; k < ARRAY_LEN(dimensions); k++) {
            struct model_config config = plain(dimensions[k], k % 2, COVARIANCE_DIAGONAL);
            batch_make(&batch, &seed, &config, counts[i], 1);
            compare_with_bfgs(&config, &batch, 1e-6);
        }
}

/* Separable labels, wide priors, far starting points: plain Newton leaves for the horizon on these. */
static void test_hard_batches(void **state)
{
    static struct batch batch;
    (void)state;
    for (uint64_t run = 1; run <= 100; run++) {
        uint64_t seed = run;
        struct model_config config = plain(1 + (uint32_t)below(&seed, 8), true, COVARIANCE_DIAGONAL);
        config.prior_sd = config.intercept_sd = 1 + 10 * uniform(&seed);
        config.intercept_mean = -20 * uniform(&seed);
        batch_make(&batch, &seed, &config, 2 + below(&seed, 60), 3);
        for (size_t j = 0; j < batch.count; j++) {
            batch.e[j].reward = run % 2 ? batch.x[j][0] > 0 : 1;
            batch.e[j].weight = batch.weight[j] = run % 3 ? 1 : 50 * uniform(&seed);
            batch.e[j].offset = -3 * uniform(&seed);
        }
        compare_with_bfgs(&config, &batch, 1e-5);
    }
}

static void test_single_samples(void **state)
{
    /* Laplace in one dimension, from another program: (m, v, y), alpha, beta. */
    static const struct {
        double m, v, y, alpha, beta;
    } golden[] = {
        {0, 1, 1, .401058138, .193685271},    {-3, 1, 1, .891706640, .0880621104},
        {-3, 1, 0, -.0454157996, .041551801}, {-3, 9, 1, .385255537, .0756293958},
        {2, .25, 0, -.856423157, .11929532},  {-6, 4, 0, -.00244858269, .00241895312},
    };
    float one = 1;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        struct model_config config = plain(1, false, COVARIANCE_DIAGONAL);
        config.prior_mean = golden[i].m;
        config.prior_sd = sqrt(golden[i].v);
        struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
        struct example e = sample(&one, golden[i].y);
        model_lr_diagonal.learn(&config, b, &e, 1);
        assert_near(b->value[0], golden[i].m + golden[i].v * golden[i].alpha, 1e-8, "mean");
        assert_near(1 / b->value[1], golden[i].v - golden[i].v * golden[i].v * golden[i].beta, 1e-8, "variance");
        free(b);
    }
}

/* One sample alone, or beside one without weight: two ways, one answer. */
static void test_one_is_a_batch(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (int run = 0; run < 200; run++) {
        struct model_config config = plain(1 + (uint32_t)below(&seed, 20), below(&seed, 2), COVARIANCE_DIAGONAL);
        struct lr_diagonal_block *a = block_new(&model_lr_diagonal, &config), *b = copy_of(&config, a);
        float x[N_MAX];
        fill_features(&seed, x, config.dimension, 3);
        struct example e[2] = {sample(x, uniform(&seed)), sample(x, 1)};
        e[0].weight = 5 * uniform(&seed);
        e[0].offset = 4 * normal(&seed);
        e[1].weight = 0;
        model_lr_diagonal.learn(&config, a, e, 1);
        model_lr_diagonal.learn(&config, b, e, 2);
        assert_all_near(a->value, b->value, 2 * model_weights(&config), 1e-9, "value");
        free(a);
        free(b);
    }
}

/* A million samples one by one, against the same steps taken in long double. */
static void test_drift(void **state)
{
    enum { COUNT = 1000000, DIMENSION = 7, N = DIMENSION + 1 };
    struct model_config config = plain(DIMENSION, true, COVARIANCE_DIAGONAL);
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    long double mean[N], precision[N];
    double wide[N], worst_mean = 0, worst_precision = 0;
    uint64_t seed = 5;
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        mean[i] = b->value[i];
        precision[i] = precision_of(b, N)[i];
    }
    for (int k = 0; k < COUNT; k++) {
        float x[DIMENSION];
        fill_features(&seed, x, DIMENSION, 1);
        features_expand(&config, x, wide);
        struct example e = sample(x, uniform(&seed) < lr_logistic(0.7 * wide[0] - 0.5 * wide[1] - 2));
        model_lr_diagonal.learn(&config, b, &e, 1);
        double mode = dot(wide, b->value, N); /* the score where it was solved */
        for (uint32_t i = 0; i < N; i++) {
            mean[i] += (e.reward - lr_logistic(mode)) * wide[i] / precision[i];
            precision[i] += lr_curvature(mode) * wide[i] * wide[i];
        }
    }
    for (uint32_t i = 0; i < N; i++) {
        worst_mean = fmax(worst_mean, (double)(fabsl(b->value[i] - mean[i]) * sqrtl(precision[i])));
        worst_precision = fmax(worst_precision, (double)fabsl(precision_of(b, N)[i] / precision[i] - 1));
    }
    print_message("a million samples: mean off by %.1e sd, precisions by %.1e\n", worst_mean, worst_precision);
    assert_true(worst_mean < 1e-9 && worst_precision < 1e-11 && b->head.repairs == 0);
    assert_int_equal(b->head.positives + b->head.negatives, COUNT);
    assert_near(b->value[0], 0.7, 0.1, "what the samples were made with");
    free(b);
}

static void test_order_within_a_batch(void **state)
{
    static struct batch batch;
    struct model_config config = plain(10, true, COVARIANCE_DIAGONAL);
    struct lr_diagonal_block *a = block_new(&model_lr_diagonal, &config), *b = copy_of(&config, a);
    uint64_t seed = 4;
    (void)state;
    config.decay_per_ms = model_decay(HOUR);
    batch_make(&batch, &seed, &config, 100, 1);
    for (size_t j = 0; j < batch.count; j++)
        batch.e[j].time = NOON + (int64_t)below(&seed, HOUR);
    model_lr_diagonal.learn(&config, a, batch.e, batch.count);
    for (size_t j = 0; j < batch.count / 2; j++) {
        struct example held = batch.e[j];
        batch.e[j] = batch.e[batch.count - 1 - j];
        batch.e[batch.count - 1 - j] = held;
    }
    model_lr_diagonal.learn(&config, b, batch.e, batch.count);
    assert_all_near(a->value, b->value, 22, 1e-9, "value");
    assert_true(a->head.time == b->head.time);
    free(a);
    free(b);
}

/* Past LR_DIAGONAL_BATCH a call is several batches; with 4,096 weights, too. */
static void test_large(void **state)
{
    enum { COUNT = LR_DIAGONAL_BATCH + 3, WIDE = MODEL_DIAGONAL_MAX };
    struct model_config config = plain(2, false, COVARIANCE_DIAGONAL);
    struct lr_diagonal_block *a = block_new(&model_lr_diagonal, &config), *b = copy_of(&config, a);
    struct example *e = mem_new(COUNT, sizeof *e);
    float *x = mem_new(COUNT * 2 + 3 * WIDE, sizeof *x);
    uint64_t seed = 5;
    (void)state;
    fill_features(&seed, x, 2 * COUNT + 3 * WIDE, 1);
    for (int j = 0; j < COUNT; j++)
        e[j] = sample(x + 2 * j, below(&seed, 2));
    model_lr_diagonal.learn(&config, a, e, COUNT);
    model_lr_diagonal.learn(&config, b, e, LR_DIAGONAL_BATCH);
    model_lr_diagonal.learn(&config, b, e + LR_DIAGONAL_BATCH, 3);
    assert_memory_equal(a, b, model_lr_diagonal.block_size(&config));
    free(a);
    free(b);

    config = plain(WIDE, false, COVARIANCE_DIAGONAL);
    assert_true(model_lr_diagonal.block_size(&config) <= MODEL_BLOCK_MAX);
    a = block_new(&model_lr_diagonal, &config);
    for (int j = 0; j < 3; j++)
        e[j].x = x + j * WIDE;
    model_lr_diagonal.learn(&config, a, e, 3);
    model_lr_diagonal.learn(&config, a, e, 1);
    assert_true(model_lr_diagonal.valid(&config, a) && a->head.repairs == 0);
    free(a);
    free(e);
    free(x);
}

/* ---- corrections ---- */

/* Flips, then a batch: the mode with the flips as a linear term in the batch's objective. */
static void test_flips_and_the_next_batch(void **state)
{
    enum { FLIPS = 5 };
    static struct batch first, second;
    struct model_config config = plain(6, true, COVARIANCE_DIAGONAL);
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    uint32_t n = model_weights(&config);
    double linear[N_MAX] = {0}, x[N_MAX], w[N_MAX];
    uint64_t seed = 7;
    (void)state;
    batch_make(&first, &seed, &config, 100, 1);
    batch_make(&second, &seed, &config, 80, 1);
    for (size_t j = 0; j < first.count; j++)
        first.e[j].reward = 0;
    model_lr_diagonal.learn(&config, b, first.e, first.count);
    struct lr_diagonal_block *before = copy_of(&config, b);
    for (int j = 0; j < FLIPS; j++) {
        struct correction c = {first.e[j], first.e[j]};
        c.after.reward = 1;
        model_lr_diagonal.correct(&config, b, &c);
        features_expand(&config, first.x[j], x);
        for (uint32_t i = 0; i < n; i++)
            linear[i] += x[i];
    }
    assert_int_equal(b->head.positives, FLIPS);
    model_lr_diagonal.learn(&config, b, second.e, second.count);
    const struct problem p = {&config, before->value, precision_of(before, n), linear, second.e, second.weight, 80};
    bfgs(&p, w);
    assert_all_near(b->value, w, n, 1e-6, "mode");
    free(b);
    free(before);
}

static void test_there_and_back(void **state)
{
    static struct batch batch;
    struct model_config config = plain(6, true, COVARIANCE_DIAGONAL);
    uint64_t seed = 8;
    (void)state;
    config.decay_per_ms = model_decay(HOUR);
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    batch_make(&batch, &seed, &config, 100, 0.5);
    for (size_t j = 0; j < batch.count; j++) {
        batch.e[j].time = NOON + (int64_t)below(&seed, HOUR);
        batch.e[j].weight = 2 * uniform(&seed);
    }
    model_lr_diagonal.learn(&config, b, batch.e, batch.count);
    struct lr_diagonal_block *before = copy_of(&config, b);
    for (int back = 0; back < 2; back++)
        for (size_t j = 0; j < batch.count; j++) {
            struct correction c = {batch.e[j], batch.e[j]};
            (back ? &c.before : &c.after)->reward = 1 - batch.e[j].reward;
            model_lr_diagonal.correct(&config, b, &c);
        }
    assert_all_near(b->value, before->value, 14, 1e-12, "value");
    assert_true(b->head.positives == before->head.positives && b->head.negatives == before->head.negatives);
    free(b);
    free(before);
}

/* Taken out: as if it had been exchanged for one that weighs nothing, and counted no more. */
static void test_retract(void **state)
{
    struct model_config config = plain(3, true, COVARIANCE_DIAGONAL);
    float x[3] = {0.5f, -1, 0.25f};
    struct lr_diagonal_block *a = block_new(&model_lr_diagonal, &config), *b = block_new(&model_lr_diagonal, &config);
    struct example e = sample(x, 1);
    struct correction c = {e, e};
    (void)state;
    c.after.weight = 0;
    model_lr_diagonal.learn(&config, a, &e, 1);
    model_lr_diagonal.learn(&config, b, &e, 1);
    model_lr_diagonal.correct(&config, a, &c);
    model_lr_diagonal.retract(&config, b, &e);
    assert_memory_equal(a->value, b->value, model_weights(&config) * sizeof(double));
    assert_int_equal(a->head.positives, 1);
    assert_int_equal(b->head.positives + b->head.negatives, 0);
    free(a);
    free(b);
}

static void test_shift_is_bounded(void **state)
{
    struct model_config config = plain(1, false, COVARIANCE_DIAGONAL);
    float x = 1;
    (void)state;
    config.prior_sd = 100;
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    struct example e = sample(&x, 0);
    model_lr_diagonal.learn(&config, b, &e, 1);
    double before = b->value[0];
    struct correction c = {e, e};
    c.after.reward = 1;
    model_lr_diagonal.correct(&config, b, &c);
    assert_near(b->value[0] - before, LR_SHIFT_MAX, 1e-12, "shift");
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_is_the_mode),
        cmocka_unit_test(test_hard_batches),
        cmocka_unit_test(test_single_samples),
        cmocka_unit_test(test_one_is_a_batch),
        cmocka_unit_test(test_order_within_a_batch),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_flips_and_the_next_batch),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_shift_is_bounded),
        cmocka_unit_test(test_retract),
        cmocka_unit_test(test_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
