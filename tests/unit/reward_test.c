/* Tests of rewards: what an expression means, what is refused with which words, and what its value can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "learner/reward.h"
#include "tests/unit/random.h"

enum { CLICK, ORDER, SPEND, DISLIKE, ADD, ADD_TO_CART, ODD, MIN, LABELS };
static const char *const labels[LABELS] = {"click", "order", "spend", "dislike", "add", "add-to-cart", "2nd", "min"};
/* Values by which the tests below compute. */
static const double values[LABELS] = {1, 0, 12.5, 3, 10, 7, 0.5, 40};

static void compile(const char *text, struct reward *out)
{
    struct tm_error err = {0};
    if (reward_compile(bytes_text(text), labels, LABELS, out, &err) != TM_OK)
        fail_msg("%s: %s", text, err.message);
}

static void test_what_expressions_mean(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"click", 1},
        {"  click ", 1},
        {"click + 5*order - dislike", -2},
        {"1 - 2 - 3", -4},
        {"12 / 3 / 2", 2},
        {"2 + 3 * 4", 14},
        {"(2 + 3) * 4", 20},
        {"-click", -1},
        {"--click", 1},
        {"2 - -3", 5},
        {"-2 * -3", 6},
        {"0.5*spend", 6.25},
        {".5 + 1e2 + 2.5E-1", 100.75},
        {"min(click, order)", 0},
        {"max(1, min(spend, 10)) / 10", 1},
        {"min + 1", 41},
        {"min(min, 5)", 5},
        {"min (1, 2)", 1},
        {"spend > 12", 1},
        {"spend > 12.5", 0},
        {"spend >= 12.5", 1},
        {"order < click", 1},
        {"click <= order", 0},
        {"(spend > 10) * 3 + (spend > 20)", 3},
        {"click + 1 > 1", 1},
        {"add-to-cart", 7},
        {"add-to-cart+1", 8},
        {"add - 4", 6},
        {"add-dislike", 7},
        {"2nd", 0.5},
        {"0 * -1", 0},
        {"1e308 * 1e308", DBL_MAX},
        {"-1e308 - 1e308 * 1e10", -DBL_MAX},
        {"1e308 * 1e308 - 1e308 * 1e308", 0},
        {"((((((((((((((((1))))))))))))))))", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reward r;
        double v = NAN;
        compile(cases[i].text, &r);
        assert_string_equal(r.text, cases[i].text);
        assert_true(reward_value(&r, values, &v));
        if (v != cases[i].value || signbit(v) != signbit(cases[i].value))
            fail_msg("%s is %.17g; expected %.17g", cases[i].text, v, cases[i].value);
    }
}

static void test_a_division_by_zero_has_no_value(void **state)
{
    (void)state;
    static const char *const texts[] = {"spend / order",   "0 / 0",        "1 / (click - 1)",
                                        "0 * (1 / order)", "1 / (0 * -1)", "min(1, 1 / order)"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct reward r;
        double v;
        compile(texts[i], &r);
        assert_false(reward_value(&r, values, &v));
    }
}

static void test_refusals_name_column_and_expectation(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "column 1: it ends; expected a label, a number or ("},
        {"click +", "column 8: it ends; expected a label, a number or ("},
        {"click order", "column 7: got o; expected an operator"},
        {"click + clik", "column 9: clik is no label; expected one of: click, order, spend, dislike, add, add-to-cart, "
                         "2nd, min"},
        {"clicks", "column 1: clicks is no label; expected one of: click, order, spend, dislike, add, add-to-cart, "
                   "2nd, min"},
        {"(click", "column 7: it ends; expected an operator or )"},
        {"click)", "column 6: got ); expected an operator"},
        {"max(click)", "column 10: got ); expected an operator or ,"},
        {"max(1, 2, 3)", "column 9: got ,; expected an operator or )"},
        {"click & order", "column 7: got &; expected an operator"},
        {"1 < 2 < 3", "column 7: got <; expected an operator"},
        {"* 2", "column 1: got *; expected a label, a number or ("},
        {"2 * 1e999", "column 5: got 1; expected a finite number"},
        {"0x10", "column 1: got 0; expected a decimal number"},
        {".", "column 1: got .; expected a finite number"},
        {"2nd + 1", "column 2: got n; expected an operator"},
        {"(((((((((((((((((1)))))))))))))))))",
         "column 18: more than 16 of ( and - in each other; expected a shorter expression"},
        {"1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1", "column 33: more than 16 numbers; expected a shorter expression"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reward r;
        struct tm_error err = {0};
        assert_int_equal(reward_compile(bytes_text(cases[i].text), labels, LABELS, &r, &err), TM_INVALID_ARGUMENT);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void assert_refused(const char *text, const char *part)
{
    struct reward r;
    struct tm_error err = {0};
    assert_int_equal(reward_compile(bytes_text(text), labels, LABELS, &r, &err), TM_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, part));
}

static void test_bounds(void **state)
{
    (void)state;
    char text[2 * REWARD_TEXT_MAX] = "";
    memset(text, ' ', REWARD_TEXT_MAX + 1);
    assert_refused(text, "an expression of 256 bytes; expected at most 255");
    memset(text, 0, sizeof text);
    for (int i = 0; i < 33; i++)
        strcat(text, i ? "+click" : "click");
    assert_refused(text, "more than 64 names, numbers and operators");
    struct reward r;
    assert_int_equal(reward_compile(bytes_of("a\0b", 3), labels, LABELS, &r, NULL), TM_INVALID_ARGUMENT);
}

/* Whatever the bytes: refused, or compiled and computed within the bounds (the sanitizer watches). */
static void test_random_texts(void **state)
{
    (void)state;
    static const char *const pieces[] = {"click", "order", "(", ")",   "+", "-",  "*", "/",           "min(",
                                         "max(",  ",",     "1", "0.5", ">", "<=", " ", "add-to-cart", "x"};
    uint64_t seed = 1, taken = 0;
    for (int i = 0; i < 200000; i++) {
        char text[REWARD_TEXT_MAX + 1] = "";
        struct reward r;
        double v;
        for (uint64_t n = 1 + below(&seed, 9); n > 0; n--)
            strcat(text, pieces[below(&seed, ARRAY_LEN(pieces))]);
        if (reward_compile(bytes_text(text), labels, LABELS, &r, NULL) != TM_OK)
            continue;
        taken++;
        if (reward_value(&r, values, &v))
            assert_true(isfinite(v));
    }
    assert_true(taken > 5000);
}

static void test_ranges(void **state)
{
    (void)state;
    static const double low[LABELS] = {0, 0, -INFINITY, 0, 0, 0, 0, 1};
    static const double high[LABELS] = {1, 16, INFINITY, 1, 0, 0, 0, 2};
    static const struct {
        const char *text;
        double low, high;
        bool always;
    } cases[] = {
        {"click", 0, 1, true},
        {"click + 5*order - dislike", -1, 81, true},
        {"spend", -INFINITY, INFINITY, true},
        {"0 * spend", 0, 0, true},
        {"spend > 10", 0, 1, true},
        {"min(max(spend, 0), 100) / 100", 0, 1, true},
        {"-order", -16, 0, true},
        {"order * (0 - order)", -256, 0, true},
        {"click / min", 0, 1, true},
        {"1 / min", 0.5, 1, true},
        {"1 / order", -INFINITY, INFINITY, false},
        {"spend / spend", -INFINITY, INFINITY, false},
        {"(1 / order) > 2", 0, 1, false},
        {"1 / (spend > 2) ", -INFINITY, INFINITY, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reward r;
        compile(cases[i].text, &r);
        struct reward_range range = reward_range(&r, low, high);
        if (range.low != cases[i].low || range.high != cases[i].high || range.always != cases[i].always)
            fail_msg("%s is from %g to %g%s", cases[i].text, range.low, range.high, range.always ? "" : ", or nothing");
    }
}

/* No value that labels within their ranges can give lies outside of the range. */
static void test_values_lie_in_their_range(void **state)
{
    (void)state;
    static const char *const texts[] = {"click + 5*order - dislike", "spend / (1 + order)", "min(spend, order) * -2",
                                        "max(-spend, click / (order + 1)) - add * dislike", "(spend >= order) * spend"};
    static const double low[LABELS] = {0, 0, -20, 0, -3}, high[LABELS] = {1, 16, 20, 1, 3};
    uint64_t seed = 7;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct reward r;
        compile(texts[i], &r);
        struct reward_range range = reward_range(&r, low, high);
        assert_true(range.always);
        for (int k = 0; k < 20000; k++) {
            double at[LABELS] = {0}, v;
            for (int l = 0; l <= ADD; l++)
                at[l] = low[l] + (high[l] - low[l]) * (double)below(&seed, 101) / 100;
            assert_true(reward_value(&r, at, &v));
            assert_true(v >= range.low && v <= range.high);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_expressions_mean),
        cmocka_unit_test(test_a_division_by_zero_has_no_value),
        cmocka_unit_test(test_refusals_name_column_and_expectation),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_values_lie_in_their_range),
    };
    return cmocka_run_group_tests_name("reward", tests, NULL, NULL);
}
