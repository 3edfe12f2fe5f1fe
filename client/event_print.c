#include "client/event_print.h"

#include <ctype.h>
#include <inttypes.h>

#include "proto/json.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

typedef const ProtobufCMessageDescriptor message_type;

static message_type *const event_type = &tidemill__v1__event__descriptor;

enum { EVENT_ITEMS = 18 /* field number in Event */ };

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return WIRE_BYTES;
    case PROTOBUF_C_TYPE_DOUBLE: return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FLOAT: return WIRE_FIXED32;
    default: return WIRE_VARINT;
    }
}

/* The last one of a field counts, as for every reader. False: none can be read. */
static bool find(struct bytes wire, const ProtobufCFieldDescriptor *d, struct wire_field *out)
{
    struct reader r = reader_of(wire);
    struct wire_field f;
    bool found = false;
    while (wire_next(&r, &f))
        if (f.number == d->id && f.type == wire_type_of(d->type)) {
            *out = f;
            found = true;
        }
    return found;
}

static size_t readable(struct bytes wire)
{
    struct reader r = reader_of(wire);
    struct wire_field f;
    while (wire_next(&r, &f))
        continue;
    return wire.size - reader_left(&r);
}

/* ---- values ---- */

static void put_octets(struct buffer *out, struct bytes b)
{
    buffer_put_u8(out, '[');
    for (size_t i = 0; i < b.size; i++)
        buffer_print(out, "%s%u", i ? ", " : "", b.data[i]);
    buffer_put_u8(out, ']');
}

static void put_text(struct buffer *out, struct bytes text)
{
    if (wire_is_text(text))
        json_put_text(out, text);
    else
        put_octets(out, text);
}

static void put_float(struct buffer *out, uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    json_put_float(out, v);
}

static void put_double(struct buffer *out, uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    json_put_number(out, v);
}

enum list_kind { LIST_FLOATS, LIST_INTEGERS };

static void put_list(struct buffer *out, struct bytes b, enum list_kind kind)
{
    buffer_put_u8(out, '[');
    for (size_t i = 0; i + 4 <= b.size; i += 4) {
        uint32_t v;
        memcpy(&v, b.data + i, sizeof v);
        buffer_print(out, "%s", i ? ", " : "");
        if (kind == LIST_FLOATS)
            put_float(out, v);
        else
            buffer_print(out, "%" PRIu32, v);
    }
    buffer_put_u8(out, ']');
}

static void put_features(struct buffer *out, message_type *type, struct bytes wire, struct bytes features)
{
    struct wire_field encoding;
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field_by_name(type, "encoding");
    if (!find(wire, d, &encoding) || encoding.integer == TIDEMILL__V1__FEATURE_ENCODING__FLOAT32) {
        put_list(out, features, LIST_FLOATS);
        return;
    }
    size_t half = features.size / 8 * 4;
    buffer_print(out, "{\"i\": ");
    put_list(out, bytes_of(features.data, half), LIST_INTEGERS);
    buffer_print(out, ", \"v\": ");
    put_list(out, bytes_of(features.data + half, half), LIST_FLOATS);
    buffer_put_u8(out, '}');
}

static void put_items(struct buffer *out, message_type *type, struct bytes wire);

static void put_value(struct buffer *out, message_type *type, struct bytes wire, const ProtobufCFieldDescriptor *d,
                      const struct wire_field *f)
{
    switch (d->type) {
    case PROTOBUF_C_TYPE_STRING: put_text(out, f->bytes); break;
    case PROTOBUF_C_TYPE_DOUBLE: put_double(out, f->integer); break;
    case PROTOBUF_C_TYPE_FLOAT: put_float(out, (uint32_t)f->integer); break;
    case PROTOBUF_C_TYPE_BYTES:
        if (strcmp(d->name, "features") == 0)
            put_features(out, type, wire, f->bytes);
        else
            json_put_base64(out, f->bytes);
        break;
    case PROTOBUF_C_TYPE_MESSAGE: put_items(out, d->descriptor, wire); break;
    case PROTOBUF_C_TYPE_INT32: buffer_print(out, "%" PRId32, (int32_t)f->integer); break;
    case PROTOBUF_C_TYPE_BOOL: buffer_print(out, f->integer ? "true" : "false"); break;
    default: buffer_print(out, "%" PRId64, (int64_t)f->integer);
    }
}

static void put_message(struct buffer *out, message_type *type, struct bytes wire)
{
    const char *before = "{";
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &type->fields[i];
        struct wire_field f;
        if (d->type == PROTOBUF_C_TYPE_ENUM || !find(wire, d, &f)) /* how features are packed: their form says it */
            continue;
        buffer_print(out, "%s\"%s\": ", before, d->name);
        before = ", ";
        put_value(out, type, wire, d, &f);
    }
    buffer_print(out, *before == '{' ? "{}" : "}");
}

static bool next_item(struct reader *r, struct bytes *item)
{
    struct wire_field f;
    while (wire_next(r, &f))
        if (f.number == EVENT_ITEMS && f.type == WIRE_BYTES) {
            *item = f.bytes;
            return true;
        }
    return false;
}

/* All of them, of an event. */
static void put_items(struct buffer *out, message_type *type, struct bytes wire)
{
    struct reader r = reader_of(wire);
    struct bytes item;
    for (const char *before = "["; next_item(&r, &item); before = ", ") {
        buffer_print(out, "%s", before);
        put_message(out, type, item);
    }
    buffer_put_u8(out, ']');
}

size_t event_print_json(FILE *out, struct bytes wire)
{
    CLEANUP(buffer_close) struct buffer json = {0};
    put_message(&json, event_type, wire);
    fwrite(json.data, 1, json.size, out);
    return readable(wire);
}

/* The last one that says it; false: none does. */
static bool find_text(message_type *type, const char *field, struct bytes wire, struct bytes *text)
{
    struct wire_field f;
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field_by_name(type, field);
    if (!d || !find(wire, d, &f) || !wire_is_text(f.bytes))
        return false;
    *text = f.bytes;
    return true;
}

bool event_text(struct bytes wire, const char *field, struct buffer *out)
{
    struct reader r = reader_of(wire);
    struct bytes item, text;
    bool found = find_text(event_type, field, wire, &text);
    while (!found && next_item(&r, &item))
        found = find_text(&tidemill__v1__item__descriptor, field, item, &text);
    if (!found)
        return false;
    buffer_put(out, text.data, text.size);
    buffer_put_u8(out, 0);
    return true;
}

/* ---- bytes ---- */

void event_print_hex(FILE *out, struct bytes bytes)
{
    enum { ROW = 16 };
    for (size_t at = 0; at < bytes.size; at += ROW) {
        size_t n = bytes.size - at < ROW ? bytes.size - at : ROW;
        fprintf(out, "%08zx ", at);
        for (size_t i = 0; i < ROW; i++) {
            fputs(i % (ROW / 2) == 0 ? " " : "", out);
            if (i < n)
                fprintf(out, "%02x ", bytes.data[at + i]);
            else
                fputs("   ", out);
        }
        fputs(" |", out);
        for (size_t i = 0; i < n; i++)
            fputc(bytes.data[at + i] < 0x80 && isprint(bytes.data[at + i]) ? bytes.data[at + i] : '.', out);
        fputs("|\n", out);
    }
}
