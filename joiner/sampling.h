/* joiner/sampling.h - which negatives are learned: a lot drawn for each impression when it comes, by hash.
 *
 * Rules    tried in order; the first whose range of places fits gives the rate. None fits: 1, every negative is kept.
 *          An impression that does not say its place fits a range without ends only.
 * Lot      a hash of the join key, or of the user (so that a user's negatives stay or go together), uniform in [0, 1):
 *          below the rate it is kept. The same impression draws the same lot on every machine with this hash seed, and
 *          whoever is kept at a rate is kept at every higher one. Keys are hashed with a seed that senders do not know.
 * Meaning  only negatives are left out: samples without any label when they are decided. A positive counts once; a kept
 *          negative stands for 1 / rate of them, or is learned with the offset -ln rate (learner/model.h). A negative
 *          that was left out and becomes positive later is a new sample. More in joiner/sample.h.
 * Rates    floats in (0, 1]: what is carried with the sample is exactly what was drawn with.
 * Threads  pure. Bound: SAMPLING_RULES_MAX rules. */
#ifndef TIDEMILL_JOINER_SAMPLING_H
#define TIDEMILL_JOINER_SAMPLING_H

#include "base/hash.h"

enum { SAMPLING_RULES_MAX = 16 };

enum sampling_unit { SAMPLING_IMPRESSION, SAMPLING_USER };

struct sampling_rule {
    float keep;          /* (0, 1] */
    uint32_t unit;       /* enum sampling_unit */
    int32_t first, last; /* places shown, both included; INT32_MIN, INT32_MAX: no end */
};

struct sampling {
    uint32_t rules;
    struct sampling_rule rule[SAMPLING_RULES_MAX];
};

/* What the draw is about: of an impression. */
struct sampling_ticket {
    struct hash128 key;
    uint64_t user; /* hash; 0: it names none, and the key stands for it */
    int32_t place;
    bool has_place;
};

struct sampling_lot {
    float rate;    /* with which a negative is kept; 1: no rule */
    bool left_out; /* if it is a negative */
};

struct sampling_lot sampling_draw(const struct sampling *s, const struct sampling_ticket *ticket);

#endif
