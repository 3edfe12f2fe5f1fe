/* Tests of the log's retention: what is dropped, what is kept whatever the limits say, and what a restart knows of it.
 * The clock is the test's; a block is a row of some size under its position, one position each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/random.h"
#include "ps/storage/data_dir.h"
#include "ps/storage/log_blocks.h"
#include "ps/storage/log_retention.h"

enum { KIB = 1 << 10, MIB = 1 << 20, BLOCK = 64 * KIB, SECOND = 1000 };

static const int64_t t0 = 1700000000000;

struct fixture {
    char folder[64];
    struct data_dir dir;
    struct log_retention_options options;
    struct log_retention *kept;
    uint64_t position; /* of the next block */
};

static void open_kept(struct fixture *f, int64_t wall_ms)
{
    struct tm_error err = {0};
    if (data_dir_open(f->folder, 4, 0, NULL, &f->dir, &err))
        stop(1, "%s", err.message);
    f->options.db = f->dir.log;
    if (log_retention_open(&f->options, wall_ms, &f->kept, &err))
        stop(1, "%s", err.message);
}

static void close_kept(struct fixture *f)
{
    log_retention_close(f->kept);
    data_dir_close(&f->dir);
}

static void reopen(struct fixture *f, int64_t wall_ms)
{
    close_kept(f);
    open_kept(f, wall_ms);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(1, sizeof *f);
    strcpy(f->folder, "/tmp/tidemill-retention-XXXXXX");
    *state = f;
    if (!mkdtemp(f->folder))
        return -1;
    open_kept(f, t0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    close_kept(f);
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    free(f);
    return system(command);
}

static void limit(struct fixture *f, int64_t retain_ms, uint64_t retain_bytes)
{
    f->options.retain_ms = retain_ms;
    f->options.retain_bytes = retain_bytes;
    reopen(f, t0);
}

/* One write, as the log does it: blocks, then what is due. */
static struct log_retention_status write_blocks(struct fixture *f, int count, size_t bytes, int64_t wall_ms,
                                                uint64_t floor)
{
    static uint64_t content[4 * MIB / sizeof(uint64_t)]; /* noise: it takes its room on the disk, packed or not */
    uint64_t seed = 1;
    for (size_t i = 0; content[ARRAY_LEN(content) - 1] == 0 && i < ARRAY_LEN(content); i++)
        content[i] = draw(&seed);
    uint8_t key[sizeof(uint64_t)];
    struct log_retention_status now;
    struct rocks_batch *b = rocks_batch_new(f->dir.log);
    for (int i = 0; i < count; i++) {
        key_put_u64(key, f->position);
        rocks_batch_put(b, LOG_BLOCK, bytes_of(key, sizeof key), bytes_of(content, bytes));
        log_retention_add(f->kept, b, f->position++, bytes, wall_ms);
    }
    log_retention_trim(f->kept, b, wall_ms, floor);
    log_retention_put(f->kept, b);
    if (rocks_batch_count(b) > 0) {
        rocks_write(f->dir.log, b);
        log_retention_synced(f->kept);
    }
    rocks_batch_free(b);
    log_retention_status(f->kept, &now);
    return now;
}

static struct log_retention_status trim(struct fixture *f, int64_t wall_ms, uint64_t floor)
{
    return write_blocks(f, 0, 0, wall_ms, floor);
}

static void without_limits_everything_is_kept(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++)
        write_blocks(f, 1, BLOCK, t0 + (int64_t)i * 3600 * SECOND, UINT64_MAX);
    struct log_retention_status now = trim(f, t0 + 86400000ll * 365, UINT64_MAX);
    assert_int_equal(now.first, 0);
    assert_int_equal(now.bytes, 100 * BLOCK);
    assert_int_equal(now.oldest_ms, t0);
}

static void the_oldest_go_when_it_grows_too_large(void **state)
{
    struct fixture *f = *state;
    struct log_retention_status now;
    limit(f, 0, 10 * BLOCK);
    for (int i = 0; i < 100; i++) {
        now = write_blocks(f, 1, BLOCK, t0 + i, UINT64_MAX);
        assert_true(now.bytes <= 10 * BLOCK);
        assert_int_equal(now.bytes, (f->position - now.first) * BLOCK);
    }
    assert_int_equal(now.first, 90);
}

static void the_oldest_go_when_they_are_too_old(void **state)
{
    struct fixture *f = *state;
    limit(f, 60 * SECOND, 0);
    for (int i = 0; i < 100; i++)
        write_blocks(f, 1, KIB, t0 + (int64_t)i * SECOND, UINT64_MAX);
    struct log_retention_status now = trim(f, t0 + 99 * SECOND, UINT64_MAX);
    assert_int_equal(now.first, 39);
    assert_int_equal(now.oldest_ms, t0 + 39 * SECOND);
    now = trim(f, t0 + 129 * SECOND, UINT64_MAX); /* nothing is written, time passes all the same */
    assert_int_equal(now.first, 69);
    now = trim(f, t0 + 86400 * SECOND, UINT64_MAX);
    assert_int_equal(now.first, 99); /* the newest block stays */
}

static void nothing_goes_that_a_shard_may_need(void **state)
{
    struct fixture *f = *state;
    struct log_retention_status now;
    limit(f, 0, 10 * BLOCK);
    for (int i = 0; i < 100; i++)
        now = write_blocks(f, 1, BLOCK, t0 + i, 25);
    assert_int_equal(now.first, 25);
    assert_int_equal(now.overdue_bytes, 65 * BLOCK); /* and it is said */
    now = trim(f, t0 + 200, 0);
    assert_int_equal(now.first, 25); /* what is gone is gone */
    now = trim(f, t0 + 200, 70);
    assert_int_equal(now.first, 70);
    assert_int_equal(now.overdue_bytes, 20 * BLOCK);
    now = trim(f, t0 + 200, UINT64_MAX);
    assert_int_equal(now.first, 90);
    assert_int_equal(now.overdue_bytes, 0);
}

static void a_restart_knows_the_same(void **state)
{
    struct fixture *f = *state;
    struct log_retention_status before, after;
    limit(f, 300 * SECOND, 50 * BLOCK);
    for (int i = 0; i < 400; i++) {
        before = write_blocks(f, 1 + i % 3, BLOCK / 3, t0 + (int64_t)i * SECOND, 2 * (uint64_t)i);
        if (i % 37)
            continue;
        reopen(f, t0 + (int64_t)i * SECOND);
        log_retention_status(f->kept, &after);
        assert_int_equal(after.first, before.first);
        assert_int_equal(after.bytes, before.bytes);
        assert_int_equal(after.oldest_ms, before.oldest_ms);
        assert_int_equal(log_retention_first(f->kept), before.first);
    }
    assert_true(before.first > 200 && before.bytes <= 51 * BLOCK);
}

static void a_clock_that_is_set_back_ages_nothing(void **state)
{
    struct fixture *f = *state;
    limit(f, 60 * SECOND, 0);
    for (int i = 0; i < 50; i++)
        write_blocks(f, 1, KIB, t0 + (int64_t)i * SECOND, UINT64_MAX);
    for (int i = 0; i < 50; i++) { /* an hour back: written later, so never older */
        struct log_retention_status now = write_blocks(f, 1, BLOCK, t0 - 3600 * SECOND + i, UINT64_MAX);
        assert_int_equal(now.first, 0);
    }
    assert_true(trim(f, t0 + 200 * SECOND, UINT64_MAX).first > 40);
}

static void a_clock_that_was_ahead_keeps_nothing_for_ever(void **state)
{
    struct fixture *f = *state;
    const int64_t year = 365 * 86400ll * SECOND;
    limit(f, 60 * SECOND, 0);
    write_blocks(f, 10, KIB, t0, UINT64_MAX);
    for (int i = 0; i < 10; i++)
        write_blocks(f, 1, KIB, t0 + 10 * year + (int64_t)i * SECOND, 0); /* kept: a shard needs it */
    trim(f, t0 + SECOND, 0);
    reopen(f, t0 + 30 * SECOND);
    for (int i = 30; i < 120; i++) {
        struct log_retention_status now = write_blocks(f, 1, KIB, t0 + (int64_t)i * SECOND, UINT64_MAX);
        assert_true(i < 61 ? now.first == 0 : now.first >= 19); /* all that was ahead goes 60 s after it was noticed */
    }
    struct log_retention_status now = trim(f, t0 + 120 * SECOND, UINT64_MAX);
    assert_in_range(now.first, 20, 60);
    assert_in_range(now.oldest_ms, t0 + 59 * SECOND, t0 + 61 * SECOND);
}

static void change_meta(struct fixture *f, struct bytes key, struct bytes value)
{
    struct rocks_batch *b = rocks_batch_new(f->dir.log);
    if (value.size)
        rocks_batch_put(b, LOG_META, key, value);
    else
        rocks_batch_remove(b, LOG_META, key);
    rocks_write(f->dir.log, b);
    rocks_batch_free(b);
}

static void assert_refused(struct fixture *f, const char *words)
{
    struct log_retention *kept = NULL;
    struct tm_error err = {0};
    assert_int_equal(log_retention_open(&f->options, t0, &kept, &err), TM_DATA_LOSS);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void damage_is_found(void **state)
{
    struct fixture *f = *state;
    uint8_t key[5 + 8] = "mark/";
    uint64_t head;
    struct tm_error err = {0};
    limit(f, 0, 10 * BLOCK);
    for (int i = 0; i < 30; i++)
        write_blocks(f, 1, BLOCK, t0, UINT64_MAX);
    /* The block in which the log begins is missing. */
    assert_int_equal(log_blocks_head(f->dir.log, 31, &head, &err), TM_DATA_LOSS);
    assert_non_null(strstr(err.message, "kept from position 31 on, but has no blocks"));
    key_put_u64(key + 5, 25);
    change_meta(f, bytes_of(key, sizeof key), bytes_text("short"));
    assert_refused(f, "mark");
    change_meta(f, bytes_of(key, sizeof key), (struct bytes){0});
    key_put_u64(key + 5, 20);
    change_meta(f, bytes_of(key, sizeof key), (struct bytes){0});
    assert_refused(f, "begins at position 20, where no mark is");
    change_meta(f, bytes_text("extent"), bytes_text("short"));
    assert_refused(f, "extent");
}

static uint64_t table_bytes(const struct fixture *f)
{
    char command[160];
    unsigned long long bytes = 0;
    snprintf(command, sizeof command, "cat %s/log/*.sst | wc -c", f->folder);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%llu", &bytes), 1);
    pclose(p);
    return bytes;
}

/* In tables of 32 MiB and more: what is kept may have one of them in front of it, and one is not moved down yet. */
static void the_disk_gets_its_space_back(void **state)
{
    struct fixture *f = *state;
    limit(f, 0, 16 * MIB);
    for (int i = 0; i < 100; i++)
        write_blocks(f, 1, 4 * MIB, t0, UINT64_MAX);
    reopen(f, t0); /* everything is in a table */
    uint64_t before = table_bytes(f);
    assert_true(before >= 400ull * MIB);
    trim(f, t0, UINT64_MAX);
    log_retention_reclaim(f->kept);
    uint64_t after = table_bytes(f);
    assert_true(after < 130ull * MIB);
    struct log_retention_status now;
    log_retention_status(f->kept, &now);
    assert_true(now.bytes <= 16 * MIB);
    log_retention_reclaim(f->kept); /* again: there is nothing to do */
    assert_int_equal(table_bytes(f), after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_limits_everything_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_go_when_it_grows_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_go_when_they_are_too_old, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_goes_that_a_shard_may_need, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restart_knows_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_is_set_back_ages_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_was_ahead_keeps_nothing_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_disk_gets_its_space_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
