/* learner/off_policy_requests.h and the chances of learner/policy.h, against worlds whose truth is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "learner/policy_comparison.h"
#include "learner/policy.h"
#include "tests/unit/random.h"

static double uniform(uint64_t *seed) { return (double)(draw(seed) >> 11) * 0x1p-53; }

static void assert_near(double got, double want, double error)
{
    if (!(fabs(got - want) <= error))
        fail_msg("got %.12g, want %.12g +- %g", got, want, error);
}

/* ---- sums ---- */

static void one_decision_a_request_is_as_without_requests(void **state)
{
    uint64_t seed = 3;
    struct off_policy plain;
    struct off_policy_requests requests = {0};
    struct off_policy_report want, got;
    (void)state;
    off_policy_start(&plain, INFINITY);
    for (int i = 0; i < 500; i++) {
        struct decision d = {.propensity = 0.1 + 0.9 * uniform(&seed),
                             .target = uniform(&seed),
                             .reward = uniform(&seed) < 0.3,
                             .expected_target = uniform(&seed),
                             .expected_action = uniform(&seed)};
        struct off_policy_request q = {0};
        off_policy_add(&plain, &d);
        off_policy_request_add(&q, &d, 1);
        off_policy_requests_add(&requests, &q);
    }
    off_policy_report(&plain, &want);
    off_policy_requests_report(&requests, &got);
    const struct estimate *a = &want.ips, *b = &got.ips; /* ips, snips, dr, weight */
    for (int i = 0; i < 4; i++) {
        assert_near(b[i].value, a[i].value, 1e-12);
        assert_near(b[i].error, a[i].error, 1e-12);
    }
    assert_near(got.effective, want.effective, 1e-9);
    assert_near(got.weight_max, want.weight_max, 0);
}

/* What a request says twice is not two observations. */
static void decisions_of_a_request_are_not_independent(void **state)
{
    uint64_t seed = 5;
    struct off_policy_requests once = {0}, twice = {0};
    struct off_policy_report a, b;
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct decision d = {.propensity = 0.5, .target = uniform(&seed), .reward = uniform(&seed)};
        struct off_policy_request q = {0};
        off_policy_request_add(&q, &d, 1);
        off_policy_requests_add(&once, &q);
        off_policy_request_add(&q, &d, 1);
        off_policy_requests_add(&twice, &q);
    }
    off_policy_requests_report(&once, &a);
    off_policy_requests_report(&twice, &b);
    assert_near(b.snips.error, a.snips.error, 1e-12);
    assert_near(b.ips.error, a.ips.error, 1e-12);
    struct off_policy_requests single = {0};
    off_policy_requests_add(&single, &(struct off_policy_request){1, 1, 1, 1, 1, 1});
    off_policy_requests_report(&single, &a);
    assert_true(isnan(a.ips.error) && isnan(a.snips.error));
}

/* ---- chances ---- */

enum { ARMS = 4 };

static const uint32_t every_place[ARMS] = {0, 1, 2, 3};

static void chances_are_those_of_rankings(void **state)
{
    const struct policy policies[] = {{.kind = POLICY_GREEDY, .epsilon = 0.2},
                                      {.kind = POLICY_UCB, .width = 1},
                                      {.kind = POLICY_THOMPSON, .epsilon = 0.1}};
    /* the two in the middle tie for greedy */
    const struct arm arms[ARMS] = {
        {11, ARM_NORMAL, 1, 0.2}, {12, ARM_NORMAL, 0, 0.5}, {13, ARM_NORMAL, 0, 0.1}, {14, ARM_NORMAL, -1, 1}};
    enum { RANKINGS = 20000 };
    (void)state;
    for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
        double counted[ARMS * ARMS] = {0}, chances[ARMS * ARMS];
        for (uint64_t i = 0; i < RANKINGS; i++) {
            struct choice choice[ARMS];
            policy_rank(&policies[p], draw_mix(i), 1, arms, ARMS, ARMS, choice);
            for (int k = 0; k < ARMS; k++)
                counted[k * ARMS + (int)choice[k].arm] += 1.0 / RANKINGS;
        }
        policy_chances(&policies[p], 1, 1, arms, ARMS, every_place, ARMS, RANKINGS, chances);
        for (int k = 0; k < ARMS; k++) {
            double sum = 0;
            for (int i = 0; i < ARMS; i++) {
                assert_near(chances[k * ARMS + i], counted[k * ARMS + i], 0.02);
                sum += chances[k * ARMS + i];
            }
            assert_near(sum, 1, 1e-9);
        }
    }
}

static void two_have_exact_chances_and_a_place_too_many_none(void **state)
{
    const struct policy p = {.kind = POLICY_THOMPSON, .epsilon = 0.5};
    const struct arm arms[2] = {{1, ARM_NORMAL, 0.3, 0.2}, {2, ARM_NORMAL, 0, 0.1}};
    const uint32_t place[] = {1, 0, 2};
    double chances[6], ahead = 0.25 + 0.5 * policy_beats(&arms[0], &arms[1]);
    (void)state;
    policy_chances(&p, 7, 1, arms, 2, place, 3, 1, chances);
    const double want[] = {1 - ahead, ahead, ahead, 1 - ahead, 0, 0};
    for (int i = 0; i < 6; i++)
        assert_near(chances[i], want[i], 1e-12);
    policy_chances(&p, 7, 1, arms, 1, place, 2, 1, chances);
    assert_near(chances[0], 0, 0);
    assert_near(chances[1], 1, 1e-12);
}

/* ---- a world whose truth is known ---- */

enum { CONTEXTS = 9, RUNS = 200, EXACT_DRAWS = 20000 };

/* Nine contexts, four documents; what is served looks at the context, and so does what is asked for. */
struct world {
    struct policy served, asked;
    double clicks[CONTEXTS][ARMS]; /* at the first place; half of it at the next, and so on */
    struct arm served_arm[CONTEXTS][ARMS], asked_arm[CONTEXTS][ARMS];
    double propensity[CONTEXTS][ARMS * ARMS]; /* by place, document */
    double truth;                             /* mean reward of a sample of what is asked for */
    uint32_t places;                          /* that a request fills */
    bool exact;                               /* what is asked for has chances without draws */
};

static void make_world(struct world *w, enum policy_kind asked, uint32_t places)
{
    uint64_t seed = 17;
    double chances[ARMS * ARMS];
    *w = (struct world){.served = {.kind = POLICY_GREEDY, .epsilon = 0.6},
                        .asked = {.kind = asked, .epsilon = 0.05},
                        .places = places,
                        .exact = asked != POLICY_THOMPSON};
    for (int x = 0; x < CONTEXTS; x++) {
        for (int d = 0; d < ARMS; d++) {
            double slope = 1.5 * cos(d + 1), score = -1.5 + slope * (x % 3 - 1) + 1.5 * sin(3 * d + x / 3);
            w->clicks[x][d] = 1 / (1 + exp(-score));
            w->served_arm[x][d] = (struct arm){(uint64_t)d, ARM_NORMAL, uniform(&seed), 0};
            w->asked_arm[x][d] = (struct arm){(uint64_t)d, ARM_NORMAL, score + 0.5 * uniform(&seed), 0.3};
        }
        policy_chances(&w->served, 1, 1, w->served_arm[x], ARMS, every_place, ARMS, 1, w->propensity[x]);
        policy_chances(&w->asked, 1, 1, w->asked_arm[x], ARMS, every_place, ARMS, EXACT_DRAWS, chances);
        for (uint32_t k = 0; k < places; k++)
            for (int d = 0; d < ARMS; d++)
                w->truth += chances[k * ARMS + (uint32_t)d] * w->clicks[x][d] / (1 << k) / CONTEXTS / places;
    }
}

struct served_request {
    int context;
    struct choice choice[ARMS];
    bool clicked[ARMS];
};

static void serve(const struct world *w, uint64_t *seed, struct served_request *q)
{
    q->context = (int)below(seed, CONTEXTS);
    policy_rank(&w->served, draw(seed), 1, w->served_arm[q->context], ARMS, w->places, q->choice);
    for (uint32_t k = 0; k < w->places; k++)
        q->clicked[k] = uniform(seed) < w->clicks[q->context][q->choice[k].arm] / (1 << k);
}

static struct bytes doc_of(uint32_t arm) { return bytes_of("abcd" + arm, 1); }

/* As ps/engine/request_estimate.c weighs one request. */
static void weigh(const struct world *w, const struct policy_comparison *c, const struct served_request *q,
                  uint64_t seed, struct off_policy_requests *sums)
{
    double chances[ARMS * ARMS];
    struct off_policy_request sum = {0};
    policy_chances(&w->asked, seed, 2, w->asked_arm[q->context], ARMS, every_place, w->places, 16, chances);
    for (uint32_t k = 0; k < w->places; k++) {
        const double *row = chances + k * ARMS;
        uint32_t arm = q->choice[k].arm;
        struct decision d = {.propensity = w->propensity[q->context][k * ARMS + arm],
                             .target = fmin(row[arm], 1),
                             .reward = q->clicked[k],
                             .expected_action = policy_comparison_expected(c, 0, hash_128(doc_of(arm), 0), (int32_t)k)};
        for (uint32_t i = 0; i < ARMS; i++)
            d.expected_target += row[i] * policy_comparison_expected(c, 0, hash_128(doc_of(i), 0), (int32_t)k);
        off_policy_request_add(&sum, &d, 1);
    }
    off_policy_requests_add(sums, &sum);
}

static struct policy_estimate run(const struct world *w, uint64_t seed, int requests)
{
    struct policy_comparison c = {0};
    struct off_policy_requests sums = {0};
    struct policy_estimate estimate;
    struct served_request *log = mem_new((size_t)requests, sizeof *log);
    for (int i = 0; i < requests; i++) {
        serve(w, &seed, &log[i]);
        for (uint32_t k = 0; k < w->places; k++) {
            uint32_t arm = log[i].choice[k].arm;
            struct policy_decision d = {doc_of(arm), (int32_t)k, w->propensity[log[i].context][k * ARMS + arm],
                                        log[i].clicked[k], 1};
            assert_int_equal(policy_comparison_add(&c, 0, &d, NULL), TM_OK);
        }
    }
    policy_comparison_seal(&c);
    for (int i = 0; i < requests; i++)
        weigh(w, &c, &log[i], draw(&seed), &sums);
    policy_estimate_of_requests(&sums, &estimate);
    policy_comparison_close(&c);
    free(log);
    return estimate;
}

static bool covers(const struct policy_interval *i, double truth) { return i->lower <= truth && truth <= i->upper; }

/* 95 % intervals hold the truth in 93 % of the runs at least, and those for any time in 95 %. */
static void assert_covered(const struct world *w, int requests)
{
    int ips = 0, snips = 0, dr = 0, any_time = 0, plausible = 0;
    double mean = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        struct policy_estimate e = run(w, draw_mix(seed), requests);
        ips += covers(&e.ips, w->truth);
        snips += covers(&e.snips, w->truth);
        dr += covers(&e.dr, w->truth);
        any_time += e.dr.any_time_lower <= w->truth && w->truth <= e.dr.any_time_upper;
        plausible += e.report.weight_plausible;
        mean += e.ips.value / RUNS;
    }
    print_message("truth %.4f, mean of IPS %.4f; of %d runs covered by IPS %d, SNIPS %d, DR %d\n", w->truth, mean, RUNS,
                  ips, snips, dr);
    assert_near(mean, w->truth, 0.01 * w->truth);
    assert_true(ips >= 0.93 * RUNS && snips >= 0.93 * RUNS && dr >= 0.93 * RUNS);
    assert_true(any_time >= 0.95 * RUNS && plausible >= 0.98 * RUNS);
}

static void a_policy_of_the_context_is_worth_what_it_is_said_to_be(void **state)
{
    struct world w;
    (void)state;
    make_world(&w, POLICY_GREEDY, 1);
    assert_covered(&w, 1000);
}

static void so_is_one_that_fills_all_places_by_draws(void **state)
{
    struct world w;
    (void)state;
    make_world(&w, POLICY_THOMPSON, ARMS);
    assert_covered(&w, 400);
}

/* Why it must be asked in each request: how often it shows each document says something else. */
static void mean_frequencies_are_another_policy(void **state)
{
    struct world w;
    double frequency[ARMS] = {0}, chances[ARMS], value = 0;
    (void)state;
    make_world(&w, POLICY_GREEDY, 1);
    for (int x = 0; x < CONTEXTS; x++) {
        policy_chances(&w.asked, 1, 2, w.asked_arm[x], ARMS, every_place, 1, 1, chances);
        for (int d = 0; d < ARMS; d++)
            frequency[d] += chances[d] / CONTEXTS;
    }
    for (int x = 0; x < CONTEXTS; x++)
        for (int d = 0; d < ARMS; d++)
            value += frequency[d] * w.clicks[x][d] / CONTEXTS;
    assert_true(value < 0.8 * w.truth);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_decision_a_request_is_as_without_requests),
        cmocka_unit_test(decisions_of_a_request_are_not_independent),
        cmocka_unit_test(chances_are_those_of_rankings),
        cmocka_unit_test(two_have_exact_chances_and_a_place_too_many_none),
        cmocka_unit_test(a_policy_of_the_context_is_worth_what_it_is_said_to_be),
        cmocka_unit_test(so_is_one_that_fills_all_places_by_draws),
        cmocka_unit_test(mean_frequencies_are_another_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
