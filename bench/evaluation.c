/* What it costs to choose among candidates, and to judge the choice afterwards: CPU of one thread, everything in cache.
 *
 * Floor    of rankings: the draws alone, one per candidate and re-rank, without comparing them. Of judging a sample: two logarithms.
 * Rounds   ROUNDS of each; the fastest counts, since what else runs here only adds. */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "learner/off_policy.h"
#include "learner/policy.h"
#include "learner/validation.h"

enum { ROUNDS = 7, ARMS_MAX = 500, PLACES = 10, SAMPLES = 100000 };

static double sink; /* keeps what is measured */

struct task {
    void (*run)(void *self);
    void *self;
};

/* Seconds of CPU that a run takes. */
static double cost_of(struct task t)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_thread_cpu_ns();
        t.run(t.self);
        best = fmin(best, (double)(clock_thread_cpu_ns() - began) * 1e-9);
    }
    return best;
}

/* ---- rankings ---- */

struct contest {
    struct policy policy;
    uint32_t arms, places, rankings;
    struct arm arm[ARMS_MAX];
};

static void rank_all(void *self)
{
    const struct contest *c = self;
    struct choice out[PLACES];
    for (uint32_t seed = 0; seed < c->rankings; seed++) {
        policy_rank(&c->policy, seed, 1, c->arm, c->arms, c->places, out);
        sink += out[0].score;
    }
}

static void draw_all(void *self)
{
    const struct contest *c = self;
    for (uint32_t seed = 0; seed < c->rankings * (1 + c->policy.reranks); seed++)
        for (uint32_t i = 0; i < c->arms; i++)
            sink += policy_score(&c->policy, seed, 1, &c->arm[i]);
}

static struct contest contest_of(uint32_t arms, enum arm_family family)
{
    struct contest c = {.policy = {.kind = POLICY_THOMPSON}, .arms = arms, .rankings = 400000 / arms};
    for (uint32_t i = 0; i < arms; i++)
        c.arm[i] = family == ARM_BETA ? (struct arm){i, family, 1 + i % 40, 20 + i}
                                      : (struct arm){i, family, -3 - 0.01 * i, 0.2};
    return c;
}

/* units: of what the rate counts, in one run. */
static void add_rate(struct bench *b, struct contest *c, double units, const char *unit, const char *what)
{
    static const char *const families[] = {[ARM_BETA] = "beta", [ARM_NORMAL] = "normal"};
    bench_add(b,
              (struct bench_row){.value = units / cost_of((struct task){rank_all, c}),
                                 .unit = unit,
                                 .reference = "draws alone",
                                 .reference_value = units / cost_of((struct task){draw_all, c})},
              "%s/%u arms/%s", what, c->arms, families[c->arm[0].family]);
}

static void ranking_rows(struct bench *b)
{
    for (int family = ARM_BETA; family <= ARM_NORMAL; family++) {
        struct contest c = contest_of(500, family);
        bench_say("evaluation: rankings");
        c.places = PLACES;
        add_rate(b, &c, (double)c.arms * c.rankings, "draws/s", "rank");
        c = contest_of(100, family);
        c.places = 1;
        add_rate(b, &c, c.rankings, "decisions/s", "decide");
        c.policy.epsilon = 0.05;
        c.policy.reranks = 200;
        c.rankings = 20;
        add_rate(b, &c, c.rankings, "decisions/s", "decide, 200 re-ranks");
    }
}

/* ---- judging ---- */

struct court {
    struct validation validation;
    struct off_policy off_policy;
    struct judged sample[SAMPLES];
};

static void add_all(void *self)
{
    struct court *c = self;
    validation_start(&c->validation);
    for (int i = 0; i < SAMPLES; i++)
        validation_add(&c->validation, &c->sample[i]);
}

static void correct_all(void *self)
{
    struct court *c = self;
    for (int i = 0; i < SAMPLES; i++) {
        validation_correct(&c->validation, &c->sample[i], 1 - c->sample[i].reward, c->sample[i].weight);
        c->sample[i].reward = 1 - c->sample[i].reward;
    }
}

static void estimate_all(void *self)
{
    struct court *c = self;
    off_policy_start(&c->off_policy, 100);
    for (int i = 0; i < SAMPLES; i++)
        off_policy_add(
            &c->off_policy,
            &(struct decision){.propensity = c->sample[i].predicted, .target = 0.01, .reward = c->sample[i].reward});
    sink += c->off_policy.reward.first;
}

static void log_all(void *self)
{
    struct court *c = self;
    for (int i = 0; i < SAMPLES; i++)
        sink += log(c->sample[i].predicted) + log(1 - c->sample[i].predicted);
}

static void judging_rows(struct bench *b)
{
    static const struct {
        const char *name;
        void (*run)(void *self);
    } rows[] = {{"validation/add", add_all}, {"validation/correct", correct_all}, {"off-policy/add", estimate_all}};
    struct court *c = mem_new(1, sizeof *c);
    for (int i = 0; i < SAMPLES; i++) {
        struct draw d = draw_begin(1, 1, (uint64_t)i);
        c->sample[i] = (struct judged){.time = INT64_C(1700000000000) + 30 * i, /* all within the hour */
                                       .request = (uint64_t)i / 10,
                                       .predicted = draw_probability(draw_beta(&d, 2, 38)),
                                       .reward = draw_uniform(&d) < 0.05,
                                       .weight = 1};
    }
    double floor = cost_of((struct task){log_all, c}) / SAMPLES * 1e9;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bench_say("evaluation: %s", rows[i].name);
        double ns = cost_of((struct task){rows[i].run, c}) / SAMPLES * 1e9;
        bench_add(b,
                  (struct bench_row){
                      .value = ns, .unit = "ns CPU/sample", .reference = "two logarithms", .reference_value = floor},
                  "%s", rows[i].name);
    }
    free(c);
}

int main(int argc, char **argv)
{
    struct bench b;
    bench_open(&b, argc, argv);
    ranking_rows(&b);
    judging_rows(&b);
    CHECK(isfinite(sink));
    return bench_finish(&b);
}
