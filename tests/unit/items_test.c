/* Tests of proto/items.h: a record is cut into events that say what it says, or one bad item refuses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/items.h"
#include "proto/wire.h"

#define NOW INT64_C(1700000000000)

static const float shared_values[] = {1, 2}, own_values[] = {3};

static struct event request(void)
{
    return (struct event){.stream = bytes_text("s"),
                          .request = bytes_text("r"),
                          .time = NOW,
                          .features = bytes_of(shared_values, sizeof shared_values),
                          .has = EVENT_HAS_TIME | EVENT_HAS_FEATURES};
}

static struct event item(const char *doc, float propensity)
{
    return (struct event){.items = 1,
                          .doc = bytes_text(doc),
                          .propensity = propensity,
                          .item_features = bytes_of(own_values, sizeof own_values),
                          .has = EVENT_HAS_PROPENSITY | EVENT_HAS_ITEM_FEATURES};
}

static void put_items(struct buffer *wire, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        char doc[16];
        snprintf(doc, sizeof doc, "d%u", i);
        struct event e = item(doc, 0.5F);
        event_encode(&e, wire);
    }
}

static void expect_cut(const struct buffer *wire, struct items *items, uint32_t count)
{
    struct tm_error err = {0};
    const char *field;
    enum tm_code rc = items_read(buffer_view(wire), NOW, items, &field, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(rc, TM_OK);
    assert_string_equal(field, "");
    assert_int_equal(items->count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct event e;
        char doc[16];
        snprintf(doc, sizeof doc, "d%u", i);
        assert_int_equal(event_scan_parts(items->item[i].own, items->shared, &e, &err), TM_OK);
        assert_true(bytes_equal(e.doc, bytes_text(doc)) && bytes_equal(items->item[i].doc, e.doc));
        assert_true(bytes_equal(e.request, bytes_text("r")) && e.time == NOW && e.propensity == 0.5F);
        assert_true(bytes_equal(e.features, bytes_of(shared_values, sizeof shared_values)));
        assert_true(bytes_equal(e.item_features, bytes_of(own_values, sizeof own_values)));
    }
}

static void parts_make_the_event(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer wire = {0};
    CLEANUP(items_close) struct items items = {0};
    struct event e = request();
    event_encode(&e, &wire);
    size_t shared = wire.size;
    put_items(&wire, 0, 3);
    expect_cut(&wire, &items, 3);
    assert_ptr_equal(items.shared.data, wire.data); /* nothing was copied */
    assert_int_equal(items.shared.size, shared);
    wire.size = shared;
    put_items(&wire, 0, ITEMS_MAX);
    expect_cut(&wire, &items, ITEMS_MAX);
}

/* Whoever writes the fields in another order is understood, too. */
static void what_stands_behind_items_is_shared(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer wire = {0};
    CLEANUP(items_close) struct items items = {0};
    struct event e = request();
    put_items(&wire, 0, 1);
    wire_put_bytes(&wire, 2, bytes_text("another request"));
    put_items(&wire, 1, 2);
    event_encode(&e, &wire);
    put_items(&wire, 2, 3);
    expect_cut(&wire, &items, 3);
}

static void both_parts_in_one_are_the_same_event(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer wire = {0}, one = {0}, again = {0};
    CLEANUP(items_close) struct items items = {0};
    struct event whole = request(), parts, e;
    event_encode(&whole, &wire);
    put_items(&wire, 0, 1);
    expect_cut(&wire, &items, 1);
    buffer_put(&one, items.item[0].own.data, items.item[0].own.size);
    buffer_put(&one, items.shared.data, items.shared.size);
    assert_int_equal(event_scan_parts(items.item[0].own, items.shared, &parts, NULL), TM_OK);
    assert_int_equal(event_scan(buffer_view(&one), &e, NULL), TM_OK);
    assert_true(e.has == parts.has && bytes_equal(e.doc, parts.doc) && bytes_equal(e.features, parts.features));
    assert_true(bytes_equal(e.item_features, parts.item_features) && e.items == 1);
    event_encode(&e, &again);
    assert_true(bytes_equal(buffer_view(&again), buffer_view(&wire)));
}

static void expect_refused(const struct buffer *wire, const char *field, const char *message)
{
    CLEANUP(items_close) struct items items = {0};
    struct tm_error err = {0};
    const char *named;
    assert_int_equal(items_read(buffer_view(wire), NOW, &items, &named, &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, message);
    assert_string_equal(named, field);
}

static void one_bad_item_refuses_the_record(void **state)
{
    static const uint8_t sparse[8] = {0};
    const struct {
        struct event item;
        const char *message;
    } cases[] = {
        {item("d7", 2), "items[2].propensity: 2; expected more than 0 and at most 1"},
        {item("d1", 1), "items[2].doc: \"d1\" is in the record already; expected it once"},
        {item("", 1), "items[2].doc: 0 bytes; expected 1 to 256"},
        {{.items = 1}, "items[2].doc: missing; expected 1 to 256 bytes of UTF-8"},
        {{.items = 1, .doc = bytes_text("d7"), .item_features = bytes_of(sparse, 3), .has = EVENT_HAS_ITEM_FEATURES},
         "items[2].features: 3 bytes; expected a multiple of 4"},
        {{.items = 1, .doc = bytes_text("d7"), .item_encoding = 2, .has = EVENT_HAS_ITEM_FEATURES},
         "items[2].encoding: 2; expected 0 (FLOAT32) or 1 (SPARSE_FLOAT32)"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buffer_close) struct buffer wire = {0};
        struct event e = request();
        event_encode(&e, &wire);
        put_items(&wire, 0, 2);
        event_encode(&cases[i].item, &wire);
        expect_refused(&wire, "items", cases[i].message);
    }
}

static void what_is_shared_is_judged_once(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct event e = request();
    e.time = 1;
    event_encode(&e, &wire);
    put_items(&wire, 0, 2);
    expect_refused(&wire, "time", "time: 1 is before 2000-01-01T00:00:00Z; expected milliseconds since 1970, UTC");
    e = request();
    e.doc = bytes_text("d0");
    wire.size = 0;
    event_encode(&e, &wire);
    put_items(&wire, 0, 2);
    expect_refused(&wire, "doc", "doc: is beside items; expected it in each of them");
    e = request();
    e.encoding = 1;
    wire.size = 0;
    event_encode(&e, &wire);
    put_items(&wire, 0, 1);
    expect_refused(&wire, "items",
                   "items[0].features: come behind shared sparse ones, which have no end; expected shared ones that "
                   "are dense");
}

static void records_are_bounded(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer wire = {0};
    static uint8_t payload[ITEMS_SPLIT_MAX / 500];
    struct event e = request();
    event_encode(&e, &wire);
    put_items(&wire, 0, ITEMS_MAX + 1);
    expect_refused(&wire, "items", "items: more than 1000; expected several records");
    e.payload = bytes_of(payload, sizeof payload);
    wire.size = 0;
    event_encode(&e, &wire);
    put_items(&wire, 0, 500);
    CLEANUP(items_close) struct items items = {0};
    struct tm_error err;
    const char *field;
    assert_int_equal(items_read(buffer_view(&wire), NOW, &items, &field, &err), TM_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "expected at most 16777216, so several records"));
    assert_string_equal(field, "items");
}

static void damage_is_named(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct event e = request();
    event_encode(&e, &wire);
    put_items(&wire, 0, 1);
    wire_put_bytes(&wire, 18, bytes_of("\x0a\x05", 2));
    expect_refused(&wire, "items", "items[1]: byte 0: field 1 is 5 bytes long; expected at most the 0 left");
    for (size_t size = 1; size < wire.size; size++) { /* no byte too far is read */
        CLEANUP(items_close) struct items items = {0};
        const char *field;
        struct tm_error err;
        uint8_t *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, wire.data, size);
        if (event_scan(bytes_of(copy, size), &e, &err) == TM_OK && e.items)
            items_read(bytes_of(copy, size), NOW, &items, &field, &err);
        free(copy);
    }
}

static void features_are_one_vector(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer joined = {0};
    struct event e = request();
    uint32_t encoding;
    const float both[] = {1, 2, 3};
    assert_ptr_equal(items_features(&e, &encoding, &joined).data, shared_values);
    e.item_features = bytes_of(own_values, sizeof own_values);
    e.has |= EVENT_HAS_ITEM_FEATURES;
    assert_true(bytes_equal(items_features(&e, &encoding, &joined), bytes_of(both, sizeof both)) && encoding == 0);
    const struct {
        uint32_t index[3];
        float value[3];
    } sparse = {{0, 1, 2 + 7}, {1, 2, 3}};
    const struct {
        uint32_t index;
        float value;
    } own = {7, 3};
    e.item_features = bytes_of(&own, sizeof own);
    e.item_encoding = 1;
    assert_true(bytes_equal(items_features(&e, &encoding, &joined), bytes_of(&sparse, sizeof sparse)) && encoding == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_make_the_event),
        cmocka_unit_test(what_stands_behind_items_is_shared),
        cmocka_unit_test(both_parts_in_one_are_the_same_event),
        cmocka_unit_test(one_bad_item_refuses_the_record),
        cmocka_unit_test(what_is_shared_is_judged_once),
        cmocka_unit_test(records_are_bounded),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(features_are_one_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
