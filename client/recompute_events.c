#include "client/recompute_events.h"

#include <inttypes.h>
#include <stdlib.h>

#include "client/sample_match.h"

enum { FIRST_CAPACITY = 1024, PANES = 8, NEARBY_MIN_MS = 60000 };

struct user_panes {
    int64_t newest;
    struct {
        int64_t number;
        uint32_t events;
    } pane[PANES]; /* by number modulo PANES */
};

void recompute_events_open(struct recompute_events *e, const struct recompute_rules *rules, int64_t from, int64_t to,
                           uint64_t memory_max)
{
    *e = (struct recompute_events){.rules = rules, .from = from, .to = to, .memory_max = memory_max};
}

void recompute_events_close(struct recompute_events *e)
{
    names_close(&e->names);
    items_close(&e->items);
    buffer_close(&e->joined);
    free(e->event);
    free(e->panes);
    *e = (struct recompute_events){0};
}

/* ---- what the door says ---- */

static enum tm_code find_stream(const struct recompute_rules *r, struct bytes name, uint8_t *out, struct tm_error *why)
{
    for (*out = 0; *out < r->streams; ++*out)
        if (bytes_equal(name, bytes_text(r->stream[*out].name)))
            return TM_OK;
    return tm_error_set(why, TM_INVALID_ARGUMENT, "stream: \"%.*s\" is none of the configuration", (int)name.size,
                        (const char *)name.data);
}

static enum tm_code missing(const char *field, struct tm_error *why)
{
    return tm_error_set(why, TM_INVALID_ARGUMENT, "%s: missing; its stream needs it", field);
}

static enum tm_code judge(const struct rules_stream *s, const struct event *e, bool item, struct tm_error *why)
{
    if (item && (s->kind == KIND_ACTION || s->kind == KIND_TABLE))
        return tm_error_set(why, TM_INVALID_ARGUMENT, "items: %s takes one event for each document", s->name);
    if ((s->key & KEY_OF_REQUEST) && !e->request.data)
        return missing("request", why);
    if ((s->key & KEY_OF_USER) && !e->user.data)
        return missing("user", why);
    if (s->kind != KIND_TABLE && !e->doc.data)
        return missing("doc", why);
    if (s->kind == KIND_IMPRESSION && !e->version.data)
        return missing("version", why);
    if (e->withdraw && s->kind != KIND_TABLE && (s->kind != KIND_ACTION || !e->event.data))
        return tm_error_set(why, TM_INVALID_ARGUMENT, "withdraw: expected an action, with its event id");
    return TM_OK;
}

/* ---- users ---- */

/* Count the event, and say whether more than events_max are in its window. */
static bool is_robot(struct recompute_events *e, struct bytes id, int64_t time)
{
    uint32_t user = names_number(&e->names, id), events = 0;
    int64_t length = e->rules->per / PANES > 0 ? e->rules->per / PANES : 1, number = time / length;
    if (user >= e->panes_capacity) {
        size_t capacity = 2 * (size_t)user;
        e->panes = mem_grow(e->panes, capacity, sizeof *e->panes);
        memset(e->panes + e->panes_capacity, 0, (capacity - e->panes_capacity) * sizeof *e->panes);
        e->panes_capacity = capacity;
    }
    struct user_panes *u = &e->panes[user];
    u->newest = number > u->newest ? number : u->newest;
    if (number <= u->newest - PANES)
        return false;
    if (u->pane[number % PANES].number != number)
        u->pane[number % PANES].events = 0;
    u->pane[number % PANES].number = number;
    u->pane[number % PANES].events++;
    for (int i = 0; i < PANES; i++)
        if (u->pane[i].number > u->newest - PANES && u->pane[i].number <= number)
            events += u->pane[i].events;
    return events > e->rules->events_max;
}

static bool is_welcome(struct recompute_events *e, const struct event *event)
{
    const struct recompute_rules *r = e->rules;
    if (!event->user.data || rules_users_have(&r->allowed, event->user))
        return true;
    if (rules_users_have(&r->blocked, event->user)) {
        e->blocked++;
        return false;
    }
    bool robot = r->events_max > 0 && is_robot(e, event->user, event->time) && !event->withdraw;
    e->robots += robot;
    return !robot;
}

/* ---- filters ---- */

struct numbers {
    double of[FIELD_OF_PROPENSITY + 1];
    bool has[FIELD_OF_PROPENSITY + 1];
};

static struct numbers numbers_of(const struct event *e)
{
    return (struct numbers){.of = {e->value, (double)e->weight, e->position, (double)e->score, (double)e->propensity},
                            .has = {e->has & EVENT_HAS_VALUE, e->has & EVENT_HAS_WEIGHT, e->has & EVENT_HAS_POSITION,
                                    e->has & EVENT_HAS_SCORE, e->has & EVENT_HAS_PROPENSITY}};
}

/* False: it is excluded. */
static bool pass_filters(const struct recompute_rules *r, uint8_t stream, struct numbers *n)
{
    for (uint32_t i = 0; i < r->filters; i++) {
        const struct rules_filter *f = &r->filter[i];
        double *v = &n->of[f->field];
        bool outside = n->has[f->field] && (*v < f->min || *v > f->max);
        if (f->stream != stream)
            continue;
        if (outside && f->effect == EFFECT_DROP)
            return false;
        if (outside && f->effect == EFFECT_CLAMP)
            *v = *v < f->min ? f->min : f->max;
        if (!n->has[f->field] && f->effect == EFFECT_DEFAULT) {
            *v = f->to;
            n->has[f->field] = true;
        }
    }
    return true;
}

/* With which an impression is kept when it is a negative: by the first rule for its place. */
static double keep_of(const struct recompute_rules *r, const struct numbers *n)
{
    for (uint32_t i = 0; i < r->samplings; i++) {
        const struct rules_sampling *s = &r->sampling[i];
        double place = n->of[FIELD_OF_POSITION];
        if (n->has[FIELD_OF_POSITION] ? place >= (double)s->from && place <= (double)s->to : s->everywhere)
            return s->keep;
    }
    return 1;
}

/* ---- what is kept ---- */

int64_t recompute_reach(const struct recompute_rules *r)
{
    int64_t reach = r->allowed_lateness;
    for (uint32_t i = 0; i < r->streams; i++)
        if (r->stream[i].kind == KIND_ACTION && r->stream[i].within > reach)
            reach = r->stream[i].within;
    return reach;
}

int64_t recompute_nearby(const struct recompute_rules *r)
{
    return r->window > NEARBY_MIN_MS ? r->window : NEARBY_MIN_MS;
}

static bool is_near(const struct recompute_events *e, int64_t time)
{
    int64_t reach = recompute_reach(e->rules), nearby = recompute_nearby(e->rules);
    reach = nearby > reach ? nearby : reach;
    return (e->from == INT64_MIN || time >= e->from - reach) && (e->to == INT64_MAX || time <= e->to + reach);
}

static uint64_t memory_with(const struct recompute_events *e, size_t capacity)
{
    return capacity * sizeof *e->event + names_memory(&e->names) + e->panes_capacity * sizeof *e->panes;
}

uint64_t recompute_events_memory(const struct recompute_events *e) { return memory_with(e, e->capacity); }

static enum tm_code make_room(struct recompute_events *e, struct tm_error *err)
{
    size_t capacity = e->count < e->capacity ? e->capacity : e->capacity ? 2 * e->capacity : FIRST_CAPACITY;
    if (memory_with(e, capacity) > e->memory_max)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                            "more than %zu events need more than %" PRIu64
                            " MiB; allow more with --memory, or compare a part of the time, with --from and --to",
                            e->count, e->memory_max >> 20);
    if (capacity > e->capacity)
        e->event = mem_grow(e->event, capacity, sizeof *e->event);
    e->capacity = capacity;
    return TM_OK;
}

static void note_features(struct recompute_events *e, struct recompute_event *k, const struct event *event)
{
    uint32_t encoding;
    struct bytes features = items_features(event, &encoding, &e->joined);
    k->features = match_features(features, encoding);
    k->has_features = features.size > 0;
}

static enum tm_code keep(struct recompute_events *e, uint8_t stream, const struct event *event, const struct numbers *n,
                         struct tm_error *err)
{
    bool impression = e->rules->stream[stream].kind == KIND_IMPRESSION;
    struct names *names = &e->names;
    if (make_room(e, err) != TM_OK)
        return err->code;
    struct recompute_event *k = &e->event[e->count++];
    *k = (struct recompute_event){
        .time = event->time,
        .order = e->came,
        .version = names_number(names, event->version),
        .request = names_number(names, event->request),
        .user = names_number(names, event->user),
        .doc = names_number(names, event->doc),
        .event = names_number(names, event->event),
        .number = impression ? n->of[FIELD_OF_WEIGHT] : n->of[FIELD_OF_VALUE],
        .sent = event->value,
        .keep = impression ? keep_of(e->rules, n) : 1,
        .stream = stream,
        .withdraw = event->withdraw,
    };
    if (e->rules->stream[stream].kind != KIND_ACTION)
        note_features(e, k, event);
    e->features |= impression && k->has_features;
    return TM_OK;
}

static enum tm_code take_event(struct recompute_events *e, uint8_t stream, const struct event *event,
                               struct tm_error *err)
{
    enum rules_kind kind = e->rules->stream[stream].kind;
    struct numbers n = numbers_of(event);
    e->came++;
    if (kind == KIND_TABLE || !is_welcome(e, event))
        return TM_OK;
    if (!event->withdraw && !pass_filters(e->rules, stream, &n)) {
        e->filtered++;
        return TM_OK;
    }
    return is_near(e, event->time) ? keep(e, stream, event, &n, err) : TM_OK;
}

/* ---- records ---- */

static enum tm_code take_items(struct recompute_events *e, struct bytes wire, struct tm_error *why,
                               struct tm_error *err)
{
    const char *field;
    uint8_t stream;
    struct event event;
    if (items_read(wire, INT64_MAX / 2, &e->items, &field, why) != TM_OK ||
        find_stream(e->rules, e->items.event.stream, &stream, why) != TM_OK) {
        e->refused++;
        return TM_OK;
    }
    enum tm_code rc = TM_OK;
    for (uint32_t i = 0; rc == TM_OK && i < e->items.count; i++) {
        rc = event_scan_parts(e->items.item[i].own, e->items.shared, &event, err);
        if (rc != TM_OK)
            return rc;
        if (judge(&e->rules->stream[stream], &event, true, why) != TM_OK) { /* of what all of them share */
            e->refused++;
            return TM_OK;
        }
        rc = take_event(e, stream, &event, err);
    }
    return rc;
}

enum tm_code recompute_events_take(struct recompute_events *e, struct bytes wire, struct tm_error *refused,
                                   struct tm_error *err)
{
    struct event event;
    uint8_t stream;
    *refused = (struct tm_error){0};
    if (event_scan(wire, &event, err) != TM_OK)
        return err->code;
    if (event.items > 0)
        return take_items(e, wire, refused, err);
    if (find_stream(e->rules, event.stream, &stream, refused) != TM_OK ||
        judge(&e->rules->stream[stream], &event, false, refused) != TM_OK) {
        e->refused++;
        return TM_OK;
    }
    return take_event(e, stream, &event, err);
}
