/* Any message as JSON: its descriptor knows the names, so JSON and protobuf cannot drift apart. */
#include "client/print.h"

static void print_object(FILE *out, const ProtobufCMessage *message, int indent);

/* One scalar of a message's memory. */
static struct cell scalar_cell(ProtobufCType type, const void *at)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM: return cell_signed(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: return cell_signed(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: return cell_count(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return cell_count(*(const uint64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT: return cell_number((double)*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE: return cell_number(*(const double *)at);
    case PROTOBUF_C_TYPE_BOOL: return cell_bool(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_STRING: return cell_text(*(char *const *)at);
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: break;
    }
    return cell_none();
}

/* Distance of two values in a repeated field. */
static size_t scalar_size(ProtobufCType type)
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

static void print_bytes(FILE *out, const ProtobufCBinaryData *b)
{
    fputc('[', out);
    for (size_t i = 0; i < b->len; i++)
        fprintf(out, "%s%u", i ? ", " : "", b->data[i]);
    fputc(']', out);
}

static void print_value(FILE *out, ProtobufCType type, const void *at, int indent)
{
    struct cell cell;
    if (type == PROTOBUF_C_TYPE_MESSAGE) {
        print_object(out, *(ProtobufCMessage *const *)at, indent);
        return;
    }
    if (type == PROTOBUF_C_TYPE_BYTES) {
        print_bytes(out, at);
        return;
    }
    cell = scalar_cell(type, at);
    print_json_value(out, &cell);
}

static void print_list(FILE *out, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *message, int indent)
{
    size_t count = *(const size_t *)((const uint8_t *)message + f->quantifier_offset);
    const uint8_t *items = *(uint8_t *const *)((const uint8_t *)message + f->offset);
    fputc('[', out);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        print_value(out, f->type, items + i * scalar_size(f->type), indent);
    }
    fputc(']', out);
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

static void print_object(FILE *out, const ProtobufCMessage *message, int indent)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    bool first = true;
    fputc('{', out);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (!is_present(f, message))
            continue;
        fprintf(out, "%s\n%*s\"%s\": ", first ? "" : ",", indent + 2, "", f->name);
        first = false;
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            print_list(out, f, message, indent + 2);
        else
            print_value(out, f->type, (const uint8_t *)message + f->offset, indent + 2);
    }
    if (!first)
        fprintf(out, "\n%*s", indent, "");
    fputc('}', out);
}

void print_json_message(FILE *out, const ProtobufCMessage *message) { print_object(out, message, 0); }
