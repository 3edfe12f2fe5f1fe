/* Logistic regression with a full covariance: against natural parameters in long double, and against what its headers
 * promise about weights, offsets and corrections. */
#include "tests/unit/regression.h"

#include "learner/moment_match.h"

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

/* Another feature, weight or offset: the gradient at today's mean is exchanged, and with features the curvature: in what
 * came, out what was. */
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
            double wide[N_MAX], mean = 0, sign = side ? 1 : -1;
            expand(&config, e->x, wide);
            for (int i = 0; i < 4; i++)
                mean += wide[i] * b->value[i];
            double pull = e->weight * (e->reward - lr_logistic(mean + e->offset));
            double curvature = what == 0 ? e->weight * lr_curvature(mean + e->offset) : 0;
            natural_add(&belief, wide, sign * curvature, sign * (pull + curvature * mean));
        }
        model_lr_full.correct(&config, b, &c);
        assert_is(b, &belief, 1e-12);
        free(b);
    }
}

/* Taken out: as if it had been exchanged for one that weighs nothing, and counted no more. */
static void test_retract(void **state)
{
    struct model_config config = plain(3, true, COVARIANCE_FULL);
    float x[3] = {0.5f, -1, 0.25f};
    struct lr_full_block *a = block_new(&model_lr_full, &config), *b = block_new(&model_lr_full, &config);
    struct example e = sample(x, 1);
    struct correction c = {e, e};
    (void)state;
    c.after.weight = 0;
    model_lr_full.learn(&config, a, &e, 1);
    model_lr_full.learn(&config, b, &e, 1);
    model_lr_full.correct(&config, a, &c);
    model_lr_full.retract(&config, b, &e);
    assert_memory_equal(a->value, b->value, model_weights(&config) * sizeof(double));
    assert_int_equal(a->head.positives, 1);
    assert_int_equal(b->head.positives + b->head.negatives, 0);
    free(a);
    free(b);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_natural_form), cmocka_unit_test(test_drift),
        cmocka_unit_test(test_weights),      cmocka_unit_test(test_offset),
        cmocka_unit_test(test_mirror),       cmocka_unit_test(test_flips),
        cmocka_unit_test(test_exchange),     cmocka_unit_test(test_shift_is_bounded),
        cmocka_unit_test(test_retract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
