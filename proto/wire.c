#include "proto/wire.h"

#include <inttypes.h>

enum { TAG_BYTES_MAX = 5, VARINT_BYTES_MAX = 10, FIELD_NUMBER_MAX = (1 << 29) - 1 };

const uint8_t *wire_varint_long(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    uint64_t value = 0;
    if (end - p > VARINT_BYTES_MAX)
        end = p + VARINT_BYTES_MAX;
    for (int shift = 0; p < end; shift += 7) {
        uint64_t byte = *p++;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *v = value;
            return shift == 63 && byte > 1 ? NULL : p; /* bits above the 64th */
        }
    }
    return NULL;
}

const uint8_t *wire_tag(const uint8_t *p, const uint8_t *end, uint32_t *tag)
{
    uint64_t v = 0;
    if (end - p > TAG_BYTES_MAX)
        end = p + TAG_BYTES_MAX;
    p = wire_varint(p, end, &v);
    *tag = (uint32_t)v;
    return p && v >> 3 >= 1 && v >> 3 <= FIELD_NUMBER_MAX ? p : NULL;
}

static const uint8_t *take_fixed(const uint8_t *p, const uint8_t *end, size_t size, uint64_t *v)
{
    if ((size_t)(end - p) < size)
        return NULL;
    *v = 0;
    memcpy(v, p, size);
    return p + size;
}

static const uint8_t *take_value(const uint8_t *p, const uint8_t *end, struct wire_field *f)
{
    switch (f->type) {
    case WIRE_VARINT: return wire_varint(p, end, &f->integer);
    case WIRE_FIXED64: return take_fixed(p, end, 8, &f->integer);
    case WIRE_FIXED32: return take_fixed(p, end, 4, &f->integer);
    case WIRE_BYTES:
        p = wire_varint(p, end, &f->integer);
        if (!p || f->integer > (uint64_t)(end - p))
            return NULL;
        f->bytes = bytes_of(p, (size_t)f->integer);
        return p + f->integer;
    }
    return NULL; /* groups, and the two types that do not exist */
}

bool wire_next(struct reader *r, struct wire_field *field)
{
    uint32_t tag;
    const uint8_t *p;
    if (r->bad || r->at == r->end)
        return false;
    p = wire_tag(r->at, r->end, &tag);
    if (p) {
        field->number = tag >> 3;
        field->type = (enum wire_type)(tag & 7);
        p = take_value(p, r->end, field);
    }
    if (!p) {
        r->bad = true;
        return false;
    }
    r->at = p;
    return true;
}

static enum tm_code malformed_value(size_t at, uint32_t tag, const uint8_t *p, const uint8_t *end, struct tm_error *err)
{
    uint32_t number = tag >> 3, type = tag & 7;
    size_t left = (size_t)(end - p);
    uint64_t length;
    if (type == WIRE_FIXED64 || type == WIRE_FIXED32)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "byte %zu: field %u has %zu bytes left; expected %d", at, number,
                            left, type == WIRE_FIXED64 ? 8 : 4);
    if (type == WIRE_VARINT || (type == WIRE_BYTES && !wire_varint(p, end, &length)))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "byte %zu: the %s of field %u does not end; expected a varint of at most 64 bits", at,
                            type == WIRE_BYTES ? "length" : "value", number);
    if (type == WIRE_BYTES) {
        left = (size_t)(end - wire_varint(p, end, &length));
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "byte %zu: field %u is %" PRIu64 " bytes long; expected at most the %zu left", at, number,
                            length, left);
    }
    return tm_error_set(err, TM_INVALID_ARGUMENT, "byte %zu: field %u has wire type %u%s; expected 0, 1, 2 or 5", at,
                        number, type, type == 3 || type == 4 ? ", a group" : "");
}

enum tm_code wire_malformed(const struct reader *r, struct bytes whole, struct tm_error *err)
{
    size_t at = (size_t)(r->at - whole.data);
    uint32_t tag;
    const uint8_t *p = wire_tag(r->at, r->end, &tag);
    CHECK(r->at >= whole.data && r->end <= whole.data + whole.size);
    if (!p)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "byte %zu: no field tag; expected a varint of at most 5 bytes, field number 1 to %d", at,
                            FIELD_NUMBER_MAX);
    return malformed_value(at, tag, p, r->end, err);
}

static bool follows(uint8_t c, uint8_t low, uint8_t high) { return c >= low && c <= high; }

/* Length of the character at p, 0 when it is none: table 3-7 of the Unicode standard. */
static size_t character_length(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return c != 0;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    if (c < 0xe0)
        return left >= 2 && follows(p[1], 0x80, 0xbf) ? 2 : 0;
    if (c < 0xf0)
        return left >= 3 && follows(p[1], c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf) && follows(p[2], 0x80, 0xbf)
                   ? 3
                   : 0;
    return left >= 4 && follows(p[1], c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf) && follows(p[2], 0x80, 0xbf) &&
                   follows(p[3], 0x80, 0xbf)
               ? 4
               : 0;
}

/* All 8 bytes are 1 to 127: ids nearly always are. */
static bool eight_ascii(const uint8_t *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return ((w | (w - ones)) & highs) == 0;
}

bool wire_is_text(struct bytes b)
{
    for (size_t i = 0, length; i < b.size; i += length) {
        length = b.size - i >= 8 && eight_ascii(b.data + i) ? 8 : character_length(b.data + i, b.size - i);
        if (length == 0)
            return false;
    }
    return true;
}

void wire_put_varint(struct buffer *b, uint64_t v)
{
    uint8_t *p = buffer_reserve(b, VARINT_BYTES_MAX);
    size_t size = 0;
    for (; v >= 0x80; v >>= 7)
        p[size++] = (uint8_t)(v | 0x80);
    p[size++] = (uint8_t)v;
    b->size += size;
}

static void put_tag(struct buffer *b, uint32_t number, enum wire_type type)
{
    CHECK(number >= 1 && number <= FIELD_NUMBER_MAX);
    wire_put_varint(b, (uint64_t)number << 3 | type);
}

void wire_put_integer(struct buffer *b, uint32_t number, uint64_t v)
{
    put_tag(b, number, WIRE_VARINT);
    wire_put_varint(b, v);
}

void wire_put_bytes(struct buffer *b, uint32_t number, struct bytes v)
{
    put_tag(b, number, WIRE_BYTES);
    wire_put_varint(b, v.size);
    buffer_put(b, v.data, v.size);
}

void wire_put_fixed64(struct buffer *b, uint32_t number, uint64_t v)
{
    put_tag(b, number, WIRE_FIXED64);
    buffer_put_u64(b, v);
}

void wire_put_fixed32(struct buffer *b, uint32_t number, uint32_t v)
{
    put_tag(b, number, WIRE_FIXED32);
    buffer_put_u32(b, v);
}
