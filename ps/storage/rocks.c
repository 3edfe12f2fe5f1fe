#include "ps/storage/rocks.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { READ_AHEAD = 2 << 20 };

struct rocks {
    rocksdb_t *db;
    bool incomplete;
    size_t families;
    rocksdb_column_family_handle_t **family; /* [0] is RocksDB's own "default", which we leave empty */
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *get, *scan;
    char path[];
};

struct rocks_batch {
    struct rocks *db;
    rocksdb_writebatch_t *batch;
};

/* WALs are not tracked in the manifest (track_and_verify_wals_in_manifest): before RocksDB 7.9 a race with a sync
 * raises false alarms that keep the database from opening (its pull request 10892). The reader of the log checks
 * that there is no gap and that it reaches every shard's place. */
#define COMMON                                                                                            \
    "create_if_missing=true;create_missing_column_families=true;max_background_jobs=2;bytes_per_sync=1M;" \
    "max_total_wal_size=256M;max_log_file_size=8M;keep_log_file_num=3;stats_dump_period_sec=0;"           \
    "stats_persist_period_sec=0;ttl=0;periodic_compaction_seconds=0;compression=kNoCompression;"          \
    "level_compaction_dynamic_level_bytes=true;"

static const char *const option_strings[] = {
    /* Keys grow, so that tables never overlap and move down the levels without being written again. A full block of
     * the log is a data block of its own; it is read once, at start: no filters, a token cache. */
    [ROCKS_LOG] = COMMON "wal_recovery_mode=kTolerateCorruptedTailRecords;"
                         "write_buffer_size=64M;max_write_buffer_number=3;"
                         "block_based_table_factory={block_cache=8M;block_size=64K;checksum=kXXH3;format_version=5;"
                         "cache_index_and_filter_blocks=true}",
    /* Small memtables, and a bound over those of all families. */
    [ROCKS_STATE] = COMMON "wal_recovery_mode=kPointInTimeRecovery;write_buffer_size=32M;db_write_buffer_size=128M;"
                           "max_write_buffer_number=3;wal_bytes_per_sync=1M;"
                           "block_based_table_factory={block_cache=32M;block_size=16K;checksum=kXXH3;format_version=5;"
                           "cache_index_and_filter_blocks=true}",
};

/* Take RocksDB's words over; NULL is TM_OK. *words must be cleared: RocksDB frees what it finds there next time. */
static enum tm_code take_words(const char *path, const char *doing, char **words, struct tm_error *err)
{
    if (!*words)
        return TM_OK;
    bool damaged = strncmp(*words, "Corruption", 10) == 0 || strstr(*words, "No such file");
    enum tm_code rc = tm_error_set(err, damaged ? TM_DATA_LOSS : TM_IO, "%s: %s: %s", path, doing, *words);
    rocksdb_free(*words);
    *words = NULL;
    return rc;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

/* Is there a database? RocksDB takes a folder that lost CURRENT for a new one and deletes the tables it finds. */
static enum tm_code look(const char *path, bool *exists, struct tm_error *err)
{
    char current[PATH_MAX];
    enum tm_code rc = TM_OK;
    snprintf(current, sizeof current, "%s/CURRENT", path);
    *exists = access(current, F_OK) == 0;
    if (*exists)
        return TM_OK;
    DIR *dir = opendir(path);
    if (!dir)
        return tm_error_set(err, TM_IO, "%s: open folder: %s", path, strerrordesc_np(errno));
    for (struct dirent *e = readdir(dir); e && rc == TM_OK; e = readdir(dir))
        if (has_suffix(e->d_name, ".sst") || has_suffix(e->d_name, ".log"))
            rc = tm_error_set(err, TM_DATA_LOSS, "%s: CURRENT is missing, but %s is there", path, e->d_name);
    closedir(dir);
    return rc;
}

static bool is_known(const char *name, const struct rocks_family *families, size_t count)
{
    bool known = strcmp(name, "default") == 0;
    for (size_t i = 0; i < count && !known; i++)
        known = strcmp(name, families[i].name) == 0;
    return known;
}

/* RocksDB wants every family that exists to be named at open. */
static enum tm_code check_families(const char *path, const rocksdb_options_t *options,
                                   const struct rocks_family *families, size_t count, bool *incomplete,
                                   struct tm_error *err)
{
    char *words = NULL;
    size_t n = 0;
    char **there = rocksdb_list_column_families(options, path, &n, &words);
    enum tm_code rc = take_words(path, "list column families", &words, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && rc == TM_OK; i++)
        if (!is_known(there[i], families, count))
            rc = tm_error_set(err, TM_FAILED_PRECONDITION,
                              "%s: has a column family \"%s\", which this version does not know", path, there[i]);
    *incomplete = n < count + 1; /* RocksDB has one more, "default" */
    rocksdb_list_column_families_destroy(there, n);
    return rc;
}

static rocksdb_options_t *make_options(enum rocks_kind kind)
{
    char *words = NULL;
    rocksdb_options_t *base = rocksdb_options_create(), *options = rocksdb_options_create();
    rocksdb_get_options_from_string(base, option_strings[kind], options, &words);
    if (words)
        fprintf(stderr, "%s\n", words);
    CHECK(!words); /* the string is ours */
    rocksdb_options_destroy(base);
    return options;
}

static enum tm_code open_families(struct rocks *r, rocksdb_options_t *options, const struct rocks_family *families,
                                  struct tm_error *err)
{
    char *words = NULL;
    const char **names = mem_new(r->families + 1, sizeof *names);
    const rocksdb_options_t **each = mem_new(r->families + 1, sizeof *each);
    rocksdb_options_t *compressed = rocksdb_options_create_copy(options); /* shares the block cache */
    rocksdb_options_set_compression(compressed, rocksdb_lz4_compression);
    names[0] = "default";
    each[0] = options;
    for (size_t i = 0; i < r->families; i++) {
        names[i + 1] = families[i].name;
        each[i + 1] = families[i].compress ? compressed : options;
    }
    r->db = rocksdb_open_column_families(options, r->path, (int)r->families + 1, names, each, r->family, &words);
    rocksdb_options_destroy(compressed);
    free(each);
    free(names);
    return take_words(r->path, "open", &words, err);
}

static void rocks_free(struct rocks *r)
{
    rocksdb_readoptions_destroy(r->scan);
    rocksdb_readoptions_destroy(r->get);
    rocksdb_writeoptions_destroy(r->write);
    free(r->family);
    free(r);
}

static struct rocks *rocks_new(const char *path, enum rocks_kind kind, size_t families)
{
    size_t size = strlen(path) + 1;
    struct rocks *r = mem_new(1, sizeof *r + size);
    memcpy(r->path, path, size);
    r->families = families;
    r->family = mem_new(families + 1, sizeof(rocksdb_column_family_handle_t *));
    r->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write, kind == ROCKS_LOG);
    r->get = rocksdb_readoptions_create();
    r->scan = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(r->scan, 0); /* a scan passes once */
    rocksdb_readoptions_set_readahead_size(r->scan, READ_AHEAD);
    return r;
}

enum tm_code rocks_open(const char *path, enum rocks_kind kind, const struct rocks_family *families, size_t count,
                        struct rocks **out, struct tm_error *err)
{
    bool exists = false;
    rocksdb_options_t *options = make_options(kind);
    struct rocks *r = rocks_new(path, kind, count);
    enum tm_code rc = file_make_dir(path, err);
    if (rc == TM_OK)
        rc = look(path, &exists, err);
    if (rc == TM_OK && exists)
        rc = check_families(path, options, families, count, &r->incomplete, err);
    if (rc == TM_OK)
        rc = open_families(r, options, families, err);
    rocksdb_options_destroy(options);
    if (rc)
        rocks_free(r);
    else
        *out = r;
    return rc;
}

bool rocks_was_incomplete(const struct rocks *r) { return r->incomplete; }

void rocks_close(struct rocks *r)
{
    if (!r)
        return;
    rocks_sync(r);
    for (size_t i = 0; i <= r->families; i++)
        rocksdb_column_family_handle_destroy(r->family[i]);
    rocksdb_close(r->db);
    rocks_free(r);
}

static rocksdb_column_family_handle_t *handle(const struct rocks *r, size_t family)
{
    CHECK(family < r->families);
    return r->family[family + 1];
}

struct rocks_batch *rocks_batch_new(struct rocks *db)
{
    struct rocks_batch *b = mem_new(1, sizeof *b);
    *b = (struct rocks_batch){db, rocksdb_writebatch_create()};
    return b;
}

void rocks_batch_free(struct rocks_batch *b)
{
    if (!b)
        return;
    rocksdb_writebatch_destroy(b->batch);
    free(b);
}

void rocks_batch_clear(struct rocks_batch *b) { rocksdb_writebatch_clear(b->batch); }

void rocks_batch_put(struct rocks_batch *b, size_t family, struct bytes key, struct bytes value)
{
    rocksdb_writebatch_put_cf(b->batch, handle(b->db, family), (const char *)key.data, key.size,
                              (const char *)value.data, value.size);
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

void rocks_write(struct rocks *db, struct rocks_batch *b)
{
    char *words = NULL;
    CHECK(b->db == db);
    rocksdb_write(db->db, db->write, b->batch, &words);
    stop_on_failure(db, "write", words);
}

void rocks_sync(struct rocks *db)
{
    char *words = NULL;
    rocksdb_flush_wal(db->db, 1, &words);
    stop_on_failure(db, "sync", words);
}

enum tm_code rocks_get(struct rocks *db, size_t family, struct bytes key, struct buffer *out, struct tm_error *err)
{
    char *words = NULL;
    size_t size;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(db->db, db->get, handle(db, family), (const char *)key.data, key.size, &words);
    enum tm_code rc = take_words(db->path, "get", &words, err);
    if (!slice)
        return rc ? rc : TM_NOT_FOUND;
    const char *value = rocksdb_pinnableslice_value(slice, &size);
    buffer_put(out, value, size);
    rocksdb_pinnableslice_destroy(slice);
    return TM_OK;
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
    return take_words(db->path, "read", &words, err);
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

enum tm_code rocks_scan(struct rocks *db, size_t family, struct bytes from, struct bytes prefix, store_visit *visit,
                        void *context, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    struct bytes start = compare(from, prefix) > 0 ? from : prefix;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->db, db->scan, handle(db, family));
    for (rocksdb_iter_seek(it, (const char *)start.data, start.size); rc == TM_OK && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        struct bytes key = iterator_key(it);
        if (!has_prefix(key, prefix))
            break;
        rc = visit(context, key, iterator_value(it), err);
    }
    if (rc == TM_OK)
        rc = iterator_end(db, it, err);
    rocksdb_iter_destroy(it);
    return rc;
}

/* Copy the row the iterator stands on, then end it. */
static enum tm_code take_row(struct rocks *db, rocksdb_iterator_t *it, struct buffer *key, struct buffer *value,
                             struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    key->size = value->size = 0;
    if (rocksdb_iter_valid(it)) {
        struct bytes k = iterator_key(it), v = iterator_value(it);
        buffer_put(key, k.data, k.size);
        buffer_put(value, v.data, v.size);
    } else {
        rc = iterator_end(db, it, err);
        rc = rc ? rc : TM_NOT_FOUND;
    }
    rocksdb_iter_destroy(it);
    return rc;
}

enum tm_code rocks_last(struct rocks *db, size_t family, struct buffer *key, struct buffer *value, struct tm_error *err)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->db, db->get, handle(db, family));
    rocksdb_iter_seek_to_last(it);
    return take_row(db, it, key, value, err);
}

enum tm_code rocks_floor(struct rocks *db, size_t family, struct bytes at, struct buffer *key, struct buffer *value,
                         struct tm_error *err)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->db, db->get, handle(db, family));
    rocksdb_iter_seek_for_prev(it, (const char *)at.data, at.size);
    return take_row(db, it, key, value, err);
}
