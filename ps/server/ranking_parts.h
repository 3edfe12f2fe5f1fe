/* ps/server/ranking_parts.h - what Rank and Reward share; for ranking.c and reward.c alone. */
#ifndef TIDEMILL_PS_SERVER_RANKING_PARTS_H
#define TIDEMILL_PS_SERVER_RANKING_PARTS_H

#include "ps/server/door.h"
#include "ps/server/ranking.h"
#include "ps/server/stamper.h"

struct ranking {
    struct engine *engine;
    struct stamper *stamper;
};

/* The stream of this kind that is named, or the only one there is when no name was sent (data NULL). */
enum tm_code ranking_stream(const struct ranking *r, enum joiner_stream_kind kind, struct bytes name, uint8_t *stream,
                            struct tm_error *err);

/* Is it what Ingest would take, were it stamped now? Errors begin with "docs[index]: ". */
enum tm_code ranking_check_event(const struct ranking *r, const struct event *e, uint8_t stream, uint32_t index,
                                 struct tm_error *err);

#endif
