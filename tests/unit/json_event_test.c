/* Tests of proto/json_event.h: good lines become the events they say, bad ones are named and leave nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/json_event.h"

#define SHARED "\"stream\":\"s\",\"time\":1574553612345"
#define MINIMAL "\"stream\":\"s\",\"doc\":\"d\",\"time\":1574553612345"

static void every_field_is_carried(void **state)
{
    (void)state;
    static const char line[] =
        "{\"stream\":\"impressions\",\"request\":\"r17\",\"doc\":\"d\\u00e94\",\"user\":\"u9\",\"version\":\"A\","
        "\"time\":\"2019-11-24T01:00:12.345+01:00\",\"event\":\"c-981\",\"value\":2,\"features\":[0.5,1,-2],"
        "\"representation\":\"enc\",\"score\":0.25,\"propensity\":0.0125,\"position\":-2,\"weight\":0.5,\"payload\":"
        "\"AAH/\"}\n";
    CLEANUP(buffer_close) struct buffer out = {0};
    struct json_event_info info;
    struct tm_error err;
    struct event e;
    const char *field;
    const float features[] = {0.5f, 1, -2};
    assert_int_equal(json_event_encode(bytes_text(line), &out, &info, &field, &err), TM_OK);
    assert_string_equal(field, "");
    assert_string_equal(info.stream, "impressions");
    assert_true(info.time == 1574553612345);
    assert_int_equal(event_scan(buffer_view(&out), &e, &err), TM_OK);
    assert_true(bytes_equal(e.stream, bytes_text("impressions")) && bytes_equal(e.request, bytes_text("r17")));
    assert_true(bytes_equal(e.doc, bytes_text("d\xc3\xa9"
                                              "4")) &&
                bytes_equal(e.user, bytes_text("u9")));
    assert_true(bytes_equal(e.version, bytes_text("A")) && bytes_equal(e.event, bytes_text("c-981")));
    assert_true(bytes_equal(e.representation, bytes_text("enc")) && bytes_equal(e.payload, bytes_of("\0\1\xff", 3)));
    assert_true(bytes_equal(e.features, bytes_of(features, sizeof features)) && e.encoding == 0);
    assert_true(e.time == 1574553612345 && e.value == 2 && e.score == 0.25f && e.propensity == 0.0125f);
    assert_true(e.position == -2 && e.weight == 0.5f);
}

static void encode_good(const char *line, struct buffer *out, struct event *e)
{
    struct json_event_info info;
    struct tm_error err = {0};
    const char *field;
    out->size = 0;
    enum tm_code rc = json_event_encode(bytes_text(line), out, &info, &field, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(rc, TM_OK);
    assert_int_equal(event_scan(buffer_view(out), e, &err), TM_OK);
}

static void forms_of_values(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer out = {0};
    struct event e;
    const uint32_t sparse[] = {3, 4294967295u, 0x3f800000, 0x40000000};
    encode_good("{" MINIMAL "}", &out, &e);
    assert_true(e.has == EVENT_HAS_TIME && e.value == 1 && e.weight == 1 && !e.request.data && !e.payload.data);
    encode_good("{" MINIMAL ",\"features\":{\"v\":[1,2],\"i\":[3,4294967295]}}", &out, &e);
    assert_true(bytes_equal(e.features, bytes_of(sparse, sizeof sparse)) && e.encoding == 1);
    encode_good("{" MINIMAL ",\"features\":[]}", &out, &e);
    assert_true(e.has & EVENT_HAS_FEATURES && e.features.size == 0);
    encode_good("{" MINIMAL ",\"payload\":\"\"}", &out, &e);
    assert_true(e.payload.data && e.payload.size == 0);
    encode_good("{" MINIMAL ",\"payload\":\"Zg==\"}", &out, &e);
    assert_true(bytes_equal(e.payload, bytes_text("f")));
    encode_good("{" MINIMAL ",\"payload\":\"Zm8=\"}", &out, &e);
    assert_true(bytes_equal(e.payload, bytes_text("fo")));
    encode_good("{" MINIMAL ",\"payload\":\"Zm9vYg==\"}", &out, &e);
    assert_true(bytes_equal(e.payload, bytes_text("foob")));
    encode_good(" { " MINIMAL " , \"position\" : 2147483647 } \r\n", &out, &e);
    assert_true(e.position == INT32_MAX);
}

static const struct {
    const char *line, *field, *message;
} bad[] = {
    {"", "line", "line: byte 0: '[' or '{' expected near end of file; expected one JSON object"},
    {"{", "line", "line: byte 1: string or '}' expected near end of file; expected one JSON object"},
    {"[1]", "line", "line: got array [1]; expected one JSON object"},
    {"7", "line", "line: byte 1: '[' or '{' expected near '7'; expected one JSON object"},
    {"{" MINIMAL "} x", "line", "line: byte 47: end of file expected near 'x'; expected one JSON object"},
    {"{\"doc\":\"a\",\"doc\":\"b\"}", "line",
     "line: byte 16: duplicate object key near '\"doc\"'; expected one JSON object"},
    {"{" MINIMAL ",\"value\":NaN}", "line", NULL},
    {"{" MINIMAL ",\"value\":Infinity}", "line", NULL},
    {"{" MINIMAL ",\"value\":-Infinity}", "line", NULL},
    {"{" MINIMAL ",\"value\":1e999}", "line", NULL},
    {"{" MINIMAL ",\"value\":0x10}", "line", NULL},
    {"{" MINIMAL ",\"value\":01}", "line", NULL},
    {"{" MINIMAL ",\"time\":99999999999999999999}", "line", NULL},
    {"{" MINIMAL ",\"user\":\"\xff\"}", "line", NULL},
    {"{" MINIMAL ",\"user\":\"\\ud800\"}", "line", NULL},
    {"{" MINIMAL ",\"user\":\"a\\u0000b\"}", "line", NULL},
    {"{\"dco\":\"a\"}", "line", "line: unknown key \"dco\"; did you mean \"doc\"?"},
    {"{\"Stream\":\"a\"}", "line", "line: unknown key \"Stream\"; did you mean \"stream\"?"},
    {"{\"wieght\":1}", "line", "line: unknown key \"wieght\"; did you mean \"weight\"?"},
    {"{\"b\\u0007elephants\":1}", "line",
     "line: unknown key \"b\\u0007elephants\"; expected stream, request, doc, user, version, time, event, value, "
     "features, "
     "representation, score, propensity, position, weight, payload, withdraw or items"},
    {"{\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg\":1}", "line",
     "line: unknown key \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffff...; expected stream, request, "
     "doc, user, "
     "version, time, event, value, features, representation, score, propensity, position, weight, payload, withdraw or "
     "items"},
    {"{\"items\":[]}", "items", "items: got array []; expected a list of 1 to 1000 objects such as {\"doc\":\"d4\"}"},
    {"{\"items\":[{\"doc\":\"d\"},7]}", "items", "items[1]: got number 7; expected an object such as {\"doc\":\"d4\"}"},
    {"{\"items\":[{\"doc\":\"d\",\"score\":\"x\"}]}", "items", "items[0].score: got string \"x\"; expected a number"},
    {"{\"items\":[{\"user\":\"u\"}]}", "items",
     "items[0]: unknown key \"user\"; expected doc, position, propensity, score or features"},
    {"{" SHARED ",\"items\":[{\"doc\":\"a\"},{\"doc\":\"b\"},{\"doc\":\"a\"}]}", "items",
     "items[2].doc: \"a\" is in the record already; expected it once"},
    {"{" SHARED ",\"items\":[{\"position\":1}]}", "items", "items[0].doc: missing; expected 1 to 256 bytes of UTF-8"},
    {"{" SHARED ",\"items\":[{\"doc\":\"a\",\"propensity\":2}]}", "items",
     "items[0].propensity: 2; expected more than 0 and at most 1"},
    {"{" SHARED ",\"score\":1,\"items\":[{\"doc\":\"a\"}]}", "score",
     "score: is beside items; expected it in each of them"},
    {"{" SHARED ",\"doc\":\"a\",\"items\":[{\"doc\":\"a\"}]}", "doc",
     "doc: is beside items; expected it in each of them"},
    {"{" SHARED ",\"features\":{\"i\":[1],\"v\":[1]},\"items\":[{\"doc\":\"a\",\"features\":[1]}]}", "items",
     "items[0].features: come behind shared sparse ones, which have no end; expected shared ones that are dense"},
    {"{" MINIMAL ",\"user\":7}", "user", "user: got number 7; expected a string"},
    {"{" MINIMAL ",\"user\":null}", "user", "user: got null; expected a string"},
    {"{" MINIMAL ",\"value\":\"x\"}", "value", "value: got string \"x\"; expected a number"},
    {"{" MINIMAL ",\"score\":1e39}", "score", "score: got number 1e39; expected a number within float32, +-3.4e38"},
    {"{" MINIMAL ",\"weight\":true}", "weight", "weight: got true; expected a number"},
    {"{" MINIMAL ",\"position\":2147483648}", "position",
     "position: got number 2147483648; expected an integer of 32 bits"},
    {"{" MINIMAL ",\"position\":1.5}", "position", "position: got number 1.5; expected an integer of 32 bits"},
    {"{\"time\":1.5}", "time",
     "time: got number 1.5; expected milliseconds since 1970 as an integer, or a time like "
     "\"2019-11-24T00:00:12.345Z\""},
    {"{\"time\":\"yesterday\"}", "time",
     "time: got string \"yesterday\"; expected milliseconds since 1970 as an integer, or a "
     "time like \"2019-11-24T00:00:12.345Z\""},
    {"{" MINIMAL ",\"features\":\"x\"}", "features",
     "features: got string \"x\"; expected an array of numbers or {\"i\":[indices],\"v\":[values]}"},
    {"{" MINIMAL ",\"features\":[1,null]}", "features", "features: value 1: got null; expected a number"},
    {"{" MINIMAL ",\"features\":[1e39]}", "features",
     "features: value 0: got number 1e39; expected a number within float32, +-3.4e38"},
    {"{" MINIMAL ",\"features\":{\"i\":[1]}}", "features",
     "features: got object {\"i\":[1]}; expected {\"i\":[indices],\"v\":[values]}"},
    {"{" MINIMAL ",\"features\":{\"i\":[1],\"v\":[1,2]}}", "features",
     "features: 1 indices and 2 values; expected as many of each"},
    {"{" MINIMAL ",\"features\":{\"i\":[-1],\"v\":[1]}}", "features",
     "features: index 0: got number -1; expected an integer from 0 to 4294967295"},
    {"{" MINIMAL ",\"features\":{\"i\":[4294967296],\"v\":[1]}}", "features",
     "features: index 0: got number 4294967296; expected an integer from 0 to 4294967295"},
    {"{" MINIMAL ",\"features\":{\"i\":[2,1],\"v\":[1,1]}}", "features",
     "features: index 1 follows 2; expected increasing indices"},
    {"{" MINIMAL ",\"payload\":\"A\"}", "payload", "payload: got string \"A\"; expected base64 text, padded with ="},
    {"{" MINIMAL ",\"payload\":\"Zg\"}", "payload", NULL},
    {"{" MINIMAL ",\"payload\":\"Zh==\"}", "payload", NULL},
    {"{" MINIMAL ",\"payload\":\"Z===\"}", "payload", NULL},
    {"{" MINIMAL ",\"payload\":\"Zm9v=A==\"}", "payload", NULL},
    {"{" MINIMAL ",\"payload\":\"Zm-_\"}", "payload", NULL},
    {"{\"stream\":\"s\",\"time\":1574553612345}", "doc", "doc: missing; expected 1 to 256 bytes of UTF-8"},
    {"{\"stream\":\"s\",\"doc\":\"d\"}", "time", "time: missing; expected milliseconds since 1970, UTC"},
    {"{\"stream\":\"s\",\"doc\":\"d\",\"time\":12}", "time",
     "time: 12 is before 2000-01-01T00:00:00Z; expected milliseconds since 1970, UTC"},
    {"{\"stream\":\"\",\"doc\":\"d\",\"time\":12}", "stream", "stream: 0 bytes; expected 1 to 256"},
    {"{" MINIMAL ",\"propensity\":0}", "propensity", "propensity: 0; expected more than 0 and at most 1"},
};

static void assert_refused(struct bytes line, enum tm_code code, const char *want_field, const char *message)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    struct json_event_info info;
    struct tm_error err = {0};
    const char *field = NULL;
    buffer_put_u8(&out, 7);
    assert_int_equal(json_event_encode(line, &out, &info, &field, &err), code);
    assert_string_equal(field, want_field);
    if (message)
        assert_string_equal(err.message, message);
    else
        assert_memory_equal(err.message, want_field, strlen(want_field));
    assert_int_equal(out.size, 1);
    assert_int_equal(json_event_encode(line, &out, &info, &field, NULL), code);
}

static void bad_lines_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refused(bytes_text(bad[i].line), TM_INVALID_ARGUMENT, bad[i].field, bad[i].message);
    assert_refused((struct bytes){0}, TM_INVALID_ARGUMENT, "line", NULL);
    char unpadded[512]; /* three characters more than the decoder has room for in a buffer's first 256 bytes */
    snprintf(unpadded, sizeof unpadded, "{%s,\"payload\":\"%0343d\"}", MINIMAL, 0);
    assert_refused(bytes_text(unpadded), TM_INVALID_ARGUMENT, "payload", NULL);
    assert_refused(bytes_of("{\"doc\":\0\"a\"}", 12), TM_INVALID_ARGUMENT, "line", NULL);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    static const char *const openings[] = {"[", "{\"a\":"};
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        CLEANUP(buffer_close) struct buffer line = {0};
        for (int depth = 0; depth < 10000; depth++)
            buffer_put(&line, openings[i], strlen(openings[i]));
        assert_refused(buffer_view(&line), TM_INVALID_ARGUMENT, "line", NULL);
    }
    CLEANUP(buffer_close) struct buffer allowed = {0}; /* as deep as the parser goes, then printed in the message */
    buffer_put(&allowed, "{\"user\":", 8);
    for (int depth = 0; depth < 2000; depth++)
        buffer_put(&allowed, "[", 1);
    for (int depth = 0; depth < 2000; depth++)
        buffer_put(&allowed, "]", 1);
    buffer_put(&allowed, "}", 1);
    assert_refused(buffer_view(&allowed), TM_INVALID_ARGUMENT, "user", NULL);
}

static void truncated_lines_are_refused(void **state)
{
    (void)state;
    static const char line[] =
        "{" MINIMAL ",\"features\":{\"i\":[1],\"v\":[1.5e1]},\"payload\":\"Zg==\",\"user\":\"\\u00e9\"}";
    for (size_t size = 0; size < sizeof line - 1; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, line, size);
        assert_refused(bytes_of(exact, size), TM_INVALID_ARGUMENT, "line", NULL);
        free(exact);
    }
}

static void size_is_bounded(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer line = {0};
    static const char start[] = "{" MINIMAL ",\"features\":[0", end[] = "]}";
    buffer_put(&line, start, sizeof start - 1);
    for (int i = 0; i < EVENT_SIZE_MAX / 4; i++)
        buffer_put(&line, ",0", 2);
    buffer_put(&line, end, sizeof end - 1);
    assert_refused(buffer_view(&line), TM_INVALID_ARGUMENT, "features",
                   "features: makes an event of 1048598 bytes; expected at most 1048576");
    line.size = 0;
    memset(buffer_reserve(&line, JSON_LINE_MAX + 1), ' ', JSON_LINE_MAX + 1);
    line.size = JSON_LINE_MAX + 1;
    assert_refused(buffer_view(&line), TM_RESOURCE_EXHAUSTED, "line", "line: 4194305 bytes; expected at most 4194304");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_carried),      cmocka_unit_test(forms_of_values),
        cmocka_unit_test(bad_lines_are_named),         cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(truncated_lines_are_refused), cmocka_unit_test(size_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
