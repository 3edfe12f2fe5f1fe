/* bench/disk.h - a folder on a real disk, what the process has written, and the least that durable writing costs.
 *
 * Threads  one owner. Errors: what the disk refuses ends the program. */
#ifndef TIDEMILL_BENCH_DISK_H
#define TIDEMILL_BENCH_DISK_H

#include <stddef.h>
#include <stdint.h>

enum { DISK_FOLDER_SIZE = 2000, DISK_PATH_SIZE = 2100 }; /* of a folder; of a file in it */

/* A new folder beside the program, and away with it and all in it. */
void disk_folder_make(char path[static DISK_FOLDER_SIZE]);
void disk_folder_remove(const char *path);

/* Bytes that this process has caused to be written to storage, as the kernel counts them. */
uint64_t disk_written(void);

struct disk_floor {
    double cpu, wall; /* seconds, user and system */
    uint64_t written, syncs;
};

/* Copy `bytes` into blocks of 256 KiB, checksum each, write it behind the last, fdatasync; in a file of `folder`. */
struct disk_floor disk_floor_measure(const char *folder, uint64_t bytes);

/* How long it takes to append so many bytes to a file of `folder` and to sync them. */
double disk_sync_ms(const char *folder, size_t bytes);

#endif
