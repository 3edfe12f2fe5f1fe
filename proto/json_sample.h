/* proto/json_sample.h - a sample as a line of JSON: what `tidemill samples export` writes, or what somebody else
 * expects the samples to be.
 *
 *   {"version":"A","request":"r17","doc":"d4","labels":{"click":1}}
 *
 * Known keys are id, kind, version, request, doc, user, impression_time (ms), labels, weight, keep_probability and
 * features; others are skipped, and null is as good as absent. A label counts by its name and must be one of those
 * given.
 * Memory   texts live until json_sample_close(). Threads: any.
 * Errors   TM_INVALID_ARGUMENT "labels.click: got ...; expected ...". */
#ifndef TIDEMILL_PROTO_JSON_SAMPLE_H
#define TIDEMILL_PROTO_JSON_SAMPLE_H

#include "base/bytes.h"
#include "base/error.h"

enum { SAMPLE_LABELS_MAX = 32 };

struct told_sample {
    struct bytes id, version, request, doc, user; /* data NULL: not told */
    bool correction;
    bool has_time, has_weight, has_features;
    int64_t impression_time;
    uint64_t labels; /* bit i: label i was told */
    double label[SAMPLE_LABELS_MAX];
    double weight, keep; /* keep: 0 where it is not told */
    uint32_t encoding;
    struct buffer features; /* as in an Event */
    struct json_t *json;    /* what the texts are of */
};

/* names: of `count` labels. On TM_OK the caller ends it with json_sample_close(). */
enum tm_code json_sample_read(struct bytes line, const char *const *names, size_t count, struct told_sample *out,
                              struct tm_error *err);
void json_sample_close(struct told_sample *s); /* {0} is fine */

#endif
