#include "joiner/filters.h"

/* False: excluded. */
static bool apply(const struct filter *f, struct filter_numbers *n)
{
    double *number = &n->number[f->field];
    bool there = n->has >> f->field & 1;
    bool below = there && *number < f->least, above = there && *number > f->most;
    switch ((enum filter_action)f->action) {
    case FILTER_DROP: return !below && !above;
    case FILTER_CLAMP: *number = below ? f->least : above ? f->most : *number; break;
    case FILTER_DEFAULT:
        if (!there)
            *number = f->to;
        n->has |= UINT32_C(1) << f->field;
        break;
    }
    return true;
}

bool filters_pass(const struct filters *f, uint8_t stream, struct filter_numbers *n)
{
    for (uint32_t i = 0; i < f->count; i++)
        if ((f->filter[i].streams >> stream & 1) && !apply(&f->filter[i], n))
            return false;
    return true;
}
