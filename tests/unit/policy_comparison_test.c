/* learner/policy_comparison.h: what its edges are. Its figures on real data and by hand are in tests/e2e/test_compare.py,
 * its sums in off_policy_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "learner/policy_comparison.h"
#include "tests/unit/random.h"

static void assert_near(double got, double want, double error)
{
    if (!(fabs(got - want) <= error))
        fail_msg("got %.12g, want %.12g +- %g", got, want, error);
}

static void add(struct policy_comparison *c, int log, const char *doc, double propensity, double reward, double times)
{
    struct policy_decision d = {bytes_text(doc), 1, propensity, reward, times};
    assert_int_equal(policy_comparison_add(c, log, &d, NULL), TM_OK);
}

static struct policy_comparison_report report_of(struct policy_comparison *c)
{
    struct policy_comparison_report r;
    policy_comparison_report(c, &r);
    return r;
}

/* The same samples in another order, and other documents in between, give the same bits. */
static void order_changes_nothing(void **state)
{
    enum { DOCS = 299, SAMPLES = 4000 };
    struct policy_comparison_report report[2];
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct policy_comparison c = {0};
        for (int n = 0; n < SAMPLES; n++) {
            int i = turn ? SAMPLES - 1 - n : n;
            char doc[8];
            snprintf(doc, sizeof doc, "%d", i * 7 % DOCS);
            /* powers of two: sums are exact, so only the order of the actions could tell */
            struct policy_decision d = {bytes_text(doc), i % 3, i % 5 ? 0.25 : 0.5, i % 4, 1};
            assert_int_equal(policy_comparison_add(&c, i % 2, &d, NULL), TM_OK);
        }
        report[turn] = report_of(&c);
        policy_comparison_close(&c);
    }
    assert_memory_equal(&report[0].mean, &report[1].mean, sizeof report[0].mean);
    for (int i = 0; i < 2; i++) {
        assert_near(report[0].estimate[i].dr.value, report[1].estimate[i].dr.value, 0);
        assert_near(report[0].estimate[i].snips.error, report[1].estimate[i].snips.error, 0);
        assert_near(report[0].estimate[i].report.effective, report[1].estimate[i].report.effective, 0);
    }
}

/* Propensities describe a policy only if nothing but the action changes them, and often enough to tell. */
static void a_policy_is_described_by_what_is_known_of_it(void **state)
{
    static const struct {
        int samples;
        double other; /* propensity of the last sample */
        bool fixed;
    } cases[] = {{20, 0.5, true}, {20, 0.25, false}, {20, 0, false}, {POLICY_REPEATS - 1, 0.5, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_comparison c = {0};
        for (int n = 1; n < cases[i].samples; n++)
            add(&c, 0, "x", 0.5, 0, 1);
        add(&c, 0, "x", cases[i].other, 0, 1);
        add(&c, 1, "x", 1, 0, 1);
        struct policy_comparison_report r = report_of(&c);
        assert_int_equal(r.from_propensities[0], cases[i].fixed);
        /* The weight of the other's only sample tells which probability was taken. */
        assert_near(r.estimate[0].weight.value, cases[i].fixed ? 0.5 : 1, 1e-15);
        policy_comparison_close(&c);
    }
}

static void nothing_in_common_is_said_to_be_little(void **state)
{
    struct policy_comparison c = {0};
    (void)state;
    for (int i = 0; i < 200; i++) {
        add(&c, 0, "x", 1, 1, 1);
        add(&c, 1, "y", 1, 0, 1);
    }
    struct policy_comparison_report r = report_of(&c);
    for (int i = 0; i < 2; i++) {
        assert_true(r.estimate[i].little && !r.estimate[i].report.weight_plausible && !r.estimate[i].refused);
        assert_true(isnan(r.estimate[i].snips.value));
        assert_near(r.estimate[i].ips.value, 0, 0);
    }
    policy_comparison_close(&c);
}

static void a_log_without_propensities_is_refused_beyond_the_limit(void **state)
{
    struct policy_comparison c = {0};
    (void)state;
    for (int i = 0; i < 990; i++) {
        add(&c, 0, "x", 0.5, 1, 1);
        add(&c, 1, "x", 0.5, 1, 1);
    }
    for (int i = 0; i < 10; i++)
        add(&c, 0, "x", 0, 1, 1);
    assert_false(report_of(&c).estimate[1].refused); /* 1 % */
    add(&c, 0, "x", 0, 1, 1);
    struct policy_comparison_report r = report_of(&c);
    assert_true(r.estimate[1].refused && !r.estimate[0].refused);
    assert_near(r.mean[0].value, 1, 0);
    policy_comparison_close(&c);
}

/* A few clicks without a propensity among many impressions that have one. */
static void a_log_whose_rewards_have_no_propensity_is_refused(void **state)
{
    (void)state;
    for (int untold = 1; untold <= 2; untold++) {
        struct policy_comparison c = {0};
        for (int i = 0; i < 10000; i++) {
            add(&c, 0, "x", i < untold ? 0 : 0.5, i < 100 ? -1 : 0, 1);
            add(&c, 1, "x", 0.5, 0, 1);
        }
        assert_int_equal(report_of(&c).estimate[1].refused, untold > 1);
        policy_comparison_close(&c);
    }
}

/* Negatives of which a quarter was kept stand for four: the means are those of all of them. */
static void what_was_left_out_is_counted_by_those_that_stand_for_it(void **state)
{
    struct policy_comparison c = {0};
    (void)state;
    for (int i = 0; i < 100; i++) {
        add(&c, 0, "x", 0.5, i < 20, i < 20 ? 1 : 4);
        add(&c, 1, "x", 0.5, 1, 1);
    }
    struct policy_comparison_report r = report_of(&c);
    assert_near(r.mean[0].value, 20 / 340.0, 1e-15);
    assert_near(r.mean[0].error, sqrt(20 / 340.0 * (1 - 20 / 340.0) / 339), 1e-12);
    assert_near(r.estimate[1].snips.value, 20 / 340.0, 1e-15);
    assert_near(r.difference.error, hypot(r.mean[0].error, r.mean[1].error), 1e-15);
    policy_comparison_close(&c);
}

static void one_sample_each_has_no_error(void **state)
{
    struct policy_comparison c = {0};
    (void)state;
    add(&c, 0, "x", 0.5, 1, 1);
    add(&c, 1, "x", 0.5, 0, 1);
    struct policy_comparison_report r = report_of(&c);
    assert_near(r.difference.value, -1, 0);
    assert_true(isnan(r.mean[0].error) && isnan(r.difference.lower) && isnan(r.estimate[0].dr.any_time_upper));
    policy_comparison_close(&c);
}

static void more_actions_than_there_is_room_for_are_refused(void **state)
{
    struct policy_comparison c = {0};
    struct tm_error err;
    (void)state;
    for (int i = 0; i <= POLICY_ACTIONS_MAX; i++) {
        struct policy_decision d = {bytes_text("x"), i, 0.5, 1, 1};
        assert_int_equal(policy_comparison_add(&c, 0, &d, &err),
                         i < POLICY_ACTIONS_MAX ? TM_OK : TM_RESOURCE_EXHAUSTED);
    }
    add(&c, 1, "x", 0.5, 1, 1); /* those that are there go on */
    policy_comparison_close(&c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_changes_nothing),
        cmocka_unit_test(a_policy_is_described_by_what_is_known_of_it),
        cmocka_unit_test(nothing_in_common_is_said_to_be_little),
        cmocka_unit_test(a_log_without_propensities_is_refused_beyond_the_limit),
        cmocka_unit_test(a_log_whose_rewards_have_no_propensity_is_refused),
        cmocka_unit_test(what_was_left_out_is_counted_by_those_that_stand_for_it),
        cmocka_unit_test(one_sample_each_has_no_error),
        cmocka_unit_test(more_actions_than_there_is_room_for_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
