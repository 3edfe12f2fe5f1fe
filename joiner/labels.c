#include "joiner/labels.h"

#include <float.h>
#include <math.h>

static double bounded(double v) { return v > DBL_MAX ? DBL_MAX : v < -DBL_MAX ? -DBL_MAX : v; }

/* One action more. counted: how many came before it. */
static double fold_one(enum label_aggregate aggregate, double so_far, uint32_t counted, const struct label_action *a,
                       int64_t impression_time)
{
    switch (aggregate) {
    case LABEL_EXISTS: return 1;
    case LABEL_COUNT: return so_far + 1;
    case LABEL_SUM:
    case LABEL_MEAN: return bounded(so_far + a->value);
    case LABEL_MAX: return counted == 0 || a->value > so_far ? a->value : so_far;
    case LABEL_LAST: return a->value;
    case LABEL_FIRST_DELAY:
        if (counted > 0)
            return so_far;
        return a->time > impression_time ? (double)(a->time - impression_time) / 1000 : 0;
    case LABEL_AGGREGATE_COUNT: break;
    }
    CHECK(!"an aggregate of the table");
}

static double cut(const struct joiner_label *l, double v)
{
    if (l->cap.given && v > l->cap.value)
        v = l->cap.value;
    if (l->threshold.given)
        v = v >= l->threshold.value;
    return v + 0.0; /* no -0, which is other bits */
}

static double fold(const struct joiner_label *l, uint64_t bit, const struct label_action *action, uint32_t n,
                   int64_t impression_time)
{
    double v = 0;
    uint32_t counted = 0;
    for (uint32_t i = 0; i < n; i++)
        if (action[i].labels & bit)
            v = fold_one(l->aggregate, v, counted++, &action[i], impression_time);
    if (counted == 0)
        return 0;
    return cut(l, l->aggregate == LABEL_MEAN ? v / counted : v);
}

void labels_fold(const struct joiner_label *label, uint32_t labels, const struct label_action *action, uint32_t n,
                 int64_t impression_time, double *out)
{
    for (uint32_t i = 0; i < labels; i++)
        out[i] = n ? fold(&label[i], UINT64_C(1) << i, action, n, impression_time) : 0;
}

bool labels_equal(const double *a, const double *b, uint32_t labels)
{
    for (uint32_t i = 0; i < labels; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* Values may be anything finite; a label without an action is 0. */
void label_range(const struct joiner_label *label, int64_t within_ms, double *low, double *high)
{
    *low = 0;
    *high = 1;
    if (label->threshold.given || label->aggregate == LABEL_EXISTS)
        return;
    switch (label->aggregate) {
    case LABEL_COUNT: *high = JOINER_ACTIONS_MAX; break;
    case LABEL_FIRST_DELAY: *high = (double)within_ms / 1000; break;
    default:
        *low = -INFINITY;
        *high = INFINITY;
        break;
    }
    if (label->cap.given && label->cap.value < *high)
        *high = label->cap.value > 0 ? label->cap.value : 0;
    if (label->cap.given && label->cap.value < *low)
        *low = label->cap.value;
}

static bool same_bound(struct label_bound a, struct label_bound b) { return a.given == b.given && a.value == b.value; }

bool labels_same(const struct joiner_label *a, const struct joiner_label *b)
{
    return a->aggregate == b->aggregate && same_bound(a->cap, b->cap) && same_bound(a->threshold, b->threshold);
}

const char *label_aggregate_word(enum label_aggregate aggregate)
{
    static const char *const words[] = {
#define A(name, word, help) word,
        LABEL_AGGREGATES(A)
#undef A
    };
    return words[aggregate];
}
