/* ps/server/door.h - what is let in: an IngestRequest checked, its names resolved to numbers.
 *
 * An event that is not acceptable is rejected by itself: named in the ack, never logged, and the rest of its batch
 * goes on. A record with items is split into one event for each (proto/items.h), or rejected as a whole. A request that
 * is not understood as a whole ends its call with TM_INVALID_ARGUMENT.
 * Memory   views point into the request. Batches own their arrays until door_batch_close().
 * Threads  a door is constant after door_open(); any thread. */
#ifndef TIDEMILL_PS_SERVER_DOOR_H
#define TIDEMILL_PS_SERVER_DOOR_H

#include "proto/event.h"
#include "ps/engine/engine.h"
#include "ps/state/rejected.h"

enum {
    BATCH_EVENTS_MAX = 10000,
    BATCH_SPLIT_MAX = 100000, /* events, of a record with items one for each */
    BATCH_BYTES_MAX = 4 << 20,
    BATCH_REJECTS_EXPLAINED = 100, /* later ones are named by index and field alone: acks are kept, and bounded */
    DOOR_LETTERS_KEPT = 16, /* of a batch for each field at fault: one mistake hides no other; more are counted */
    DOOR_NAMES_MAX = 256,
};

struct door {
    struct engine *engine;
};

void door_open(struct door *d, struct engine *engine);

/* "A, B, C": for messages. */
const char *door_stream_names(const struct engine *engine, char list[static DOOR_NAMES_MAX]);
/* Those of one kind; "none": there is none. */
const char *door_streams_of(const struct engine *engine, enum joiner_stream_kind kind,
                            char list[static DOOR_NAMES_MAX]);

/* The version that is asked for; TM_NOT_FOUND names the nearest one, or all, when there is none of that name. */
enum tm_code door_version(struct engine *engine, struct bytes name, const struct version **v, struct tm_error *err);

/* Has the event the fields that identify its impression: of an action with a key of its own those, of all others the
 * join key's? *field names the one that is missing. */
enum tm_code door_check_key(const struct catalog *c, uint8_t stream, const struct event *e, const char **field,
                            struct tm_error *err);
/* Its document: the join key has one; a row of a table may be about something else. */
enum tm_code door_check_doc(const struct catalog *c, uint8_t stream, const struct event *e, const char **field,
                            struct tm_error *err);
/* Only actions and rows of tables can be taken back. */
enum tm_code door_check_withdrawal(const struct catalog *c, uint8_t stream, const struct event *e, const char **field,
                                   struct tm_error *err);

enum door_message { DOOR_OPEN = 1, DOOR_BATCH, DOOR_WATERMARK, DOOR_END, DOOR_LEAVE }; /* fields of IngestRequest */

/* Which of them it is: exactly one must be there. *content: its bytes. */
enum tm_code door_read(struct bytes request, enum door_message *kind, struct bytes *content, struct tm_error *err);

/* Bit sets of streams: those declared by name (0: none is, each counts from its first record on), and those that the
 * call may send. */
enum tm_code door_read_open(const struct door *d, struct bytes content, struct producer_id *producer,
                            uint32_t *declared, uint32_t *allowed, struct tm_error *err);
enum tm_code door_read_watermark(const struct door *d, struct bytes content, uint32_t streams, int64_t now_ms,
                                 uint8_t *stream, int64_t *time, struct tm_error *err);

/* clang-format off */
/* What can be wrong with an event, for counting. */
#define DOOR_FIELDS(F)                                                                     \
    F(unreadable) F(stream) F(request) F(doc) F(user) F(version) F(time) F(event) F(value) \
    F(features) F(representation) F(encoding) F(score) F(propensity) F(position) F(weight) F(payload) \
    F(withdraw) F(items) F(blocked)
/* clang-format on */

enum door_field {
#define F(name) DOOR_FIELD_##name,
    DOOR_FIELDS(F)
#undef F
        DOOR_FIELD_COUNT
};

struct door_batch {
    uint64_t sequence;
    struct submission_event *events;
    uint32_t count, capacity;
    struct buffer shared;  /* what the items of each record have in common: {size u32, bytes}... */
    struct buffer rejects; /* packed as field `rejected` of an Ack */
    struct buffer letters; /* of the rejected events, as a list of ps/state/rejected.h */
    uint32_t rejected[DOOR_FIELD_COUNT];
};

/* May this user send events of the stream? *user: its hash, as submissions tell it; 0: there is none (data NULL), or it
 * may do what it likes. Rows of tables tell of a user, but are not from one. */
enum user_standing door_user(struct engine *engine, uint8_t stream, struct bytes id, uint64_t *user);

/* now_ms: the wall clock, for what comes from the future. */
enum tm_code door_read_batch(const struct door *d, struct bytes content, uint32_t streams, int64_t now_ms,
                             struct door_batch *out, struct tm_error *err);
/* Fill what a SUBMIT_BATCH says of the batch; it points into it. */
void door_batch_hand_over(const struct door_batch *b, struct submission *s);
void door_batch_close(struct door_batch *b); /* {0} is fine */

#endif
