/* learner/policy.h: the golden file that Python is held to as well, whether propensities are how often things happen, and
 * how much regret the policies have in worlds whose rates are known. All seeds are fixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/bandit.h"
#include "learner/policy.h"
#include "tests/unit/golden.h"

enum { ARMS = 50 };

static void assert_near(double got, double want, double error)
{
    if (!(fabs(got - want) <= error))
        fail_msg("got %.12g, want %.12g +- %g", got, want, error);
}

/* ---- the golden file ---- */

/* As tests/golden/make_policy.py makes them. */
static void random_arms(uint64_t state, uint32_t count, struct arm *arms)
{
    for (uint32_t i = 0; i < count; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t kind = state >> 33 & 3, first = state >> 40 & 7, second = state >> 50 & 31;
        if (kind == 0 && count != 2)
            arms[i] = (struct arm){state, ARM_NORMAL, 0.0 - (double)first / 2, (double)second / 16};
        else
            arms[i] = (struct arm){state, ARM_BETA, (double)first + 1, 4 * (double)second + (kind == 1 ? 1.5 : 1)};
    }
}

static enum policy_kind kind_of(const char *name)
{
    return strcmp(name, "thompson") == 0 ? POLICY_THOMPSON : strcmp(name, "ucb") == 0 ? POLICY_UCB : POLICY_GREEDY;
}

static void check_beats(const struct line *l)
{
    enum arm_family family = strcmp(l->word[1], "beta") == 0 ? ARM_BETA : ARM_NORMAL;
    struct arm a = {1, family, number(l, 2), number(l, 3)}, b = {2, family, number(l, 4), number(l, 5)};
    double got = policy_beats(&a, &b);
    if (!isnan(got) || !isnan(number(l, 6)))
        assert_same_bits(got, l, 6);
}

static void check_rank(const struct line *l)
{
    struct policy p = {kind_of(l->word[1]), number(l, 2), number(l, 3), (uint32_t)hex_word(l, 4)};
    uint32_t count = (uint32_t)hex_word(l, 7), places = (uint32_t)hex_word(l, 8);
    struct arm arms[ARMS];
    struct choice out[ARMS];
    assert_true(count <= ARMS && l->words == 9 + 3 * (int)places);
    random_arms(hex_word(l, 5), count, arms);
    policy_rank(&p, hex_word(l, 5), (uint32_t)hex_word(l, 6), arms, count, places, out);
    for (uint32_t k = 0; k < places; k++) {
        assert_int_equal(out[k].arm, hex_word(l, 9 + 3 * (int)k));
        assert_same_bits(out[k].score, l, 10 + 3 * (int)k);
        assert_same_bits(out[k].propensity, l, 11 + 3 * (int)k);
    }
}

static void both_languages_rank_the_same_bits(void **state)
{
    static const struct golden_kind kinds[] = {{"beats", 7, check_beats}, {"rank", 9, check_rank}};
    (void)state;
    check_golden(GOLDEN_POLICY, kinds, ARRAY_LEN(kinds));
}

/* ---- closed forms ---- */

static void closed_forms_are_right(void **state)
{
    (void)state;
    assert_near(policy_beats(&(struct arm){1, ARM_BETA, 21, 481}, &(struct arm){2, ARM_BETA, 13, 489}), 0.92211424,
                5e-9);
    assert_near(policy_beats(&(struct arm){1, ARM_BETA, 13, 489}, &(struct arm){2, ARM_BETA, 21, 481}), 1 - 0.92211424,
                5e-9);
    for (double z = -12; z <= 12; z += 0.01) {
        double want = 0.5 * erfc(-z * M_SQRT1_2);
        double got = policy_beats(&(struct arm){1, ARM_NORMAL, 1 + z, 0.75}, &(struct arm){2, ARM_NORMAL, 1, 0.25});
        assert_near(got / want, 1, 1e-12);
    }
    assert_true(isnan(policy_beats(&(struct arm){1, ARM_BETA, 1, 1}, &(struct arm){2, ARM_NORMAL, 0, 1})));
}

/* ---- propensities are frequencies ---- */

enum { TRIALS = 20000 };

/* Over many seeds: how often each arm came to each place, against what it was said to be whenever it did. */
static void check_frequencies(const struct policy *p, const struct arm *arms, uint32_t n, double error)
{
    static double count[ARMS][ARMS], said[ARMS][ARMS];
    struct choice out[ARMS];
    memset(count, 0, sizeof count);
    memset(said, 0, sizeof said);
    for (uint64_t seed = 0; seed < TRIALS; seed++) {
        policy_rank(p, seed, 7, arms, n, n, out);
        for (uint32_t k = 0; k < n; k++) {
            count[k][out[k].arm]++;
            said[k][out[k].arm] += out[k].propensity;
        }
    }
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < n; i++) {
            double share = count[k][i] / TRIALS;
            if (count[k][i] > 0)
                assert_near(said[k][i] / count[k][i], share, 4.5 * sqrt(share * (1 - share) / TRIALS) + error);
        }
}

static void propensities_are_how_often_it_happens(void **state)
{
    static const struct arm ties[] = {{11, ARM_BETA, 2, 38},
                                      {12, ARM_BETA, 2, 38},
                                      {13, ARM_BETA, 5, 30},
                                      {14, ARM_BETA, 2, 38},
                                      {15, ARM_NORMAL, -9, 1}};
    static const struct arm certain[] = {{41, ARM_NORMAL, -3, 0}, {42, ARM_NORMAL, -3, 0}};
    static const struct arm betas[] = {{21, ARM_BETA, 3, 40}, {22, ARM_BETA, 5, 80.5}};
    static const struct arm normals[] = {{31, ARM_NORMAL, -3, 0.3}, {32, ARM_NORMAL, -3.4, 0.6}};
    (void)state;
    check_frequencies(&(struct policy){.kind = POLICY_GREEDY, .epsilon = 0.1}, ties, 5, 0);
    check_frequencies(&(struct policy){.kind = POLICY_UCB, .epsilon = 0.3, .width = 2}, ties, 5, 0);
    check_frequencies(&(struct policy){.kind = POLICY_GREEDY}, ties, 5, 0);
    check_frequencies(&(struct policy){.kind = POLICY_THOMPSON}, certain, 2, 0);
    check_frequencies(&(struct policy){.kind = POLICY_THOMPSON}, betas, 2, 0);
    check_frequencies(&(struct policy){.kind = POLICY_THOMPSON, .epsilon = 0.2}, normals, 2, 0);
}

/* Re-ranks of TRIALS seeds average out; those of one seed have the error that the header states. */
static void estimated_propensities_are_near(void **state)
{
    struct policy p = {.kind = POLICY_THOMPSON, .epsilon = 0.05, .reranks = 1000};
    struct arm arms[6];
    struct choice out[6];
    double count[6] = {0}, worst = 0;
    (void)state;
    for (uint32_t i = 0; i < 6; i++)
        arms[i] = (struct arm){100 + i, ARM_BETA, 2 + i / 2.0, 60};
    for (uint64_t seed = 0; seed < TRIALS; seed++) {
        policy_rank(&(struct policy){.kind = POLICY_THOMPSON, .epsilon = 0.05}, seed, 1, arms, 6, 1, out);
        assert_true(out[0].propensity == 0);
        count[out[0].arm]++;
    }
    for (uint64_t seed = 0; seed < 100; seed++) {
        policy_rank(&p, seed, 1, arms, 6, 1, out);
        worst = fmax(worst, fabs(out[0].propensity - count[out[0].arm] / TRIALS));
        assert_true(out[0].propensity >= 0.05 / 6);
    }
    assert_true(worst < 4 * 0.5 / sqrt(1000) && worst > 1e-4);
}

/* ---- rankings ---- */

static void order_and_places_change_nothing(void **state)
{
    struct arm arms[ARMS], backwards[ARMS];
    struct choice all[ARMS], some[ARMS], back[ARMS];
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++)
        for (int kind = 0; kind <= POLICY_GREEDY; kind++) {
            struct policy p = {.kind = (enum policy_kind)kind, .epsilon = 0.3, .width = 1};
            uint32_t places = 1 + (uint32_t)(seed % ARMS);
            random_arms(seed, ARMS, arms);
            for (int i = 0; i < ARMS; i++)
                backwards[i] = arms[ARMS - 1 - i];
            policy_rank(&p, seed, 3, arms, ARMS, ARMS, all);
            policy_rank(&p, seed, 3, arms, ARMS, places, some);
            policy_rank(&p, seed, 3, backwards, ARMS, ARMS, back);
            assert_memory_equal(all, some, places * sizeof *all);
            for (int k = 0; k < ARMS; k++) {
                assert_int_equal(all[k].arm, ARMS - 1 - back[k].arm);
                assert_true(all[k].score == back[k].score && all[k].propensity == back[k].propensity);
            }
        }
}

static void nonsense_is_refused_by_name(void **state)
{
    static const struct {
        struct policy p;
        const char *field;
    } cases[] = {
        {{.epsilon = -0.1}, "epsilon"},
        {{.epsilon = NAN}, "epsilon"},
        {{.width = 101}, "width"},
        {{.epsilon = 0.1, .reranks = 100}, "reranks"},
        {{.epsilon = 0.1, .reranks = 1001}, "reranks"},
        {{.epsilon = 0.005, .reranks = 200}, "epsilon"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tm_error err;
        assert_int_equal(policy_check(&cases[i].p, &err), TM_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, cases[i].field));
    }
}

/* ---- regret ---- */

enum { SEEDS = 4 };

static double regret_with(struct batch_world w)
{
    double sum = 0;
    for (w.seed = 1; w.seed <= SEEDS; w.seed++)
        sum += batch_world_regret(&w);
    return sum / SEEDS;
}

/* Documents that stay: in the end Thompson's regret grows by the bound of Lai and Robbins for every factor e of the rounds,
 * and epsilon's in proportion to them. */
static void thompson_explores_less_the_more_it_knows(void **state)
{
    static const double rates[10] = {0.5, 0.35, 0.35, 0.35, 0.3, 0.3, 0.3, 0.25, 0.25, 0.25};
    struct batch_world thompson = {.policy = {.kind = POLICY_THOMPSON}, .documents = 10, .batch = 1, .rates = rates};
    struct batch_world greedy = thompson;
    (void)state;
    greedy.policy = (struct policy){.kind = POLICY_GREEDY, .epsilon = 0.1};
    thompson.rounds = greedy.rounds = 3000;
    double early = regret_with(thompson), early_greedy = regret_with(greedy);
    thompson.rounds = greedy.rounds = 30000;
    double late = regret_with(thompson), late_greedy = regret_with(greedy);
    assert_near((late - early) / (regret_bound(rates, 10) * log(10)), 1, 0.5);
    assert_true(late_greedy > 5 * early_greedy);
    assert_true(late < late_greedy / 2);
}

static double regret_of_batches(uint32_t batch, uint64_t rounds)
{
    return regret_with((struct batch_world){.policy = {.kind = POLICY_THOMPSON},
                                            .documents = 10,
                                            .batch = batch,
                                            .rounds = rounds,
                                            .rate_shape = {4, 4},
                                            .replaced = 1e-3});
}

/* Documents that come and go: learning every 10th round costs next to nothing, every 1000th three and a half times as
 * much. Of a million rounds: 9626, 9528, 11132, 34411 (bench_regret --full); here of 40,000, and some more, because the
 * beginning counts for more. */
static void batches_cost_what_they_should(void **state)
{
    uint64_t rounds = 40000;
    (void)state;
    double one = regret_of_batches(1, rounds), ten = regret_of_batches(10, rounds);
    double hundred = regret_of_batches(100, rounds), thousand = regret_of_batches(1000, rounds);
    assert_near(one / 9626 * 1e6 / (double)rounds, 1.1, 0.25);
    assert_near(ten / one, 9528.0 / 9626, 0.15);
    assert_near(hundred / one, 11132.0 / 9626, 0.2);
    assert_near(thousand / one, 34411.0 / 9626, 0.6);
}

static double late_regret(enum late_rule rule, uint32_t window)
{
    struct late_result r;
    double sum = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        late_world_run(&(struct late_world){.rule = rule,
                                            .documents = 20,
                                            .window = window,
                                            .mean_delay = 400,
                                            .rounds = 12000,
                                            .seed = seed,
                                            .rate_shape = {2, 38}},
                       &r);
        sum += r.regret;
        assert_near(r.calibration, rule == LATE_DROP ? 0.4 : 0.9, rule == LATE_DROP ? 0.35 : 0.25);
    }
    return sum / SEEDS;
}

/* With retraction the window hardly matters; without, a short one ruins the ranking. */
static void retraction_makes_the_window_harmless(void **state)
{
    (void)state;
    double retract = late_regret(LATE_RETRACT, 0), waited = late_regret(LATE_RETRACT, 400);
    assert_near(retract / waited, 1, 0.3);
    assert_true(late_regret(LATE_DROP, 0) > 2 * retract);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_languages_rank_the_same_bits),        cmocka_unit_test(closed_forms_are_right),
        cmocka_unit_test(propensities_are_how_often_it_happens),    cmocka_unit_test(estimated_propensities_are_near),
        cmocka_unit_test(order_and_places_change_nothing),          cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(thompson_explores_less_the_more_it_knows), cmocka_unit_test(batches_cost_what_they_should),
        cmocka_unit_test(retraction_makes_the_window_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
