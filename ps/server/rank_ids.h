/* ps/server/rank_ids.h - the ids of a Rank's candidates: of each one the context's and its own, as one increasing list.
 *
 * Ids      indices of an event's sparse features, behind its numbers (ps/state/encoding.h). Both lists increase, and
 *          have none in common: what events must keep to, too. Which of them a version's encoder takes, and how many
 *          of a field, is not looked at here.
 * Bounds   RANK_IDS_MAX of a candidate, so that its event is below EVENT_SIZE_MAX; RANK_IDS_ALL_MAX of all, the
 *          context's counted with each.
 * Memory   owned, until rank_ids_close(). Threads: one owner.
 * Errors   TM_INVALID_ARGUMENT with the field, the place in it, value and expectation. */
#ifndef TIDEMILL_PS_SERVER_RANK_IDS_H
#define TIDEMILL_PS_SERVER_RANK_IDS_H

#include "learner/encoder.h"
#include "ps/server/rank_request.h"

enum { RANK_IDS_MAX = ENCODER_FIELDS_MAX * ENCODER_BAG_MAX, RANK_IDS_ALL_MAX = 1 << 20 };

struct rank_ids {
    uint32_t *id; /* NULL: the request has none */
    size_t *end;  /* of each candidate's, behind the 0 where the first ones begin */
};

/* numbers: how many each candidate has. On TM_OK the caller closes *ids. */
enum tm_code rank_ids_merge(const struct rank_request *q, uint32_t numbers, struct rank_ids *ids, struct tm_error *err);
void rank_ids_close(struct rank_ids *ids);

#endif
