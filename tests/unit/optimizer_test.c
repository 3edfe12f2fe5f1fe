/* Optimizers: their formulas against numbers from elsewhere, and what a row as a whole promises. */
#include "learner/optimizer.h"

#include "learner/optimizer_steps.h"
#include "tests/unit/regression.h"

enum { SIZE_MAX_HERE = 64 };

static struct optimizer_config plain_optimizer(enum optimizer_kind kind)
{
    return (struct optimizer_config){.kind = kind,
                                     .rate = 0.1,
                                     .momentum = 0.9,
                                     .beta1 = 0.9,
                                     .beta2 = 0.99,
                                     .epsilon = 1e-6,
                                     .beta = 1,
                                     .clip = 1e6};
}

struct row {
    float weight[SIZE_MAX_HERE], slot[3 * SIZE_MAX_HERE];
};

static struct optimizer_row view(struct row *r, uint32_t size)
{
    return (struct optimizer_row){r->weight, r->slot, size};
}

/* ---- formulas ---- */

/* Four samples of logistic loss, as another program learned them: what must come out of z, n, w and the scores. */
struct ftrl_golden {
    double l1, l2, score[4], z[2], n[2], w[2], tolerance;
};

static const struct {
    double x[2], y;
} ftrl_samples[] = {{{1, 1}, 1}, {{1, 0}, 0}, {{1, 2}, 1}, {{0, 1}, 1}};

static const struct ftrl_golden ftrl_goldens[] = {
    {.l1 = 0.5, .l2 = 1, .score = {0, 0, 0, NAN}, .z = {-.5, -2.03478657}, .n = {.75, 1.48885766}, .w = {0, .06614925}},
    {.score = {0, .0333333333, .0703254118, .0795712729},
     .z = {-.55051122, -2.22117327},
     .n = {.74113673, 1.41145193},
     .w = {.02958317, .10151404}},
};

static void test_ftrl_golden(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(ftrl_goldens); k++) {
        const struct ftrl_golden *want = &ftrl_goldens[k];
        const struct ftrl_rates rates = {0.1, 1, want->l1, want->l2};
        struct optimizer_config config = plain_optimizer(OPTIMIZER_FTRL);
        struct row r = {0};
        double z[2] = {0}, n[2] = {0}, w[2] = {0};
        config.l1 = want->l1;
        config.l2 = want->l2;
        for (size_t j = 0; j < ARRAY_LEN(ftrl_samples); j++) {
            const double *x = ftrl_samples[j].x;
            double score = w[0] * x[0] + w[1] * x[1], narrow = (double)r.weight[0] * x[0] + (double)r.weight[1] * x[1];
            double along = lr_logistic(score) - ftrl_samples[j].y, g[2];
            if (!isnan(want->score[j]))
                assert_near(score, want->score[j], 1e-9, "score");
            for (int i = 0; i < 2; i++) {
                w[i] = step_ftrl(w[i], along * x[i], &z[i], &n[i], &rates);
                g[i] = (lr_logistic(narrow) - ftrl_samples[j].y) * x[i];
            }
            optimizer_step(&config, view(&r, 2), g);
        }
        for (int i = 0; i < 2; i++) {
            assert_near(z[i], want->z[i], 1e-8, "z");
            assert_near(n[i], want->n[i], 1e-8, "n");
            assert_near(w[i], want->w[i], 1e-8, "w");
            assert_near((double)r.weight[i], want->w[i], 5e-7, "weight of a row");
            assert_near((double)r.slot[i], want->z[i], 5e-7, "z of a row");
            assert_near((double)r.slot[2 + i], want->n[i], 5e-7, "n of a row");
        }
    }
}

static double number(FILE *f)
{
    double v;
    assert_int_equal(fscanf(f, "%lf", &v), 1);
    return v;
}

static void read_config(FILE *f, struct optimizer_config *o)
{
    double *const fields[] = {&o->rate, &o->momentum, &o->beta1, &o->beta2, &o->epsilon,
                              &o->beta, &o->l1,       &o->l2,    &o->clip};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        *fields[i] = number(f);
}

/* numpy's, kept as a file: each kind over several sizes, with and without clipping, l1 and l2. */
static void test_golden_file(void **state)
{
    FILE *f = fopen(GOLDEN_OPTIMIZERS, "r");
    char name[32], line[256];
    int cases = 0, size, steps, seen = 0;
    (void)state;
    assert_non_null(f);
    for (int i = 0; i < 3; i++)
        assert_non_null(fgets(line, sizeof line, f));
    while (fscanf(f, "%31s %d %d", name, &size, &steps) == 3) {
        struct optimizer_config config;
        struct row r = {0};
        assert_true(optimizer_find(bytes_text(name), &config.kind) && size <= SIZE_MAX_HERE);
        read_config(f, &config);
        assert_int_equal(optimizer_check(&config, NULL), TM_OK);
        for (int i = 0; i < size; i++)
            r.weight[i] = (float)number(f);
        optimizer_start(&config, view(&r, (uint32_t)size));
        for (int s = 0; s < steps; s++) {
            double g[SIZE_MAX_HERE];
            for (int i = 0; i < size; i++)
                g[i] = number(f);
            optimizer_step(&config, view(&r, (uint32_t)size), g);
        }
        for (int i = 0; i < size; i++)
            assert_near((double)r.weight[i], number(f), 3e-7, name);
        for (uint32_t i = 0; i < optimizer_slots(config.kind, (uint32_t)size); i++)
            assert_near((double)r.slot[i], number(f), 3e-7, name);
        seen |= 1 << config.kind;
        cases++;
    }
    assert_int_equal(cases, 5 * OPTIMIZER_COUNT);
    assert_int_equal(seen, (1 << OPTIMIZER_COUNT) - 1);
    fclose(f);
}

/* ---- rows ---- */

static void test_table(void **state)
{
    static const uint32_t slots[] = {0, 10, 10, 1, 21, 20};
    enum optimizer_kind kind;
    char names[128] = "";
    (void)state;
    for (int i = 0; i < OPTIMIZER_COUNT; i++) {
        const char *name = optimizer_name((enum optimizer_kind)i);
        assert_true(optimizer_find(bytes_text(name), &kind) && kind == (enum optimizer_kind)i);
        assert_int_equal(optimizer_slots(kind, 10), slots[i]);
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", name);
    }
    assert_string_equal(optimizer_names(), names);
    assert_false(optimizer_find(bytes_text("adamw"), &kind));
}

/* A gradient beyond the limit moves as one on it; its direction stays. */
static void test_clip(void **state)
{
    static const double far[] = {300, -400}, near[] = {1.2, -1.6};
    (void)state;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        struct optimizer_config config = plain_optimizer((enum optimizer_kind)kind);
        struct row a = {0}, b = {0};
        config.clip = 2;
        optimizer_step(&config, view(&a, 2), far);
        optimizer_step(&config, view(&b, 2), near);
        for (int i = 0; i < 2; i++)
            assert_near((double)a.weight[i], (double)b.weight[i], 1e-6, optimizer_name((enum optimizer_kind)kind));
        assert_true(a.weight[0] < 0 && a.weight[1] > 0);
    }
}

/* l2 pulls while learning, not while a label is mended. */
static void test_l2(void **state)
{
    static const double none[] = {0, 0};
    struct optimizer_config config = plain_optimizer(OPTIMIZER_SGD);
    struct row r = {.weight = {2, -4}};
    (void)state;
    config.l2 = 0.5;
    optimizer_amend(&config, view(&r, 2), none);
    assert_true(r.weight[0] == 2 && r.weight[1] == -4);
    optimizer_step(&config, view(&r, 2), none);
    assert_near((double)r.weight[0], 1.9, 1e-7, "weight");
    assert_near((double)r.weight[1], -3.8, 1e-7, "weight");
}

/* Whatever an optimizer keeps, weights that were set or scaled are the ones that the next step starts from. */
static void test_start_and_scale(void **state)
{
    static const double g[] = {1e-9, -1e-9, 1e-9}, still[] = {0, 0, 0};
    (void)state;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        struct optimizer_config config = plain_optimizer((enum optimizer_kind)kind);
        struct row r = {.weight = {0.01f, -0.02f, 0}};
        config.rate = 1e-3;
        config.l1 = 0.3;
        optimizer_start(&config, view(&r, 3));
        optimizer_step(&config, view(&r, 3), kind == OPTIMIZER_ADAM ? still : g);
        double reach = 1.1e-3; /* AdaGrad's first step is its rate, however small the gradient */
        assert_true(fabs((double)r.weight[0] - 0.01) <= reach && fabs((double)r.weight[1] + 0.02) <= reach);
        float was[3] = {r.weight[0], r.weight[1], r.weight[2]};
        optimizer_scale(&config, view(&r, 3), 0.5);
        optimizer_step(&config, view(&r, 3), still);
        for (int i = 0; i < 3 && kind != OPTIMIZER_MOMENTUM && kind != OPTIMIZER_ADAM; i++)
            assert_near((double)r.weight[i], 0.5 * (double)was[i], 1e-6, optimizer_name((enum optimizer_kind)kind));
    }
}

/* Each finds the bottom of a bowl that is ten times as steep one way as the other. */
static void test_descends(void **state)
{
    (void)state;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        struct optimizer_config config = plain_optimizer((enum optimizer_kind)kind);
        struct row r = {.weight = {1, 1}};
        optimizer_start(&config, view(&r, 2));
        config.rate = kind == OPTIMIZER_ADAM ? 0.01 : 0.1;
        for (int i = 0; i < 3000; i++) {
            double g[] = {(double)r.weight[0] - 0.3, 10 * ((double)r.weight[1] + 0.7)};
            config.rate = kind == OPTIMIZER_MOMENTUM ? 0.01 : config.rate;
            optimizer_step(&config, view(&r, 2), g);
        }
        assert_near((double)r.weight[0], 0.3, 5e-3, optimizer_name((enum optimizer_kind)kind));
        assert_near((double)r.weight[1], -0.7, 5e-3, optimizer_name((enum optimizer_kind)kind));
    }
}

/* Beyond 2^24 steps a float cannot count, and nothing is left to count for. */
static void test_adam_count_sticks(void **state)
{
    static const double g[] = {1};
    struct optimizer_config config = plain_optimizer(OPTIMIZER_ADAM);
    struct row r = {.slot = {0, 0, 0x1p24f - 1}};
    (void)state;
    for (int i = 0; i < 3; i++)
        optimizer_step(&config, view(&r, 1), g);
    assert_true(r.slot[2] == 0x1p24f && isfinite(r.weight[0]));
}

static void test_refusals(void **state)
{
    (void)state;
    for (int i = 0; i < 14; i++) {
        struct optimizer_config c = plain_optimizer(OPTIMIZER_SGD);
        const char *message = NULL;
        /* clang-format off */
        switch (i) {
        case 1:  c.rate = 0;                                    message = "rate: 0 is not in [1e-06, 1000]"; break;
        case 2:  c.rate = NAN;                                  message = "rate"; break;
        case 3:  c.clip = INFINITY;                             message = "clip"; break;
        case 4:  c.l2 = -1;                                     message = "l2"; break;
        case 5:  c.kind = OPTIMIZER_MOMENTUM; c.momentum = 1;   message = "momentum"; break;
        case 6:  c.kind = OPTIMIZER_ADAM; c.beta1 = 1;          message = "beta1"; break;
        case 7:  c.kind = OPTIMIZER_ADAM; c.beta2 = -0.1;       message = "beta2"; break;
        case 8:  c.kind = OPTIMIZER_ADAGRAD; c.epsilon = 0;     message = "epsilon"; break;
        case 9:  c.kind = OPTIMIZER_ADAGRAD_ROW; c.epsilon = 2; message = "epsilon"; break;
        case 10: c.kind = OPTIMIZER_FTRL; c.beta = 0;           message = "beta"; break;
        case 11: c.kind = OPTIMIZER_FTRL; c.l1 = NAN;           message = "l1"; break;
        case 12: c.momentum = 7;                                break; /* not its business */
        case 13: c.kind = OPTIMIZER_FTRL; c.epsilon = 0;        break;
        }
        /* clang-format on */
        struct tm_error err = {0};
        assert_int_equal(optimizer_check(&c, &err), message ? TM_INVALID_ARGUMENT : TM_OK);
        if (message && !strstr(err.message, message))
            fail_msg("case %d: \"%s\" does not say \"%s\"", i, err.message, message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ftrl_golden), cmocka_unit_test(test_golden_file),
        cmocka_unit_test(test_table),       cmocka_unit_test(test_clip),
        cmocka_unit_test(test_l2),          cmocka_unit_test(test_start_and_scale),
        cmocka_unit_test(test_descends),    cmocka_unit_test(test_adam_count_sticks),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
