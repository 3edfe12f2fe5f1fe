#include "bench/disk.h"

#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "bench/bench.h"

enum { FLOOR_BLOCK = 256 << 10, FLOOR_SOURCE = 8 << 20 };

void disk_folder_make(char path[static DISK_FOLDER_SIZE])
{
    char program[DISK_FOLDER_SIZE - 64];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    CHECK(size > 0);
    program[size] = '\0';
    snprintf(path, DISK_FOLDER_SIZE, "%s/bench-data-XXXXXX", dirname(program));
    if (!mkdtemp(path))
        stop(STOP_IO, "%s: make folder: %m", path);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

void disk_folder_remove(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        stop(STOP_IO, "%s: remove folder: %m", path);
}

uint64_t disk_written(void)
{
    char line[128];
    unsigned long long written = 0;
    FILE *f = fopen("/proc/self/io", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "write_bytes: %llu", &written) == 1)
            break;
    if (f)
        fclose(f);
    return written;
}

struct disk_floor disk_floor_measure(const char *folder, uint64_t bytes)
{
    char path[DISK_PATH_SIZE];
    uint8_t *source = mem_new(FLOOR_SOURCE, 1), *block = mem_new(FLOOR_BLOCK, 1);
    snprintf(path, sizeof path, "%s/floor", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    memset(source, 5, FLOOR_SOURCE);
    struct disk_floor f = {.cpu = -bench_process_cpu(), .wall = -(double)clock_monotonic_ns() / 1e9};
    uint64_t before = disk_written();
    for (uint64_t at = 0; at < bytes; at += FLOOR_BLOCK, f.syncs++) {
        memcpy(block, source + at % FLOOR_SOURCE, FLOOR_BLOCK);
        uint64_t sum = hash_64(bytes_of(block, FLOOR_BLOCK));
        memcpy(block, &sum, sizeof sum);
        if (write(fd, block, FLOOR_BLOCK) != FLOOR_BLOCK || fdatasync(fd) != 0)
            stop(STOP_IO, "%s: write: %m", path);
    }
    f.cpu += bench_process_cpu();
    f.wall += (double)clock_monotonic_ns() / 1e9;
    f.written = disk_written() - before;
    close(fd);
    unlink(path);
    free(source);
    free(block);
    return f;
}

double disk_sync_ms(const char *folder, size_t bytes)
{
    char path[DISK_PATH_SIZE];
    uint8_t *block = mem_new(bytes, 1);
    snprintf(path, sizeof path, "%s/floor", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int64_t began = clock_monotonic_ns();
    if (write(fd, block, bytes) != (ssize_t)bytes || fdatasync(fd) != 0)
        stop(STOP_IO, "%s: write: %m", path);
    double ms = (double)(clock_monotonic_ns() - began) / 1e6;
    close(fd);
    free(block);
    return ms;
}
