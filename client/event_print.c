#include "client/event_print.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>

#include "client/print.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

static const ProtobufCMessageDescriptor *const event_type = &tidemill__v1__event__descriptor;

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES: return WIRE_BYTES;
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

static void print_numbers(FILE *out, struct bytes b)
{
    fputc('[', out);
    for (size_t i = 0; i < b.size; i++)
        fprintf(out, "%s%u", i ? ", " : "", b.data[i]);
    fputc(']', out);
}

static void print_text(FILE *out, struct bytes text)
{
    CLEANUP(buffer_close) struct buffer copy = {0};
    if (!wire_is_text(text)) {
        print_numbers(out, text);
        return;
    }
    buffer_put(&copy, text.data, text.size);
    buffer_put_u8(&copy, 0);
    struct cell cell = cell_text((const char *)copy.data);
    print_json_value(out, &cell);
}

static void print_base64(FILE *out, struct bytes b)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    fputc('"', out);
    for (size_t i = 0; i < b.size; i += 3) {
        size_t left = b.size - i;
        uint32_t bits =
            (uint32_t)b.data[i] << 16 | (left > 1 ? (uint32_t)b.data[i + 1] << 8 : 0) | (left > 2 ? b.data[i + 2] : 0u);
        for (size_t k = 0; k < 4; k++)
            fputc(k <= left ? letters[bits >> (18 - 6 * k) & 63] : '=', out);
    }
    fputc('"', out);
}

/* Nine digits are a float's own; one that is not finite is null. */
static void print_float(FILE *out, uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    if (isfinite(v))
        fprintf(out, "%.9g", (double)v);
    else
        fputs("null", out);
}

enum list_kind { LIST_FLOATS, LIST_INTEGERS };

static void print_list(FILE *out, struct bytes b, enum list_kind kind)
{
    fputc('[', out);
    for (size_t i = 0; i + 4 <= b.size; i += 4) {
        uint32_t v;
        memcpy(&v, b.data + i, sizeof v);
        fputs(i ? ", " : "", out);
        if (kind == LIST_FLOATS)
            print_float(out, v);
        else
            fprintf(out, "%" PRIu32, v);
    }
    fputc(']', out);
}

static void print_features(FILE *out, struct bytes wire, struct bytes features)
{
    struct wire_field encoding;
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field_by_name(event_type, "encoding");
    if (!find(wire, d, &encoding) || encoding.integer == TIDEMILL__V1__FEATURE_ENCODING__FLOAT32) {
        print_list(out, features, LIST_FLOATS);
        return;
    }
    size_t half = features.size / 8 * 4;
    fputs("{\"i\": ", out);
    print_list(out, bytes_of(features.data, half), LIST_INTEGERS);
    fputs(", \"v\": ", out);
    print_list(out, bytes_of(features.data + half, half), LIST_FLOATS);
    fputc('}', out);
}

static void print_double(FILE *out, uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    struct cell cell = cell_number(v);
    print_json_value(out, &cell);
}

static void print_value(FILE *out, struct bytes wire, const ProtobufCFieldDescriptor *d, const struct wire_field *f)
{
    switch (d->type) {
    case PROTOBUF_C_TYPE_STRING: print_text(out, f->bytes); break;
    case PROTOBUF_C_TYPE_DOUBLE: print_double(out, f->integer); break;
    case PROTOBUF_C_TYPE_FLOAT: print_float(out, (uint32_t)f->integer); break;
    case PROTOBUF_C_TYPE_BYTES:
        if (strcmp(d->name, "features") == 0)
            print_features(out, wire, f->bytes);
        else
            print_base64(out, f->bytes);
        break;
    case PROTOBUF_C_TYPE_INT32: fprintf(out, "%" PRId32, (int32_t)f->integer); break;
    default: fprintf(out, "%" PRId64, (int64_t)f->integer);
    }
}

size_t event_print_json(FILE *out, struct bytes wire)
{
    bool first = true;
    fputc('{', out);
    for (unsigned i = 0; i < event_type->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &event_type->fields[i];
        struct wire_field f;
        if (d->type == PROTOBUF_C_TYPE_ENUM || !find(wire, d, &f)) /* how features are packed: their form says it */
            continue;
        fprintf(out, "%s\"%s\": ", first ? "" : ", ", d->name);
        first = false;
        print_value(out, wire, d, &f);
    }
    fputc('}', out);
    return readable(wire);
}

bool event_text(struct bytes wire, const char *field, struct buffer *out)
{
    struct wire_field f;
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field_by_name(event_type, field);
    if (!find(wire, d, &f) || !wire_is_text(f.bytes))
        return false;
    buffer_put(out, f.bytes.data, f.bytes.size);
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
