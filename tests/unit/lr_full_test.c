/* Logistic regression with a full covariance: against natural parameters in long double, and against what its headers
 * promise about time, weights, corrections and guards. */
#include "tests/unit/regression.h"

#include <pthread.h>

#include "learner/lr_full.h"
#include "learner/moment_match.h"

static double *covariance_of(struct lr_full_block *b, uint32_t n) { return b->value + n; }

static struct model_config hourly(uint32_t dimension)
{
    struct model_config config = plain(dimension, true, COVARIANCE_FULL);
    config.decay_per_ms = model_decay(HOUR);
    config.prior_mean = 0.1;
    config.prior_sd = 1.5;
    config.intercept_mean = -2;
    config.intercept_sd = 0.7;
    return config;
}

static void learn(const struct model_config *config, struct lr_full_block *b, struct example e)
{
    model_lr_full.learn(config, b, &e, 1);
}

static void learn_some(const struct model_config *config, struct lr_full_block *b, uint64_t *seed, int count)
{
    float x[N_MAX];
    for (int i = 0; i < count; i++) {
        fill_features(seed, x, config->dimension, 1);
        learn(config, b, sample(x, below(seed, 4) == 0));
    }
}

static void expand(const struct model_config *config, const float *x, double *out) { features_expand(config, x, out); }

/* The site that a sample is, seen from the block. */
static struct site site_in(const struct model_config *config, const struct lr_full_block *b, const struct example *e)
{
    struct score s;
    model_lr_full.score(config, b, e->x, b->head.time, &s);
    double m = s.mean + e->offset;
    struct site site = site_of(moment_match(m, s.variance, e->reward, e->weight), m, s.variance);
    site.nu -= site.tau * e->offset; /* the offset is known, not believed */
    return site;
}

static void assert_is(struct lr_full_block *b, const struct natural *want, double tolerance)
{
    double mean[N_MAX], covariance[N_MAX * (N_MAX + 1) / 2];
    natural_moments(want, mean, covariance);
    assert_all_near(b->value, mean, want->n, tolerance, "mean");
    assert_all_near(covariance_of(b, want->n), covariance, packed_size(want->n), tolerance, "covariance");
}

/* The moment form and the natural form are one and the same. */
static void test_natural_form(void **state)
{
    static const uint32_t dimensions[] = {1, 2, 3, 8, 31, 63};
    uint64_t seed = 4;
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(dimensions); k++) {
        struct model_config config = plain(dimensions[k], true, COVARIANCE_FULL);
        struct lr_full_block *b = block_new(&model_lr_full, &config);
        uint32_t n = model_weights(&config);
        struct natural belief;
        learn_some(&config, b, &seed, 10);
        natural_of(b->value, covariance_of(b, n), n, &belief);
        float x[N_MAX];
        double wide[N_MAX];
        fill_features(&seed, x, config.dimension, 1);
        expand(&config, x, wide);
        struct example e = sample(x, 0.75);
        e.weight = 2.5;
        e.offset = -1.5;
        struct site site = site_in(&config, b, &e);
        natural_add(&belief, wide, site.tau, site.nu);
        learn(&config, b, e);
        assert_is(b, &belief, 1e-12);
        free(b);
    }
}

/* A million samples one by one, against the same sites summed in long double. */
static void test_drift(void **state)
{
    enum { COUNT = 1000000 };
    struct model_config config = plain(7, true, COVARIANCE_FULL);
    struct lr_full_block *b = block_new(&model_lr_full, &config);
    uint32_t n = model_weights(&config);
    struct natural belief;
    uint64_t seed = 5;
    (void)state;
    natural_of(b->value, covariance_of(b, n), n, &belief);
    for (int i = 0; i < COUNT; i++) {
        float x[N_MAX];
        double wide[N_MAX];
        fill_features(&seed, x, config.dimension, 1);
        expand(&config, x, wide);
        struct example e = sample(x, uniform(&seed) < lr_logistic(0.7 * wide[0] - 0.5 * wide[1] - 2));
        struct site site = site_in(&config, b, &e);
        natural_add(&belief, wide, site.tau, site.nu);
        learn(&config, b, e);
    }
    double mean[N_MAX], covariance[N_MAX * (N_MAX + 1) / 2], worst_mean = 0, worst_covariance = 0;
    natural_moments(&belief, mean, covariance);
    for (uint32_t i = 0; i < n; i++) {
        double sd = sqrt(covariance[packed_diagonal(i)]);
        worst_mean = fmax(worst_mean, fabs(b->value[i] - mean[i]) / sd);
        for (uint32_t j = 0; j <= i; j++)
            worst_covariance =
                fmax(worst_covariance, fabs(covariance_of(b, n)[packed_at(i, j)] - covariance[packed_at(i, j)]) /
                                           (sd * sqrt(covariance[packed_diagonal(j)])));
    }
    print_message("a million samples: mean off by %.1e sd, covariances by %.1e\n", worst_mean, worst_covariance);
    assert_true(worst_mean < 1e-7 && worst_covariance < 1e-8 && b->head.repairs == 0);
    assert_int_equal(b->head.positives + b->head.negatives, COUNT);
    assert_near(b->value[0], 0.7, 0.03, "what the samples were made with");
    free(b);
}

/* A whole weight is that many samples; none is only counted and dated. */
static void test_weights(void **state)
{
    struct model_config config = plain(5, true, COVARIANCE_FULL);
    struct lr_full_block *once = block_new(&model_lr_full, &config), *often = block_new(&model_lr_full, &config);
    uint64_t seed = 6;
    float x[N_MAX];
    (void)state;
    for (int i = 0; i < 50; i++) {
        fill_features(&seed, x, 5, 1);
        struct example e = sample(x, i % 3 == 0);
        int times = (int)below(&seed, 5);
        for (int k = 0; k < times; k++)
            learn(&config, often, e);
        e.weight = times;
        learn(&config, once, e);
    }
    uint32_t n = model_weights(&config);
    assert_all_near(once->value, often->value, n + packed_size(n), 1e-12, "value");
    assert_int_equal(once->head.positives, 17);
    assert_true(once->head.time == NOON);
    free(once);
    free(often);
}

/* An offset shifts the score as a known intercept would. */
static void test_offset(void **state)
{
    struct model_config config = plain(4, true, COVARIANCE_FULL), shifted = config;
    uint64_t seed = 7;
    float x[N_MAX];
    (void)state;
    shifted.intercept_mean = 1.25;
    struct lr_full_block *a = block_new(&model_lr_full, &config), *b = block_new(&model_lr_full, &shifted);
    for (int i = 0; i < 50; i++) {
        fill_features(&seed, x, 4, 1);
        struct example e = sample(x, i % 2);
        learn(&shifted, b, e);
        e.offset = 1.25;
        learn(&config, a, e);
    }
    b->value[4] -= 1.25;
    assert_all_near(a->value, b->value, 5 + packed_size(5), 1e-12, "value");
    free(a);
    free(b);
}

static void test_mirror(void **state)
{
    struct model_config config = plain(6, true, COVARIANCE_FULL);
    struct lr_full_block *a = block_new(&model_lr_full, &config), *b = block_new(&model_lr_full, &config);
    uint64_t seed = 8;
    float x[N_MAX];
    (void)state;
    for (int i = 0; i < 100; i++) {
        double y = uniform(&seed);
        fill_features(&seed, x, 6, 1);
        learn(&config, a, sample(x, y));
        learn(&config, b, sample(x, 1 - y));
    }
    for (uint32_t i = 0; i < 7; i++)
        b->value[i] = -b->value[i];
    assert_all_near(a->value, b->value, 7 + packed_size(7), 1e-12, "value");
    free(a);
    free(b);
}

/* ---- corrections ---- */

static struct correction flip(const float *x, double from, double to, int64_t time)
{
    struct correction c = {sample(x, from), sample(x, to)};
    c.before.time = c.after.time = time;
    return c;
}

/* Precision stays, precision times mean moves by the flipped labels: whatever the order. */
static void test_flips(void **state)
{
    enum { COUNT = 40 };
    struct model_config config = plain(8, true, COVARIANCE_FULL);
    struct lr_full_block *a = block_new(&model_lr_full, &config), *b;
    uint32_t n = model_weights(&config);
    size_t size = model_lr_full.block_size(&config);
    struct natural belief;
    float x[COUNT][N_MAX];
    uint64_t seed = 9;
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        fill_features(&seed, x[i], 8, 0.5);
        learn(&config, a, sample(x[i], 0));
    }
    b = memcpy(mem_new(1, size), a, size);
    natural_of(a->value, covariance_of(a, n), n, &belief);
    for (int i = 0; i < COUNT; i += 3) {
        struct correction forward = flip(x[i], 0, 1, NOON), other = flip(x[COUNT - 1 - i], 0, 1, NOON);
        double wide[N_MAX];
        expand(&config, x[i], wide);
        natural_add(&belief, wide, 0, 1);
        model_lr_full.correct(&config, a, &forward);
        model_lr_full.correct(&config, b, &other); /* the same ones: 39 - i of every third i */
    }
    assert_is(a, &belief, 1e-12);
    assert_all_near(a->value, b->value, n + packed_size(n), 1e-12, "another order");
    assert_int_equal(a->head.positives, 14);
    assert_int_equal(a->head.negatives, COUNT - 14);
    for (int i = 0; i < COUNT; i += 3) {
        struct correction back = flip(x[i], 1, 0, NOON);
        model_lr_full.correct(&config, a, &back);
        natural_add(&belief, (double[N_MAX]){0}, 0, 0);
    }
    free(b);
    b = block_new(&model_lr_full, &config);
    for (int i = 0; i < COUNT; i++)
        learn(&config, b, sample(x[i], 0));
    assert_all_near(a->value, b->value, n + packed_size(n), 1e-12, "there and back");
    free(a);
    free(b);
}

/* Another feature, weight or offset: the gradient at today's mean is exchanged. */
static void test_exchange(void **state)
{
    struct model_config config = plain(3, true, COVARIANCE_FULL);
    float old[3] = {0.5f, -1, 0.25f}, new[3] = {0.5f, -1, -0.75f};
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct lr_full_block *b = block_new(&model_lr_full, &config);
        struct correction c = {sample(old, 0), sample(old, 1)};
        struct natural belief;
        uint64_t seed = 10;
        c.after.x = what == 0 ? new : old;
        c.after.weight = what == 1 ? 1.5 : 1;
        c.after.offset = what == 2 ? -0.5 : 0;
        learn_some(&config, b, &seed, 20);
        learn(&config, b, c.before);
        natural_of(b->value, covariance_of(b, 4), 4, &belief);
        for (int side = 0; side < 2; side++) {
            const struct example *e = side ? &c.after : &c.before;
            double wide[N_MAX], score = e->offset;
            expand(&config, e->x, wide);
            for (int i = 0; i < 4; i++)
                score += wide[i] * b->value[i];
            double pull = e->weight * (e->reward - lr_logistic(score));
            natural_add(&belief, wide, 0, side ? pull : -pull);
        }
        model_lr_full.correct(&config, b, &c);
        assert_is(b, &belief, 1e-12);
        free(b);
    }
}

static void test_shift_is_bounded(void **state)
{
    struct model_config config = plain(1, false, COVARIANCE_FULL);
    float x = 1;
    struct score s;
    (void)state;
    config.prior_sd = 100;
    struct lr_full_block *b = block_new(&model_lr_full, &config);
    learn(&config, b, (struct example){.weight = 1, .time = NOON, .x = &x});
    model_lr_full.score(&config, b, &x, NOON, &s);
    double before = s.mean;
    struct correction c = flip(&x, 0, 1, NOON);
    model_lr_full.correct(&config, b, &c);
    model_lr_full.score(&config, b, &x, NOON, &s);
    assert_near(s.mean - before, LR_SHIFT_MAX, 1e-12, "shift");
    free(b);
}

/* ---- time ---- */

/* The values that `left` of a block and the rest of the prior make. */
static void blend_naively(const struct model_config *config, struct lr_full_block *b, long double left, double *values)
{
    uint32_t n = model_weights(config);
    struct lr_full_block *prior = block_new(&model_lr_full, config);
    struct natural belief, start;
    natural_of(b->value, covariance_of(b, n), n, &belief);
    natural_of(prior->value, covariance_of(prior, n), n, &start);
    for (uint32_t i = 0; i < n * n; i++)
        belief.precision[i] = left * belief.precision[i] + (1 - left) * start.precision[i];
    for (uint32_t i = 0; i < n; i++)
        belief.shift[i] = left * belief.shift[i] + (1 - left) * start.shift[i];
    natural_moments(&belief, values, values + n);
    free(prior);
}

static void learn_nothing(const struct model_config *config, struct lr_full_block *b, int64_t time)
{
    static const float nowhere[N_MAX];
    learn(config, b, (struct example){.weight = 0, .time = time, .x = nowhere});
}

static void test_half_life(void **state)
{
    struct model_config config = hourly(5);
    struct lr_full_block *b = block_new(&model_lr_full, &config), *slow = block_new(&model_lr_full, &config);
    uint32_t width = model_lr_full.width(&config);
    uint64_t seed = 11, again = 11;
    double values[64], want[64];
    (void)state;
    learn_some(&config, b, &seed, 50);
    learn_some(&config, slow, &again, 50);
    for (int half_lives = 1; half_lives < 60; half_lives++) {
        blend_naively(&config, b, exp2l(-half_lives), want);
        model_lr_full.values(&config, b, NOON + half_lives * HOUR, values);
        assert_all_near(values, want, width, 1e-12, "half-lives on");
    }
    blend_naively(&config, b, 0.25L, want);
    learn_nothing(&config, b, NOON + HOUR);
    learn_nothing(&config, b, NOON + 2 * HOUR);
    assert_all_near(b->value, want, width, 1e-12, "in two steps");
    for (int64_t t = 0; t <= 2 * HOUR; t += HOUR / 100)
        learn_nothing(&config, slow, NOON + t);
    assert_all_near(slow->value, want, width, 1e-12, "in two hundred");
    model_lr_full.values(&config, b, NOON, values); /* the past is not remembered better */
    assert_all_near(values, want, width, 1e-12, "before its time");
    model_lr_full.values(&config, NULL, NOON, want);
    model_lr_full.values(&config, b, NOON + 100000 * HOUR, values);
    assert_all_near(values, want, width, 1e-15, "back to the prior");
    learn_nothing(&config, b, NOON + 100000 * HOUR);
    assert_all_near(b->value, want, width, 1e-15, "back to the prior for good");
    free(b);
    free(slow);
}

/* A sample behind the block's time counts with what is left of it; so does its correction. */
static void test_late(void **state)
{
    struct model_config config = hourly(3);
    struct lr_full_block *a = block_new(&model_lr_full, &config), *b = block_new(&model_lr_full, &config);
    float x[3] = {1, -0.5f, 0.25f};
    (void)state;
    struct example e = sample(x, 0);
    e.time = NOON + HOUR;
    learn(&config, a, e);
    learn(&config, b, e);
    struct example late = sample(x, 0), half = e;
    half.weight = 0.5;
    learn(&config, a, late);
    learn(&config, b, half);
    assert_all_near(a->value, b->value, 4 + packed_size(4), 1e-15, "value");
    struct correction of_late = flip(x, 0, 1, NOON), of_half = flip(x, 0, 1, NOON + HOUR);
    of_half.before.weight = of_half.after.weight = 0.5;
    model_lr_full.correct(&config, a, &of_late);
    model_lr_full.correct(&config, b, &of_half);
    assert_all_near(a->value, b->value, 4 + packed_size(4), 1e-15, "corrected");
    assert_true(a->head.time == NOON + HOUR);
    free(a);
    free(b);
}

/* Within 1/64 of the half-life nothing fades, so a busy document is cheap. */
static void test_steps(void **state)
{
    struct model_config config = hourly(3);
    struct lr_full_block *b = block_new(&model_lr_full, &config);
    uint64_t seed = 12;
    double values[64], first = 0;
    int changes = 0;
    (void)state;
    learn_some(&config, b, &seed, 50);
    for (int64_t t = 0; t < HOUR; t += 1000) {
        model_lr_full.values(&config, b, NOON + t, values);
        changes += values[0] != first;
        first = values[0];
    }
    assert_in_range(changes, 64, 66);
    free(b);
}

struct task {
    pthread_t thread;
    struct lr_full_block *block;
};

static void *learn_task(void *self)
{
    struct model_config config = hourly(20);
    struct task *t = self;
    uint64_t seed = 13;
    t->block = block_new(&model_lr_full, &config);
    for (int i = 0; i < 200; i++) {
        float x[N_MAX];
        fill_features(&seed, x, config.dimension, 1);
        struct example e = sample(x, below(&seed, 2));
        e.time += i * (HOUR / 20);
        learn(&config, t->block, e);
    }
    return NULL;
}

/* Equal samples give equal bits, whatever other threads do with OpenBLAS meanwhile. */
static void test_equal_bits(void **state)
{
    struct model_config config = hourly(20);
    struct task task[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(task); i++)
        assert_int_equal(pthread_create(&task[i].thread, NULL, learn_task, &task[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(task); i++) {
        assert_int_equal(pthread_join(task[i].thread, NULL), 0);
        assert_memory_equal(task[i].block, task[0].block, model_lr_full.block_size(&config));
    }
    for (size_t i = 0; i < ARRAY_LEN(task); i++)
        free(task[i].block);
}

/* ---- guards ---- */

/* A covariance that is larger than its variances allow, met by a sample and by forgetting. */
static void test_repairs(void **state)
{
    struct model_config config = hourly(2);
    struct lr_full_block *b = block_new(&model_lr_full, &config);
    float x[2] = {1, -1};
    (void)state;
    learn(&config, b, sample(x, 0));
    for (uint32_t repairs = 1; repairs <= 4; repairs++) {
        struct example e = sample(x, 1);
        e.time = NOON + repairs / 2 * HOUR; /* the same hour, the next one, ... */
        covariance_of(b, 3)[packed_at(1, 0)] = 2 * covariance_of(b, 3)[packed_diagonal(0)];
        assert_false(model_lr_full.valid(&config, b));
        learn(&config, b, e);
        assert_int_equal(b->head.repairs, repairs);
        assert_true(model_lr_full.valid(&config, b));
    }
    free(b);
}

static void test_extremes(void **state)
{
    static const double scales[] = {0, 1e-20, 1e-3, 1, 30, 1e6};
    (void)state;
    for (uint64_t run = 1; run <= 60; run++) {
        uint64_t seed = run;
        struct model_config config = hourly(1 + (uint32_t)below(&seed, 16));
        config.feature_max = 1e6;
        config.prior_sd = pow(10, (double)below(&seed, 7) - 3);
        struct lr_full_block *b = block_new(&model_lr_full, &config);
        for (int i = 0; i < 300; i++) {
            float x[N_MAX];
            double scale = scales[below(&seed, ARRAY_LEN(scales))];
            for (uint32_t k = 0; k < config.dimension; k++)
                x[k] = (float)(scale * (2 * uniform(&seed) - 1));
            struct example e = sample(x, below(&seed, 2));
            e.weight = below(&seed, 10) ? uniform(&seed) : FEATURES_WEIGHT_MAX * uniform(&seed);
            e.offset = 100 * uniform(&seed) - 50;
            e.time = NOON + (int64_t)below(&seed, 10 * HOUR);
            learn(&config, b, e);
            struct correction c = {e, e};
            c.after.reward = 1 - e.reward;
            if (below(&seed, 4) == 0)
                model_lr_full.correct(&config, b, &c);
            if (!model_lr_full.valid(&config, b))
                fail_msg("run %d, sample %d: not valid", (int)run, i);
        }
        free(b);
    }
}

static void test_refusals(void **state)
{
    struct model_config config = plain(2, true, COVARIANCE_FULL);
    float fine[2] = {1, 2}, nan[2] = {1, NAN}, infinite[2] = {-INFINITY, 2}, huge[2] = {1, 1001};
    const struct {
        const char *message; /* NULL: taken */
        struct example e;
    } cases[] = {
        {NULL, {.reward = 1, .weight = 1, .x = fine}},
        {NULL, {.reward = 0.5, .weight = 0, .x = fine, .offset = -50}},
        {"features", {.reward = 1, .weight = 1}},
        {"features[1]", {.reward = 1, .weight = 1, .x = nan}},
        {"features[0]", {.reward = 1, .weight = 1, .x = infinite}},
        {"features[1]", {.reward = 1, .weight = 1, .x = huge}},
        {"weight", {.reward = 1, .weight = -1, .x = fine}},
        {"weight", {.reward = 1, .weight = NAN, .x = fine}},
        {"weight", {.reward = 1, .weight = 2e6, .x = fine}},
        {"reward", {.reward = 1.5, .weight = 1, .x = fine}},
        {"reward", {.reward = NAN, .weight = 1, .x = fine}},
        {"offset", {.reward = 1, .weight = 1, .x = fine, .offset = INFINITY}},
        {"offset", {.reward = 1, .weight = 1, .x = fine, .offset = NAN}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tm_error err = {0};
        enum tm_code want = cases[i].message ? TM_INVALID_ARGUMENT : TM_OK;
        assert_int_equal(model_lr_full.takes(&config, &cases[i].e, &err), want);
        if (cases[i].message && !strstr(err.message, cases[i].message))
            fail_msg("case %zu: \"%s\" does not name \"%s\"", i, err.message, cases[i].message);
    }
}

static void test_check(void **state)
{
    static const double means[] = {0, NAN, 0}, sds[] = {1, 1, 0};
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct model_config config = plain(2, true, COVARIANCE_FULL);
        const char *message = NULL;
        /* clang-format off */
        switch (i) {
        case 1: config.dimension = 0;           message = "dimension"; break;
        case 2: config.dimension = 64;          message = "dimension: 64 is not in [1, 63]"; break;
        case 3: config.prior_sd = 0;            message = "prior sd of weight 0"; break;
        case 4: config.intercept_sd = NAN;      message = "prior sd of weight 2"; break;
        case 5: config.prior_means = means;     message = "prior mean of weight 1"; break;
        case 6: config.prior_sds = sds;         message = "prior sd of weight 2"; break;
        case 7: config.feature_max = INFINITY;  message = "feature_max"; break;
        case 8: config.decay_per_ms = -1;       message = "forgetting"; break;
        case 9: config.prior_count = 2;         message = "prior: "; break;
        }
        /* clang-format on */
        struct tm_error err = {0};
        assert_int_equal(model_lr_full.check(&config, &err), message ? TM_INVALID_ARGUMENT : TM_OK);
        if (message && !strstr(err.message, message))
            fail_msg("case %d: \"%s\" does not name \"%s\"", i, err.message, message);
    }
}

static void test_valid(void **state)
{
    struct model_config config = plain(2, false, COVARIANCE_FULL);
    struct lr_full_block *b = block_new(&model_lr_full, &config);
    (void)state;
    assert_true(model_lr_full.valid(&config, b));
    for (int i = 0; i < 5; i++) { /* two means, then 1, 0, 1 */
        double was = b->value[i], bad[] = {NAN, INFINITY, i == 2 || i == 4 ? 0 : -INFINITY};
        for (int k = 0; k < 3; k++) {
            b->value[i] = bad[k];
            assert_false(model_lr_full.valid(&config, b));
        }
        b->value[i] = was;
    }
    b->value[3] = 1.01;
    assert_false(model_lr_full.valid(&config, b));
    b->value[3] = -0.99;
    assert_true(model_lr_full.valid(&config, b));
    b->head.zero = 1;
    assert_false(model_lr_full.valid(&config, b));
    free(b);
}

static const float nowhere[2] = {NAN, 0};
static struct model_config two;
static void learn_nan(void) { learn(&two, block_new(&model_lr_full, &two), sample(nowhere, 1)); }
static void correct_nothing(void)
{
    static const float x[2] = {1, 1};
    struct lr_full_block *b = block_new(&model_lr_full, &two);
    b->head.time = NOON;
    struct correction c = flip(x, 0, 1, NOON);
    model_lr_full.correct(&two, b, &c);
}

static void test_checks(void **state)
{
    (void)state;
    two = plain(2, true, COVARIANCE_FULL);
    assert_stops(learn_nan);
    assert_stops(correct_nothing);
}

/* ---- reading ---- */

static void test_names(void **state)
{
    static const char *const want[] = {"mean[0]", "mean[1]", "covariance[0][0]", "covariance[1][0]",
                                       "covariance[1][1]"};
    struct model_config config = plain(1, true, COVARIANCE_FULL);
    struct value_name name;
    (void)state;
    assert_int_equal(model_lr_full.width(&config), ARRAY_LEN(want));
    for (uint32_t i = 0; i < ARRAY_LEN(want); i++) {
        model_lr_full.value_name(&config, i, &name);
        assert_string_equal(name.text, want[i]);
    }
    config = plain(63, true, COVARIANCE_FULL);
    model_lr_full.value_name(&config, model_lr_full.width(&config) - 1, &name);
    assert_string_equal(name.text, "covariance[63][63]");
    assert_ptr_equal(lr_model(&config), &model_lr_full);
}

static void test_describe(void **state)
{
    struct model_config config = plain(1, true, COVARIANCE_FULL);
    struct belief b;
    (void)state;
    config.intercept_mean = -3;
    config.intercept_sd = 2;
    model_lr_full.describe(&config, NULL, NOON, &b);
    /* E and Var of logistic(N(-3, 4)) from 800,000-point quadrature of another program. */
    assert_near(b.mean, 0.1295942009, 3e-9, "mean");
    assert_near(b.variance, 0.0348917559, 1e-8, "variance");
    assert_near(b.lower, lr_logistic(-3 - 2 * 1.959963984540054), 1e-15, "lower");
    assert_near(b.upper, lr_logistic(-3 + 2 * 1.959963984540054), 1e-15, "upper");
    config.intercept = false;
    model_lr_full.describe(&config, NULL, NOON, &b);
    assert_near(b.mean, 0.5, 1e-8, "mean");
    assert_true(b.variance == 0 && b.lower == 0.5 && b.upper == 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_natural_form), cmocka_unit_test(test_drift),
        cmocka_unit_test(test_weights),      cmocka_unit_test(test_offset),
        cmocka_unit_test(test_mirror),       cmocka_unit_test(test_flips),
        cmocka_unit_test(test_exchange),     cmocka_unit_test(test_shift_is_bounded),
        cmocka_unit_test(test_half_life),    cmocka_unit_test(test_late),
        cmocka_unit_test(test_steps),        cmocka_unit_test(test_equal_bits),
        cmocka_unit_test(test_repairs),      cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_check),
        cmocka_unit_test(test_valid),        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
