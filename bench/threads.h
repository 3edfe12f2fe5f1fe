/* bench/threads.h - which thread spent the CPU: run time by thread name, threads of one name added up.
 *
 * Threads that nobody named carry the program's name: the first is "main", the others are "unnamed". A thread that
 * ended takes its time with it. */
#ifndef TIDEMILL_BENCH_THREADS_H
#define TIDEMILL_BENCH_THREADS_H

#include <stdint.h>
#include <sys/types.h>

enum { THREAD_NAMES_MAX = 64, THREAD_NAME_SIZE = 20 };

struct thread_time {
    char name[THREAD_NAME_SIZE];
    uint64_t ns;
};

struct thread_times {
    struct thread_time thread[THREAD_NAMES_MAX];
    uint32_t count;
};

void thread_times_read(pid_t process, struct thread_times *t);
uint64_t thread_time_of(const struct thread_times *t, const char *name); /* 0: no such name */

#endif
