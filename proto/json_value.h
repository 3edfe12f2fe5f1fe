/* proto/json_value.h - JSON as it was read, and how it is called in messages; for proto/json_*.c alone, which are the
 * only door to jansson. */
#ifndef TIDEMILL_PROTO_JSON_VALUE_H
#define TIDEMILL_PROTO_JSON_VALUE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/error.h"

/* One JSON object of at most size_max bytes, keys given once. On TM_OK the caller ends it with json_decref(). */
enum tm_code json_parse(struct bytes text, size_t size_max, json_t **out, struct tm_error *err);

/* "got number 5; expected a string": the value in ASCII, escaped, cut when long. */
enum tm_code json_unexpected(const json_t *v, const char *expected, struct tm_error *err);

/* name(context, i) is one of the known keys, NULL behind the last: "unknown key "dco"; did you mean "doc"?" */
typedef const char *json_known_key(const void *context, size_t i);
enum tm_code json_unknown_key(const char *key, json_known_key *name, const void *context, struct tm_error *err);

/* Append the wire form of an object; see json_read_message(). After a refusal *wire ends with part of it. */
enum tm_code json_put_object(const ProtobufCMessageDescriptor *type, const json_t *object, struct buffer *wire,
                             struct tm_error *err);

/* Append features as they stand in an Event. */
enum tm_code json_put_features(const json_t *v, struct buffer *out, uint32_t *encoding, struct tm_error *err);

static inline struct bytes json_text(const json_t *v) { return bytes_of(json_string_value(v), json_string_length(v)); }

#endif
