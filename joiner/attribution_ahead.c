/* The cache misses of what comes next, side by side. Nothing here changes anything. */
#include "joiner/attribution_state.h"

void attribution_prefetch(const struct attribution *a, const struct joiner_record *r)
{
    const struct joiner_stream *s = &a->config->stream[r->stream];
    if (s->attribute != JOINER_ATTRIBUTE_NONE)
        key_index_prefetch(&a->by_action_key, r->key);
    if (s->kind != JOINER_IMPRESSION)
        return;
    key_index_prefetch(&a->by_key, r->key);
    for (uint32_t slot = 0; slot < a->config->action_keys; slot++)
        key_index_prefetch(&a->by_action_key, r->action_key[slot]);
}

void attribution_prefetch_decisions(const struct attribution *a, const struct hash128 *key, uint32_t keys)
{
    uint32_t shown[JOINER_COMING_MAX];
    for (uint32_t i = 0; i < keys; i++)
        key_index_prefetch(&a->by_key, key[i]);
    for (uint32_t i = 0; i < keys; i++) {
        shown[i] = key_index_guess(&a->by_key, key[i]);
        if (shown[i] != KEY_INDEX_NONE)
            __builtin_prefetch(attribution_shown_at(a, shown[i]));
    }
    for (uint32_t i = 0; i < keys; i++)
        for (uint32_t slot = 0; shown[i] != KEY_INDEX_NONE && slot < a->config->action_keys; slot++) {
            uint32_t group = attribution_shown_at(a, shown[i])->group[slot];
            if (group != ATTRIBUTION_NONE)
                __builtin_prefetch(attribution_group_at(a, group));
        }
}

uint32_t attribution_look_ahead(struct attribution *a, int64_t expiry)
{
    struct due_item item[JOINER_COMING_MAX];
    uint32_t items = expiry == WATERMARK_NONE ? 0 : due_ahead(&a->forgets, expiry, item, JOINER_COMING_MAX);
    for (uint32_t i = 0; i < items; i++)
        __builtin_prefetch(attribution_group_at(a, item[i].number));
    for (uint32_t i = 0; i < items; i++) {
        const struct action_group *g = attribution_group_at(a, item[i].number);
        key_index_prefetch(&a->by_action_key, g->key);
        if (g->newest != ATTRIBUTION_NONE)
            __builtin_prefetch(attribution_shown_at(a, g->newest));
    }
    for (uint32_t i = 0; i < items; i++) {
        const struct action_group *g = attribution_group_at(a, item[i].number);
        if (g->newest != ATTRIBUTION_NONE)
            key_index_prefetch(&a->by_key, attribution_shown_at(a, g->newest)->key);
    }
    return items;
}
