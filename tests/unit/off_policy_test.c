/* learner/off_policy.h and sequential.h: figures worked out by hand, and what they promise, simulated. The Open Bandit data
 * is in tests/off_policy/recompute.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "learner/off_policy.h"
#include "learner/sequential.h"
#include "tests/unit/random.h"

static void assert_near(double got, double want, double error)
{
    if (!(fabs(got - want) <= error))
        fail_msg("got %.12g, want %.12g +- %g", got, want, error);
}

static double uniform(uint64_t *seed) { return ((double)(draw(seed) >> 12) + 0.5) * 0x1p-52; }

/* ---- estimates ---- */

/* Weights 2, 0.5, 4: IPS (2 + 0 + 4) / 3; DR adds 0.3 - w 0.2 each. */
static const struct decision three[] = {
    {.propensity = 0.25, .target = 0.5, .reward = 1, .expected_target = 0.3, .expected_action = 0.2},
    {.propensity = 0.5, .target = 0.25, .reward = 0, .expected_target = 0.3, .expected_action = 0.2},
    {.propensity = 0.125, .target = 0.5, .reward = 1, .expected_target = 0.3, .expected_action = 0.2},
};

static struct off_policy_report report_of(double clip)
{
    struct off_policy o;
    struct off_policy_report r;
    off_policy_start(&o, clip);
    for (size_t i = 0; i < ARRAY_LEN(three); i++)
        off_policy_add(&o, &three[i]);
    off_policy_report(&o, &r);
    return r;
}

static void estimates_are_those_worked_out_by_hand(void **state)
{
    struct off_policy_report r = report_of(INFINITY);
    (void)state;
    assert_near(r.ips.value, 2, 1e-15);
    assert_near(r.ips.error, sqrt((0 + 4 + 4) / 6.0), 1e-15);
    assert_near(r.snips.value, 6 / 6.5, 1e-15);
    double v = 6 / 6.5, a = 2 * (1 - v), b = 0.5 * v, c = 4 * (1 - v);
    assert_near(r.snips.error, sqrt(a * a + b * b + c * c) / 6.5, 1e-14);
    assert_near(r.dr.value, 2 + 0.3 - 6.5 / 3 * 0.2, 1e-15);
    assert_near(r.weight.value, 6.5 / 3, 1e-15);
    assert_near(r.effective, 6.5 * 6.5 / 20.25, 1e-14);
    assert_near(r.weight_max, 4, 0);
    assert_near(r.clipped, 0, 0);
    assert_true(r.weight_plausible);
    r = report_of(2);
    assert_near(r.ips.value, 4 / 3.0, 1e-15);
    assert_near(r.snips.value, 4 / 4.5, 1e-15);
    assert_near(r.dr.value, 4 / 3.0 + 0.3 - 1.5 * 0.2, 1e-15);
    assert_near(r.clipped, 1 / 3.0, 1e-15);
    assert_near(r.weight_max, 4, 0);
}

static void nothing_and_one_decision_are_said_to_be_little(void **state)
{
    struct off_policy o;
    struct off_policy_report r;
    (void)state;
    off_policy_start(&o, INFINITY);
    off_policy_report(&o, &r);
    assert_true(isnan(r.ips.value) && isnan(r.snips.value) && isnan(r.dr.error));
    assert_false(r.weight_plausible);
    off_policy_add(&o, &three[0]);
    off_policy_report(&o, &r);
    assert_near(r.ips.value, 2, 0);
    assert_true(isnan(r.ips.error));
}

static void parts_merge_correct_and_come_back(void **state)
{
    struct off_policy whole, part[2], again;
    CLEANUP(buffer_close) struct buffer bytes = {0};
    uint64_t seed = 4;
    (void)state;
    off_policy_start(&whole, 3);
    off_policy_start(&part[0], 3);
    off_policy_start(&part[1], 3);
    for (int i = 0; i < 1000; i++) { /* dyadic numbers: sums are exact in any order */
        struct decision d = {.propensity = 0.25, .target = (double)below(&seed, 5) / 4, .reward = (double)(i % 3)};
        struct decision wrong = d;
        wrong.reward = 7;
        off_policy_add(&whole, &d);
        off_policy_add(&part[i % 2], &wrong);
        off_policy_correct(&part[i % 2], &wrong, d.reward);
    }
    off_policy_merge(&part[0], &part[1]);
    off_policy_encode(&whole, &bytes);
    struct reader in = reader_of(buffer_view(&bytes));
    assert_int_equal(off_policy_decode(&again, &in, NULL), TM_OK);
    assert_int_equal(reader_left(&in), 0);
    assert_memory_equal(&whole, &part[0], sizeof whole);
    assert_memory_equal(&whole, &again, sizeof whole);
    for (size_t size = 0; size < bytes.size; size++) {
        in = reader_of(bytes_of(bytes.data, size));
        assert_int_equal(off_policy_decode(&again, &in, NULL), TM_DATA_LOSS);
    }
}

/* Five actions, each with a target and q of its own, propensities of every decision's own; one of three counts twice. */
static void decisions_summed_up_by_action_are_those_added_one_by_one(void **state)
{
    static const double target[] = {0, 0.1, 0.2, 0.3, 0.4}, q[] = {0.5, -1, 0.2, 3, 0};
    struct off_policy_action action[5] = {{0}};
    struct off_policy one_by_one, summed;
    struct off_policy_report want, got;
    uint64_t seed = 21;
    (void)state;
    off_policy_start(&one_by_one, INFINITY);
    off_policy_start(&summed, INFINITY);
    for (int i = 0; i < 3000; i++) {
        int a = (int)below(&seed, 5), times = 1 + (i % 3 == 0);
        struct decision d = {.propensity = 0.01 + 0.9 * uniform(&seed),
                             .target = target[a],
                             .expected_target = 0.7,
                             .expected_action = q[a],
                             .reward = (double)below(&seed, 4) - 1};
        off_policy_action_add(&action[a], d.propensity, d.reward, times);
        for (int t = 0; t < times; t++)
            off_policy_add(&one_by_one, &d);
    }
    for (int a = 0; a < 5; a++)
        off_policy_add_action(&summed, &action[a], target[a], 0.7, q[a]);
    off_policy_report(&one_by_one, &want);
    off_policy_report(&summed, &got);
    assert_near(summed.decisions, 4000, 0);
    const double *x = (const double *)&got, *y = (const double *)&want; /* nothing but doubles up to the flag */
    for (size_t i = 0; i < offsetof(struct off_policy_report, weight_plausible) / sizeof *x; i++)
        assert_near(x[i], y[i], 1e-11 * fabs(y[i]));
    assert_near(got.effective, want.effective, 1e-9 * want.effective);
    assert_near(got.weight_max, want.weight_max, 1e-12 * want.weight_max);
}

static void nonsense_is_refused_by_name(void **state)
{
    static const struct {
        struct decision d;
        const char *field;
    } cases[] = {
        {{.propensity = 0}, "propensity"},
        {{.propensity = NAN}, "propensity"},
        {{.propensity = 1, .target = 1.5}, "target"},
        {{.propensity = 1, .reward = INFINITY}, "reward"},
        {{.propensity = 1, .expected_action = NAN}, "expected reward"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tm_error err;
        assert_int_equal(off_policy_takes(&cases[i].d, &err), TM_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, cases[i].field));
    }
}

/* Four actions of known value, logged unevenly: each estimate is within its own error of what the target would earn, as
 * often as a normal is; wrong propensities show in the mean weight. */
static void estimates_find_the_value_and_weights_tell_wrong_propensities(void **state)
{
    static const double logged[] = {0.55, 0.25, 0.15, 0.05}, target[] = {0.1, 0.2, 0.3, 0.4},
                        value[] = {0.02, 0.05, 0.1, 0.2};
    uint64_t seed = 12;
    double truth = 0;
    int outside[3] = {0}, implausible = 0;
    (void)state;
    for (int a = 0; a < 4; a++)
        truth += target[a] * value[a];
    for (int run = 0; run < 400; run++) {
        struct off_policy o, wrong;
        struct off_policy_report r;
        off_policy_start(&o, INFINITY);
        off_policy_start(&wrong, INFINITY);
        for (int i = 0; i < 2000; i++) {
            double u = uniform(&seed);
            int a = u < 0.55 ? 0 : u < 0.8 ? 1 : u < 0.95 ? 2 : 3;
            struct decision d = {.propensity = logged[a],
                                 .target = target[a],
                                 .reward = uniform(&seed) < value[a],
                                 .expected_target = truth,
                                 .expected_action = value[a]};
            off_policy_add(&o, &d);
            d.propensity = 0.25; /* as if it had been uniform */
            off_policy_add(&wrong, &d);
        }
        off_policy_report(&o, &r);
        outside[0] += fabs(r.ips.value - truth) > 1.96 * r.ips.error;
        outside[1] += fabs(r.snips.value - truth) > 1.96 * r.snips.error;
        outside[2] += fabs(r.dr.value - truth) > 1.96 * r.dr.error;
        implausible += !r.weight_plausible;
        off_policy_report(&wrong, &r);
        assert_false(r.weight_plausible);
    }
    assert_true(implausible <= 5); /* one in 370 of a normal */
    for (int i = 0; i < 3; i++)
        assert_in_range(outside[i], 5, 40); /* 20 are expected */
}

/* ---- looking at any time ---- */

static void figures_of_the_sequential_formulas(void **state)
{
    (void)state;
    assert_near(msprt_log_ratio(1e4, 0.095, 0.004, 1e-2), -0.453270473, 1e-9);
    /* Where the difference is as large as the half width the test is just at its border. */
    double half = msprt_half_width(1e4, 0.095, 1e-2, 0.05);
    assert_near(msprt_log_ratio(1e4, 0.095, half, 1e-2), log(20), 1e-12);
    assert_near(msprt_p_value(0.3, log(20)), 0.05, 1e-15);
    assert_near(msprt_p_value(0.01, log(20)), 0.01, 0);
    /* s sqrt(N) sqrt(2 (N r^2 + 1) / (N^2 r^2) ln(sqrt(N r^2 + 1) / alpha)), r^2 = (-2 ln a + ln(-2 ln a + 1)) / N* */
    double bits = -2 * log(0.05), r2 = (bits + log(bits + 1)) / 5000, n = 800;
    double want = 0.3 / sqrt(n) * sqrt(n) * sqrt(2 * (n * r2 + 1) / (n * n * r2) * log(sqrt(n * r2 + 1) / 0.05));
    assert_near(sequential_half_width(0.3, n, 0.05, SEQUENTIAL_TUNED), want, 1e-15);
}

enum { AA_RUNS = 1000, AA_PEEKS = 100, AA_EVERY = 100 };

/* Two arms of one rate, looked at every AA_EVERY units of each. How many of the runs ever say that they differ: by the
 * interval, by the test, and by the interval for one look. */
static void false_stops(int stops[3])
{
    static const double rate = 0.05, tau = 0.01, alpha = 0.05;
    uint64_t seed = 8;
    for (int run = 0; run < AA_RUNS; run++) {
        double clicks[2] = {0}, p_value = 1;
        bool stopped[3] = {false};
        for (int peek = 1; peek <= AA_PEEKS; peek++) {
            double n = (double)peek * AA_EVERY;
            for (int i = 0; i < 2 * AA_EVERY; i++)
                clicks[i % 2] += uniform(&seed) < rate;
            double a = clicks[0] / n, b = clicks[1] / n, variance = a * (1 - a) + b * (1 - b), off = fabs(a - b);
            if (variance == 0)
                continue;
            p_value = msprt_p_value(p_value, msprt_log_ratio(n, variance, off, tau));
            stopped[0] |= off > sequential_half_width(sqrt(variance), n, alpha, SEQUENTIAL_TUNED);
            stopped[1] |= p_value <= alpha;
            stopped[2] |= off > 1.96 * sqrt(variance / n);
        }
        for (int i = 0; i < 3; i++)
            stops[i] += stopped[i];
    }
}

static void peeking_at_equal_arms_seldom_stops(void **state)
{
    int stops[3] = {0};
    (void)state;
    false_stops(stops);
    /* 5 % and three standard deviations of 1,000 runs. */
    assert_true(stops[0] <= 70);
    assert_true(stops[1] <= 70);
    assert_true(stops[2] > 250); /* so the test can tell */
}

static void a_difference_is_found(void **state)
{
    uint64_t seed = 9;
    double clicks[2] = {0}, n = 0, half;
    (void)state;
    do {
        for (int i = 0; i < 2 * AA_EVERY; i++)
            clicks[i % 2] += uniform(&seed) < (i % 2 ? 0.06 : 0.05);
        n += AA_EVERY;
        half = sequential_half_width(sqrt(0.05 * 0.95 + 0.06 * 0.94), n, 0.05, SEQUENTIAL_TUNED);
    } while (n < 30000 && fabs(clicks[0] - clicks[1]) <= half * n);
    assert_true(n < 30000 && clicks[1] > clicks[0]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_those_worked_out_by_hand),
        cmocka_unit_test(nothing_and_one_decision_are_said_to_be_little),
        cmocka_unit_test(parts_merge_correct_and_come_back),
        cmocka_unit_test(decisions_summed_up_by_action_are_those_added_one_by_one),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(estimates_find_the_value_and_weights_tell_wrong_propensities),
        cmocka_unit_test(figures_of_the_sequential_formulas),
        cmocka_unit_test(peeking_at_equal_arms_seldom_stops),
        cmocka_unit_test(a_difference_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
