/* ps/state/version_input.h - what a version learns from, of the features of one sample: x itself, or what its encoder
 * makes of them; and how features are put together, wherever they are taken from.
 *
 *   impression, or feature streams ──► packed ◄── rows of tables        packed ──► feature vector ──► [encoder] ──► x
 *
 * Sources   of a sample are the impression, and the streams that there were in its epoch (joiner/joiner.h).
 * Order     the impression's own features come first; if it has none, a record of every feature stream in the order of
 *           the streams. Then one row of each table with features, by the tables' names. If one of them has no record
 *           or row, or one without features, there are no features.
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

/* The streams beside the impression's own that may be sources, in order: first those of features, then tables. */
struct input_sources {
    uint8_t stream[JOINER_STREAMS_MAX];
    uint32_t zeros[JOINER_STREAMS_MAX]; /* of feature streams: what stands in for a record that has not come */
    uint32_t feature_streams, count;    /* count: with the tables */
};
void version_input_sources(const struct catalog *c, struct input_sources *out);

/* The event that a source has for the sample. False: none. */
typedef bool input_find(void *context, uint8_t stream, struct event *out);

/* What a sample's input is gathered from. */
struct input_parts {
    uint32_t streams; /* those of its epoch are the first ones */
    const struct event *shown;
    input_find *find;
    void *context;
};

/* Put behind what is packed: the impression's own features; else those of the feature streams, with a blank for each
 * that has none (ps/state/feature_vector.h); then the rows of tables. False: there are no features, or a table has no
 * row with some: *lacking, which may be NULL, and is left alone if nothing is a source. */
bool version_input_gather(const struct input_sources *sources, const struct input_parts *parts, struct buffer *packed,
                          uint8_t *lacking);

#endif
