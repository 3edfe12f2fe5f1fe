/* Tests of client/event_print.h: whatever bytes come, as far as they can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "client/event_print.h"
#include "proto/json_event.h"
#include "proto/event.h"
#include "proto/wire.h"

static char *captured;
static size_t captured_size;

/* Prints into `captured`, which the caller frees; returns how much was readable. */
static size_t print(struct bytes wire)
{
    FILE *out = open_memstream(&captured, &captured_size);
    assert_non_null(out);
    size_t readable = event_print_json(out, wire);
    assert_int_equal(fclose(out), 0);
    return readable;
}

static void expect(struct bytes wire, size_t readable, const char *want)
{
    assert_int_equal(print(wire), readable);
    assert_string_equal(captured, want);
    free(captured);
}

/* What is printed is what `tidemill ingest` would read: the same bytes come out again. */
static void a_printed_event_can_be_sent_again(void **state)
{
    static const char *const lines[] = {
        "{\"stream\": \"clicks\", \"doc\": \"d\\\"1\", \"time\": 1700000000000, \"value\": 0.1}",
        "{\"stream\": \"s\", \"request\": \"r\", \"doc\": \"d\", \"user\": \"\xc3\xbc\", \"version\": \"A\", "
        "\"time\": 1700000000000, \"event\": \"e\", \"score\": 0.1, \"propensity\": 0.25, \"position\": -3, "
        "\"weight\": 2, \"representation\": \"x\", \"payload\": \"AAEC/w==\", \"features\": [0.1, -1e-20, 3]}",
        "{\"stream\": \"clicks\", \"doc\": \"d\", \"time\": 1700000000000, \"event\": \"e\", \"withdraw\": true}",
        "{\"stream\": \"s\", \"doc\": \"d\", \"time\": 1700000000000, \"payload\": \"AAE=\", "
        "\"features\": {\"i\": [1, 4000000000], \"v\": [0.5, 7]}}",
        "{\"stream\": \"s\", \"doc\": \"d\", \"time\": 1700000000000, \"payload\": \"AAEC\", \"features\": []}",
        "{\"stream\": \"s\", \"time\": 1700000000000, \"features\": [1], \"items\": [{\"doc\": \"d\"}, {\"doc\": "
        "\"e\", "
        "\"position\": 2, \"propensity\": 0.5, \"score\": 0.25, \"features\": {\"i\": [3], \"v\": [1]}}]}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        CLEANUP(buffer_close) struct buffer wire = {0}, again = {0};
        struct json_event_info info;
        const char *field;
        struct tm_error err;
        if (json_event_encode(bytes_text(lines[i]), &wire, &info, &field, &err) != TM_OK)
            fail_msg("%s: %s", lines[i], err.message);
        assert_int_equal(print(buffer_view(&wire)), wire.size);
        if (json_event_encode(bytes_text(captured), &again, &info, &field, &err) != TM_OK)
            fail_msg("%s: %s", captured, err.message);
        assert_true(bytes_equal(buffer_view(&wire), buffer_view(&again)));
        free(captured);
    }
}

static void what_can_be_read_is_printed(void **state)
{
    (void)state;
    expect((struct bytes){0}, 0, "{}");
    expect(bytes_text("\xff\xff\xff"), 0, "{}");
    expect(bytes_text("\x0a\x02"
                      "ab\x1a\x05"
                      "cut"),
           4, "{\"stream\": \"ab\"}");
    expect(bytes_text("\x0a\x02\xff\x01\x1a\x01"
                      "d"),
           7, "{\"stream\": [255, 1], \"doc\": \"d\"}"); /* no text */
    expect(bytes_text("\x0a\x01"
                      "a\x0a\x01"
                      "b\x10\x07"),
           8, "{\"stream\": \"b\"}");                                         /* the last one counts; wrong wire type */
    expect(bytes_of("\x42\x00", 2), 2, "{}");                                 /* value: not eight bytes */
    expect(bytes_of("\x65\x00\x00\xc0\x7f", 5), 5, "{\"weight\": null}");     /* not a number */
    expect(bytes_of("\x82\x01\x03\x01\x02\x03", 6), 6, "{\"features\": []}"); /* not a whole number of values */
}

static void every_cut_is_survived(void **state)
{
    CLEANUP(buffer_close) struct buffer wire = {0}, text = {0};
    struct event e = {.stream = bytes_text("clicks"),
                      .doc = bytes_text("d1"),
                      .time = 5,
                      .value = 1,
                      .weight = 1,
                      .features = bytes_of("\0\0\0\0\0\0\0\0", 8),
                      .has = EVENT_HAS_TIME | EVENT_HAS_FEATURES};
    (void)state;
    event_encode(&e, &wire);
    for (size_t size = 0; size <= wire.size; size++) {
        uint8_t *copy = malloc(size ? size : 1); /* so that a byte too far is seen */
        assert_non_null(copy);
        memcpy(copy, wire.data, size);
        assert_in_range(print(bytes_of(copy, size)), 0, size);
        free(captured);
        free(copy);
    }
    assert_true(event_text(buffer_view(&wire), "doc", &text));
    assert_string_equal((const char *)text.data, "d1");
    assert_false(event_text(buffer_view(&wire), "request", &text));
}

static void bytes_as_hexdump(void **state)
{
    FILE *out = open_memstream(&captured, &captured_size);
    (void)state;
    assert_non_null(out);
    event_print_hex(out, bytes_text("0123456789abcdef\n\x80z"));
    assert_int_equal(fclose(out), 0);
    assert_string_equal(captured, "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
                                  "00000010  0a 80 7a                                          |..z|\n");
    free(captured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_printed_event_can_be_sent_again),
        cmocka_unit_test(what_can_be_read_is_printed),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(bytes_as_hexdump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
