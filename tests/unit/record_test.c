/* Tests of how an event becomes a record: which events are the same, and which are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/state/record.h"

enum {
    SEED = 42,
    REQUEST_DOC = JOINER_KEY_REQUEST | JOINER_KEY_DOC,
    REQUEST_USER = JOINER_KEY_REQUEST | JOINER_KEY_USER,
    USER_DOC = JOINER_KEY_USER | JOINER_KEY_DOC,
    ALL_FIELDS = REQUEST_DOC | JOINER_KEY_USER,
};

struct ids {
    const char *request, *doc, *user, *event;
};

static struct event event_of(struct ids ids)
{
    return (struct event){.stream = bytes_text("clicks"),
                          .request = bytes_text(ids.request),
                          .doc = bytes_text(ids.doc),
                          .user = bytes_text(ids.user),
                          .event = bytes_text(ids.event),
                          .time = 1700000000000,
                          .value = 2,
                          .has = EVENT_HAS_TIME | EVENT_HAS_VALUE};
}

static struct joiner_record resolve(const struct event *e, uint8_t stream, uint32_t fields, uint64_t seed)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct joiner_record record;
    struct tm_error err;
    event_encode(e, &wire);
    struct block_event sent = {.position = 17, .version = 3, .stream = stream, .wire = buffer_view(&wire)};
    assert_int_equal(record_resolve(&sent, &(struct catalog){.key_fields = fields}, seed, &record, &err), TM_OK);
    assert_ptr_equal(record.body.data, wire.data);
    assert_int_equal(record.body.size, wire.size);
    record.body = (struct bytes){0}; /* the wire ends here */
    return record;
}

static struct joiner_record record_of(struct ids ids, uint32_t fields)
{
    struct event e = event_of(ids);
    return resolve(&e, 1, fields, SEED);
}

static void test_fields_are_carried_over(void **state)
{
    (void)state;
    struct event e = event_of((struct ids){"r", "d", "u", "e"});
    struct joiner_record r = resolve(&e, 1, ALL_FIELDS, SEED);
    assert_int_equal(r.position, 17);
    assert_int_equal(r.time, 1700000000000);
    assert_int_equal(r.version, 3);
    assert_int_equal(r.stream, 1);
    assert_true(r.weight == 1); /* not sent */
    assert_true(r.value == 2 && !r.withdraw);
    assert_true(hash128_equal(r.doc, hash_128(bytes_text("d"), SEED)));
    e.weight = 0.25f;
    e.has |= EVENT_HAS_WEIGHT;
    assert_true(resolve(&e, 1, ALL_FIELDS, SEED).weight == 0.25);
    e.withdraw = true; /* the event that it takes back is named by the same id */
    assert_true(resolve(&e, 1, ALL_FIELDS, SEED).withdraw);
    assert_true(resolve(&e, 1, ALL_FIELDS, SEED).event == r.event);
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t fields;
        struct ids a, b;
        bool same;
    } cases[] = {
        {"request and doc alike", REQUEST_DOC, {"r", "d", "u", "1"}, {"r", "d", "v", "2"}, true},
        {"another doc", REQUEST_DOC, {"r", "d", "u", "1"}, {"r", "e", "u", "1"}, false},
        {"another request", REQUEST_DOC, {"r", "d", "u", "1"}, {"s", "d", "u", "1"}, false},
        {"the border between two fields", REQUEST_DOC, {"ab", "c", "", ""}, {"a", "bc", "", ""}, false},
        {"the other border", REQUEST_USER, {"a", "d", "bc", ""}, {"ab", "d", "c", ""}, false},
        {"swapped", REQUEST_DOC, {"a", "b", "", ""}, {"b", "a", "", ""}, false},
        {"one field empty or the other", REQUEST_USER, {"a", "d", "", ""}, {"", "d", "a", ""}, false},
        {"user and doc: the request says nothing", USER_DOC, {"r", "d", "u", ""}, {"s", "d", "u", ""}, true},
        {"doc alone", JOINER_KEY_DOC, {"r", "d", "u", "1"}, {"s", "d", "v", "2"}, true},
        {"all three: another user", ALL_FIELDS, {"r", "d", "u", ""}, {"r", "d", "v", ""}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hash128 a = record_of(cases[i].a, cases[i].fields).key, b = record_of(cases[i].b, cases[i].fields).key;
        if (hash128_equal(a, b) != cases[i].same)
            fail_msg("%s: %s", cases[i].name, cases[i].same ? "not the same" : "the same");
    }
}

/* Lengths separate the fields, whatever bytes are in them. */
static void test_keys_of_odd_bytes(void **state)
{
    (void)state;
    struct event a = event_of((struct ids){"", "", "", ""}), b = a;
    a.request = bytes_of("a\0\0b", 4);
    a.doc = bytes_of("c", 1);
    b.request = bytes_of("a", 1);
    b.doc = bytes_of("b\0\0c", 4);
    assert_false(hash128_equal(resolve(&a, 1, REQUEST_DOC, SEED).key, resolve(&b, 1, REQUEST_DOC, SEED).key));
}

static void test_seeds_make_other_hashes(void **state)
{
    (void)state;
    struct event e = event_of((struct ids){"r", "d", "u", "e"});
    struct joiner_record a = resolve(&e, 1, ALL_FIELDS, 1), b = resolve(&e, 1, ALL_FIELDS, 2);
    assert_false(hash128_equal(a.key, b.key));
    assert_false(hash128_equal(a.doc, b.doc));
    assert_true(a.event != b.event);
}

/* What makes two events one: with an id its stream and id, without one everything that identifies it. */
static void test_events(void **state)
{
    (void)state;
    struct event named = event_of((struct ids){"r", "d", "u", "e1"});
    struct event nameless = event_of((struct ids){"r", "d", "u", ""});
    uint64_t with_id = resolve(&named, 1, ALL_FIELDS, SEED).event;
    uint64_t without = resolve(&nameless, 1, ALL_FIELDS, SEED).event;
    struct event changed[5];
    assert_int_equal(resolve(&nameless, 1, ALL_FIELDS, SEED).event, without);
    assert_int_equal(resolve(&nameless, 1, JOINER_KEY_DOC, SEED).event, without); /* the join key has no part in it */
    for (int with = 0; with < 2; with++) {
        const struct event *e = with ? &named : &nameless;
        for (size_t i = 0; i < ARRAY_LEN(changed); i++)
            changed[i] = *e;
        changed[0].request = bytes_text("s");
        changed[1].doc = bytes_text("e");
        changed[2].user = bytes_text("v");
        changed[3].time++;
        changed[4].value = 3;
        for (size_t i = 0; i < ARRAY_LEN(changed); i++)
            if ((resolve(&changed[i], 1, ALL_FIELDS, SEED).event == (with ? with_id : without)) != with)
                fail_msg("change %zu of an event %s id", i, with ? "with" : "without");
        assert_true(resolve(e, 2, ALL_FIELDS, SEED).event != (with ? with_id : without)); /* the stream counts */
    }
    named.event = bytes_text("e2");
    assert_true(resolve(&named, 1, ALL_FIELDS, SEED).event != with_id);
    named = event_of((struct ids){"e", "d", "u", ""}); /* an id that moved into another field is no id */
    assert_true(resolve(&named, 1, ALL_FIELDS, SEED).event != without);
}

static enum tm_code resolve_sized(size_t field, size_t size, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct joiner_record record;
    char id[EVENT_ID_MAX + 2];
    struct event e = event_of((struct ids){"r", "d", "u", "e"});
    struct bytes *ids[] = {&e.request, &e.doc, &e.user, &e.event};
    memset(id, 'x', sizeof id);
    *ids[field] = bytes_of(id, size);
    event_encode(&e, &wire);
    return record_resolve(&(struct block_event){.wire = buffer_view(&wire)},
                          &(struct catalog){.key_fields = ALL_FIELDS}, SEED, &record, err);
}

static void test_long_ids_and_broken_wires_are_refused(void **state)
{
    (void)state;
    struct tm_error err;
    struct joiner_record record;
    for (size_t field = 0; field < 4; field++) {
        assert_int_equal(resolve_sized(field, EVENT_ID_MAX, &err), TM_OK);
        assert_int_equal(resolve_sized(field, EVENT_ID_MAX + 1, &err), TM_INVALID_ARGUMENT);
        assert_string_equal(err.message, "an id is longer than 256 bytes");
    }
    struct block_event broken = {.wire = bytes_text("\x0a\xff")};
    assert_int_equal(record_resolve(&broken, &(struct catalog){.key_fields = ALL_FIELDS}, SEED, &record, &err),
                     TM_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_carried_over),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keys_of_odd_bytes),
        cmocka_unit_test(test_seeds_make_other_hashes),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_long_ids_and_broken_wires_are_refused),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
