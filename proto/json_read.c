/* JSON to the wire form of a message: field by field, as if the sender had packed it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "proto/json.h"
#include "proto/json_value.h"
#include "proto/wire.h"

enum { NUMBER_TEXT_MAX = 24 }; /* of an integer given as text */

/* One scalar on its way; `number` is what a varint or fixed field carries. */
struct scalar {
    uint64_t number;
    struct bytes bytes;
    struct buffer decoded; /* owned: what bytes points to when it was base64 */
};

/* ---- scalars ---- */

struct integer_range {
    int64_t min;
    uint64_t max;
    const char *expected;
};

static const struct integer_range *range_of(ProtobufCType type)
{
    static const struct integer_range ranges[] = {
        {INT32_MIN, INT32_MAX, "an integer from -2147483648 to 2147483647"},
        {0, UINT32_MAX, "an integer from 0 to 4294967295"},
        {INT64_MIN, INT64_MAX, "an integer of 64 bits"},
        {0, UINT64_MAX, "an integer from 0 to 18446744073709551615"},
    };
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: return &ranges[0];
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: return &ranges[1];
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: return &ranges[2];
    default: return &ranges[3];
    }
}

/* Decimal digits, with a sign where there may be one. */
static bool parse_integer(struct bytes text, const struct integer_range *range, uint64_t *out)
{
    char digits[NUMBER_TEXT_MAX + 1], *end;
    size_t sign = text.size > 0 && text.data[0] == '-';
    if (text.size > NUMBER_TEXT_MAX || text.size == sign || text.data[sign] < '0' || text.data[sign] > '9')
        return false;
    memcpy(digits, text.data, text.size);
    digits[text.size] = '\0';
    errno = 0;
    *out = sign ? (uint64_t)strtoll(digits, &end, 10) : strtoull(digits, &end, 10);
    if (errno || *end)
        return false;
    return sign ? range->min < 0 && (int64_t)*out >= range->min : *out <= range->max;
}

static enum tm_code read_integer(const json_t *v, ProtobufCType type, struct scalar *out, struct tm_error *err)
{
    const struct integer_range *range = range_of(type);
    json_int_t n = json_integer_value(v);
    bool fits = json_is_integer(v) && n >= range->min && (n < 0 || (uint64_t)n <= range->max);
    out->number = (uint64_t)n;
    if (!fits && !(json_is_string(v) && parse_integer(json_text(v), range, &out->number)))
        return json_unexpected(v, range->expected, err);
    if (type == PROTOBUF_C_TYPE_SINT32 || type == PROTOBUF_C_TYPE_SINT64) /* zigzag */
        out->number = out->number << 1 ^ (uint64_t)((int64_t)out->number >> 63);
    return TM_OK;
}

static enum tm_code read_real(const json_t *v, ProtobufCType type, struct scalar *out, struct tm_error *err)
{
    double value = json_number_value(v);
    float narrow = (float)value;
    if (!json_is_number(v))
        return json_unexpected(v, "a number", err);
    if (type == PROTOBUF_C_TYPE_DOUBLE) {
        memcpy(&out->number, &value, sizeof value);
        return TM_OK;
    }
    memcpy(&out->number, &narrow, sizeof narrow);
    return isfinite(narrow) ? TM_OK : json_unexpected(v, "a number within float32, +-3.4e38", err);
}

static enum tm_code read_enum(const json_t *v, const ProtobufCEnumDescriptor *type, struct scalar *out,
                              struct tm_error *err)
{
    const ProtobufCEnumValue *known =
        json_is_string(v) ? protobuf_c_enum_descriptor_get_value_by_name(type, json_string_value(v)) : NULL;
    json_int_t n = json_integer_value(v);
    if (json_is_integer(v) && n >= INT32_MIN && n <= INT32_MAX)
        known = protobuf_c_enum_descriptor_get_value(type, (int)n);
    if (!known) {
        char expected[96];
        snprintf(expected, sizeof expected, "the name of a value, like \"%s\"", type->values[0].name);
        return json_unexpected(v, expected, err);
    }
    out->number = (uint64_t)(int64_t)known->value;
    return TM_OK;
}

static enum tm_code read_scalar(const json_t *v, const ProtobufCFieldDescriptor *f, struct scalar *out,
                                struct tm_error *err)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE: return read_real(v, f->type, out, err);
    case PROTOBUF_C_TYPE_ENUM: return read_enum(v, f->descriptor, out, err);
    case PROTOBUF_C_TYPE_BOOL:
        out->number = json_is_true(v);
        return json_is_boolean(v) ? TM_OK : json_unexpected(v, "true or false", err);
    case PROTOBUF_C_TYPE_STRING:
        if (!json_is_string(v))
            return json_unexpected(v, "a string", err);
        out->bytes = json_text(v);
        return wire_is_text(out->bytes) ? TM_OK : json_unexpected(v, "text without a NUL", err);
    case PROTOBUF_C_TYPE_BYTES:
        if (!json_is_string(v) || !base64_decode(json_text(v), &out->decoded))
            return json_unexpected(v, "base64 text, padded with =", err);
        out->bytes = buffer_view(&out->decoded);
        return TM_OK;
    default: return read_integer(v, f->type, out, err);
    }
}

static void put_scalar(const ProtobufCFieldDescriptor *f, const struct scalar *v, struct buffer *wire)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: wire_put_fixed64(wire, f->id, v->number); break;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT: wire_put_fixed32(wire, f->id, (uint32_t)v->number); break;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES: wire_put_bytes(wire, f->id, v->bytes); break;
    default: wire_put_integer(wire, f->id, v->number); break;
    }
}

/* ---- fields ---- */

/* One value, also of a list: packed lists may come unpacked, every reader takes them so. */
static enum tm_code put_value(const ProtobufCFieldDescriptor *f, const json_t *v, struct buffer *wire,
                              struct tm_error *err)
{
    struct scalar scalar = {0};
    enum tm_code rc;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        CLEANUP(buffer_close) struct buffer nested = {0};
        rc = json_is_object(v) ? json_put_object(f->descriptor, v, &nested, err) : json_unexpected(v, "an object", err);
        if (rc == TM_OK)
            wire_put_bytes(wire, f->id, buffer_view(&nested));
        return rc;
    }
    rc = read_scalar(v, f, &scalar, err);
    if (rc == TM_OK)
        put_scalar(f, &scalar, wire);
    buffer_close(&scalar.decoded);
    return rc;
}

static enum tm_code put_list(const ProtobufCFieldDescriptor *f, const json_t *list, struct buffer *wire,
                             struct tm_error *err)
{
    size_t i;
    json_t *v;
    enum tm_code rc = TM_OK;
    if (!json_is_array(list)) {
        rc = json_unexpected(list, "an array", err);
        tm_error_wrap(err, "%s", f->name);
    }
    json_array_foreach(list, i, v)
    {
        rc = put_value(f, v, wire, err);
        if (rc != TM_OK) {
            tm_error_wrap(err, "%s[%zu]", f->name, i);
            break;
        }
    }
    return rc;
}

static const char *field_name(const void *context, size_t i)
{
    const ProtobufCMessageDescriptor *type = context;
    return i < type->n_fields ? type->fields[i].name : NULL;
}

enum tm_code json_put_object(const ProtobufCMessageDescriptor *type, const json_t *object, struct buffer *wire,
                             struct tm_error *err)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, name, v)
    {
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(type, name);
        if (!f)
            return json_unknown_key(name, field_name, type, err);
        if (json_is_null(v))
            continue;
        bool list = f->label == PROTOBUF_C_LABEL_REPEATED;
        enum tm_code rc = list ? put_list(f, v, wire, err) : put_value(f, v, wire, err);
        if (rc != TM_OK && !list)
            tm_error_wrap(err, "%s", name);
        if (rc != TM_OK)
            return rc;
    }
    return TM_OK;
}

enum tm_code json_read_message(const ProtobufCMessageDescriptor *type, struct bytes text, struct buffer *wire,
                               struct tm_error *err)
{
    json_t *object;
    size_t before = wire->size;
    enum tm_code rc = json_parse(text, JSON_TEXT_MAX, &object, err);
    if (rc != TM_OK)
        return rc;
    rc = json_put_object(type, object, wire, err);
    if (rc != TM_OK)
        wire->size = before;
    json_decref(object);
    return rc;
}

/* Plain text as the JSON value that it would be in a body. */
static json_t *value_of(const ProtobufCFieldDescriptor *f, struct bytes text)
{
    bool quoted =
        f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES || f->type == PROTOBUF_C_TYPE_ENUM;
    json_t *v = quoted ? NULL : json_loadb((const char *)text.data, text.size, JSON_DECODE_ANY, NULL);
    return v ? v : json_stringn((const char *)text.data, text.size);
}

enum tm_code json_read_field(const ProtobufCMessageDescriptor *type, const char *name, struct bytes text,
                             struct buffer *wire, struct tm_error *err)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(type, name);
    if (!f)
        return json_unknown_key(name, field_name, type, err);
    json_t *v = value_of(f, text);
    if (!v)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: not UTF-8; expected text", name);
    enum tm_code rc = put_value(f, v, wire, err);
    json_decref(v);
    if (rc != TM_OK)
        tm_error_wrap(err, "%s", name);
    return rc;
}
