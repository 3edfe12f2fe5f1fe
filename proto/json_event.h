/* proto/json_event.h - an event as people write it in JSON to the protobuf Event.
 *
 * {"stream":"clicks","request":"r17","doc":"d4","time":"2019-11-24T00:00:12.345Z","features":[0.5,1]}
 * The keys are the fields of Event in events.proto. `time` is integer milliseconds or RFC 3339 text, `features` an
 * array of numbers or {"i":[indices],"v":[values]}, `payload` base64 text (RFC 4648, padded), `items` a list of
 * {"doc":"d4","position":1,"propensity":0.5,"score":0.1,"features":[1]} (proto/items.h).
 * Memory   nothing is kept between calls; the caller owns the buffer appended to, which is as before when a line is
 *          refused.
 * Errors   TM_INVALID_ARGUMENT with "field: got ...; expected ..."; what event_validate or items_read refuse is refused
 *          here, but for times in the future, which only the server's clock can judge.
 * Threads  any. */
#ifndef TIDEMILL_PROTO_JSON_EVENT_H
#define TIDEMILL_PROTO_JSON_EVENT_H

#include "base/bytes.h"
#include "base/error.h"
#include "proto/event.h"

enum { JSON_LINE_MAX = 4 << 20 }; /* bytes of one line; readers stop there, longer lines are TM_RESOURCE_EXHAUSTED */

/* What a sender needs of an event that it has just encoded. */
struct json_event_info {
    int64_t time; /* ms since 1970, UTC */
    char stream[EVENT_ID_MAX + 1];
};

/* Append the Event of one line. *field (never NULL) names the offender: a key of the table above, "line" when the line
 * itself is at fault (no JSON object, unknown key, too long), "" when there is none. */
enum tm_code json_event_encode(struct bytes line, struct buffer *out, struct json_event_info *info, const char **field,
                               struct tm_error *err);

/* Append the Event of a JSON object that was read already, as it is: the door judges it as it judges every other.
 * Refused is only what cannot be said in an Event. */
struct json_t;
enum tm_code json_event_put(const struct json_t *object, struct buffer *out, struct tm_error *err);

#endif
