/* base/check.h - what must always hold, checked in every build; and how the process stops when it cannot go on.
 *
 * CHECK is for our own mistakes. The world's mistakes (bytes from a disk, a peer, a person) are struct tm_error.
 * stop() is promise F1: what cannot be handled safely stops the process at once, with an exit code and a last line
 * that say why. Threads: any. */
#ifndef TIDEMILL_BASE_CHECK_H
#define TIDEMILL_BASE_CHECK_H

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

#define CHECK(condition)                                            \
    do {                                                            \
        if (__builtin_expect(!(condition), 0))                      \
            check_failed(#condition, __FILE__, __LINE__, __func__); \
    } while (0)

_Noreturn void check_failed(const char *condition, const char *file, int line, const char *function);

/* Exit codes of the server beside those of base/error.h. */
enum { STOP_IO = 70, STOP_DATA_LOSS = 8, STOP_MEMORY = 71, STOP_BUG = 72 };

/* Write one last line to standard error and leave without running anything else. */
_Noreturn void stop(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Memory that is there or the process stops: no caller can do better half-way through a step. Zeroed; free
 * with free(). */
void *mem_new(size_t count, size_t size);
void *mem_grow(void *old, size_t count, size_t size); /* realloc of count * size bytes; new bytes are not zeroed */

#define CLEANUP(function) __attribute__((cleanup(function)))

#endif
