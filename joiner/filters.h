/* joiner/filters.h - field rules: which records are excluded by a number they carry, and which numbers are mended.
 *
 * Rules    applied in their order, each to what the one before left. A rule is for some streams and for one field:
 *          `drop`     excludes a record whose field is there and outside of [least, most];
 *          `clamp`    moves it to the nearer end;
 *          `default`  sets it to `to` where it is not there.
 * Fields   value, weight and position count for what follows (labels, learning, sampling); score and propensity are
 *          carried in the event's own bytes, which stay as they came, so they can be looked at only.
 * Withdrawals pass unseen: their numbers mean nothing, and one that is excluded would leave what it takes back counted.
 * Threads  pure. Bound: FILTERS_MAX rules. */
#ifndef TIDEMILL_JOINER_FILTERS_H
#define TIDEMILL_JOINER_FILTERS_H

#include "base/bytes.h"

enum { FILTERS_MAX = 32 };

/* clang-format off */
/*    name        can it be mended? */
#define FILTER_FIELDS(F)  \
    F(value,      true)   \
    F(weight,     true)   \
    F(position,   true)   \
    F(score,      false)  \
    F(propensity, false)
/* clang-format on */

enum filter_field {
#define F(name, mended) FILTER_##name,
    FILTER_FIELDS(F)
#undef F
        FILTER_FIELD_COUNT
};

enum filter_action { FILTER_DROP, FILTER_CLAMP, FILTER_DEFAULT };

struct filter {
    uint32_t streams; /* bit set */
    uint32_t field;   /* enum filter_field */
    uint32_t action;  /* enum filter_action */
    double least, most, to;
};

struct filters {
    uint32_t count;
    struct filter filter[FILTERS_MAX];
};

/* The numbers of one record. */
struct filter_numbers {
    double number[FILTER_FIELD_COUNT];
    uint32_t has; /* bit set of enum filter_field */
};

/* False: the record is excluded. */
bool filters_pass(const struct filters *f, uint8_t stream, struct filter_numbers *n);

#endif
