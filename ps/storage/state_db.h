/* ps/storage/state_db.h - the state of a node on disk: state/<restore>/, one column family per store table.
 *
 * Threads  any; a commit of a shard is one call by the storage thread.
 * Memory   what the largest commit took is kept for the next one. */
#ifndef TIDEMILL_PS_STORAGE_STATE_DB_H
#define TIDEMILL_PS_STORAGE_STATE_DB_H

#include "ps/storage/rocks.h"

struct disk;
struct state_db;

enum tm_code state_db_open(const char *path, struct state_db **out, struct tm_error *err);
bool state_db_was_incomplete(const struct state_db *db);     /* see rocks_was_incomplete */
void state_db_guard(struct state_db *db, struct disk *disk); /* see rocks_guard */
void state_db_close(struct state_db *db);

/* For loading shards, exports and digests: TM_RESOURCE_EXHAUSTED while the database is closed because the disk is full.
 * For shards that run, whose step must not fail: waits meanwhile. */
struct store state_db_store(struct state_db *db);
struct store state_db_patient_store(struct state_db *db);

/* Write one commit atomically (not synced); returns the bytes written. Waits while there is no room on the disk; any
 * other failure stops the process (F1). */
uint64_t state_db_commit(struct state_db *db, const struct store_batch *batch);
void state_db_sync(struct state_db *db);
void state_db_status(struct state_db *db, struct rocks_status *out);

#endif
