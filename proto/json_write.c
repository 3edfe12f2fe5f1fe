/* Messages to JSON. Written by hand: a reply has tens of thousands of numbers, and an object for each would cost more
 * than all the rest. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
#include "proto/json.h"

enum { INDENT = 2 };

static void put_object(struct buffer *out, const ProtobufCMessage *message, int indent);

static void put_word(struct buffer *out, const char *word) { buffer_put(out, word, strlen(word)); }

void json_put_text(struct buffer *out, struct bytes text)
{
    buffer_put_u8(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            buffer_print(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buffer_print(out, "\\u%04x", c);
        else
            buffer_put_u8(out, c);
    }
    buffer_put_u8(out, '"');
}

void json_put_number(struct buffer *out, double v)
{
    char text[TEXT_NUMBER_SIZE];
    put_word(out, isfinite(v) ? text_number(v, text) : "null");
}

void json_put_float(struct buffer *out, float v)
{
    char text[TEXT_NUMBER_SIZE];
    put_word(out, isfinite(v) ? text_float(v, text) : "null");
}

static void put_enum(struct buffer *out, const ProtobufCFieldDescriptor *f, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(f->descriptor, value);
    if (known)
        json_put_text(out, bytes_text(known->name));
    else
        buffer_print(out, "%d", value);
}

void json_put_base64(struct buffer *out, struct bytes b)
{
    buffer_put_u8(out, '"');
    base64_encode(b, out);
    buffer_put_u8(out, '"');
}

static void put_bytes(struct buffer *out, const ProtobufCBinaryData *b)
{
    json_put_base64(out, bytes_of(b->data, b->len));
}

/* One value of a message's memory. */
static void put_value(struct buffer *out, const ProtobufCFieldDescriptor *f, const void *at, int indent)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: buffer_print(out, "%" PRId32, *(const int32_t *)at); break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: buffer_print(out, "%" PRId64, *(const int64_t *)at); break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: buffer_print(out, "%" PRIu32, *(const uint32_t *)at); break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: buffer_print(out, "%" PRIu64, *(const uint64_t *)at); break;
    case PROTOBUF_C_TYPE_FLOAT: json_put_float(out, *(const float *)at); break;
    case PROTOBUF_C_TYPE_DOUBLE: json_put_number(out, *(const double *)at); break;
    case PROTOBUF_C_TYPE_BOOL: put_word(out, *(const protobuf_c_boolean *)at ? "true" : "false"); break;
    case PROTOBUF_C_TYPE_ENUM: put_enum(out, f, *(const int *)at); break;
    case PROTOBUF_C_TYPE_STRING: json_put_text(out, bytes_text(*(char *const *)at)); break;
    case PROTOBUF_C_TYPE_BYTES: put_bytes(out, at); break;
    case PROTOBUF_C_TYPE_MESSAGE: put_object(out, *(ProtobufCMessage *const *)at, indent); break;
    }
}

/* Distance of two values in a repeated field. */
static size_t value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_FLOAT: return 4;
    default: return 8;
    }
}

static void put_list(struct buffer *out, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *message, int indent)
{
    size_t count = *(const size_t *)((const uint8_t *)message + f->quantifier_offset);
    const uint8_t *items = *(uint8_t *const *)((const uint8_t *)message + f->offset);
    put_word(out, "[");
    for (size_t i = 0; i < count; i++) {
        put_word(out, i ? ", " : "");
        put_value(out, f, items + i * value_size(f->type), indent);
    }
    put_word(out, "]");
}

/* Of the optional fields texts and messages are there when their pointer is, the others when has_... says so. */
static bool is_present(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *message)
{
    const uint8_t *base = (const uint8_t *)message;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)(base + f->offset) != NULL;
    return *(const protobuf_c_boolean *)(base + f->quantifier_offset);
}

static void put_object(struct buffer *out, const ProtobufCMessage *message, int indent)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    bool first = true;
    put_word(out, "{");
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (!is_present(f, message))
            continue;
        buffer_print(out, "%s\n%*s\"%s\": ", first ? "" : ",", indent + INDENT, "", f->name);
        first = false;
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            put_list(out, f, message, indent + INDENT);
        else
            put_value(out, f, (const uint8_t *)message + f->offset, indent + INDENT);
    }
    if (!first)
        buffer_print(out, "\n%*s", indent, "");
    put_word(out, "}");
}

void json_put_message(struct buffer *out, const ProtobufCMessage *message) { put_object(out, message, 0); }
