/* ps/storage/data_dir.h - the folder everything lives in, and who it is.
 *
 *   LOCK              held by the running server, with its pid
 *   CURRENT           names the state's folder, "state/1"
 *   log/              input log: blocks, producers, identity
 *   state/<restore>/  the state
 *   encoders/         static parts of models, by the representation that they make (ps/engine/encoders.h)
 *
 * Identity  (cluster id, format version, shard count, hash seed) is written when the directory is made and never
 *           changes; a mismatch with the configuration is refused. It lies in the log database, synced.
 * Generation "restore.start": restore is 1 until there are restores; start grows by one at every open, synced before
 * the server answers anybody. */
#ifndef TIDEMILL_PS_STORAGE_DATA_DIR_H
#define TIDEMILL_PS_STORAGE_DATA_DIR_H

#include "ps/storage/disk.h"
#include "ps/storage/rocks.h"

/* Column families of the log database. */
enum log_family { LOG_BLOCK, LOG_PRODUCER, LOG_META, LOG_REJECTED, LOG_LOOKUP, LOG_FAMILY_COUNT };

struct data_dir {
    char path[4096];
    int lock;          /* file descriptor */
    struct disk *disk; /* both databases wait for room on it */
    struct rocks *log;
    struct state_db *state;
    uint64_t restore, start;
    uint64_t hash_seed;
    uint32_t shards;
    char cluster[33]; /* 32 hex digits */
};

/* Every step may be cut short by a crash and is done again at the next open; the start is counted last. On failure *out
 * is untouched and nothing stays open. Without a log identity, data that is there is TM_DATA_LOSS, never adopted.
 * shards: as configured; TM_FAILED_PRECONDITION "shards: the data directory was made with 64, the configuration says
 * 32". disk_reserve, watch: see disk_open, which may refuse. */
enum tm_code data_dir_open(const char *path, uint32_t shards, uint64_t disk_reserve, const struct disk_watch *watch,
                           struct data_dir *out, struct tm_error *err);
void data_dir_close(struct data_dir *d); /* syncs; then the lock is free */

#endif
