/* Features that come late: a sample is learned with zeros where they are missing, and exchanged for the right one when
 * they have come. What is left is measured as excess log-loss over the true weights, against a model that had the right
 * features at first: 3,000 samples, 6 features, of 3 in ten samples the last three come 150 samples later. */
#include "learner/linear.h"
#include "tests/unit/regression.h"

enum { D = 6, SAMPLES = 3000, BEHIND = 150, PROBES = 2000 };

struct stream {
    float x[SAMPLES][D], at_first[SAMPLES][D];
    double reward[SAMPLES];
    bool late[SAMPLES];
};

static const double truth[D + 1] = {0.8, -0.5, 0.3, 1.0, -0.9, 0.6, -1.2};

static double true_score(const float *x)
{
    double a = truth[D];
    for (int i = 0; i < D; i++)
        a += truth[i] * (double)x[i];
    return a;
}

static void make(struct stream *s, uint64_t seed)
{
    for (int k = 0; k < SAMPLES; k++) {
        for (int i = 0; i < D; i++)
            s->x[k][i] = (float)normal(&seed);
        s->late[k] = uniform(&seed) < 0.3;
        s->reward[k] = uniform(&seed) < lr_logistic(true_score(s->x[k]));
        memcpy(s->at_first[k], s->x[k], sizeof s->x[k]);
        if (s->late[k])
            memset(&s->at_first[k][D / 2], 0, D / 2 * sizeof(float));
    }
}

static struct example example(const struct stream *s, int k, const float *x)
{
    return (struct example){.reward = s->reward[k], .weight = 1, .time = NOON, .x = x, .item = 7};
}

enum way { RIGHT_AT_FIRST, MENDED, IGNORED };

static void *learned(const struct model *m, const struct model_config *config, const struct stream *s, enum way way)
{
    void *block = block_new(m, config);
    for (int k = 0; k < SAMPLES + BEHIND; k++) {
        int behind = k - BEHIND;
        if (k < SAMPLES) {
            struct example e = example(s, k, way == RIGHT_AT_FIRST ? s->x[k] : s->at_first[k]);
            m->learn(config, block, &e, 1);
        }
        if (way == MENDED && behind >= 0 && s->late[behind])
            m->correct(config, block,
                       &(struct correction){example(s, behind, s->at_first[behind]), example(s, behind, s->x[behind])});
    }
    assert_true(m->valid(config, block));
    return block;
}

/* 1000 x the excess log-loss of what it expects. */
static double excess(const struct model *m, const struct model_config *config, const void *block)
{
    uint64_t seed = 77;
    double sum = 0;
    for (int k = 0; k < PROBES; k++) {
        float x[D];
        struct score score;
        for (int i = 0; i < D; i++)
            x[i] = (float)normal(&seed);
        m->score(config, block, x, NOON, &score);
        double a = true_score(x), p = lr_logistic(a), q = fmin(fmax(score.expected, 1e-9), 1 - 1e-9);
        sum += p * log(p / q) + (1 - p) * log((1 - p) / (1 - q));
    }
    return 1000 * sum / PROBES;
}

static void compare(const struct model *m, const struct model_config *config, double most)
{
    struct stream *s = mem_new(1, sizeof *s);
    double loss[3] = {0};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        make(s, seed);
        for (int way = RIGHT_AT_FIRST; way <= IGNORED; way++) {
            void *block = learned(m, config, s, (enum way)way);
            loss[way] += excess(m, config, block) / 5;
            free(block);
        }
    }
    print_message("%s: right at first %.2f, mended %.2f, ignored %.2f\n", m->name, loss[RIGHT_AT_FIRST], loss[MENDED],
                  loss[IGNORED]);
    assert_true(loss[MENDED] - loss[RIGHT_AT_FIRST] <= most);
    assert_true(loss[MENDED] - loss[RIGHT_AT_FIRST] < 0.1 * (loss[IGNORED] - loss[RIGHT_AT_FIRST]));
    free(s);
}

static void test_lr_full(void **state)
{
    (void)state;
    struct model_config config = plain(D, true, COVARIANCE_FULL);
    compare(&model_lr_full, &config, 0.5);
}

static void test_lr_diagonal(void **state)
{
    (void)state;
    struct model_config config = plain(D, true, COVARIANCE_DIAGONAL);
    compare(&model_lr_diagonal, &config, 0.5);
}

/* Certainty is exchanged with the features: none is left of what never was, none is missing. */
static void test_variances(void **state)
{
    (void)state;
    struct model_config config = plain(D, true, COVARIANCE_FULL);
    struct stream *s = mem_new(1, sizeof *s);
    struct score right, mended;
    make(s, 3);
    void *one = learned(&model_lr_full, &config, s, RIGHT_AT_FIRST),
         *other = learned(&model_lr_full, &config, s, MENDED);
    for (int k = 0; k < 50; k++) {
        model_lr_full.score(&config, one, s->x[k], NOON, &right);
        model_lr_full.score(&config, other, s->x[k], NOON, &mended);
        assert_true(fabs(mended.variance / right.variance - 1) < 0.15);
    }
    free(one);
    free(other);
    free(s);
}

static void test_linear_is_exact(void **state)
{
    (void)state;
    struct model_config config = plain(D, true, COVARIANCE_FULL);
    config.reward_min = -10;
    config.reward_max = 10;
    config.noise_sd = 0.5;
    config.noise_samples = 4;
    struct stream *s = mem_new(1, sizeof *s);
    make(s, 5);
    void *one = learned(&model_linear, &config, s, RIGHT_AT_FIRST), *other = learned(&model_linear, &config, s, MENDED);
    uint32_t width = model_linear.width(&config);
    double *right = mem_new(width, sizeof *right), *mended = mem_new(width, sizeof *mended);
    model_linear.values(&config, one, NOON, right);
    model_linear.values(&config, other, NOON, mended);
    assert_all_near(mended, right, width, 1e-9, "linear");
    free(right);
    free(mended);
    free(one);
    free(other);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lr_full),
        cmocka_unit_test(test_lr_diagonal),
        cmocka_unit_test(test_variances),
        cmocka_unit_test(test_linear_is_exact),
    };
    return cmocka_run_group_tests_name("late_features", tests, NULL, NULL);
}
