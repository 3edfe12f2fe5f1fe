/* Tests of dead letters: which are kept, whatever the commits; and what comes back from their rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "ps/state/dead_letters.h"
#include "ps/storage/data_dir.h"
#include "ps/storage/rejects.h"
#include "tests/simulation/memory_store.h"

enum { SHARD = 7, CLICKS = 1, IMPRESSIONS = 0 };

/* ---- of a shard ---- */

static void add(struct dead_letters *d, uint8_t stream, enum joiner_reason reason, uint64_t position, size_t size)
{
    uint8_t body[2 * DEAD_LETTER_EVENT_MAX];
    memset(body, (int)position, sizeof body);
    dead_letters_add(
        d,
        &(struct joiner_record){
            .stream = stream, .position = position, .time = (int64_t)position * 10, .body = bytes_of(body, size)},
        reason);
}

static void commit(struct dead_letters *d, struct memory_store *m)
{
    struct store_batch batch = {0};
    dead_letters_commit(d, &batch);
    memory_store_commit(m, &batch);
    memory_store_sync(m);
}

/* A flood of duplicates with a rare late one, committed after every `every` records. */
static void live(struct memory_store *m, uint32_t every, bool with_restarts)
{
    struct dead_letters *d = dead_letters_open(SHARD);
    struct store face = memory_store_face(m);
    for (uint64_t position = 1; position <= 1000; position++) {
        add(d, CLICKS, REASON_DUPLICATE, position, 20);
        if (position % 100 == 0)
            add(d, IMPRESSIONS, REASON_LATE, 5000 + position, 0);
        if (position % every == 0) {
            commit(d, m);
            if (with_restarts) {
                dead_letters_close(d);
                d = dead_letters_open(SHARD);
                assert_int_equal(dead_letters_load(d, &face, NULL), TM_OK);
            }
        }
    }
    commit(d, m);
    dead_letters_close(d);
}

static void the_newest_of_each_kind_are_kept(void **state)
{
    (void)state;
    struct memory_store m = {0};
    struct dead_letter l;
    uint64_t seen[2] = {0}, least = UINT64_MAX, most = 0;
    uint32_t late = 0, duplicates = 0;
    live(&m, 100, false);
    const struct memory_table *t = &m.table[STORE_DEAD_LETTER];
    assert_int_equal(t->rows, 1 + 10 + DEAD_LETTERS_KEPT);
    struct reader r = reader_of(buffer_view(&t->row[0].value));
    for (struct dead_letter_count c; dead_letter_count_next(&r, &c);)
        seen[c.stream] += c.seen;
    assert_true(seen[CLICKS] == 1000 && seen[IMPRESSIONS] == 10);
    for (size_t i = 1; i < t->rows; i++) {
        struct bytes key = buffer_view(&t->row[i].key);
        assert_int_equal(dead_letter_decode(key, buffer_view(&t->row[i].value), &l, NULL), TM_OK);
        assert_true(l.time == (int64_t)l.position * 10 && l.size == l.event.size);
        late += l.reason == REASON_LATE && l.stream == IMPRESSIONS && l.size == 0 && l.position > 5000;
        if (l.reason == REASON_DUPLICATE) {
            duplicates++;
            assert_true(l.stream == CLICKS && l.size == 20 && l.event.data[19] == (uint8_t)l.position);
            least = l.position < least ? l.position : least;
            most = l.position > most ? l.position : most;
        }
    }
    assert_int_equal(late, 10);
    assert_int_equal(duplicates, DEAD_LETTERS_KEPT);
    assert_true(most == 1000 && least == 1000 - DEAD_LETTERS_KEPT + 1);
    memory_store_close(&m);
}

static void commits_and_restarts_change_nothing(void **state)
{
    static const uint32_t intervals[] = {1, 7, 63, 64, 65, 500, 1001};
    struct memory_store once = {0};
    (void)state;
    live(&once, 1000, false);
    for (size_t i = 0; i < 2 * ARRAY_LEN(intervals); i++) {
        struct memory_store m = {0};
        live(&m, intervals[i / 2], i % 2);
        assert_true(memory_table_equal(&m.table[STORE_DEAD_LETTER], &once.table[STORE_DEAD_LETTER]));
        memory_store_close(&m);
    }
    memory_store_close(&once);
}

static void nothing_new_writes_nothing(void **state)
{
    struct store_batch batch = {0};
    struct dead_letters *d = dead_letters_open(SHARD);
    (void)state;
    add(d, CLICKS, REASON_MALFORMED, 1, DEAD_LETTER_EVENT_MAX + 1);
    dead_letters_commit(d, &batch);
    assert_true(batch.operations.size > DEAD_LETTER_EVENT_MAX && batch.operations.size < DEAD_LETTER_EVENT_MAX + 100);
    batch.operations.size = 0;
    dead_letters_commit(d, &batch);
    assert_int_equal(batch.operations.size, 0);
    store_batch_close(&batch);
    dead_letters_close(d);
}

static void damaged_rows_are_told(void **state)
{
    uint8_t key[DEAD_LETTER_KEY];
    struct dead_letter l;
    struct dead_letters *d = dead_letters_open(SHARD);
    struct memory_store m = {0};
    struct store face = memory_store_face(&m);
    struct memory_table *t = &m.table[STORE_DEAD_LETTER];
    (void)state;
    size_t prefix = dead_letter_prefix(key, SHARD, CLICKS, REASON_LATE);
    uint8_t row[20 + DEAD_LETTER_EVENT_MAX + 1] = {0};
    memset(row + 16, 0xff, 4); /* the size of the whole event */
    key[prefix] = 0;
    assert_int_equal(dead_letter_decode(bytes_of(key, sizeof key), bytes_of(row, sizeof row - 1), &l, NULL), TM_OK);
    assert_int_equal(dead_letter_decode(bytes_of(key, 4), bytes_of(row, 30), &l, NULL), TM_DATA_LOSS);
    assert_int_equal(dead_letter_decode(bytes_of(key, sizeof key), bytes_of(row, 19), &l, NULL), TM_DATA_LOSS);
    assert_int_equal(dead_letter_decode(bytes_of(key, sizeof key), bytes_of(row, sizeof row), &l, NULL), TM_DATA_LOSS);
    key[3] = REASON_REJECTED; /* the door's: not in a shard */
    assert_int_equal(dead_letter_decode(bytes_of(key, sizeof key), bytes_of(row, 30), &l, NULL), TM_DATA_LOSS);
    key[3] = REASON_LATE;
    memory_table_put(t, bytes_of(key, sizeof key), bytes_of(row, 20));
    assert_int_equal(dead_letters_load(d, &face, NULL), TM_DATA_LOSS); /* letters without numbers */
    memory_table_put(t, bytes_of(key, 2), bytes_of(row, 11));
    assert_int_equal(dead_letters_load(d, &face, NULL), TM_DATA_LOSS);
    memory_store_close(&m);
    dead_letters_close(d);
}

static void reasons_are_found_by_their_names(void **state)
{
    (void)state;
    for (enum joiner_reason r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        assert_int_equal(joiner_reason_find(bytes_text(joiner_reason_text(r))), r);
        assert_true(*joiner_reason_meaning(r) && *joiner_reason_hint(r));
    }
    assert_int_equal(joiner_reason_find(bytes_text("none")), REASON_NONE);
    assert_int_equal(joiner_reason_find(bytes_text("lat")), REASON_NONE);
    assert_int_equal(REASON_LATE, 1); /* stored numbers */
    assert_int_equal(REASON_REJECTED, 7);
}

/* ---- of the door ---- */

static struct rejected refused(uint8_t stream, const char *event)
{
    return (struct rejected){.stream = stream,
                             .time = 4,
                             .refused_at = 5,
                             .index = 6,
                             .size = (uint32_t)strlen(event),
                             .field = bytes_text("version"),
                             .message = bytes_text("version: \"Z\""),
                             .event = bytes_text(event)};
}

static void a_refused_event_comes_back(void **state)
{
    CLEANUP(buffer_close) struct buffer list = {0}, row = {0};
    struct submission s = {.kind = SUBMIT_BATCH, .producer = {"c", "i", "l"}, .sequence = 2, .position = 3};
    struct rejected first = refused(CLICKS, "bytes"), long_one = refused(CLICKS, ""), out;
    uint8_t stream, bytes[REJECTED_EVENT_MAX + 1] = {0};
    struct bytes letter;
    (void)state;
    long_one.event = bytes_of(bytes, long_one.size = sizeof bytes);
    rejected_put(&list, &first);
    rejected_put_unkept(&list, IMPRESSIONS);
    rejected_put(&list, &long_one);
    struct reader r = reader_of(buffer_view(&list));
    assert_true(rejected_next(&r, &stream, &letter) && stream == CLICKS);
    rejected_row(&row, 1, &s, letter);
    assert_int_equal(rejected_decode(buffer_view(&row), &out, NULL), TM_OK);
    assert_true(out.number == 1 && out.batch == 2 && out.position == 3 && out.time == 4 && out.refused_at == 5);
    assert_true(out.index == 6 && out.size == 5 && out.stream == CLICKS && bytes_equal(out.event, bytes_text("bytes")));
    assert_true(bytes_equal(out.client, bytes_text("c")) && bytes_equal(out.instance, bytes_text("i")));
    assert_true(bytes_equal(out.lane, bytes_text("l")) && bytes_equal(out.message, first.message));
    for (size_t size = 0; size < row.size; size++) /* a row that lost its end */
        assert_int_equal(rejected_decode(bytes_of(row.data, size), &out, NULL), TM_DATA_LOSS);
    assert_true(rejected_next(&r, &stream, &letter) && stream == IMPRESSIONS && letter.size == 0);
    assert_true(rejected_next(&r, &stream, &letter));
    row.size = 0;
    rejected_row(&row, 1, &s, letter);
    assert_int_equal(rejected_decode(buffer_view(&row), &out, NULL), TM_OK);
    assert_true(out.event.size == REJECTED_EVENT_MAX && out.size == REJECTED_EVENT_MAX + 1);
    assert_false(rejected_next(&r, &stream, &letter));
}

struct ring {
    char folder[64];
    struct data_dir dir;
    struct rejects rejects;
};

static void open_ring(struct ring *ring)
{
    struct tm_error err;
    if (data_dir_open(ring->folder, 4, 0, NULL, &ring->dir, &err) != TM_OK ||
        rejects_load(ring->dir.log, &ring->rejects, &err) != TM_OK)
        fail_msg("%s", err.message);
}

static void put(struct ring *ring, const struct submission *s)
{
    struct rocks_batch *batch = rocks_batch_new(ring->dir.log);
    rejects_put(&ring->rejects, s, batch);
    rocks_write(ring->dir.log, batch);
    rocks_batch_free(batch);
}

/* `n` refused events of a stream, half of them counted only. */
static void put_batch(struct ring *ring, uint8_t stream, int n, bool repeated)
{
    CLEANUP(buffer_close) struct buffer list = {0};
    struct rejected r = refused(stream, "bytes");
    for (int i = 0; i < n; i++)
        if (i % 2)
            rejected_put_unkept(&list, stream);
        else
            rejected_put(&list, &r);
    put(ring, &(struct submission){.kind = SUBMIT_BATCH, .repeated = repeated, .letters = buffer_view(&list)});
}

static void expect_counts(struct ring *ring, uint8_t stream, uint64_t seen, uint64_t kept)
{
    struct rejects_count count[REJECTS_STREAMS];
    assert_int_equal(rejects_counts(ring->dir.log, count, NULL), TM_OK);
    assert_true(count[stream].seen == seen && count[stream].kept == kept);
}

static void the_door_keeps_the_newest(void **state)
{
    struct ring *ring = mem_new(1, sizeof *ring);
    CLEANUP(buffer_close) struct buffer row = {0};
    char command[128];
    (void)state;
    strcpy(ring->folder, "/tmp/tidemill-dead-letters-XXXXXX");
    assert_non_null(mkdtemp(ring->folder));
    open_ring(ring);
    expect_counts(ring, CLICKS, 0, 0);
    put_batch(ring, REJECTED_STREAM_UNKNOWN, 20, false);
    put_batch(ring, REJECTED_STREAM_UNKNOWN, 20, true); /* a repeated batch adds nothing */
    put(ring, &(struct submission){.kind = SUBMIT_BATCH, .code = TM_FAILED_PRECONDITION, .letters = bytes_text("x")});
    expect_counts(ring, REJECTED_STREAM_UNKNOWN, 20, 10);
    assert_int_equal(rejects_get(ring->dir.log, 9, &row, NULL), TM_OK);
    row.size = 0;
    assert_int_equal(rejects_get(ring->dir.log, 10, &row, NULL), TM_NOT_FOUND);
    put_batch(ring, CLICKS, 2 * (REJECTS_KEPT - 5), false); /* around the ring: five of the first ten are left */
    data_dir_close(&ring->dir);
    open_ring(ring);
    expect_counts(ring, REJECTED_STREAM_UNKNOWN, 20, 5);
    expect_counts(ring, CLICKS, 2 * (REJECTS_KEPT - 5), REJECTS_KEPT - 5);
    put_batch(ring, CLICKS, 10, false);
    expect_counts(ring, REJECTED_STREAM_UNKNOWN, 20, 0);
    expect_counts(ring, CLICKS, 2 * REJECTS_KEPT, REJECTS_KEPT);
    row.size = 0;
    assert_int_equal(rejects_get(ring->dir.log, 9, &row, NULL), TM_NOT_FOUND);
    row.size = 0;
    assert_int_equal(rejects_get(ring->dir.log, REJECTS_KEPT + 9, &row, NULL), TM_OK);
    data_dir_close(&ring->dir);
    snprintf(command, sizeof command, "rm -rf '%s'", ring->folder);
    free(ring);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_of_each_kind_are_kept), cmocka_unit_test(commits_and_restarts_change_nothing),
        cmocka_unit_test(nothing_new_writes_nothing),       cmocka_unit_test(damaged_rows_are_told),
        cmocka_unit_test(reasons_are_found_by_their_names), cmocka_unit_test(a_refused_event_comes_back),
        cmocka_unit_test(the_door_keeps_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
