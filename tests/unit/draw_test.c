/* learner/draw.h: the golden file that Python is held to as well, and whether what comes out is random and of the right
 * distribution. All seeds are fixed, so a test passes always or never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "learner/draw_parts.h"
#include "learner/special.h"
#include "tests/unit/golden.h"

/* ---- the golden file ---- */

static struct draw stream_of(const struct line *l)
{
    return draw_begin(hex_word(l, 1), (uint32_t)hex_word(l, 2), hex_word(l, 3));
}

/* The uniforms show 52 of 64 bits. */
static void check_splitmix(const struct line *l)
{
    struct draw d = {hex_word(l, 1)};
    for (int i = 2; i < 7; i++)
        assert_true(draw_uniform(&d) == ((double)(hex_word(l, i) >> 12) + 0.5) * 0x1p-52);
}

static void check_key(const struct line *l) { assert_true(draw_key(bytes_text(l->word[1])) == hex_word(l, 2)); }
static void check_probability(const struct line *l) { assert_same_bits(draw_probability(number(l, 1)), l, 2); }

static void check_stream(const struct line *l, double (*next)(struct draw *))
{
    struct draw d = stream_of(l);
    for (int i = 4; i < 8; i++)
        assert_same_bits(next(&d), l, i);
}

static void check_uniform(const struct line *l) { check_stream(l, draw_uniform); }
static void check_normal(const struct line *l) { check_stream(l, draw_normal); }

static void check_beta(const struct line *l)
{
    struct draw d = stream_of(l);
    for (int i = 6; i < 10; i++)
        assert_same_bits(draw_beta(&d, number(l, 4), number(l, 5)), l, i);
}

static void fold(uint64_t *h, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    *h = 1000003 * *h + bits;
}

static void check_many(const struct line *l)
{
    uint64_t h = 0;
    for (uint64_t item = 0; item < hex_word(l, 3); item++) {
        struct draw d = draw_begin(1, 2, item);
        double score = draw_beta(&d, number(l, 1), number(l, 2));
        fold(&h, score);
        fold(&h, draw_probability(score));
    }
    assert_true(h == hex_word(l, 4));
}

static void both_languages_draw_the_same_bits(void **state)
{
    static const struct golden_kind kinds[] = {
        {"splitmix", 7, check_splitmix}, {"key", 3, check_key},       {"probability", 3, check_probability},
        {"uniform", 8, check_uniform},   {"normal", 8, check_normal}, {"beta", 10, check_beta},
        {"many", 5, check_many},
    };
    (void)state;
    check_golden(GOLDEN_DRAWS, kinds, ARRAY_LEN(kinds));
}

/* ---- distributions ---- */

enum { DRAWS = 400000, POINTS = 4000 };

/* sqrt(n) times the largest distance exceeds it once in 10,000 (Kolmogorov's distribution). */
static const double kolmogorov_max = 2.2;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov's test at POINTS of the values, with the parameters that cdf wants. */
static void assert_distributed(double *values, double (*cdf)(double x, double a, double b), double a, double b)
{
    double worst = 0;
    qsort(values, DRAWS, sizeof *values, ascending);
    for (int i = DRAWS / POINTS - 1; i < DRAWS; i += DRAWS / POINTS) {
        assert_true(isfinite(values[i]));
        worst = fmax(worst, fabs(cdf(values[i], a, b) - (i + 0.5) / DRAWS));
    }
    if (worst * sqrt(DRAWS) > kolmogorov_max)
        fail_msg("a %g, b %g: %g from the distribution, sqrt(n) times that is %g", a, b, worst, worst * sqrt(DRAWS));
}

/* P(score <= x) for the logit of Beta(a, b). Far out the cdf is a power of e^x, where x itself is 0. */
static double score_cdf(double x, double a, double b)
{
    int sign;
    double log_beta = lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
    if (x > 0) /* 1 - p keeps digits that p has lost */
        return 1 - score_cdf(-x, b, a);
    if (x < -600)
        return exp(a * x - log(a) - log_beta);
    return beta_cdf(a, b, 1 / (1 + exp(-x)));
}

static double normal_cdf(double x, double mean, double sd) { return 0.5 * erfc((mean - x) / sd * M_SQRT1_2); }
static double uniform_cdf(double x, double low, double high) { return (x - low) / (high - low); }

static void uniforms_and_normals_are_what_they_are_called(void **state)
{
    double *values = mem_new(DRAWS, sizeof *values);
    (void)state;
    for (int i = 0; i < DRAWS; i++) { /* neighbours in every part of the name, one number each */
        struct draw d = draw_begin((uint64_t)i % 3, (uint32_t)i / 3 % 5, (uint64_t)i / 15);
        values[i] = draw_uniform(&d);
        assert_true(values[i] > 0 && values[i] < 1);
    }
    assert_distributed(values, uniform_cdf, 0, 1);
    struct draw d = draw_begin(1, 1, 1);
    for (int i = 0; i < DRAWS; i++)
        values[i] = draw_normal(&d);
    assert_distributed(values, normal_cdf, 0, 1);
    free(values);
}

static void scores_are_logits_of_beta_variables(void **state)
{
    static const double shapes[][2] = {{1, 1},    {2, 48},    {0.5, 0.7},   {0.01, 0.02}, {0.001, 5}, {0.01, 0.01},
                                       {1.5, 40}, {1e6, 1e6}, {857, 12000}, {3, 1e6},     {0.3, 1e6}, {1e-5, 1e-5}};
    double *values = mem_new(DRAWS, sizeof *values);
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
        double a = shapes[s][0], b = shapes[s][1], sum = 0, n = a + b;
        for (int i = 0; i < DRAWS; i++) {
            struct draw d = draw_begin(s, 1, (uint64_t)i);
            values[i] = draw_beta(&d, a, b);
            sum += draw_probability(values[i]);
        }
        double sd = sqrt(a / n * (b / n) / (n + 1));
        assert_true(fabs(sum / DRAWS - a / n) < 4 * sd / sqrt(DRAWS));
        assert_distributed(values, score_cdf, a, b);
    }
    free(values);
}

/* ---- names ---- */

static double correlation(struct draw (*left)(int i), struct draw (*right)(int i))
{
    double sum = 0;
    for (int i = 0; i < DRAWS; i++) {
        struct draw a = left(i), b = right(i);
        sum += draw_normal(&a) * draw_normal(&b);
    }
    return sum / sqrt(DRAWS); /* of variance 1 */
}

static struct draw plain(int i) { return draw_begin(5, 6, (uint64_t)i); }
static struct draw next_seed(int i) { return draw_begin(6, 6, (uint64_t)i); }
static struct draw next_version(int i) { return draw_begin(5, 7, (uint64_t)i); }
static struct draw next_item(int i) { return draw_begin(5, 6, (uint64_t)i + DRAWS); }
static struct draw high_item(int i) { return draw_begin(5, 6, (uint64_t)i | UINT64_C(1) << 40); }
static struct draw high_seed(int i) { return draw_begin(5 | UINT64_C(1) << 40, 6, (uint64_t)i); }

static void every_part_of_a_name_makes_another_stream(void **state)
{
    (void)state;
    assert_true(fabs(correlation(plain, next_seed)) < 4);
    assert_true(fabs(correlation(plain, next_version)) < 4);
    assert_true(fabs(correlation(plain, next_item)) < 4);
    assert_true(fabs(correlation(plain, high_item)) < 4);
    assert_true(fabs(correlation(plain, high_seed)) < 4);
}

struct drawing {
    void (*normals)(struct draw *d, uint32_t n, double *out);
    void (*betas)(struct draw *d, const double *a, const double *b, uint32_t n, double *out);
};

/* Shapes that are clear, that are seldom, and below 1; more streams than a block has. */
static void assert_drawn_alike(const struct drawing *at_once)
{
    static const double shapes[] = {26, 1, 0.7, 1.5, 1e-3, 857, 1e-101, 40, 12000, 0.999, 2};
    static const uint32_t counts[] = {0, 1, 63, 64, 65, 300};
    enum { MOST = 300 };
    static struct draw many[MOST], single[MOST];
    static double a[MOST], b[MOST], out[MOST];
    for (uint64_t seed = 0; seed < 50 * ARRAY_LEN(counts); seed++) {
        uint32_t n = counts[seed % ARRAY_LEN(counts)];
        bool betas = seed / ARRAY_LEN(counts) % 2;
        uint64_t family = draw_family(seed, 5);
        for (uint32_t i = 0; i < n; i++) {
            single[i] = draw_begin(seed, 5, i);
            many[i] = draw_of_family(family, i);
            a[i] = shapes[(i + seed) % ARRAY_LEN(shapes)];
            b[i] = shapes[(i / 3 + seed) % ARRAY_LEN(shapes)];
        }
        betas ? at_once->betas(many, a, b, n, out) : at_once->normals(many, n, out);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(out[i] == (betas ? draw_beta(&single[i], a[i], b[i]) : draw_normal(&single[i])));
            assert_true(many[i].state == single[i].state);
        }
    }
}

static void many_at_once_are_the_same_bits(void **state)
{
    (void)state;
    assert_drawn_alike(&(struct drawing){draw_normals, draw_betas});
    assert_drawn_alike(&(struct drawing){draw_normals_plain, draw_betas_plain});
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_languages_draw_the_same_bits),
        cmocka_unit_test(uniforms_and_normals_are_what_they_are_called),
        cmocka_unit_test(scores_are_logits_of_beta_variables),
        cmocka_unit_test(every_part_of_a_name_makes_another_stream),
        cmocka_unit_test(many_at_once_are_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
