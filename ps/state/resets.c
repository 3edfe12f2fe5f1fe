#include "ps/state/resets.h"

#include <stdlib.h>

void resets_close(struct resets *r)
{
    free(r->reset);
    *r = (struct resets){0};
}

void resets_all(struct resets *r, uint64_t base)
{
    r->base = base;
    r->count = 0; /* they lie before it */
}

static bool same_doc(struct doc_id a, struct doc_id b) { return a.low == b.low && a.high == b.high; }

/* Keep what still matters: nothing whose time has passed, and one of a document. */
static void tidy(struct resets *r, struct doc_id doc, int64_t horizon)
{
    uint32_t stay = 0;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->reset[i].until > horizon && !same_doc(r->reset[i].doc, doc))
            r->reset[stay++] = r->reset[i];
    r->count = stay;
}

static void give_up_oldest(struct resets *r)
{
    r->base = r->reset[0].base;
    memmove(r->reset, r->reset + 1, --r->count * sizeof *r->reset);
}

static void append(struct resets *r, const struct reset *reset)
{
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 4;
        r->reset = mem_grow(r->reset, r->capacity, sizeof *r->reset);
    }
    r->reset[r->count++] = *reset;
}

void resets_doc(struct resets *r, const struct reset *reset, int64_t horizon)
{
    tidy(r, reset->doc, horizon);
    if (r->count == RESETS_MAX)
        give_up_oldest(r);
    append(r, reset);
}

bool resets_cut(const struct resets *r, struct doc_id doc, uint64_t original)
{
    if (original < r->base)
        return true;
    for (uint32_t i = r->count; i > 0 && original < r->reset[i - 1].base; i--)
        if (same_doc(r->reset[i - 1].doc, doc))
            return true;
    return false;
}

void resets_encode(const struct resets *r, struct buffer *out)
{
    buffer_put_u64(out, r->base);
    buffer_put_u32(out, r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct reset *x = &r->reset[i];
        buffer_put_u64(out, x->doc.low);
        buffer_put_u32(out, x->doc.high);
        buffer_put_u64(out, x->base);
        buffer_put_i64(out, x->until);
    }
}

enum tm_code resets_decode(struct resets *r, struct reader *in, struct tm_error *err)
{
    r->base = reader_u64(in);
    uint32_t count = reader_u32(in);
    if (count > RESETS_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "%u documents were reset; expected at most %d", count, RESETS_MAX);
    r->count = 0;
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        struct reset x;
        x.doc.low = reader_u64(in);
        x.doc.high = reader_u32(in);
        x.base = reader_u64(in);
        x.until = reader_i64(in);
        append(r, &x);
    }
    return TM_OK;
}
