/* The guard in front of protobuf-c, and the arena under it. */
#include <stdlib.h>

#include "proto/wire.h"

struct guard {
    struct bytes whole; /* places in messages are counted from its start */
    size_t fields;
    struct tm_error *err;
};

static enum tm_code guard_message(struct guard *g, const ProtobufCMessageDescriptor *type, struct bytes wire,
                                  int depth);

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return WIRE_BYTES;
    default: return WIRE_VARINT;
    }
}

/* Many numbers in one WIRE_BYTES field; every reader takes them so, however the type was declared. */
static bool is_packed(const ProtobufCFieldDescriptor *d, const struct wire_field *f)
{
    return d->label == PROTOBUF_C_LABEL_REPEATED && f->type == WIRE_BYTES && wire_type_of(d->type) != WIRE_BYTES;
}

static enum tm_code guard_field(struct guard *g, const ProtobufCMessageDescriptor *type, const struct wire_field *f,
                                int depth)
{
    const ProtobufCFieldDescriptor *d = protobuf_c_message_descriptor_get_field(type, f->number);
    enum tm_code rc;
    if (!d || is_packed(d, f))
        return TM_OK;
    if (f->type != wire_type_of(d->type))
        return tm_error_set(g->err, TM_INVALID_ARGUMENT, "%s: wire type %d; expected %d", d->name, (int)f->type,
                            (int)wire_type_of(d->type));
    if (d->type == PROTOBUF_C_TYPE_STRING && !wire_is_text(f->bytes))
        return tm_error_set(g->err, TM_INVALID_ARGUMENT, "%s: not UTF-8 text, or a NUL in it; expected UTF-8", d->name);
    if (d->type != PROTOBUF_C_TYPE_MESSAGE)
        return TM_OK;
    rc = guard_message(g, d->descriptor, f->bytes, depth + 1);
    if (rc != TM_OK)
        tm_error_wrap(g->err, "%s", d->name);
    return rc;
}

static enum tm_code guard_message(struct guard *g, const ProtobufCMessageDescriptor *type, struct bytes wire, int depth)
{
    struct reader r = reader_of(wire);
    struct wire_field f;
    enum tm_code rc = TM_OK;
    if (depth > WIRE_DEPTH_MAX) /* out of reach unless a type came to contain itself */
        return tm_error_set(g->err, TM_INVALID_ARGUMENT, "nested deeper than %d messages", WIRE_DEPTH_MAX);
    while (rc == TM_OK && wire_next(&r, &f)) {
        if (++g->fields > WIRE_FIELDS_MAX)
            return tm_error_set(g->err, TM_RESOURCE_EXHAUSTED, "more than %d fields in one message; send less",
                                WIRE_FIELDS_MAX);
        rc = guard_field(g, type, &f, depth);
    }
    return r.bad ? wire_malformed(&r, g->whole, g->err) : rc;
}

enum tm_code wire_guard(const ProtobufCMessageDescriptor *type, struct bytes wire, size_t size_max,
                        struct tm_error *err)
{
    struct guard g = {.whole = wire, .err = err};
    if (wire.size > size_max)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "message of %zu bytes; expected at most %zu", wire.size,
                            size_max);
    return guard_message(&g, type, wire, 1);
}

/* One block of memory for one message. The message itself is protobuf-c's first allocation, so it lies right behind. */
struct arena {
    size_t capacity, used; /* bytes behind this header */
    bool full;             /* something did not fit */
};

static_assert(sizeof(struct arena) % 8 == 0, "what lies behind the header is aligned");

/* Zeroed, because protobuf-c 1.4 leaves corners of a message unset. */
static void *arena_take(void *opaque, size_t size)
{
    struct arena *a = opaque;
    size_t rounded = (size + 7) & ~(size_t)7; /* nothing in a message is wider than 8 bytes */
    uint8_t *p = (uint8_t *)(a + 1) + a->used;
    if (rounded < size || rounded > a->capacity - a->used) {
        a->full = true;
        return NULL;
    }
    a->used += rounded;
    return memset(p, 0, size);
}

static void arena_keep(void *opaque, void *p)
{
    (void)opaque;
    (void)p;
}

ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, struct bytes wire, size_t size_max,
                              struct tm_error *err)
{
    size_t capacity = wire.size * WIRE_ARENA_FACTOR + WIRE_ARENA_EXTRA;
    struct arena *a;
    ProtobufCMessage *message;
    if (wire_guard(type, wire, size_max, err) != TM_OK)
        return NULL;
    a = mem_grow(NULL, 1, sizeof *a + capacity); /* not mem_new: pages that are never used are never touched */
    *a = (struct arena){.capacity = capacity};
    message = protobuf_c_message_unpack(type, &(ProtobufCAllocator){arena_take, arena_keep, a}, wire.size, wire.data);
    if (message) {
        CHECK((void *)message == (void *)(a + 1));
        return message;
    }
    if (a->full)
        tm_error_set(err, TM_RESOURCE_EXHAUSTED, "message takes more than %zu bytes of memory; send less", capacity);
    else
        tm_error_set(err, TM_INVALID_ARGUMENT,
                     "a list of packed numbers is malformed; expected whole numbers of its type");
    free(a);
    return NULL;
}

void wire_free(ProtobufCMessage *message)
{
    if (message)
        free((struct arena *)(void *)message - 1);
}

void wire_pack(const ProtobufCMessage *message, struct buffer *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size)
        out->size += protobuf_c_message_pack(message, buffer_reserve(out, size));
}
