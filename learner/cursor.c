#include "learner/cursor.h"

#include <inttypes.h>

void cursor_start(struct cursor *c, uint64_t head) { *c = (struct cursor){.next = head, .gap_until = INT64_MIN}; }

/* Can a sample of the gap in front of interval i still be corrected? In front of the first one is what came before the
 * version, or what was given up: never learned. */
static bool gap_matters(const struct cursor *c, uint32_t i, int64_t horizon)
{
    return i == 0 || c->learned[i].gap_until > horizon;
}

uint32_t cursor_intervals(const struct cursor *c, int64_t horizon)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < c->count; i++)
        left += gap_matters(c, i, horizon);
    return left;
}

static void forget_gaps(struct cursor *c, int64_t horizon)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < c->count; i++)
        if (gap_matters(c, i, horizon))
            c->learned[left++] = c->learned[i];
        else
            c->learned[left - 1].to = c->learned[i].to;
    c->count = left;
}

static void begin_interval(struct cursor *c, uint64_t from, int64_t horizon)
{
    forget_gaps(c, horizon);
    if (c->count == CURSOR_INTERVALS_MAX)
        memmove(c->learned, c->learned + 1, --c->count * sizeof c->learned[0]);
    c->learned[c->count++] = (struct interval){from, from + 1, c->gap_until};
    c->skipped = false;
    c->gap_until = INT64_MIN;
}

void cursor_learn(struct cursor *c, uint64_t sequence, int64_t horizon)
{
    CHECK(sequence >= c->next && sequence >= c->discarded);
    if (c->count && !c->skipped)
        c->learned[c->count - 1].to = sequence + 1;
    else
        begin_interval(c, sequence, horizon);
    cursor_pass(c, sequence);
}

static void note_skipped(struct cursor *c, int64_t until)
{
    c->skipped = true;
    if (until > c->gap_until)
        c->gap_until = until;
}

void cursor_skip(struct cursor *c, uint64_t sequence, int64_t until)
{
    note_skipped(c, until);
    cursor_pass(c, sequence);
}

void cursor_pass(struct cursor *c, uint64_t sequence)
{
    CHECK(sequence >= c->next && sequence < UINT64_MAX);
    c->next = sequence + 1;
}

void cursor_discard(struct cursor *c, uint64_t head, int64_t until)
{
    CHECK(head >= c->next && head >= c->discarded);
    c->discarded = head;
    note_skipped(c, until);
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
    buffer_put_u64(out, c->discarded);
    buffer_put_u8(out, c->skipped);
    buffer_put_i64(out, c->gap_until);
    buffer_put_u32(out, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        buffer_put_u64(out, c->learned[i].from);
        buffer_put_u64(out, c->learned[i].to);
        buffer_put_i64(out, c->learned[i].gap_until);
    }
}

static enum tm_code decode_interval(struct cursor *c, uint32_t i, struct reader *in, struct tm_error *err)
{
    struct interval *v = &c->learned[i];
    v->from = reader_u64(in);
    v->to = reader_u64(in);
    v->gap_until = reader_i64(in);
    if (in->bad)
        return tm_error_set(err, TM_DATA_LOSS, "cursor: cut short in interval %" PRIu32, i);
    if (v->from >= v->to || v->to > c->next || (i && v->from <= c->learned[i - 1].to))
        return tm_error_set(err, TM_DATA_LOSS,
                            "cursor: interval [%" PRIu64 ", %" PRIu64 ") is empty, out of order "
                            "or ahead of %" PRIu64,
                            v->from, v->to, c->next);
    return TM_OK;
}

enum tm_code cursor_decode(struct cursor *c, struct reader *in, struct tm_error *err)
{
    struct cursor read = {0};
    enum tm_code rc = TM_OK;
    read.next = reader_u64(in);
    read.discarded = reader_u64(in);
    read.skipped = reader_u8(in) != 0;
    read.gap_until = reader_i64(in);
    read.count = reader_u32(in);
    if (in->bad)
        return tm_error_set(err, TM_DATA_LOSS, "cursor: cut short");
    if (read.count > CURSOR_INTERVALS_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "cursor: %" PRIu32 " intervals, at most %d", read.count,
                            CURSOR_INTERVALS_MAX);
    for (uint32_t i = 0; rc == TM_OK && i < read.count; i++)
        rc = decode_interval(&read, i, in, err);
    if (rc == TM_OK)
        *c = read;
    return rc;
}
