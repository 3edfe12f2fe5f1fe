/* ps/storage/rocks_parts.h - the inside of the door to RocksDB. Only its files include it: rocks_open.c opens and
 * closes, rocks.c writes and reads, rocks_words.c understands what RocksDB says, rocks_crc.c computes its checksums.
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

/* CRC32C by the processor's instruction, in the place of RocksDB's own. RocksDB asks for it over every byte of its
 * write-ahead logs and blob files; packages that are built for any x86-64 compute it by table, 0.74 ns a byte instead
 * of 0.1, which was a sixth of the CPU of the durable path. The library exports the function, so the program's comes
 * first when it is looked up, as with a malloc that is replaced. The results are the same (RFC 3720, B.4), and so are
 * the files; a library that binds its own symbols goes on with its own. */
#ifdef __x86_64__
/* rocksdb::crc32c::Extend(uint32_t, const char *, size_t) */
#define ROCKS_CRC32C_SYMBOL "_ZN7rocksdb6crc32c6ExtendEjPKcm"
uint32_t rocks_crc32c(uint32_t crc, const char *bytes, size_t size) __asm__(ROCKS_CRC32C_SYMBOL);
#endif
void rocks_crc32c_check(void); /* at every open: a wrong one would write files that nobody can read */

#endif
