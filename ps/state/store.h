/* ps/state/store.h - how state goes to disk and comes back, without knowing which disk.
 *
 * A commit is a store_batch: puts and deletes over a few tables, written atomically by whoever owns a real store
 * (RocksDB in the server, a sorted array in the simulation). Loading is a scan over one table by key prefix.
 * Keys     start with the shard (u16, big-endian), so that a shard is one range of every table.
 * Packed   the rows of some tables are packed as they are put, so by the shard's thread: the batch is smaller on its
 *          way, and the one thread that writes has less to do.
 * Memory   a batch owns a copy of everything put into it, until store_batch_close(). */
#ifndef TIDEMILL_PS_STATE_STORE_H
#define TIDEMILL_PS_STATE_STORE_H

#include "base/bytes.h"
#include "base/error.h"

/* clang-format off */
/*    name     RocksDB column family   what                                                                      */
#define STORE_TABLES(T)                                                                                            \
    T(SHARD,   "shard",   "shard -> place in the input, watermarks, counters, cursors; written by every commit")   \
    T(CATALOG, "catalog", "shard -> join configuration and versions; written when they change")                    \
    T(CHUNK,   "chunk",   "shard, commit -> records that came in and wait to be decided")                          \
    T(RUN,     "run",     "shard, commit -> what changed about decided keys in memory; no sorted run")             \
    T(ATTRIBUTION, "attribution", "shard, commit -> what changed about actions with a key of their own")           \
    T(DECIDED, "decided", "shard -> sorted runs of decided keys: their list, filters, blocks (joiner/run.h)")      \
    T(SAMPLE,  "sample",  "shard, row -> samples, as long as a version that is paused may want them")              \
    T(FEATURE, "feature", "shard, row -> features of samples that may be corrected (ps/state/feature_rows.h)")     \
    T(PARAM,   "param",   "shard -> parameters: base chunks by version, then deltas (ps/state/param_store.h)")     \
    T(BATCH,   "batch",   "shard, version, serial -> a sample that waits in a batch (ps/state/batches.h)")             \
    T(VALIDATION, "validation", "shard, version, kind, row -> how good predictions were (ps/state/validation_rows.h)") \
    T(PREDICTION, "prediction", "shard, version, row -> what was predicted (ps/state/predictions.h)")              \
    T(DOC,     "doc",     "shard, document hash -> document id")                                                   \
    T(ARCHIVE, "archive", "shard -> index; shard, row -> samples kept for people and tools (ps/state/archive.h)")     \
    T(DEAD_LETTER, "deadletter", "shard -> numbers; shard, stream, reason, slot -> a record that was set aside")
/* clang-format on */

enum store_table {
#define T(name, family, help) STORE_##name,
    STORE_TABLES(T)
#undef T
        STORE_TABLE_COUNT
};

const char *store_table_name(enum store_table table);

/* Are its rows large, and deleted again about in the order in which they came? They are packed (base/pack.h). */
bool store_table_is_packed(enum store_table table);

struct store_batch {
    struct buffer operations;
};

struct store_operation {
    enum store_table table;
    bool remove; /* delete key, no value */
    struct bytes key;
    struct bytes value; /* as it is written: packed, if the table's are */
};

void store_batch_close(struct store_batch *b);
void store_batch_put(struct store_batch *b, enum store_table table, struct bytes key, struct bytes value);
void store_batch_remove(struct store_batch *b, enum store_table table, struct bytes key);

/* Walk the operations in order: start with reader_of(buffer_view(&b->operations)). False at the end. */
bool store_batch_next(struct reader *r, struct store_operation *op);

/* Its value as it was put: a view of the batch, or of *buffer, whose contents are replaced then. */
struct bytes store_operation_value(const struct store_operation *op, struct buffer *buffer);

/* Called for every row in key order; views live during the call. STORE_ENOUGH ends the scan well: it returns TM_OK. Any
 * other code but TM_OK ends it and is what it returns. */
#define STORE_ENOUGH TM_ABORTED
typedef enum tm_code store_visit(void *context, struct bytes key, struct bytes value, struct tm_error *err);

/* Several scans in one go: each row of a range comes with the range's context. */
struct store_range {
    struct bytes from, prefix;
    void *context;
};

struct store {
    void *self;
    /* Rows with key >= from that start with prefix. */
    enum tm_code (*scan)(void *self, enum store_table table, struct bytes from, struct bytes prefix, store_visit *visit,
                         void *context, struct tm_error *err);
    /* Append the row's value to *out. TM_NOT_FOUND without a message when there is none. */
    enum tm_code (*get)(void *self, enum store_table table, struct bytes key, struct buffer *out, struct tm_error *err);
};

#endif
