/* ps/storage/rocks.h - the only door to RocksDB.
 *
 * Two kinds of database, with the rules of durability in one place:
 *   ROCKS_LOG    the input log: every write is synced before it returns; WAL recovery mode 0 (a torn tail was never
 *                acknowledged and is cut, damage elsewhere refuses to open). No compression, no block splitting games.
 *   ROCKS_STATE  the state: writes are not synced; rocks_sync() makes everything written so far durable. Point-in-time
 *                WAL recovery is harmless here, because a shard's place in the input rolls back with its state.
 * Errors   a failed write or sync is promise F1's business: rocks_write and rocks_sync stop the process (STOP_IO) with
 *          the path and the system's words; they are never retried. Damage found on reading is TM_DATA_LOSS.
 * No room  of a database that rocks_guard() has given a disk, a write that found none is the exception: nothing was
 *          acknowledged and no sync has failed. rocks_write closes the database, waits until there is room, opens it as
 *          after a crash (everything written before is there) and writes again. RocksDB's own way of recovering is not
 *          waited for: it asserts on a log file that ended in the middle of a record. Meanwhile reads are
 *          TM_RESOURCE_EXHAUSTED, or wait, too (rocks_scan_patiently). When the process is to end instead (disk_leave),
 *          it stops, with these words.
 * Threads  any number read; one at a time fills batches for a database, writes and syncs. RocksDB's own threads inherit
 *          the signal mask of whoever opens. A visitor may read on, but who waits in a visit holds up a database that
 *          is to be opened again. */
#ifndef TIDEMILL_PS_STORAGE_ROCKS_H
#define TIDEMILL_PS_STORAGE_ROCKS_H

#include "ps/state/store.h"

struct disk;

enum rocks_kind { ROCKS_LOG, ROCKS_STATE };

struct rocks; /* one open database */

/* What the rows of a family are like. */
enum rocks_rows {
    ROCKS_PLAIN,   /* nothing is done about them: few, or numbers */
    ROCKS_SMALL,   /* many small ones that look alike: RocksDB compresses their tables */
    ROCKS_PACKED,  /* large ones: each is made smaller before it goes into a batch (base/pack.h) */
    ROCKS_PASSING, /* the same, of those that are deleted again, about in the order in which they came: each is written
                      to a blob file once, and the file goes when its last row is deleted. Below 4 KiB they stay in
                      tables. */
};

/* A column family; functions name it by its index in the list given to rocks_open(). */
struct rocks_family {
    const char *name;
    enum rocks_rows rows;
};

/* Families are made when missing; one that is not in the list is TM_FAILED_PRECONDITION (a newer program made it).
 * A folder with tables or WALs but without RocksDB's CURRENT is TM_DATA_LOSS, not an empty database.
 * TM_RESOURCE_EXHAUSTED: no space left to open it; it is as it was. */
enum tm_code rocks_open(const char *path, enum rocks_kind kind, const struct rocks_family *families, size_t count,
                        struct rocks **out, struct tm_error *err);
/* An existing database of which some families were missing, and were made: right only when it was never finished. */
bool rocks_was_incomplete(const struct rocks *db);
void rocks_close(struct rocks *db); /* NULL is fine; flushes the WAL of a state database */

/* From now on its writes wait for room on that disk, which is borrowed. */
void rocks_guard(struct rocks *db, struct disk *disk);

struct rocks_batch;
struct rocks_batch *rocks_batch_new(struct rocks *db);
void rocks_batch_free(struct rocks_batch *b);
void rocks_batch_clear(struct rocks_batch *b);
void rocks_batch_put(struct rocks_batch *b, size_t family, struct bytes key, struct bytes value);
/* Of a family whose rows are packed, one that is. */
void rocks_batch_put_packed(struct rocks_batch *b, size_t family, struct bytes key, struct bytes value);
void rocks_batch_remove(struct rocks_batch *b, size_t family, struct bytes key);
size_t rocks_batch_count(const struct rocks_batch *b); /* rows put and removed */
size_t rocks_batch_bytes(const struct rocks_batch *b);

void rocks_write(struct rocks *db, struct rocks_batch *b);
void rocks_sync(struct rocks *db);

/* Remove whole tables whose rows all lie in [from, to], at once and without marks that readers would have to step over.
 * Rows at the edges, and what is not in a table below level 0 yet, stay: for rows that nobody looks at any more. */
void rocks_drop_tables(struct rocks *db, size_t family, struct bytes from, struct bytes to);

/* Append the value to *out. TM_NOT_FOUND without a message when there is none. */
enum tm_code rocks_get(struct rocks *db, size_t family, struct bytes key, struct buffer *out, struct tm_error *err);

/* Rows with key >= from, in order, as long as they start with prefix (empty: all); consistent as of the call. */
enum tm_code rocks_scan(struct rocks *db, size_t family, struct bytes from, struct bytes prefix, store_visit *visit,
                        void *context, struct tm_error *err);
/* The same for those who cannot go on without: while the database is closed it waits, as the writer does. */
enum tm_code rocks_scan_patiently(struct rocks *db, size_t family, struct bytes from, struct bytes prefix,
                                  store_visit *visit, void *context, struct tm_error *err);

enum tm_code rocks_get_patiently(struct rocks *db, size_t family, struct bytes key, struct buffer *out,
                                 struct tm_error *err);

/* Short scans of many ranges, one after the other and through one iterator; patiently. What they read is cached. */
enum tm_code rocks_scan_ranges(struct rocks *db, size_t family, const struct store_range *ranges, size_t count,
                               store_visit *visit, struct tm_error *err);

/* The last row of a family, and the last row whose key is not above `at`. Key and value replace what the buffers held.
 * TM_NOT_FOUND without a message when there is none. */
enum tm_code rocks_last(struct rocks *db, size_t family, struct buffer *key, struct buffer *value,
                        struct tm_error *err);
enum tm_code rocks_floor(struct rocks *db, size_t family, struct bytes at, struct buffer *key, struct buffer *value,
                         struct tm_error *err);

/* Figures of a database, for operators; RocksDB's property behind each. Those of families are summed up. Any thread;
 * what RocksDB does not tell is 0. */
/* clang-format off */
#define ROCKS_FIGURES(F)                                                                    \
    /* field                   property                                    per family? */   \
    F(table_bytes,             "rocksdb.total-sst-files-size",             true)            \
    F(live_table_bytes,        "rocksdb.live-sst-files-size",              true)            \
    F(estimated_keys,          "rocksdb.estimate-num-keys",                true)            \
    F(memtable_bytes,          "rocksdb.cur-size-all-mem-tables",          true)            \
    F(immutable_memtables,     "rocksdb.num-immutable-mem-table",          true)            \
    F(blob_bytes,              "rocksdb.total-blob-file-size",             true)            \
    F(table_reader_bytes,      "rocksdb.estimate-table-readers-mem",       true)            \
    F(pending_compaction_bytes,"rocksdb.estimate-pending-compaction-bytes",true)            \
    F(block_cache_bytes,       "rocksdb.block-cache-usage",                false)           \
    F(block_cache_capacity,    "rocksdb.block-cache-capacity",             false)           \
    F(running_compactions,     "rocksdb.num-running-compactions",          false)           \
    F(running_flushes,         "rocksdb.num-running-flushes",              false)           \
    F(delayed_write_rate,      "rocksdb.actual-delayed-write-rate",        false)           \
    F(write_stopped,           "rocksdb.is-write-stopped",                 false)           \
    F(background_errors,       "rocksdb.background-errors",                false)
/* clang-format on */

struct rocks_status {
#define F(field, property, each) uint64_t field;
    ROCKS_FIGURES(F)
#undef F
    uint64_t live_files;
};
void rocks_status(struct rocks *db, struct rocks_status *out);

#endif
