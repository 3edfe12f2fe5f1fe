/* base/process.h - what this process takes of the machine, as Linux tells it in /proc/self.
 *
 * What cannot be read is 0: these are figures for people, nothing depends on them. Threads: any. */
#ifndef TIDEMILL_BASE_PROCESS_H
#define TIDEMILL_BASE_PROCESS_H

#include <stdint.h>

struct process_usage {
    double cpu_seconds;   /* user and system */
    double start_seconds; /* since 1970, UTC */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t threads, open_files, open_files_max;
};

void process_usage(struct process_usage *out);

#endif
