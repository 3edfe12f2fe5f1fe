#include "base/check.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "tidemill: bug: %s:%d: %s: %s does not hold\n", file, line, function, condition);
    abort(); /* a core file says more than an exit code */
}

_Noreturn void stop(int exit_code, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "tidemill: stopped (exit %d): %s\n", exit_code, line);
    fflush(stderr);
    _exit(exit_code);
}

void *mem_new(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        stop(STOP_MEMORY, "out of memory: %zu x %zu bytes", count, size);
    return p;
}

void *mem_grow(void *old, size_t count, size_t size)
{
    void *p;
    if (size && count > SIZE_MAX / size)
        stop(STOP_MEMORY, "out of memory: %zu x %zu bytes", count, size);
    size_t bytes = count * size;
    p = realloc(old, bytes ? bytes : 1);
    if (!p)
        stop(STOP_MEMORY, "out of memory: %zu x %zu bytes", count, size);
    return p;
}
