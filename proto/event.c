#include "proto/event.h"

#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

/* Field numbers of Event in events.proto. */
enum {
    F_STREAM = 1,
    F_REQUEST,
    F_DOC,
    F_USER,
    F_VERSION,
    F_TIME,
    F_EVENT,
    F_VALUE,
    F_SCORE,
    F_PROPENSITY,
    F_POSITION,
    F_WEIGHT,
    F_REPRESENTATION,
    F_ENCODING,
    F_PAYLOAD,
    F_FEATURES,
    F_WITHDRAW,
    F_ITEMS,
    F_END
};

/* Of Item. */
enum { I_DOC = 1, I_POSITION, I_PROPENSITY, I_SCORE, I_ENCODING, I_FEATURES, I_END };

struct field {
    const char *name;
    enum wire_type type;
};

static const struct field fields[F_END] = {
    [F_STREAM] = {"stream", WIRE_BYTES},
    [F_REQUEST] = {"request", WIRE_BYTES},
    [F_DOC] = {"doc", WIRE_BYTES},
    [F_USER] = {"user", WIRE_BYTES},
    [F_VERSION] = {"version", WIRE_BYTES},
    [F_TIME] = {"time", WIRE_VARINT},
    [F_EVENT] = {"event", WIRE_BYTES},
    [F_VALUE] = {"value", WIRE_FIXED64},
    [F_SCORE] = {"score", WIRE_FIXED32},
    [F_PROPENSITY] = {"propensity", WIRE_FIXED32},
    [F_POSITION] = {"position", WIRE_VARINT},
    [F_WEIGHT] = {"weight", WIRE_FIXED32},
    [F_REPRESENTATION] = {"representation", WIRE_BYTES},
    [F_ENCODING] = {"encoding", WIRE_VARINT},
    [F_PAYLOAD] = {"payload", WIRE_BYTES},
    [F_FEATURES] = {"features", WIRE_BYTES},
    [F_WITHDRAW] = {"withdraw", WIRE_VARINT},
    [F_ITEMS] = {"items", WIRE_BYTES},
};

static const struct field item_fields[I_END] = {
    [I_DOC] = {"items.doc", WIRE_BYTES},
    [I_POSITION] = {"items.position", WIRE_VARINT},
    [I_PROPENSITY] = {"items.propensity", WIRE_FIXED32},
    [I_SCORE] = {"items.score", WIRE_FIXED32},
    [I_ENCODING] = {"items.encoding", WIRE_VARINT},
    [I_FEATURES] = {"items.features", WIRE_BYTES},
};

/* The four ways a value lies on the wire: each sets *out and returns what follows, or NULL. */
static inline const uint8_t *take_bytes(const uint8_t *p, const uint8_t *end, struct bytes *out)
{
    uint64_t size;
    p = wire_varint(p, end, &size);
    if (!p || size > (uint64_t)(end - p))
        return NULL;
    *out = bytes_of(p, (size_t)size);
    return p + size;
}

static inline const uint8_t *take_fixed(const uint8_t *p, const uint8_t *end, void *out, size_t size)
{
    if ((size_t)(end - p) < size)
        return NULL;
    memcpy(out, p, size);
    return p + size;
}

static inline const uint8_t *take_int64(const uint8_t *p, const uint8_t *end, int64_t *out)
{
    uint64_t v = 0;
    p = wire_varint(p, end, &v);
    *out = (int64_t)v;
    return p;
}

/* int32 and enums are written as 64 bits; every reader drops the upper half. */
static inline const uint8_t *take_low_bits(const uint8_t *p, const uint8_t *end, void *out)
{
    uint64_t v = 0;
    p = wire_varint(p, end, &v);
    memcpy(out, &v, sizeof(uint32_t));
    return p;
}

static inline const uint8_t *take_flag(const uint8_t *p, const uint8_t *end, bool *out)
{
    uint64_t v = 0;
    p = wire_varint(p, end, &v);
    *out = v != 0;
    return p;
}

static const uint8_t *skip(const uint8_t *field, const uint8_t *end)
{
    struct reader r = {field, end, false};
    struct wire_field unknown;
    return wire_next(&r, &unknown) ? r.at : NULL;
}

#define TAG(number, type) ((number) << 3 | (type))

/* Take the value of one known field; unknown ones are skipped. field: where the tag stands; p: behind it. */
static inline const uint8_t *take_field(uint32_t tag, const uint8_t *field, const uint8_t *p, const uint8_t *end,
                                        struct event *e)
{
    switch (tag) {
    case TAG(F_STREAM, WIRE_BYTES): return take_bytes(p, end, &e->stream);
    case TAG(F_REQUEST, WIRE_BYTES): return take_bytes(p, end, &e->request);
    case TAG(F_DOC, WIRE_BYTES): return take_bytes(p, end, &e->doc);
    case TAG(F_USER, WIRE_BYTES): return take_bytes(p, end, &e->user);
    case TAG(F_VERSION, WIRE_BYTES): return take_bytes(p, end, &e->version);
    case TAG(F_EVENT, WIRE_BYTES): return take_bytes(p, end, &e->event);
    case TAG(F_REPRESENTATION, WIRE_BYTES): return take_bytes(p, end, &e->representation);
    case TAG(F_PAYLOAD, WIRE_BYTES): return take_bytes(p, end, &e->payload);
    case TAG(F_ENCODING, WIRE_VARINT): return take_low_bits(p, end, &e->encoding);
    case TAG(F_TIME, WIRE_VARINT): e->has |= EVENT_HAS_TIME; return take_int64(p, end, &e->time);
    case TAG(F_VALUE, WIRE_FIXED64): e->has |= EVENT_HAS_VALUE; return take_fixed(p, end, &e->value, sizeof e->value);
    case TAG(F_SCORE, WIRE_FIXED32): e->has |= EVENT_HAS_SCORE; return take_fixed(p, end, &e->score, sizeof e->score);
    case TAG(F_PROPENSITY, WIRE_FIXED32):
        e->has |= EVENT_HAS_PROPENSITY;
        return take_fixed(p, end, &e->propensity, sizeof e->propensity);
    case TAG(F_POSITION, WIRE_VARINT): e->has |= EVENT_HAS_POSITION; return take_low_bits(p, end, &e->position);
    case TAG(F_WEIGHT, WIRE_FIXED32):
        e->has |= EVENT_HAS_WEIGHT;
        return take_fixed(p, end, &e->weight, sizeof e->weight);
    case TAG(F_FEATURES, WIRE_BYTES): e->has |= EVENT_HAS_FEATURES; return take_bytes(p, end, &e->features);
    case TAG(F_WITHDRAW, WIRE_VARINT): return take_flag(p, end, &e->withdraw);
    case TAG(F_ITEMS, WIRE_BYTES): e->items++; return take_bytes(p, end, &e->item);
    default: return tag >> 3 < F_END ? NULL : skip(field, end);
    }
}

static const uint8_t *take_item_field(uint32_t tag, const uint8_t *field, const uint8_t *p, const uint8_t *end,
                                      struct event *e)
{
    switch (tag) {
    case TAG(I_DOC, WIRE_BYTES): return take_bytes(p, end, &e->doc);
    case TAG(I_POSITION, WIRE_VARINT): e->has |= EVENT_HAS_POSITION; return take_low_bits(p, end, &e->position);
    case TAG(I_PROPENSITY, WIRE_FIXED32):
        e->has |= EVENT_HAS_PROPENSITY;
        return take_fixed(p, end, &e->propensity, sizeof e->propensity);
    case TAG(I_SCORE, WIRE_FIXED32): e->has |= EVENT_HAS_SCORE; return take_fixed(p, end, &e->score, sizeof e->score);
    case TAG(I_ENCODING, WIRE_VARINT): return take_low_bits(p, end, &e->item_encoding);
    case TAG(I_FEATURES, WIRE_BYTES): e->has |= EVENT_HAS_ITEM_FEATURES; return take_bytes(p, end, &e->item_features);
    default: return tag >> 3 < I_END ? NULL : skip(field, end);
    }
}

/* Why the field at `at` was not taken. */
static enum tm_code refuse(struct bytes wire, const uint8_t *at, const struct field *known, struct tm_error *err)
{
    struct reader r = {at, wire.data + wire.size, false};
    struct wire_field f;
    if (!wire_next(&r, &f)) {
        wire_malformed(&r, wire, err);
        return TM_INVALID_ARGUMENT;
    }
    return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: wire type %d at byte %zu; expected %d", known[f.number].name,
                        (int)f.type, (size_t)(at - wire.data), (int)known[f.number].type);
}

static inline const uint8_t *take_tag(const uint8_t *p, const uint8_t *end, uint32_t *tag)
{
    *tag = *p;
    return *tag >= 1 << 3 && *tag < 0x80 ? p + 1 : wire_tag(p, end, tag);
}

static enum tm_code scan(struct bytes wire, struct event *out, struct tm_error *err)
{
    const struct reader r = reader_of(wire);
    const uint8_t *p = r.at, *end = r.end;
    while (p < end) {
        const uint8_t *field = p;
        uint32_t tag;
        p = take_tag(p, end, &tag);
        if (p)
            p = take_field(tag, field, p, end, out);
        if (!p)
            return refuse(wire, field, fields, err);
    }
    return TM_OK;
}

static enum tm_code scan_item(struct event *out, struct tm_error *err)
{
    const struct reader r = reader_of(out->item);
    const uint8_t *p = r.at, *end = r.end;
    while (p < end) {
        const uint8_t *field = p;
        uint32_t tag;
        p = take_tag(p, end, &tag);
        if (p)
            p = take_item_field(tag, field, p, end, out);
        if (!p)
            return refuse(out->item, field, item_fields, err);
    }
    return TM_OK;
}

enum tm_code event_scan_parts(struct bytes own, struct bytes shared, struct event *out, struct tm_error *err)
{
    if (own.size > EVENT_SIZE_MAX || shared.size > EVENT_SIZE_MAX - own.size)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "event of %zu bytes; expected at most %d", own.size + shared.size,
                            EVENT_SIZE_MAX);
    *out = (struct event){.value = 1, .weight = 1};
    enum tm_code rc = scan(own, out, err);
    if (rc == TM_OK && shared.size)
        rc = scan(shared, out, err);
    if (rc == TM_OK && out->items == 1)
        rc = scan_item(out, err);
    return rc;
}

enum tm_code event_scan(struct bytes wire, struct event *out, struct tm_error *err)
{
    return event_scan_parts(wire, (struct bytes){0}, out, err);
}

static void put_text(struct buffer *b, uint32_t number, struct bytes v)
{
    if (v.data)
        wire_put_bytes(b, number, v);
}

static void put_float(struct buffer *b, uint32_t number, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    wire_put_fixed32(b, number, bits);
}

static void put_position(struct buffer *b, uint32_t number, int32_t v)
{
    wire_put_integer(b, number, (uint64_t)(int64_t)v);
}

static void put_encoding(struct buffer *out, uint32_t number, uint32_t encoding)
{
    if (encoding)
        wire_put_integer(out, number, (uint64_t)(int64_t)(int32_t)encoding);
}

static void put_item(const struct event *e, struct buffer *out)
{
    CLEANUP(buffer_close) struct buffer item = {0};
    put_text(&item, I_DOC, e->doc);
    if (e->has & EVENT_HAS_POSITION)
        put_position(&item, I_POSITION, e->position);
    if (e->has & EVENT_HAS_PROPENSITY)
        put_float(&item, I_PROPENSITY, e->propensity);
    if (e->has & EVENT_HAS_SCORE)
        put_float(&item, I_SCORE, e->score);
    put_encoding(&item, I_ENCODING, e->item_encoding);
    if (e->has & EVENT_HAS_ITEM_FEATURES)
        wire_put_bytes(&item, I_FEATURES, e->item_features);
    wire_put_bytes(out, F_ITEMS, buffer_view(&item));
}

void event_encode(const struct event *e, struct buffer *out)
{
    uint64_t bits;
    uint32_t own = e->items ? 0 : e->has; /* what an item has is put into it */
    CHECK(e->items <= 1);
    memcpy(&bits, &e->value, sizeof bits);
    put_text(out, F_STREAM, e->stream);
    put_text(out, F_REQUEST, e->request);
    if (!e->items)
        put_text(out, F_DOC, e->doc);
    put_text(out, F_USER, e->user);
    put_text(out, F_VERSION, e->version);
    if (e->has & EVENT_HAS_TIME)
        wire_put_integer(out, F_TIME, (uint64_t)e->time);
    put_text(out, F_EVENT, e->event);
    if (e->has & EVENT_HAS_VALUE)
        wire_put_fixed64(out, F_VALUE, bits);
    if (own & EVENT_HAS_SCORE)
        put_float(out, F_SCORE, e->score);
    if (own & EVENT_HAS_PROPENSITY)
        put_float(out, F_PROPENSITY, e->propensity);
    if (own & EVENT_HAS_POSITION)
        put_position(out, F_POSITION, e->position);
    if (e->has & EVENT_HAS_WEIGHT)
        put_float(out, F_WEIGHT, e->weight);
    put_text(out, F_REPRESENTATION, e->representation);
    put_encoding(out, F_ENCODING, e->encoding);
    if (e->withdraw)
        wire_put_integer(out, F_WITHDRAW, true);
    put_text(out, F_PAYLOAD, e->payload);
    if (e->has & EVENT_HAS_FEATURES)
        wire_put_bytes(out, F_FEATURES, e->features);
    if (e->items)
        put_item(e, out);
}

void event_put_time(int64_t time_ms, struct buffer *out) { wire_put_integer(out, F_TIME, (uint64_t)time_ms); }
