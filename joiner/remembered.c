#include "joiner/remembered.h"

#include <stdlib.h>

#include "base/check.h"

enum { STRETCH_BYTES = 24 };

void remembered_open(struct remembered *r, int64_t width)
{
    *r = (struct remembered){.width = width > 0 ? width : 1, .from = INT64_MIN};
}

void remembered_close(struct remembered *r)
{
    free(r->stretch);
    *r = (struct remembered){0};
}

/* Rounded down, for times before 1970, too. */
static int64_t number_of(const struct remembered *r, int64_t time) { return time / r->width - (time % r->width < 0); }

static void add(struct remembered *r, int64_t number, uint64_t bytes, uint64_t samples)
{
    size_t at = r->count;
    while (at > 0 && r->stretch[at - 1].number > number)
        at--;
    if (at == 0 || r->stretch[at - 1].number != number) {
        if (r->count == r->capacity) {
            r->capacity = r->capacity ? 2 * r->capacity : 16;
            r->stretch = mem_grow(r->stretch, r->capacity, sizeof *r->stretch);
        }
        memmove(&r->stretch[at + 1], &r->stretch[at], (r->count++ - at) * sizeof *r->stretch);
        r->stretch[at++] = (struct remembered_stretch){.number = number};
    }
    r->stretch[at - 1].bytes += bytes;
    r->stretch[at - 1].samples += samples;
    r->bytes += bytes;
}

/* Mostly it is the newest stretch: a multiplication is cheaper than a division. */
void remembered_add(struct remembered *r, int64_t time, uint64_t bytes, uint64_t samples)
{
    if (time < r->from)
        return;
    int64_t number = r->count ? r->stretch[r->count - 1].number : 0, start, into;
    if (__builtin_mul_overflow(number, r->width, &start) || __builtin_sub_overflow(time, start, &into) || into < 0 ||
        into >= r->width)
        number = number_of(r, time);
    add(r, number, bytes, samples);
}

static int64_t end_of(const struct remembered *r, const struct remembered_stretch *s)
{
    int64_t end;
    return __builtin_mul_overflow(s->number + 1, r->width, &end) ? INT64_MAX : end;
}

uint64_t remembered_trim(struct remembered *r, int64_t expiry, int64_t gate, uint64_t most)
{
    uint64_t given_up = 0;
    size_t n = 0;
    for (; n < r->count; n++) {
        struct remembered_stretch *s = &r->stretch[n];
        bool expired = s->number < number_of(r, expiry);
        if (!expired && (most == 0 || r->bytes <= most))
            break;
        r->bytes -= s->bytes;
        if (expired)
            continue;
        given_up += s->samples;
        r->from = end_of(r, s);
        if (r->from > gate) { /* more of it may be decided yet */
            r->from = gate;
            s->bytes = s->samples = 0;
            break;
        }
    }
    r->count -= n;
    if (n && r->count)
        memmove(r->stretch, r->stretch + n, r->count * sizeof *r->stretch);
    return given_up;
}

void remembered_encode(const struct remembered *r, struct buffer *out)
{
    buffer_put_i64(out, r->from);
    buffer_put_u32(out, (uint32_t)r->count);
    for (size_t i = 0; i < r->count; i++) {
        buffer_put_i64(out, r->stretch[i].number);
        buffer_put_u64(out, r->stretch[i].bytes);
        buffer_put_u64(out, r->stretch[i].samples);
    }
}

void remembered_decode(struct remembered *r, struct reader *in)
{
    CHECK(r->count == 0);
    r->from = reader_i64(in);
    uint32_t count = reader_u32(in);
    in->bad |= count > reader_left(in) / STRETCH_BYTES;
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        int64_t number = reader_i64(in);
        uint64_t bytes = reader_u64(in), samples = reader_u64(in);
        in->bad |= r->count > 0 && number <= r->stretch[r->count - 1].number;
        if (!in->bad)
            add(r, number, bytes, samples);
    }
}
