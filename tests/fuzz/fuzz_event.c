/* event_scan against protobuf-c: whatever the bytes, both read the same event, and what is written again reads the
 * same. */
#include "proto/event.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_bytes(struct bytes a, ProtobufCBinaryData b, bool has)
{
    return has ? a.data && bytes_equal(a, bytes_of(b.data, b.len)) : !a.data;
}

static bool same_text(struct bytes a, const char *b) { return b ? a.data && bytes_equal(a, bytes_text(b)) : !a.data; }

static bool same_bits(const void *a, const void *b, size_t size) { return memcmp(a, b, size) == 0; }

static void check_against_protobuf_c(const struct event *e, const Tidemill__V1__Event *m)
{
    const uint32_t has = (m->has_time ? EVENT_HAS_TIME : 0u) | (m->has_value ? EVENT_HAS_VALUE : 0u) |
                         (m->has_score ? EVENT_HAS_SCORE : 0u) | (m->has_propensity ? EVENT_HAS_PROPENSITY : 0u) |
                         (m->has_position ? EVENT_HAS_POSITION : 0u) | (m->has_weight ? EVENT_HAS_WEIGHT : 0u) |
                         (m->has_features ? EVENT_HAS_FEATURES : 0u);
    CHECK(e->has == has && e->encoding == (uint32_t)m->encoding);
    CHECK(same_text(e->stream, m->stream) && same_text(e->request, m->request) && same_text(e->doc, m->doc));
    CHECK(same_text(e->user, m->user) && same_text(e->version, m->version) && same_text(e->event, m->event));
    CHECK(same_text(e->representation, m->representation) && same_bytes(e->payload, m->payload, m->has_payload));
    CHECK(same_bytes(e->features, m->features, m->has_features));
    CHECK(!m->has_time || e->time == m->time);
    CHECK(e->withdraw == (m->has_withdraw && m->withdraw));
    CHECK(!m->has_position || e->position == m->position);
    CHECK(!m->has_value || same_bits(&e->value, &m->value, sizeof m->value));
    CHECK(!m->has_score || same_bits(&e->score, &m->score, sizeof m->score));
    CHECK(!m->has_propensity || same_bits(&e->propensity, &m->propensity, sizeof m->propensity));
    CHECK(!m->has_weight || same_bits(&e->weight, &m->weight, sizeof m->weight));
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
    wire_free(m);
    if (rc == TM_OK) {
        rc = event_validate(&e, INT64_C(1600000000000), &field, &err);
        CHECK((rc == TM_OK) == (field[0] == '\0'));
        check_written_again(&e, rc == TM_OK);
    }
    return 0;
}
