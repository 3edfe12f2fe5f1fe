#include "joiner/attribution_state.h"

#include <stdlib.h>

enum { POOL_MIN = 64 };

/* ---- pools: a free item begins with the number of the next free one ---- */

static void *item_at(const struct attribution_pool *p, uint32_t i) { return (char *)p->items + (size_t)i * p->size; }

static uint32_t take_item(struct attribution_pool *p)
{
    uint32_t i = p->free;
    if (i != ATTRIBUTION_NONE) {
        memcpy(&p->free, item_at(p, i), sizeof p->free);
    } else {
        if (p->count == p->capacity) {
            p->capacity = p->capacity ? p->capacity * 2 : POOL_MIN;
            p->items = mem_grow(p->items, p->capacity, p->size);
        }
        i = p->count++;
    }
    memset(item_at(p, i), 0, p->size);
    return i;
}

static void give_item(struct attribution_pool *p, uint32_t i)
{
    memset(item_at(p, i), 0, p->size);
    memcpy(item_at(p, i), &p->free, sizeof p->free);
    p->free = i;
}

static struct key_entries entries(const struct attribution_pool *p)
{
    return (struct key_entries){p->items, p->size, UINT32_MAX};
}

void attribution_open(struct attribution *a, const struct joiner_config *config)
{
    *a = (struct attribution){.config = config,
                              .shown = {.size = sizeof(struct shown), .free = ATTRIBUTION_NONE},
                              .deeds = {.size = sizeof(struct deed), .free = ATTRIBUTION_NONE},
                              .groups = {.size = sizeof(struct action_group), .free = ATTRIBUTION_NONE},
                              .logged_until = INT64_MIN};
    due_open(&a->forgets);
    due_open(&a->waits);
}

void attribution_close(struct attribution *a)
{
    free(a->shown.items);
    free(a->deeds.items);
    free(a->groups.items);
    key_index_close(&a->by_key);
    key_index_close(&a->by_action_key);
    due_close(&a->forgets);
    due_close(&a->waits);
    buffer_close(&a->log);
    buffer_close(&a->taken);
}

size_t attribution_memory(const struct attribution *a)
{
    return a->shown.capacity * a->shown.size + a->deeds.capacity * a->deeds.size + a->groups.capacity * a->groups.size +
           ((size_t)a->by_key.capacity + a->by_action_key.capacity) * 8 + due_memory(&a->forgets) +
           due_memory(&a->waits) + a->log.capacity + a->taken.capacity;
}

uint32_t attribution_new_deed(struct attribution *a) { return take_item(&a->deeds); }
void attribution_free_deed(struct attribution *a, uint32_t deed) { give_item(&a->deeds, deed); }

/* ---- groups ---- */

uint32_t attribution_find(const struct attribution *a, struct hash128 action_key)
{
    return key_index_find(&a->by_action_key, action_key, entries(&a->groups));
}

uint32_t attribution_group(struct attribution *a, struct hash128 action_key, uint32_t slot)
{
    uint32_t group = attribution_find(a, action_key);
    if (group != ATTRIBUTION_NONE)
        return group;
    group = take_item(&a->groups);
    *attribution_group_at(a, group) =
        (struct action_group){.key = action_key, .newest = ATTRIBUTION_NONE, .deeds = ATTRIBUTION_NONE, .slot = slot};
    key_index_insert(&a->by_action_key, action_key, group);
    return group;
}

void attribution_drop_if_empty(struct attribution *a, uint32_t group)
{
    struct action_group *g = attribution_group_at(a, group);
    if (g->shown > 0 || g->deeds != ATTRIBUTION_NONE)
        return;
    key_index_remove(&a->by_action_key, g->key, group);
    give_item(&a->groups, group);
    g->newest = g->deeds = ATTRIBUTION_NONE; /* for items of `forgets` that still name it */
}

/* ---- impressions ---- */

uint32_t attribution_find_shown(const struct attribution *a, struct hash128 key)
{
    return key_index_find(&a->by_key, key, entries(&a->shown));
}

/* A commit with an undecided impression is kept for it: so is then all that it may hold, however old that is. */
static void log_candidates(struct attribution *a, uint32_t group, const struct shown *s)
{
    for (uint32_t i = attribution_group_at(a, group)->deeds; i != ATTRIBUTION_NONE; i = attribution_deed_at(a, i)->next)
        if (attribution_candidate(a, s, attribution_deed_at(a, i)))
            attribution_log_deed(a, i);
}

static bool before(int64_t time, uint64_t position, int64_t than_time, uint64_t than_position)
{
    return time != than_time ? time < than_time : position < than_position;
}

static uint32_t new_shown(struct attribution *a, const struct joiner_record *r)
{
    uint32_t i = take_item(&a->shown);
    struct shown *s = attribution_shown_at(a, i);
    *s = (struct shown){.key = r->key, .time = r->time, .position = r->position, .version = r->version};
    for (uint32_t slot = 0; slot < JOINER_ACTION_KEYS_MAX; slot++)
        s->group[slot] = s->older[slot] = ATTRIBUTION_NONE;
    key_index_insert(&a->by_key, r->key, i);
    return i;
}

/* It goes when it is in no group any more. */
void attribution_take_out(struct attribution *a, uint32_t group, uint32_t shown)
{
    struct action_group *g = attribution_group_at(a, group);
    struct shown *s = attribution_shown_at(a, shown);
    uint32_t *link = &g->newest, left = 0;
    while (*link != shown)
        link = &attribution_shown_at(a, *link)->older[g->slot];
    *link = s->older[g->slot];
    g->shown--;
    s->group[g->slot] = ATTRIBUTION_NONE;
    for (uint32_t slot = 0; slot < JOINER_ACTION_KEYS_MAX; slot++)
        left += s->group[slot] != ATTRIBUTION_NONE;
    if (left)
        return;
    key_index_remove(&a->by_key, s->key, shown);
    give_item(&a->shown, shown);
}

static uint32_t oldest(const struct attribution *a, const struct action_group *g)
{
    uint32_t i = g->newest;
    while (attribution_shown_at(a, i)->older[g->slot] != ATTRIBUTION_NONE)
        i = attribution_shown_at(a, i)->older[g->slot];
    return i;
}

void attribution_show(struct attribution *a, uint32_t group, const struct joiner_record *r, uint32_t *shown,
                      uint32_t *crowded_out)
{
    struct action_group *g = attribution_group_at(a, group);
    *crowded_out = 0;
    if (g->shown == ATTRIBUTION_SHOWN_MAX) {
        uint32_t last = oldest(a, g);
        const struct shown *s = attribution_shown_at(a, last);
        *crowded_out = 1;
        if (before(r->time, r->position, s->time, s->position))
            return;
        due_insert(&a->forgets, s->time, s->position, group); /* actions may have stayed for its sake */
        attribution_take_out(a, group, last);
    }
    if (*shown == ATTRIBUTION_NONE)
        *shown = new_shown(a, r);
    struct shown *s = attribution_shown_at(a, *shown);
    uint32_t *link = &g->newest;
    while (*link != ATTRIBUTION_NONE) {
        struct shown *other = attribution_shown_at(a, *link);
        if (before(other->time, other->position, r->time, r->position))
            break;
        link = &other->older[g->slot];
    }
    s->group[g->slot] = group;
    s->older[g->slot] = *link;
    *link = *shown;
    g->shown++;
    attribution_log_shown(a, group, r);
    log_candidates(a, group, s);
}

void attribution_decided(struct attribution *a, uint32_t shown)
{
    if (shown == ATTRIBUTION_NONE)
        return;
    struct shown *s = attribution_shown_at(a, shown);
    s->decided = true;
    for (uint32_t slot = 0; slot < JOINER_ACTION_KEYS_MAX; slot++)
        if (s->group[slot] != ATTRIBUTION_NONE)
            due_insert(&a->forgets, s->time, s->position, s->group[slot]);
}

/* ---- actions ---- */

void attribution_link_deed(struct attribution *a, uint32_t group, uint32_t deed)
{
    struct action_group *g = attribution_group_at(a, group);
    struct deed *d = attribution_deed_at(a, deed);
    uint32_t *link = &g->deeds;
    while (*link != ATTRIBUTION_NONE) {
        struct deed *other = attribution_deed_at(a, *link);
        if (before(d->time, d->position, other->time, other->position))
            break;
        link = &other->next;
    }
    d->group = group;
    d->next = *link;
    *link = deed;
    due_insert(&a->forgets, d->time, d->position, group);
}

uint32_t attribution_add_deed(struct attribution *a, uint32_t group, const struct joiner_record *r)
{
    uint32_t i = attribution_new_deed(a);
    *attribution_deed_at(a, i) = (struct deed){.event = r->event,
                                               .time = r->time,
                                               .position = r->position,
                                               .value = r->value,
                                               .version = r->version,
                                               .stream = r->stream,
                                               .withdraw = r->withdraw};
    attribution_link_deed(a, group, i);
    return i;
}

uint32_t attribution_find_deed(const struct attribution *a, uint32_t group, uint8_t stream, uint64_t event,
                               bool withdraw, uint32_t *of_kind)
{
    uint32_t found = ATTRIBUTION_NONE;
    *of_kind = 0;
    for (uint32_t i = attribution_group_at(a, group)->deeds; i != ATTRIBUTION_NONE;
         i = attribution_deed_at(a, i)->next) {
        const struct deed *d = attribution_deed_at(a, i);
        if (d->stream != stream || d->withdraw != withdraw)
            continue;
        ++*of_kind;
        if (d->event == event)
            found = i;
    }
    return found;
}

void attribution_remove_deed(struct attribution *a, uint32_t deed)
{
    uint32_t group = attribution_deed_at(a, deed)->group;
    uint32_t *link = &attribution_group_at(a, group)->deeds;
    while (*link != deed)
        link = &attribution_deed_at(a, *link)->next;
    *link = attribution_deed_at(a, deed)->next;
    attribution_free_deed(a, deed);
    attribution_drop_if_empty(a, group);
}
