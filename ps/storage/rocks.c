#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pack.h"
#include "ps/storage/disk.h"
#include "ps/storage/rocks_parts.h"

struct rocks_batch {
    struct rocks *db;
    rocksdb_writebatch_t *batch;
    struct buffer packed;
};

static rocksdb_column_family_handle_t *handle(const struct rocks *r, size_t family)
{
    CHECK(family < r->families);
    return r->family[family + 1];
}

struct rocks_batch *rocks_batch_new(struct rocks *db)
{
    struct rocks_batch *b = mem_new(1, sizeof *b);
    *b = (struct rocks_batch){.db = db, .batch = rocksdb_writebatch_create()};
    return b;
}

void rocks_batch_free(struct rocks_batch *b)
{
    if (!b)
        return;
    rocksdb_writebatch_destroy(b->batch);
    buffer_close(&b->packed);
    free(b);
}

void rocks_batch_clear(struct rocks_batch *b) { rocksdb_writebatch_clear(b->batch); }

static bool is_packed(const struct rocks *r, size_t family)
{
    return r->named[family].rows == ROCKS_PACKED || r->named[family].rows == ROCKS_PASSING;
}

/* A row as it was put: a view of what is stored, or of *buffer. */
static enum tm_code unpack_row(const struct rocks *r, size_t family, struct buffer *buffer, struct bytes *row,
                               struct tm_error *err)
{
    if (!is_packed(r, family) || unpack(*row, buffer, row))
        return TM_OK;
    return tm_error_set(err, TM_DATA_LOSS, "%s: a row of %s cannot be unpacked: it is damaged", r->path,
                        r->named[family].name);
}

static void put(struct rocks_batch *b, size_t family, struct bytes key, struct bytes value)
{
    rocksdb_writebatch_put_cf(b->batch, handle(b->db, family), (const char *)key.data, key.size,
                              (const char *)value.data, value.size);
}

void rocks_batch_put(struct rocks_batch *b, size_t family, struct bytes key, struct bytes value)
{
    if (is_packed(b->db, family)) {
        b->packed.size = 0;
        pack(value, &b->packed);
        value = buffer_view(&b->packed);
    }
    put(b, family, key, value);
}

void rocks_batch_put_packed(struct rocks_batch *b, size_t family, struct bytes key, struct bytes value)
{
    CHECK(is_packed(b->db, family));
    put(b, family, key, value);
}

void rocks_batch_remove(struct rocks_batch *b, size_t family, struct bytes key)
{
    rocksdb_writebatch_delete_cf(b->batch, handle(b->db, family), (const char *)key.data, key.size);
}

size_t rocks_batch_count(const struct rocks_batch *b) { return (size_t)rocksdb_writebatch_count(b->batch); }

size_t rocks_batch_bytes(const struct rocks_batch *b)
{
    size_t size;
    rocksdb_writebatch_data(b->batch, &size);
    return size;
}

/* After one failed sync the kernel may report success for pages that never reached the disk: there is no second try. */
static void stop_on_failure(const struct rocks *r, const char *doing, char *words)
{
    if (words)
        stop(STOP_IO, "%s: %s: %s", r->path, doing, words);
}

static void use(struct rocks *r) { CHECK(pthread_rwlock_rdlock(&r->handle) == 0); }
static void unuse(struct rocks *r) { CHECK(pthread_rwlock_unlock(&r->handle) == 0); }

/* Under the mutex. Returns RocksDB's words when there was no room, NULL when it is written. */
static char *try_to_write(struct rocks *r, struct rocks_batch *b)
{
    char *words = NULL;
    use(r);
    rocksdb_write(r->db, r->write, b->batch, &words);
    unuse(r);
    if (words && (!r->disk || !rocks_found_no_room(words)))
        stop_on_failure(r, "write", words);
    return words;
}

static void wait_for_room(struct rocks *r, const char *what, uint64_t bytes, bool after_failure)
{
    if (r->disk && !disk_wait(r->disk, bytes, after_failure))
        stop(tm_code_exit(TM_RESOURCE_EXHAUSTED),
             "%s: %s: no space left on the disk, and the server was to end: what was acknowledged is in the log, and "
             "what of it is not in the state yet is read again at the next start",
             r->path, what);
}

/* Under the mutex. Its files end in the middle of a record now, and RocksDB would assert on the next thing it does with
 * them. Opened again, it cuts the end off, as after a crash. Until then nobody has a handle. */
static void open_again(struct rocks *r, uint64_t bytes)
{
    struct tm_error err;
    enum tm_code rc;
    CHECK(pthread_rwlock_wrlock(&r->handle) == 0);
    rocks_close_handle(r);
    CHECK(pthread_rwlock_unlock(&r->handle) == 0);
    do {
        wait_for_room(r, "open again", bytes, true);
        CHECK(pthread_rwlock_wrlock(&r->handle) == 0);
        rc = rocks_open_handle(r, &err);
        CHECK(pthread_rwlock_unlock(&r->handle) == 0);
    } while (rc == TM_RESOURCE_EXHAUSTED);
    if (rc)
        stop(rc == TM_IO ? STOP_IO : tm_code_exit(rc), "after the disk was full: %s", err.message);
}

void rocks_write(struct rocks *db, struct rocks_batch *b)
{
    char *words;
    CHECK(b->db == db);
    CHECK(pthread_mutex_lock(&db->mutex) == 0);
    wait_for_room(db, "write", rocks_batch_bytes(b), false);
    while ((words = try_to_write(db, b))) {
        rocksdb_free(words);
        open_again(db, rocks_batch_bytes(b));
    }
    CHECK(pthread_mutex_unlock(&db->mutex) == 0);
}

void rocks_sync(struct rocks *db)
{
    char *words = NULL;
    CHECK(pthread_mutex_lock(&db->mutex) == 0);
    use(db);
    rocksdb_flush_wal(db->db, 1, &words);
    unuse(db);
    stop_on_failure(db, "sync", words);
    CHECK(pthread_mutex_unlock(&db->mutex) == 0);
}

void rocks_drop_tables(struct rocks *db, size_t family, struct bytes from, struct bytes to)
{
    char *words = NULL;
    use(db);
    if (db->db)
        rocksdb_delete_file_in_range_cf(db->db, handle(db, family), (const char *)from.data, from.size,
                                        (const char *)to.data, to.size, &words);
    unuse(db);
    rocksdb_free(words); /* it refuses the next write, too, and that one tells */
}

/* For reading: TM_OK with the handle in use, or why there is none. */
static enum tm_code begin(struct rocks *db, struct tm_error *err)
{
    use(db);
    if (db->db)
        return TM_OK;
    unuse(db);
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%s: closed until there is space left on the disk; try again later",
                        db->path);
}

/* The handle is in use. */
static enum tm_code get_row(struct rocks *db, size_t family, struct bytes key, struct buffer *out, struct tm_error *err)
{
    char *words = NULL;
    size_t size;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(db->db, db->get, handle(db, family), (const char *)key.data, key.size, &words);
    enum tm_code rc = rocks_take_words(db->path, "get", &words, err);
    if (slice) {
        const char *value = rocksdb_pinnableslice_value(slice, &size);
        CLEANUP(buffer_close) struct buffer raw = {0};
        struct bytes row = bytes_of(value, size);
        rc = unpack_row(db, family, &raw, &row, err);
        if (rc == TM_OK)
            buffer_put(out, row.data, row.size);
        rocksdb_pinnableslice_destroy(slice);
    } else if (rc == TM_OK) {
        rc = TM_NOT_FOUND;
    }
    return rc;
}

enum tm_code rocks_get(struct rocks *db, size_t family, struct bytes key, struct buffer *out, struct tm_error *err)
{
    enum tm_code rc = begin(db, err);
    if (rc)
        return rc;
    rc = get_row(db, family, key, out, err);
    unuse(db);
    return rc;
}

static struct bytes iterator_key(const rocksdb_iterator_t *it)
{
    size_t size;
    const char *key = rocksdb_iter_key(it, &size);
    return bytes_of(key, size);
}

static struct bytes iterator_value(const rocksdb_iterator_t *it)
{
    size_t size;
    const char *value = rocksdb_iter_value(it, &size);
    return bytes_of(value, size);
}

/* A damaged table ends an iteration early and only this tells. */
static enum tm_code iterator_end(const struct rocks *db, rocksdb_iterator_t *it, struct tm_error *err)
{
    char *words = NULL;
    rocksdb_iter_get_error(it, &words);
    return rocks_take_words(db->path, "read", &words, err);
}

static bool has_prefix(struct bytes key, struct bytes prefix)
{
    return key.size >= prefix.size && (prefix.size == 0 || memcmp(key.data, prefix.data, prefix.size) == 0);
}

static int compare(struct bytes a, struct bytes b)
{
    size_t least = a.size < b.size ? a.size : b.size;
    int order = least ? memcmp(a.data, b.data, least) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static enum tm_code scan_range(struct rocks *db, size_t family, rocksdb_iterator_t *it, const struct store_range *range,
                               store_visit *visit, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer raw = {0};
    struct bytes start = compare(range->from, range->prefix) > 0 ? range->from : range->prefix;
    enum tm_code rc = TM_OK;
    for (rocksdb_iter_seek(it, (const char *)start.data, start.size); rc == TM_OK && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        struct bytes key = iterator_key(it), value = iterator_value(it);
        if (!has_prefix(key, range->prefix))
            break;
        rc = unpack_row(db, family, &raw, &value, err);
        if (rc == TM_OK)
            rc = visit(range->context, key, value, err);
    }
    if (rc == TM_OK)
        rc = iterator_end(db, it, err);
    return rc == STORE_ENOUGH ? TM_OK : rc;
}

/* The handle is in use. */
static enum tm_code scan_ranges(struct rocks *db, size_t family, rocksdb_readoptions_t *options,
                                const struct store_range *ranges, size_t count, store_visit *visit,
                                struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->db, options, handle(db, family));
    for (size_t i = 0; rc == TM_OK && i < count; i++)
        rc = scan_range(db, family, it, &ranges[i], visit, err);
    rocksdb_iter_destroy(it);
    return rc;
}

enum tm_code rocks_scan(struct rocks *db, size_t family, struct bytes from, struct bytes prefix, store_visit *visit,
                        void *context, struct tm_error *err)
{
    enum tm_code rc = begin(db, err);
    if (rc)
        return rc;
    rc = scan_ranges(db, family, db->scan, &(struct store_range){from, prefix, context}, 1, visit, err);
    unuse(db);
    return rc;
}

/* The writer that closed it holds the mutex until it has written. */
static void begin_patiently(struct rocks *db)
{
    for (use(db); !db->db; use(db)) {
        unuse(db);
        CHECK(pthread_mutex_lock(&db->mutex) == 0);
        CHECK(pthread_mutex_unlock(&db->mutex) == 0);
    }
}

enum tm_code rocks_scan_patiently(struct rocks *db, size_t family, struct bytes from, struct bytes prefix,
                                  store_visit *visit, void *context, struct tm_error *err)
{
    begin_patiently(db);
    enum tm_code rc = scan_ranges(db, family, db->scan, &(struct store_range){from, prefix, context}, 1, visit, err);
    unuse(db);
    return rc;
}

enum tm_code rocks_scan_ranges(struct rocks *db, size_t family, const struct store_range *ranges, size_t count,
                               store_visit *visit, struct tm_error *err)
{
    begin_patiently(db);
    enum tm_code rc = scan_ranges(db, family, db->get, ranges, count, visit, err);
    unuse(db);
    return rc;
}

enum tm_code rocks_get_patiently(struct rocks *db, size_t family, struct bytes key, struct buffer *out,
                                 struct tm_error *err)
{
    begin_patiently(db);
    enum tm_code rc = get_row(db, family, key, out, err);
    unuse(db);
    return rc;
}

/* Copy the row the iterator stands on, then end it, and the use of the handle. */
static enum tm_code take_row(struct rocks *db, size_t family, rocksdb_iterator_t *it, struct buffer *key,
                             struct buffer *value, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer raw = {0};
    enum tm_code rc = TM_OK;
    key->size = value->size = 0;
    if (rocksdb_iter_valid(it)) {
        struct bytes k = iterator_key(it), v = iterator_value(it);
        rc = unpack_row(db, family, &raw, &v, err);
        buffer_put(key, k.data, k.size);
        buffer_put(value, v.data, v.size);
    } else {
        rc = iterator_end(db, it, err);
        rc = rc ? rc : TM_NOT_FOUND;
    }
    rocksdb_iter_destroy(it);
    unuse(db);
    return rc;
}

enum tm_code rocks_last(struct rocks *db, size_t family, struct buffer *key, struct buffer *value, struct tm_error *err)
{
    enum tm_code rc = begin(db, err);
    if (rc)
        return rc;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->db, db->get, handle(db, family));
    rocksdb_iter_seek_to_last(it);
    return take_row(db, family, it, key, value, err);
}

enum tm_code rocks_floor(struct rocks *db, size_t family, struct bytes at, struct buffer *key, struct buffer *value,
                         struct tm_error *err)
{
    enum tm_code rc = begin(db, err);
    if (rc)
        return rc;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->db, db->get, handle(db, family));
    rocksdb_iter_seek_for_prev(it, (const char *)at.data, at.size);
    return take_row(db, family, it, key, value, err);
}

/* ---- figures ---- */

/* Summed up over the families, or asked of the first one when it is of the database as a whole. */
static uint64_t figure(struct rocks *db, const char *property, bool each)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= (each ? db->families : 0); i++) {
        uint64_t v = 0;
        if (rocksdb_property_int_cf(db->db, db->family[i], property, &v) == 0)
            sum += v;
    }
    return sum;
}

/* RocksDB tells numbers of files only level by level, and as text. */
static uint64_t count_files(struct rocks *db)
{
    enum { LEVELS = 7 };
    uint64_t sum = 0;
    for (size_t i = 0; i <= db->families; i++)
        for (int level = 0; level < LEVELS; level++) {
            char property[64];
            snprintf(property, sizeof property, "rocksdb.num-files-at-level%d", level);
            char *text = rocksdb_property_value_cf(db->db, db->family[i], property);
            sum += text ? strtoull(text, NULL, 10) : 0;
            rocksdb_free(text);
        }
    return sum;
}

void rocks_status(struct rocks *db, struct rocks_status *out)
{
    *out = (struct rocks_status){0};
    use(db);
    if (db->db) { /* closed while it waits for room */
#define F(field, property, each) out->field = figure(db, property, each);
        ROCKS_FIGURES(F)
#undef F
        out->live_files = count_files(db);
    }
    unuse(db);
}
