/* Forgetting in event time, towards the prior: both forms of logistic regression. */
#include "learner/linear.h"
#include "tests/unit/regression.h"

#include <pthread.h>

/* ---- full ---- */

/* The values that `left` of a block and the rest of the prior make. */
static void blend_naively(const struct model_config *config, struct lr_full_block *b, long double left, double *values)
{
    uint32_t n = model_weights(config);
    struct lr_full_block *prior = block_new(&model_lr_full, config);
    struct natural belief, start;
    natural_of(b->value, covariance_of(b, n), n, &belief);
    natural_of(prior->value, covariance_of(prior, n), n, &start);
    for (uint32_t i = 0; i < n * n; i++)
        belief.precision[i] = left * belief.precision[i] + (1 - left) * start.precision[i];
    for (uint32_t i = 0; i < n; i++)
        belief.shift[i] = left * belief.shift[i] + (1 - left) * start.shift[i];
    natural_moments(&belief, values, values + n);
    free(prior);
}

static void learn_nothing(const struct model_config *config, struct lr_full_block *b, int64_t time)
{
    static const float nowhere[N_MAX];
    learn(config, b, (struct example){.weight = 0, .time = time, .x = nowhere});
}

static void test_half_life(void **state)
{
    struct model_config config = hourly(5);
    struct lr_full_block *b = block_new(&model_lr_full, &config), *slow = block_new(&model_lr_full, &config);
    uint32_t width = model_lr_full.width(&config);
    uint64_t seed = 11, again = 11;
    double values[64], want[64];
    (void)state;
    learn_some(&config, b, &seed, 50);
    learn_some(&config, slow, &again, 50);
    for (int half_lives = 1; half_lives < 60; half_lives++) {
        blend_naively(&config, b, exp2l(-half_lives), want);
        model_lr_full.values(&config, b, NOON + half_lives * HOUR, values);
        assert_all_near(values, want, width, 1e-12, "half-lives on");
    }
    blend_naively(&config, b, 0.25L, want);
    learn_nothing(&config, b, NOON + HOUR);
    learn_nothing(&config, b, NOON + 2 * HOUR);
    assert_all_near(b->value, want, width, 1e-12, "in two steps");
    for (int64_t t = 0; t <= 2 * HOUR; t += HOUR / 100)
        learn_nothing(&config, slow, NOON + t);
    assert_all_near(slow->value, want, width, 1e-12, "in two hundred");
    model_lr_full.values(&config, b, NOON, values); /* the past is not remembered better */
    assert_all_near(values, want, width, 1e-12, "before its time");
    model_lr_full.values(&config, NULL, NOON, want);
    model_lr_full.values(&config, b, NOON + 100000 * HOUR, values);
    assert_all_near(values, want, width, 1e-15, "back to the prior");
    learn_nothing(&config, b, NOON + 100000 * HOUR);
    assert_all_near(b->value, want, width, 1e-15, "back to the prior for good");
    free(b);
    free(slow);
}

/* A sample behind the block's time counts with what is left of it; so does its correction. */
static void test_late(void **state)
{
    struct model_config config = hourly(3);
    struct lr_full_block *a = block_new(&model_lr_full, &config), *b = block_new(&model_lr_full, &config);
    float x[3] = {1, -0.5f, 0.25f};
    (void)state;
    struct example e = sample(x, 0);
    e.time = NOON + HOUR;
    learn(&config, a, e);
    learn(&config, b, e);
    struct example late = sample(x, 0), half = e;
    half.weight = 0.5;
    learn(&config, a, late);
    learn(&config, b, half);
    assert_all_near(a->value, b->value, 4 + packed_size(4), 1e-15, "value");
    struct correction of_late = flip(x, 0, 1, NOON), of_half = flip(x, 0, 1, NOON + HOUR);
    of_half.before.weight = of_half.after.weight = 0.5;
    model_lr_full.correct(&config, a, &of_late);
    model_lr_full.correct(&config, b, &of_half);
    assert_all_near(a->value, b->value, 4 + packed_size(4), 1e-15, "corrected");
    assert_true(a->head.time == NOON + HOUR);
    free(a);
    free(b);
}

/* Within 1/64 of the half-life nothing fades, so a busy document is cheap. */
static void test_steps(void **state)
{
    struct model_config config = hourly(3);
    struct lr_full_block *b = block_new(&model_lr_full, &config);
    uint64_t seed = 12;
    double values[64], first = 0;
    int changes = 0;
    (void)state;
    learn_some(&config, b, &seed, 50);
    for (int64_t t = 0; t < HOUR; t += 1000) {
        model_lr_full.values(&config, b, NOON + t, values);
        changes += values[0] != first;
        first = values[0];
    }
    assert_in_range(changes, 64, 66);
    free(b);
}

struct task {
    pthread_t thread;
    struct lr_full_block *block;
};

static void *learn_task(void *self)
{
    struct model_config config = hourly(20);
    struct task *t = self;
    uint64_t seed = 13;
    t->block = block_new(&model_lr_full, &config);
    for (int i = 0; i < 200; i++) {
        float x[N_MAX];
        fill_features(&seed, x, config.dimension, 1);
        struct example e = sample(x, below(&seed, 2));
        e.time += i * (HOUR / 20);
        learn(&config, t->block, e);
    }
    return NULL;
}

/* Equal samples give equal bits, whatever other threads do with OpenBLAS meanwhile. */
static void test_equal_bits(void **state)
{
    struct model_config config = hourly(20);
    struct task task[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(task); i++)
        assert_int_equal(pthread_create(&task[i].thread, NULL, learn_task, &task[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(task); i++) {
        assert_int_equal(pthread_join(task[i].thread, NULL), 0);
        assert_memory_equal(task[i].block, task[0].block, model_lr_full.block_size(&config));
    }
    for (size_t i = 0; i < ARRAY_LEN(task); i++)
        free(task[i].block);
}

/* ---- diagonal ---- */

static void test_diagonal_half_life(void **state)
{
    static struct batch batch;
    struct model_config config = plain(3, true, COVARIANCE_DIAGONAL);
    double values[8], prior[8];
    uint64_t seed = 6;
    (void)state;
    config.decay_per_ms = model_decay(HOUR);
    config.prior_mean = 0.25;
    config.prior_sd = 2;
    struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
    model_lr_diagonal.values(&config, NULL, NOON, prior);
    batch_make(&batch, &seed, &config, 50, 1);
    model_lr_diagonal.learn(&config, b, batch.e, batch.count);
    model_lr_diagonal.values(&config, b, NOON + 2 * HOUR, values);
    for (int i = 0; i < 4; i++) {
        double q = 0.25 * b->value[4 + i] + 0.75 / prior[4 + i];
        double m = (0.25 * b->value[4 + i] * b->value[i] + 0.75 / prior[4 + i] * prior[i]) / q;
        assert_near(values[4 + i], 1 / q, 1e-13, "variance two half-lives on");
        assert_near(values[i], m, 1e-13, "mean two half-lives on");
    }
    struct example nothing = sample(batch.x[0], 0);
    nothing.weight = 0;
    nothing.time = NOON + HOUR;
    model_lr_diagonal.learn(&config, b, &nothing, 1);
    nothing.time = NOON + 2 * HOUR;
    model_lr_diagonal.learn(&config, b, &nothing, 1);
    for (int i = 0; i < 4; i++) {
        assert_near(b->value[i], values[i], 1e-13, "mean in two steps");
        assert_near(1 / b->value[4 + i], values[4 + i], 1e-13, "variance in two steps");
    }
    model_lr_diagonal.values(&config, b, NOON + 100000 * HOUR, values);
    assert_all_near(values, prior, 8, 1e-13, "back to the prior");
    free(b);
}

/* In a batch, and alone: behind the newest time, only what is left counts. */
static void test_diagonal_late(void **state)
{
    struct model_config config = plain(2, true, COVARIANCE_DIAGONAL);
    float x[2] = {1, -0.5f}, y[2] = {0.25f, 2};
    (void)state;
    config.decay_per_ms = model_decay(HOUR);
    struct lr_diagonal_block *a = block_new(&model_lr_diagonal, &config), *b = copy_of(&config, a);
    struct example late[3] = {sample(x, 1), sample(y, 0), sample(x, 0)}, half[3];
    late[1].time = NOON + HOUR;
    memcpy(half, late, sizeof half);
    half[0].weight = half[2].weight = 0.5;
    half[0].time = half[2].time = NOON + HOUR;
    model_lr_diagonal.learn(&config, a, late, 2);
    model_lr_diagonal.learn(&config, b, half, 2);
    assert_all_near(a->value, b->value, 6, 1e-15, "batch");
    model_lr_diagonal.learn(&config, a, late + 2, 1);
    model_lr_diagonal.learn(&config, b, half + 2, 1);
    assert_all_near(a->value, b->value, 6, 1e-15, "alone");
    struct correction of_late = {late[0], late[0]}, of_half = {half[0], half[0]};
    of_late.after.reward = of_half.after.reward = 0;
    model_lr_diagonal.correct(&config, a, &of_late);
    model_lr_diagonal.correct(&config, b, &of_half);
    assert_all_near(a->value, b->value, 6, 1e-15, "corrected");
    free(a);
    free(b);
}

/* Of every model what it tells of its weights gives the score of any candidate: as learned, faded, and of the prior. */
static void test_locating(void **state)
{
    enum { D = 7, N = D + 1 };
    static const struct model *const models[] = {&model_lr_full, &model_lr_diagonal, &model_linear};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(models); k++) {
        const struct model *m = models[k];
        struct model_config config = plain(D, true, m == &model_lr_diagonal ? COVARIANCE_DIAGONAL : COVARIANCE_FULL);
        uint64_t seed = 3;
        float x[D];
        config.decay_per_ms = model_decay(HOUR);
        config.reward_max = config.noise_sd = 1;
        config.noise_samples = 4;
        void *b = block_new(m, &config);
        for (int i = 0; i < 20; i++) {
            fill_features(&seed, x, D, 1);
            struct example e = sample(x, i % 3 == 0);
            m->learn(&config, b, &e, 1);
        }
        for (int i = 0; i < 3; i++) {
            double value[N + N * (N + 1) / 2 + 1], mean = 0, variance = 0;
            const void *of = i == 2 ? NULL : b;
            struct score s = {.expected = -7}, whole;
            fill_features(&seed, x, D, 1);
            m->values(&config, of, NOON + i * HOUR / 3, value);
            for (uint32_t row = 0; row < N; row++) {
                double f = row < D ? (double)x[row] : 1;
                mean += f * value[row];
                for (uint32_t j = 0; j < row && m != &model_lr_diagonal; j++)
                    variance += 2 * f * (j < D ? (double)x[j] : 1) * value[N + packed_at(row, j)];
                variance += f * f * value[N + (m == &model_lr_diagonal ? row : packed_diagonal(row))];
            }
            m->locate(&config, of, x, NOON + i * HOUR / 3, &s);
            m->score(&config, of, x, NOON + i * HOUR / 3, &whole);
            assert_near(s.mean, mean, 1e-12, "mean");
            assert_near(s.variance, variance, 1e-12, "variance");
            assert_true(s.mean == whole.mean && s.variance == whole.variance && s.expected == -7);
        }
        free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_life),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_equal_bits),
        cmocka_unit_test(test_diagonal_half_life),
        cmocka_unit_test(test_diagonal_late),
        cmocka_unit_test(test_locating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
