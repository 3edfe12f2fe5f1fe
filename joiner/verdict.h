/* joiner/verdict.h - filters of joined samples: which labels count as none, and which samples are not to be learned.
 *
 * A filter looks at one label of a sample: at its value, or at its delay, the seconds from the impression to the first
 * action, in event time, that counts for it (0 where that came before). It fits a sample that has such an action, and
 * whose number lies outside of [least, most]. What it does then:
 *     zero   its labels `zeroes` become 0, as if they had no action;
 *     drop   the sample is excluded: nobody learns it.
 * Order    one after the other, each on what the ones before left. A label that was made 0 has no action any more.
 * Change   a verdict is a function of the actions that count, as labels are. So what comes after the decision may bring
 *          a sample in or out: the correction says how it was and how it is. From out to in it is learned like a new
 *          one; from in to out it is taken out of the models.
 * Fixed    as labels are: a correction works out what was told from the actions, by the filters of then.
 * Threads  pure. Bound: LABEL_FILTERS_MAX filters. */
#ifndef TIDEMILL_JOINER_VERDICT_H
#define TIDEMILL_JOINER_VERDICT_H

#include "joiner/labels.h"

enum { LABEL_FILTERS_MAX = 16 };

/* The numbers are stored. */
enum label_filter_look { LOOK_AT_VALUE, LOOK_AT_DELAY };

struct label_filter {
    uint32_t label;     /* that it looks at */
    uint32_t look;      /* enum label_filter_look */
    double least, most; /* of the label's unit, or seconds */
    bool drop;          /* else: zero */
    uint64_t zeroes;    /* bits of labels */
};

struct label_filters {
    uint32_t count;
    struct label_filter filter[LABEL_FILTERS_MAX];
};

struct verdict {
    double labels[JOINER_LABELS_MAX];
    bool excluded;
};

/* Of n actions that count, in the order of (time, position), on an impression of that time. */
void verdict_of(const struct joiner_label *label, uint32_t labels, const struct label_filters *filters,
                const struct label_action *action, uint32_t n, int64_t impression_time, struct verdict *out);

bool label_filters_drop(const struct label_filters *f); /* can a sample be excluded at all? */
bool label_filters_same(const struct label_filters *a, const struct label_filters *b);

#endif
