/* What the actions that count come to. */
#include <float.h>
#include <math.h>

#include "client/recompute_join.h"

static double bounded(double v) { return v > DBL_MAX ? DBL_MAX : v < -DBL_MAX ? -DBL_MAX : v; }

static double seconds_until(int64_t shown, const struct recompute_share *action)
{
    return action->time > shown ? (double)(action->time - shown) / 1000 : 0;
}

/* The first of n that are the label's; NULL: none is. */
static const struct recompute_share *first_of(const struct rules_label *l, const struct recompute_share *share,
                                              size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (share[i].stream == l->stream)
            return &share[i];
    return NULL;
}

static double aggregate_of(const struct rules_label *l, int64_t shown, const struct recompute_share *share, size_t n)
{
    double count = 0, sum = 0, max = -INFINITY, last = 0;
    for (size_t i = 0; i < n; i++) {
        if (share[i].stream != l->stream)
            continue;
        count++;
        sum = bounded(sum + share[i].value);
        max = share[i].value > max ? share[i].value : max;
        last = share[i].value;
    }
    switch (l->aggregate) {
    case MAKES_EXISTS: return 1;
    case MAKES_COUNT: return count;
    case MAKES_SUM: return sum;
    case MAKES_MEAN: return sum / count;
    case MAKES_MAX: return max;
    case MAKES_LAST: return last;
    case MAKES_FIRST_DELAY: return seconds_until(shown, first_of(l, share, n));
    }
    CHECK(!"an aggregate of the table");
}

static double label_of(const struct rules_label *l, int64_t shown, const struct recompute_share *share, size_t n)
{
    if (!first_of(l, share, n))
        return 0;
    double v = aggregate_of(l, shown, share, n);
    if (l->has_cap && v > l->cap)
        v = l->cap;
    return l->has_threshold ? v >= l->threshold : v;
}

void recompute_labels(const struct recompute_rules *rules, int64_t shown, const struct recompute_share *share, size_t n,
                      double *out)
{
    bool acted[SAMPLE_LABELS_MAX];
    for (uint32_t i = 0; i < rules->labels; i++) {
        acted[i] = first_of(&rules->label[i], share, n) != NULL;
        out[i] = label_of(&rules->label[i], shown, share, n);
    }
    for (uint32_t i = 0; i < rules->sample_filters; i++) {
        const struct rules_sample_filter *f = &rules->sample_filter[i];
        if (!acted[f->label])
            continue;
        double number = f->by_delay ? seconds_until(shown, first_of(&rules->label[f->label], share, n)) : out[f->label];
        if (number >= f->min && number <= f->max)
            continue;
        out[f->zero] = 0;
        acted[f->zero] = false;
    }
}
