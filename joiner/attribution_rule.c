/* Who holds an action, and what becomes of it when they are forgotten. */
#include "joiner/attribution_state.h"

bool attribution_candidate(const struct attribution *a, const struct shown *s, const struct deed *d)
{
    return s->time <= d->time && s->time >= d->time - a->config->stream[d->stream].within_ms &&
           (d->version == 0 || d->version == s->version) && (d->shares == 0 || s->position <= d->settled_at);
}

/* How many impressions hold the action, and whether this one does. */
static uint32_t holders(const struct attribution *a, const struct action_group *g, const struct deed *d, uint32_t shown,
                        bool *holds)
{
    enum joiner_attribute rule = a->config->stream[d->stream].attribute;
    uint32_t first = ATTRIBUTION_NONE, last = ATTRIBUTION_NONE, count = 0;
    *holds = false;
    if (d->shares && rule != JOINER_ATTRIBUTE_ALL) /* the one that held it is forgotten */
        return d->shares;
    for (uint32_t i = g->newest; i != ATTRIBUTION_NONE; i = attribution_shown_at(a, i)->older[g->slot]) {
        if (!attribution_candidate(a, attribution_shown_at(a, i), d))
            continue;
        last = last == ATTRIBUTION_NONE ? i : last;
        first = i;
        count++;
        *holds |= i == shown;
    }
    if (rule == JOINER_ATTRIBUTE_ALL)
        return d->shares ? d->shares : count;
    *holds = shown != ATTRIBUTION_NONE && shown == (rule == JOINER_ATTRIBUTE_LAST ? last : first);
    return count > 0;
}

uint32_t attribution_holder(const struct attribution *a, uint32_t group, const struct deed *d)
{
    const struct action_group *g = attribution_group_at(a, group);
    uint32_t holder = ATTRIBUTION_NONE;
    for (uint32_t i = g->newest; i != ATTRIBUTION_NONE; i = attribution_shown_at(a, i)->older[g->slot])
        if (attribution_candidate(a, attribution_shown_at(a, i), d) &&
            (holder == ATTRIBUTION_NONE || a->config->stream[d->stream].attribute == JOINER_ATTRIBUTE_FIRST))
            holder = i;
    return holder;
}

uint32_t attribution_held(const struct attribution *a, uint32_t shown, struct label_action *out)
{
    uint32_t n = 0;
    for (uint32_t slot = 0; shown != ATTRIBUTION_NONE && slot < JOINER_ACTION_KEYS_MAX; slot++) {
        uint32_t group = attribution_shown_at(a, shown)->group[slot];
        if (group == ATTRIBUTION_NONE)
            continue;
        const struct action_group *g = attribution_group_at(a, group);
        for (uint32_t i = g->deeds; i != ATTRIBUTION_NONE; i = attribution_deed_at(a, i)->next) {
            const struct deed *d = attribution_deed_at(a, i);
            bool holds;
            uint32_t shares = d->withdraw || d->withdrawn ? 0 : holders(a, g, d, shown, &holds);
            if (shares && holds)
                out[n++] =
                    (struct label_action){d->time, d->position, d->value / shares, a->config->stream[d->stream].labels};
        }
    }
    return n;
}

/* ---- forgetting ---- */

bool attribution_due(struct attribution *a, int64_t expiry, uint32_t *group)
{
    struct due_item item;
    bool found = expiry != WATERMARK_NONE && due_next(&a->forgets, expiry, &item);
    if (found)
        *group = item.number;
    return found;
}

static bool is_past(const struct shown *s, int64_t expiry) { return s->shed || (s->decided && s->time < expiry); }

/* Some impression that holds the action is forgotten now. */
static bool loses_holder(const struct attribution *a, const struct action_group *g, const struct deed *d,
                         int64_t expiry)
{
    for (uint32_t i = g->newest; i != ATTRIBUTION_NONE; i = attribution_shown_at(a, i)->older[g->slot]) {
        bool holds = is_past(attribution_shown_at(a, i), expiry);
        if (holds) {
            holders(a, g, d, i, &holds);
            if (holds)
                return true;
        }
    }
    return false;
}

static void settle(struct attribution *a, uint32_t group, int64_t expiry, uint64_t position)
{
    const struct action_group *g = attribution_group_at(a, group);
    for (uint32_t i = g->deeds; i != ATTRIBUTION_NONE; i = attribution_deed_at(a, i)->next) {
        struct deed *d = attribution_deed_at(a, i);
        bool holds;
        if (d->withdraw || d->shares || !loses_holder(a, g, d, expiry))
            continue;
        d->shares = (uint8_t)holders(a, g, d, ATTRIBUTION_NONE, &holds);
        d->settled_at = position;
        attribution_log_deed(a, i);
    }
}

/* An impression that is not decided keeps what it may hold, whatever time it is. */
static bool is_kept(const struct attribution *a, const struct action_group *g, const struct deed *d)
{
    for (uint32_t i = g->newest; i != ATTRIBUTION_NONE; i = attribution_shown_at(a, i)->older[g->slot])
        if (!attribution_shown_at(a, i)->decided && attribution_candidate(a, attribution_shown_at(a, i), d))
            return true;
    return false;
}

void attribution_drop_past(struct attribution *a, uint32_t group, int64_t expiry, int64_t horizon)
{
    struct action_group *g = attribution_group_at(a, group);
    for (uint32_t i = g->newest, older; i != ATTRIBUTION_NONE; i = older) {
        older = attribution_shown_at(a, i)->older[g->slot];
        if (is_past(attribution_shown_at(a, i), expiry))
            attribution_take_out(a, group, i);
    }
    for (uint32_t *link = &g->deeds; *link != ATTRIBUTION_NONE;) {
        uint32_t i = *link;
        struct deed *d = attribution_deed_at(a, i);
        if (d->matched ? d->time >= expiry || is_kept(a, g, d) : d->time >= horizon) {
            link = &d->next;
            continue;
        }
        *link = d->next;
        attribution_free_deed(a, i);
    }
    attribution_drop_if_empty(a, group);
}

void attribution_forget(struct attribution *a, uint32_t group, int64_t expiry, uint64_t position)
{
    const struct action_group *g = attribution_group_at(a, group);
    if (g->shown == 0 && g->deeds == ATTRIBUTION_NONE) /* it went before, with more of its kind */
        return;
    settle(a, group, expiry, position);
    attribution_drop_past(a, group, expiry, WATERMARK_NONE);
}

void attribution_shed(struct attribution *a, struct hash128 key, uint64_t impression, uint64_t position)
{
    uint32_t i = attribution_find_shown(a, key);
    if (i == ATTRIBUTION_NONE || attribution_shown_at(a, i)->position != impression)
        return;
    attribution_shown_at(a, i)->shed = true;
    const struct shown s = *attribution_shown_at(a, i);
    for (uint32_t slot = 0; slot < JOINER_ACTION_KEYS_MAX; slot++) {
        if (s.group[slot] == ATTRIBUTION_NONE)
            continue;
        attribution_log_shed(a, s.group[slot], &s);
        due_insert(&a->forgets, s.time, s.position, s.group[slot]); /* actions may have stayed for its sake */
        attribution_forget(a, s.group[slot], WATERMARK_NONE, position);
    }
}
