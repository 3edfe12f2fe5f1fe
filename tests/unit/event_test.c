/* Tests of proto/event.h: the header of an event scanned in place, written, and judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "proto/event.h"
#include "proto/wire.h"
#include "tests/unit/hex.h"

#define TIME INT64_C(1574553612345)

/* Written by protoc --encode=tidemill.v1.Event from every field and from the shortest useful set of fields. */
static const char full_hex[] =
    "0a0b696d7072657373696f6e7312037231371a026434220275392a014130b9e0d5d5e92d3a05632d3938314100000000000004404d0000803e"
    "55cdcc4c3c58feffffffffffffffff01650000003f6a05656e632d3170017a030001ff820108030000000000803f";
static const char short_hex[] = "0a06636c69636b7312037231371a02643430a09cd6d5e92d";

static struct bytes text(const char *t) { return bytes_text(t); }

static struct event full_event(void)
{
    return (struct event){.stream = text("impressions"),
                          .request = text("r17"),
                          .doc = text("d4"),
                          .user = text("u9"),
                          .version = text("A"),
                          .event = text("c-981"),
                          .representation = text("enc-1"),
                          .payload = bytes_of("\0\1\xff", 3),
                          .features = bytes_of("\3\0\0\0\0\0\x80\x3f", 8),
                          .time = TIME,
                          .value = 2.5,
                          .score = 0.25f,
                          .propensity = 0.0125f,
                          .position = -2,
                          .weight = 0.5f,
                          .encoding = 1,
                          .has = EVENT_HAS_TIME | EVENT_HAS_VALUE | EVENT_HAS_SCORE | EVENT_HAS_PROPENSITY |
                                 EVENT_HAS_POSITION | EVENT_HAS_WEIGHT | EVENT_HAS_FEATURES};
}

static void assert_same(const struct event *a, const struct event *b)
{
    const struct bytes *texts_a[] = {&a->stream, &a->request,        &a->doc,     &a->user,    &a->version,
                                     &a->event,  &a->representation, &a->payload, &a->features};
    const struct bytes *texts_b[] = {&b->stream, &b->request,        &b->doc,     &b->user,    &b->version,
                                     &b->event,  &b->representation, &b->payload, &b->features};
    for (size_t i = 0; i < ARRAY_LEN(texts_a); i++) {
        assert_true(bytes_equal(*texts_a[i], *texts_b[i]));
        assert_int_equal(!texts_a[i]->data, !texts_b[i]->data);
    }
    assert_true(a->time == b->time && a->value == b->value && a->score == b->score && a->propensity == b->propensity);
    assert_true(a->weight == b->weight && a->position == b->position && a->encoding == b->encoding && a->has == b->has);
}

static void golden_events_are_read_and_written(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0}, again = {0};
    struct event e, want = full_event();
    struct tm_error err;
    assert_int_equal(event_scan(hex(&b, full_hex), &e, &err), TM_OK);
    assert_same(&e, &want);
    event_encode(&want, &again);
    assert_true(bytes_equal(buffer_view(&again), buffer_view(&b)));

    assert_int_equal(event_scan(hex(&b, short_hex), &e, &err), TM_OK);
    want = (struct event){.stream = text("clicks"),
                          .request = text("r17"),
                          .doc = text("d4"),
                          .time = 1574553620000,
                          .value = 1,
                          .weight = 1,
                          .has = EVENT_HAS_TIME};
    assert_same(&e, &want);
    again.size = 0;
    event_encode(&want, &again);
    assert_true(bytes_equal(buffer_view(&again), buffer_view(&b)));
}

static void empty_and_absent_are_told_apart(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0}, again = {0};
    struct event e;
    assert_int_equal(event_scan((struct bytes){0}, &e, NULL), TM_OK);
    assert_true(!e.stream.data && !e.has && e.value == 1 && e.weight == 1);
    assert_int_equal(event_scan(hex(&b, "0a00 7a00 820100"), &e, NULL), TM_OK);
    assert_true(e.stream.data && e.payload.data && !e.doc.data && e.has == EVENT_HAS_FEATURES);
    event_encode(&e, &again);
    assert_true(bytes_equal(buffer_view(&again), buffer_view(&b)));
}

static void last_wins_and_unknown_is_skipped(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    struct event e;
    /* doc twice, field 18 and field 100, time twice, features before doc, tag of doc in its long form */
    assert_int_equal(event_scan(hex(&b, "1a0161 9a0103787878 3005 820100 1a0162 a50600000000 3007 9a000163"), &e, NULL),
                     TM_OK);
    assert_true(bytes_equal(e.doc, text("c")) && e.time == 7 && e.has == (EVENT_HAS_TIME | EVENT_HAS_FEATURES));
}

static const struct {
    const char *hex, *message;
} unreadable[] = {
    {"08 01", "stream: wire type 0 at byte 0; expected 2"},
    {"0a0161 1d 00000000", "doc: wire type 5 at byte 3; expected 2"},
    {"32 0161", "time: wire type 2 at byte 0; expected 0"},
    {"45 00000000", "value: wire type 5 at byte 0; expected 1"},
    {"49 0000000000000000", "score: wire type 1 at byte 0; expected 5"},
    {"8001 01", "features: wire type 0 at byte 0; expected 2"},
    {"0a0161 12", "byte 3: the length of field 2 does not end; expected a varint of at most 64 bits"},
    {"1a 05 6161", "byte 0: field 3 is 5 bytes long; expected at most the 2 left"},
    {"1a ffffffffffffffff7f", "byte 0: field 3 is 9223372036854775807 bytes long; expected at most the 0 left"},
    {"30 ffffffffffffffffffff01", "byte 0: the value of field 6 does not end; expected a varint of at most 64 bits"},
    {"1b 1c", "byte 0: field 3 has wire type 3, a group; expected 0, 1, 2 or 5"},
    {"1c", "byte 0: field 3 has wire type 4, a group; expected 0, 1, 2 or 5"},
    {"02 00", "byte 0: no field tag; expected a varint of at most 5 bytes, field number 1 to 536870911"},
    {"8a01 0161", "withdraw: wire type 2 at byte 0; expected 0"},
    {"0a0161 9201 05 61", "byte 3: field 18 is 5 bytes long; expected at most the 1 left"},
};

static void unreadable_events_are_explained(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    for (size_t i = 0; i < ARRAY_LEN(unreadable); i++) {
        struct event e;
        struct tm_error err;
        assert_int_equal(event_scan(hex(&b, unreadable[i].hex), &e, &err), TM_INVALID_ARGUMENT);
        assert_string_equal(err.message, unreadable[i].message);
        assert_int_equal(event_scan(buffer_view(&b), &e, NULL), TM_INVALID_ARGUMENT);
    }
}

static void truncated_events_are_refused_or_shorter(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    struct bytes wire = hex(&b, full_hex);
    int good = 0;
    for (size_t size = 0; size <= wire.size; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        struct event e;
        memcpy(exact, wire.data, size);
        good += event_scan(bytes_of(exact, size), &e, NULL) == TM_OK;
        free(exact);
    }
    assert_int_equal(good, 17); /* one for each number of whole fields */
}

static void size_is_bounded(void **state)
{
    (void)state;
    uint8_t *big = mem_new(EVENT_SIZE_MAX + 1, 1);
    struct event e;
    struct tm_error err;
    big[0] = 0x7a; /* payload; its length takes 3 bytes */
    big[1] = 0x80 | ((EVENT_SIZE_MAX - 4) & 0x7f);
    big[2] = 0x80 | ((EVENT_SIZE_MAX - 4) >> 7 & 0x7f);
    big[3] = (EVENT_SIZE_MAX - 4) >> 14;
    assert_int_equal(event_scan(bytes_of(big, EVENT_SIZE_MAX), &e, &err), TM_OK);
    assert_int_equal(e.payload.size, EVENT_SIZE_MAX - 4);
    assert_int_equal(event_scan(bytes_of(big, EVENT_SIZE_MAX + 1), &e, &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, "event of 1048577 bytes; expected at most 1048576");
    free(big);
}

/* ---- what is acceptable ---- */

static char long_id[EVENT_ID_MAX + 2];
static const float values[] = {0, 1, -3.4e38f, INFINITY, NAN};
static const uint32_t sparse[] = {3, 4, 0, 0x3f800000}, backwards[] = {4, 4, 0, 0},
                      sparse_nan[] = {3, 4, 0, 0x7fc00000};

/* An acceptable event, but for what the case changes. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define EVENT(...)                                                                                                    \
    {                                                                                                                 \
        .stream = {(const uint8_t *)"s", 1}, .doc = {(const uint8_t *)"d", 1}, .time = TIME, .value = 1, .weight = 1, \
        .has = EVENT_HAS_TIME, __VA_ARGS__                                                                            \
    }
#define TEXT(t, n)              \
    {                           \
        (const uint8_t *)(t), n \
    }
#define FEATURES(f, n) .features = TEXT(f, n)

static const struct {
    struct event event;
    const char *field, *message; /* "": accepted */
} judged[] = {
    {EVENT(.value = -1e300), "", ""},
    {EVENT(.request = TEXT(long_id, 256), .user = TEXT("\xc3\xa9", 2)), "", ""},
    {EVENT(.time = EVENT_TIME_MIN_MS), "", ""},
    {EVENT(.time = TIME + EVENT_TIME_AHEAD_MS), "", ""},
    {EVENT(.weight = 0, .propensity = 1, .has = EVENT_HAS_TIME | EVENT_HAS_PROPENSITY), "", ""},
    {EVENT(FEATURES(values, 12)), "", ""},
    {EVENT(FEATURES(sparse, 16), .encoding = 1), "", ""},
    {EVENT(FEATURES(NULL, 0), .encoding = 1), "", ""},
    {EVENT(.stream = TEXT(NULL, 0)), "stream", "stream: missing; expected 1 to 256 bytes of UTF-8"},
    {EVENT(.stream = TEXT("", 0)), "stream", "stream: 0 bytes; expected 1 to 256"},
    {EVENT(.doc = TEXT(NULL, 0)), "doc", "doc: missing; expected 1 to 256 bytes of UTF-8"},
    {EVENT(.doc = TEXT(NULL, 0), .user = TEXT("u", 1)), "", ""}, /* a row of a table may be about a user alone */
    {EVENT(.doc = TEXT(long_id, 257)), "doc", "doc: 257 bytes; expected 1 to 256"},
    {EVENT(.request = TEXT("", 0)), "request", "request: 0 bytes; expected 1 to 256"},
    {EVENT(.user = TEXT("a\0b", 3)), "user", "user: not UTF-8 text, or a NUL in it; expected UTF-8"},
    {EVENT(.version = TEXT("\xc3", 1)), "version", "version: not UTF-8 text, or a NUL in it; expected UTF-8"},
    {EVENT(.event = TEXT("\xff", 1)), "event", "event: not UTF-8 text, or a NUL in it; expected UTF-8"},
    {EVENT(.representation = TEXT("", 0)), "representation", "representation: 0 bytes; expected 1 to 256"},
    {EVENT(.has = 0), "time", "time: missing; expected milliseconds since 1970, UTC"},
    {EVENT(.time = 12), "time", "time: 12 is before 2000-01-01T00:00:00Z; expected milliseconds since 1970, UTC"},
    {EVENT(.time = INT64_MIN), "time",
     "time: -9223372036854775808 is before 2000-01-01T00:00:00Z; expected milliseconds since 1970, UTC"},
    {EVENT(.time = TIME + EVENT_TIME_AHEAD_MS + 1), "time",
     "time: 1574640012346 is more than a day after 2019-11-24T00:00:12.345Z; expected milliseconds since 1970, UTC"},
    {EVENT(.time = INT64_MAX), "time",
     "time: 9223372036854775807 is more than a day after 2019-11-24T00:00:12.345Z; "
     "expected milliseconds since 1970, UTC"},
    {EVENT(.value = (double)NAN), "value", "value: nan; expected a finite number"},
    {EVENT(.value = (double)-INFINITY), "value", "value: -inf; expected a finite number"},
    {EVENT(.score = INFINITY), "score", "score: inf; expected a finite number"},
    {EVENT(.weight = -0.5f), "weight", "weight: -0.5; expected a finite number, 0 or more"},
    {EVENT(.weight = NAN), "weight", "weight: nan; expected a finite number, 0 or more"},
    {EVENT(.propensity = 0, .has = EVENT_HAS_TIME | EVENT_HAS_PROPENSITY), "propensity",
     "propensity: 0; expected more than 0 and at most 1"},
    {EVENT(.propensity = 1.5f, .has = EVENT_HAS_TIME | EVENT_HAS_PROPENSITY), "propensity",
     "propensity: 1.5; expected more than 0 and at most 1"},
    {EVENT(.propensity = NAN, .has = EVENT_HAS_TIME | EVENT_HAS_PROPENSITY), "propensity",
     "propensity: nan; expected more than 0 and at most 1"},
    {EVENT(.encoding = 2), "encoding", "encoding: 2; expected 0 (FLOAT32) or 1 (SPARSE_FLOAT32)"},
    {EVENT(FEATURES(values, 11)), "features", "features: 11 bytes; expected a multiple of 4"},
    {EVENT(FEATURES(values, 16)), "features", "features: value 3 is not finite; expected finite float32"},
    {EVENT(FEATURES(values + 4, 4)), "features", "features: value 0 is not finite; expected finite float32"},
    {EVENT(FEATURES(sparse, 12), .encoding = 1), "features", "features: 12 bytes; expected a multiple of 8"},
    {EVENT(FEATURES(backwards, 16), .encoding = 1), "features",
     "features: index 4 follows 4; expected increasing indices"},
    {EVENT(FEATURES(sparse_nan, 16), .encoding = 1), "features",
     "features: value 1 is not finite; expected finite float32"},
};

static void events_are_judged(void **state)
{
    (void)state;
    memset(long_id, 'x', sizeof long_id);
    for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
        struct tm_error err = {0};
        const char *field = NULL;
        enum tm_code want = judged[i].message[0] ? TM_INVALID_ARGUMENT : TM_OK;
        assert_int_equal(event_validate(&judged[i].event, TIME, &field, &err), want);
        assert_string_equal(field, judged[i].field);
        assert_string_equal(err.message, judged[i].message);
        assert_int_equal(event_validate(&judged[i].event, TIME, &field, NULL), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_events_are_read_and_written),
        cmocka_unit_test(empty_and_absent_are_told_apart),
        cmocka_unit_test(last_wins_and_unknown_is_skipped),
        cmocka_unit_test(unreadable_events_are_explained),
        cmocka_unit_test(truncated_events_are_refused_or_shorter),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(events_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
