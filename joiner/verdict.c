#include "joiner/verdict.h"

/* The first action that counts for the label; NULL: none. */
static const struct label_action *first_of(uint32_t label, const struct label_action *action, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (action[i].labels >> label & 1)
            return &action[i];
    return NULL;
}

static double delay_of(const struct label_action *first, int64_t impression_time)
{
    return first->time > impression_time ? (double)(first->time - impression_time) / 1000 : 0;
}

void verdict_of(const struct joiner_label *label, uint32_t labels, const struct label_filters *filters,
                const struct label_action *action, uint32_t n, int64_t impression_time, struct verdict *out)
{
    uint64_t gone = 0; /* labels that were made 0 */
    labels_fold(label, labels, action, n, impression_time, out->labels);
    out->excluded = false;
    for (uint32_t i = 0; n > 0 && i < filters->count; i++) {
        const struct label_filter *f = &filters->filter[i];
        const struct label_action *first = gone >> f->label & 1 ? NULL : first_of(f->label, action, n);
        if (!first)
            continue;
        double number = f->look == LOOK_AT_DELAY ? delay_of(first, impression_time) : out->labels[f->label];
        if (number >= f->least && number <= f->most)
            continue;
        out->excluded |= f->drop;
        gone |= f->zeroes;
        for (uint32_t k = 0; k < labels; k++)
            if (f->zeroes >> k & 1)
                out->labels[k] = 0;
    }
}

bool label_filters_drop(const struct label_filters *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->filter[i].drop)
            return true;
    return false;
}

bool label_filters_same(const struct label_filters *a, const struct label_filters *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct label_filter *x = &a->filter[i], *y = &b->filter[i];
        if (x->label != y->label || x->look != y->look || x->least != y->least || x->most != y->most ||
            x->drop != y->drop || x->zeroes != y->zeroes)
            return false;
    }
    return true;
}
