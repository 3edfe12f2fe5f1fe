#include "joiner/held_rows.h"

#include <stdlib.h>

#include "base/check.h"

enum { GROUP_BYTES = 24 };

void held_rows_open(struct held_rows *h, uint64_t first, int64_t span)
{
    *h = (struct held_rows){.first = first, .span = span};
}

void held_rows_close(struct held_rows *h)
{
    free(h->group);
    *h = (struct held_rows){0};
}

static bool fits(const struct held_rows *h, const struct held_group *g, int64_t newest)
{
    int64_t from = newest < g->oldest ? newest : g->oldest, to = newest > g->newest ? newest : g->newest, span;
    return newest == INT64_MIN || g->newest == INT64_MIN ||
           (!__builtin_sub_overflow(to, from, &span) && span <= h->span);
}

static struct held_group *new_group(struct held_rows *h)
{
    if (h->groups == h->capacity) {
        h->capacity = h->capacity ? 2 * h->capacity : 8;
        h->group = mem_grow(h->group, h->capacity, sizeof *h->group);
    }
    h->group[h->groups] = (struct held_group){.oldest = INT64_MAX, .newest = INT64_MIN};
    return &h->group[h->groups++];
}

void held_rows_add(struct held_rows *h, uint64_t end, int64_t newest)
{
    struct held_group *g = h->groups ? &h->group[h->groups - 1] : NULL;
    if (!g || !fits(h, g, newest))
        g = new_group(h);
    g->end = end;
    if (newest == INT64_MIN)
        return;
    g->oldest = newest < g->oldest ? newest : g->oldest;
    g->newest = newest > g->newest ? newest : g->newest;
}

bool held_rows_trim(struct held_rows *h, int64_t expiry)
{
    size_t n = 0;
    while (n < h->groups && (h->group[n].newest == INT64_MIN || h->group[n].newest < expiry))
        h->first = h->group[n++].end;
    h->groups -= n;
    if (n && h->groups)
        memmove(h->group, h->group + n, h->groups * sizeof *h->group);
    return n > 0;
}

void held_rows_encode(const struct held_rows *h, struct buffer *out)
{
    buffer_put_u64(out, h->first);
    buffer_put_u32(out, (uint32_t)h->groups);
    for (size_t i = 0; i < h->groups; i++) {
        buffer_put_u64(out, h->group[i].end);
        buffer_put_i64(out, h->group[i].oldest);
        buffer_put_i64(out, h->group[i].newest);
    }
}

uint64_t held_rows_decode(struct held_rows *h, struct reader *r)
{
    CHECK(h->groups == 0);
    uint64_t end = h->first = reader_u64(r);
    uint32_t count = reader_u32(r);
    r->bad |= h->first == 0 || count > reader_left(r) / GROUP_BYTES;
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        struct held_group *g = new_group(h);
        g->end = reader_u64(r);
        g->oldest = reader_i64(r);
        g->newest = reader_i64(r);
        r->bad |= g->end <= end;
        end = g->end;
    }
    return end;
}
