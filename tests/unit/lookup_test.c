/* Rows of tables: their keys, the cache, and the sweep over a real database. */
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ps/storage/data_dir.h"
#include "ps/storage/lookup_rows.h"
#include "tests/simulation/memory_store.h"

enum { T = 1000, SHARD = 5 };

/* ---- keys ---- */

static struct catalog catalog_of(uint32_t user_fields)
{
    struct catalog c = {.joined = true, .key_fields = JOINER_KEY_REQUEST | JOINER_KEY_DOC};
    c.join.streams = 2;
    c.join.stream[0].kind = JOINER_IMPRESSION;
    c.join.stream[1] = (struct joiner_stream){.kind = JOINER_TABLE, .key_fields = user_fields};
    return c;
}

static void a_key_needs_its_fields_and_knows_its_place(void **state)
{
    struct event e = {.doc = bytes_text("d"), .user = bytes_text("u")}, nobody = {.doc = bytes_text("d")};
    struct lookup_key by_user, by_both;
    struct catalog users = catalog_of(JOINER_KEY_USER), pairs = catalog_of(JOINER_KEY_USER | JOINER_KEY_DOC);
    (void)state;
    assert_true(lookup_key_of(&e, &users, 1, SHARD, 1, &by_user));
    assert_true(lookup_key_of(&e, &pairs, 1, SHARD, 1, &by_both));
    assert_false(lookup_key_of(&nobody, &users, 1, SHARD, 1, &by_user));
    assert_int_equal(by_user.place, LOOKUP_NODE_WIDE);
    assert_int_equal(by_both.place, SHARD);
    assert_false(hash128_equal(by_user.hash, by_both.hash));
}

static void stored_rows_of_a_key_begin_with_the_newest(void **state)
{
    static const struct {
        int64_t time;
        uint64_t position;
    } rows[] = {{INT64_MAX, 1}, {5, UINT64_MAX}, {5, 2}, {0, 9}, {-3, 9}, {INT64_MIN, 0}};
    const struct lookup_key key = {.place = 1, .stream = 2, .hash = {3, 4}};
    uint8_t before[LOOKUP_ROW_SIZE], stored[LOOKUP_ROW_SIZE];
    int64_t time;
    uint64_t position;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        lookup_put_row(&key, rows[i].time, rows[i].position, stored);
        assert_true(i == 0 || memcmp(before, stored, sizeof stored) < 0);
        assert_true(lookup_get_row(bytes_of(stored, sizeof stored), &time, &position));
        assert_true(time == rows[i].time && position == rows[i].position);
        memcpy(before, stored, sizeof stored);
    }
    assert_false(lookup_get_row(bytes_of(stored, sizeof stored - 1), &time, &position));
}

/* ---- the cache ---- */

struct shelf {
    struct memory_table rows;
    uint32_t scans;
    struct lookup_cache *cache; /* while it is set, a row is written in the middle of each scan */
};

static const struct lookup_key alice = {.place = LOOKUP_NODE_WIDE, .stream = 1, .hash = {1, 1}},
                               bob = {.place = LOOKUP_NODE_WIDE, .stream = 1, .hash = {2, 2}};

static void write_row(struct shelf *s, const struct lookup_key *key, int64_t time, uint64_t position, const char *text)
{
    uint8_t stored[LOOKUP_ROW_SIZE];
    lookup_put_row(key, time, position, stored);
    memory_table_put(&s->rows, bytes_of(stored, sizeof stored), bytes_text(text));
}

static enum tm_code scan(void *self, const struct store_range *ranges, size_t count, store_visit *visit,
                         struct tm_error *err)
{
    struct shelf *s = self;
    s->scans++;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(memory_table_scan(&s->rows, ranges[i].from, ranges[i].prefix, visit, ranges[i].context, err),
                         TM_OK);
    if (s->cache) {
        write_row(s, &alice, T + 50, 90, "written meanwhile");
        lookup_cache_forget(s->cache, &alice);
        s->cache = NULL;
    }
    return TM_OK;
}

/* "": there is none. */
static void expect(struct lookup_source source, const struct lookup_key *key, int64_t time, uint64_t position,
                   const char *want)
{
    CLEANUP(buffer_close) struct buffer event = {0};
    struct tm_error err;
    bool found;
    assert_int_equal(source.find(source.self, key, time, position, &event, &found, &err), TM_OK);
    assert_int_equal(found, *want != '\0');
    assert_true(bytes_equal(buffer_view(&event), bytes_text(want)));
}

static void the_row_that_counts(void **state)
{
    struct shelf s = {0};
    (void)state;
    write_row(&s, &alice, T, 10, "old");
    write_row(&s, &alice, T + 10, 20, "newer");
    write_row(&s, &alice, T + 10, 30, "newer, said again");
    write_row(&s, &alice, T + 20, 40, "");
    for (uint64_t room = 1; room <= 1 << 20; room <<= 20) { /* one entry, or all */
        struct lookup_cache *c = lookup_cache_open((struct lookup_store){&s, scan}, room);
        struct lookup_source source = lookup_cache_source(c);
        for (int again = 0; again < 2; again++) {
            expect(source, &alice, T - 1, 99, "");
            expect(source, &alice, T, 99, "old"); /* at the time of the impression is early enough */
            expect(source, &alice, T + 9, 99, "old");
            expect(source, &alice, T + 10, 99, "newer, said again");
            expect(source, &alice, T + 10, 30, "newer"); /* what came at the position has not come yet */
            expect(source, &alice, T + 20, 99, "");      /* deleted */
            expect(source, &alice, T + 20, 40, "newer, said again");
            expect(source, &bob, T + 20, 99, "");
        }
        lookup_cache_close(c);
    }
    memory_table_close(&s.rows);
}

static void keys_are_fetched_together_and_read_once(void **state)
{
    struct shelf s = {0};
    struct lookup_cache_counts counts;
    (void)state;
    write_row(&s, &alice, T, 10, "a");
    struct lookup_cache *c = lookup_cache_open((struct lookup_store){&s, scan}, 1 << 20);
    struct lookup_source source = lookup_cache_source(c);
    source.fetch(source.self, (const struct lookup_key[]){bob, alice, bob, alice}, 4);
    assert_int_equal(s.scans, 1);
    expect(source, &alice, T, 99, "a");
    expect(source, &bob, T, 99, ""); /* that there is none is known, too */
    source.fetch(source.self, (const struct lookup_key[]){bob, alice}, 2);
    assert_int_equal(s.scans, 1);
    lookup_cache_count(c, &counts);
    assert_int_equal(counts.lookups, 2);
    assert_int_equal(counts.misses, 2);
    assert_int_equal(counts.entries, 2);
    write_row(&s, &alice, T + 1, 20, "b");
    lookup_cache_forget(c, &alice);
    expect(source, &alice, T + 1, 99, "b");
    assert_int_equal(s.scans, 2);
    lookup_cache_close(c);
    memory_table_close(&s.rows);
}

static void what_was_read_while_a_row_was_written_is_not_kept(void **state)
{
    struct shelf s = {0};
    (void)state;
    write_row(&s, &alice, T, 10, "a");
    struct lookup_cache *c = lookup_cache_open((struct lookup_store){&s, scan}, 1 << 20);
    struct lookup_source source = lookup_cache_source(c);
    s.cache = c;
    expect(source, &alice, T + 50, 80, "a");
    expect(source, &alice, T + 50, 99, "written meanwhile");
    lookup_cache_forget(c, &alice);
    s.cache = c;
    source.fetch(source.self, &alice, 1);
    write_row(&s, &alice, T + 50, 91, "written after it");
    expect(source, &alice, T + 50, 99, "written after it");
    lookup_cache_close(c);
    memory_table_close(&s.rows);
}

/* More rows than an entry holds: older ones are looked for behind it. */
static void old_impressions_of_busy_keys(void **state)
{
    struct shelf s = {0};
    char text[] = "row 0";
    (void)state;
    for (int i = 0; i < 10; i++) {
        text[4] = (char)('0' + i);
        write_row(&s, &alice, T + i, (uint64_t)i, text);
    }
    struct lookup_cache *c = lookup_cache_open((struct lookup_store){&s, scan}, 1 << 20);
    struct lookup_source source = lookup_cache_source(c);
    expect(source, &alice, T + 9, 99, "row 9");
    expect(source, &alice, T + 6, 99, "row 6");
    assert_int_equal(s.scans, 1);
    expect(source, &alice, T + 5, 99, "row 5");
    assert_int_equal(s.scans, 2);
    expect(source, &alice, T + 9, 3, "row 2");
    expect(source, &alice, T - 1, 99, "");
    lookup_cache_close(c);
    memory_table_close(&s.rows);
}

static void the_cache_is_bounded(void **state)
{
    enum { BYTES = 64 << 10, KEYS = 4000 };
    struct shelf s = {0};
    struct lookup_cache_counts counts;
    (void)state;
    struct lookup_cache *c = lookup_cache_open((struct lookup_store){&s, scan}, BYTES);
    struct lookup_source source = lookup_cache_source(c);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct lookup_key key = {.stream = 1, .hash = {i * 7, i}};
        expect(source, &key, T, 99, "");
        expect(source, &alice, T, 99, ""); /* used all the time: it stays */
    }
    lookup_cache_count(c, &counts);
    assert_true(counts.bytes <= BYTES && counts.entries > 100);
    assert_int_equal(counts.misses, KEYS + 1);
    lookup_cache_close(c);
}

/* ---- threads ---- */

enum { RACE_KEYS = 5, RACE_ROWS = 4000, RACE_READERS = 3 };

/* Row i is of key i % RACE_KEYS, at position and time i. */
struct race {
    pthread_mutex_t mutex;
    struct shelf shelf;
    struct lookup_cache *cache;
    _Atomic uint64_t head; /* rows in front of it are written, and forgotten */
    _Atomic uint32_t wrong, right;
};

static struct lookup_key race_key(uint64_t i)
{
    return (struct lookup_key){.stream = 1, .hash = {i % RACE_KEYS, i % RACE_KEYS}};
}

static enum tm_code race_scan(void *self, const struct store_range *ranges, size_t count, store_visit *visit,
                              struct tm_error *err)
{
    struct race *r = self;
    pthread_mutex_lock(&r->mutex);
    enum tm_code rc = scan(&r->shelf, ranges, count, visit, err);
    pthread_mutex_unlock(&r->mutex);
    return rc;
}

static void *race_reader(void *context)
{
    struct race *r = context;
    struct lookup_source source = lookup_cache_source(r->cache);
    CLEANUP(buffer_close) struct buffer event = {0};
    for (uint64_t n = 0, head = 0; head < RACE_ROWS; n++) {
        head = atomic_load(&r->head);
        if (head < RACE_KEYS)
            continue;
        struct lookup_key key = race_key(n);
        uint64_t newest = head - 1 - (head - 1 - n % RACE_KEYS) % RACE_KEYS, got = 0;
        bool found;
        event.size = 0;
        if (n % 3 == 0)
            source.fetch(source.self, &key, 1);
        if (source.find(source.self, &key, INT64_MAX, head, &event, &found, NULL) == TM_OK && found)
            memcpy(&got, event.data, sizeof got);
        atomic_fetch_add(got == newest ? &r->right : &r->wrong, 1);
    }
    return NULL;
}

static void readers_see_what_was_written_before(void **state)
{
    struct race r = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t reader[RACE_READERS];
    (void)state;
    r.cache = lookup_cache_open((struct lookup_store){&r, race_scan}, 1 << 20);
    for (int i = 0; i < RACE_READERS; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, race_reader, &r), 0);
    for (uint64_t i = 0; i < RACE_ROWS; i++) {
        uint8_t stored[LOOKUP_ROW_SIZE];
        struct lookup_key key = race_key(i);
        lookup_put_row(&key, (int64_t)i, i, stored);
        pthread_mutex_lock(&r.mutex);
        memory_table_put(&r.shelf.rows, bytes_of(stored, sizeof stored), bytes_of(&i, sizeof i));
        pthread_mutex_unlock(&r.mutex);
        lookup_cache_forget(r.cache, &key);
        atomic_store(&r.head, i + 1);
    }
    for (int i = 0; i < RACE_READERS; i++)
        pthread_join(reader[i], NULL);
    assert_int_equal(r.wrong, 0);
    assert_true(r.right > 0);
    lookup_cache_close(r.cache);
    memory_table_close(&r.shelf.rows);
}

/* ---- the database ---- */

static void add_row(struct block_builder *b, const char *user, int64_t time, bool withdraw)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    event_encode(&(struct event){.user = bytes_text(user), .time = time, .withdraw = withdraw, .has = EVENT_HAS_TIME},
                 &wire);
    block_add_event(b, SHARD, 1, BLOCK_VERSION_NONE, buffer_view(&wire));
}

/* Write what was added, as the log's writer does; returns the next position. */
static uint64_t write_block(struct rocks *db, struct lookup_rows *l, struct block_builder *b, uint64_t first)
{
    CLEANUP(buffer_close) struct buffer bytes = {0};
    struct block block;
    struct rocks_batch *batch = rocks_batch_new(db);
    block_seal(b, first, &bytes);
    assert_int_equal(block_parse(buffer_view(&bytes), &block, NULL), TM_OK);
    lookup_rows_put(l, &block, batch);
    rocks_write(db, batch);
    lookup_rows_written(l, &block);
    rocks_batch_free(batch);
    return block.end;
}

static enum tm_code count_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    (void)key;
    (void)value;
    (void)err;
    ++*(uint32_t *)context;
    return TM_OK;
}

static uint32_t rows_in(struct rocks *db)
{
    uint32_t count = 0;
    assert_int_equal(rocks_scan(db, LOG_LOOKUP, (struct bytes){0}, (struct bytes){0}, count_row, &count, NULL), TM_OK);
    return count;
}

static void sweep(struct rocks *db, struct lookup_rows *l, int64_t now_ms)
{
    struct rocks_batch *batch = rocks_batch_new(db);
    for (int turn = 0; turn < 8; turn++) {
        rocks_batch_clear(batch);
        lookup_rows_sweep(l, now_ms, batch);
        rocks_write(db, batch);
    }
    rocks_batch_free(batch);
}

static bool has_row(struct lookup_rows *l, const struct catalog *c, const char *user, int64_t time)
{
    CLEANUP(buffer_close) struct buffer event = {0};
    struct lookup_source source = lookup_rows_source(l);
    struct lookup_key key;
    bool found;
    assert_true(lookup_key_of(&(struct event){.user = bytes_text(user)}, c, 1, SHARD, 1, &key));
    assert_int_equal(source.find(source.self, &key, time, UINT64_MAX, &event, &found, NULL), TM_OK);
    return found;
}

/* More than a slice of them, so that a sweep takes several turns. */
static void superseded_rows_are_swept_away(void **state)
{
    enum { USERS = 600 };
    char path[] = "/tmp/lookup-test-XXXXXX", user[16];
    struct data_dir dir;
    struct block_builder b = {0};
    struct catalog c = catalog_of(JOINER_KEY_USER);
    (void)state;
    assert_non_null(mkdtemp(path));
    assert_int_equal(data_dir_open(path, 8, 0, NULL, &dir, NULL), TM_OK);
    struct lookup_rows *l = lookup_rows_open(dir.log, &c, 1, 1 << 20);
    for (int i = 0; i < 3 * USERS; i++) {
        snprintf(user, sizeof user, "u%d", i % USERS);
        add_row(&b, user, T + i / USERS * 100, i % USERS == 0 && i / USERS == 2);
    }
    uint64_t end = write_block(dir.log, l, &b, 0);
    assert_int_equal(rows_in(dir.log), 3 * USERS);
    lookup_rows_release(l, 0, T + 150);
    sweep(dir.log, l, 1000);
    assert_int_equal(rows_in(dir.log), 3 * USERS); /* some shard may go back to the begin */
    lookup_rows_release(l, end, T + 150);
    sweep(dir.log, l, 1000 + LOOKUP_SWEEP_MS / 2);
    assert_int_equal(rows_in(dir.log), 3 * USERS); /* not yet again */
    sweep(dir.log, l, 1000 + LOOKUP_SWEEP_MS);
    assert_int_equal(rows_in(dir.log), 2 * USERS); /* impressions from T + 150 on need the row of T + 100 */
    assert_true(has_row(l, &c, "u1", T + 150));
    lookup_rows_release(l, end, T + 199);
    sweep(dir.log, l, 1000 + 2 * LOOKUP_SWEEP_MS);
    assert_int_equal(rows_in(dir.log), 2 * USERS); /* one of T + 199 may still come */
    lookup_rows_release(l, end, T + 200);
    sweep(dir.log, l, 1000 + 3 * LOOKUP_SWEEP_MS);
    assert_int_equal(rows_in(dir.log), USERS);
    assert_true(has_row(l, &c, "u1", T + 200));
    assert_false(has_row(l, &c, "u0", T + 200)); /* deleted */
    add_row(&b, "u0", T + 10, false);
    write_block(dir.log, l, &b, end);
    assert_false(has_row(l, &c, "u0", T + 300)); /* what comes late does not show through */
    block_builder_close(&b);
    lookup_rows_close(l);
    data_dir_close(&dir);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", path);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_needs_its_fields_and_knows_its_place),
        cmocka_unit_test(stored_rows_of_a_key_begin_with_the_newest),
        cmocka_unit_test(the_row_that_counts),
        cmocka_unit_test(keys_are_fetched_together_and_read_once),
        cmocka_unit_test(what_was_read_while_a_row_was_written_is_not_kept),
        cmocka_unit_test(old_impressions_of_busy_keys),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(readers_see_what_was_written_before),
        cmocka_unit_test(superseded_rows_are_swept_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
