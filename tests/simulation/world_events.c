/* The events of a world: they follow what was shown, around its horizons, or copy and take back earlier ones. */
#include "tests/simulation/world_author.h"

#include <math.h>

/* One of the latest impressions; NULL when luck finds none. */
static const struct world_event *some_impression(struct author *a)
{
    const struct world *w = a->w;
    for (int tries = 0; tries < 8 && w->events; tries++) {
        const struct world_event *e = &w->event[w->events - 1 - below(a, w->events < 60 ? w->events : 60)];
        if (w->join.join.stream[e->stream].kind == JOINER_IMPRESSION)
            return e;
    }
    return NULL;
}

int64_t author_some_impression_time(struct author *a)
{
    const struct world_event *e = some_impression(a);
    return e ? e->time : a->now;
}

int64_t author_some_time(struct author *a)
{
    const struct joiner_config *c = &a->w->join.join;
    const int64_t marks[] = {0,       c->window_ms, c->allowed_lateness_ms, c->stream[below(a, c->streams)].within_ms,
                             a->unit, 60000};
    int64_t edge = marks[below(a, ARRAY_LEN(marks))] + (int64_t)below(a, 3) - 1;
    uint32_t dice = below(a, 100);
    if (a->mad && dice < 3)
        return a->now + WORLD_DAY_MS;
    if (a->orderly && dice < 95)
        return a->now;
    if (dice < 45)
        return a->now + a->unit * ((int64_t)below(a, 5) - 2);
    if (dice < 75)
        return author_some_impression_time(a) + edge;
    if (dice < 90)
        return a->now - edge;
    return a->now + a->unit * ((int64_t)below(a, 31) - 20);
}

static void let_time_pass(struct author *a)
{
    uint32_t dice = below(a, 100);
    if (dice < 40)
        a->now += a->unit;
    else if (dice < 46)
        a->now += a->unit * between(a, 2, 10);
    else if (dice < 48)
        a->now += 61000;
}

/* The same as an earlier one, sent again, perhaps by somebody else or with another time. */
static bool copy_event(struct author *a, const struct world_lane *lane, struct world_event *e)
{
    const struct world *w = a->w;
    if (!w->events || !chance(a, 8))
        return false;
    *e = w->event[below(a, w->events)];
    if (e->record)
        e->record = ++a->w->records;
    if (chance(a, 30))
        e->time = author_some_time(a);
    return lane->streams >> e->stream & 1;
}

/* It takes back one of the latest actions, or says it once more, or comes before it. */
static bool withdraw_event(struct author *a, const struct world_lane *lane, struct world_event *e)
{
    const struct world *w = a->w;
    if (!w->events || !chance(a, 10))
        return false;
    *e = w->event[w->events - 1 - below(a, w->events < 30 ? w->events : 30)];
    if (e->id == 0 || w->join.join.stream[e->stream].kind != JOINER_ACTION || !(lane->streams >> e->stream & 1))
        return false;
    e->withdraw = chance(a, 85) ? !e->withdraw : e->withdraw;
    if (chance(a, 70))
        e->time += a->unit * ((int64_t)below(a, 12) - 3);
    return true;
}

static double some_value(struct author *a)
{
    return a->fractions ? 0.1 * (double)below(a, 60) - 1 : 0.25 * (double)below(a, 10) - 0.25;
}

/* An action or features of something that was shown, around its horizons. */
static void follow(struct author *a, struct world_event *e)
{
    const struct joiner_config *c = &a->w->join.join;
    const struct world_event *shown = some_impression(a);
    const int64_t edges[] = {0, c->window_ms, c->stream[e->stream].within_ms, c->window_ms / 2,
                             c->allowed_lateness_ms / 2};
    if (!shown)
        return;
    e->request = shown->request;
    e->user = shown->user;
    e->doc = shown->doc;
    if (e->version)
        e->version = shown->version;
    e->time = shown->time + edges[below(a, ARRAY_LEN(edges))] + (chance(a, 50) ? 0 : (int64_t)below(a, 3) - 1);
    if (c->stream[e->stream].kind == JOINER_TABLE && chance(a, 80)) /* it may count, just so or for a while */
        e->time = shown->time + (chance(a, 50) ? (int64_t)below(a, 3) - 1 : -a->unit * between(a, 1, 20));
    if (a->tardy && c->stream[e->stream].kind == JOINER_FEATURES)
        e->time = shown->time + (int64_t)below(a, 3) - 1;
    if (a->orderly && chance(a, 80) && c->stream[e->stream].kind == JOINER_ACTION) /* it may well correct */
        e->time = shown->time + (int64_t)below(a, (uint32_t)c->stream[e->stream].within_ms + 1);
}

static void add_features(struct author *a, struct world_event *e)
{
    const struct world *w = a->w;
    enum joiner_stream_kind kind = w->join.join.stream[e->stream].kind;
    uint32_t there = kind == JOINER_ACTION ? 0 : kind == JOINER_IMPRESSION ? w->own_features : 95;
    if (w->own_features == 100 || !chance(a, there))
        return;
    uint32_t values = kind == JOINER_TABLE ? 1 : WORLD_DIMENSION;
    if (kind == JOINER_FEATURES)
        values = world_values_of(w, e->stream);
    e->features = (struct world_features){
        .there = true,
        .sparse = chance(a, 10),
        .huge = chance(a, 3),
        .values = (uint8_t)(chance(a, 93) ? values : below(a, WORLD_VALUES_MAX + 1)),
        .representation = (uint8_t)(chance(a, a->tardy ? 95 : 60) ? 1 : below(a, 5)),
        .luck = (uint32_t)random_next(&a->r),
    };
}

static void fill_event(struct author *a, const struct world_lane *lane, struct world_event *e)
{
    const struct world *w = a->w;
    uint32_t stream = below(a, w->join.join.streams);
    bool crowded = chance(a, a->crowd);
    while (!(lane->streams >> stream & 1) ||
           (crowded && chance(a, 90) && w->join.join.stream[stream].kind != JOINER_ACTION))
        stream = (stream + 1 + below(a, 2)) % w->join.join.streams;
    *e = (struct world_event){
        .stream = (uint8_t)stream, .time = author_some_time(a), .value = some_value(a), .weight = 1};
    e->request = crowded ? 0 : (uint8_t)((w->events / 8 + below(a, 6)) % w->requests);
    e->user = crowded ? 0 : (uint8_t)below(a, w->users);
    e->doc = crowded ? 0 : (uint8_t)below(a, w->docs);
    e->place = (uint8_t)below(a, 6);
    e->id = chance(a, 75) ? (uint16_t)(w->events + 1) : chance(a, 30) ? (uint16_t)between(a, 1, w->events + 1) : 0;
    if (chance(a, 20))
        e->weight = a->fractions ? 0.1f * (float)below(a, 30) : (float)below(a, 4);
    if (chance(a, 2))
        e->weight = 1 << 21; /* more than is judged */
    if (e->id == 0)
        e->value = below(a, 3);
    if (w->join.join.stream[stream].kind == JOINER_IMPRESSION || chance(a, 30))
        e->version = (uint8_t)(chance(a, 60) ? 1 : between(a, 1, 200));
    bool late = a->tardy && w->join.join.stream[stream].kind == JOINER_FEATURES;
    if (w->join.join.stream[stream].kind != JOINER_IMPRESSION && !crowded && (late || chance(a, 60)))
        follow(a, e);
    e->score = chance(a, 50) ? 0.01f * (float)below(a, 110) : NAN; /* some are no probabilities */
    if (w->join.join.stream[stream].kind == JOINER_TABLE)
        e->withdraw = chance(a, 8);
    add_features(a, e);
}

struct world_event *author_next_event(struct author *a)
{
    struct world *w = a->w;
    if (w->events == a->event_capacity) {
        a->event_capacity = a->event_capacity ? 2 * a->event_capacity : 64;
        w->event = mem_grow(w->event, a->event_capacity, sizeof *w->event);
    }
    return &w->event[w->events++];
}

void author_make_event(struct author *a, const struct world_lane *lane)
{
    struct world_event e;
    let_time_pass(a);
    if (!withdraw_event(a, lane, &e) && !copy_event(a, lane, &e))
        fill_event(a, lane, &e);
    e.stamped = false; /* what it is like may have been */
    *author_next_event(a) = e;
    author_make_record(a, lane);
}
