/* Tests of empirical Bayes for beta: against values worked out by search, against truth, and at the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "learner/beta.h"
#include "learner/beta_prior.h"
#include "learner/draw.h"
#include "learner/special.h"

static void assert_near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want)))
        fail_msg("got %.17g, expected %.17g", got, want);
}

/* Abramowitz and Stegun, table 6.1, and psi(1) = -Euler's constant, psi'(1) = pi^2 / 6, psi'(1/2) = pi^2 / 2. */
static void derivatives_of_the_gamma_function(void **state)
{
    (void)state;
    assert_near(digamma(1), -0.57721566490153286, 1e-14);
    assert_near(digamma(0.5), -1.9635100260214235, 1e-14);
    assert_near(digamma(2), 0.42278433509846714, 1e-14);
    assert_near(digamma(1e-3), -1000.5755719318103, 1e-14);
    assert_near(digamma(1e6), 13.815510057964191, 1e-14);
    assert_near(trigamma(1), 1.6449340668482264, 1e-14);
    assert_near(trigamma(0.5), 4.934802200544679, 1e-14);
    assert_near(trigamma(1e6), 1.0000005000001667e-06, 1e-14);
}

static const struct beta_evidence shown[] = {{1, 9},  {0, 10}, {3, 17},  {5, 5}, {2, 48}, {0, 4},
                                             {7, 93}, {1, 1},  {12, 28}, {0, 2}, {4, 36}, {9, 91}};

static struct beta_prior_estimate estimate(struct beta_prior *p, enum beta_prior_method method)
{
    struct beta_prior_estimate out;
    assert_int_equal(beta_prior_estimate(p, method, &out, NULL), TM_OK);
    return out;
}

/* The moments by the formula in 12 lines of Python; the likelihood's summit by a search over a grid that shrinks. */
static void twelve_documents_by_both_methods(void **state)
{
    CLEANUP(beta_prior_close) struct beta_prior p = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        beta_prior_add(&p, shown[i].s, shown[i].f);
    beta_prior_add(&p, 0.5, 1); /* too little evidence */
    assert_int_equal(p.documents, 12);
    assert_int_equal(p.passed, 1);
    struct beta_prior_estimate moments = estimate(&p, BETA_PRIOR_MOMENTS), mle = estimate(&p, BETA_PRIOR_MLE);
    assert_near(moments.alpha, 1.0341656227946017, 1e-12);
    assert_near(moments.beta, 5.673935714251463, 1e-12);
    assert_near(mle.alpha, 2.09047203, 1e-6);
    assert_near(mle.beta, 13.08911526, 1e-6);
    assert_false(moments.held || mle.held);
}

static void fill(struct beta_prior *p, uint32_t documents, double alpha, double beta, uint32_t least, uint32_t most)
{
    struct draw d = draw_begin(1, 2, 3);
    for (uint32_t i = 0; i < documents; i++) {
        double rate = draw_probability(draw_beta(&d, alpha, beta)), s = 0;
        uint32_t n = least + (uint32_t)(draw_uniform(&d) * (most - least + 1));
        for (uint32_t k = 0; k < n; k++)
            s += draw_uniform(&d) < rate;
        beta_prior_add(p, s, n - s);
    }
}

/* 200,000 documents are more than the likelihood looks at. */
static void what_documents_were_drawn_from_is_found_again(void **state)
{
    CLEANUP(beta_prior_close) struct beta_prior p = {0};
    (void)state;
    fill(&p, 200000, 2, 38, 2, 60);
    struct beta_prior_estimate moments = estimate(&p, BETA_PRIOR_MOMENTS), mle = estimate(&p, BETA_PRIOR_MLE);
    assert_near(mle.alpha, 2, 0.05);
    assert_near(mle.beta, 38, 0.05);
    assert_near(moments.alpha / (moments.alpha + moments.beta), 0.05, 0.02);
    assert_near(moments.alpha + moments.beta, 40, 0.15);
    assert_in_range(p.kept_count, BETA_PRIOR_KEPT / 2, BETA_PRIOR_KEPT);
}

static void documents_that_are_all_alike_give_the_strongest_prior(void **state)
{
    (void)state;
    for (int method = BETA_PRIOR_MOMENTS; method <= BETA_PRIOR_MLE; method++) {
        CLEANUP(beta_prior_close) struct beta_prior same = {0}, split = {0};
        for (int i = 0; i < 100; i++) {
            beta_prior_add(&same, 10, 90);
            beta_prior_add(&split, i % 2 ? 50 : 0, i % 2 ? 0 : 50);
        }
        struct beta_prior_estimate e = estimate(&same, method);
        assert_true(e.held);
        assert_near(e.alpha, 1000, 1e-6);
        assert_near(e.beta, 9000, 1e-6);
        e = estimate(&split, method);
        assert_true(e.held);
        assert_near(e.alpha + e.beta, 2, 1e-9);
    }
}

static void what_says_too_little_is_refused(void **state)
{
    CLEANUP(beta_prior_close) struct beta_prior few = {0}, none = {0}, all = {0};
    struct beta_prior_estimate out;
    (void)state;
    for (int i = 0; i < 20; i++) {
        if (i < BETA_PRIOR_DOCUMENTS - 1)
            beta_prior_add(&few, 1, 5);
        beta_prior_add(&none, 0, 5);
        beta_prior_add(&all, 5, 0);
        beta_prior_add(&few, 1, 0);
    }
    assert_int_equal(beta_prior_estimate(&few, BETA_PRIOR_MLE, &out, NULL), TM_FAILED_PRECONDITION);
    assert_int_equal(beta_prior_estimate(&none, BETA_PRIOR_MLE, &out, NULL), TM_FAILED_PRECONDITION);
    assert_int_equal(beta_prior_estimate(&all, BETA_PRIOR_MOMENTS, &out, NULL), TM_FAILED_PRECONDITION);
}

static void what_is_forgotten_is_no_evidence(void **state)
{
    CLEANUP(beta_prior_close) struct beta_prior p = {0};
    const struct model_config config = {.prior = {1, 1}, .prior_count = 2, .decay_per_ms = model_decay(1000)};
    const struct beta_block b = {.s = 6, .f = 10, .time = 5000};
    (void)state;
    beta_prior_add_block(&p, &config, &b, 6000);
    assert_near(p.inverse, 1.0 / 8, 1e-12);
    beta_prior_add_block(&p, &config, &b, 9000);
    assert_int_equal(p.passed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_of_the_gamma_function),
        cmocka_unit_test(twelve_documents_by_both_methods),
        cmocka_unit_test(what_documents_were_drawn_from_is_found_again),
        cmocka_unit_test(documents_that_are_all_alike_give_the_strongest_prior),
        cmocka_unit_test(what_says_too_little_is_refused),
        cmocka_unit_test(what_is_forgotten_is_no_evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
