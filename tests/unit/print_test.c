/* Tests of client/print.h: what people and programs read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/print.h"
#include "tidemill/v1/admin.pb-c.h"

/* What was printed since capture(), as text. */
static char *captured;
static size_t captured_size;

static FILE *capture(void)
{
    FILE *out = open_memstream(&captured, &captured_size);
    assert_non_null(out);
    return out;
}

static void expect(FILE *out, const char *want)
{
    assert_int_equal(fclose(out), 0);
    assert_string_equal(captured, want);
    free(captured);
    captured = NULL;
}

static const char *const names[] = {"doc", "n", "mean", "time", "known"};

static void print_two(FILE *out, enum output output)
{
    struct printer *p = printer_open(out, output, names, ARRAY_LEN(names));
    printer_row(p, (struct cell[]){cell_text("d1"), cell_count(20115), cell_number(1.0 / 3), cell_time(1574553612345),
                                   cell_bool(true)});
    printer_row(p, (struct cell[]){cell_text("d\xc3\xa9j\xc3\xa0"), cell_count(7), cell_number(NAN), cell_none(),
                                   cell_bool(false)});
    printer_close(p);
}

static void table_is_aligned(void **state)
{
    (void)state;
    FILE *out = capture();
    print_two(out, OUTPUT_TABLE);
    expect(out, "doc        n      mean  time                      known\n"
                "d1    20,115  0.333333  2019-11-24T00:00:12.345Z  true\n"
                "d\xc3\xa9j\xc3\xa0       7       nan  -                         false\n");
}

/* One word in a column, and all of it stands left, whatever comes last. */
static void words_and_numbers_stand_left(void **state)
{
    (void)state;
    FILE *out = capture();
    struct printer *p = printer_open(out, OUTPUT_TABLE, (const char *const[]){"what", "value"}, 2);
    printer_row(p, (struct cell[]){cell_text("none"), cell_none()});
    printer_row(p, (struct cell[]){cell_text("count"), cell_count(12345)});
    printer_row(p, (struct cell[]){cell_text("state"), cell_text("learning")});
    printer_row(p, (struct cell[]){cell_text("id"), cell_count(7)});
    printer_close(p);
    expect(out, "what   value\n"
                "none   -\n"
                "count  12,345\n"
                "state  learning\n"
                "id     7\n");
}

static void sizes_have_the_unit_that_reads_best(void **state)
{
    (void)state;
    char text[TEXT_NUMBER_SIZE];
    assert_string_equal(print_size(0, text), "0 B");
    assert_string_equal(print_size(1023, text), "1023 B");
    assert_string_equal(print_size(1024, text), "1.0 KiB");
    assert_string_equal(print_size(1536ull << 20, text), "1.5 GiB");
    assert_string_equal(print_size(5000ull << 40, text), "5000.0 TiB");
}

static void csv_is_exact(void **state)
{
    (void)state;
    FILE *out = capture();
    print_two(out, OUTPUT_CSV);
    expect(out, "doc,n,mean,time,known\n"
                "d1,20115,0.33333333333333331,1574553612345,true\n"
                "d\xc3\xa9j\xc3\xa0,7,,,false\n");
}

static void json_is_exact(void **state)
{
    (void)state;
    FILE *out = capture();
    print_two(out, OUTPUT_JSON);
    expect(
        out,
        "[\n  {\"doc\": \"d1\", \"n\": 20115, \"mean\": 0.33333333333333331, \"time\": 1574553612345, \"known\": "
        "true},\n  {\"doc\": \"d\xc3\xa9j\xc3\xa0\", \"n\": 7, \"mean\": null, \"time\": null, \"known\": false}\n]");
}

static void no_rows_are_still_a_document(void **state)
{
    static const struct {
        enum output output;
        const char *want;
    } cases[] = {{OUTPUT_TABLE, "doc  n\n"}, {OUTPUT_CSV, "doc,n\n"}, {OUTPUT_JSON, "[]"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FILE *out = capture();
        printer_close(printer_open(out, cases[i].output, names, 2));
        expect(out, cases[i].want);
    }
}

/* An id may hold anything but NUL: it must neither break a line nor steer a terminal. */
static void hostile_texts_stay_in_their_cell(void **state)
{
    static const struct {
        const char *text, *table, *csv, *json;
    } cases[] = {
        {"a,b", "a,b", "\"a,b\"", "\"a,b\""},
        {"say \"x\"", "say \"x\"", "\"say \"\"x\"\"\"", "\"say \\\"x\\\"\""},
        {"two\nlines", "two\\nlines", "\"two\nlines\"", "\"two\\u000alines\""},
        {"cr\r", "cr\\r", "\"cr\r\"", "\"cr\\u000d\""},
        {"tab\t.", "tab\\t.", "tab\t.", "\"tab\\u0009.\""},
        {"\x1b[31m", "\\x1b[31m", "\x1b[31m", "\"\\u001b[31m\""},
        {"\x7f", "\\x7f", "\x7f", "\"\\u007f\""},
        {"\xc2\x9b"
         "1m",
         "\\x9b1m",
         "\xc2\x9b"
         "1m",
         "\"\xc2\x9b"
         "1m\""},
        {"back\\slash", "back\\slash", "back\\slash", "\"back\\\\slash\""},
        {"", "", "", "\"\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[128];
        struct cell cell = cell_text(cases[i].text);
        FILE *out = capture();
        print_escaped(out, cases[i].text);
        expect(out, cases[i].table);
        out = capture();
        struct printer *p = printer_open(out, OUTPUT_CSV, names, 1);
        printer_row(p, &cell);
        printer_close(p);
        snprintf(want, sizeof want, "doc\n%s\n", cases[i].csv);
        expect(out, want);
        out = capture();
        print_json_value(out, &cell);
        expect(out, cases[i].json);
    }
}

static void numbers_read_back_as_they_were(void **state)
{
    static const double numbers[] = {0.1, 1e-300, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct cell cell = cell_number(numbers[i]);
        FILE *out = capture();
        print_json_value(out, &cell);
        assert_int_equal(fclose(out), 0);
        double back = strtod(captured, NULL);
        assert_memory_equal(&back, &numbers[i], sizeof back);
        free(captured);
    }
    struct cell infinite = cell_number(INFINITY), largest = cell_count(UINT64_MAX), least = cell_signed(INT64_MIN);
    FILE *out = capture();
    print_json_value(out, &infinite);
    print_json_value(out, &largest);
    print_json_value(out, &least);
    expect(out, "null18446744073709551615-9223372036854775808");
}

static void counts_have_thousands(void **state)
{
    static const struct {
        uint64_t v;
        const char *want;
    } cases[] = {
        {0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}, {UINT64_MAX, "18,446,744,073,709,551,615"}};
    char text[TEXT_NUMBER_SIZE];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(text_count(cases[i].v, text), cases[i].want);
}

static void messages_keep_their_names(void **state)
{
    Tidemill__V1__StatusReply m = TIDEMILL__V1__STATUS_REPLY__INIT;
    Tidemill__V1__StreamStatus s = TIDEMILL__V1__STREAM_STATUS__INIT;
    Tidemill__V1__StreamStatus *streams[] = {&s};
    (void)state;
    m.generation = (char *)"1.2";
    m.has_position = true;
    m.position = 0; /* there, though zero */
    m.has_as_of = false;
    m.has_recovery_ms = true;
    m.recovery_ms = 0.5;
    s.name = (char *)"clicks\x1b";
    s.has_imbalance = true;
    s.imbalance = -3;
    m.n_streams = 1;
    m.streams = streams;
    FILE *out = capture();
    print_json_message(out, &m.base);
    expect(out, "{\n  \"generation\": \"1.2\",\n  \"position\": 0,\n"
                "  \"streams\": [{\n    \"name\": \"clicks\\u001b\",\n    \"imbalance\": -3\n  }],\n"
                "  \"versions\": [],\n  \"shards\": [],\n  \"recovery_ms\": 0.5\n}");
}

static void packed_lists_are_lists(void **state)
{
    Tidemill__V1__ExportReply m = TIDEMILL__V1__EXPORT_REPLY__INIT;
    char *docs[] = {(char *)"a", (char *)"b"};
    double values[] = {1, 0.5};
    int64_t times[] = {-1};
    (void)state;
    m.n_docs = 2;
    m.docs = docs;
    m.n_values = 2;
    m.values = values;
    m.n_updated_at = 1;
    m.updated_at = times;
    FILE *out = capture();
    print_json_message(out, &m.base);
    expect(out, "{\n  \"names\": [],\n  \"docs\": [\"a\", \"b\"],\n  \"values\": [1, 0.5],\n  \"positives\": [],\n"
                "  \"negatives\": [],\n  \"mean\": [],\n  \"sd\": [],\n  \"lower\": [],\n  \"upper\": [],\n"
                "  \"updated_at\": [-1]\n}");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_aligned),
        cmocka_unit_test(words_and_numbers_stand_left),
        cmocka_unit_test(sizes_have_the_unit_that_reads_best),
        cmocka_unit_test(csv_is_exact),
        cmocka_unit_test(json_is_exact),
        cmocka_unit_test(no_rows_are_still_a_document),
        cmocka_unit_test(hostile_texts_stay_in_their_cell),
        cmocka_unit_test(numbers_read_back_as_they_were),
        cmocka_unit_test(counts_have_thousands),
        cmocka_unit_test(messages_keep_their_names),
        cmocka_unit_test(packed_lists_are_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
