/* ps/state/version_input.h - what a version learns from, of the features of one sample: x itself, or what its encoder
 * makes of them; and how features are put together.
 *
 *   sent ──► packed ◄── rows of tables ──► feature vector ──► [encoder] ──► x
 *
 * Order     what was sent comes first, then one row of each table with features, by the tables' names. If one of them
 *           has no row, or a row without features, there are no features.
 * Encoder   features that name the representation it makes are x already; others are encoded.
 * Memory    views of what the caller has. Threads: pure; one owner of vector and encoding. */
#ifndef TIDEMILL_PS_STATE_VERSION_INPUT_H
#define TIDEMILL_PS_STATE_VERSION_INPUT_H

#include "ps/state/encoding.h"
#include "ps/state/feature_vector.h"

/* Why the version cannot learn a sample of this weight from these features; vector: NULL if there are none, else
 * unpacked from `packed`. The same for every correction of the sample. */
enum joiner_reason version_input_judge(const struct version *v, const struct encoder *encoder,
                                       const struct feature_vector *vector, struct encoding *e, struct bytes packed,
                                       double weight);

/* x of features for which that was REASON_NONE: in the vector, or in the encoding. */
const float *version_input_x(const struct encoder *encoder, const struct feature_vector *vector, struct encoding *e,
                             struct bytes packed);

/* The same of samples of weight 1 with these features, one for each of `packed`: x, the version's dimension of each,
 * encoded in one call. REASON_NONE, or *refused is one whose features it does not take and *err says why. */
enum joiner_reason version_input_take_all(const struct version *v, const struct encoder *encoder,
                                          const struct bytes *packed, uint32_t count, float *x, uint32_t *refused,
                                          struct tm_error *err);

/* Streams that are tables, by their names; returns how many. */
uint32_t version_input_tables(const struct catalog *c, uint8_t stream[static JOINER_STREAMS_MAX]);

/* One table's row behind what is packed. row: its event; empty: there is none. False: there are no features. */
bool version_input_add_row(struct buffer *packed, uint8_t stream, struct bytes row);

#endif
