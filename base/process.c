#include "base/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The first `size` - 1 bytes of a small file, as text. */
static void read_text(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t used = f ? fread(out, 1, size - 1, f) : 0;
    out[used] = '\0';
    if (f)
        fclose(f);
}

static uint64_t count_open_files(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* without the one that was opened for counting */
}

/* When the machine started, in seconds since 1970: start times of processes are counted from there. */
static double boot_seconds(void)
{
    char text[16384];
    uint64_t seconds = 0;
    read_text("/proc/stat", text, sizeof text);
    const char *line = strstr(text, "\nbtime ");
    if (line)
        sscanf(line, "\nbtime %" SCNu64, &seconds);
    return (double)seconds;
}

void process_usage(struct process_usage *out)
{
    char text[1024];
    struct rlimit files;
    uint64_t user = 0, system = 0, threads = 0, start = 0, size = 0, resident = 0;
    double tick = (double)sysconf(_SC_CLK_TCK);
    *out = (struct process_usage){0};
    read_text("/proc/self/stat", text, sizeof text);
    const char *fields = strrchr(text, ')'); /* what stands before may hold anything: it is the program's name */
    /* man proc: 14 utime, 15 stime, 20 num_threads, 22 starttime, 23 vsize, 24 rss; the first one here is field 3. */
    if (!fields || sscanf(fields,
                          ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                          " %*d %*d %*d %*d %" SCNu64 " %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
                          &user, &system, &threads, &start, &size, &resident) != 6)
        return;
    out->cpu_seconds = (double)(user + system) / tick;
    out->start_seconds = boot_seconds() + (double)start / tick;
    out->resident_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
    out->virtual_bytes = size;
    out->threads = threads;
    out->open_files = count_open_files();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        out->open_files_max = (uint64_t)files.rlim_cur;
}
