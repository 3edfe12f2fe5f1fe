/* client/recompute_join.h - the join of a recomputation: which actions count for which impression, once all have come.
 * It is written to be obviously right: events are sorted, and each rule stands in one place.
 *
 * Impression  the first of its join key; further ones are repetitions.
 * Fits        an action fits an impression of its stream's key whose version it names, or none, and whose time is no
 *             more than `within` before its own. With the join key it may precede the impression, by `before` and
 *             allowed_lateness; with a key of its own it may not.
 * Once        of those that fit, the first of each event id counts (without one: of the same ids, time and value). With
 *             the join key the first 16 count, and as many withdrawals.
 * Held        with the join key by its one impression; with a key of its own by the last or the first that it fits, or
 *             by all of them, each with its part of the value.
 * Withdrawal  one that fits some impression of the key takes back the action with its event id, from those that hold it
 *             and can still be corrected then: recompute_reach().
 * Late        the first record of a feature stream and join key whose time is no more than recompute_nearby() behind
 *             the impression's: it corrects the sample if it came after the decision, which events do not tell.
 * Crowded     with a key of its own a server knows the newest 32 impressions and 16 actions of a key at a time. Keys
 *             with more of them within the time for which it remembers are counted: their labels may differ.
 * Memory      32 bytes an action and impression that it counts for, 12 a record of a feature stream;
 *             TM_RESOURCE_EXHAUSTED beyond memory_max, with the events. Threads: one. */
#ifndef TIDEMILL_CLIENT_RECOMPUTE_JOIN_H
#define TIDEMILL_CLIENT_RECOMPUTE_JOIN_H

#include "client/recompute_events.h"

struct recompute_share {
    uint32_t impression; /* its place among the events */
    uint32_t order;      /* of the action */
    int64_t time;
    double value;
    uint8_t stream;
};

struct recompute_late {
    uint32_t impression, record; /* their places among the events */
};

struct recompute_join {
    const struct recompute_events *events;
    uint32_t *impression; /* places among the events, ascending */
    size_t impressions;
    struct recompute_share *share; /* by impression, and for each by (time, order) */
    size_t shares, capacity;
    struct recompute_late *late; /* by impression, and for each by stream */
    size_t lates;
    uint64_t crowded; /* keys of streams */
};

/* events must outlive it. */
enum tm_code recompute_join(const struct recompute_events *events, struct recompute_join *out, struct tm_error *err);
void recompute_join_close(struct recompute_join *j); /* {0} is fine */

/* Its parts. */
int recompute_compare_keys(const struct recompute_event *a, const struct recompute_event *b, uint32_t key);
enum tm_code recompute_check_memory(const struct recompute_join *j, uint64_t more, struct tm_error *err);
enum tm_code recompute_find_late(struct recompute_join *j, struct tm_error *err); /* the impressions are there */

/* The labels of an impression at that time for which those actions count, behind filters of samples. */
void recompute_labels(const struct recompute_rules *rules, int64_t shown, const struct recompute_share *share, size_t n,
                      double *out);

#endif
