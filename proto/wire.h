/* proto/wire.h - protobuf wire format: our own scanner for hot messages, and the guard in front of every unpack.
 *
 * protobuf-c has no recursion limit (10,000 nested levels in 34 KB overflow the stack) and can be made to allocate a
 * hundred times its input. So: no message of ours contains itself, unpacking happens in an arena with a cap, and
 * nothing is unpacked that wire_guard has not passed.
 * Errors   TM_INVALID_ARGUMENT: bad bytes, the message says which byte or field and what was expected.
 *          TM_RESOURCE_EXHAUSTED: too many bytes, fields, or too much memory.
 * Threads  pure functions; an unpacked message belongs to one thread.
 * Format   https://protobuf.dev/programming-guides/encoding; stricter than most readers in two places: a tag has at
 *          most 5 bytes and a varint at most 64 bits. */
#ifndef TIDEMILL_PROTO_WIRE_H
#define TIDEMILL_PROTO_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/error.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t integer;   /* varint, fixed64, fixed32 */
    struct bytes bytes; /* WIRE_BYTES: the content, in place */
};

/* The next field, false at the end or at the first malformed byte; r->bad tells which. Group tags are malformed.
 * A reader that went bad stands at the first byte of the malformed field. */
bool wire_next(struct reader *r, struct wire_field *field);

/* What is wrong with the field a bad reader stands at; places are counted from the start of `whole`, which r
 * reads in. */
enum tm_code wire_malformed(const struct reader *r, struct bytes whole, struct tm_error *err);

/* For readers of one message type that cannot afford wire_next: each takes one thing at p and returns what follows it,
 * or NULL. p < end, but for wire_varint, which takes p == end too. */
const uint8_t *wire_tag(const uint8_t *p, const uint8_t *end, uint32_t *tag);
const uint8_t *wire_varint_long(const uint8_t *p, const uint8_t *end, uint64_t *v);
static inline const uint8_t *wire_varint(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    if (p < end && *p < 0x80) {
        *v = *p;
        return p + 1;
    }
    return wire_varint_long(p, end, v);
}

/* UTF-8 (RFC 3629) without NUL: what a protobuf string of ours must be, since C reads it up to the first NUL. */
bool wire_is_text(struct bytes b);

/* Append fields. */
void wire_put_varint(struct buffer *b, uint64_t v);
void wire_put_integer(struct buffer *b, uint32_t number, uint64_t v); /* varint field */
void wire_put_bytes(struct buffer *b, uint32_t number, struct bytes v);
void wire_put_fixed64(struct buffer *b, uint32_t number, uint64_t v);
void wire_put_fixed32(struct buffer *b, uint32_t number, uint32_t v);

/* A list of one-byte ids takes 32 times its size: 3 bytes become 40-80 of protobuf-c's scan record, a pointer and a
 * string. */
enum { WIRE_ARENA_FACTOR = 32, WIRE_ARENA_EXTRA = 1 << 16, WIRE_FIELDS_MAX = 1 << 18, WIRE_DEPTH_MAX = 16 };

/* Refuses before anything is allocated: more than size_max bytes; more than WIRE_FIELDS_MAX fields, known and unknown,
 * in all known submessages; malformed wire; a known field of another wire type; strings that are no text. */
enum tm_code wire_guard(const ProtobufCMessageDescriptor *type, struct bytes wire, size_t size_max,
                        struct tm_error *err);

/* Guard, then unpack into memory capped at WIRE_ARENA_FACTOR x input + WIRE_ARENA_EXTRA. NULL with *err set when
 * refused. End it with wire_free, never with the generated free_unpacked. */
ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, struct bytes wire, size_t size_max,
                              struct tm_error *err);
void wire_free(ProtobufCMessage *message); /* NULL is fine */

/* Append the packed message. */
void wire_pack(const ProtobufCMessage *message, struct buffer *out);

#endif
