/* joiner/attribution_state.h - the inside of joiner/attribution.h, shared by its parts: attribution.c (groups and what
 * is in them), attribution_rule.c (who holds what, forgetting), attribution_ahead.c (cache misses) and
 * attribution_log.c (what is stored).
 *
 * Memory, threads  as there. */
#ifndef TIDEMILL_JOINER_ATTRIBUTION_STATE_H
#define TIDEMILL_JOINER_ATTRIBUTION_STATE_H

#include "joiner/attribution.h"

/* attribution.c */
void attribution_take_out(struct attribution *a, uint32_t group, uint32_t shown); /* it goes with its last group */
void attribution_drop_if_empty(struct attribution *a, uint32_t group);
uint32_t attribution_new_deed(struct attribution *a);
void attribution_free_deed(struct attribution *a, uint32_t deed);
void attribution_link_deed(struct attribution *a, uint32_t group, uint32_t deed);

/* attribution_rule.c. horizon: of deeds that wait; WATERMARK_NONE: they stay. */
bool attribution_candidate(const struct attribution *a, const struct shown *s, const struct deed *d);
void attribution_drop_past(struct attribution *a, uint32_t group, int64_t expiry, int64_t horizon);

/* attribution_log.c */
void attribution_log_shown(struct attribution *a, uint32_t group, const struct joiner_record *r);
void attribution_log_shed(struct attribution *a, uint32_t group, const struct shown *s);

#endif
