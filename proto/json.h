/* proto/json.h - any message as JSON and back, by its descriptor: names, numbers and lists cannot drift apart from the
 * protocol.
 *
 *   integers   numbers, 64 bits too; reading takes them also as text ("18446744073709551615"), for writers whose
 *              numbers are doubles
 *   floats     as many digits as read back the same; what is not finite is null, and never comes out as anything else
 *   enums      their names; reading takes the number, too
 *   bytes      base64 (RFC 4648, padded)
 *   absent     fields are left out, lists are always there; reading takes null as absent
 *
 * Memory   appends to the caller's buffer, which is as before when reading is refused. Bounds: JSON_TEXT_MAX.
 * Errors   TM_INVALID_ARGUMENT "docs[3]: got number 5; expected a string"; an unknown key names the nearest one.
 * Threads  any. */
#ifndef TIDEMILL_PROTO_JSON_H
#define TIDEMILL_PROTO_JSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/error.h"

enum { JSON_TEXT_MAX = 4 << 20 }; /* bytes that are read; more is TM_RESOURCE_EXHAUSTED */

/* Single values. Text must be UTF-8. A float is as short as reads back as the same float: 0.1f is 0.1. */
void json_put_text(struct buffer *out, struct bytes text);
void json_put_number(struct buffer *out, double v);
void json_put_float(struct buffer *out, float v);
void json_put_base64(struct buffer *out, struct bytes b);

/* Over several lines, for people too; without a line end behind it. */
void json_put_message(struct buffer *out, const ProtobufCMessage *message);

/* Append the wire form of one JSON object. */
enum tm_code json_read_message(const ProtobufCMessageDescriptor *type, struct bytes text, struct buffer *wire,
                               struct tm_error *err);

/* Append one scalar field, or one element of a list of them, given as plain text: "statistics" and "true". */
enum tm_code json_read_field(const ProtobufCMessageDescriptor *type, const char *name, struct bytes text,
                             struct buffer *wire, struct tm_error *err);

#endif
