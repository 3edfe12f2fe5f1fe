/* base/thread.h - threads with names, and conditions that no change of the clock disturbs.
 *
 * Signals  a thread starts with all of them blocked: they belong to main.
 * Errors   TM_RESOURCE_EXHAUSTED: the system has no more threads. */
#ifndef TIDEMILL_BASE_THREAD_H
#define TIDEMILL_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* name: at most 15 characters, for top and profilers. */
enum tm_code thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument,
                          struct tm_error *err);

void condition_open(pthread_cond_t *condition);

/* Wait to be signalled until then, in the time of clock_monotonic_ns(); INT64_MAX: for ever. False: it is then. As with
 * every condition: it may also return true for no reason. */
bool condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until_ns);

#endif
