#include "base/bytes.h"

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
