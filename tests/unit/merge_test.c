/* Tests of client/merge.h and client/batcher.h: the order of events, and that batches are the same in every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/batcher.h"
#include "proto/json_event.h"
#include "tidemill/v1/events.pb-c.h"

#define T0 INT64_C(1574553600000)

static char dir[] = "/tmp/tidemill-merge-XXXXXX";
static char paths[4][64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        snprintf(paths[i], sizeof paths[i], "%s/%zu.jsonl", dir, i);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        unlink(paths[i]);
    return rmdir(dir);
}

static void write_text(size_t file, const char *text)
{
    FILE *f = fopen(paths[file], "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void add_event(FILE *f, const char *doc, int64_t time)
{
    fprintf(f, "{\"stream\":\"clicks\",\"request\":\"r\",\"doc\":\"%s\",\"time\":%" PRId64 "}\n", doc, time);
}

/* One event per number, at T0 + number; a document is called by its file and line. */
static void write_events(size_t file, const int *times, size_t count)
{
    FILE *f = fopen(paths[file], "w");
    char doc[32];
    assert_non_null(f);
    for (size_t i = 0; i < count; i++) {
        snprintf(doc, sizeof doc, "%zu.%zu", file, i + 1);
        add_event(f, doc, T0 + times[i]);
    }
    assert_int_equal(fclose(f), 0);
}

static struct merge *open_files(size_t count)
{
    const char *list[] = {paths[0], paths[1], paths[2], paths[3]};
    struct merge *m = NULL;
    struct tm_error err = {0};
    assert_int_equal(merge_open(list, count, &m, &err), TM_OK);
    return m;
}

static void expect_record(struct merge *m, uint32_t file, uint64_t line, int64_t time)
{
    struct merge_record r;
    struct merge_place place;
    struct tm_error err = {0};
    assert_int_equal(merge_next(m, &r, &place, &err), MERGE_RECORD);
    assert_int_equal(r.place.file, file);
    assert_int_equal(r.place.line, line);
    assert_int_equal(r.time, time);
    assert_string_equal(r.stream, "clicks");
    struct event e;
    assert_int_equal(event_scan(r.wire, &e, &err), TM_OK);
    assert_int_equal(e.time, time);
}

static void expect_end(struct merge *m)
{
    struct merge_record r;
    struct merge_place place;
    assert_int_equal(merge_next(m, &r, &place, NULL), MERGE_END);
    assert_int_equal(merge_next(m, &r, &place, NULL), MERGE_END);
}

static void files_merge_by_time(void **state)
{
    (void)state;
    write_events(0, (int[]){10, 30, 30, 50}, 4);
    write_events(1, (int[]){20, 30, 60}, 3);
    write_events(2, NULL, 0);
    struct merge *m = open_files(3);
    expect_record(m, 0, 1, T0 + 10);
    expect_record(m, 1, 1, T0 + 20);
    expect_record(m, 0, 2, T0 + 30); /* equal times: the file named first */
    expect_record(m, 0, 3, T0 + 30);
    expect_record(m, 1, 2, T0 + 30);
    expect_record(m, 0, 4, T0 + 50);
    expect_record(m, 1, 3, T0 + 60);
    expect_end(m);
    assert_int_equal(merge_bytes_read(m), merge_bytes_total(m));
    merge_close(m);
}

/* A file that is not sorted keeps its own order: its next record waits for its turn. */
static void a_files_own_order_is_kept(void **state)
{
    (void)state;
    write_events(0, (int[]){40, 10, 50}, 3);
    write_events(1, (int[]){20, 45}, 2);
    struct merge *m = open_files(2);
    expect_record(m, 1, 1, T0 + 20);
    expect_record(m, 0, 1, T0 + 40);
    expect_record(m, 0, 2, T0 + 10);
    expect_record(m, 1, 2, T0 + 45);
    expect_record(m, 0, 3, T0 + 50);
    expect_end(m);
    merge_close(m);
}

static void malformed_lines_are_named_and_passed(void **state)
{
    struct merge_record r;
    struct merge_place place;
    struct tm_error err = {0};
    (void)state;
    write_text(0, "{\"stream\":\"clicks\",\"request\":\"r\",\"doc\":\"a\",\"time\":1574553600001}\r\n"
                  "\n   \n"
                  "not json\n"
                  "{\"stream\":\"clicks\",\"request\":\"r\",\"doc\":\"b\",\"time\":1574553600002}"); /* no line end */
    struct merge *m = open_files(1);
    expect_record(m, 0, 1, T0 + 1);
    assert_int_equal(merge_next(m, &r, &place, &err), MERGE_MALFORMED);
    assert_int_equal(place.file, 0);
    assert_int_equal(place.line, 4);
    assert_memory_equal(err.message, "line: ", 6);
    assert_string_equal(merge_name(m, place.file), paths[0]);
    expect_record(m, 0, 5, T0 + 2);
    expect_end(m);
    merge_close(m);
}

static void a_line_too_long_is_one_problem(void **state)
{
    struct merge_record r;
    struct merge_place place;
    struct tm_error err = {0};
    FILE *f = fopen(paths[0], "w");
    (void)state;
    for (int i = 0; i < JSON_LINE_MAX * 2 + 100; i++)
        fputc('x', f);
    fputc('\n', f);
    add_event(f, "a", T0 + 1);
    assert_int_equal(fclose(f), 0);
    struct merge *m = open_files(1);
    assert_int_equal(merge_next(m, &r, &place, &err), MERGE_MALFORMED);
    assert_int_equal(place.line, 1);
    expect_record(m, 0, 2, T0 + 1);
    expect_end(m);
    assert_int_equal(merge_bytes_read(m), merge_bytes_total(m));
    merge_close(m);
}

/* What a pipe has not said yet is waited for, even by the other files: it may be earlier than what they have. */
static void a_pipe_is_waited_for(void **state)
{
    struct merge_record r;
    struct merge_place place;
    struct tm_error err = {0};
    struct hash128 id;
    (void)state;
    write_events(0, (int[]){10}, 1);
    unlink(paths[1]);
    assert_int_equal(mkfifo(paths[1], 0600), 0);
    int keep = open(paths[1], O_RDWR); /* so that neither end waits for the other */
    struct merge *m = open_files(2);
    assert_false(merge_identity(m, &id));
    assert_int_equal(merge_bytes_total(m), 0);
    assert_int_equal(merge_next(m, &r, &place, &err), MERGE_WAIT);
    FILE *f = fdopen(dup(keep), "w");
    fputs("{\"stream\":\"clicks\",\"request\":\"r\",", f); /* half a line is none */
    fflush(f);
    assert_int_equal(merge_next(m, &r, &place, &err), MERGE_WAIT);
    assert_int_equal(merge_next(m, &r, &place, &err), MERGE_WAIT);
    fputs("\"doc\":\"a\",\"time\":1574553600005}\n", f);
    fclose(f);
    close(keep);
    unlink(paths[1]);
    expect_record(m, 1, 1, T0 + 5);
    expect_record(m, 0, 1, T0 + 10);
    expect_end(m);
    merge_close(m);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    const char *missing[] = {"/nonexistent/x.jsonl"}, *folder[] = {dir};
    struct merge *m = NULL;
    struct tm_error err = {0};
    (void)state;
    assert_int_equal(merge_open(missing, 1, &m, &err), TM_NOT_FOUND);
    assert_string_equal(err.message, "/nonexistent/x.jsonl: No such file or directory");
    assert_int_equal(merge_open(folder, 1, &m, &err), TM_IO);
    assert_null(m);
}

static struct hash128 identity(void)
{
    struct hash128 id;
    struct merge *m = open_files(2);
    assert_true(merge_identity(m, &id));
    merge_close(m);
    return id;
}

static void identity_follows_names_sizes_and_content(void **state)
{
    (void)state;
    write_events(0, (int[]){10, 20}, 2);
    write_events(1, (int[]){10, 20}, 2);
    struct hash128 before = identity();
    assert_true(hash128_equal(before, identity()));
    write_events(1, (int[]){10, 21}, 2); /* as long as before */
    struct hash128 changed = identity();
    assert_false(hash128_equal(before, changed));
    write_events(1, (int[]){10, 21, 30}, 3);
    assert_false(hash128_equal(changed, identity()));
}

/* ---- batches ---- */

static void count_malformed(void *context, const struct merge_place *place, const char *message)
{
    (void)place;
    (void)message;
    ++*(int *)context;
}

static void ignore_taken(void *context, const char *stream)
{
    (void)context;
    (void)stream;
}

static void count_taken(void *context, const char *stream)
{
    assert_string_equal(stream, "clicks");
    ++*(int *)context;
}

static size_t check_batch(const struct batch *b)
{
    Tidemill__V1__IngestRequest *m = tidemill__v1__ingest_request__unpack(NULL, b->request.size, b->request.data);
    assert_non_null(m);
    assert_non_null(m->batch);
    assert_int_equal(m->batch->sequence, b->sequence);
    assert_int_equal(m->batch->n_events, b->events);
    size_t bytes = 0;
    for (size_t i = 0; i < m->batch->n_events; i++)
        bytes += m->batch->events[i].len;
    tidemill__v1__ingest_request__free_unpacked(m, NULL);
    return bytes;
}

static void batches_are_full_and_numbered(void **state)
{
    int malformed = 0;
    struct tm_error err = {0};
    FILE *f = fopen(paths[0], "w");
    (void)state;
    for (int i = 0; i < 2500; i++)
        add_event(f, "d", T0 + (i == 100 ? 9000 : i));
    fputs("oops\n", f);
    add_event(f, "future", clock_wall_ms() + 10 * INT64_C(86400000)); /* the server will refuse it: no progress */
    assert_int_equal(fclose(f), 0);
    struct merge *m = open_files(1);
    struct batcher b = {.merge = m,
                        .events_max = BATCH_EVENTS,
                        .report = count_malformed,
                        .taken = ignore_taken,
                        .context = &malformed,
                        .newest = INT64_MIN};
    struct batch *batch = mem_new(1, sizeof *batch);
    static const uint32_t events[] = {1000, 1000, 501};
    for (uint64_t i = 0; i < ARRAY_LEN(events); i++) {
        assert_int_equal(batcher_fill(&b, batch, &err), i < 2 ? MERGE_RECORD : MERGE_END);
        batcher_seal(&b, batch);
        assert_int_equal(batch->sequence, i + 1);
        assert_int_equal(batch->events, events[i]);
        assert_int_equal(batch->places[0].line, 1000 * i + 1);
        assert_int_equal(batch->newest, T0 + 9000);
        check_batch(batch);
    }
    assert_int_equal(batch->places[500].line, 2502);
    assert_int_equal(malformed, 1);
    assert_int_equal(batcher_fill(&b, batch, &err), MERGE_END);
    assert_int_equal(batch->events, 0);
    batch_close(batch);
    free(batch);
    batcher_close(&b);
    merge_close(m);
}

static void large_events_end_a_batch_early(void **state)
{
    enum { EVENTS = 40, PAYLOAD = 60000 };
    struct tm_error err = {0};
    FILE *f = fopen(paths[0], "w");
    uint32_t sum = 0;
    int taken = 0;
    (void)state;
    for (int i = 0; i < EVENTS; i++) {
        fprintf(f, "{\"stream\":\"clicks\",\"request\":\"r\",\"doc\":\"d\",\"time\":%" PRId64 ",\"payload\":\"",
                T0 + i);
        for (int k = 0; k < PAYLOAD; k++)
            fputc('A', f);
        fputs("\"}\n", f);
    }
    assert_int_equal(fclose(f), 0);
    struct merge *m = open_files(1);
    struct batcher b = {.merge = m,
                        .events_max = BATCH_EVENTS,
                        .report = count_malformed,
                        .taken = count_taken,
                        .context = &taken,
                        .newest = INT64_MIN};
    struct batch *batch = mem_new(1, sizeof *batch);
    while (sum < EVENTS) {
        batcher_fill(&b, batch, &err);
        batcher_seal(&b, batch);
        sum += batch->events;
        size_t bytes = check_batch(batch);
        assert_true(bytes <= BATCH_BYTES);
        assert_true(sum == EVENTS || bytes > BATCH_BYTES - PAYLOAD); /* as full as can be */
    }
    assert_int_equal(sum, EVENTS);
    assert_int_equal(taken, EVENTS);
    batch_close(batch);
    free(batch);
    batcher_close(&b);
    merge_close(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_merge_by_time),
        cmocka_unit_test(a_files_own_order_is_kept),
        cmocka_unit_test(malformed_lines_are_named_and_passed),
        cmocka_unit_test(a_line_too_long_is_one_problem),
        cmocka_unit_test(a_pipe_is_waited_for),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(identity_follows_names_sizes_and_content),
        cmocka_unit_test(batches_are_full_and_numbered),
        cmocka_unit_test(large_events_end_a_batch_early),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
