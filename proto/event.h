/* proto/event.h - one event as it lies on the wire, read without unpacking and written without a message object.
 *
 * Memory   views point into the bytes given; nothing is copied, nothing is allocated but in the buffer written to.
 * Errors   event_scan refuses what is no protobuf message; event_validate refuses what is no acceptable event. Both
 *          name field, value and expectation, so that a sender can mend it.
 * Threads  pure functions. */
#ifndef TIDEMILL_PROTO_EVENT_H
#define TIDEMILL_PROTO_EVENT_H

#include "base/bytes.h"
#include "base/error.h"

enum {
    EVENT_ID_MAX = 256,             /* bytes of every text field */
    EVENT_SIZE_MAX = 1 << 20,       /* bytes of one event; bigger ones are refused */
    EVENT_TIME_AHEAD_MS = 86400000, /* at the door, against the wall clock */
};
#define EVENT_TIME_MIN_MS INT64_C(946684800000) /* 2000-01-01 */

/* Which optional fields were there. */
enum event_has {
    EVENT_HAS_TIME = 1 << 0,
    EVENT_HAS_VALUE = 1 << 1,
    EVENT_HAS_SCORE = 1 << 2,
    EVENT_HAS_PROPENSITY = 1 << 3,
    EVENT_HAS_POSITION = 1 << 4,
    EVENT_HAS_WEIGHT = 1 << 5,
    EVENT_HAS_FEATURES = 1 << 6,
};

/* A text or payload that was not sent has data NULL; one that was sent empty has not. */
struct event {
    struct bytes stream, request, doc, user, version, event, representation, payload, features;
    int64_t time;                    /* ms since 1970, UTC */
    double value;                    /* 1 when absent */
    float score, propensity, weight; /* weight 1 when absent */
    int32_t position;
    uint32_t encoding; /* enum FeatureEncoding of events.proto */
    bool withdraw;     /* takes back the action with this event id */
    uint32_t has;      /* enum event_has */
};

/* Read the header fields of a protobuf Event. Last value wins, unknown fields are skipped, groups are refused, and so
 * are more than EVENT_SIZE_MAX bytes. *out is whole only on TM_OK. */
enum tm_code event_scan(struct bytes wire, struct event *out, struct tm_error *err);

/* Append the protobuf form of *e. */
void event_encode(const struct event *e, struct buffer *out);

/* What every stream demands, whatever the configuration: texts of 1-256 bytes of UTF-8 without NUL where present, doc
 * present, stream present, event present where it withdraws one, time between 2000 and now_ms + 1 day, every number
 * finite, weight >= 0, propensity in (0, 1], features finite and of a whole number of values, sparse indices
 * increasing. *field (never NULL) names the offender for the ack, "" when there is none. */
enum tm_code event_validate(const struct event *e, int64_t now_ms, const char **field, struct tm_error *err);

#endif
