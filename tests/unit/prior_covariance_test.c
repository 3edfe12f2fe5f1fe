/* Priors with covariances: the same belief told in other coordinates, where it is a plain one, and what is refused.
 *
 * Weights w = m + L u of plain u: features x see m'x + (L'x)'u. So a document that begins with N(m, L L') and one that
 * begins with N(0, I), is shown L'x and is told m'x apart, believe the same at all times. */
#include "tests/unit/regression.h"

#include "learner/embedding.h"
#include "learner/linear.h"
#include "learner/prior_covariance.h"

enum { D = 3, N = D + 1, PACKED = N * (N + 1) / 2 };

static const double m[N] = {0.5, -0.25, 1, -1.5};
static const double l[N][N] = {{1.5}, {-0.75, 0.5}, {0.25, 0.5, 2}, {0.5, 0, -0.125, 0.75}};

struct pair {
    struct model_config correlated, plain;
    double covariance[PACKED], precision[PACKED];
};

static void pair_open(struct pair *p)
{
    p->correlated = plain(D, true, COVARIANCE_FULL);
    p->plain = plain(N, false, COVARIANCE_FULL);
    p->correlated.reward_min = p->plain.reward_min = -1000;
    p->correlated.reward_max = p->plain.reward_max = 1000;
    p->correlated.noise_sd = p->plain.noise_sd = 0.5;
    p->correlated.noise_samples = p->plain.noise_samples = 4;
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j <= i; j++) {
            p->covariance[packed_at(i, j)] = 0;
            for (uint32_t k = 0; k <= j; k++)
                p->covariance[packed_at(i, j)] += l[i][k] * l[j][k];
        }
    prior_covariance_invert(p->covariance, N, p->precision);
    p->correlated.prior_means = m;
    p->correlated.prior_covariance = p->covariance;
    p->correlated.prior_precision = p->precision;
}

/* L'x, and m'x. Features are multiples of 1/8, so that nothing is rounded. */
static double turn(const float *x, float *turned)
{
    double full[N], apart = 0;
    for (int i = 0; i < N; i++) {
        full[i] = i < D ? (double)x[i] : 1;
        apart += m[i] * full[i];
    }
    for (int k = 0; k < N; k++) {
        double sum = 0;
        for (int i = k; i < N; i++)
            sum += l[i][k] * full[i];
        turned[k] = (float)sum;
    }
    return apart;
}

/* Values of the plain block as those of the correlated one. */
static void turn_back(const double *values, double *out)
{
    double *covariance = out + N;
    long double s[N * N];
    unpack(values + N, N, s);
    for (uint32_t i = 0; i < N; i++) {
        long double mean = m[i];
        for (uint32_t k = 0; k <= i; k++)
            mean += l[i][k] * values[k];
        out[i] = (double)mean;
        for (uint32_t j = 0; j <= i; j++) {
            long double sum = 0;
            for (uint32_t a = 0; a <= i; a++)
                for (uint32_t b = 0; b <= j; b++)
                    sum += l[i][a] * s[a * N + b] * l[j][b];
            covariance[packed_at(i, j)] = (double)sum;
        }
    }
}

static void assert_same(const struct model *model, const struct pair *p, const void *correlated, const void *plain,
                        int64_t now)
{
    double have[40], values[40], want[40];
    model->values(&p->correlated, correlated, now, have);
    model->values(&p->plain, plain, now, values);
    turn_back(values, want);
    assert_all_near(have, want, N + PACKED, 1e-9, "value");
    assert_true(correlated == NULL || model->valid(&p->correlated, correlated));
}

static void learn_both(const struct model *model, struct pair *p, uint64_t *seed, bool corrections)
{
    void *a = block_new(model, &p->correlated), *b = block_new(model, &p->plain);
    bool linear = model == &model_linear;
    for (int k = 0; k < 300; k++) {
        float x[D], turned[N];
        for (int i = 0; i < D; i++)
            x[i] = (float)((int)below(seed, 33) - 16) / 8;
        double apart = turn(x, turned);
        struct example e = sample(x, linear ? normal(seed) : below(seed, 3) == 0), f = e;
        e.time = f.time = NOON + k * HOUR / 20 - (int64_t)below(seed, HOUR);
        f.x = turned;
        f.reward = linear ? e.reward - apart : e.reward;
        f.offset = linear ? 0 : apart;
        model->learn(&p->correlated, a, &e, 1);
        model->learn(&p->plain, b, &f, 1);
        if (corrections && k % 5 == 0) {
            struct correction c = {e, e}, d = {f, f};
            c.after.reward = 1 - e.reward;
            d.after.reward = linear ? c.after.reward - apart : c.after.reward;
            model->correct(&p->correlated, a, &c);
            model->correct(&p->plain, b, &d);
        }
        assert_same(model, p, a, b, e.time + HOUR);
    }
    assert_same(model, p, a, b, NOON + 10000 * HOUR);
    free(a);
    free(b);
}

static void test_other_coordinates(void **state)
{
    static const struct model *const models[] = {&model_lr_full, &model_linear};
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct pair p = {0};
        uint64_t seed = 1 + (uint64_t)i;
        pair_open(&p);
        p.correlated.decay_per_ms = p.plain.decay_per_ms = i & 1 ? model_decay(HOUR) : 0;
        assert_same(models[i >> 2], &p, NULL, NULL, NOON);
        learn_both(models[i >> 2], &p, &seed, i >> 1 & 1);
    }
}

/* What an unseen document is ranked by: draws of x'w with w from the whole prior. */
static void test_draws_of_an_unseen_document(void **state)
{
    static const struct model *const models[] = {&model_lr_full, &model_linear};
    static const float x[D] = {1, 2, -1};
    float turned[N];
    struct pair p = {0};
    (void)state;
    pair_open(&p);
    double mean = turn(x, turned), variance = 0;
    for (int i = 0; i < N; i++)
        variance += (double)turned[i] * (double)turned[i];
    for (int i = 0; i < 2; i++) {
        struct score s;
        double noise = i ? 2 : 1; /* linear: the expected variance of the noise is 4 / (4 - 2) times the guess */
        models[i]->locate(&p.correlated, NULL, x, NOON, &s);
        assert_near(s.mean, mean, 1e-12, "mean");
        assert_near(s.variance, noise * variance, 1e-12, "variance");
        assert_near(score_draw(&s, -1.5), mean - 1.5 * sqrt(noise * variance), 1e-12, "a draw");
    }
}

static void test_refusals(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++) {
        struct pair p = {0};
        const struct model *model = &model_lr_full;
        const char *message = NULL;
        pair_open(&p);
        /* clang-format off */
        switch (i) {
        case 1: p.covariance[4] = NAN;      message = "prior covariance[2][1]: nan"; break;
        case 2: p.covariance[2] = INFINITY; message = "prior sd of weight 1"; break;
        case 3: p.covariance[5] = -1;       message = "prior sd of weight 2"; break;
        case 4: p.covariance[3] = 100;      message = "prior covariance[2][0]: 100 is more than"; break;
        case 5: p.covariance[1] = 1.5 * sqrt(p.covariance[2]); message = "prior covariance: it is"; break; /* the same weight */
        case 6: p.covariance[3] = -p.covariance[3] - 2; message = "it is not positive definite"; break;
        case 7: model = &model_lr_diagonal; message = "prior: covariances"; break;
        case 8: model = &model_embedding;   message = "prior: covariances"; break;
        }
        /* clang-format on */
        struct model_config config = p.correlated;
        config.embedding = (struct embedding_config){.optimizer = {.rate = 0.1, .clip = 1}, .norm_max = 10};
        config.embedding.admit_at = 1;
        config.embedding.admit_share = 1;
        struct tm_error err = {0};
        assert_int_equal(model->check(&config, &err), message ? TM_INVALID_ARGUMENT : TM_OK);
        if (message && !strstr(err.message, message))
            fail_msg("case %d: \"%s\" does not name \"%s\"", i, err.message, message);
    }
}

/* Features in metres or in light years: the check looks at correlations. */
static void test_scales(void **state)
{
    double covariance[] = {1e-11, 0.5, 1e11}, precision[3];
    (void)state;
    assert_int_equal(prior_covariance_check(covariance, 2, NULL), TM_OK);
    prior_covariance_invert(covariance, 2, precision);
    assert_near(precision[0] * 1e-11, 4.0 / 3, 1e-12, "precision");
    covariance[1] = 1 - 1e-12; /* as good as equal: rounding could make anything of what is left */
    assert_int_equal(prior_covariance_check(covariance, 2, NULL), TM_INVALID_ARGUMENT);
    covariance[1] = 1; /* equal but for their scales */
    assert_int_equal(prior_covariance_check(covariance, 2, NULL), TM_INVALID_ARGUMENT);
    prior_covariance_invert(covariance, 2, precision);
    assert_true(precision[0] == 0 && precision[1] == 0 && precision[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_coordinates),
        cmocka_unit_test(test_draws_of_an_unseen_document),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
