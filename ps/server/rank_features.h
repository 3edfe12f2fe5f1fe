/* ps/server/rank_features.h - what the candidates of a Rank are scored by: the context's numbers with each candidate's
 * own behind them, then the rows of tables, as a sample gets them; and what the version's encoder makes of them, unless
 * they name its representation.
 *
 * Shapes   raw: a row of `width` numbers for each candidate, as they are logged; x: a row of the version's dimension,
 *          raw itself without an encoder. Both NULL: there are no numbers, and the version needs none.
 * Tables   of versions over features: a candidate without one of its rows is refused, because a sample of it would
 *          have no features (ps/state/version_input.h). What is logged is what was sent: its sample looks the rows up.
 * Memory   owned, until rank_features_close().
 * Errors   TM_INVALID_ARGUMENT with the place: too few or too many numbers, out of range, another representation, an
 *          encoder whose input has ids, which cannot be said in numbers. TM_FAILED_PRECONDITION: a row is missing. */
#ifndef TIDEMILL_PS_SERVER_RANK_FEATURES_H
#define TIDEMILL_PS_SERVER_RANK_FEATURES_H

#include "learner/encoder.h"
#include "ps/server/rank_request.h"
#include "ps/server/rank_tables.h"
#include "ps/state/catalog.h"

struct rank_features {
    uint32_t width;
    float *raw, *x;
};

enum tm_code rank_features_take(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                const struct rank_tables *tables, struct rank_features *f, struct tm_error *err);
void rank_features_close(struct rank_features *f);

#endif
