/* proto/event.h - one event as it lies on the wire, read without unpacking and written without a message object.
 *
 * Items    a record for many documents is cut into one event for each (proto/items.h). Such an event lies in two parts:
 *          what is its own, an Event with just that item, and what all of the record share. An Event with one item is
 *          read as if the item's fields were its own, so the two parts may also lie one behind the other.
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
    EVENT_HAS_ITEM_FEATURES = 1 << 7,
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

    uint32_t items;             /* how many there are; only of a single one the fields are read */
    struct bytes item;          /* the last one, packed */
    struct bytes item_features; /* come behind `features` */
    uint32_t item_encoding;     /* enum FeatureEncoding */
};

/* Read the header fields of a protobuf Event. Last value wins, unknown fields are skipped, groups are refused, and so
 * are more than EVENT_SIZE_MAX bytes. *out is whole only on TM_OK. */
enum tm_code event_scan(struct bytes wire, struct event *out, struct tm_error *err);

/* The same of an event in two parts, together no more than EVENT_SIZE_MAX; `shared` may be empty. */
enum tm_code event_scan_parts(struct bytes own, struct bytes shared, struct event *out, struct tm_error *err);

/* Append the protobuf form of *e. With one item, what an item may hold is put into it; when there is nothing else that
 * makes an item to be appended to a record. There must not be more than one. */
void event_encode(const struct event *e, struct buffer *out);

/* Append a time alone: to stand in front of an event that was encoded without one. */
void event_put_time(int64_t time_ms, struct buffer *out);

/* What every stream demands, whatever the configuration: texts of 1-256 bytes of UTF-8 without NUL where present,
 * stream present, one of doc, request and user present, time between 2000 and now_ms + 1 day, every number finite,
 * weight >= 0, propensity in (0, 1], features finite and of a whole number of values, sparse indices increasing. *field
 * (never NULL) names the offender for the ack, "" when there is none. Not for events with items. */
enum tm_code event_validate(const struct event *e, int64_t now_ms, const char **field, struct tm_error *err);

/* The same of what items share: nothing that belongs to an item may be in it. */
enum tm_code event_validate_shared(const struct event *e, int64_t now_ms, const char **field, struct tm_error *err);

/* And of one item: *e is what event_scan made of it alone. behind_sparse: the shared features are sparse. The message
 * does not name the field. */
enum tm_code event_validate_item(const struct event *e, bool behind_sparse, const char **field, struct tm_error *err);

#endif
