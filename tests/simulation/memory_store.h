/* tests/simulation/memory_store.h - a store in memory that can lose what was not synced: sorted rows, atomic batches.
 *
 * Commits are applied in order. A crash keeps everything up to the last sync and any number of commits after it, in
 * order.
 * Memory   owns rows and batches. Threads: none. */
#ifndef TIDEMILL_TESTS_SIMULATION_MEMORY_STORE_H
#define TIDEMILL_TESTS_SIMULATION_MEMORY_STORE_H

#include "ps/state/store.h"

struct memory_row {
    struct buffer key, value;
};

struct memory_table {
    struct memory_row *row; /* by rising key */
    size_t rows, capacity;
};

struct memory_store {
    struct memory_table table[STORE_TABLE_COUNT];
    struct buffer *pending; /* the operations of commits since the last sync */
    uint32_t n_pending;
};

void memory_store_close(struct memory_store *s);
void memory_store_commit(struct memory_store *s, struct store_batch *batch); /* takes the batch over */
void memory_store_sync(struct memory_store *s);
void memory_store_crash(struct memory_store *s, uint32_t survivors); /* of the n_pending commits */
struct store memory_store_face(struct memory_store *s);              /* what was synced or survived */

/* Rows of any other key-value set. */
void memory_table_put(struct memory_table *t, struct bytes key, struct bytes value);
void memory_table_remove(struct memory_table *t, struct bytes key);
const struct memory_row *memory_table_find(const struct memory_table *t, struct bytes key); /* NULL: no such key */
bool memory_table_equal(const struct memory_table *a, const struct memory_table *b);
enum tm_code memory_table_scan(const struct memory_table *t, struct bytes from, struct bytes prefix, store_visit *visit,
                               void *context, struct tm_error *err);
void memory_table_close(struct memory_table *t);

#endif
