/* Tests of the samples that are kept: rows that read back, rows that are damaged, and what goes when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "ps/state/archive.h"
#include "tests/simulation/memory_store.h"
#include "tests/unit/random.h"

enum { SHARD = 5, LABELS = 3, FUZZ_ROUNDS = 20000 };

/* ---- samples ---- */

static struct bytes event_of(uint64_t sequence, struct buffer *out)
{
    char request[32], doc[32];
    snprintf(request, sizeof request, "r%llu", (unsigned long long)sequence);
    snprintf(doc, sizeof doc, "d%llu", (unsigned long long)sequence % 7);
    struct event e = {.request = bytes_text(request),
                      .doc = bytes_text(doc),
                      .payload = bytes_text("payload"),
                      .time = 1000 * (int64_t)sequence,
                      .score = 0.25F,
                      .has = EVENT_HAS_TIME | EVENT_HAS_SCORE};
    out->size = 0;
    event_encode(&e, out);
    return buffer_view(out);
}

static struct kept_sample sample_of(uint64_t sequence, int64_t decided_at, struct buffer *event)
{
    struct kept_sample kept;
    struct sample s = {.sequence = sequence,
                       .kind = sequence % 4 == 3 ? SAMPLE_CORRECTION : SAMPLE_NEW,
                       .original = sequence % 4 == 3 ? sequence - 1 : 0,
                       .version = 1 + (uint32_t)sequence % 3,
                       .impression_time = decided_at - 10,
                       .decided_at = decided_at,
                       .position = 9 * sequence,
                       .label_count = LABELS,
                       .streams = (uint32_t)sequence % 4,
                       .labels = {(double)(sequence % 8), 0.5, -1},
                       .old_labels = {sequence % 4 == 3 ? (double)(sequence % 5) : 0, 7},
                       .weight = 0.5,
                       .keep = 0.25};
    kept_sample_of(&s, event_of(sequence, event), (struct bytes){0}, &kept);
    kept.tables = bytes_text(sequence % 5 ? "" : "rows of tables");
    kept.records = bytes_text(sequence % 3 ? "" : "what feature streams brought");
    return kept;
}

static void assert_sample(const struct kept_sample *s, uint64_t sequence, int64_t decided_at)
{
    CLEANUP(buffer_close) struct buffer event = {0};
    struct kept_sample want = sample_of(sequence, decided_at, &event);
    assert_true(s->sequence == want.sequence && s->kind == want.kind && s->original == want.original);
    assert_true(s->version == want.version && s->position == want.position && s->labels == LABELS);
    assert_true(s->impression_time == want.impression_time && s->decided_at == want.decided_at);
    assert_true(s->weight == want.weight && s->keep == want.keep);
    assert_true(s->label[0] == (double)(sequence % 8) && s->label[1] == 0.5 && s->label[2] == -1);
    bool correction = sequence % 4 == 3;
    assert_true(s->old_label[0] == (correction ? (double)(sequence % 5) : 0) &&
                s->old_label[1] == (correction ? 7 : 0));
    assert_true(bytes_equal(s->wire, want.wire) && s->event.score == 0.25F);
    assert_true(bytes_equal(s->tables, want.tables) && bytes_equal(s->records, want.records));
    assert_int_equal(s->streams, want.streams);
}

static void fill_row(struct buffer *row, uint64_t first, uint64_t count)
{
    CLEANUP(buffer_close) struct buffer event = {0};
    for (uint64_t i = first; i < first + count; i++) {
        struct kept_sample s = sample_of(i, 100 * (int64_t)i, &event);
        sample_row_append(row, &s);
    }
}

static void test_a_row_reads_back(void **state)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    struct sample_row_reader r;
    struct kept_sample s;
    struct tm_error err;
    bool end = false;
    uint64_t n = 0;
    (void)state;
    fill_row(&row, 40, 30);
    assert_int_equal(sample_row_open(buffer_view(&row), &r, &err), TM_OK);
    assert_true(r.head.first == 40 && r.head.count == 30 && r.head.oldest == 4000 && r.head.newest == 6900);
    while (sample_row_next(&r, &s, &end, &err) == TM_OK && !end) {
        assert_sample(&s, 40 + n, 100 * (int64_t)(40 + n));
        n++;
    }
    assert_true(end && n == 30);
}

/* Read all of it; the number of samples, or -1 when it is refused. */
static int read_all(struct bytes row)
{
    struct sample_row_reader r;
    struct kept_sample s;
    struct tm_error err;
    bool end = false;
    int n = 0;
    enum tm_code rc = sample_row_open(row, &r, &err);
    while (rc == TM_OK && (rc = sample_row_next(&r, &s, &end, &err)) == TM_OK && !end)
        n++;
    assert_true(rc == TM_OK || (rc == TM_DATA_LOSS && *err.message));
    return rc == TM_OK ? n : -1;
}

/* The gate of a new epoch of the join may lie behind that of the one before. */
static void test_a_row_bears_decisions_that_go_back(void **state)
{
    CLEANUP(buffer_close) struct buffer row = {0}, event = {0};
    static const int64_t decided_at[] = {500, 300, 700, 400};
    struct sample_row_head head;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(decided_at); i++) {
        struct kept_sample s = sample_of(i + 1, decided_at[i], &event);
        sample_row_append(&row, &s);
    }
    assert_int_equal(sample_row_head(buffer_view(&row), &head, NULL), TM_OK);
    assert_true(head.oldest == 300 && head.newest == 700);
    assert_int_equal(read_all(buffer_view(&row)), ARRAY_LEN(decided_at));
}

static void test_every_cut_is_noticed(void **state)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    (void)state;
    fill_row(&row, 1, 5);
    for (size_t size = 0; size < row.size; size++) {
        uint8_t *exact = memcpy(mem_new(size + 1, 1), row.data, size); /* so that ASan sees one byte too far */
        assert_int_equal(read_all(bytes_of(exact, size)), -1);
        free(exact);
    }
    assert_int_equal(read_all(buffer_view(&row)), 5);
    buffer_put_u8(&row, 0);
    assert_int_equal(read_all(buffer_view(&row)), -1);
}

/* Whatever the bytes are, a row is read or refused; ASan and UBSan watch. */
static void test_damage_is_survived(void **state)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    uint64_t seed = 11, refused = 0;
    (void)state;
    fill_row(&row, 1, 8);
    for (int i = 0; i < FUZZ_ROUNDS; i++) {
        size_t size = below(&seed, 8) ? row.size : below(&seed, row.size + 1);
        uint8_t *damaged = memcpy(mem_new(size + 1, 1), row.data, size);
        for (uint64_t hits = below(&seed, 4); size > 0 && hits > 0; hits--)
            damaged[below(&seed, size)] = (uint8_t)(below(&seed, 3) ? draw(&seed) : 0xff);
        refused += read_all(bytes_of(damaged, size)) < 0;
        free(damaged);
    }
    assert_true(refused > FUZZ_ROUNDS / 10 && refused < FUZZ_ROUNDS);
}

/* ---- the archive ---- */

struct bench {
    struct archive archive;
    struct memory_store disk;
    struct archive_options options;
    uint64_t added; /* newest sequence */
    int64_t gate;
};

static void open_archive(struct bench *b)
{
    struct store store = memory_store_face(&b->disk);
    struct tm_error err;
    archive_open(&b->archive, SHARD, &b->options);
    if (archive_load(&b->archive, &store, &err) != TM_OK)
        fail_msg("%s", err.message);
}

static void close_bench(struct bench *b)
{
    archive_close(&b->archive);
    memory_store_close(&b->disk);
}

static void add(struct bench *b, uint64_t n)
{
    CLEANUP(buffer_close) struct buffer event = {0};
    for (; n > 0; n--) {
        struct kept_sample s = sample_of(++b->added, b->gate, &event);
        archive_add(&b->archive, &s);
    }
}

static void commit(struct bench *b)
{
    struct store_batch batch = {0};
    archive_freeze(&b->archive, b->gate, &batch);
    memory_store_commit(&b->disk, &batch);
    memory_store_sync(&b->disk);
    assert_int_equal(archive_unfrozen(&b->archive), 0);
}

struct stored {
    uint64_t first, next, rows, bytes; /* sequences [first, next) */
    int64_t oldest;                    /* newest decision of the first row */
};

static enum tm_code on_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct stored *s = context;
    struct sample_row_head head;
    if (key.data[2] < 2) /* place and marks */
        return TM_OK;
    assert_int_equal(sample_row_head(value, &head, err), TM_OK);
    if (s->rows++ == 0) {
        s->first = head.first;
        s->oldest = head.newest;
    } else {
        assert_true(head.first == s->next); /* no gap */
    }
    s->next = head.first + head.count;
    s->bytes += value.size;
    return TM_OK;
}

static struct stored look(struct bench *b)
{
    struct stored s = {0};
    struct tm_error err;
    struct store store = memory_store_face(&b->disk);
    uint8_t prefix[2];
    key_put_u16(prefix, SHARD);
    struct bytes p = bytes_of(prefix, sizeof prefix);
    assert_int_equal(store.scan(store.self, STORE_ARCHIVE, p, p, on_row, &s, &err), TM_OK);
    assert_true(s.bytes == b->archive.index.bytes);
    return s;
}

/* Nothing that is younger than `retain` goes while there is room; nothing stays that is much older. */
static void test_time_decides(void **state)
{
    struct bench b = {.options = {.retain_ms = 64000, .bytes_max = UINT64_C(1) << 30}, .gate = 1000000};
    uint64_t seed = 4;
    int64_t decided_at[4 * 3000]; /* by sequence */
    (void)state;
    open_archive(&b);
    for (int i = 0; i < 3000; i++) {
        b.gate += (int64_t)below(&seed, 500);
        for (uint64_t n = below(&seed, 4); n > 0; n--) {
            add(&b, 1);
            decided_at[b.added] = b.gate;
        }
        commit(&b);
        struct stored s = look(&b);
        if (s.rows == 0)
            continue;
        assert_int_equal(s.next, b.added + 1);
        assert_true(s.first == 1 || decided_at[s.first - 1] < b.gate - b.options.retain_ms);
        assert_true(s.oldest >= b.gate - b.options.retain_ms - 2 * 1000 - 500); /* a stretch and a commit more */
        if (below(&seed, 50) == 0) {                                            /* a restart */
            archive_close(&b.archive);
            open_archive(&b);
        }
    }
    assert_true(look(&b).first > b.added / 2);
    b.gate += 10 * b.options.retain_ms; /* silence */
    commit(&b);
    for (int i = 0; i < 100; i++)
        commit(&b);
    assert_int_equal(look(&b).rows, 0);
    assert_int_equal(b.archive.index.bytes, 0);
    add(&b, 1);
    commit(&b);
    assert_int_equal(look(&b).first, b.added);
    close_bench(&b);
}

static void test_bytes_decide(void **state)
{
    struct bench b = {.options = {.retain_ms = INT64_C(1) << 40, .bytes_max = 4 << 20}, .gate = 1000};
    (void)state;
    open_archive(&b);
    for (int i = 0; i < 400; i++) {
        add(&b, 500);
        commit(&b);
    }
    struct stored s = look(&b);
    assert_true(s.bytes <= b.options.bytes_max + 2 * ARCHIVE_MARK_BYTES && s.bytes > b.options.bytes_max / 2);
    assert_int_equal(s.next, b.added + 1);
    assert_true(s.first > 1 && b.archive.index.count <= 16);
    close_bench(&b);
}

/* Switched off everything goes, some with each commit; and not a byte is written any more. */
static void test_switched_off(void **state)
{
    struct bench b = {.options = {.retain_ms = INT64_C(1) << 40, .bytes_max = UINT64_C(1) << 30}, .gate = 1000};
    struct store_batch batch = {0};
    (void)state;
    open_archive(&b);
    for (int i = 0; i < 100; i++) {
        add(&b, 1000);
        commit(&b);
    }
    archive_close(&b.archive);
    b.options.retain_ms = 0;
    open_archive(&b);
    uint64_t end = archive_end(&b.archive);
    for (int i = 0; i < 10; i++)
        commit(&b);
    assert_int_equal(look(&b).rows, 0);
    assert_int_equal(b.disk.table[STORE_ARCHIVE].rows, 1); /* its place */
    assert_int_equal(archive_end(&b.archive), end);        /* no number is used twice */
    archive_freeze(&b.archive, b.gate, &batch);
    assert_int_equal(batch.operations.size, 0);
    store_batch_close(&batch);
    close_bench(&b);
}

static void test_a_damaged_index_is_refused(void **state)
{
    struct bench b = {.options = {.retain_ms = 64000, .bytes_max = UINT64_C(1) << 30}, .gate = 1000};
    struct archive_index index;
    struct tm_error err;
    (void)state;
    open_archive(&b);
    for (int i = 0; i < 50; i++) {
        b.gate += 700;
        add(&b, 10);
        commit(&b);
    }
    struct store store = memory_store_face(&b.disk);
    struct memory_table *t = &b.disk.table[STORE_ARCHIVE];
    assert_true(b.archive.index.count > 10);
    CLEANUP(buffer_close) struct buffer key = {0};
    buffer_put(&key, t->row[5].key.data, t->row[5].key.size);
    assert_int_equal(key.data[2], 1); /* a mark */
    memory_table_remove(t, buffer_view(&key));
    assert_int_equal(archive_index_read(&store, SHARD, &index, &err), TM_DATA_LOSS);
    memory_table_put(t, buffer_view(&key), bytes_text("nonsense"));
    assert_int_equal(archive_index_read(&store, SHARD, &index, &err), TM_DATA_LOSS);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_reads_back),     cmocka_unit_test(test_a_row_bears_decisions_that_go_back),
        cmocka_unit_test(test_every_cut_is_noticed), cmocka_unit_test(test_damage_is_survived),
        cmocka_unit_test(test_time_decides),         cmocka_unit_test(test_bytes_decide),
        cmocka_unit_test(test_switched_off),         cmocka_unit_test(test_a_damaged_index_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
