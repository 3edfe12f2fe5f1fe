/* Tests of the data directory, the state database and the door to RocksDB: round trips, crashes, damage, refusals.
 *
 * Crashes happen in a second process, which is this program with arguments: RocksDB's threads do not survive a fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "ps/storage/data_dir.h"
#include "ps/storage/rocks_parts.h"
#include "ps/storage/state_db.h"

static const char *program;
static const struct rocks_family families[] = {{"a", ROCKS_PLAIN}, {"b", ROCKS_SMALL}};

/* ---- a folder for each test ---- */

static int make_folder(void **state)
{
    char *path = strdup("/tmp/tidemill-storage-XXXXXX");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static int remove_folder(void **state)
{
    run("rm -rf '%s'", (char *)*state);
    free(*state);
    return 0;
}

static const char *in(void **state, const char *name)
{
    static char path[4][512];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", (char *)*state, name);
    return p;
}

/* ---- the door to RocksDB ---- */

static struct rocks *open_ok(const char *path, enum rocks_kind kind)
{
    struct rocks *db = NULL;
    struct tm_error err = {0};
    if (rocks_open(path, kind, families, ARRAY_LEN(families), &db, &err))
        fail_msg("%s", err.message);
    return db;
}

static void put(struct rocks *db, size_t family, const char *key, const char *value)
{
    struct rocks_batch *b = rocks_batch_new(db);
    rocks_batch_put(b, family, bytes_text(key), bytes_text(value));
    rocks_write(db, b);
    rocks_batch_free(b);
}

static enum tm_code append_key(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct buffer *out = context;
    (void)value;
    (void)err;
    buffer_put(out, key.data, key.size);
    buffer_put_u8(out, ' ');
    return TM_OK;
}

static enum tm_code refuse(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    ++*(int *)context;
    (void)key;
    (void)value;
    return tm_error_set(err, TM_DATA_LOSS, "damaged");
}

static enum tm_code see_two(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    (void)key;
    (void)value;
    (void)err;
    return ++*(int *)context == 2 ? STORE_ENOUGH : TM_OK;
}

static void assert_scan(struct rocks *db, const char *from, const char *prefix, const char *keys)
{
    struct tm_error err;
    CLEANUP(buffer_close) struct buffer seen = {0};
    assert_int_equal(rocks_scan(db, 0, bytes_text(from), bytes_text(prefix), append_key, &seen, &err), TM_OK);
    buffer_put_u8(&seen, '\0');
    assert_string_equal((char *)seen.data, keys);
}

static void assert_value(struct rocks *db, size_t family, const char *key, const char *value)
{
    struct tm_error err;
    CLEANUP(buffer_close) struct buffer found = {0};
    enum tm_code rc = rocks_get(db, family, bytes_text(key), &found, &err);
    assert_int_equal(rc, value ? TM_OK : TM_NOT_FOUND);
    assert_true(!value || bytes_equal(buffer_view(&found), bytes_text(value)));
}

static void rows_come_back(void **state)
{
    struct rocks *db = open_ok(in(state, "db"), ROCKS_STATE);
    struct rocks_batch *b = rocks_batch_new(db);
    put(db, 0, "gone", "x");
    rocks_batch_put(b, 0, bytes_text("k"), bytes_text("value"));
    rocks_batch_put(b, 1, bytes_text("k"), bytes_of(NULL, 0));
    rocks_batch_remove(b, 0, bytes_text("gone"));
    assert_int_equal(rocks_batch_count(b), 3);
    assert_true(rocks_batch_bytes(b) > 12);
    rocks_write(db, b);
    rocks_batch_clear(b);
    assert_int_equal(rocks_batch_count(b), 0);
    rocks_batch_free(b);
    for (int i = 0; i < 2; i++) {
        assert_value(db, 0, "k", "value");
        assert_value(db, 1, "k", "");
        assert_value(db, 0, "gone", NULL);
        rocks_close(db);
        db = open_ok(in(state, "db"), ROCKS_STATE);
    }
    rocks_close(db);
    rocks_close(NULL);
}

static struct rocks *open_packed(const char *path)
{
    static const struct rocks_family packed[] = {{"a", ROCKS_PACKED}, {"b", ROCKS_PASSING}};
    struct rocks *db;
    struct tm_error err;
    assert_int_equal(rocks_open(path, ROCKS_STATE, packed, ARRAY_LEN(packed), &db, &err), TM_OK);
    return db;
}

/* However it is read: by key, in a scan, as the last row. What was not packed by us is damage. */
static void packed_rows_come_back(void **state)
{
    enum { SIZE = 100000 };
    struct tm_error err;
    char *text = mem_new(SIZE + 1, 1);
    CLEANUP(buffer_close) struct buffer key = {0}, value = {0};
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i % 7);
    struct rocks *db = open_packed(in(state, "db"));
    struct rocks_batch *b = rocks_batch_new(db);
    rocks_batch_put(b, 0, bytes_text("k"), bytes_text(text));
    rocks_batch_put(b, 1, bytes_text("k"), bytes_text(text));
    assert_true(rocks_batch_bytes(b) < SIZE / 10);
    rocks_write(db, b);
    rocks_batch_free(b);
    for (size_t family = 0; family < 2; family++) {
        assert_value(db, family, "k", text);
        assert_int_equal(rocks_last(db, family, &key, &value, &err), TM_OK);
        assert_int_equal(value.size, SIZE);
        assert_int_equal(rocks_floor(db, family, bytes_text("z"), &key, &value, &err), TM_OK);
        assert_memory_equal(value.data, text, SIZE);
    }
    assert_scan(db, "", "", "k ");
    rocks_close(db);
    db = open_ok(in(state, "db"), ROCKS_STATE);
    put(db, 0, "l", "a row of another make");
    rocks_close(db);
    db = open_packed(in(state, "db"));
    assert_int_equal(rocks_get(db, 0, bytes_text("l"), &value, &err), TM_DATA_LOSS);
    assert_non_null(strstr(err.message, "a row of a cannot be unpacked"));
    assert_int_equal(rocks_last(db, 0, &key, &value, &err), TM_DATA_LOSS);
    rocks_close(db);
    free(text);
}

static void scans_keep_their_bounds(void **state)
{
    static const char *const keys[] = {"a", "b", "b1", "b2", "b\xff", "c"};
    int visits = 0;
    struct tm_error err;
    struct rocks *db = open_ok(in(state, "db"), ROCKS_STATE);
    assert_scan(db, "", "", "");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        put(db, 0, keys[i], "v");
    put(db, 1, "other", "v");
    assert_scan(db, "", "", "a b b1 b2 b\xff c ");
    assert_scan(db, "", "b", "b b1 b2 b\xff ");
    assert_scan(db, "b11", "b", "b2 b\xff ");
    assert_scan(db, "b11", "", "b2 b\xff c ");
    assert_scan(db, "c", "b", "");
    assert_scan(db, "a", "bb", "");
    assert_int_equal(rocks_scan(db, 0, bytes_text(""), bytes_text(""), refuse, &visits, &err), TM_DATA_LOSS);
    assert_int_equal(visits, 1);
    visits = 0;
    assert_int_equal(rocks_scan(db, 0, bytes_text(""), bytes_text(""), see_two, &visits, &err), TM_OK);
    assert_int_equal(visits, 2);
    rocks_close(db);
}

static void last_and_floor(void **state)
{
    static const struct {
        const char *at, *found;
    } cases[] = {{"a", NULL}, {"b", "b"}, {"c", "b"}, {"d", "d"}, {"z", "d"}};
    struct tm_error err;
    CLEANUP(buffer_close) struct buffer key = {0}, value = {0};
    struct rocks *db = open_ok(in(state, "db"), ROCKS_LOG);
    assert_int_equal(rocks_last(db, 0, &key, &value, &err), TM_NOT_FOUND);
    put(db, 0, "b", "1");
    put(db, 0, "d", "2");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum tm_code rc = rocks_floor(db, 0, bytes_text(cases[i].at), &key, &value, &err);
        assert_int_equal(rc, cases[i].found ? TM_OK : TM_NOT_FOUND);
        assert_true(!cases[i].found || bytes_equal(buffer_view(&key), bytes_text(cases[i].found)));
    }
    assert_int_equal(rocks_last(db, 0, &key, &value, &err), TM_OK);
    assert_true(bytes_equal(buffer_view(&key), bytes_text("d")) && bytes_equal(buffer_view(&value), bytes_text("2")));
    rocks_close(db);
}

static void assert_open_refused(const char *path, size_t count, enum tm_code code, const char *words)
{
    struct rocks *db;
    struct tm_error err = {0};
    assert_int_equal(rocks_open(path, ROCKS_LOG, families, count, &db, &err), code);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void strange_databases_are_refused(void **state)
{
    const char *path = in(state, "db");
    rocks_close(open_ok(path, ROCKS_LOG));
    assert_open_refused(path, 1, TM_FAILED_PRECONDITION, "column family \"b\"");
    run("rm '%s'/CURRENT", path);
    assert_open_refused(path, 2, TM_DATA_LOSS, "CURRENT is missing");
    run("rm -rf '%s'; touch '%s'", path, path);
    assert_open_refused(path, 2, TM_IO, path);
}

/* ---- damage ---- */

enum { DAMAGED_ROWS = 40, ROW_SIZE = 4000 };

static void fill(struct rocks *db)
{
    char key[16], value[ROW_SIZE + 1];
    for (int i = 0; i < DAMAGED_ROWS; i++) {
        snprintf(key, sizeof key, "%04d", i);
        memset(value, 'a' + i % 26, ROW_SIZE);
        value[ROW_SIZE] = '\0';
        put(db, 0, key, value);
    }
}

/* The only file of the folder with this ending that is not empty. */
static void find_file(const char *folder, const char *suffix, char path[static 512], off_t *size)
{
    struct stat st;
    DIR *dir = opendir(folder);
    *size = 0;
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char candidate[512];
        snprintf(candidate, sizeof candidate, "%.200s/%.255s", folder, e->d_name);
        if (strlen(e->d_name) > 4 && strcmp(e->d_name + strlen(e->d_name) - 4, suffix) == 0 &&
            stat(candidate, &st) == 0 && st.st_size > *size) {
            memcpy(path, candidate, sizeof candidate);
            *size = st.st_size;
        }
    }
    closedir(dir);
    assert_true(*size > 0);
}

static enum tm_code count_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    (void)err;
    char expected[16];
    snprintf(expected, sizeof expected, "%04d", (*(int *)context)++);
    assert_true(bytes_equal(key, bytes_text(expected))); /* never a hole */
    assert_int_equal(value.size, ROW_SIZE);
    return TM_OK;
}

static int count_rows(struct rocks *db)
{
    int rows = 0;
    struct tm_error err;
    assert_int_equal(rocks_scan(db, 0, bytes_text(""), bytes_text(""), count_row, &rows, &err), TM_OK);
    return rows;
}

static void a_torn_tail_is_cut(void **state)
{
    static const int cuts[] = {1, 7, 100, ROW_SIZE / 2, ROW_SIZE, ROW_SIZE + 500, 3 * ROW_SIZE};
    char wal[512];
    off_t size;
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct rocks *db = open_ok(in(state, "db"), ROCKS_LOG);
        fill(db);
        rocks_close(db);
        find_file(in(state, "db"), ".log", wal, &size);
        assert_int_equal(truncate(wal, size - cuts[i]), 0);
        db = open_ok(in(state, "db"), ROCKS_LOG);
        int rows = count_rows(db), whole = DAMAGED_ROWS - 1 - cuts[i] / (ROW_SIZE + 60);
        if (rows != whole)
            fail_msg("%d bytes cut: %d rows, expected %d", cuts[i], rows, whole);
        rocks_close(db);
        run("rm -rf '%s'", in(state, "db"));
    }
}

static void flip_bit(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Wherever one bit of the WAL turns: the log is refused, or nothing that was acknowledged is missing. */
static void a_flipped_bit_in_the_log_is_refused(void **state)
{
    char wal[512];
    off_t size;
    struct tm_error err;
    struct rocks *db = open_ok(in(state, "whole"), ROCKS_LOG);
    int refused = 0, tried = 0;
    fill(db);
    rocks_close(db);
    for (int i = 1; i < 20; i++, tried++) {
        run("rm -rf '%s'; cp -r '%s' '%s'", in(state, "db"), in(state, "whole"), in(state, "db"));
        find_file(in(state, "db"), ".log", wal, &size);
        flip_bit(wal, size * i / 20);
        enum tm_code rc = rocks_open(in(state, "db"), ROCKS_LOG, families, ARRAY_LEN(families), &db, &err);
        if (rc == TM_OK) {
            assert_int_equal(count_rows(db), DAMAGED_ROWS);
            rocks_close(db);
            continue;
        }
        refused++;
        assert_int_equal(rc, TM_DATA_LOSS);
        assert_non_null(strstr(err.message, in(state, "db")));
    }
    assert_int_equal(refused, tried);
}

/* A damaged table ends an iteration early: the scan must say so. */
static void a_flipped_bit_in_a_table_ends_a_scan_with_an_error(void **state)
{
    char table[512];
    off_t size;
    int rows = 0;
    struct tm_error err = {0};
    struct rocks *db = open_ok(in(state, "db"), ROCKS_LOG);
    fill(db);
    rocks_close(db);
    rocks_close(open_ok(in(state, "db"), ROCKS_LOG)); /* recovery turns the WAL into a table */
    find_file(in(state, "db"), ".sst", table, &size);
    flip_bit(table, size / 2);
    db = open_ok(in(state, "db"), ROCKS_LOG);
    enum tm_code rc = rocks_scan(db, 0, bytes_text(""), bytes_text(""), count_row, &rows, &err);
    assert_int_equal(rc, TM_DATA_LOSS);
    assert_true(rows < DAMAGED_ROWS);
    assert_non_null(strstr(err.message, in(state, "db")));
    rocks_close(db);
}

/* ---- a second process ---- */

static pid_t spawn(const char *const *arguments, int *output)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execvp(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    close(ends[1]);
    *output = ends[0];
    return pid;
}

static int finish(pid_t pid)
{
    int status;
    assert_true(waitpid(pid, &status, 0) == pid);
    return status;
}

/* Write numbered rows into both families of a log, telling each number once it is durable. */
static int write_for_ever(const char *path)
{
    struct tm_error err;
    struct rocks *db;
    if (rocks_open(path, ROCKS_LOG, families, ARRAY_LEN(families), &db, &err))
        stop(1, "%s", err.message);
    for (uint32_t i = 0;; i++) {
        uint8_t key[4];
        struct rocks_batch *b = rocks_batch_new(db);
        key_put_u32(key, i);
        rocks_batch_put(b, 0, bytes_of(key, 4), bytes_of(key, 4));
        rocks_batch_put(b, 1, bytes_of(key, 4), bytes_of(key, 4));
        rocks_write(db, b);
        rocks_batch_free(b);
        if (write(STDOUT_FILENO, &i, sizeof i) != sizeof i)
            _exit(2);
    }
}

static void what_was_written_survives_a_kill(void **state)
{
    uint32_t acked = 0;
    int output;
    struct tm_error err;
    CLEANUP(buffer_close) struct buffer a = {0}, b = {0};
    pid_t pid = spawn((const char *const[]){program, "write", in(state, "db"), NULL}, &output);
    while (acked < 300)
        assert_int_equal(read(output, &acked, sizeof acked), sizeof acked);
    kill(pid, SIGKILL);
    while (read(output, &acked, sizeof acked) == sizeof acked)
        continue; /* acknowledged before it died */
    close(output);
    assert_true(WIFSIGNALED(finish(pid)));
    struct rocks *db = open_ok(in(state, "db"), ROCKS_LOG);
    assert_int_equal(rocks_scan(db, 0, bytes_text(""), bytes_text(""), append_key, &a, &err), TM_OK);
    assert_int_equal(rocks_scan(db, 1, bytes_text(""), bytes_text(""), append_key, &b, &err), TM_OK);
    assert_true(bytes_equal(buffer_view(&a), buffer_view(&b))); /* a batch is whole */
    assert_true(a.size / 5 >= (size_t)acked + 1);
    for (uint32_t i = 0; i < a.size / 5; i++)
        assert_int_equal(key_get_u32(a.data + (size_t)i * 5), i);
    rocks_close(db);
}

static bool can_trace(void) { return system("strace -o /dev/null true 2>/dev/null") == 0; }

/* The kernel may call a second fsync a success after a failed one: the first failure must be the last line. */
static void a_failed_sync_stops_the_process(void **state)
{
    char text[4096];
    size_t size = 0;
    int output;
    if (!can_trace())
        skip(); /* strace is not installed, or may not attach here */
    const char *command[] = {
        "strace", "-f",    "-qq",           "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=20",
        program,  "write", in(state, "db"), NULL};
    pid_t pid = spawn(command, &output);
    for (ssize_t n = 1; n > 0 && size < sizeof text - 1; size += (size_t)n)
        n = read(output, text + size, sizeof text - 1 - size);
    close(output);
    int status = finish(pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STOP_IO);
    char *line = memmem(text, size, "tidemill: stopped", 17);
    assert_non_null(line);
    text[size] = '\0';
    assert_non_null(strstr(line, in(state, "db")));
    assert_non_null(strstr(line, "write: "));
    assert_non_null(strstr(line, "Input/output error"));
    assert_non_null(strstr(line, "fdatasync"));
}

/* ---- the state database ---- */

static void a_commit_is_scanned_back(void **state)
{
    struct state_db *db;
    struct tm_error err;
    CLEANUP(buffer_close) struct buffer seen = {0};
    CLEANUP(store_batch_close) struct store_batch batch = {0};
    assert_int_equal(state_db_open(in(state, "state"), &db, &err), TM_OK);
    store_batch_put(&batch, STORE_PARAM, bytes_text("s1-x"), bytes_text("gone"));
    store_batch_put(&batch, STORE_PARAM, bytes_text("s1-a"), bytes_text("1"));
    store_batch_put(&batch, STORE_PARAM, bytes_text("s2-a"), bytes_text("2"));
    store_batch_put(&batch, STORE_DOC, bytes_text("s1-d"), bytes_text("doc"));
    store_batch_remove(&batch, STORE_PARAM, bytes_text("s1-x"));
    assert_true(state_db_commit(db, &batch) > 0);
    state_db_sync(db);
    state_db_close(db);
    assert_int_equal(state_db_open(in(state, "state"), &db, &err), TM_OK);
    struct store store = state_db_store(db);
    assert_int_equal(store.scan(store.self, STORE_PARAM, bytes_text("s1"), bytes_text("s1"), append_key, &seen, &err),
                     TM_OK);
    assert_true(bytes_equal(buffer_view(&seen), bytes_text("s1-a ")));
    state_db_close(db);
    state_db_close(NULL);
}

/* ---- the data directory ---- */

static struct data_dir dir_open_ok(const char *path)
{
    struct data_dir d;
    struct tm_error err = {0};
    if (data_dir_open(path, 64, 0, NULL, &d, &err))
        fail_msg("%s", err.message);
    return d;
}

static void assert_dir_refused(const char *path, uint32_t shards, enum tm_code code, const char *words)
{
    struct data_dir d;
    struct tm_error err = {0};
    assert_int_equal(data_dir_open(path, shards, 0, NULL, &d, &err), code);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void a_data_directory_keeps_its_identity(void **state)
{
    CLEANUP(buffer_close) struct buffer current = {0};
    struct tm_error err;
    struct data_dir a = dir_open_ok(in(state, "deep/data")), b = a;
    assert_int_equal(a.restore, 1);
    assert_int_equal(a.start, 1);
    assert_int_equal(strlen(a.cluster), 32);
    assert_true(a.hash_seed != 0);
    data_dir_close(&a);
    a = dir_open_ok(in(state, "deep/data"));
    assert_int_equal(a.start, 2);
    assert_string_equal(a.cluster, b.cluster);
    assert_true(a.hash_seed == b.hash_seed && a.shards == 64);
    data_dir_close(&a);
    assert_int_equal(file_read(in(state, "deep/data/CURRENT"), 100, &current, &err), TM_OK);
    assert_true(bytes_equal(buffer_view(&current), bytes_text("state/1\n")));
    a = dir_open_ok(in(state, "other"));
    assert_string_not_equal(a.cluster, b.cluster);
    assert_true(a.hash_seed != b.hash_seed);
    data_dir_close(&a);
}

static int hold(const char *path)
{
    struct data_dir d;
    struct tm_error err;
    if (data_dir_open(path, 64, 0, NULL, &d, &err))
        stop(1, "%s", err.message);
    uint32_t ready = (uint32_t)d.start;
    return write(STDOUT_FILENO, &ready, sizeof ready) == sizeof ready && pause();
}

static void a_data_directory_has_one_owner(void **state)
{
    char words[64];
    uint32_t start;
    int output;
    pid_t pid = spawn((const char *const[]){program, "hold", in(state, "data"), NULL}, &output);
    assert_int_equal(read(output, &start, sizeof start), sizeof start);
    assert_int_equal(start, 1);
    snprintf(words, sizeof words, "in use by pid %ld", (long)pid);
    assert_dir_refused(in(state, "data"), 64, TM_FAILED_PRECONDITION, words);
    kill(pid, SIGKILL);
    finish(pid);
    close(output);
    struct data_dir d = dir_open_ok(in(state, "data"));
    assert_int_equal(d.start, 2);
    data_dir_close(&d);
}

static void write_identity(const char *path, uint32_t version)
{
    struct data_dir d = dir_open_ok(path);
    CLEANUP(buffer_close) struct buffer row = {0};
    struct rocks_batch *b = rocks_batch_new(d.log);
    buffer_put_u32(&row, version);
    rocks_batch_put(b, LOG_META, bytes_text("identity"), buffer_view(&row));
    rocks_write(d.log, b);
    rocks_batch_free(b);
    data_dir_close(&d);
}

static void strange_data_directories_are_refused(void **state)
{
    struct data_dir d = dir_open_ok(in(state, "data"));
    data_dir_close(&d);
    assert_dir_refused(in(state, "data"), 32, TM_FAILED_PRECONDITION,
                       "shards: the data directory was made with 64, the configuration says 32");
    run("cd '%s' && cp -r data no-log && rm -r no-log/log", (char *)*state);
    assert_dir_refused(in(state, "no-log"), 64, TM_DATA_LOSS, "no identity");
    run("cd '%s' && cp -r no-log only-current && rm -r only-current/state", (char *)*state);
    assert_dir_refused(in(state, "only-current"), 64, TM_DATA_LOSS, "no identity");
    run("cd '%s' && cp -r data no-current && rm no-current/CURRENT", (char *)*state);
    assert_dir_refused(in(state, "no-current"), 64, TM_DATA_LOSS, "no-current/CURRENT: missing");
    run("cd '%s' && cp -r data odd && echo ../state/7 >odd/CURRENT", (char *)*state);
    assert_dir_refused(in(state, "odd"), 64, TM_DATA_LOSS, "must read like \"state/1\"");
    write_identity(in(state, "data"), 3);
    assert_dir_refused(in(state, "data"), 64, TM_DATA_LOSS, "identity in the log is damaged");
    run("rm -r '%s'", in(state, "data"));
    write_identity(in(state, "data"), 1);
    assert_dir_refused(in(state, "data"), 64, TM_FAILED_PRECONDITION, "made by an older version: its format is 1");
    run("rm -r '%s'", in(state, "data"));
    write_identity(in(state, "data"), 4);
    assert_dir_refused(in(state, "data"), 64, TM_FAILED_PRECONDITION, "made by a newer version");
    assert_dir_refused("/proc/none", 64, TM_IO, "/proc/none");
}

/* Kill a first start at the n-th of the calls that make something durable, for every n: the next one must finish it. */
static void a_first_start_may_be_killed_anywhere(void **state)
{
    char kill_at[64];
    int output;
    bool killed = true;
    if (!can_trace())
        skip();
    for (int when = 1; killed; when++) {
        snprintf(kill_at, sizeof kill_at, "inject=fsync,fdatasync,rename:signal=SIGKILL:when=%d", when);
        run("rm -rf '%s'", in(state, "data"));
        const char *command[] = {"strace",          "-f", "-qq", "-o", "/dev/null", "-e", kill_at, program, "open",
                                 in(state, "data"), NULL};
        pid_t pid = spawn(command, &output);
        int status = finish(pid);
        close(output);
        killed = WIFSIGNALED(status);
        assert_true(killed || WEXITSTATUS(status) == 0);
        struct data_dir d = dir_open_ok(in(state, "data"));
        assert_true(d.start == 1 || d.start == 2);
        data_dir_close(&d);
    }
}

static _Noreturn void open_and_close(const char *path)
{
    struct data_dir d;
    struct tm_error err;
    if (data_dir_open(path, 64, 0, NULL, &d, &err))
        stop(1, "%s", err.message);
    data_dir_close(&d);
    _exit(0); /* the leak checker cannot work while traced */
}

/* ---- RocksDB's checksum ---- */

#ifdef __x86_64__
static void checksums_are_those_of_the_polynomial(void **state)
{
    enum { SIZE = 300 };
    char zeros[32] = {0}, ones[32], bytes[SIZE];
    (void)state;
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 31 ^ i >> 3);
    assert_int_equal(rocks_crc32c(0, zeros, sizeof zeros), 0x8a9136aa); /* RFC 3720, B.4 */
    assert_int_equal(rocks_crc32c(0, ones, sizeof ones), 0x62a8ab43);
    assert_int_equal(rocks_crc32c(0, "123456789", 9), 0xe3069283);
    for (size_t cut = 0; cut <= SIZE; cut++) /* in two parts, from anywhere */
        assert_int_equal(rocks_crc32c(rocks_crc32c(0, bytes, cut), bytes + cut, SIZE - cut),
                         rocks_crc32c(0, bytes, SIZE));
}

/* As RocksDB finds it when it asks for its own. */
static void rocksdb_takes_our_checksum(void **state)
{
    uint32_t (*ours)(uint32_t, const char *, size_t) = rocks_crc32c;
    void *found = dlsym(RTLD_DEFAULT, ROCKS_CRC32C_SYMBOL);
    (void)state;
    assert_memory_equal(&found, &ours, sizeof found);
    found = dlsym(RTLD_NEXT, ROCKS_CRC32C_SYMBOL); /* and there is one of its own, which would be asked otherwise */
    assert_non_null(found);
    assert_memory_not_equal(&found, &ours, sizeof found);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(rows_come_back),
        TEST(packed_rows_come_back),
        TEST(scans_keep_their_bounds),
        TEST(last_and_floor),
        TEST(strange_databases_are_refused),
        TEST(a_torn_tail_is_cut),
        TEST(a_flipped_bit_in_the_log_is_refused),
        TEST(a_flipped_bit_in_a_table_ends_a_scan_with_an_error),
        TEST(what_was_written_survives_a_kill),
        TEST(a_failed_sync_stops_the_process),
        TEST(a_commit_is_scanned_back),
        TEST(a_data_directory_keeps_its_identity),
        TEST(a_data_directory_has_one_owner),
        TEST(strange_data_directories_are_refused),
        TEST(a_first_start_may_be_killed_anywhere),
#ifdef __x86_64__
        cmocka_unit_test(checksums_are_those_of_the_polynomial),
        cmocka_unit_test(rocksdb_takes_our_checksum),
#endif
    };
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_for_ever(argv[2]);
    if (argc == 3 && strcmp(argv[1], "hold") == 0)
        return hold(argv[2]);
    if (argc == 3 && strcmp(argv[1], "open") == 0)
        open_and_close(argv[2]);
    return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
