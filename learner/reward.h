/* learner/reward.h - the reward of a version: an expression over the labels of a sample, compiled once. Pure.
 *
 *     comparison  sum, or sum > sum, >=, <, <=: 1 where it holds, else 0
 *     sum         product + product - product ...
 *     product     factor * factor / factor ...
 *     factor      -factor, (comparison), min(comparison, comparison), max(comparison, comparison), a number, a label
 *
 * Names    where a label may stand, the longest label name that is there is taken. Names may hold "." and "-": with a
 *          label add-to-cart "add-to-cart" is that label, and "add -to -cart" is a difference. In an expression
 *          they begin with a letter or "_"; a text that is nothing but a label's name is that label, whatever is in it.
 * Values   doubles. What leaves their range stays at its end (+-DBL_MAX). A division by 0 has no value, and then the
 *          whole expression has none, also where it would be multiplied by 0.
 * Bounds   REWARD_..._MAX; more is refused.
 * Errors   "column C: got X; expected Y", columns from 1.
 * Threads  pure. */
#ifndef TIDEMILL_LEARNER_REWARD_H
#define TIDEMILL_LEARNER_REWARD_H

#include "base/bytes.h"
#include "base/error.h"

enum {
    REWARD_TEXT_MAX = 255, /* bytes */
    REWARD_OPS_MAX = 64,
    REWARD_NUMBERS_MAX = 16,
    REWARD_LABELS_MAX = 32,
    REWARD_DEPTH_MAX = 16, /* of values on the stack, and of parentheses in each other */
};

/* The same text over the same labels is the same struct, byte for byte. */
struct reward {
    char text[REWARD_TEXT_MAX + 1];
    double number[REWARD_NUMBERS_MAX];
    uint8_t op[REWARD_OPS_MAX]; /* postfix; enum op in reward.c */
    uint32_t ops, numbers;
};

enum tm_code reward_compile(struct bytes text, const char *const *label, uint32_t labels, struct reward *out,
                            struct tm_error *err);

/* False: it has no value for these labels. */
bool reward_value(const struct reward *r, const double *labels, double *out);

/* What its value can be, where label i is between low[i] and high[i] (infinite: not known). Wider than the truth where
 * a label occurs more than once. */
struct reward_range {
    double low, high;
    bool always; /* it has a value for all labels */
};
struct reward_range reward_range(const struct reward *r, const double *low, const double *high);

#endif
