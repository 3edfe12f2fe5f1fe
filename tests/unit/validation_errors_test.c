/* Errors of real-valued predictions: by hand, against published quantiles of Student's t, and back to nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "learner/linear.h"
#include "learner/validation_report.h"
#include "tests/unit/random.h"
#include "tests/unit/regression.h"

static void test_by_hand(void **state)
{
    static const struct real_outcome o[] = {{.mean = 1, .reward = 3, .weight = 2, .unit = 2},
                                            {.mean = 4, .reward = 3, .weight = 1, .unit = 2},
                                            {.mean = -1, .reward = 0, .weight = 1, .unit = 2}};
    struct error_sums s = {0};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct error_sums one = error_share(&o[i]);
        error_sums_add(&s, &one);
    }
    struct error_report r = error_report(&s, 2); /* rewards 3, 3, 3, 0: mean 9/4, variance 27/16 */
    assert_near(r.mean_reward, 2.25, 1e-12, "mean");
    assert_near(r.squared, (2 * 4 + 1 + 1) / 4.0, 1e-12, "squared");
    assert_near(r.absolute, (2 * 2 + 1 + 1) / 4.0, 1e-12, "absolute");
    assert_near(r.explained, 1 - 2.5 / (27 / 16.0), 1e-12, "explained");
    assert_true(isnan(r.density) && isnan(r.coverage)); /* nothing was foretold but means */
}

/* Quantiles of t at 97.5 %, and densities, as tables have them. */
static void test_student(void **state)
{
    static const struct {
        double freedom, quantile, off, density;
    } known[] = {{4, 2.7764451051977987, 0, 0.375},
                 {4, 2.7764451051977987, 1, 0.21466252583997981},
                 {10, 2.2281388519649385, 2, 0.061145766321218174},
                 {100, 1.9839715184496334, 1, 0.24076583974822},
                 {1e6, 1.959966358, 1, 0.24197060},
                 {1e9, 1.959963984540054, 0, 0.3989422804014327}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        for (int side = -1; side <= 1; side += 2)
            for (int in = 0; in < 2; in++) {
                double off = side * known[i].quantile * (in ? 1 - 1e-5 : 1 + 1e-5), scale = 0.5;
                struct real_outcome o = {7, scale, known[i].freedom, 7 + scale * off, 1, 0.25};
                struct error_sums s = error_share(&o);
                assert_int_equal(s.covered > 0, in);
                assert_true(s.foretold == s.weight);
                o.reward = 7 + side * scale * known[i].off;
                s = error_share(&o);
                assert_near(error_report(&s, 0.25).density, -log(known[i].density / scale), 2e-6, "density");
            }
}

/* Whatever was put in, in any order, leaves nothing when it is taken out: outliers beyond any bound, too. */
static void test_taken_out(void **state)
{
    enum { COUNT = 2000 };
    static struct error_sums share[COUNT];
    struct error_sums s = {0}, read = {0}, nothing = {0};
    CLEANUP(buffer_close) struct buffer stored = {0};
    uint64_t seed = 3;
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        double size = pow(10, (double)below(&seed, 25) - 12);
        struct real_outcome o = {size * normal(&seed), size * uniform(&seed), 4 + size, size * normal(&seed), 0, 1e-6};
        o.weight = i % 10 ? uniform(&seed) : 0x1p20;
        share[i] = error_share(&o);
        error_sums_add(&s, &share[i]);
    }
    struct error_report r = error_report(&s, 1e-6);
    assert_true(isfinite(r.squared) && isfinite(r.absolute) && isfinite(r.density) && isfinite(r.explained));
    error_sums_encode(&s, &stored);
    struct reader in = reader_of(buffer_view(&stored));
    error_sums_decode(&read, &in);
    assert_true(!in.bad && reader_left(&in) == 0);
    assert_memory_equal(&read, &s, sizeof s);
    for (int i = 0; i < COUNT; i++)
        error_sums_take(&s, &share[i * 7 % COUNT]);
    assert_memory_equal(&s, &nothing, sizeof s);
}

/* A model that is right: its intervals hold 95 % of what comes, from the first sample on, and it explains what can be;
 * corrections replace what was counted. */
static void test_a_version_that_is_right(void **state)
{
    enum { DOCUMENTS = 400, SAMPLES = 40, D = 2 };
    struct model_config config = plain(D, true, COVARIANCE_FULL);
    static struct validation v;
    struct validation_total t;
    struct validation_report r;
    uint64_t seed = 4;
    (void)state;
    config.reward_min = -1e6;
    config.reward_max = 1e6;
    config.noise_sd = 0.5;
    config.noise_samples = 4;
    validation_start(&v);
    for (int d = 0; d < DOCUMENTS; d++) {
        void *b = block_new(&model_linear, &config);
        double chi = 0, w[D + 1];
        for (int i = 0; i < 4; i++) { /* noise as the prior has it: inverse gamma of 4 samples */
            double z = normal(&seed);
            chi += z * z;
        }
        double sd = config.noise_sd * sqrt(4 / chi);
        for (int i = 0; i <= D; i++)
            w[i] = normal(&seed) * sd / config.noise_sd; /* w | s2 is as wide as its noise (learner/linear.h) */
        for (int k = 0; k < SAMPLES; k++) {
            float x[D];
            struct predictive p;
            fill_features(&seed, x, D, 1);
            struct example e = sample(x, w[0] * (double)x[0] + w[1] * (double)x[1] + w[D] + sd * normal(&seed));
            model_linear.predict(&config, b, x, NOON, &p);
            struct judged judged = {.time = NOON, .predicted = p.mean, .weight = 1, .unit = config.noise_sd};
            judged.scale = p.scale;
            judged.freedom = p.freedom;
            judged.reward = k % 4 ? e.reward : e.reward + 100; /* a label that is corrected */
            validation_add(&v, &judged);
            if (k % 4 == 0)
                validation_correct(&v, &judged, e.reward, 1);
            model_linear.learn(&config, b, &e, 1);
        }
        free(b);
    }
    validation_total_open(&t, VALIDATION_HOUR, NOON);
    t.unit = config.noise_sd;
    validation_total_add(&t, &v);
    validation_report(&t, &r);
    validation_total_close(&t);
    assert_int_equal(r.samples, DOCUMENTS * SAMPLES);
    assert_near(r.errors.coverage, 0.95, 0.01, "coverage");
    assert_true(r.errors.explained > 0.3 && r.errors.explained < 1 && r.errors.absolute < 10);
    assert_true(isnan(r.log_loss) && isnan(r.auc));
}

static void test_refusals(void **state)
{
    static const struct judged bad[] = {
        {.predicted = NAN, .reward = 0, .weight = 1, .unit = 1},
        {.predicted = INFINITY, .reward = 0, .weight = 1, .unit = 1},
        {.predicted = 0, .reward = NAN, .weight = 1, .unit = 1},
        {.predicted = 0, .reward = 0, .weight = -1, .unit = 1},
        {.predicted = 0, .reward = 0, .weight = 0x1p21, .unit = 1},
        {.predicted = 0, .reward = 0, .weight = 1, .unit = 1, .scale = NAN, .freedom = 4},
        {.predicted = 0, .reward = 0, .weight = 1, .unit = 1, .scale = 1, .freedom = 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(validation_takes(&bad[i], NULL), TM_INVALID_ARGUMENT);
    assert_int_equal(validation_takes(&(struct judged){.predicted = -7, .reward = 9, .weight = 1, .unit = 1}, NULL),
                     TM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),   cmocka_unit_test(test_student),
        cmocka_unit_test(test_taken_out), cmocka_unit_test(test_a_version_that_is_right),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
