/* What logistic regression refuses, survives, repairs and shows: both forms. */
#include "tests/unit/regression.h"

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
        case 2: config.dimension = 65;          message = "dimension: 65 is not in [1, 64]"; break;
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

/* ---- diagonal ---- */

static void test_diagonal_extremes(void **state)
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

static void test_diagonal_valid(void **state)
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

static void test_diagonal_reading(void **state)
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
        assert_near(score_draw(&s, 2), -4 + 2 * 7, 1e-14, "a draw");
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
        cmocka_unit_test(test_repairs),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_diagonal_extremes),
        cmocka_unit_test(test_diagonal_valid),
        cmocka_unit_test(test_diagonal_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
