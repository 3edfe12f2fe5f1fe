/* bench/host.h - a server as a process of its own: started, looked at from outside, stopped or killed.
 *
 * CPU      user and system time of all its threads, those that ended included; kernel threads are not in it.
 * Threads  one owner. A server ends when the benchmark does, however that ends.
 * Errors   a server that does not start, or not stop in good order, ends the program. */
#ifndef TIDEMILL_BENCH_HOST_H
#define TIDEMILL_BENCH_HOST_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/bytes.h"

struct host {
    pid_t pid;
    int port;
    FILE *said;          /* its standard output */
    double ready_ms;     /* from the start of the process until it served */
    uint64_t replayed;   /* events, as its start screen says */
    double recovered_ms; /* likewise */
};

/* `tidemill serve` beside this program, with its data in a folder; configured by encode_configuration (bench/encode.h)
 * and what is added to it, which begins with the line `join:`. A folder that was used before is gone on with. */
void host_serve(struct host *h, const char *folder, const char *added);
/* floor_server beside this program (bench/floor.c): Pull answers with so many bytes. */
void host_floor(struct host *h, size_t reply_bytes);

void host_stop(struct host *h); /* SIGTERM, then a clean end is demanded */
void host_kill(struct host *h); /* SIGKILL: a crash */

double host_cpu(const struct host *h);       /* seconds */
size_t host_rss(const struct host *h);       /* bytes */
uint64_t host_written(const struct host *h); /* bytes it caused to be written to storage, as the kernel counts them */

#endif
