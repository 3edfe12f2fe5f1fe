/* Tests of proto/json.h and proto/json_ingest.h: messages to JSON and back, and how bad JSON is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "proto/json.h"
#include "proto/json_ingest.h"
#include "proto/wire.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/events.pb-c.h"
#include "tidemill/v1/parameters.pb-c.h"

#define PULL &tidemill__v1__pull_request__descriptor

static void expect_json(const ProtobufCMessage *m, const char *want)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    json_put_message(&out, m);
    buffer_put_u8(&out, 0);
    assert_string_equal(out.data, want);
}

static void every_type_is_written(void **state)
{
    (void)state;
    Tidemill__V1__Event e = TIDEMILL__V1__EVENT__INIT;
    e.stream = (char *)"a\"\\\x1b\x7f\xc3\xa9";
    e.has_time = e.has_value = e.has_score = e.has_position = e.has_encoding = e.has_payload = true;
    e.time = INT64_MIN;
    e.value = 0.1;
    e.score = 0.1f;
    e.position = -2;
    e.encoding = TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32;
    e.payload = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "\0\1\xff"};
    expect_json(&e.base, "{\n  \"stream\": \"a\\\"\\\\\\u001b\\u007f\xc3\xa9\",\n  \"time\": -9223372036854775808,\n"
                         "  \"value\": 0.1,\n  \"score\": 0.1,\n  \"position\": -2,\n"
                         "  \"encoding\": \"SPARSE_FLOAT32\",\n  \"payload\": \"AAH/\",\n  \"items\": []\n}");
}

static void what_is_not_finite_is_null(void **state)
{
    (void)state;
    Tidemill__V1__Event e = TIDEMILL__V1__EVENT__INIT;
    Tidemill__V1__ExportReply list = TIDEMILL__V1__EXPORT_REPLY__INIT;
    CLEANUP(buffer_close) struct buffer out = {0};
    double values[] = {NAN, 1, -INFINITY};
    e.has_value = e.has_score = true;
    e.value = NAN;
    e.score = INFINITY;
    expect_json(&e.base, "{\n  \"value\": null,\n  \"score\": null,\n  \"items\": []\n}");
    list.n_values = 3;
    list.values = values;
    json_put_message(&out, &list.base);
    buffer_put_u8(&out, 0);
    assert_non_null(strstr((const char *)out.data, "\"values\": [null, 1, null]"));
    assert_null(strstr((const char *)out.data, "nan"));
    assert_null(strstr((const char *)out.data, "inf"));
}

static ProtobufCMessage *read_good(const ProtobufCMessageDescriptor *type, const char *text)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct tm_error err = {0};
    enum tm_code rc = json_read_message(type, bytes_text(text), &wire, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(rc, TM_OK);
    ProtobufCMessage *m = wire_unpack(type, buffer_view(&wire), SIZE_MAX, &err);
    assert_non_null(m);
    return m;
}

static void every_type_is_read(void **state)
{
    (void)state;
    Tidemill__V1__Event *e = (void *)read_good(
        &tidemill__v1__event__descriptor,
        "{\"stream\":\"s\\u00e9\",\"time\":\"-9223372036854775808\",\"value\":1e300,\"score\":0.1,\"position\":-2,"
        "\"encoding\":\"SPARSE_FLOAT32\",\"payload\":\"AAH/\",\"user\":null}");
    assert_string_equal(e->stream, "s\xc3\xa9");
    assert_true(e->time == INT64_MIN && e->value == 1e300 && e->score == 0.1f && e->position == -2);
    assert_true(e->encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32 && e->payload.len == 3);
    assert_null(e->user);
    wire_free(&e->base);
    e = (void *)read_good(&tidemill__v1__event__descriptor, "{\"encoding\":1}");
    assert_int_equal(e->encoding, TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32);
    wire_free(&e->base);
    Tidemill__V1__StatusReply *s = (void *)read_good(&tidemill__v1__status_reply__descriptor,
                                                     "{\"imbalance\":-3,\"position\":\"18446744073709551615\","
                                                     "\"streams\":[{\"name\":\"a\"},{}],\"pid\":4294967295}");
    assert_true(s->imbalance == -3 && s->position == UINT64_MAX && s->pid == UINT32_MAX);
    assert_true(s->n_streams == 2 && strcmp(s->streams[0]->name, "a") == 0 && !s->streams[1]->name);
    wire_free(&s->base);
    Tidemill__V1__PullReply *p = (void *)read_good(&tidemill__v1__pull_reply__descriptor,
                                                   "{\"values\":[0.5,1],\"known\":[true,false],\"updated_at\":[-1]}");
    assert_true(p->n_values == 2 && p->values[1] == 1 && p->n_known == 2 && p->known[0] && !p->known[1]);
    assert_true(p->n_updated_at == 1 && p->updated_at[0] == -1);
    wire_free(&p->base);
}

static void bad_messages_are_told(void **state)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *text, *want;
    } cases[] = {
        {PULL, "", "byte 0: '[' or '{' expected near end of file; expected one JSON object"},
        {PULL, "[]", "got array []; expected one JSON object"},
        {PULL, "{\"version\":\"A\"} x", "byte 17: end of file expected near 'x'; expected one JSON object"},
        {PULL, "{\"version\":\"A\",\"version\":\"B\"}",
         "byte 24: duplicate object key near '\"version\"'; expected one JSON object"},
        {PULL, "{\"version\":5}", "version: got number 5; expected a string"},
        {PULL, "{\"docs\":\"d1\"}", "docs: got string \"d1\"; expected an array"},
        {PULL, "{\"docs\":[\"d1\",null]}", "docs[1]: got null; expected a string"},
        {PULL, "{\"docs\":[[]]}", "docs[0]: got array []; expected a string"},
        {PULL, "{\"at_least\":-1}", "at_least: got number -1; expected an integer from 0 to 18446744073709551615"},
        {PULL, "{\"at_least\":1.0}", "at_least: got number 1.0; expected an integer from 0 to 18446744073709551615"},
        {PULL, "{\"at_least\":\"1x\"}",
         "at_least: got string \"1x\"; expected an integer from 0 to 18446744073709551615"},
        {PULL, "{\"at_least\":\"18446744073709551616\"}",
         "at_least: got string \"18446744073709551616\"; expected an integer from 0 to 18446744073709551615"},
        {PULL, "{\"statistics\":1}", "statistics: got number 1; expected true or false"},
        {PULL, "{\"verison\":\"A\"}", "unknown key \"verison\"; did you mean \"version\"?"},
        {PULL, "{\"colour\":1}", "unknown key \"colour\"; expected version, docs, at_least or statistics"},
        {&tidemill__v1__event__descriptor, "{\"score\":1e300}",
         "score: got number 1e300; expected a number within float32, +-3.4e38"},
        {&tidemill__v1__event__descriptor, "{\"encoding\":\"DENSE\"}",
         "encoding: got string \"DENSE\"; expected the name of a value, like \"FLOAT32\""},
        {&tidemill__v1__event__descriptor, "{\"encoding\":7}",
         "encoding: got number 7; expected the name of a value, like \"FLOAT32\""},
        {&tidemill__v1__event__descriptor, "{\"payload\":\"AA\"}",
         "payload: got string \"AA\"; expected base64 text, padded with ="},
        {&tidemill__v1__event__descriptor, "{\"position\":2147483648}",
         "position: got number 2147483648; expected an integer from -2147483648 to 2147483647"},
        {&tidemill__v1__status_reply__descriptor, "{\"streams\":[{},{\"consumed\":\"x\"}]}",
         "streams[1]: consumed: got string \"x\"; expected an integer from 0 to 18446744073709551615"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buffer_close) struct buffer wire = {0};
        struct tm_error err = {0};
        assert_int_equal(json_read_message(cases[i].type, bytes_text(cases[i].text), &wire, &err), TM_INVALID_ARGUMENT);
        assert_string_equal(err.message, cases[i].want);
        assert_int_equal(wire.size, 0);
    }
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer text = {0}, wire = {0};
    struct tm_error err;
    memset(buffer_reserve(&text, JSON_TEXT_MAX + 1), ' ', JSON_TEXT_MAX + 1);
    text.size = JSON_TEXT_MAX + 1;
    assert_int_equal(json_read_message(PULL, buffer_view(&text), &wire, &err), TM_RESOURCE_EXHAUSTED);
}

static void fields_come_as_plain_text_too(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct tm_error err = {0};
    static const char *const fields[][2] = {{"version", "true"},
                                            {"docs", "7"},
                                            {"docs", "d\xc3\xa9"},
                                            {"at_least", "18446744073709551615"},
                                            {"statistics", "true"}};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        assert_int_equal(json_read_field(PULL, fields[i][0], bytes_text(fields[i][1]), &wire, &err), TM_OK);
    Tidemill__V1__PullRequest *q = (void *)wire_unpack(PULL, buffer_view(&wire), SIZE_MAX, &err);
    assert_non_null(q);
    assert_string_equal(q->version, "true");
    assert_true(q->n_docs == 2 && strcmp(q->docs[0], "7") == 0 && strcmp(q->docs[1], "d\xc3\xa9") == 0);
    assert_true(q->at_least == UINT64_MAX && q->statistics);
    wire_free(&q->base);
    assert_int_equal(json_read_field(PULL, "statistics", bytes_text("yes"), &wire, &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, "statistics: got string \"yes\"; expected true or false");
    assert_int_equal(json_read_field(PULL, "at_least", bytes_text("NaN"), &wire, &err), TM_INVALID_ARGUMENT);
    assert_int_equal(json_read_field(PULL, "docs", bytes_text("\xff"), &wire, &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, "docs: not UTF-8; expected text");
    assert_int_equal(json_read_field(PULL, "doc", bytes_text("x"), &wire, &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, "unknown key \"doc\"; did you mean \"docs\"?");
}

static void a_batch_of_a_producer(void **state)
{
    (void)state;
    struct json_ingest in;
    struct tm_error err = {0};
    assert_int_equal(
        json_ingest_read(bytes_text("{\"events\":[{\"stream\":\"s\",\"time\":\"1970-01-01T00:00:01Z\"},{}],"
                                    "\"client\":\"c\",\"instance\":\"i\",\"streams\":[\"s\"],\"sequence\":7}"),
                         &in, &err),
        TM_OK);
    Tidemill__V1__Open *open =
        (void *)wire_unpack(&tidemill__v1__open__descriptor, buffer_view(&in.open), SIZE_MAX, &err);
    Tidemill__V1__Batch *batch =
        (void *)wire_unpack(&tidemill__v1__batch__descriptor, buffer_view(&in.batch), SIZE_MAX, &err);
    assert_true(open && batch);
    assert_string_equal(open->client, "c");
    assert_string_equal(open->instance, "i");
    assert_null(open->lane);
    assert_true(open->n_streams == 1 && batch->sequence == 7 && batch->n_events == 2);
    Tidemill__V1__Event *first = (void *)wire_unpack(
        &tidemill__v1__event__descriptor, bytes_of(batch->events[0].data, batch->events[0].len), SIZE_MAX, &err);
    assert_true(first && first->time == 1000);
    wire_free(&first->base);
    wire_free(&open->base);
    wire_free(&batch->base);
    json_ingest_close(&in);
}

static void bad_batches_are_told(void **state)
{
#define HEAD "{\"client\":\"c\",\"instance\":\"i\",\"sequence\":1,"
#define NUMBERED                                                                                                       \
    "expected {\"client\", \"instance\", \"sequence\", \"events\"}: a batch counts once because its producer numbers " \
    "it, from 1"
    static const char *const cases[][2] = {
        {"{}", "client, instance, sequence, events: missing; " NUMBERED},
        {"{\"instance\":\"i\",\"events\":[]}", "client, sequence: missing; " NUMBERED},
        {HEAD "\"events\":{}}", "events: got object {}; expected an array of events"},
        {HEAD "\"events\":[1]}", "events[0]: got number 1; expected an event"},
        {HEAD "\"events\":[{},{\"time\":\"soon\"}]}",
         "events[1]: time: got string \"soon\"; expected milliseconds since 1970 as an integer, or a time like "
         "\"2019-11-24T00:00:12.345Z\""},
        {HEAD "\"events\":[{\"dco\":\"d\"}]}", "events[0]: unknown key \"dco\"; did you mean \"doc\"?"},
        {HEAD "\"evnets\":[]}", "unknown key \"evnets\"; did you mean \"events\"?"},
        {"{\"client\":5,\"instance\":\"i\",\"sequence\":1,\"events\":[]}", "client: got number 5; expected a string"},
        {"{\"client\":\"c\",\"instance\":\"i\",\"sequence\":-1,\"events\":[]}",
         "sequence: got number -1; expected an integer from 0 to 18446744073709551615"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_ingest in;
        struct tm_error err = {0};
        assert_int_equal(json_ingest_read(bytes_text(cases[i][0]), &in, &err), TM_INVALID_ARGUMENT);
        assert_string_equal(err.message, cases[i][1]);
        json_ingest_close(&in);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_written),
        cmocka_unit_test(what_is_not_finite_is_null),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(bad_messages_are_told),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
        cmocka_unit_test(fields_come_as_plain_text_too),
        cmocka_unit_test(a_batch_of_a_producer),
        cmocka_unit_test(bad_batches_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
