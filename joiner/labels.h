/* joiner/labels.h - labels: what the counted actions of one impression come to. Pure.
 *
 * A label is an aggregate of the `value` of the actions of one stream, then its cap, then its threshold:
 *     value = min(aggregate, cap);  label = value >= threshold ? 1 : 0, where there is a threshold, else the value
 * Without a counted action a label is 0, whatever cap and threshold say.
 * Order    actions are folded by (event time, position), from the first to the last, each time anew: so a label is a
 *          function of the set of actions that count, and has the same bits whether they came before or after the
 *          decision, were withdrawn or sent again. At most 16 of a stream and impression count, so that is cheap.
 * Range    finite, and never -0: a sum beyond the range of a double stays at its end (+-DBL_MAX).
 * Units    labels carry the unit of the values; first_delay is in seconds.
 * Threads  pure. */
#ifndef TIDEMILL_JOINER_LABELS_H
#define TIDEMILL_JOINER_LABELS_H

#include "base/bytes.h"

enum {
    JOINER_LABELS_MAX = 8,
    JOINER_ACTIONS_MAX = 16, /* of one stream and key; and as many withdrawals */
};

/* clang-format off */
/*    name, word, what it is; the numbers are stored: a new one goes to the end */
#define LABEL_AGGREGATES(A)                                                    \
    A(EXISTS,      "exists",      "1 when there was an action")                \
    A(COUNT,       "count",       "how many actions there were")               \
    A(SUM,         "sum",         "the sum of their values")                   \
    A(MEAN,        "mean",        "the mean of their values")                  \
    A(MAX,         "max",         "the largest of their values")               \
    A(LAST,        "last",        "the value of the last one in event time")   \
    A(FIRST_DELAY, "first_delay", "seconds from the impression to the first action, 0 when that came before it")
/* clang-format on */

enum label_aggregate {
#define A(name, word, help) LABEL_##name,
    LABEL_AGGREGATES(A)
#undef A
        LABEL_AGGREGATE_COUNT
};

struct label_bound {
    bool given;
    double value; /* finite; 0 where it is not given */
};

struct joiner_label {
    enum label_aggregate aggregate;
    struct label_bound cap, threshold;
};

/* An action that counts. */
struct label_action {
    int64_t time;
    uint64_t position;
    double value;
    uint64_t labels; /* bits of those that its stream sets */
};

/* Labels of n actions, which lie in the order of (time, position), on an impression of that time. */
void labels_fold(const struct joiner_label *label, uint32_t labels, const struct label_action *action, uint32_t n,
                 int64_t impression_time, double *out);

bool labels_equal(const double *a, const double *b, uint32_t labels);

/* The values that a label can have: infinite where nothing bounds them. within_ms: of its stream. */
void label_range(const struct joiner_label *label, int64_t within_ms, double *low, double *high);

bool labels_same(const struct joiner_label *a, const struct joiner_label *b); /* the same definition */
const char *label_aggregate_word(enum label_aggregate aggregate);

#endif
