/* Lists of users: files read, judged, read again; and what a bad file changes: nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rcu.h"
#include "proto/event.h"
#include "ps/engine/user_lists.h"

enum { MANY = 20000 };
static const char block[] = "user_lists_test.block", allow[] = "user_lists_test.allow";

static void write_file(const char *path, const char *text)
{
    assert_int_equal(file_write_atomic(path, bytes_text(text), NULL), TM_OK);
}

static enum user_standing judge(struct user_lists *u, const char *user)
{
    return user_lists_judge(u, bytes_text(user));
}

static enum tm_code take_lists(struct user_lists *u, const char *blocked, const char *allowed, struct tm_error *err)
{
    struct user_lists_read read;
    enum tm_code rc = user_lists_read(u, blocked, allowed, &read, err);
    if (rc == TM_OK)
        user_lists_take(u, &read);
    user_lists_read_close(&read);
    return rc;
}

static void what_is_not_taken_judges_nobody(void **state)
{
    struct user_lists u = {.hash_seed = 5};
    struct user_lists_read read;
    (void)state;
    write_file(block, "u1\n");
    assert_int_equal(user_lists_read(&u, block, "", &read, NULL), TM_OK);
    assert_int_equal(judge(&u, "u1"), USER_PASSES);
    assert_int_equal(atomic_load(&u.blocked), 0);
    user_lists_read_close(&read);
    user_lists_close(&u);
}

static void ids_are_judged(void **state)
{
    struct user_lists u = {.hash_seed = 5};
    (void)state;
    assert_int_equal(judge(&u, "u1"), USER_PASSES);
    write_file(block, "u1\n\nu2\r\nboth\n#3");
    write_file(allow, "ours\nboth\n");
    assert_int_equal(take_lists(&u, block, allow, NULL), TM_OK);
    assert_int_equal(atomic_load(&u.blocked), 4);
    assert_int_equal(atomic_load(&u.allowed), 2);
    assert_int_equal(judge(&u, "u1"), USER_BLOCKED);
    assert_int_equal(judge(&u, "u2"), USER_BLOCKED);
    assert_int_equal(judge(&u, "#3"), USER_BLOCKED);
    assert_int_equal(judge(&u, "both"), USER_ALLOWED);
    assert_int_equal(judge(&u, "ours"), USER_ALLOWED);
    assert_int_equal(judge(&u, "u"), USER_PASSES);
    assert_int_equal(judge(&u, ""), USER_PASSES);
    assert_int_equal(take_lists(&u, "", "", NULL), TM_OK);
    assert_int_equal(judge(&u, "u1"), USER_PASSES);
    user_lists_close(&u);
}

static void a_bad_file_changes_nothing(void **state)
{
    struct user_lists u = {.hash_seed = 5};
    struct tm_error err;
    char text[EVENT_ID_MAX + 8] = "u1\n";
    (void)state;
    write_file(block, "u1\n");
    assert_int_equal(take_lists(&u, block, "", NULL), TM_OK);
    memset(text + 3, 'x', EVENT_ID_MAX + 1);
    text[3 + EVENT_ID_MAX + 1] = '\0';
    write_file(block, text);
    assert_int_equal(take_lists(&u, block, "", &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, "user_lists_test.block:2: no user id: got 257 bytes; "
                                     "expected one of 1 to 256 bytes a line");
    write_file(block, "u1\n\xff\n");
    assert_int_equal(take_lists(&u, block, "", &err), TM_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, ":2: no user id: got what is no UTF-8; expected"));
    assert_int_equal(take_lists(&u, "nowhere", "", &err), TM_NOT_FOUND);
    assert_string_equal(err.message, "nowhere: there is no such file");
    assert_int_equal(judge(&u, "u1"), USER_BLOCKED);
    user_lists_close(&u);
}

static void many_ids_are_found(void **state)
{
    struct user_lists u = {.hash_seed = 9};
    struct buffer text = {0};
    char user[16];
    (void)state;
    for (int i = 0; i < MANY; i += 2)
        buffer_print(&text, "u%d\n", i);
    assert_int_equal(file_write_atomic(block, buffer_view(&text), NULL), TM_OK);
    assert_int_equal(take_lists(&u, block, "", NULL), TM_OK);
    for (int i = 0; i < MANY; i++) {
        snprintf(user, sizeof user, "u%d", i);
        assert_int_equal(judge(&u, user), i % 2 ? USER_PASSES : USER_BLOCKED);
    }
    buffer_close(&text);
    user_lists_close(&u);
}

static int clean(void **state)
{
    (void)state;
    rcu_settle();
    remove(block);
    remove(allow);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids_are_judged), cmocka_unit_test(a_bad_file_changes_nothing),
                                       cmocka_unit_test(many_ids_are_found),
                                       cmocka_unit_test(what_is_not_taken_judges_nobody)};
    return cmocka_run_group_tests(tests, NULL, clean);
}
