/* ps/engine/request_estimate.h - what a version would have earned in the requests of another one's log: it ranks each
 * request's candidates as it is now, by its own policy, and the share of its rankings that put a document where the log
 * has it is what the document's propensity is weighted against (learner/off_policy_requests.h).
 *
 * Features   of a sample: what its shard gathered (ps/state/version_input.h), from what is kept with it, encoded if the
 *            version has an encoder. A sample whose features the version does not take is left out, and counted; more
 *            than POLICY_UNTOLD of them and there is no such estimate.
 * Candidates REQUEST_TOGETHER: the samples kept under the request, each in its place among them: right where all that
 *            were ranked were logged, all with one ranking's propensities.
 *            REQUEST_ANY: every document that the log shows, with the features of the sample: right where all
 *            requests had the same candidates and features describe the request alone.
 *            REQUEST_EITHER: any, if no request has a second sample; else together. If candidates are missing, the mean
 *            weight is not 1, which the report says.
 * Now        a version that has learned from the log's samples knows how they ended: its estimate is too good.
 * Draws      of Thompson sampling: REQUEST_DRAWS rankings a request, fewer of many candidates (REQUEST_NUMBERS draws in
 *            all, REQUEST_DRAWS_MIN rankings at least). Estimates are unbiased whatever their number; seeds follow from
 *            the request, so a comparison can be repeated.
 * Bounds     REQUEST_CANDIDATES_MAX of a request; a request with more is left out, a log with more has no estimate.
 * Memory     owned. Threads: one owner. */
#ifndef TIDEMILL_PS_ENGINE_REQUEST_ESTIMATE_H
#define TIDEMILL_PS_ENGINE_REQUEST_ESTIMATE_H

#include "learner/policy_comparison.h"
#include "ps/engine/engine.h"
#include "ps/engine/logged_requests.h"
#include "ps/state/sample_row.h"
#include "ps/state/version_input.h"

enum {
    REQUEST_CANDIDATES_MAX = 1000,
    REQUEST_DRAWS = 256,
    REQUEST_DRAWS_MIN = 16,
    REQUEST_NUMBERS = 1 << 15,
};

enum request_candidates { REQUEST_EITHER, REQUEST_TOGETHER, REQUEST_ANY };

/* Why there is no estimate. */
enum request_refusal {
    REQUEST_FINE,
    REQUEST_NO_FEATURES, /* too many samples without features that the version takes */
    REQUEST_CROWDED,     /* too many candidates */
};

struct request_summary {
    enum request_candidates candidates; /* which were taken */
    enum request_refusal refusal;
    uint64_t samples, without_features; /* of the log; both */
    uint64_t requests;                  /* that the estimate is made of; */
    double share;                       /* and of all requests, by their hashes */
};

struct request_estimate;

/* *out is there to be closed whatever is returned. Blocks, if the version has an encoder: until shards have no
 * parameters of an earlier one. */
enum tm_code request_estimate_open(struct engine *e, const struct version *target, enum request_candidates candidates,
                                   struct request_estimate **out, struct tm_error *err);
void request_estimate_close(struct request_estimate *r); /* NULL is fine */

/* One sample of the log. decision: position, propensity, reward (NaN: none) and times. */
void request_estimate_add(struct request_estimate *r, uint32_t shard, const struct kept_sample *s,
                          const struct policy_decision *decision);

/* All are there, and the actions are sealed. Then one request at a time, until *end. log: whose samples they are. */
void request_estimate_start(struct request_estimate *r, const struct policy_comparison *actions, int log);
void request_estimate_step(struct request_estimate *r, bool *end);
/* Requests, done and all. */
uint64_t request_estimate_done(const struct request_estimate *r);
uint64_t request_estimate_total(const struct request_estimate *r);

/* *out is left alone if there is no estimate. TM_ABORTED: the version got another encoder since it was opened. */
enum tm_code request_estimate_result(const struct request_estimate *r, struct request_summary *summary,
                                     struct policy_estimate *out, struct tm_error *err);

#endif
