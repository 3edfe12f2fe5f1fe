/* What a world has of what can be: so that who reads the summary sees what was covered. */
#include "tests/simulation/world.h"

#include "learner/embedding.h"

static bool any_act(const struct world *w, enum act_kind kind)
{
    for (uint32_t i = 0; i < w->acts; i++)
        if (w->act[i].kind == kind && !w->act[i].dropped)
            return true;
    return false;
}

static bool any_withdrawal(const struct world *w)
{
    for (uint32_t i = 0; i < w->events; i++)
        if (w->event[i].withdraw && !w->event_dropped[i])
            return true;
    return false;
}

static bool any_record(const struct world *w)
{
    for (uint32_t i = 0; i < w->events; i++)
        if (w->event[i].record && !w->event_dropped[i])
            return true;
    return false;
}

static bool any_own_key(const struct world *w)
{
    for (uint32_t i = 0; i < w->join.join.streams; i++)
        if (w->join.join.stream[i].attribute != JOINER_ATTRIBUTE_NONE)
            return true;
    return false;
}

static bool any_over_features(const struct world *w)
{
    for (uint32_t i = 0; i < w->versions; i++)
        if (model_uses_features(w->version[i].model))
            return true;
    return false;
}

static bool any_table(const struct world *w)
{
    for (uint32_t i = 0; i < w->join.join.streams; i++)
        if (w->join.join.stream[i].kind == JOINER_TABLE)
            return true;
    return false;
}

static bool any_version(const struct world *w, bool (*is)(const struct version *v))
{
    for (uint32_t i = 0; i < w->versions; i++)
        if (is(&w->version[i]))
            return true;
    return false;
}

static bool is_embedding(const struct version *v) { return v->model == &model_embedding; }
static bool has_batches(const struct version *v) { return v->batch.samples > 1; }
static bool is_by_event_time(const struct version *v) { return v->order == ORDER_EVENT_TIME; }
static bool is_validated(const struct version *v) { return v->validate; }

static bool any_waiting_embedding(const struct world *w)
{
    for (uint32_t i = 0; i < w->versions; i++)
        if (w->version[i].model == &model_embedding && version_waits(&w->version[i]))
            return true;
    return false;
}

static bool any_covariance(const struct world *w)
{
    for (uint32_t i = 0; i < w->versions; i++)
        if (w->version[i].config.prior_covariance)
            return true;
    return false;
}

static bool any_shadow(const struct world *w)
{
    for (uint32_t i = 0; i < w->versions; i++)
        for (uint32_t k = 0; k < w->version[i].samples_from_count; k++)
            if (w->version[i].samples_from[k] != w->version[i].id)
                return true;
    return false;
}

static bool any_at_once(const struct world *w)
{
    for (uint32_t i = 0; i < w->stages; i++)
        if (w->stage[i].at_once)
            return true;
    return false;
}

bool world_has(const struct world *w, enum world_trait trait)
{
    const struct joiner_rules *first = &w->rules[0];
    switch (trait) {
    case WORLD_ATTRIBUTION: return any_own_key(w);
    case WORLD_WITHDRAWALS: return any_withdrawal(w);
    case WORLD_FILTERS: return first->filters.count > 0;
    case WORLD_SAMPLE_FILTERS: return w->join.join.label_filters.count > 0;
    case WORLD_SAMPLING: return first->sampling.rules > 0;
    case WORLD_ROBOTS: return w->sequencing.user_events > 0;
    case WORLD_BOUND: return w->limits[0].waiting_bytes > 0;
    case WORLD_FEATURES: return any_over_features(w);
    case WORLD_EMBEDDING_BATCHES: return any_waiting_embedding(w);
    case WORLD_COVARIANCES: return any_covariance(w);
    case WORLD_EMBEDDINGS: return any_version(w, is_embedding);
    case WORLD_TABLES: return any_table(w);
    case WORLD_BATCHES: return any_version(w, has_batches);
    case WORLD_EVENT_TIME: return any_version(w, is_by_event_time);
    case WORLD_NEW_ENCODERS: return any_act(w, ACT_ENCODER);
    case WORLD_VALIDATION: return any_version(w, is_validated);
    case WORLD_SHADOWS: return any_shadow(w);
    case WORLD_PAUSES: return any_act(w, ACT_PAUSE);
    case WORLD_STALLED: return w->stalled != 0;
    case WORLD_NEW_INSTANCES: return any_act(w, ACT_RESTART);
    case WORLD_ITEMS: return any_record(w);
    case WORLD_RESETS: return any_act(w, ACT_RESET);
    case WORLD_PRIORS: return any_act(w, ACT_PRIOR);
    case WORLD_JOINS: return w->stages > 1 && any_act(w, ACT_JOIN);
    case WORLD_AT_ONCE: return any_at_once(w);
    case WORLD_CRASHES: return any_act(w, ACT_CRASH);
    case WORLD_TRAITS: break;
    }
    CHECK(!"a trait of the table");
}

const char *world_trait_name(enum world_trait trait)
{
    static const char *const names[] = {
#define T(name, text) text,
        WORLD_TRAIT_TABLE(T)
#undef T
    };
    return names[trait];
}
