/* Users that send too much, against a list of everything they sent; what happens when the table is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/state/user_rates.h"
#include "tests/simulation/random.h"

enum { WINDOW = 8000, PANE = WINDOW / USER_PANES, MOST = 5, USERS = 3, SENT_MAX = 4000 };
#define NOON INT64_C(1700000000000)

static void too_many_within_the_window(void **state)
{
    struct user_rates *u = user_rates_open(MOST, WINDOW);
    (void)state;
    for (int i = 0; i < MOST; i++)
        assert_false(user_rates_take(u, 7, NOON + i));
    assert_true(user_rates_take(u, 7, NOON + MOST));
    assert_false(user_rates_take(u, 8, NOON + MOST)); /* another user */
    assert_true(user_rates_take(u, 7, NOON + WINDOW - PANE));
    assert_false(user_rates_take(u, 7, NOON + WINDOW + PANE)); /* those at noon lie behind the window */
    user_rates_close(u);
}

static void goes_on_as_long_as_the_robot(void **state)
{
    struct user_rates *u = user_rates_open(MOST, WINDOW);
    uint32_t robot = 0;
    (void)state;
    for (int i = 0; i < 200; i++)
        robot += user_rates_take(u, 7, NOON + i * PANE / 2); /* 16 in a window */
    assert_int_equal(robot, 200 - MOST);
    assert_false(user_rates_take(u, 7, NOON + 100 * PANE + 2 * WINDOW));
    user_rates_close(u);
}

struct sent {
    uint64_t user;
    int64_t pane;
    bool counted; /* it did not lie behind its user's window when it came */
};

/* Whatever the order: what counts is what came within the panes of the user's window. */
static void agrees_with_a_list(void **state)
{
    static struct sent sent[SENT_MAX];
    struct random r = {1};
    struct user_rates *u = user_rates_open(MOST, WINDOW);
    int64_t now = NOON;
    (void)state;
    for (uint32_t n = 0; n < SENT_MAX; n++) {
        now += random_below(&r, PANE);
        int64_t time = now - random_below(&r, 2 * WINDOW), newest = 0;
        struct sent *s = &sent[n];
        *s = (struct sent){.user = 1 + random_below(&r, USERS), .pane = time / PANE};
        for (uint32_t i = 0; i <= n; i++)
            if (sent[i].user == s->user && sent[i].pane > newest)
                newest = sent[i].pane;
        uint32_t events = 0;
        s->counted = s->pane > newest - USER_PANES;
        for (uint32_t i = 0; i <= n; i++)
            events += sent[i].counted && sent[i].user == s->user && sent[i].pane > newest - USER_PANES &&
                      sent[i].pane <= s->pane;
        assert_int_equal(user_rates_take(u, s->user, time), s->counted && events > MOST);
    }
    user_rates_close(u);
}

/* Far more users than places: some are forgotten, the one that goes on is not, and nobody is accused. */
static void a_full_table_accuses_nobody(void **state)
{
    struct user_rates *u = user_rates_open(MOST, WINDOW);
    struct random r = {2};
    (void)state;
    for (int i = 0; i < MOST; i++)
        assert_false(user_rates_take(u, 7, NOON));
    for (int i = 0; i < 4 * USER_RATES_ENTRIES; i++)
        assert_false(user_rates_take(u, random_next(&r) | 1, NOON - PANE)); /* longer ago than that user's */
    assert_true(user_rates_take(u, 7, NOON));
    user_rates_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_many_within_the_window), cmocka_unit_test(goes_on_as_long_as_the_robot),
        cmocka_unit_test(agrees_with_a_list), cmocka_unit_test(a_full_table_accuses_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
