/* ps/state/encoding.h - the raw features of one sample as an encoder takes them, and what it makes of them.
 *
 * Input     packed features (ps/state/feature_vector.h). The encoder's numbers come first, its fields behind them, one
 *           index for each row of their tables: with 2 numbers and fields of 200 and 50 rows, index 0 and 1 are the
 *           numbers, 2 to 201 and 202 to 251 the ids. Dense vectors hold numbers alone, all of them; a sparse one may
 *           come last: it names numbers and ids, and gives every id the value 1. Numbers that it leaves out are 0.
 * Output    x, encoder_width() of them: the same bits whoever else is encoded (learner/encoder.h).
 * Refused   REASON_WRONG_DIMENSION: numbers missing or left over, an index that no table has, something behind a sparse
 *           vector. REASON_FEATURE_RANGE: a number beyond ENCODER_INPUT_MAX, an id whose value is not 1, more than
 *           ENCODER_BAG_MAX of a field, or more than FEATURE_PACKED_MAX bytes: what a shard cannot keep
 *           (ps/state/feature_rows.h) it could not correct. Only raw features get that large: x itself ends at
 *           FEATURES_MAX values.
 * Memory    owned: room for numbers, ids, tile and x of what was encoded, at most 250 KiB and the ids of one event for
 *           a sample alone; it does not shrink.
 * Threads   one owner. */
#ifndef TIDEMILL_PS_STATE_ENCODING_H
#define TIDEMILL_PS_STATE_ENCODING_H

#include "joiner/reason.h"
#include "learner/encoder.h"

struct encoding {
    const struct encoder *encoder; /* of x; NULL: nothing is encoded */
    enum joiner_reason refused;    /* why it could not be */
    float *x;
    struct encoder_input *row; /* in `memory`, as what follows and x */
    struct encoder_bag *bag;
    float *dense, *room;
    uint32_t *id;
    void *memory;
    size_t capacity;
};

void encoding_close(struct encoding *e);

/* Other features are at hand. */
static inline void encoding_forget(struct encoding *e) { e->encoder = NULL; }

/* Encode, unless it is encoded already. REASON_NONE: e->x holds it. */
enum joiner_reason encoding_take(struct encoding *e, const struct encoder *encoder, struct bytes packed);

/* The features of `count` samples in one call of the encoder. REASON_NONE: e->x holds a row of each. Else *refused is
 * the first that cannot be encoded, and *err names the number or id. What was at hand is forgotten. */
enum joiner_reason encoding_take_all(struct encoding *e, const struct encoder *encoder, const struct bytes *packed,
                                     uint32_t count, uint32_t *refused, struct tm_error *err);

#endif
