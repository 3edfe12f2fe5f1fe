#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ps/storage/disk.h"
#include "ps/storage/rocks_parts.h"

enum { READ_AHEAD = 2 << 20, BLOB_MIN = 4096 };

/* After a crash RocksDB reads its WALs into memtables, writes those out and syncs them, before it opens: the sizes of
 * WALs are a bound on that. Opening without writing them out (avoid_flush_during_recovery) would save more, but a torn
 * WAL that stays behind newer tables has been a source of databases that did not open any more (its pull requests 9634
 * and 9942).
 *
 * WALs are not tracked in the manifest (track_and_verify_wals_in_manifest): before RocksDB 7.9 a race with a sync
 * raises false alarms that keep the database from opening (its pull request 10892). The reader of the log checks
 * that there is no gap and that it reaches every shard's place.
 *
 * RocksDB's own log is silenced: once its writer has met a full disk, the next line asserts and takes the process
 * along. Nothing passes this level in a log that is not rolled; one that is writes headers whatever the level. */
#define COMMON                                                                                            \
    "create_if_missing=true;create_missing_column_families=true;max_background_jobs=2;bytes_per_sync=1M;" \
    "max_log_file_size=0;info_log_level=HEADER_LEVEL;keep_log_file_num=3;stats_dump_period_sec=0;"        \
    "stats_persist_period_sec=0;ttl=0;periodic_compaction_seconds=0;compression=kNoCompression;"          \
    "level_compaction_dynamic_level_bytes=true;"

static const char *const option_strings[] = {
    /* Keys grow, so that tables never overlap and move down the levels without being written again: at once, because
     * only tables below level 0 can be dropped whole. Small rows would hold the WALs of two tables; 64M are enough. A
     * full block of the log is a data block of its own; it is read once, at start: no filters, a token cache. */
    [ROCKS_LOG] = COMMON "wal_recovery_mode=kTolerateCorruptedTailRecords;max_total_wal_size=64M;"
                         "write_buffer_size=32M;max_write_buffer_number=3;level0_file_num_compaction_trigger=1;"
                         "block_based_table_factory={block_cache=8M;block_size=64K;checksum=kXXH3;format_version=5;"
                         "cache_index_and_filter_blocks=true}",
    /* Small memtables, and a bound over those of all families. */
    [ROCKS_STATE] =
        COMMON "wal_recovery_mode=kPointInTimeRecovery;max_total_wal_size=64M;"
               "write_buffer_size=32M;db_write_buffer_size=128M;max_write_buffer_number=3;wal_bytes_per_sync=1M;"
               "block_based_table_factory={block_cache=32M;block_size=16K;checksum=kXXH3;format_version=5;"
               "cache_index_and_filter_blocks=true}",
};

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
        if (has_suffix(e->d_name, ".sst") || has_suffix(e->d_name, ".blob") || has_suffix(e->d_name, ".log"))
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
static enum tm_code check_families(struct rocks *r, struct tm_error *err)
{
    char *words = NULL;
    size_t n = 0;
    rocksdb_options_t *options = rocksdb_options_create();
    char **there = rocksdb_list_column_families(options, r->path, &n, &words);
    rocksdb_options_destroy(options);
    enum tm_code rc = rocks_take_words(r->path, "list column families", &words, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && rc == TM_OK; i++)
        if (!is_known(there[i], r->named, r->families))
            rc = tm_error_set(err, TM_FAILED_PRECONDITION,
                              "%s: has a column family \"%s\", which this version does not know", r->path, there[i]);
    r->incomplete = n < r->families + 1; /* RocksDB has one more, "default" */
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

/* Copies share the block cache. */
static rocksdb_options_t *small(rocksdb_options_t *options)
{
    rocksdb_options_t *copy = rocksdb_options_create_copy(options);
    rocksdb_options_set_compression(copy, rocksdb_lz4_compression);
    return copy;
}

/* A blob file without a live row is deleted whatever the cutoff: 0 means that no row is ever moved to another. */
static rocksdb_options_t *passing(rocksdb_options_t *options)
{
    rocksdb_options_t *copy = rocksdb_options_create_copy(options);
    rocksdb_options_set_enable_blob_files(copy, 1);
    rocksdb_options_set_min_blob_size(copy, BLOB_MIN);
    rocksdb_options_set_enable_blob_gc(copy, 1);
    rocksdb_options_set_blob_gc_age_cutoff(copy, 0);
    return copy;
}

static enum tm_code open_families(struct rocks *r, rocksdb_options_t *options, struct tm_error *err)
{
    char *words = NULL;
    const char **names = mem_new(r->families + 1, sizeof *names);
    const rocksdb_options_t **each = mem_new(r->families + 1, sizeof *each);
    rocksdb_options_t *like[] = {[ROCKS_PLAIN] = options,
                                 [ROCKS_SMALL] = small(options),
                                 [ROCKS_PACKED] = options,
                                 [ROCKS_PASSING] = passing(options)};
    names[0] = "default";
    each[0] = options;
    for (size_t i = 0; i < r->families; i++) {
        names[i + 1] = r->named[i].name;
        each[i + 1] = like[r->named[i].rows];
    }
    r->db = rocksdb_open_column_families(options, r->path, (int)r->families + 1, names, each, r->family, &words);
    rocksdb_options_destroy(like[ROCKS_SMALL]);
    rocksdb_options_destroy(like[ROCKS_PASSING]);
    free(each);
    free(names);
    enum tm_code rc = rocks_take_words(r->path, "open", &words, err);
    if (rc)
        r->db = NULL;
    return rc;
}

enum tm_code rocks_open_handle(struct rocks *r, struct tm_error *err)
{
    rocksdb_options_t *options = make_options(r->kind);
    enum tm_code rc = open_families(r, options, err);
    rocksdb_options_destroy(options);
    return rc;
}

void rocks_close_handle(struct rocks *r)
{
    for (size_t i = 0; i <= r->families; i++)
        rocksdb_column_family_handle_destroy(r->family[i]);
    rocksdb_close(r->db);
    r->db = NULL;
}

static void rocks_free(struct rocks *r)
{
    rocksdb_readoptions_destroy(r->scan);
    rocksdb_readoptions_destroy(r->get);
    rocksdb_writeoptions_destroy(r->write);
    CHECK(pthread_rwlock_destroy(&r->handle) == 0);
    pthread_mutex_destroy(&r->mutex);
    free(r->family);
    free(r->named);
    free(r);
}

static struct rocks *rocks_new(const char *path, enum rocks_kind kind, const struct rocks_family *families,
                               size_t count)
{
    size_t size = strlen(path) + 1;
    struct rocks *r = mem_new(1, sizeof *r + size);
    memcpy(r->path, path, size);
    r->kind = kind;
    r->families = count;
    r->named = mem_new(count, sizeof *r->named);
    memcpy(r->named, families, count * sizeof *families);
    r->family = mem_new(count + 1, sizeof(rocksdb_column_family_handle_t *));
    r->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write, kind == ROCKS_LOG);
    r->get = rocksdb_readoptions_create();
    r->scan = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(r->scan, 0); /* a scan passes once */
    rocksdb_readoptions_set_readahead_size(r->scan, READ_AHEAD);
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    CHECK(pthread_rwlock_init(&r->handle, NULL) == 0); /* readers first: one may read within another's visit */
    return r;
}

enum tm_code rocks_open(const char *path, enum rocks_kind kind, const struct rocks_family *families, size_t count,
                        struct rocks **out, struct tm_error *err)
{
    bool exists = false;
    rocks_crc32c_check();
    struct rocks *r = rocks_new(path, kind, families, count);
    enum tm_code rc = file_make_dir(path, err);
    if (rc == TM_OK)
        rc = look(path, &exists, err);
    if (rc == TM_OK && exists)
        rc = check_families(r, err);
    if (rc == TM_OK)
        rc = rocks_open_handle(r, err);
    if (rc)
        rocks_free(r);
    else
        *out = r;
    return rc;
}

bool rocks_was_incomplete(const struct rocks *r) { return r->incomplete; }
void rocks_guard(struct rocks *r, struct disk *disk) { r->disk = disk; }

void rocks_close(struct rocks *r)
{
    if (!r)
        return;
    rocks_sync(r);
    rocks_close_handle(r);
    rocks_free(r);
}
