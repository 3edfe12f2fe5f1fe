/* What ranking by draws from logistic regressions costs: documents whose rates depend on who asks. */
#include "tests/unit/regression.h"

enum { DOCUMENTS = 8, D = 3, N = D + 1, ROUNDS = 6000, SEEDS = 6, CURVE = 3 };

struct bandit {
    struct model_config config;
    double truth[DOCUMENTS][N];
    void *belief[DOCUMENTS];
};

static void bandit_open(struct bandit *b, uint64_t *seed)
{
    b->config = plain(D, true, COVARIANCE_FULL);
    b->config.intercept_mean = -1;
    for (int d = 0; d < DOCUMENTS; d++) {
        b->belief[d] = block_new(&model_lr_full, &b->config);
        for (uint32_t i = 0; i < N; i++)
            b->truth[d][i] = features_prior_mean(&b->config, i) + normal(seed);
    }
}

static double rate(const struct bandit *b, int d, const float *x)
{
    double score = b->truth[d][D];
    for (int i = 0; i < D; i++)
        score += b->truth[d][i] * (double)x[i];
    return lr_logistic(score);
}

static int choose(const struct bandit *b, const float *x, double epsilon, bool thompson, uint64_t *seed)
{
    double best = -INFINITY;
    int chosen = 0;
    if (!thompson && uniform(seed) < epsilon)
        return (int)below(seed, DOCUMENTS);
    for (int d = 0; d < DOCUMENTS; d++) {
        struct score s;
        model_lr_full.locate(&b->config, b->belief[d], x, NOON, &s);
        double value = thompson ? score_draw(&s, normal(seed)) : s.mean;
        chosen = value > best ? d : chosen;
        best = fmax(best, value);
    }
    return chosen;
}

/* Adds the regret after a tenth, a half and all of the rounds. */
static void run(uint64_t world, bool thompson, double epsilon, double curve[CURVE])
{
    static const int at[CURVE] = {ROUNDS / 10, ROUNDS / 2, ROUNDS};
    struct bandit b;
    uint64_t seed = world, luck = world + 1000;
    double regret = 0;
    bandit_open(&b, &seed);
    for (int k = 1; k <= ROUNDS; k++) {
        float x[D];
        double best = 0;
        fill_features(&seed, x, D, 1); /* who asks does not depend on what was shown */
        for (int d = 0; d < DOCUMENTS; d++)
            best = fmax(best, rate(&b, d, x));
        int chosen = choose(&b, x, epsilon, thompson, &luck);
        struct example e = sample(x, uniform(&luck) < rate(&b, chosen, x));
        regret += best - rate(&b, chosen, x);
        model_lr_full.learn(&b.config, b.belief[chosen], &e, 1);
        for (int i = 0; i < CURVE; i++)
            curve[i] += k == at[i] ? regret / SEEDS : 0;
    }
    for (int d = 0; d < DOCUMENTS; d++)
        free(b.belief[d]);
}

/* Thompson's regret grows like the square root of the rounds at most (Agrawal and Goyal, "Thompson sampling for
 * contextual bandits with linear payoffs", 2013: N sqrt(N T) up to logarithms), epsilon's in proportion to them: of ten
 * times the rounds the one has 3.2 times the regret or less. Greedy alone may never try what it thinks little of. */
static void thompson_learns_what_others_pay_for(void **state)
{
    double thompson[CURVE] = {0}, greedy[CURVE] = {0}, epsilon[CURVE] = {0};
    (void)state;
    for (uint64_t world = 1; world <= SEEDS; world++) {
        run(world, true, 0, thompson);
        run(world, false, 0, greedy);
        run(world, false, 0.1, epsilon);
    }
    print_message(
        "regret after %d, %d, %d rounds: thompson %.0f %.0f %.0f, greedy %.0f %.0f %.0f, epsilon 0.1 %.0f %.0f "
        "%.0f\n",
        ROUNDS / 10, ROUNDS / 2, ROUNDS, thompson[0], thompson[1], thompson[2], greedy[0], greedy[1], greedy[2],
        epsilon[0], epsilon[1], epsilon[2]);
    assert_true(thompson[2] < 3.2 * thompson[0]);               /* sqrt(10) */
    assert_true(thompson[2] - thompson[1] < 0.5 * thompson[1]); /* sqrt(2) - 1, and some luck */
    assert_true(epsilon[2] - epsilon[1] > 0.6 * epsilon[1]);    /* in proportion */
    assert_true(thompson[2] < 0.6 * epsilon[2] && thompson[2] < 1.1 * greedy[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(thompson_learns_what_others_pay_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
