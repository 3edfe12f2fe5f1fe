/* The learner against numbers from elsewhere, against itself in another order, and against a naive bitmap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "learner/beta.h"
#include "learner/linear.h"
#include "learner/lr.h"
#include "learner/special.h"
#include "tests/unit/stops.h"

#define HOUR INT64_C(3600000)
#define NOON INT64_C(1700000000000)

static const struct model_config forever = {.prior = {1, 20}, .prior_count = 2};
static const struct model_config hourly = {.prior = {1, 20}, .prior_count = 2, .decay_per_ms = M_LN2 / HOUR};

/* splitmix64 */
static uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *seed, uint64_t limit) { return draw(seed) % limit; }

static void assert_near(double have, double want, double tolerance, const char *what)
{
    if (!(fabs(have - want) <= tolerance * fabs(want)))
        fail_msg("%s: %.17g instead of %.17g", what, have, want);
}

/* ---- special functions ---- */

static const double probabilities[] = {0.025, 0.05, 0.5, 0.95, 0.975};

/* Quantiles at `probabilities`, computed with mpmath at 60 digits: Newton on the logit of x for the hypergeometric
 * series I_x(a, b) = x^a y^b / (a B(a, b)) 2F1(1, a + b; a + 1; x), summed on the side of the mean where it is small.
 * Shapes and probabilities are the doubles nearest to what is written. Below 1e-300 the contract says 0. */
static const struct {
    double a, b, quantiles[5];
} quantile_cases[] = {
    {1, 1, {0.025, 0.05, 0.5, 0.95, 0.975}},
    {1,
     20,
     {1.2650894979498037654e-3, 2.5613787765302805912e-3, 3.4063671075154448935e-2, 1.3910834066826516666e-1,
      1.6843347098308530014e-1}},
    {0.5,
     0.7,
     {9.8090302500157919775e-4, 3.9213015298182532503e-3, 3.6108391313204373638e-1, 9.6937593617749075683e-1,
      9.885578159702970427e-1}},
    {0.01, 0.02, {2.44988076921122944e-143, 3.105592827578206867e-113, 3.1055928275772389187e-13, 1, 1}},
    {2,
     48,
     {4.9818418349713007854e-3, 7.3006964718499111078e-3, 3.4015954167890485444e-2, 9.3192471434201193861e-2,
      1.0854176396840693965e-1}},
    {5,
     269,
     {5.9729191035641905923e-3, 7.2436931716438109699e-3, 1.7088549281428015653e-2, 3.3213877779657661076e-2,
      3.7087981415897479057e-2}},
    {857,
     12000,
     {6.2409319504250793855e-2, 6.307689243285408219e-2, 6.6633826810023969585e-2, 7.0312346115315672574e-2,
      7.1030959536342799989e-2}},
    {1e4,
     1e6,
     {9.7088182999637273625e-3, 9.7394952125907669594e-3, 9.9006666030458232269e-3, 1.006358845898580089e-2,
      1.009500029610102374e-2}},
    {1e6,
     1e6,
     {4.9930704833394945151e-1, 4.9941845654714266504e-1, 0.5, 5.0058154345285733482e-1, 5.0069295166605054836e-1}},
    {1e-3, 5, {0, 0, 0, 6.5937743545081079223e-24, 1.2593443288349635369e-12}},
};

static void test_quantile(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(quantile_cases); i++)
        for (size_t k = 0; k < ARRAY_LEN(probabilities); k++) {
            double a = quantile_cases[i].a, b = quantile_cases[i].b, want = quantile_cases[i].quantiles[k];
            char what[80];
            snprintf(what, sizeof what, "quantile(%g, %g, %g)", a, b, probabilities[k]);
            assert_near(beta_quantile(a, b, probabilities[k]), want, 1e-12, what);
            if (want > 0 && want < 1)
                assert_near(beta_cdf(a, b, want), probabilities[k], 1e-12, what);
        }
    assert_true(beta_quantile(2, 3, 0) == 0 && beta_quantile(2, 3, 1) == 1);
}

/* Tails, computed as above. */
static void test_cdf_tails(void **state)
{
    static const struct {
        double a, b, x, want;
    } cases[] = {
        {2, 48, 0.5, 9.9999999999991118216e-1},
        {2, 48, 1e-6, 1.1759631526356202661e-9},
        {0.01, 0.02, 1e-200, 6.6688133015173840622e-3},
        {0.5, 0.7, 0x1.fffffffffep-1, 9.9999999787618617665e-1},
        {1e6, 1e6, 0.495, 1.0390356399764502274e-45},
        {1e6, 1e6, 0.49, 2.490453657610394275e-176},
        {1e6, 1e6, 0.505, 1},
        {1e4, 1e6, 0.0085, 8.7394157898414195582e-51},
        {857, 12000, 0.02, 2.7448911104757214034e-196},
        {1000, 0.01, 0.999, 2.2162154994438497538e-3},
        {3, 1e6, 1e-9, 1.6654221640311428429e-10},
        {1e6, 0.5, 0.9999, 2.0780712799762737204e-45},
        {1e-3, 1e6, 1e-4, 1},
        {2, 3, 0, 0},
        {2, 3, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char what[80];
        snprintf(what, sizeof what, "cdf(%g, %g, %g)", cases[i].a, cases[i].b, cases[i].x);
        assert_near(beta_cdf(cases[i].a, cases[i].b, cases[i].x), cases[i].want, 1e-12, what);
    }
}

/* Seven decades of shapes on each side: inverse of each other, and symmetric. */
static void test_quantile_inverts_cdf(void **state)
{
    uint64_t seed = 11;
    (void)state;
    for (int i = 0; i < 3000; i++) {
        double a = pow(10, (double)below(&seed, 1200) / 100 - 3), b = pow(10, (double)below(&seed, 1200) / 100 - 3);
        double p = (double)(1 + below(&seed, 999)) / 1000, x = beta_quantile(a, b, p);
        double mirrored = beta_quantile(b, a, 1 - p);
        assert_true(x >= 0 && x <= 1 && fabs(x + mirrored - 1) < 1e-9);
        if (x > 0 && x < 0.999) /* where a double is fine enough to tell x from its neighbours */
            assert_near(beta_cdf(a, b, x), p, 1e-7, "cdf of the quantile");
    }
}

/* ---- beta ---- */

static struct example example(double reward, double weight, int64_t time)
{
    return (struct example){.reward = reward, .weight = weight, .time = time};
}

static void learn(const struct model_config *config, struct beta_block *b, double reward, double weight, int64_t time)
{
    struct example e = example(reward, weight, time);
    model_beta.learn(config, b, &e, 1);
}

static void correct(const struct model_config *config, struct beta_block *b, double before, double after, double weight,
                    int64_t time)
{
    model_beta.correct(config, b, &(struct correction){example(before, weight, time), example(after, weight, time)});
}

static void test_model_table(void **state)
{
    (void)state;
    assert_ptr_equal(model_find(bytes_text("beta")), &model_beta);
    assert_null(model_find(bytes_text("bet")));
    assert_null(model_find((struct bytes){0}));
    struct model_config full = {.covariance = COVARIANCE_FULL}, diagonal = {.covariance = COVARIANCE_DIAGONAL};
    const struct model *lr = model_find(bytes_text("lr"));
    assert_ptr_equal(model_form(lr, &full), &model_lr_full);
    assert_ptr_equal(model_form(lr, &diagonal), &model_lr_diagonal);
    assert_ptr_equal(model_form(model_find(bytes_text("linear")), &diagonal), &model_linear);
    assert_ptr_equal(model_form(&model_beta, &full), &model_beta);
    assert_string_equal(model_names(), "beta, lr, linear, embedding");
    assert_int_equal(model_beta.width(&forever), 2);
    struct value_name name;
    model_beta.value_name(&forever, 0, &name);
    assert_string_equal(name.text, "alpha");
    model_beta.value_name(&forever, 1, &name);
    assert_string_equal(name.text, "beta");
    assert_int_equal(model_beta.block_size(&forever), sizeof(struct beta_block));
}

static void test_beta_check(void **state)
{
    static const struct {
        const char *message; /* NULL: fine */
        struct model_config config;
    } cases[] = {
        {NULL, {.prior = {1, 1}, .prior_count = 2, .decay_per_ms = 0}},
        {NULL, {.prior = {1e-9, 1e12}, .prior_count = 2, .decay_per_ms = 1e-9}},
        {"prior: beta takes 2", {.prior = {1}, .prior_count = 1, .decay_per_ms = 0}},
        {"prior: beta takes 2", {.prior = {1, 1, 1}, .prior_count = 3, .decay_per_ms = 0}},
        {"prior[0]", {.prior = {0, 1}, .prior_count = 2, .decay_per_ms = 0}},
        {"prior[1]", {.prior = {1, -1}, .prior_count = 2, .decay_per_ms = 0}},
        {"prior[1]", {.prior = {1, 1.1e12}, .prior_count = 2, .decay_per_ms = 0}},
        {"prior[0]", {.prior = {NAN, 1}, .prior_count = 2, .decay_per_ms = 0}},
        {"prior[1]", {.prior = {1, INFINITY}, .prior_count = 2, .decay_per_ms = 0}},
        {"forgetting", {.prior = {1, 1}, .prior_count = 2, .decay_per_ms = -1e-9}},
        {"forgetting", {.prior = {1, 1}, .prior_count = 2, .decay_per_ms = NAN}},
        {"forgetting", {.prior = {1, 1}, .prior_count = 2, .decay_per_ms = INFINITY}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tm_error err = {0};
        enum tm_code want = cases[i].message ? TM_INVALID_ARGUMENT : TM_OK;
        assert_int_equal(model_beta.check(&cases[i].config, &err), want);
        if (cases[i].message && !strstr(err.message, cases[i].message))
            fail_msg("case %zu: \"%s\" does not name \"%s\"", i, err.message, cases[i].message);
    }
}

/* By hand: each hour halves. */
static void test_beta_half_life(void **state)
{
    struct beta_block b;
    double v[2];
    (void)state;
    model_beta.init(&hourly, &b);
    learn(&hourly, &b, 1, 1, NOON);        /* s 1 */
    learn(&hourly, &b, 0, 2, NOON + HOUR); /* s 1/2, f 2 */
    learn(&hourly, &b, 1, 4, NOON);        /* late: half of 4; s 5/2 */
    assert_near(b.s, 2.5, 1e-15, "s");
    assert_near(b.f, 2, 1e-15, "f");
    correct(&hourly, &b, 1, 0, 1, NOON); /* the first one, 1/2 by now */
    assert_near(b.s, 2, 1e-15, "s");
    assert_near(b.f, 2.5, 1e-15, "f");
    assert_true(b.time == NOON + HOUR && b.positives == 1 && b.negatives == 2);
    model_beta.values(&hourly, &b, NOON + 2 * HOUR, v);
    assert_near(v[0], 1 + 1, 1e-15, "alpha an hour on");
    assert_near(v[1], 20 + 1.25, 1e-15, "beta an hour on");
    model_beta.values(&hourly, &b, NOON, v);
    assert_near(v[0], 1 + 2, 1e-15, "alpha before T");
    assert_near(v[1], 20 + 2.5, 1e-15, "beta before T");
    model_beta.values(&hourly, &b, NOON + 100000 * HOUR, v);
    assert_true(v[0] == 1 && v[1] == 20); /* back to the prior, not to zero */
}

static void test_beta_edges(void **state)
{
    struct beta_block b;
    (void)state;
    model_beta.init(&forever, &b);
    learn(&forever, &b, 1, 0, NOON); /* weight 0: counted raw, dated, no belief */
    assert_true(b.s == 0 && b.f == 0 && b.positives == 1 && b.time == NOON);
    learn(&forever, &b, 0.25, 4, NOON - HOUR);
    learn(&forever, &b, 0.5, 4, NOON - HOUR);
    assert_true(b.s == 3 && b.f == 5 && b.positives == 2 && b.negatives == 1 && b.time == NOON);
    b.positives = b.negatives = UINT32_MAX;
    learn(&forever, &b, 1, 1, NOON);
    correct(&forever, &b, 1, 0, 1, NOON);
    assert_true(b.positives == UINT32_MAX && b.negatives == UINT32_MAX && b.s == 3 && b.f == 6);
    assert_true(model_beta.valid(&forever, &b));
    for (int i = 0; i < 3; i++) {
        struct beta_block bad = b;
        (i % 2 ? (void)(bad.f = -1) : (void)(bad.s = i ? NAN : -0.0));
        assert_false(model_beta.valid(&forever, &bad));
    }
    /* (0.7 + 0.1) - 0.7 - 0.1 < 0 in doubles. */
    model_beta.init(&forever, &b);
    learn(&forever, &b, 0, 0.7, NOON);
    learn(&forever, &b, 0, 0.1, NOON);
    correct(&forever, &b, 0, 1, 0.7, NOON);
    correct(&forever, &b, 0, 1, 0.1, NOON);
    assert_true(b.f == 0 && !signbit(b.f));
    /* A kept negative may weigh 1 / keep probability, and the positive it becomes 1. */
    model_beta.init(&forever, &b);
    learn(&forever, &b, 0, 10, NOON);
    model_beta.correct(&forever, &b, &(struct correction){example(0, 10, NOON), example(1, 1, NOON)});
    assert_true(b.s == 1 && b.f == 0 && !signbit(b.f));
}

static void test_beta_describe(void **state)
{
    struct model_config config = {.prior = {1, 8}, .prior_count = 2};
    struct beta_block b;
    struct belief belief;
    (void)state;
    model_beta.init(&config, &b);
    learn(&config, &b, 1, 1, NOON);
    for (int i = 0; i < 40; i++)
        learn(&config, &b, 0, 1, NOON + i);
    model_beta.describe(&config, &b, NOON, &belief); /* Beta(2, 48) */
    assert_near(belief.mean, 0.04, 1e-15, "mean");
    assert_near(belief.variance, 0.000752941176, 1e-9, "variance");
    assert_near(belief.lower, 4.9818418349713007854e-3, 1e-12, "lower");
    assert_near(belief.upper, 1.0854176396840693965e-1, 1e-12, "upper");
    assert_true(belief.positives == 1 && belief.negatives == 40 && belief.updated_at == NOON + 39);

    config = (struct model_config){.prior = {0.5, 0.7}, .prior_count = 2};
    model_beta.describe(&config, NULL, NOON, &belief);
    assert_near(belief.mean, 0.416666667, 1e-9, "prior mean");
    assert_near(belief.variance, 0.110479798, 1e-8, "prior variance");
    assert_near(belief.lower, 9.8090302500157919775e-4, 1e-12, "prior lower");
    assert_true(belief.positives == 0 && belief.negatives == 0 && belief.updated_at == 0);
}

/* A draw is from the belief as of the time of the draw, forgetting included. */
static void test_beta_draw(void **state)
{
    struct beta_block b = {0};
    double shape[2];
    (void)state;
    for (int i = 0; i < 30; i++)
        learn(&hourly, &b, i % 3 == 0, 1, NOON);
    for (int hours = 0; hours < 3; hours++) {
        struct draw one = draw_begin(1, 2, 3), other = one;
        model_beta.values(&hourly, &b, NOON + hours * HOUR, shape);
        assert_true(model_beta.draw(&hourly, &b, NOON + hours * HOUR, &one) == draw_beta(&other, shape[0], shape[1]));
    }
    struct draw one = draw_begin(1, 2, 3), other = one;
    assert_true(model_beta.draw(&hourly, NULL, NOON, &one) == draw_beta(&other, 1, 20));
}

/* What was taken out has never been there, but for the newest time. */
static void test_beta_retract(void **state)
{
    (void)state;
    struct beta_block with, without;
    const struct example kept[] = {{.reward = 1, .weight = 2, .time = NOON},
                                   {.reward = 0.25, .weight = 1, .time = NOON + 5}};
    const struct example taken = {.reward = 0.75, .weight = 3, .time = NOON + 3};
    model_beta.init(&forever, &with);
    model_beta.init(&forever, &without);
    model_beta.learn(&forever, &with, kept, 1);
    model_beta.learn(&forever, &with, &taken, 1);
    model_beta.learn(&forever, &with, kept + 1, 1);
    model_beta.retract(&forever, &with, &taken);
    model_beta.learn(&forever, &without, kept, 2);
    assert_memory_equal(&with, &without, sizeof with);

    model_beta.init(&hourly, &with);
    model_beta.learn(&hourly, &with, &taken, 1);
    model_beta.learn(&hourly, &with, &(struct example){.weight = 1, .time = NOON + HOUR}, 1);
    model_beta.retract(&hourly, &with, &taken);
    assert_near(with.f, 1, 1e-12, "failures");
    assert_true(fabs(with.s) < 1e-12 && with.positives == 0 && with.negatives == 1);
}

/* ---- order ---- */

enum { STREAM = 200 };

/* An impression whose label is first wrong, or right at once, and never final before it is learned. */
struct impression {
    double weight;
    int64_t time;
    int labels[3]; /* the last of `count` is the truth */
    int count, done;
};

static void stream_make(uint64_t *seed, struct impression *stream)
{
    for (int i = 0; i < STREAM; i++) {
        struct impression *x = &stream[i];
        *x = (struct impression){.weight = (double)below(seed, 6), .time = NOON + (int64_t)below(seed, 12 * HOUR)};
        x->count = 1 + (int)below(seed, 3);
        for (int k = 0; k < x->count; k++)
            x->labels[k] = (int)below(seed, 2);
    }
}

static void stream_truth(const struct model_config *config, const struct impression *stream, struct beta_block *b)
{
    model_beta.init(config, b);
    for (int i = 0; i < STREAM; i++)
        learn(config, b, stream[i].labels[stream[i].count - 1], stream[i].weight, stream[i].time);
}

/* Samples in any order, their corrections anywhere behind them. */
static void stream_shuffled(const struct model_config *config, uint64_t *seed, struct impression *stream,
                            struct beta_block *b)
{
    int left = 0;
    for (int i = 0; i < STREAM; i++)
        left += stream[i].count;
    model_beta.init(config, b);
    while (left) {
        struct impression *x = &stream[below(seed, STREAM)];
        if (x->done == x->count)
            continue;
        if (x->done == 0)
            learn(config, b, x->labels[0], x->weight, x->time);
        else
            correct(config, b, x->labels[x->done - 1], x->labels[x->done], x->weight, x->time);
        x->done++;
        left--;
    }
}

static void test_any_order(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 100; run++) {
        uint64_t seed = run;
        struct impression stream[STREAM];
        struct beta_block truth, shuffled;
        stream_make(&seed, stream);
        stream_truth(&forever, stream, &truth);
        stream_shuffled(&forever, &seed, stream, &shuffled);
        assert_memory_equal(&shuffled, &truth, sizeof truth);

        for (int i = 0; i < STREAM; i++)
            stream[i].done = 0;
        stream_truth(&hourly, stream, &truth);
        stream_shuffled(&hourly, &seed, stream, &shuffled);
        assert_near(shuffled.s, truth.s, 1e-12, "s");
        assert_near(shuffled.f, truth.f, 1e-12, "f");
        assert_true(shuffled.time == truth.time && shuffled.positives == truth.positives);
        assert_true(shuffled.negatives == truth.negatives && model_beta.valid(&hourly, &shuffled));
    }
}

/* A million negatives, then all turn positive in another order: what stays in f is rounding alone. Returns its share.
 * jitter_ms 0: evenly spaced, equal weights, so that every sample rounds the same way: the worst case. */
static double drift_after_a_million(const struct model_config *config, uint64_t jitter_ms)
{
    enum { COUNT = 1000000 };
    struct example *samples = mem_new(COUNT, sizeof *samples);
    struct beta_block b;
    uint64_t seed = 7;
    for (int i = 0; i < COUNT; i++) {
        double keep = jitter_ms ? 0.05 + (double)below(&seed, 1000) / 1000 : 0.3;
        int64_t late = jitter_ms ? (int64_t)below(&seed, jitter_ms) : 0;
        samples[i] = example(0, 1 / keep, NOON + i * 10 - late);
    }
    model_beta.init(config, &b);
    model_beta.learn(config, &b, samples, COUNT);
    double mass = b.f;
    for (int64_t i = 0; i < COUNT; i++) {
        const struct example *x = &samples[i * 7919 % COUNT]; /* each once: 7919 is prime to the count */
        correct(config, &b, 0, 1, x->weight, x->time);
    }
    free(samples);
    assert_true(b.positives == COUNT && b.negatives == 0);
    return fmax(b.f, fabs(b.s - mass)) / mass;
}

static void test_drift(void **state)
{
    static const struct {
        const char *name;
        const struct model_config *config;
        uint64_t jitter_ms;
        double bound; /* share of the mass */
    } cases[] = {
        {"no forgetting", &forever, 60000, 1e-12},
        {"no forgetting, even", &forever, 0, 1e-12},
        {"half-life 1 h", &hourly, 60000, 1e-12},
        {"half-life 1 h, even", &hourly, 0, 1e-10}, /* the factor errs the same way each time */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double drift = drift_after_a_million(cases[i].config, cases[i].jitter_ms);
        print_message("drift, %s: %.1e\n", cases[i].name, drift);
        assert_true(drift < cases[i].bound);
    }
}

static void learn_nan(void) { learn(&forever, &(struct beta_block){0}, 1, NAN, NOON); }
static void learn_reward_2(void) { learn(&forever, &(struct beta_block){0}, 2, 1, NOON); }
static void correct_nothing(void) { correct(&forever, &(struct beta_block){.time = NOON}, 0, 1, 1, NOON); }

static void correct_too_much(void)
{
    struct beta_block b = {0};
    learn(&forever, &b, 0, 1, NOON);
    correct(&forever, &b, 0, 1, 1.01, NOON);
}

static void correct_the_future(void)
{
    struct beta_block b = {0};
    learn(&forever, &b, 0, 1, NOON);
    correct(&forever, &b, 0, 1, 1, NOON + 1);
}

static void test_beta_checks(void **state)
{
    (void)state;
    assert_stops(learn_nan);
    assert_stops(learn_reward_2);
    assert_stops(correct_nothing);
    assert_stops(correct_too_much);
    assert_stops(correct_the_future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_cdf_tails),
        cmocka_unit_test(test_quantile_inverts_cdf),
        cmocka_unit_test(test_model_table),
        cmocka_unit_test(test_beta_check),
        cmocka_unit_test(test_beta_half_life),
        cmocka_unit_test(test_beta_edges),
        cmocka_unit_test(test_beta_describe),
        cmocka_unit_test(test_beta_draw),
        cmocka_unit_test(test_beta_retract),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_beta_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
