/* The integrals of logistic regression against dense quadrature, and weighted observations against repetitions. */
#include "tests/unit/regression.h"

#include "learner/moment_match.h"

/* From 1,024-node quadrature of another program; logistic likelihood. */
static const struct {
    double m, v;
    bool positive;
    double alpha, beta;
} golden[] = {
    {0, 1, true, .4132419283, .1707688913},     {-3, 1, true, .8629332787, .0949378678},
    {-3, 1, false, -.0642778528, .0525274441},  {-3, 9, true, .4050431395, .0625049773},
    {2, .25, false, -.8464430971, .1219137935}, {-6, 4, false, -.0123144564, .0097598047},
};

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        struct tilt t = probit_mixture_tilt(golden[i].m, golden[i].v, golden[i].positive);
        assert_near(t.alpha, golden[i].alpha, 2e-8, "alpha");
        assert_near(t.beta, golden[i].beta, 2e-8, "beta");
    }
}

static void test_symmetry(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int i = 0; i < 10000; i++) {
        double m = 10 * normal(&seed), v = exp(2 * normal(&seed));
        struct tilt a = probit_mixture_tilt(m, v, false), b = probit_mixture_tilt(-m, v, true);
        assert_true(a.alpha == -b.alpha && a.beta == b.beta);
        assert_true(fabs(a.alpha) <= 1 && a.beta >= 0 && a.beta <= 0.25 && a.beta * v < 1);
        assert_near(probit_mixture_mean(m, v) + probit_mixture_mean(-m, v), 1, 1e-14, "both");
    }
}

static void test_certain_score(void **state)
{
    (void)state;
    for (double m = -8; m <= 8; m += 0.25) {
        struct tilt t = probit_mixture_tilt(m, 1e-12, true);
        assert_near(t.alpha, 1 - lr_logistic(m), 1e-4, "alpha");
        assert_near(t.beta, lr_curvature(m), 1e-4, "beta");
        assert_near(probit_mixture_mean(m, 0), lr_logistic(m), 1e-8, "mean");
        t = probit_mixture_tilt(m, 0, true);
        assert_true(isfinite(t.alpha) && isfinite(t.beta));
    }
}

struct moments {
    double z, alpha, beta;
};

/* By the trapezoid rule around the mode of the tilted density, in units of its width there. */
static struct moments quadrature(double m, double v)
{
    double mode = m, mass = 0, mean = 0, square = 0;
    for (int i = 0; i < 500; i++) /* the gradient's root lies in [m, m + v]: damped steps arrive */
        mode += 0.5 * (1 - lr_logistic(mode) - (mode - m) / v) / (lr_curvature(mode) + 1 / v);
    double width = 1 / sqrt(1 / v + lr_curvature(mode)), step = 0.02 * width;
    for (int i = -2000; i <= 2000; i++) {
        double d = i * step, a = mode + d;
        double density =
            exp(-0.5 * (a - m) * (a - m) / v - softplus(-a) + 0.5 * (mode - m) * (mode - m) / v + softplus(-mode));
        mass += density;
        mean += density * d;
        square += density * d * d;
    }
    mean /= mass;
    double variance = square / mass - mean * mean;
    double top = exp(-0.5 * (mode - m) * (mode - m) / v - softplus(-mode));
    return (struct moments){top * mass * step / sqrt(2 * M_PI * v), (mode + mean - m) / v, (v - variance) / (v * v)};
}

/* What the headers say about errors. */
static void test_against_quadrature(void **state)
{
    static const struct {
        double v, tilt, mean;
    } cases[] = {{0.1, 3e-4, 3e-4}, {1, 3e-4, 3e-4}, {4, 3e-4, 3e-4}, {9, 2e-3, 4e-3}, {25, 1.2e-2, 4.5e-2}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (double m = -45; m <= 20; m += 0.5) {
            struct moments want = quadrature(m, cases[i].v);
            struct tilt t = probit_mixture_tilt(m, cases[i].v, true);
            double mean = probit_mixture_mean(m, cases[i].v);
            if (fabs(t.alpha - want.alpha) > cases[i].tilt || fabs(t.beta - want.beta) > cases[i].tilt ||
                fabs(mean - want.z) > 1e-8 + cases[i].mean * fmin(want.z, 1e-3))
                fail_msg("m %g, v %g: %g %g %g instead of %g %g %g", m, cases[i].v, t.alpha, t.beta, mean, want.alpha,
                         want.beta, want.z);
        }
}

/* alpha is the slope of ln Z, beta minus its curvature. */
static void test_derivatives(void **state)
{
    (void)state;
    for (double v = 0.25; v <= 4; v *= 4)
        for (double m = -4; m <= 4; m += 0.5) {
            double h = 1e-4, low = log(probit_mixture_mean(m - h, v)), high = log(probit_mixture_mean(m + h, v));
            struct tilt t = probit_mixture_tilt(m, v, true);
            assert_near(t.alpha, (high - low) / (2 * h), 1e-7, "slope");
            assert_near(-t.beta, (high - 2 * log(probit_mixture_mean(m, v)) + low) / (h * h), 1e-6, "curvature");
        }
}

static void apply(double *m, double *v, struct tilt t)
{
    *m += *v * t.alpha;
    *v -= *v * *v * t.beta;
}

static void test_weights(void **state)
{
    uint64_t seed = 2;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        double m = 3 * normal(&seed), v = exp(normal(&seed)), y = (double)below(&seed, 2);
        int times = 1 + (int)below(&seed, 20);
        double m1 = m, v1 = v, m2 = m, v2 = v;
        for (int k = 0; k < times; k++)
            apply(&m1, &v1, moment_match(m1, v1, y, 1));
        apply(&m2, &v2, moment_match(m, v, y, times));
        assert_near(m2, m1, 1e-12, "mean after repetitions");
        assert_near(v2, v1, 1e-12, "variance after repetitions");

        struct tilt once = probit_mixture_tilt(m, v, y > 0), same = moment_match(m, v, y, 1);
        assert_near(same.alpha, once.alpha, 1e-14, "alpha of weight 1");
        assert_near(same.beta, once.beta, 1e-14, "beta of weight 1");

        struct site whole = site_of(once, m, v), part = site_of(moment_match(m, v, y, 0.3), m, v);
        assert_near(part.tau, 0.3 * whole.tau, 1e-12, "part of tau");
        assert_near(part.nu, 0.3 * whole.nu, 1e-12, "part of nu");
    }
    struct tilt none = moment_match(1, 1, 1, 0);
    assert_true(none.alpha == 0 && none.beta == 0);
    struct tilt heavy = moment_match(0, 100, 1, FEATURES_WEIGHT_MAX);
    assert_true(heavy.beta * 100 < 1 && isfinite(heavy.alpha));
}

/* A site taken out again leaves what was before. */
static void test_remove_what_was_added(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        double m = 3 * normal(&seed), v = exp(normal(&seed)), m1 = m, v1 = v;
        struct tilt t = moment_match(m, v, uniform(&seed), 2 * uniform(&seed));
        struct site s = site_of(t, m, v);
        apply(&m1, &v1, t);
        double precision = 1 / v1 - s.tau;
        assert_near(1 / precision, v, 1e-9, "variance");
        assert_near((m1 / v1 - s.nu) / precision, m, 1e-9, "mean");
    }
}

/* Half a positive and half a negative tell nothing about the sign. */
static void test_fractions(void **state)
{
    (void)state;
    struct tilt t = moment_match(0, 1e-6, 0.5, 1);
    assert_near(t.alpha, 0, 1e-6, "alpha");
    assert_near(t.beta, 0.25, 1e-5, "beta");
    assert_true(moment_match(0, 1, 0.9, 1).alpha > 0 && moment_match(0, 1, 0.1, 1).alpha < 0);
}

static void test_logistic(void **state)
{
    (void)state;
    for (double a = -800; a <= 800; a += 0.5) {
        assert_true(isfinite(softplus(a)) && lr_curvature(a) >= 0 && lr_logistic(a) >= 0 && lr_logistic(a) <= 1);
        assert_near(softplus(a) - softplus(-a), a, 1e-15, "softplus");
        if (fabs(a) < 30)
            assert_near(lr_curvature(a) / (lr_logistic(a) * lr_logistic(-a)), 1, 1e-14, "curvature");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_symmetry),
        cmocka_unit_test(test_certain_score),
        cmocka_unit_test(test_against_quadrature),
        cmocka_unit_test(test_derivatives),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_remove_what_was_added),
        cmocka_unit_test(test_fractions),
        cmocka_unit_test(test_logistic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
