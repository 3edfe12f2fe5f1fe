/* ps/server/rank_features.h - what the candidates of a Rank are scored by: the context's numbers with each candidate's
 * own behind them and the ids of both, then the rows of tables, as a sample gets them; and what the version's encoder
 * makes of them, unless they name its representation.
 *
 * Sent     what the events of candidates carry: numbers alone as a dense vector, with ids behind them as a sparse one.
 * Shapes   x: a row of the version's dimension for each candidate, all encoded in one call; NULL: the version is scored
 *          without.
 * Tables   of versions over features: a candidate without one of its rows is refused, because a sample of it would
 *          have no features (ps/state/version_input.h). What is logged is what was sent: its sample looks the rows up,
 *          and gets x by the code that made it here.
 * Bounds   FEATURES_MAX numbers of a candidate, as no version learns from more; ids: ps/server/rank_ids.h. With all
 *          that is allowed of 1,000 candidates a call takes at most 160 MB while it is encoded.
 * Memory   owned, until rank_features_close().
 * Errors   TM_INVALID_ARGUMENT with the place: too few or too many numbers, out of range, ids that the version does not
 *          take, another representation. TM_FAILED_PRECONDITION: a row is missing. */
#ifndef TIDEMILL_PS_SERVER_RANK_FEATURES_H
#define TIDEMILL_PS_SERVER_RANK_FEATURES_H

#include "learner/encoder.h"
#include "ps/server/rank_request.h"
#include "ps/server/rank_tables.h"
#include "ps/state/catalog.h"

struct rank_features {
    bool there;         /* events carry features, even if they are empty ones */
    uint32_t encoding;  /* of them: enum FeatureEncoding */
    struct buffer sent; /* of all candidates */
    size_t *end;        /* of each candidate's, behind the 0 where the first ones begin */
    float *x;
};

enum tm_code rank_features_take(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                const struct rank_tables *tables, struct rank_features *f, struct tm_error *err);
void rank_features_close(struct rank_features *f);

/* The features of a candidate's event. */
static inline struct bytes rank_features_sent(const struct rank_features *f, uint32_t candidate)
{
    return bytes_of(f->sent.data + f->end[candidate], f->end[candidate + 1] - f->end[candidate]);
}

#endif
