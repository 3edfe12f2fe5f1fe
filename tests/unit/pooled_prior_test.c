/* Tests of pooled priors: what documents share is found, and helps those that come. */
#include "tests/unit/regression.h"

#include "learner/linear.h"
#include "learner/pooled_prior.h"

enum { D = 3, N = D + 1, DOCUMENTS = 400 };

static const double common[N] = {0.8, -0.5, 0, -1.5}, own[N] = {0.3, 0.1, 0.02, 0.4};

static struct model_config config_of(const struct model *m)
{
    struct model_config config = plain(D, true, m == &model_lr_diagonal ? COVARIANCE_DIAGONAL : COVARIANCE_FULL);
    config.reward_min = -100;
    config.reward_max = 100;
    config.noise_sd = 1;
    config.noise_samples = 4;
    return config;
}

/* Documents whose weights lie around the common ones; logistic or linear rewards. */
static void fill(struct pooled_prior *p, uint32_t documents, int samples)
{
    uint64_t seed = 11;
    for (uint32_t d = 0; d < documents; d++) {
        double w[N];
        void *b = block_new(p->model, p->config);
        for (int i = 0; i < N; i++)
            w[i] = common[i] + own[i] * normal(&seed);
        for (int k = 0; k < samples; k++) {
            float x[D];
            fill_features(&seed, x, D, 1);
            double score = w[D];
            for (int i = 0; i < D; i++)
                score += w[i] * (double)x[i];
            double reward = p->model == &model_linear ? score + normal(&seed) : uniform(&seed) < lr_logistic(score);
            struct example e = sample(x, reward);
            p->model->learn(p->config, b, &e, 1);
        }
        pooled_prior_add(p, b, NOON);
        free(b);
    }
}

/* The diagonal form is too sure of what it has learned (learner/lr_diagonal.h), so its means stay behind. */
static void what_documents_share_is_found(void **state)
{
    static const struct model *const models[] = {&model_lr_full, &model_lr_diagonal, &model_linear};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(models); k++) {
        struct model_config config = config_of(models[k]);
        CLEANUP(pooled_prior_close) struct pooled_prior p = {.model = models[k], .config = &config};
        double means[N], sds[N], tolerance = models[k] == &model_lr_diagonal ? 0.15 : 0.08;
        fill(&p, DOCUMENTS, 200);
        assert_int_equal(pooled_prior_estimate(&p, means, sds, NULL), TM_OK);
        for (int i = 0; i < N; i++) {
            assert_near(means[i], common[i], tolerance, "mean");
            assert_near(sds[i], own[i], 0.08, "sd");
        }
        config.prior_means = means;
        config.prior_sds = sds;
        assert_int_equal(models[k]->check(&config, NULL), TM_OK);
    }
}

/* Two documents with known likelihoods: a_d = 4 about 1 and 3, so that y_d ~ N(m, t^2 + 1/4): m = 2, t^2 = 1 - 1/4. */
static void two_documents_by_hand(void **state)
{
    struct model_config config = plain(1, false, COVARIANCE_DIAGONAL);
    struct pooled_prior p = {.model = &model_lr_diagonal, .config = &config};
    double means[1], sds[1];
    (void)state;
    config.prior_sd = 10;
    for (int d = 0; d < 2; d++) {
        struct lr_diagonal_block *b = block_new(&model_lr_diagonal, &config);
        b->head.positives = 1;
        b->value[1] = 4 + 1 / 100.0;
        b->value[0] = (d ? 3 : 1) * 4 / b->value[1];
        pooled_prior_add(&p, b, NOON);
        free(b);
    }
    assert_int_equal(pooled_prior_estimate(&p, means, sds, NULL), TM_OK);
    assert_near(means[0], 2, 1e-6, "mean");
    assert_near(sds[0], sqrt(0.75), 1e-6, "sd");
    pooled_prior_close(&p);
}

static void many_documents_are_thinned(void **state)
{
    struct model_config config = config_of(&model_linear);
    CLEANUP(pooled_prior_close) struct pooled_prior p = {.model = &model_linear, .config = &config};
    double means[N], sds[N];
    (void)state;
    fill(&p, 5 * POOLED_DOCUMENTS_MAX, 30);
    assert_int_equal(p.documents, 5 * POOLED_DOCUMENTS_MAX);
    assert_in_range(p.kept, POOLED_DOCUMENTS_MAX / 2, POOLED_DOCUMENTS_MAX);
    assert_int_equal(pooled_prior_estimate(&p, means, sds, NULL), TM_OK);
    for (int i = 0; i < N; i++)
        assert_near(means[i], common[i], 0.08, "mean");
}

/* With covariances: the first two weights of a document go together, and a document that comes is told so. */
static void what_goes_together_is_found(void **state)
{
    struct model_config config = config_of(&model_lr_full);
    CLEANUP(pooled_prior_close) struct pooled_prior p = {.model = &model_lr_full, .config = &config, .full = true};
    double means[N], covariance[N * (N + 1) / 2];
    uint64_t seed = 12;
    (void)state;
    for (int d = 0; d < DOCUMENTS; d++) {
        struct lr_full_block *b = block_new(&model_lr_full, &config);
        double both = normal(&seed), w[N] = {0.8 + 0.4 * both, -0.5 - 0.3 * both, 0, -1 + 0.2 * normal(&seed)};
        for (int k = 0; k < 300; k++) {
            float x[D];
            fill_features(&seed, x, D, 1);
            double score = w[D];
            for (int i = 0; i < D; i++)
                score += w[i] * (double)x[i];
            struct example e = sample(x, uniform(&seed) < lr_logistic(score));
            model_lr_full.learn(&config, b, &e, 1);
        }
        pooled_prior_add(&p, b, NOON);
        free(b);
    }
    assert_int_equal(pooled_prior_estimate_full(&p, means, covariance, NULL), TM_OK);
    static const double want[] = {0.8, -0.5, 0, -1};
    for (int i = 0; i < N; i++)
        assert_near(means[i], want[i], 0.08, "mean");
    assert_near(covariance[0], 0.16, 0.04, "variance");
    assert_near(covariance[1], -0.12, 0.03, "covariance");
    assert_near(covariance[2], 0.09, 0.03, "variance");
    assert_near(covariance[9], 0.04, 0.03, "variance of the intercept");
    for (int at = 6; at < 9; at++)
        assert_near(covariance[at], 0, 0.02, "covariance with the intercept");
    config.prior_means = means;
    config.prior_covariance = covariance;
    assert_int_equal(model_lr_full.check(&config, NULL), TM_OK);
}

/* Alone, a weight is what the form without covariances says; what documents cannot be held by is held by the prior. */
static void the_full_form_of_one_weight(void **state)
{
    struct model_config config = plain(1, false, COVARIANCE_FULL);
    CLEANUP(pooled_prior_close) struct pooled_prior p = {.model = &model_lr_full, .config = &config, .full = true};
    double means[1], covariance[1];
    (void)state;
    config.prior_mean = 1;
    config.prior_sd = 10;
    for (int d = 0; d < 2; d++) {
        struct lr_full_block *b = block_new(&model_lr_full, &config);
        b->head.positives = 1;
        b->value[1] = 1 / (4 + 1 / 100.0);
        b->value[0] = ((d ? 3 : 1) * 4 + 1 / 100.0) * b->value[1];
        pooled_prior_add(&p, b, NOON);
        free(b);
    }
    assert_int_equal(pooled_prior_estimate_full(&p, means, covariance, NULL), TM_OK);
    assert_near(means[0], 2, 1e-6, "mean");
    assert_near(covariance[0], 0.75, 1e-5, "variance");
}

static void nothing_learned_gives_nothing(void **state)
{
    struct model_config config = config_of(&model_lr_full);
    CLEANUP(pooled_prior_close) struct pooled_prior p = {.model = &model_lr_full, .config = &config};
    double means[N], sds[N];
    (void)state;
    fill(&p, 5, 0);
    assert_int_equal(p.documents, 0);
    fill(&p, 1, 3);
    assert_int_equal(pooled_prior_estimate(&p, means, sds, NULL), TM_FAILED_PRECONDITION);
    fill(&p, 1, 3);
    assert_int_equal(pooled_prior_estimate(&p, means, sds, NULL), TM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_documents_share_is_found), cmocka_unit_test(two_documents_by_hand),
        cmocka_unit_test(many_documents_are_thinned),    cmocka_unit_test(what_goes_together_is_found),
        cmocka_unit_test(the_full_form_of_one_weight),   cmocka_unit_test(nothing_learned_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
