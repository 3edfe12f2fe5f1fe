/* ps/state/feature_vector.h - the features of one sample: packed, as they are kept, and as a learner takes them.
 *
 * Packed    of one record after the other: {u8 stream, u16 size, representation, u8 encoding, u32 size, features as
 *           they came}. For a stream that has not come: FEATURES_BLANK as encoding, and 4 bytes: how many zeros stand
 *           in for it; 0: nothing does, and the vector is not whole until it comes. A blank is of every representation.
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

enum { FEATURES_MAX = MODEL_DIAGONAL_MAX, FEATURES_BLANK = 255 /* no encoding has this number */ };
enum { FEATURES_NO_STREAM = 255 /* of what no later record completes */ };

struct feature_vector {
    float *x;       /* FEATURES_MAX of them, 0 from `count` on; NULL before the first one */
    uint32_t count; /* values; FEATURES_MAX + 1: it fits nobody */
    bool sparse;    /* it ends sparse: it fits every dimension from `count` on, else only `count` */
    struct bytes representation;
    bool of_one_kind; /* all records have this representation */
    bool blank;       /* no record has come: it is of every representation */
    bool whole;       /* nothing is missing but what zeros stand in for */
    bool open;        /* something is missing: a later record may fill it */
};

void feature_vector_close(struct feature_vector *v);

/* One event more: of an item what it shares, then its own. False: it has no features. */
bool feature_pack(struct buffer *out, uint8_t stream, const struct event *e);
/* In place of a record of this stream. */
void feature_pack_blank(struct buffer *out, uint8_t stream, uint32_t zeros);
/* What was packed before, with the record that has come in place of its stream's blank. False: there is no blank, or
 * the record has no features; nothing is appended. */
bool feature_repack(struct buffer *out, struct bytes before, uint8_t stream, const struct event *e);

/* One part of what was packed. False: it makes no sense (r->bad). */
struct feature_part {
    uint8_t stream, encoding;
    struct bytes representation, features;
    uint32_t zeros; /* of a blank */
};
bool feature_part_next(struct reader *r, struct feature_part *out);

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
