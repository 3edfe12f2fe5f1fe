/* ps/storage/rocks_parts.h - the inside of the door to RocksDB. Only its three files include it: rocks_open.c opens and
 * closes, rocks.c writes and reads, rocks_words.c understands what RocksDB says.
 *
 * A handle is closed and opened again when a write finds no room (see rocks_write). `mutex` is for those who write or
 * sync, one at a time; `handle` is held shared by those who use the handle, exclusively by those who exchange it. */
#ifndef TIDEMILL_PS_STORAGE_ROCKS_PARTS_H
#define TIDEMILL_PS_STORAGE_ROCKS_PARTS_H

#include <pthread.h>
#include <rocksdb/c.h>

#include "ps/storage/rocks.h"

struct rocks {
    pthread_mutex_t mutex;
    pthread_rwlock_t handle; /* guards db and family */
    rocksdb_t *db;           /* NULL: closed until there is room */
    enum rocks_kind kind;
    bool incomplete;
    struct disk *disk; /* borrowed; NULL: nobody waits for room */
    size_t families;
    struct rocks_family *named;
    rocksdb_column_family_handle_t **family; /* [0] is RocksDB's own "default", which we leave empty */
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *get, *scan;
    char path[];
};

/* Under the exclusive lock, or alone. */
enum tm_code rocks_open_handle(struct rocks *r, struct tm_error *err);
void rocks_close_handle(struct rocks *r);

/* Take RocksDB's words over; NULL is TM_OK. *words is NULL afterwards: RocksDB frees what it finds there next time. */
enum tm_code rocks_take_words(const char *path, const char *doing, char **words, struct tm_error *err);

/* Was it a write, or the making of a file, that found no room? Never what a sync says: that is not tried again. */
bool rocks_found_no_room(const char *words);

#endif
