/* learner/off_policy_requests.h - off-policy estimates where several decisions belong to one request.
 *
 * The places of a request are filled by one ranking: their weights and rewards go together, so errors are worked out
 * between requests, never between their decisions. With one decision a request the estimates are those of off_policy.h
 * without a clip.
 * Estimates per decision, of w, r, q as there. IPS = sum of w r / decisions; SNIPS = sum of w r / sum of w; DR = sum of
 *           q(target) + w (r - q(action)) / decisions. Each is a ratio of sums over requests, R / N.
 * Errors    by linearisation of the ratio, with requests as clusters: sqrt(m / (m - 1) sum (R_i - R / N N_i)^2) / N
 *           (Cochran, "Sampling techniques", 1977, chapter 6; SNIPS without m / (m - 1), as in off_policy.h).
 * Memory    a flat value, {0}. Threads: one owner; pure. */
#ifndef TIDEMILL_LEARNER_OFF_POLICY_REQUESTS_H
#define TIDEMILL_LEARNER_OFF_POLICY_REQUESTS_H

#include "learner/off_policy.h"

/* What a request adds up to; filled decision by decision, {0} at first. */
struct off_policy_request {
    double decisions, weight, reward, doubly; /* sums of 1, w, w r, DR's */
    double weight_second, weight_max;         /* of single decisions */
};
/* times: as in off_policy_action_add. off_policy_takes() it. */
void off_policy_request_add(struct off_policy_request *q, const struct decision *d, double times);

struct off_policy_requests {
    uint64_t requests;
    double decisions, weight, reward, doubly;
    double weight_decisions_second, weight_max;
    /* Sums of products over requests: of R and N as in Errors. */
    double decisions_second, weight_second, reward_second, doubly_second;
    double weight_decisions, reward_decisions, doubly_decisions, reward_weight;
};
void off_policy_requests_add(struct off_policy_requests *o, const struct off_policy_request *q);

/* As off_policy_report; errors are NaN of fewer than two requests. */
void off_policy_requests_report(const struct off_policy_requests *o, struct off_policy_report *out);

#endif
