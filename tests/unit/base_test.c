/* Tests of base/: what every other floor takes for granted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/rcu.h"

/* ---- bytes ---- */

static void buffer_and_reader_agree(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    buffer_put_u8(&b, 0xfe);
    buffer_put_u16(&b, 0xfedc);
    buffer_put_u32(&b, 0xfedcba98u);
    buffer_put_u64(&b, UINT64_C(0xfedcba9876543210));
    buffer_put_i64(&b, INT64_MIN);
    buffer_put_f64(&b, -0.125);
    buffer_put_bytes(&b, bytes_text("doc"));
    buffer_put_bytes(&b, bytes_of(NULL, 0));
    assert_int_equal(b.size, 1 + 2 + 4 + 8 + 8 + 8 + 4 + 3 + 4);
    assert_int_equal(b.data[1], 0xdc); /* little-endian */

    struct reader r = reader_of(buffer_view(&b));
    assert_int_equal(reader_u8(&r), 0xfe);
    assert_int_equal(reader_u16(&r), 0xfedc);
    assert_int_equal(reader_u32(&r), 0xfedcba98u);
    assert_true(reader_u64(&r) == UINT64_C(0xfedcba9876543210));
    assert_true(reader_i64(&r) == INT64_MIN);
    assert_true(reader_f64(&r) == -0.125);
    assert_true(bytes_equal(reader_bytes(&r), bytes_text("doc")));
    assert_int_equal(reader_bytes(&r).size, 0);
    assert_false(r.bad);
    assert_int_equal(reader_left(&r), 0);
}

static void buffer_grows_and_keeps(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    for (uint32_t i = 0; i < 10000; i++)
        buffer_put_u32(&b, i);
    struct reader r = reader_of(buffer_view(&b));
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(reader_u32(&r), i);
    size_t size = b.size;
    uint8_t *room = buffer_reserve(&b, 1 << 20);
    memset(room, 7, 1 << 20); /* the sanitizer watches */
    assert_int_equal(b.size, size);
    buffer_close(&b);
    assert_null(b.data);
}

static void reader_remembers_a_shortfall(void **state)
{
    (void)state;
    uint8_t data[] = {1, 2, 3, 4, 5};
    struct reader r = reader_of(bytes_of(data, sizeof data));
    assert_int_equal(reader_u32(&r), 0x04030201);
    assert_int_equal(reader_u16(&r), 0);
    assert_true(r.bad);
    assert_int_equal(reader_u8(&r), 0); /* though there is one byte left */
    assert_int_equal(reader_bytes(&r).size, 0);

    uint8_t lying[] = {255, 255, 255, 255, 'x'}; /* a length of 4 GiB */
    r = reader_of(bytes_of(lying, sizeof lying));
    struct bytes b = reader_bytes(&r);
    assert_true(r.bad);
    assert_null(b.data);

    r = reader_of((struct bytes){0});
    assert_int_equal(reader_u64(&r), 0);
    assert_true(r.bad);
}

static void keys_sort_as_numbers(void **state)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, 65535, 65536, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uint8_t key[8], before[8];
        key_put_u64(key, numbers[i]);
        assert_true(key_get_u64(key) == numbers[i]);
        key_put_u64(before, i ? numbers[i - 1] : 0);
        assert_true(i == 0 || memcmp(before, key, sizeof key) < 0);
        key_put_u32(key, (uint32_t)numbers[i]);
        assert_int_equal(key_get_u32(key), (uint32_t)numbers[i]);
        key_put_u16(key, (uint16_t)numbers[i]);
        assert_int_equal(key_get_u16(key), (uint16_t)numbers[i]);
    }
}

static void bytes_compare_by_content(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_text("")));
    assert_true(bytes_equal(bytes_text("ab"), bytes_of("abc", 2)));
    assert_false(bytes_equal(bytes_text("ab"), bytes_text("ac")));
    assert_false(bytes_equal(bytes_text("ab"), bytes_text("abc")));
}

/* ---- errors ---- */

static void error_wraps_and_keeps_the_code(void **state)
{
    (void)state;
    struct tm_error err = {0};
    assert_int_equal(tm_error_set(&err, TM_DATA_LOSS, "block %d is damaged", 7), TM_DATA_LOSS);
    assert_int_equal(tm_error_wrap(&err, "shard %d", 3), TM_DATA_LOSS);
    assert_string_equal(err.message, "shard 3: block 7 is damaged");
    assert_int_equal(tm_error_set(NULL, TM_NOT_FOUND, "nobody listens"), TM_NOT_FOUND);
}

static void error_cuts_what_is_too_long(void **state)
{
    (void)state;
    struct tm_error err = {0};
    char text[2 * sizeof err.message];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tm_error_set(&err, TM_IO, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    tm_error_wrap(&err, "the widest context");
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_memory_equal(err.message, "the widest context: xxx", 23);
    tm_error_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(err.code, TM_IO);
}

static void codes_are_a_table(void **state)
{
    (void)state;
    assert_string_equal(tm_code_name(TM_INVALID_ARGUMENT), "INVALID_ARGUMENT");
    for (int i = 0; i < TM_CODE_COUNT; i++) {
        enum tm_code code = (enum tm_code)i;
        assert_true(strlen(tm_code_help(code)) > 0);
        assert_int_equal(tm_code_from_grpc(tm_code_grpc(code)), code);
        assert_true((tm_code_exit(code) == 0) == (code == TM_OK));
    }
    assert_int_equal(tm_code_from_grpc(2), TM_IO);
}

/* ---- hashes ---- */

static void murmur2_is_kafkas(void **state)
{
    static const struct {
        const char *text;
        int32_t want; /* from the tests of Kafka itself: a Java int */
    } cases[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal((int32_t)hash_murmur2(bytes_text(cases[i].text)), cases[i].want);
    assert_int_equal(hash_shard(bytes_text("foobar"), 64), (uint32_t)(-790332482 & 0x7fffffff) % 64);
}

static void seeded_hashes_differ_by_seed_and_content(void **state)
{
    (void)state;
    struct bytes a = bytes_text("doc-1"), b = bytes_text("doc-2");
    assert_true(hash128_equal(hash_128(a, 1), hash_128(bytes_text("doc-1"), 1)));
    assert_false(hash128_equal(hash_128(a, 1), hash_128(a, 2)));
    assert_false(hash128_equal(hash_128(a, 1), hash_128(b, 1)));
    assert_true(hash_64(bytes_of(NULL, 0)) == UINT64_C(0x2d06800538d394c2)); /* XXH3-64 of nothing, as published */
    assert_true(hash_64(a) != hash_64(b));
}

/* ---- clock ---- */

static const struct {
    const char *text;
    int64_t ms;
    const char *back; /* as clock_text writes it; NULL: the same text */
} times[] = {
    {"1970-01-01T00:00:00.000Z", 0, NULL},
    {"1969-12-31T23:59:59.999Z", -1, NULL},
    {"2019-11-24T00:00:12.345Z", INT64_C(1574553612345), NULL},
    {"2000-02-29T12:00:00.000Z", INT64_C(951825600000), NULL},
    {"2024-02-29T23:59:59.999Z", INT64_C(1709251199999), NULL},
    {"2024-03-01T00:00:00.000Z", INT64_C(1709251200000), NULL},
    {"2024-12-31T00:00:00.000Z", INT64_C(1735603200000), NULL},
    {"1900-03-01T00:00:00.000Z", INT64_C(-2203891200000), NULL},
    {"0000-01-01T00:00:00.000Z", INT64_C(-62167219200000), NULL},
    {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999), NULL},
    {"1970-01-01t00:00:01z", 1000, "1970-01-01T00:00:01.000Z"},
    {"1970-01-01 00:00:01Z", 1000, "1970-01-01T00:00:01.000Z"},
    {"1970-01-01T01:00:00.5+01:00", 500, "1970-01-01T00:00:00.500Z"},
    {"1969-12-31T18:30:00-05:30", 0, "1970-01-01T00:00:00.000Z"},
    {"1970-01-01T00:00:00.12-00:00", 120, "1970-01-01T00:00:00.120Z"},
    {"1970-01-01T00:00:00.123999999999999999999Z", 123, "1970-01-01T00:00:00.123Z"},
    {"1969-12-31T23:59:59.0009Z", -1000, "1969-12-31T23:59:59.000Z"},
    {"2016-12-31T23:59:60.250Z", INT64_C(1483228800250), "2017-01-01T00:00:00.250Z"},
    {"2017-01-01T00:59:60+01:00", INT64_C(1483228800000), "2017-01-01T00:00:00.000Z"},
};

static const char *const no_times[] = {
    "",
    "2019-11-24",
    "2019-11-24T00:00:12",
    "2019-11-24T00:00:12.Z",
    "2019-11-24T00:00:12.5",
    "2019-11-24T00:00:12Z ",
    "2019-11-24T00:00:12ZZ",
    " 2019-11-24T00:00:12Z",
    "2019-11-24T00:00:12+0100",
    "2019-11-24T00:00:12+24:00",
    "2019-11-24T00:00:12+01:60",
    "2019-11-24T00:00:12+01",
    "2019-11-24X00:00:12Z",
    "2019-1-24T00:00:12Z",
    "2019-00-24T00:00:12Z",
    "2019-13-24T00:00:12Z",
    "2019-11-00T00:00:12Z",
    "2019-11-31T00:00:12Z",
    "2019-02-29T00:00:12Z",
    "1900-02-29T00:00:12Z",
    "2024-02-30T00:00:12Z",
    "2019-11-24T24:00:00Z",
    "2019-11-24T00:60:00Z",
    "2019-11-24T00:00:61Z",
    "2019-11-24T00:00:60Z",
    "-2019-11-24T00:00:12Z",
    "+019-11-24T00:00:12Z",
    "2019-11-24T00:00:-1Z",
    "1574553612345",
};

static void clock_reads_and_writes_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char buf[CLOCK_TEXT_SIZE];
        int64_t ms = INT64_MIN;
        if (!clock_parse(bytes_text(times[i].text), &ms))
            fail_msg("%s: refused", times[i].text);
        if (ms != times[i].ms)
            fail_msg("%s: %lld, not %lld", times[i].text, (long long)ms, (long long)times[i].ms);
        assert_string_equal(clock_text(ms, buf), times[i].back ? times[i].back : times[i].text);
    }
}

static void clock_refuses_what_is_no_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(no_times); i++) {
        int64_t ms = 42;
        if (clock_parse(bytes_text(no_times[i]), &ms))
            fail_msg("\"%s\": taken for %lld", no_times[i], (long long)ms);
        assert_true(ms == 42);
    }
    int64_t ms;
    struct bytes whole = bytes_text("2019-11-24T00:00:12.345+01:00");
    for (size_t size = 0; size < whole.size; size++)
        assert_false(clock_parse(bytes_of(whole.data, size), &ms));
}

static void clock_round_trips_every_day(void **state)
{
    (void)state;
    const int64_t day = 86400000;
    for (int64_t d = -719528; d <= 2932896; d += 13) { /* years 0 to 9999; 13 meets every weekday and month length */
        char buf[CLOCK_TEXT_SIZE];
        int64_t ms, want = d * day + (d & 1 ? day - 1 : 0);
        assert_true(clock_parse(bytes_text(clock_text(want, buf)), &ms));
        assert_true(ms == want);
    }
}

static void clock_writes_far_times_as_numbers(void **state)
{
    (void)state;
    char buf[CLOCK_TEXT_SIZE];
    assert_string_equal(clock_text(INT64_MAX, buf), "9223372036854775807");
    assert_string_equal(clock_text(INT64_MIN, buf), "-9223372036854775808");
    assert_string_equal(clock_text(INT64_C(253402300800000), buf), "253402300800000");
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t mono = clock_monotonic_ns(), cpu = clock_thread_cpu_ns();
    while (clock_thread_cpu_ns() == cpu)
        ;
    assert_true(clock_monotonic_ns() > mono);
    assert_true(clock_wall_ms() > INT64_C(1700000000000));
}

/* ---- files ---- */

struct folder {
    char path[64];
};

static struct folder folder_new(void)
{
    struct folder f = {"/tmp/tidemill-base-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    return f;
}

static void folder_remove(struct folder *f)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", f->path);
    assert_int_equal(system(command), 0);
}

static const char *in(const struct folder *f, const char *name, char out[static 128])
{
    snprintf(out, 128, "%s/%s", f->path, name);
    return out;
}

static void file_makes_folders(void **state)
{
    (void)state;
    CLEANUP(folder_remove) struct folder f = folder_new();
    struct tm_error err = {0};
    struct stat st;
    char path[128];
    assert_int_equal(file_make_dir(in(&f, "a//b/c/", path), &err), TM_OK);
    assert_int_equal(file_make_dir(path, &err), TM_OK); /* again */
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(file_write_atomic(in(&f, "plain", path), bytes_text("x"), &err), TM_OK);
    assert_int_equal(file_make_dir(path, &err), TM_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(file_make_dir(in(&f, "plain/below", path), &err), TM_IO);
    assert_int_equal(file_make_dir("", &err), TM_INVALID_ARGUMENT);
}

static void file_reads_what_was_written(void **state)
{
    (void)state;
    CLEANUP(folder_remove) struct folder f = folder_new();
    CLEANUP(buffer_close) struct buffer big = {0}, got = {0};
    struct tm_error err = {0};
    char path[128], temp[128];
    for (uint32_t i = 0; i < 100000; i++)
        buffer_put_u32(&big, i);
    assert_int_equal(file_write_atomic(in(&f, "x", path), bytes_text("old"), &err), TM_OK);
    assert_int_equal(file_write_atomic(path, buffer_view(&big), &err), TM_OK);
    assert_int_equal(access(in(&f, "x.tmp", temp), F_OK), -1);
    buffer_put(&got, "head", 4);
    assert_int_equal(file_read(path, big.size, &got, &err), TM_OK);
    assert_int_equal(got.size, 4 + big.size);
    assert_memory_equal(got.data, "head", 4);
    assert_memory_equal(got.data + 4, big.data, big.size);

    assert_int_equal(file_read(path, big.size - 1, &got, &err), TM_RESOURCE_EXHAUSTED);
    assert_int_equal(got.size, 4 + big.size); /* as it was */
    assert_int_equal(file_read(in(&f, "none", path), 10, &got, &err), TM_NOT_FOUND);
    assert_int_equal(file_read(f.path, 10, &got, &err), TM_IO);
    assert_int_equal(file_write_atomic(in(&f, "none/x", path), bytes_text("x"), &err), TM_IO);
    assert_non_null(strstr(err.message, "No such file or directory"));
}

/* Holds the lock in another process until told to go. */
static pid_t lock_in_child(const char *path, int ready, int leave)
{
    pid_t pid = fork();
    if (pid == 0) {
        int fd;
        char c = file_lock(path, &fd, NULL) == TM_OK ? 'y' : 'n';
        if (write(ready, &c, 1) == 1 && read(leave, &c, 1) == 1)
            _exit(0);
        _exit(1);
    }
    return pid;
}

static void file_lock_names_the_holder(void **state)
{
    (void)state;
    CLEANUP(folder_remove) struct folder f = folder_new();
    struct tm_error err = {0};
    int ready[2], leave[2], fd = -1, status;
    char path[128], want[256], answer;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(leave), 0);
    pid_t child = lock_in_child(in(&f, "LOCK", path), ready[1], leave[0]);
    assert_true(child > 0);
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');

    assert_int_equal(file_lock(path, &fd, &err), TM_FAILED_PRECONDITION);
    snprintf(want, sizeof want, "%s: in use by pid %ld", path, (long)child);
    assert_string_equal(err.message, want);
    assert_int_equal(fd, -1);

    assert_int_equal(write(leave[1], "g", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(file_lock(path, &fd, &err), TM_OK); /* a lock ends with its process */
    int again = -1;
    assert_int_equal(file_lock(path, &again, &err), TM_FAILED_PRECONDITION);
    snprintf(want, sizeof want, "%s: in use by pid %ld", path, (long)getpid());
    assert_string_equal(err.message, want);
    close(fd);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(leave[i]);
    }
}

/* ---- log ---- */

/* What log_line wrote to standard error. */
static size_t logged(char *out, size_t size, void (*speak)(const char *), const char *value)
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    speak(value);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t n = read(ends[0], out, size - 1);
    assert_true(n > 0);
    close(ends[0]);
    out[n] = '\0';
    return (size_t)n;
}

static void speak_value(const char *value)
{
    log_line("warn", "producer_timeout", "client=%s silent_s=%d", value, 130);
}
static void speak_nothing(const char *value) { log_line("info", "started", "%s", value); }

static void log_writes_one_logfmt_line(void **state)
{
    (void)state;
    char line[8192];
    int64_t ms;
    size_t size = logged(line, sizeof line, speak_value, "web\n\t\r\x1b[31m\x7f-\xc3\xa9");
    assert_string_equal(line + 27,
                        " level=warn event=producer_timeout client=web\\n\\t\\r\\x1b[31m\\x7f-\xc3\xa9 silent_s=130\n");
    assert_memory_equal(line, "ts=", 3);
    assert_true(clock_parse(bytes_of(line + 3, 24), &ms));
    assert_true(llabs(clock_wall_ms() - ms) < 60000);
    assert_int_equal(strcspn(line, "\n"), size - 1);

    logged(line, sizeof line, speak_nothing, "");
    assert_string_equal(line + 27, " level=info event=started\n");
}

static void log_cuts_a_line_that_is_too_long(void **state)
{
    (void)state;
    char line[8192], value[6000];
    for (size_t step = 0; step < 2; step++) { /* plain, then every character four times as long */
        memset(value, step ? '\x01' : 'v', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        size_t size = logged(line, sizeof line, speak_value, value);
        assert_true(size > 4000 && size <= 4096);
        assert_string_equal(line + size - 4, "...\n");
    }
}

/* ---- queue ---- */

static void queue_is_bounded_by_items(void **state)
{
    (void)state;
    int items[4];
    struct queue *q = queue_open(3, 0);
    for (int i = 0; i < 3; i++)
        assert_true(queue_try_push(q, &items[i], 1000000));
    assert_false(queue_try_push(q, &items[3], 0));
    assert_int_equal(queue_length(q), 3);
    assert_ptr_equal(queue_try_pop(q), &items[0]);
    assert_true(queue_try_push(q, &items[3], 0)); /* the ring goes round */
    for (int i = 1; i < 4; i++)
        assert_ptr_equal(queue_pop(q, -1), &items[i]);
    assert_null(queue_try_pop(q));
    queue_close(q);
    queue_close(NULL);
}

static void queue_is_bounded_by_weight(void **state)
{
    (void)state;
    int a, b, c;
    struct queue *q = queue_open(10, 100);
    assert_true(queue_try_push(q, &a, 60));
    assert_false(queue_try_push(q, &b, 41));
    assert_true(queue_try_push(q, &b, 40));
    assert_false(queue_try_push(q, &c, SIZE_MAX)); /* no overflow */
    assert_ptr_equal(queue_try_pop(q), &a);
    assert_ptr_equal(queue_try_pop(q), &b);
    assert_true(queue_try_push(q, &c, 101)); /* heavier than all that is allowed: alone */
    assert_false(queue_try_push(q, &a, 0));
    assert_ptr_equal(queue_try_pop(q), &c);
    queue_close(q);
}

static void queue_pop_waits_as_long_as_told(void **state)
{
    (void)state;
    struct queue *q = queue_open(1, 0);
    int64_t start = clock_monotonic_ns();
    assert_null(queue_pop(q, 30));
    int64_t waited = clock_monotonic_ns() - start;
    assert_true(waited >= 30 * 1000000);
    assert_true(waited < INT64_C(20) * 1000000000);
    start = clock_monotonic_ns();
    assert_null(queue_pop(q, 0));
    assert_true(clock_monotonic_ns() - start < INT64_C(20) * 1000000000);
    queue_close(q);
}

static void queue_shut_gives_what_is_left(void **state)
{
    (void)state;
    int a;
    struct queue *q = queue_open(4, 0);
    assert_true(queue_push(q, &a, 1));
    assert_false(queue_is_shut(q));
    queue_shut(q);
    assert_true(queue_is_shut(q));
    assert_false(queue_push(q, &a, 1));
    assert_false(queue_try_push(q, &a, 1));
    assert_ptr_equal(queue_pop(q, -1), &a);
    assert_null(queue_pop(q, -1));
    queue_close(q);
}

enum { PUSHERS = 4, POPPERS = 3, EACH = 5000, CAPACITY = 7, WEIGHT_MAX = 50 };

struct traffic {
    struct queue *q;
    _Atomic long popped, sum;
    _Atomic bool too_long;
};

static void *push_many(void *arg)
{
    struct traffic *t = arg;
    for (long i = 1; i <= EACH; i++)
        if (!queue_push(t->q, (void *)(uintptr_t)i, (size_t)i % (WEIGHT_MAX + 10)))
            return arg;
    return NULL;
}

static void *pop_many(void *arg)
{
    struct traffic *t = arg;
    void *item;
    while ((item = queue_pop(t->q, -1))) {
        t->popped++;
        t->sum += (long)(uintptr_t)item;
        if (queue_length(t->q) > CAPACITY)
            t->too_long = true;
    }
    return NULL;
}

static void queue_carries_everything_between_threads(void **state)
{
    (void)state;
    struct traffic t = {.q = queue_open(CAPACITY, WEIGHT_MAX)};
    pthread_t pushers[PUSHERS], poppers[POPPERS];
    for (int i = 0; i < PUSHERS; i++)
        assert_int_equal(pthread_create(&pushers[i], NULL, push_many, &t), 0);
    for (int i = 0; i < POPPERS; i++)
        assert_int_equal(pthread_create(&poppers[i], NULL, pop_many, &t), 0);
    for (int i = 0; i < PUSHERS; i++) {
        void *refused;
        assert_int_equal(pthread_join(pushers[i], &refused), 0);
        assert_null(refused);
    }
    queue_shut(t.q);
    for (int i = 0; i < POPPERS; i++)
        assert_int_equal(pthread_join(poppers[i], NULL), 0);
    assert_int_equal(t.popped, PUSHERS * EACH);
    assert_int_equal(t.sum, (long)PUSHERS * EACH * (EACH + 1) / 2);
    assert_false(t.too_long);
    queue_close(t.q);
}

static void *push_one(void *arg) { return queue_push(arg, arg, 1) ? arg : NULL; }

static void queue_shut_wakes_who_waits(void **state)
{
    (void)state;
    struct queue *full = queue_open(1, 0);
    pthread_t waiting;
    void *pushed;
    assert_true(queue_push(full, full, 1));
    assert_int_equal(pthread_create(&waiting, NULL, push_one, full), 0);
    usleep(10000); /* most often it waits by now; either way it must come back */
    queue_shut(full);
    assert_int_equal(pthread_join(waiting, &pushed), 0);
    assert_null(pushed);
    assert_ptr_equal(queue_pop(full, -1), full);
    queue_close(full);
}

/* ---- rcu ---- */

struct cell {
    long a, b; /* always a == -b */
};
static _Atomic(struct cell *) published;
static _Atomic bool reading_over, torn;

static void *read_cells(void *arg)
{
    while (!reading_over) {
        rcu_enter();
        struct cell *c = published;
        if (c->a != -c->b)
            torn = true;
        rcu_leave();
    }
    return arg;
}

static void rcu_frees_after_the_last_reader(void **state)
{
    (void)state;
    pthread_t readers[2];
    published = mem_new(1, sizeof *published);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_cells, NULL), 0);
    for (long i = 1; i <= 20000; i++) { /* a reader of freed memory is the sanitizer's to find */
        struct cell *next = mem_new(1, sizeof *next);
        next->a = i;
        next->b = -i;
        rcu_retire(atomic_exchange(&published, next));
    }
    reading_over = true;
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    assert_false(torn);
    rcu_retire(published);
    rcu_retire(NULL);
    rcu_settle();
}

static _Atomic bool reader_holds, reader_may_look;

static void *hold_a_cell(void *arg)
{
    rcu_enter();
    struct cell *c = published;
    reader_holds = true;
    while (!reader_may_look)
        sched_yield();
    torn = c->a != -c->b;
    rcu_leave();
    return arg;
}

static void rcu_waits_for_a_reader_that_holds_on(void **state)
{
    (void)state;
    pthread_t reader;
    published = mem_new(1, sizeof *published);
    reader_holds = reader_may_look = false;
    assert_int_equal(pthread_create(&reader, NULL, hold_a_cell, NULL), 0);
    while (!reader_holds)
        sched_yield();
    rcu_retire(atomic_exchange(&published, NULL));
    usleep(50000); /* time enough to free it too early */
    reader_may_look = true;
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_false(torn);
    rcu_settle();
}

/* ---- check ---- */

static int exit_status(void (*die)(void))
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        int quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDERR_FILENO);
        die();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void die_by_check(void) { CHECK(1 + 1 == 3); }
static void die_by_stop(void) { stop(STOP_IO, "fsync: %s", "no"); }
static void die_by_size(void) { free(mem_grow(NULL, SIZE_MAX / 2, 3)); }
static void live(void) { CHECK(1 + 1 == 2); }

static void process_stops_with_its_code(void **state)
{
    (void)state;
    int status = exit_status(die_by_check);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    status = exit_status(die_by_stop);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == STOP_IO);
    status = exit_status(die_by_size);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == STOP_MEMORY);
    assert_int_equal(exit_status(live), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_stops_with_its_code), /* forks: before there are threads */
        cmocka_unit_test(file_lock_names_the_holder),
        cmocka_unit_test(buffer_and_reader_agree),
        cmocka_unit_test(buffer_grows_and_keeps),
        cmocka_unit_test(reader_remembers_a_shortfall),
        cmocka_unit_test(keys_sort_as_numbers),
        cmocka_unit_test(bytes_compare_by_content),
        cmocka_unit_test(error_wraps_and_keeps_the_code),
        cmocka_unit_test(error_cuts_what_is_too_long),
        cmocka_unit_test(codes_are_a_table),
        cmocka_unit_test(murmur2_is_kafkas),
        cmocka_unit_test(seeded_hashes_differ_by_seed_and_content),
        cmocka_unit_test(clock_reads_and_writes_times),
        cmocka_unit_test(clock_refuses_what_is_no_time),
        cmocka_unit_test(clock_round_trips_every_day),
        cmocka_unit_test(clock_writes_far_times_as_numbers),
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(file_makes_folders),
        cmocka_unit_test(file_reads_what_was_written),
        cmocka_unit_test(log_writes_one_logfmt_line),
        cmocka_unit_test(log_cuts_a_line_that_is_too_long),
        cmocka_unit_test(queue_is_bounded_by_items),
        cmocka_unit_test(queue_is_bounded_by_weight),
        cmocka_unit_test(queue_pop_waits_as_long_as_told),
        cmocka_unit_test(queue_shut_gives_what_is_left),
        cmocka_unit_test(queue_carries_everything_between_threads),
        cmocka_unit_test(queue_shut_wakes_who_waits),
        cmocka_unit_test(rcu_frees_after_the_last_reader),
        cmocka_unit_test(rcu_waits_for_a_reader_that_holds_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
