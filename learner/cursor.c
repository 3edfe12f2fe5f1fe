#include "learner/cursor.h"

#include <inttypes.h>

void cursor_start(struct cursor *c, uint64_t head) { *c = (struct cursor){.next = head}; }

void cursor_learn_through(struct cursor *c, uint64_t sequence)
{
    CHECK(sequence >= c->next && sequence < UINT64_MAX);
    if (c->count && c->learned[c->count - 1].to == c->next) {
        c->learned[c->count - 1].to = sequence + 1;
    } else {
        CHECK(c->count < CURSOR_INTERVALS_MAX);
        c->learned[c->count++] = (struct interval){c->next, sequence + 1};
    }
    c->next = sequence + 1;
}

void cursor_learn(struct cursor *c, uint64_t sequence)
{
    CHECK(sequence == c->next);
    cursor_learn_through(c, sequence);
}

void cursor_skip(struct cursor *c, uint64_t to)
{
    CHECK(to >= c->next);
    c->next = to;
}

bool cursor_learned(const struct cursor *c, uint64_t sequence)
{
    uint32_t low = 0, high = c->count; /* the first interval that ends behind the sequence is in [low, high] */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->learned[middle].to <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->count && c->learned[low].from <= sequence;
}

void cursor_encode(const struct cursor *c, struct buffer *out)
{
    buffer_put_u64(out, c->next);
    buffer_put_u32(out, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        buffer_put_u64(out, c->learned[i].from);
        buffer_put_u64(out, c->learned[i].to);
    }
}

enum tm_code cursor_decode(struct cursor *c, struct reader *in, struct tm_error *err)
{
    struct cursor read = {0};
    read.next = reader_u64(in);
    read.count = reader_u32(in);
    if (in->bad)
        return tm_error_set(err, TM_DATA_LOSS, "cursor: cut short");
    if (read.count > CURSOR_INTERVALS_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "cursor: %" PRIu32 " intervals, at most %d", read.count,
                            CURSOR_INTERVALS_MAX);
    for (uint32_t i = 0; i < read.count; i++) {
        struct interval *v = &read.learned[i];
        v->from = reader_u64(in);
        v->to = reader_u64(in);
        if (in->bad)
            return tm_error_set(err, TM_DATA_LOSS, "cursor: cut short in interval %" PRIu32, i);
        if (v->from >= v->to || v->to > read.next || (i && v->from <= read.learned[i - 1].to))
            return tm_error_set(err, TM_DATA_LOSS,
                                "cursor: interval [%" PRIu64 ", %" PRIu64 ") is empty, out of order "
                                "or ahead of %" PRIu64,
                                v->from, v->to, read.next);
    }
    *c = read;
    return TM_OK;
}
