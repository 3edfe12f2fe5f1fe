/* Logistic regression with a diagonal covariance: its batches against a minimiser of another kind (BFGS), its single
 * samples against golden numbers, and what its headers promise about time, corrections and guards. */
#include "tests/unit/regression.h"

#include "learner/laplace.h"
#include "learner/lr_diagonal.h"

enum { BATCH_MAX = 300 };

static double *precision_of(struct lr_diagonal_block *b, uint32_t n) { return b->value + n; }

static struct lr_diagonal_block *copy_of(const struct model_config *config, const struct lr_diagonal_block *b)
{
    size_t size = model_lr_diagonal.block_size(config);
    return memcpy(mem_new(1, size), b, size);
}

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
        sum += p->weight[j] * (lr_softplus(a) - p->samples[j].reward * a);
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

struct batch {
    size_t count;
    struct example e[BATCH_MAX];
    double weight[BATCH_MAX];
    float x[BATCH_MAX][N_MAX];
};

static void batch_make(struct batch *b, uint64_t *seed, const struct model_config *config, size_t count, double scale)
{
    b->count = count;
    for (size_t j = 0; j < count; j++) {
        fill_features(seed, b->x[j], config->dimension, scale);
        b->e[j] = sample(b->x[j], below(seed, 4) == 0);
        b->weight[j] = 1;
    }
}

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

/* ---- time ---- */

static void test_half_life(void **state)
{
    static struct batch batch;
    struct model_config config = plain(3, true, COVARIANCE_DIAGONAL);
    double values[8], prior[8];
    uint64_t seed = 6;
    (void)state;
    config.decay_per_ms = model_decay(HOUR);
    config.prior_mean = 0.25;
    config.prior_sd = 2;
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    model_lr_diagonal.values(&config, NULL, NOON, prior);
    batch_make(&batch, &seed, &config, 50, 1);
    model_lr_diagonal.learn(&config, b, batch.e, batch.count);
    model_lr_diagonal.values(&config, b, NOON + 2 * HOUR, values);
    for (int i = 0; i < 4; i++) {
        double q = 0.25 * b->value[4 + i] + 0.75 / prior[4 + i];
        double m = (0.25 * b->value[4 + i] * b->value[i] + 0.75 / prior[4 + i] * prior[i]) / q;
        assert_near(values[4 + i], 1 / q, 1e-13, "variance two half-lives on");
        assert_near(values[i], m, 1e-13, "mean two half-lives on");
    }
    struct example nothing = sample(batch.x[0], 0);
    nothing.weight = 0;
    nothing.time = NOON + HOUR;
    model_lr_diagonal.learn(&config, b, &nothing, 1);
    nothing.time = NOON + 2 * HOUR;
    model_lr_diagonal.learn(&config, b, &nothing, 1);
    for (int i = 0; i < 4; i++) {
        assert_near(b->value[i], values[i], 1e-13, "mean in two steps");
        assert_near(1 / b->value[4 + i], values[4 + i], 1e-13, "variance in two steps");
    }
    model_lr_diagonal.values(&config, b, NOON + 100000 * HOUR, values);
    assert_all_near(values, prior, 8, 1e-13, "back to the prior");
    free(b);
}

/* In a batch, and alone: behind the newest time, only what is left counts. */
static void test_late(void **state)
{
    struct model_config config = plain(2, true, COVARIANCE_DIAGONAL);
    float x[2] = {1, -0.5f}, y[2] = {0.25f, 2};
    (void)state;
    config.decay_per_ms = model_decay(HOUR);
    struct lr_diagonal_block *a = block_new(&model_lr_diagonal, &config), *b = copy_of(&config, a);
    struct example late[3] = {sample(x, 1), sample(y, 0), sample(x, 0)}, half[3];
    late[1].time = NOON + HOUR;
    memcpy(half, late, sizeof half);
    half[0].weight = half[2].weight = 0.5;
    half[0].time = half[2].time = NOON + HOUR;
    model_lr_diagonal.learn(&config, a, late, 2);
    model_lr_diagonal.learn(&config, b, half, 2);
    assert_all_near(a->value, b->value, 6, 1e-15, "batch");
    model_lr_diagonal.learn(&config, a, late + 2, 1);
    model_lr_diagonal.learn(&config, b, half + 2, 1);
    assert_all_near(a->value, b->value, 6, 1e-15, "alone");
    struct correction of_late = {late[0], late[0]}, of_half = {half[0], half[0]};
    of_late.after.reward = of_half.after.reward = 0;
    model_lr_diagonal.correct(&config, a, &of_late);
    model_lr_diagonal.correct(&config, b, &of_half);
    assert_all_near(a->value, b->value, 6, 1e-15, "corrected");
    free(a);
    free(b);
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

/* ---- guards and reading ---- */

static void test_extremes(void **state)
{
    static const double scales[] = {0, 1e-20, 1e-3, 1, 30, 1e6};
    uint64_t repairs = 0;
    (void)state;
    for (uint64_t run = 1; run <= 60; run++) {
        uint64_t seed = run;
        struct model_config config = plain(1 + (uint32_t)below(&seed, 16), true, COVARIANCE_DIAGONAL);
        config.decay_per_ms = model_decay(HOUR);
        config.feature_max = 1e6;
        config.prior_sd = pow(10, (double)below(&seed, 7) - 3);
        struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
        for (int i = 0; i < 100; i++) {
            float x[20][N_MAX];
            struct example e[20];
            size_t count = 1 + below(&seed, 20);
            for (size_t j = 0; j < count; j++) {
                double scale = scales[below(&seed, ARRAY_LEN(scales))];
                for (uint32_t k = 0; k < config.dimension; k++)
                    x[j][k] = (float)(scale * (2 * uniform(&seed) - 1));
                e[j] = sample(x[j], below(&seed, 2));
                e[j].weight = below(&seed, 10) ? uniform(&seed) : FEATURES_WEIGHT_MAX * uniform(&seed);
                e[j].offset = 100 * uniform(&seed) - 50;
                e[j].time = NOON + (int64_t)below(&seed, 10 * HOUR);
            }
            model_lr_diagonal.learn(&config, b, e, count);
            struct correction c = {e[0], e[0]};
            c.after.reward = 1 - e[0].reward;
            if (below(&seed, 4) == 0)
                model_lr_diagonal.correct(&config, b, &c);
            if (!model_lr_diagonal.valid(&config, b))
                fail_msg("run %d, batch %d: not valid", (int)run, i);
        }
        repairs += b->head.repairs;
        free(b);
    }
    print_message("6,000 absurd batches: %d did not end\n", (int)repairs);
}

static void test_valid(void **state)
{
    static const double bad_mean[] = {NAN, INFINITY}, bad_precision[] = {NAN, INFINITY, 0, -1};
    struct model_config config = plain(2, false, COVARIANCE_DIAGONAL);
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    (void)state;
    assert_true(model_lr_diagonal.valid(&config, b));
    for (size_t i = 0; i < ARRAY_LEN(bad_mean); i++) {
        b->value[1] = bad_mean[i];
        assert_false(model_lr_diagonal.valid(&config, b));
    }
    b->value[1] = 0;
    for (size_t i = 0; i < ARRAY_LEN(bad_precision); i++) {
        b->value[3] = bad_precision[i];
        assert_false(model_lr_diagonal.valid(&config, b));
    }
    free(b);
}

static void test_reading(void **state)
{
    struct model_config config = plain(2, true, COVARIANCE_DIAGONAL);
    double means[] = {0.5, -1, -2}, sds[] = {1, 2, 3}, values[6], want[] = {0.5, -1, -2, 1, 4, 9};
    float x[2] = {2, 3};
    struct value_name name;
    struct score s;
    struct belief belief;
    struct summary summary;
    (void)state;
    config.prior_means = means;
    config.prior_sds = sds;
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    for (int learned = 0; learned < 2; learned++) {
        model_lr_diagonal.values(&config, learned ? b : NULL, NOON, values);
        assert_all_near(values, want, 6, 1e-15, "value");
        model_lr_diagonal.score(&config, learned ? b : NULL, x, NOON, &s);
        assert_near(s.mean, -4, 1e-15, "score");
        assert_near(s.variance, 4 + 36 + 9, 1e-14, "its variance");
    }
    model_lr_diagonal.describe(&config, b, NOON, &belief);
    assert_true(belief.lower < belief.mean && belief.mean < belief.upper && belief.positives == 0);
    b->head.positives = 2;
    b->head.negatives = 3;
    model_lr_diagonal.summarise(&config, b, &summary);
    assert_int_equal(summary.samples, 5);
    model_lr_diagonal.value_name(&config, 2, &name);
    assert_string_equal(name.text, "mean[2]");
    model_lr_diagonal.value_name(&config, 5, &name);
    assert_string_equal(name.text, "variance[2]");
    assert_ptr_equal(lr_model(&config), &model_lr_diagonal);
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
        cmocka_unit_test(test_half_life),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_flips_and_the_next_batch),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_shift_is_bounded),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
