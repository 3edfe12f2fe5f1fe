/* Field rules, one by one and one behind the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/filters.h"

enum { SHOWS, READS, OTHERS };
#define ON(stream) (1u << (stream))

static const struct {
    const char *story;
    struct filters rules;
    uint8_t stream;
    bool has;
    double value, after;
    bool passes;
} cases[] = {
    {"inside", {1, {{ON(READS), FILTER_value, FILTER_DROP, 3, 9, 0}}}, READS, true, 3, 3, true},
    {"its other end", {1, {{ON(READS), FILTER_value, FILTER_DROP, 3, 9, 0}}}, READS, true, 9, 9, true},
    {"below", {1, {{ON(READS), FILTER_value, FILTER_DROP, 3, 9, 0}}}, READS, true, 2.9, 2.9, false},
    {"above", {1, {{ON(READS), FILTER_value, FILTER_DROP, 3, 9, 0}}}, READS, true, 9.1, 9.1, false},
    {"nothing to look at", {1, {{ON(READS), FILTER_value, FILTER_DROP, 3, 9, 0}}}, READS, false, 1, 1, true},
    {"another stream's", {1, {{ON(READS), FILTER_value, FILTER_DROP, 3, 9, 0}}}, OTHERS, true, 1, 1, true},
    {"one of its streams",
     {1, {{ON(READS) | ON(OTHERS), FILTER_value, FILTER_DROP, 3, 9, 0}}},
     OTHERS,
     true,
     1,
     1,
     false},
    {"another field", {1, {{ON(READS), FILTER_weight, FILTER_DROP, 3, 9, 0}}}, READS, true, 1, 1, true},
    {"clamped up", {1, {{ON(READS), FILTER_value, FILTER_CLAMP, 3, 9, 0}}}, READS, true, 1, 3, true},
    {"clamped down", {1, {{ON(READS), FILTER_value, FILTER_CLAMP, 3, 9, 0}}}, READS, true, 12, 9, true},
    {"not there to clamp", {1, {{ON(READS), FILTER_value, FILTER_CLAMP, 3, 9, 0}}}, READS, false, 1, 1, true},
    {"filled in", {1, {{ON(READS), FILTER_value, FILTER_DEFAULT, 0, 0, 7}}}, READS, false, 1, 7, true},
    {"there already", {1, {{ON(READS), FILTER_value, FILTER_DEFAULT, 0, 0, 7}}}, READS, true, 1, 1, true},
    {"filled in, then seen by the next",
     {2, {{ON(READS), FILTER_value, FILTER_DEFAULT, 0, 0, 7}, {ON(READS), FILTER_value, FILTER_DROP, 8, 9, 0}}},
     READS,
     false,
     1,
     7,
     false},
    {"clamped, so not dropped",
     {2, {{ON(READS), FILTER_value, FILTER_CLAMP, 0, 5, 0}, {ON(READS), FILTER_value, FILTER_DROP, 0, 5, 0}}},
     READS,
     true,
     50,
     5,
     true},
};

static void rules_do_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter_numbers n = {.has = cases[i].has ? 1u << FILTER_value : 0};
        n.number[FILTER_value] = cases[i].value;
        bool passes = filters_pass(&cases[i].rules, cases[i].stream, &n);
        if (passes != cases[i].passes || n.number[FILTER_value] != cases[i].after)
            fail_msg("%s: %s with %g", cases[i].story, passes ? "passes" : "dropped", n.number[FILTER_value]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_do_what_they_say)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
