/* event_scan and items_read against protobuf-c: whatever the bytes, both read the same event and the same items, and what
 * is written again reads the same. */
#include "proto/items.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_bytes(struct bytes a, ProtobufCBinaryData b, bool has)
{
    return has ? a.data && bytes_equal(a, bytes_of(b.data, b.len)) : !a.data;
}

static bool same_text(struct bytes a, const char *b) { return b ? a.data && bytes_equal(a, bytes_text(b)) : !a.data; }

static bool same_bits(const void *a, const void *b, size_t size) { return memcmp(a, b, size) == 0; }

/* Of what an event and an item may both have. */
struct place {
    const char *doc;
    bool has_score, has_propensity, has_position;
    float score, propensity;
    int32_t position;
};

static void check_place(const struct event *e, const struct place *p)
{
    CHECK(same_text(e->doc, p->doc));
    CHECK(!(e->has & EVENT_HAS_SCORE) == !p->has_score && !(e->has & EVENT_HAS_POSITION) == !p->has_position);
    CHECK(!(e->has & EVENT_HAS_PROPENSITY) == !p->has_propensity);
    CHECK(!p->has_position || e->position == p->position);
    CHECK(!p->has_score || same_bits(&e->score, &p->score, sizeof p->score));
    CHECK(!p->has_propensity || same_bits(&e->propensity, &p->propensity, sizeof p->propensity));
}

static struct place place_of(const Tidemill__V1__Event *m)
{
    return (struct place){m->doc,   m->has_score,  m->has_propensity, m->has_position,
                          m->score, m->propensity, m->position};
}

static void check_shared(const struct event *e, const Tidemill__V1__Event *m)
{
    const uint32_t has = (m->has_time ? EVENT_HAS_TIME : 0u) | (m->has_value ? EVENT_HAS_VALUE : 0u) |
                         (m->has_weight ? EVENT_HAS_WEIGHT : 0u) | (m->has_features ? EVENT_HAS_FEATURES : 0u);
    const uint32_t of_item = EVENT_HAS_SCORE | EVENT_HAS_PROPENSITY | EVENT_HAS_POSITION | EVENT_HAS_ITEM_FEATURES;
    CHECK((e->has & ~of_item) == has && e->encoding == (uint32_t)m->encoding);
    CHECK(same_text(e->stream, m->stream) && same_text(e->request, m->request));
    CHECK(same_text(e->user, m->user) && same_text(e->version, m->version) && same_text(e->event, m->event));
    CHECK(same_text(e->representation, m->representation) && same_bytes(e->payload, m->payload, m->has_payload));
    CHECK(same_bytes(e->features, m->features, m->has_features));
    CHECK(!m->has_time || e->time == m->time);
    CHECK(e->withdraw == (m->has_withdraw && m->withdraw));
    CHECK(!m->has_value || same_bits(&e->value, &m->value, sizeof m->value));
    CHECK(!m->has_weight || same_bits(&e->weight, &m->weight, sizeof m->weight));
    CHECK(e->items == m->n_items);
}

static void check_item(struct bytes own, struct bytes shared, const Tidemill__V1__Event *m, size_t number)
{
    const Tidemill__V1__Item *i = m->items[number];
    struct event e;
    CHECK(event_scan_parts(own, shared, &e, NULL) == TM_OK && e.items == 1);
    check_place(&e, &(struct place){i->doc, i->has_score, i->has_propensity, i->has_position, i->score, i->propensity,
                                    i->position});
    CHECK(same_bytes(e.item_features, i->features, i->has_features) && e.item_encoding == (uint32_t)i->encoding);
    CHECK(!(e.has & EVENT_HAS_ITEM_FEATURES) == !i->has_features);
    CHECK(same_text(e.request, m->request) && same_bytes(e.features, m->features, m->has_features));
}

static void check_against_protobuf_c(const struct event *e, const Tidemill__V1__Event *m)
{
    struct place p = place_of(m);
    check_shared(e, m);
    if (e->items != 1) /* else the item's have taken their place */
        check_place(e, &p);
}

static void check_items(struct bytes wire, const Tidemill__V1__Event *m)
{
    static struct items items;
    struct tm_error err = {0};
    const char *field;
    if (items_read(wire, INT64_C(1600000000000), &items, &field, &err) != TM_OK) {
        CHECK(field && err.message[0]);
        return;
    }
    CHECK(!field[0] && items.count <= ITEMS_MAX && items.count * items.shared.size <= ITEMS_SPLIT_MAX);
    CHECK(!m || items.count == m->n_items);
    for (uint32_t i = 0; m && i < items.count; i++)
        check_item(items.item[i].own, items.shared, m, i);
}

/* The source may hold a bad doc that a later one replaced; what we write holds only what counts. */
static void check_written_again(const struct event *e, bool valid)
{
    CLEANUP(buffer_close) struct buffer once = {0}, twice = {0};
    struct event again;
    ProtobufCMessage *m;
    event_encode(e, &once);
    m = wire_unpack(&tidemill__v1__event__descriptor, buffer_view(&once), EVENT_SIZE_MAX, NULL);
    CHECK(m || !valid);
    wire_free(m);
    CHECK(event_scan(buffer_view(&once), &again, NULL) == TM_OK);
    CHECK(again.has == e->has && again.encoding == e->encoding && bytes_equal(again.doc, e->doc));
    event_encode(&again, &twice);
    CHECK(bytes_equal(buffer_view(&once), buffer_view(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes wire = bytes_of(data, size);
    struct event e;
    struct tm_error err;
    const char *field;
    enum tm_code rc = event_scan(wire, &e, &err);
    ProtobufCMessage *m = wire_unpack(&tidemill__v1__event__descriptor, wire, EVENT_SIZE_MAX, NULL);
    CHECK(rc == TM_OK || (!m && err.message[0]));
    if (m)
        check_against_protobuf_c(&e, (const Tidemill__V1__Event *)(const void *)m);
    if (rc == TM_OK && e.items)
        check_items(wire, (const Tidemill__V1__Event *)(const void *)m);
    wire_free(m);
    if (rc == TM_OK && e.items <= 1) {
        rc = event_validate(&e, INT64_C(1600000000000), &field, &err);
        CHECK((rc == TM_OK) == (field[0] == '\0'));
        check_written_again(&e, rc == TM_OK);
    }
    return 0;
}
