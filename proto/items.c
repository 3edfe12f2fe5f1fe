#include "proto/items.h"

#include <stdlib.h>

#include "base/hash.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

enum { EVENT_ITEMS = 18 /* field number in Event */, SEEN_SLOTS = 2048 };
static_assert(SEEN_SLOTS >= 2 * ITEMS_MAX && (SEEN_SLOTS & (SEEN_SLOTS - 1)) == 0, "half of the slots stay free");

void items_close(struct items *i)
{
    free(i->item);
    free(i->seen);
    buffer_close(&i->rest);
    *i = (struct items){0};
}

static enum tm_code add(struct items *i, struct bytes own, struct tm_error *err)
{
    if (i->count == ITEMS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "items: more than %d; expected several records", ITEMS_MAX);
    if (i->count == i->capacity) {
        i->capacity = i->capacity ? i->capacity * 2 : 64;
        i->item = mem_grow(i->item, i->capacity, sizeof *i->item);
    }
    i->item[i->count++] = (struct item){.own = own};
    return TM_OK;
}

/* Writers put items last, so that what is in front of them is all that is shared. Whoever does not, costs a copy. */
static enum tm_code cut(struct bytes wire, struct items *out, struct tm_error *err)
{
    struct reader r = reader_of(wire);
    struct wire_field f;
    const uint8_t *field = r.at;
    out->count = 0;
    out->rest.size = 0;
    for (; wire_next(&r, &f); field = r.at) {
        struct bytes whole = bytes_of(field, (size_t)(r.at - field));
        if (f.number != EVENT_ITEMS)
            buffer_put(&out->rest, whole.data, whole.size);
        else if (add(out, whole, err) != TM_OK)
            return TM_INVALID_ARGUMENT;
    }
    if (r.bad)
        return wire_malformed(&r, wire, err);
    bool first = out->rest.size == 0 || (size_t)(out->item[0].own.data - wire.data) == out->rest.size;
    out->shared = first ? bytes_of(wire.data, out->rest.size) : buffer_view(&out->rest);
    size_t split = out->count * out->shared.size + (wire.size - out->shared.size);
    if (split > ITEMS_SPLIT_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "items: %u that share %zu bytes make %zu; expected at most %d, so several records",
                            out->count, out->shared.size, split, ITEMS_SPLIT_MAX);
    return TM_OK;
}

/* False: another item has the document. */
static bool is_first(struct items *i, uint32_t number)
{
    struct bytes doc = i->item[number].doc;
    uint32_t at = (uint32_t)hash_64(doc) & (SEEN_SLOTS - 1);
    for (; i->seen[at]; at = (at + 1) & (SEEN_SLOTS - 1))
        if (bytes_equal(i->item[i->seen[at] - 1].doc, doc))
            return false;
    i->seen[at] = number + 1;
    return true;
}

static enum tm_code judge(struct items *i, uint32_t number, bool behind_sparse, struct tm_error *err)
{
    struct event e;
    const char *field;
    enum tm_code rc = event_scan(i->item[number].own, &e, err);
    if (rc != TM_OK) {
        tm_error_wrap(err, "items[%u]", number);
        return rc;
    }
    rc = event_validate_item(&e, behind_sparse, &field, err);
    if (rc != TM_OK) {
        tm_error_wrap(err, "items[%u].%s", number, field);
        return rc;
    }
    i->item[number].doc = e.doc;
    if (is_first(i, number))
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "items[%u].doc: \"%.*s\" is in the record already; expected it once",
                        number, (int)e.doc.size, (const char *)e.doc.data);
}

enum tm_code items_read(struct bytes wire, int64_t now_ms, struct items *out, const char **field, struct tm_error *err)
{
    *field = "items";
    enum tm_code rc = cut(wire, out, err);
    if (rc == TM_OK)
        rc = event_scan(out->shared, &out->event, err);
    if (rc == TM_OK)
        rc = event_validate_shared(&out->event, now_ms, field, err);
    if (rc != TM_OK)
        return rc;
    *field = "items";
    if (!out->seen)
        out->seen = mem_new(SEEN_SLOTS, sizeof *out->seen);
    memset(out->seen, 0, SEEN_SLOTS * sizeof *out->seen);
    for (uint32_t i = 0; rc == TM_OK && i < out->count; i++)
        rc = judge(out, i, out->event.encoding && out->event.features.size, err);
    if (rc == TM_OK)
        *field = "";
    return rc;
}

/* Dense values, then sparse ones behind them: as sparse ones altogether. */
static void join_sparse(struct bytes dense, struct bytes sparse, struct buffer *joined)
{
    uint32_t values = (uint32_t)(dense.size / sizeof(float)), index;
    size_t half = sparse.size / 2;
    for (uint32_t i = 0; i < values; i++)
        buffer_put_u32(joined, i);
    for (size_t at = 0; at < half; at += sizeof index) {
        memcpy(&index, sparse.data + at, sizeof index);
        buffer_put_u32(joined, index < UINT32_MAX - values ? values + index : UINT32_MAX);
    }
    buffer_put(joined, dense.data, dense.size);
    buffer_put(joined, sparse.data + half, half);
}

struct bytes items_features(const struct event *e, uint32_t *encoding, struct buffer *joined)
{
    bool shared = e->has & EVENT_HAS_FEATURES, own = e->has & EVENT_HAS_ITEM_FEATURES;
    *encoding = own ? e->item_encoding : e->encoding;
    if (!shared || !own)
        return own ? e->item_features : e->features;
    joined->size = 0;
    if (*encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32) {
        join_sparse(e->features, e->item_features, joined);
    } else {
        buffer_put(joined, e->features.data, e->features.size);
        buffer_put(joined, e->item_features.data, e->item_features.size);
    }
    return buffer_view(joined);
}
