/* Bayesian linear regression against the same posterior computed naively in long double from the list of samples. */
#include "tests/unit/regression.h"

#include "learner/linear.h"

enum { SAMPLES_MAX = 400 };

static struct model_config config_of(uint32_t dimension)
{
    struct model_config config = plain(dimension, true, COVARIANCE_FULL);
    config.prior_mean = 0.2;
    config.prior_sd = 1.5;
    config.intercept_mean = 3;
    config.intercept_sd = 2;
    config.reward_min = -1000;
    config.reward_max = 1000;
    config.noise_sd = 0.5;
    config.noise_samples = 4;
    return config;
}

struct samples {
    size_t count;
    struct example e[SAMPLES_MAX];
    float x[SAMPLES_MAX][N_MAX];
};

/* reward = 2 x_0 - x_1 + 3 + noise of sd 0.3 */
static void samples_make(struct samples *s, uint64_t *seed, const struct model_config *config, size_t count)
{
    s->count = count;
    for (size_t j = 0; j < count; j++) {
        fill_features(seed, s->x[j], config->dimension, 1);
        double second = config->dimension > 1 ? (double)s->x[j][1] : 0;
        s->e[j] = sample(s->x[j], 2 * (double)s->x[j][0] - second + 3 + 0.3 * normal(seed));
        s->e[j].weight = 0.5 + uniform(seed);
        s->e[j].time = NOON + (int64_t)below(seed, 3 * HOUR);
    }
}

/* Values as of `now`, from the definitions: precision V^-1 + sum c x x', and the rest (Gelman et al., 14.2). */
static void naive_values(const struct model_config *config, const struct samples *s, int64_t now, double *out)
{
    static struct natural belief;
    uint32_t n = model_weights(config);
    long double weight = 0, squares = 0, guess = (long double)config->noise_sd * config->noise_sd;
    memset(&belief, 0, sizeof belief);
    belief.n = n;
    for (uint32_t i = 0; i < n; i++) {
        long double sd = features_prior_sd(config, i), mean = features_prior_mean(config, i);
        belief.precision[i * n + i] = guess / (sd * sd);
        belief.shift[i] = guess / (sd * sd) * mean;
        squares += guess / (sd * sd) * mean * mean;
    }
    for (size_t j = 0; j < s->count; j++) {
        double x[N_MAX];
        long double age = (long double)(now > s->e[j].time ? now - s->e[j].time : 0), y = s->e[j].reward;
        long double c = s->e[j].weight * expl(-(long double)config->decay_per_ms * age);
        features_expand(config, s->e[j].x, x);
        natural_add(&belief, x, c, c * y);
        weight += c;
        squares += c * y * y;
    }
    natural_moments(&belief, out, out + n);
    for (uint32_t i = 0; i < n; i++)
        squares -= belief.shift[i] * out[i];
    double noise = (double)((config->noise_samples * guess + squares) / (config->noise_samples + weight - 2));
    for (uint32_t i = 0; i < packed_size(n); i++)
        out[n + i] *= noise;
    out[n + packed_size(n)] = noise;
}

static void test_against_definitions(void **state)
{
    static const uint32_t dimensions[] = {1, 2, 5, 20, 63};
    static const size_t counts[] = {0, 1, 3, 50, SAMPLES_MAX};
    static struct samples s;
    double have[N_MAX * N_MAX], want[N_MAX * N_MAX];
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dimensions); i++)
        for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
            struct model_config config = config_of(dimensions[i]);
            config.decay_per_ms = k % 2 ? model_decay(HOUR) : 0;
            struct linear_block *b = block_new(&model_linear, &config);
            samples_make(&s, &seed, &config, counts[k]);
            model_linear.learn(&config, b, s.e, s.count);
            assert_true(model_linear.valid(&config, b));
            model_linear.values(&config, b, NOON + 5 * HOUR, have);
            naive_values(&config, &s, NOON + 5 * HOUR, want);
            assert_all_near(have, want, model_linear.width(&config), 1e-9, "value");
            free(b);
        }
}

/* It finds what the samples were made with, noise included, though that was guessed wrong. */
static void test_recovers(void **state)
{
    static struct samples s;
    struct model_config config = config_of(3);
    struct linear_block *b = block_new(&model_linear, &config);
    double values[20];
    uint64_t seed = 2;
    (void)state;
    for (int round = 0; round < 20; round++) {
        samples_make(&s, &seed, &config, SAMPLES_MAX);
        model_linear.learn(&config, b, s.e, s.count);
    }
    model_linear.values(&config, b, NOON, values);
    assert_near(values[0], 2, 0.02, "weight 0");
    assert_near(values[1], -1, 0.02, "weight 1");
    assert_near(values[2], 0, 0.02, "weight 2");
    assert_near(values[3], 3, 0.02, "intercept");
    assert_near(values[4 + 10], 0.09, 0.005, "noise");
    free(b);
}

/* Learned wrong, corrected in another order: as if learned right, features and weights too. */
static void test_corrections_are_exact(void **state)
{
    static struct samples right, wrong;
    (void)state;
    for (uint64_t run = 1; run <= 20; run++) {
        uint64_t seed = run;
        struct model_config config = config_of(1 + (uint32_t)below(&seed, 20));
        config.decay_per_ms = run % 2 ? model_decay(HOUR) : 0;
        struct linear_block *a = block_new(&model_linear, &config), *b = block_new(&model_linear, &config);
        samples_make(&right, &seed, &config, 100);
        samples_make(&wrong, &seed, &config, 100);
        for (size_t j = 0; j < 100; j++)
            wrong.e[j].time = right.e[j].time;
        model_linear.learn(&config, a, right.e, 100);
        model_linear.learn(&config, b, wrong.e, 100);
        for (size_t j = 0; j < 100; j++) {
            struct correction c = {wrong.e[j * 37 % 100], right.e[j * 37 % 100]};
            model_linear.correct(&config, b, &c);
        }
        size_t sums = model_linear.block_size(&config) / sizeof(double) - 3;
        assert_all_near(&b->weight, &a->weight, sums, 1e-12, "sum");
        assert_true(model_linear.valid(&config, b));
        free(a);
        free(b);
    }
}

/* The k-th of a million samples, whenever it is asked for. */
static struct example kth(uint64_t k, const struct model_config *config, float *x)
{
    uint64_t seed = k + 1;
    fill_features(&seed, x, config->dimension, 1);
    return sample(x, 2 * (double)x[0] - (double)x[1] + 3 + 0.3 * normal(&seed));
}

/* A million samples learned as 0, then corrected one by one in another order, against sums in long double. */
static void test_drift(void **state)
{
    enum { COUNT = 1000000, DIMENSION = 3, N = DIMENSION + 1, SUMS = 2 + N + N * (N + 1) / 2 };
    struct model_config config = config_of(DIMENSION);
    struct linear_block *b = block_new(&model_linear, &config);
    long double sum[SUMS] = {COUNT}, worst = 0;
    float x[DIMENSION];
    (void)state;
    for (uint64_t k = 0; k < COUNT; k++) {
        struct example e = kth(k, &config, x);
        double wide[N], r = e.reward;
        features_expand(&config, x, wide);
        for (uint32_t i = 0; i < N; i++)
            r -= features_prior_mean(&config, i) * wide[i];
        sum[1] += (long double)r * r;
        for (uint32_t i = 0; i < N; i++) {
            sum[2 + i] += (long double)r * wide[i];
            for (uint32_t j = 0; j <= i; j++)
                sum[2 + N + packed_at(i, j)] += (long double)wide[i] * wide[j];
        }
        e.reward = 0;
        model_linear.learn(&config, b, &e, 1);
    }
    for (uint64_t k = 0; k < COUNT; k++) {
        struct example e = kth(k * 7919 % COUNT, &config, x);
        struct correction c = {e, e};
        c.before.reward = 0;
        model_linear.correct(&config, b, &c);
    }
    for (int i = 0; i < SUMS; i++)
        worst = fmaxl(worst, fabsl((&b->weight)[i] - sum[i]) / COUNT);
    print_message("a million samples and their corrections: sums off by %.1e of a sample's share\n", (double)worst);
    assert_true(worst < 1e-11 && model_linear.valid(&config, b));
    free(b);
}

/* All taken out again: the prior, and no sum below zero. */
static void test_nothing_left(void **state)
{
    static struct samples s;
    struct model_config config = config_of(8);
    struct linear_block *b = block_new(&model_linear, &config);
    double values[100], prior[100];
    uint64_t seed = 3;
    (void)state;
    samples_make(&s, &seed, &config, SAMPLES_MAX);
    model_linear.learn(&config, b, s.e, s.count);
    for (size_t j = 0; j < s.count; j++)
        model_linear.retract(&config, b, &s.e[j]);
    assert_true(model_linear.valid(&config, b));
    assert_int_equal(b->head.positives + b->head.negatives, 0);
    model_linear.values(&config, b, NOON, values);
    model_linear.values(&config, NULL, NOON, prior);
    assert_all_near(values, prior, model_linear.width(&config), 1e-9, "value");
    free(b);
}

static void test_forgets(void **state)
{
    static struct samples s;
    struct model_config config = config_of(4);
    double values[100], prior[100];
    uint64_t seed = 4;
    (void)state;
    config.decay_per_ms = model_decay(HOUR);
    struct linear_block *b = block_new(&model_linear, &config);
    samples_make(&s, &seed, &config, 100);
    model_linear.learn(&config, b, s.e, s.count);
    model_linear.values(&config, b, NOON + 1000 * HOUR, values);
    model_linear.values(&config, NULL, NOON, prior);
    assert_all_near(values, prior, model_linear.width(&config), 1e-12, "value");
    free(b);
}

static void test_reading(void **state)
{
    struct model_config config = config_of(2);
    float x[2] = {1, -2};
    struct score s;
    struct belief belief;
    struct value_name name;
    (void)state;
    config.noise_samples = 10;
    model_linear.score(&config, NULL, x, NOON, &s);
    double widen = 10.0 / 8; /* of the variance, by Student's t */
    assert_near(s.mean, 0.2 - 0.4 + 3, 1e-14, "mean");
    assert_near(s.variance, (2.25 + 9 + 4) * widen, 1e-13, "variance");
    assert_true(s.expected == s.mean);
    model_linear.describe(&config, NULL, NOON, &belief);
    assert_near(belief.mean, 3, 1e-15, "base rate");
    assert_near(belief.variance, 4 * widen, 1e-14, "its variance");
    assert_near(belief.upper, 3 + 2 * 2.2281388519649385, 1e-9, "t of 10 degrees of freedom");
    assert_near(belief.lower, 3 - 2 * 2.2281388519649385, 1e-9, "lower");
    model_linear.value_name(&config, 3 + 6, &name);
    assert_string_equal(name.text, "noise_variance");
    model_linear.value_name(&config, 3, &name);
    assert_string_equal(name.text, "covariance[0][0]");
}

static void test_check(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct model_config config = config_of(2);
        const char *message = NULL;
        /* clang-format off */
        switch (i) {
        case 1: config.reward_max = -1000;    message = "reward: "; break;
        case 2: config.reward_min = NAN;      message = "reward: "; break;
        case 3: config.reward_max = INFINITY; message = "reward: "; break;
        case 4: config.noise_sd = 0;          message = "noise_sd"; break;
        case 5: config.noise_samples = 2;     message = "noise_samples"; break;
        case 6: config.dimension = 65;        message = "dimension"; break;
        case 7: config.noise_samples = NAN;   message = "noise_samples"; break;
        }
        /* clang-format on */
        struct tm_error err = {0};
        assert_int_equal(model_linear.check(&config, &err), message ? TM_INVALID_ARGUMENT : TM_OK);
        if (message && !strstr(err.message, message))
            fail_msg("case %d: \"%s\" does not name \"%s\"", i, err.message, message);
    }
}

static void test_guards(void **state)
{
    struct model_config config = config_of(2);
    struct linear_block *b = block_new(&model_linear, &config);
    float x[2] = {1, 2}, bad[2] = {NAN, 0};
    struct tm_error err = {0};
    (void)state;
    struct example fine = sample(x, -1000), e = fine;
    assert_int_equal(model_linear.takes(&config, &fine, &err), TM_OK);
    e.reward = 1000.5;
    assert_int_equal(model_linear.takes(&config, &e, &err), TM_INVALID_ARGUMENT);
    e = fine;
    e.reward = NAN;
    assert_int_equal(model_linear.takes(&config, &e, &err), TM_INVALID_ARGUMENT);
    e = fine;
    e.offset = 1;
    assert_int_equal(model_linear.takes(&config, &e, &err), TM_INVALID_ARGUMENT);
    e = fine;
    e.x = bad;
    assert_int_equal(model_linear.takes(&config, &e, &err), TM_INVALID_ARGUMENT);

    double *const fields[] = {&b->weight, &b->square, &b->value[3]};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        static const double wrong[] = {NAN, INFINITY, -1e-9};
        for (size_t k = 0; k < ARRAY_LEN(wrong); k++) {
            *fields[i] = wrong[k];
            assert_false(model_linear.valid(&config, b));
        }
        *fields[i] = 0;
    }
    b->value[4] = 1e9; /* a covariance that no variances allow: read without covariances, and not as nonsense */
    struct score s;
    model_linear.score(&config, b, x, NOON, &s);
    assert_true(isfinite(s.mean) && s.variance > 0);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_definitions),
        cmocka_unit_test(test_recovers),
        cmocka_unit_test(test_corrections_are_exact),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_forgets),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_guards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
