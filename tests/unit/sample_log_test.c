/* Tests of the sample log: what was appended is read back, wherever it lies, and goes when nobody needs it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>

#include "ps/state/sample_log.h"
#include "tests/simulation/memory_store.h"
#include "tests/unit/random.h"

enum { SHARD = 3 };

static struct sample sample_of(uint64_t sequence)
{
    struct sample s = {.sequence = sequence,
                       .kind = sequence % 3 ? SAMPLE_NEW : SAMPLE_CORRECTION,
                       .original = sequence % 3 ? 0 : sequence - 1,
                       .version = 1 + (uint32_t)sequence % 5,
                       .position = sequence * 7,
                       .weight = sequence % 4 ? 1 : 0.5,
                       .keep = 1,
                       .label_count = 3,
                       .labels = {(double)(sequence % 300), 0.1 * (double)sequence, -1}};
    if (s.kind == SAMPLE_CORRECTION)
        memcpy(s.old_labels, (double[]){254, 255, 1e300}, 3 * sizeof(double));
    return s;
}

struct bench {
    struct sample_log log;
    struct memory_store disk;
    uint64_t appended, needed; /* newest sequence; row */
};

static void open_bench(struct bench *b)
{
    *b = (struct bench){.needed = UINT64_MAX};
    sample_log_open(&b->log, SHARD, 1, 1, 0);
}

static void close_bench(struct bench *b)
{
    sample_log_close(&b->log);
    memory_store_close(&b->disk);
}

static void append(struct bench *b, uint32_t n)
{
    for (; n > 0; n--) {
        struct sample s = sample_of(++b->appended);
        sample_log_append(&b->log, &s);
    }
}

static uint64_t commit(struct bench *b)
{
    struct store_batch batch = {0};
    uint64_t rows = sample_log_freeze(&b->log, b->needed, &batch);
    memory_store_commit(&b->disk, &batch);
    return rows;
}

struct check {
    uint64_t next, until;
    size_t bytes;
};

static bool on_sample(void *context, const struct sample *s, uint64_t row, size_t size)
{
    struct check *c = context;
    (void)row;
    if (c->next == 0)
        c->next = s->sequence;
    struct sample want = sample_of(c->next);
    assert_true(s->sequence == want.sequence && s->original == want.original && s->version == want.version &&
                s->position == want.position && s->weight == want.weight);
    assert_int_equal(s->label_count, want.label_count);
    assert_memory_equal(s->labels, want.labels, sizeof want.labels);
    assert_memory_equal(s->old_labels, want.old_labels, sizeof want.old_labels);
    c->bytes += size;
    return ++c->next <= c->until;
}

static enum tm_code read_log(struct bench *b, uint64_t row, struct check *c, struct tm_error *err)
{
    struct store store = memory_store_face(&b->disk);
    return sample_log_read(&b->log, &store, row, on_sample, c, err);
}

/* Rows in the store, in commits that are not written, and in none: they read as one. */
static void test_one_log_wherever_it_lies(void **state)
{
    struct bench b;
    struct tm_error err;
    (void)state;
    open_bench(&b);
    b.needed = 1;
    append(&b, 2500);
    uint64_t written = commit(&b);
    memory_store_sync(&b.disk);
    sample_log_written(&b.log, written);
    append(&b, 1500);
    commit(&b);
    append(&b, 500);
    assert_true(written > 2); /* several rows of about 64 KiB */
    assert_true(b.log.rows > 2);
    for (uint64_t row = 1; row < b.log.memory + b.log.rows; row++) {
        struct check c = {.until = UINT64_MAX};
        assert_int_equal(read_log(&b, row, &c, &err), TM_OK);
        assert_int_equal(c.next, 4501);
        if (row == 1)
            assert_int_equal(c.bytes, b.log.bytes);
    }
    for (uint64_t until = 1; until < 4500; until += 100) {
        struct check c = {.until = until};
        assert_int_equal(read_log(&b, 1, &c, &err), TM_OK);
        assert_int_equal(c.next, until + 1);
    }
    close_bench(&b);
}

/* What nobody needs is not written, and leaves memory at once; what somebody needed goes when nobody does. */
static void test_rows_go(void **state)
{
    struct bench b;
    (void)state;
    open_bench(&b);
    for (int i = 0; i < 20; i++) {
        append(&b, 10);
        commit(&b);
        memory_store_sync(&b.disk);
        assert_int_equal(b.log.rows, 0);
        assert_int_equal(b.disk.table[STORE_SAMPLE].rows, 0);
    }
    b.needed = sample_log_end(&b.log).row;
    for (size_t i = 0; i < 5; i++) {
        append(&b, 10);
        commit(&b);
        memory_store_sync(&b.disk);
        assert_int_equal(b.log.rows, i + 1); /* nobody said that they are written */
        assert_int_equal(b.disk.table[STORE_SAMPLE].rows, i + 1);
    }
    sample_log_written(&b.log, b.log.frozen);
    assert_int_equal(b.log.rows, 0);
    b.needed = UINT64_MAX;
    commit(&b);
    memory_store_sync(&b.disk);
    assert_int_equal(b.disk.table[STORE_SAMPLE].rows, 0);
    close_bench(&b);
}

/* A commit without samples uses no number up, and the log goes on behind a restart as it was. */
static void test_restart(void **state)
{
    struct bench b;
    struct tm_error err;
    struct check c = {.until = UINT64_MAX};
    (void)state;
    open_bench(&b);
    b.needed = 1;
    append(&b, 100);
    commit(&b);
    assert_int_equal(commit(&b), 2);
    memory_store_sync(&b.disk);
    uint64_t bytes = b.log.bytes, next = b.log.frozen;
    sample_log_close(&b.log);
    sample_log_open(&b.log, SHARD, 1, next, bytes);
    assert_int_equal(sample_log_end(&b.log).row, 2);
    append(&b, 50);
    assert_int_equal(read_log(&b, 1, &c, &err), TM_OK);
    assert_int_equal(c.next, 151);
    assert_int_equal(c.bytes, b.log.bytes);
    close_bench(&b);
}

static void lose(struct bench *b, size_t row)
{
    struct memory_table *t = &b->disk.table[STORE_SAMPLE];
    CLEANUP(buffer_close) struct buffer key = {0};
    buffer_put(&key, t->row[row].key.data, t->row[row].key.size);
    memory_table_remove(t, buffer_view(&key));
}

static void test_what_is_lost_is_noticed(void **state)
{
    static const char *const words[] = {"row 1 of the sample log is missing", "row 2 of the sample log is missing",
                                        "ends in front of row 3", "row 1 of the sample log is damaged"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct bench b;
        struct tm_error err = {0};
        struct check c = {.until = UINT64_MAX};
        open_bench(&b);
        b.needed = 1;
        for (int k = 0; k < 3; k++) {
            append(&b, 10);
            sample_log_written(&b.log, commit(&b));
        }
        memory_store_sync(&b.disk);
        if (i < 3)
            lose(&b, i);
        else
            b.disk.table[STORE_SAMPLE].row[0].value.size--;
        assert_int_equal(read_log(&b, 1, &c, &err), TM_DATA_LOSS);
        if (!strstr(err.message, words[i]))
            fail_msg("\"%s\" does not say \"%s\"", err.message, words[i]);
        close_bench(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_log_wherever_it_lies),
        cmocka_unit_test(test_rows_go),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_what_is_lost_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
