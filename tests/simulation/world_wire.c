/* The events of a world as producers send them. */
#include "tests/simulation/world.h"

#include <math.h>
#include <stdio.h>

#include "proto/event.h"
#include "tests/simulation/encoders.h"

const char *world_doc(uint32_t doc)
{
    static const char *const docs[WORLD_DOCS_MAX] = {"d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"};
    return docs[doc];
}

const char *world_representation(uint32_t representation)
{
    static const char *const names[] = {"", "x", "y"};
    return representation < ARRAY_LEN(names) ? names[representation]
                                             : world_encoder_name(representation - (uint32_t)ARRAY_LEN(names));
}

/* As a producer packs them: the indices of a sparse vector, then the values. */
static void pack_features(const struct world_features *f, struct buffer *packed)
{
    for (uint32_t i = 0; f->sparse && i < f->values; i++)
        buffer_put_u32(packed, 2 * i);
    for (uint32_t i = 0; i < f->values; i++) {
        float value = f->huge && i == 0 ? 1e7f : (float)((int)(f->luck >> 6 * i & 63) - 32) / 16;
        buffer_put(packed, &value, sizeof value);
    }
}

static void encode_shared_features(const struct world_event *e, struct event *event, struct buffer *packed)
{
    if (e->features.there) {
        pack_features(&e->features, packed);
        event->features = buffer_view(packed);
        event->encoding = e->features.sparse;
        event->has |= EVENT_HAS_FEATURES;
    }
    if ((e->features.there || e->own.there) && e->features.representation)
        event->representation = bytes_text(world_representation(e->features.representation));
}

/* What a document has of its own, in an item or not. */
static void set_place(const struct world_event *e, struct event *event)
{
    event->doc = bytes_text(world_doc(e->doc));
    if (e->place) {
        event->position = e->place - 1;
        event->has |= EVENT_HAS_POSITION;
    }
    if (!isnan(e->score)) {
        event->score = e->score;
        event->has |= EVENT_HAS_SCORE;
    }
}

static void encode(const struct world_event *e, bool alone, uint64_t tag, struct buffer *out)
{
    CLEANUP(buffer_close) struct buffer features = {0};
    char request[8], user[8], id[8];
    snprintf(request, sizeof request, "r%u", e->request);
    snprintf(user, sizeof user, "u%u", e->user);
    snprintf(id, sizeof id, "e%u", e->id);
    struct event event = {.stream = bytes_text("s"), /* it goes by number here */
                          .request = bytes_text(request),
                          .user = bytes_text(user),
                          .time = e->time,
                          .value = e->value,
                          .withdraw = e->withdraw,
                          .weight = e->weight,
                          .payload = bytes_of(&tag, sizeof tag),
                          .has = EVENT_HAS_VALUE | EVENT_HAS_WEIGHT | (e->stamped ? 0 : EVENT_HAS_TIME)};
    if (alone)
        set_place(e, &event);
    if (e->id)
        event.event = bytes_text(id);
    encode_shared_features(e, &event, &features);
    event_encode(&event, out);
}

void world_encode(const struct world_event *e, uint64_t tag, struct buffer *out) { encode(e, true, tag, out); }
void world_encode_shared(const struct world_event *e, uint64_t tag, struct buffer *out) { encode(e, false, tag, out); }

void world_encode_item(const struct world_event *e, struct buffer *out)
{
    CLEANUP(buffer_close) struct buffer features = {0};
    struct event event = {.items = 1};
    set_place(e, &event);
    if (e->own.there) {
        pack_features(&e->own, &features);
        event.item_features = buffer_view(&features);
        event.item_encoding = e->own.sparse;
        event.has |= EVENT_HAS_ITEM_FEATURES;
    }
    event_encode(&event, out);
}
