/* ps/state/feature_vector.h - the features of one sample: packed, as they are kept, and as a learner takes them.
 *
 * Packed    of one record after the other: {u16 size, representation, u8 encoding, u32 size, features as they came}.
 * Vector    the records' vectors one behind the other. A sparse one has no end of its own, so it may only come last;
 *           what it does not name is 0, up to the dimension of whoever takes it.
 * Bound     FEATURES_MAX values: no version has more weights. A longer vector fits nobody.
 * Memory    a vector owns its values, 16 KiB, used again for every sample; `representation` is a view of what was
 *           unpacked.
 * Threads   one owner. */
#ifndef TIDEMILL_PS_STATE_FEATURE_VECTOR_H
#define TIDEMILL_PS_STATE_FEATURE_VECTOR_H

#include "joiner/reason.h"
#include "proto/event.h"
#include "ps/state/catalog.h"

enum { FEATURES_MAX = MODEL_DIAGONAL_MAX };

struct feature_vector {
    float *x;       /* FEATURES_MAX of them, 0 from `count` on; NULL before the first one */
    uint32_t count; /* values; FEATURES_MAX + 1: it fits nobody */
    bool sparse;    /* it ends sparse: it fits every dimension from `count` on, else only `count` */
    struct bytes representation;
    bool of_one_kind; /* all records have this representation */
};

void feature_vector_close(struct feature_vector *v);

/* One event more: of an item what it shares, then its own. False: it has no features. */
bool feature_pack(struct buffer *out, const struct event *e);

/* False: what no record could have left, and *v fits nobody. */
bool feature_vector_unpack(struct bytes packed, struct feature_vector *v);

/* Are all of it of this representation? "": of none that was named. */
bool feature_vector_is(const struct feature_vector *v, const char *representation);

/* Why the version cannot learn a sample of this weight with these features, of the representation that it wants ("": of
 * any); NULL: it has none. The same for every correction of the sample: labels do not matter. REASON_NONE: it can, or
 * needs no features. */
enum joiner_reason feature_vector_judge(const struct feature_vector *v, const struct version *version,
                                        const char *representation, double weight);

#endif
