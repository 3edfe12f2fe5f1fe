/* Records of many documents: events with one number that are sent together, what they share, and what is each item's
 * own. */
#include "tests/simulation/world_author.h"

#include <math.h>

/* The last values may come with each item instead. */
static void split_features(struct author *a, struct world_event *e)
{
    struct world_features *f = &e->features;
    if (!f->there || f->sparse || f->huge || f->values == 0 || !chance(a, 60))
        return;
    e->own = *f;
    e->own.values = (uint8_t)between(a, 1, f->values);
    e->own.sparse = chance(a, 10);
    f->values = (uint8_t)(f->values - e->own.values);
    f->there = f->values > 0 || chance(a, 50);
}

/* One document more of the same record; a record has it once. */
static void add_item(struct author *a, const struct world_event *like, uint32_t doc, uint64_t *docs)
{
    if (*docs >> doc & 1)
        return;
    *docs |= UINT64_C(1) << doc;
    struct world_event *e = author_next_event(a);
    *e = *like;
    e->doc = (uint8_t)doc;
}

/* A record again as it was, but for one item and perhaps one that is missing: whoever retries may have changed it. */
static void copy_record(struct author *a, uint32_t first)
{
    struct world *w = a->w;
    uint32_t count = 0, record = w->event[first].record;
    uint64_t docs = 0;
    while (first + count < w->events && w->event[first + count].record == record)
        count++;
    uint32_t changed = below(a, count), missing = below(a, 2 * count);
    w->records++;
    for (uint32_t i = 0; i < count; i++) {
        struct world_event e = w->event[first + i];
        e.record = w->records;
        if (i == changed)
            e.own.luck = (uint32_t)random_next(&a->r);
        if (i != missing || count == 1)
            add_item(a, &e, i == changed && chance(a, 50) ? below(a, w->docs) : e.doc, &docs);
    }
}

/* What was made last, if it is no action, may be the first of a record. */
void author_make_record(struct author *a, const struct world_lane *lane)
{
    struct world *w = a->w;
    struct world_event like = w->event[w->events - 1];
    uint64_t docs = UINT64_C(1) << like.doc;
    uint32_t earlier = below(a, w->events);
    enum joiner_stream_kind kind = w->join.join.stream[like.stream].kind;
    if (like.record || kind == JOINER_ACTION || kind == JOINER_TABLE || !chance(a, a->records))
        return;
    split_features(a, &like);
    like.record = ++w->records;
    w->event[w->events - 1] = like;
    for (uint32_t more = below(a, 2 * w->docs); more > 0; more--) {
        like.place = (uint8_t)below(a, 6);
        like.score = chance(a, 50) ? 0.01f * (float)below(a, 110) : NAN;
        like.own.luck = (uint32_t)random_next(&a->r);
        add_item(a, &like, below(a, w->docs), &docs);
    }
    if (w->event[earlier].record && lane->streams >> w->event[earlier].stream & 1 && chance(a, 50))
        copy_record(a, earlier);
}
