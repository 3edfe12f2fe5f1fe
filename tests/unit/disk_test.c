/* Tests of the guard of free space. The file system is the machine's; what counts as little of it is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/check.h"
#include "ps/storage/disk.h"
#include "ps/storage/rocks_parts.h"

static uint64_t free_now(void)
{
    struct statvfs s;
    CHECK(statvfs("/tmp", &s) == 0);
    return (uint64_t)s.f_bavail * s.f_frsize;
}

static struct disk *open_ok(uint64_t reserve)
{
    struct disk *d = NULL;
    struct tm_error err = {0};
    if (disk_open("/tmp", reserve, NULL, &d, &err))
        fail_msg("%s", err.message);
    return d;
}

static enum disk_state state_of(struct disk *d)
{
    struct disk_status now;
    disk_status(d, &now);
    return now.state;
}

static void with_room_everything_is_taken(void **state)
{
    struct tm_error err;
    struct disk *d = open_ok(1 << 20);
    (void)state;
    assert_int_equal(state_of(d), DISK_ROOM);
    assert_int_equal(disk_admit(d, true, &err), TM_OK);
    assert_true(disk_wait(d, 1 << 20, false));
    disk_close(d);
}

static void below_the_reserve_the_door_is_shut_for_events(void **state)
{
    struct tm_error err;
    struct disk *d = open_ok(free_now() * 2); /* its last quarter is half of what is free */
    (void)state;
    assert_int_equal(state_of(d), DISK_LOW);
    assert_int_equal(disk_admit(d, true, &err), TM_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "MiB are free on the file system of /tmp"));
    assert_non_null(strstr(err.message, "try again"));
    assert_int_equal(disk_admit(d, false, &err), TM_OK);
    assert_true(disk_wait(d, 1 << 20, false));
    disk_close(d);
}

static void with_too_little_nothing_is_opened(void **state)
{
    struct disk *d = NULL;
    struct tm_error err = {0};
    (void)state;
    assert_int_equal(disk_open("/tmp", free_now() * 8, NULL, &d, &err), TM_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "expected at least"));
    assert_null(d);
    assert_int_equal(disk_open("/tmp/tidemill-not/there", 0, NULL, &d, &err), TM_IO);
}

static void the_reserve_suits_the_file_system(void **state)
{
    struct disk_status now;
    struct disk *d = open_ok(0);
    (void)state;
    disk_status(d, &now);
    assert_true(now.reserve <= 1ull << 30 && now.reserve <= now.size / 4);
    disk_close(d);
}

struct waiter {
    struct disk *disk;
    uint64_t bytes;
    bool room;
};

static void *wait_for_room(void *context)
{
    struct waiter *w = context;
    w->room = disk_wait(w->disk, w->bytes, false);
    return NULL;
}

static void count_full(void *context, enum disk_state state) { *(int *)context += state == DISK_FULL; }

static void who_waits_shuts_the_door_and_can_be_sent_home(void **state)
{
    pthread_t thread;
    int full = 0;
    struct tm_error err;
    struct waiter w = {.disk = open_ok(1 << 20), .bytes = free_now()};
    (void)state;
    disk_on_change(w.disk, count_full, &full);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_room, &w), 0);
    for (int i = 0; i < 1000 && state_of(w.disk) != DISK_FULL; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(disk_admit(w.disk, false, &err), TM_RESOURCE_EXHAUSTED);
    disk_leave(w.disk);
    pthread_join(thread, NULL);
    assert_false(w.room);
    assert_int_equal(full, 1);
    assert_int_equal(state_of(w.disk), DISK_ROOM);
    disk_close(w.disk);
}

static void after_a_failure_nobody_tries_again_at_once(void **state)
{
    struct timespec a, b;
    struct disk *d = open_ok(1 << 20);
    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_true(disk_wait(d, 1, true));
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 99);
    disk_close(d);
}

static void only_writes_that_found_no_room_are_tried_again(void **state)
{
    static const struct {
        const char *words;
        bool again;
    } cases[] = {
        {"IO error: No space left on device: While appending to file: /d/log/000004.log: No space left on device",
         true},
        {"IO error: No space left on device: While open a file for appending: /d/000009.sst: No space left on device",
         true},
        {"IO error: No space left on device: While fdatasync: /d/log/000004.log: No space left on device", false},
        {"IO error: No space left on device: While fsync: /d/log: No space left on device", false},
        {"IO error: No space left on device: While sync_file_range returned -1: /d/000009.sst: No space left", false},
        {"IO error: While appending to file: /d/No space left on device: Input/output error", false},
        {"IO error: While appending to file: /d/log/000004.log: Disk quota exceeded", false},
        {"Corruption: IO error: No space left on device: While appending to file: ", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (rocks_found_no_room(cases[i].words) != cases[i].again)
            fail_msg("%s", cases[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_room_everything_is_taken),
        cmocka_unit_test(below_the_reserve_the_door_is_shut_for_events),
        cmocka_unit_test(with_too_little_nothing_is_opened),
        cmocka_unit_test(the_reserve_suits_the_file_system),
        cmocka_unit_test(who_waits_shuts_the_door_and_can_be_sent_home),
        cmocka_unit_test(after_a_failure_nobody_tries_again_at_once),
        cmocka_unit_test(only_writes_that_found_no_room_are_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
