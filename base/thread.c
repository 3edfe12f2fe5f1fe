#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

enum tm_code thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument,
                          struct tm_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int failed = pthread_create(thread, NULL, run, argument);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (failed)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "the thread %s cannot be started: %s", name,
                            strerrordesc_np(failed));
    pthread_setname_np(*thread, name);
    return TM_OK;
}

void condition_open(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    CHECK(pthread_condattr_init(&monotonic) == 0 && pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(condition, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
}

bool condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until_ns)
{
    enum { NS_PER_S = 1000000000 };
    struct timespec until = {until_ns / NS_PER_S, until_ns % NS_PER_S};
    int waited =
        until_ns == INT64_MAX ? pthread_cond_wait(condition, mutex) : pthread_cond_timedwait(condition, mutex, &until);
    CHECK(waited == 0 || waited == ETIMEDOUT);
    return waited == 0;
}
