/* proto/json_ingest.h - one batch of one producer as one JSON object: what an Ingest call says in two messages.
 *
 * {"client":"web-1","instance":"5f2c","lane":"clicks","sequence":17,"events":[{"stream":"clicks",...},...]}
 * `client`, `instance`, `sequence` and `events` must be there; `lane` and `streams` are as in Open. Events are as in
 * proto/json_event.h.
 * Memory   the caller closes both buffers, also after a refusal.
 * Errors   TM_INVALID_ARGUMENT: all that is missing, or the first thing that is wrong: "events[3].time: got ...".
 * Threads  any. */
#ifndef TIDEMILL_PROTO_JSON_INGEST_H
#define TIDEMILL_PROTO_JSON_INGEST_H

#include "base/bytes.h"
#include "base/error.h"

struct json_ingest {
    struct buffer open, batch; /* packed tidemill.v1.Open and Batch */
};

enum tm_code json_ingest_read(struct bytes text, struct json_ingest *out, struct tm_error *err);
void json_ingest_close(struct json_ingest *in); /* {0} is fine */

#endif
