/* ps/server/rank_request.h - a RankRequest as it came, scanned without a copy of its texts.
 *
 * Memory   views point into the request; close gives back the rest.
 * Bounds   RANK_DOCS_MAX candidates, RANK_PAYLOAD_MAX bytes of payload; numbers and ids are bounded by the message.
 * Errors   TM_INVALID_ARGUMENT names field, value and expectation. What depends on the version and the configuration is
 *          not looked at here. */
#ifndef TIDEMILL_PS_SERVER_RANK_REQUEST_H
#define TIDEMILL_PS_SERVER_RANK_REQUEST_H

#include "base/bytes.h"
#include "learner/policy.h"

enum { RANK_DOCS_MAX = 1000, RANK_PAYLOAD_MAX = 4096 };

/* Field numbers, and bits of `has`. */
enum rank_field {
    RANK_VERSION = 1,
    RANK_REQUEST = 3,
    RANK_USER,
    RANK_DOCS,
    RANK_CONTEXT,
    RANK_FEATURES = 8,
    RANK_REPRESENTATION,
    RANK_POLICY,
    RANK_SEED,
    RANK_SLOTS,
    RANK_PROPENSITY_DRAWS,
    RANK_LOG,
    RANK_DURABLE,
    RANK_PAYLOAD,
    RANK_EPSILON,
    RANK_WIDTH,
    RANK_STREAM,
    RANK_CONTEXT_IDS,
    RANK_IDS,
    RANK_ID_COUNTS,
    RANK_FIELDS
};

struct rank_request {
    struct bytes version, request, user, representation, payload, stream; /* data NULL: not sent */
    struct bytes *docs;
    uint32_t count;
    struct buffer context, features;           /* float32 */
    struct buffer context_ids, ids, id_counts; /* uint32 */
    enum policy_kind policy;
    double epsilon, width;
    uint32_t propensity_draws, slots;
    uint64_t seed;
    bool log, durable;
    uint32_t has; /* 1 << enum rank_field, of what was sent; defaults are filled in for slots and log */
};

/* On TM_OK the caller closes it. */
enum tm_code rank_request_scan(struct bytes wire, struct rank_request *q, struct tm_error *err);
void rank_request_close(struct rank_request *q);

static inline bool rank_has(const struct rank_request *q, enum rank_field field) { return q->has >> field & 1; }

#endif
