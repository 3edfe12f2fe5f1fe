/* ps/engine/comparison.h - two versions compared from the samples that are kept (learner/policy_comparison.h).
 *
 * Two readers go over the kept samples (ps/engine/sample_reader.h), both opened at once: first one over corrections, so
 * that the label each sample ends with is known, then one over the samples. Neither holds up a commit.
 * Reward   one expression for both versions, of final labels; samples for which it has no value are counted and left
 *          out. A sample's weight in learning has no part; of its keep probability 1 / keep is how many it stands for.
 * Requests of a version that learns from features, or that was never served, it is worked out request by request what
 *          it would have done (ps/engine/request_estimate.h), unless its own propensities already tell. Where that
 *          cannot be, and it was served, it is described by its mean frequencies, as versions without features are.
 * Time     of decision; corrections count whenever they came.
 * Bounds   POLICY_ACTIONS_MAX, FINAL_LABELS_MAX, twice LOGGED_REQUESTS_BYTES and room to grow: about 350 MB in all,
 *          whatever is kept.
 * Threads  one at a time. Blocks: disk. */
#ifndef TIDEMILL_PS_ENGINE_COMPARISON_H
#define TIDEMILL_PS_ENGINE_COMPARISON_H

#include "ps/engine/request_estimate.h"

struct comparison_query {
    const struct version *version[2];
    struct reward reward;
    int64_t since, until; /* decided at: inclusive, exclusive */
    enum request_candidates candidates;
};

struct comparison_result {
    uint64_t samples[2], untold[2], unrewarded[2]; /* unrewarded: left out, the reward has no value within 1e100 */
    uint64_t lost;                                 /* went while they were read, whosever they were */
    struct policy_comparison_report report;
    /* Of version i from the log of the other. */
    struct {
        bool tried;    /* to tell request by request what it would have done */
        bool told;     /* estimate[i] is made of that */
        bool informed; /* it learns from the samples of that log */
        struct request_summary summary;
    } requests[2];
};

struct comparison;

/* TM_FAILED_PRECONDITION: samples are not kept. */
enum tm_code comparison_open(struct engine *e, const struct comparison_query *query, struct comparison **out,
                             struct tm_error *err);
void comparison_close(struct comparison *c); /* NULL is fine */

/* Reads one row, or ranks one request; *end: that was all. TM_RESOURCE_EXHAUSTED: beyond a bound. */
enum tm_code comparison_step(struct comparison *c, bool *end, struct tm_error *err);
/* Bytes of both readers, and a byte a sample that is ranked. */
uint64_t comparison_done(const struct comparison *c);
uint64_t comparison_total(const struct comparison *c);

/* At the end, once. TM_FAILED_PRECONDITION: there is no sample of either. TM_ABORTED: a version whose choices were
 * worked out got another encoder meanwhile. */
enum tm_code comparison_result(struct comparison *c, struct comparison_result *out, struct tm_error *err);

#endif
