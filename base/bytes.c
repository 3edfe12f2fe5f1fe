#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_close(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_reserve_slow(struct buffer *b, size_t more)
{
    size_t want = b->capacity ? b->capacity * 2 : 256;
    while (want - b->size < more)
        want *= 2;
    b->data = mem_grow(b->data, want, 1);
    b->capacity = want;
}

void buffer_print(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    va_start(args, format);
    vsnprintf((char *)buffer_reserve(b, (size_t)size + 1), (size_t)size + 1, format, args);
    va_end(args);
    b->size += (size_t)size;
}
