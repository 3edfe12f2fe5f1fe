/* Filters of joined samples, one by one and one behind the other: what labels become, and who is excluded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/verdict.h"

enum { CLICK, DWELL, LABELS };
enum { SHOWN_AT = 100000 };
#define BIT(label) (UINT64_C(1) << (label))
#define NO_END 1e300

static const struct joiner_label labels[LABELS] = {[CLICK] = {.aggregate = LABEL_COUNT}, [DWELL] = {LABEL_MAX}};

#define CLICK_AT(ms)                      \
    {                                     \
        SHOWN_AT + (ms), 1, 1, BIT(CLICK) \
    }
#define DWELL_OF(seconds)                       \
    {                                           \
        SHOWN_AT + 5000, 2, seconds, BIT(DWELL) \
    }
#define SHORT_IS_NO_CLICK                                  \
    {                                                      \
        DWELL, LOOK_AT_VALUE, 2, NO_END, false, BIT(CLICK) \
    }
#define TOO_FAST                                   \
    {                                              \
        CLICK, LOOK_AT_DELAY, 0.1, NO_END, true, 0 \
    }
#define TOO_MANY                                  \
    {                                             \
        CLICK, LOOK_AT_VALUE, -NO_END, 2, true, 0 \
    }

static const struct {
    const char *story;
    struct label_filters filters;
    uint32_t actions;
    struct label_action action[4];
    double click, dwell;
    bool excluded;
} cases[] = {
    {"no filter", {0}, 2, {CLICK_AT(50), DWELL_OF(1)}, 1, 1, false},
    {"a short stay is no click", {1, {SHORT_IS_NO_CLICK}}, 2, {CLICK_AT(50), DWELL_OF(1)}, 0, 1, false},
    {"a stay of just so long is one", {1, {SHORT_IS_NO_CLICK}}, 2, {CLICK_AT(50), DWELL_OF(2)}, 1, 2, false},
    {"nobody said how long", {1, {SHORT_IS_NO_CLICK}}, 1, {CLICK_AT(50)}, 1, 0, false},
    {"no action at all", {2, {SHORT_IS_NO_CLICK, TOO_FAST}}, 0, {{0}}, 0, 0, false},
    {"faster than people", {1, {TOO_FAST}}, 1, {CLICK_AT(99)}, 1, 0, true},
    {"as fast as people", {1, {TOO_FAST}}, 1, {CLICK_AT(100)}, 1, 0, false},
    {"before it was shown", {1, {TOO_FAST}}, 1, {CLICK_AT(-500)}, 1, 0, true},
    {"the first decides", {1, {TOO_FAST}}, 2, {CLICK_AT(50), CLICK_AT(900)}, 2, 0, true},
    {"another label's delay", {1, {TOO_FAST}}, 1, {DWELL_OF(3)}, 0, 3, false},
    {"too often", {1, {TOO_MANY}}, 3, {CLICK_AT(200), CLICK_AT(300), CLICK_AT(400)}, 3, 0, true},
    {"not too often", {1, {TOO_MANY}}, 2, {CLICK_AT(200), CLICK_AT(300)}, 2, 0, false},
    {"what is no click any more cannot be too fast",
     {2, {SHORT_IS_NO_CLICK, TOO_FAST}},
     2,
     {CLICK_AT(50), DWELL_OF(1)},
     0,
     1,
     false},
    {"too fast stays so when it is no click later",
     {2, {TOO_FAST, SHORT_IS_NO_CLICK}},
     2,
     {CLICK_AT(50), DWELL_OF(1)},
     0,
     1,
     true},
};

static void filters_do_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct verdict v;
        verdict_of(labels, LABELS, &cases[i].filters, cases[i].action, cases[i].actions, SHOWN_AT, &v);
        if (v.labels[CLICK] != cases[i].click || v.labels[DWELL] != cases[i].dwell || v.excluded != cases[i].excluded)
            fail_msg("%s: click %g, dwell %g, excluded %d", cases[i].story, v.labels[CLICK], v.labels[DWELL],
                     v.excluded);
    }
}

static void filters_are_compared_whole(void **state)
{
    struct label_filters a = {2, {SHORT_IS_NO_CLICK, TOO_FAST}}, b = a;
    (void)state;
    assert_true(label_filters_same(&a, &b));
    assert_true(label_filters_drop(&a));
    b.filter[1].most = 7;
    assert_false(label_filters_same(&a, &b));
    b.count = 1;
    assert_false(label_filters_same(&a, &b));
    assert_false(label_filters_drop(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(filters_do_what_they_say),
                                       cmocka_unit_test(filters_are_compared_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
