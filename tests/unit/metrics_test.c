/* Tests of ps/engine/metrics.h: the text of a scrape, the table's own rules, and the manual that comes from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "ps/engine/metrics.h"

static const struct {
    const char *name, *type, *labels, *help;
} rows[] = {
#define M(group, id, name, type, labels, help) {name, #type, labels, help},
    METRICS(M)
#undef M
};

static void expect_text(struct metrics *m, const char *want)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    metrics_text(m, &out);
    buffer_put_u8(&out, 0);
    assert_string_equal(out.data, want);
    metrics_close(m);
}

static void samples_stand_under_their_metric(void **state)
{
    (void)state;
    struct metrics m = {0};
    metric_count(&m, METRIC_STREAM_WAITING, 1, METRIC_LABELS("a")); /* not in the table's order */
    metric_count(&m, METRIC_STREAM_CONSUMED, UINT64_MAX, METRIC_LABELS("a"));
    metric_count(&m, METRIC_STREAM_WAITING, 2, METRIC_LABELS("b"));
    metric_value(&m, METRIC_GATE, 0.5, METRIC_PLAIN);
    expect_text(&m,
                "# HELP tidemill_stream_consumed_events_total Events taken from the log, as of the shards' last "
                "commits: the sum of all fates and of what waits.\n"
                "# TYPE tidemill_stream_consumed_events_total counter\n"
                "tidemill_stream_consumed_events_total{stream=\"a\"} 18446744073709551615\n"
                "# HELP tidemill_stream_waiting_events Events that are not settled yet.\n"
                "# TYPE tidemill_stream_waiting_events gauge\n"
                "tidemill_stream_waiting_events{stream=\"a\"} 1\n"
                "tidemill_stream_waiting_events{stream=\"b\"} 2\n"
                "# HELP tidemill_gate_timestamp_seconds Event time up to which every shard has decided all samples; "
                "absent: nothing yet.\n"
                "# TYPE tidemill_gate_timestamp_seconds gauge\n"
                "tidemill_gate_timestamp_seconds 0.5\n");
}

static void labels_are_escaped(void **state)
{
    (void)state;
    struct metrics m = {0};
    CLEANUP(buffer_close) struct buffer out = {0};
    metric_count(&m, METRIC_STREAM_HOLDER, 1, METRIC_LABELS("s", "a\"b\\c\nd", "", "\xc3\xa9"));
    metrics_text(&m, &out);
    buffer_put_u8(&out, 0);
    assert_non_null(strstr((const char *)out.data,
                           "{stream=\"s\",client=\"a\\\"b\\\\c\\nd\",instance=\"\",lane=\"\xc3\xa9\"} 1\n"));
    metrics_close(&m);
}

static void what_is_not_finite_stays_away(void **state)
{
    (void)state;
    struct metrics m = {0};
    metric_value(&m, METRIC_GATE, NAN, METRIC_PLAIN);
    metric_value(&m, METRIC_GATE, INFINITY, METRIC_PLAIN);
    expect_text(&m, "");
}

static void histograms_are_cumulative(void **state)
{
    (void)state;
    struct metrics m = {0};
    struct histogram h = {0};
    CLEANUP(buffer_close) struct buffer out = {0};
    histogram_observe(&h, 3000000);
    histogram_observe(&h, 250000000000);
    metric_histogram(&m, METRIC_HTTP_SECONDS, &h, METRIC_LABELS("/x"));
    metrics_text(&m, &out);
    buffer_put_u8(&out, 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "_bucket{path=\"/x\",le=\"0.002\"} 0\n"));
    assert_non_null(strstr(text, "_bucket{path=\"/x\",le=\"0.005\"} 1\n"));
    assert_non_null(strstr(text, "_bucket{path=\"/x\",le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(text, "_sum{path=\"/x\"} 250.003\n"));
    assert_non_null(strstr(text, "_count{path=\"/x\"} 2\n"));
    metrics_close(&m);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static void the_table_keeps_its_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool ours = strncmp(rows[i].name, "tidemill_", 9) == 0;
        bool known = strncmp(rows[i].name, "grpc_server_", 12) == 0 || strncmp(rows[i].name, "process_", 8) == 0;
        bool counter = strcmp(rows[i].type, "COUNTER") == 0;
        if (!(ours || known) || counter != ends_with(rows[i].name, "_total") ||
            strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz_0123456789") != strlen(rows[i].name))
            fail_msg("%s: a name like tidemill_things_total", rows[i].name);
        if (strcmp(rows[i].type, "HISTOGRAM") == 0 && !ends_with(rows[i].name, "_seconds"))
            fail_msg("%s: histograms are of seconds", rows[i].name);
        if (!rows[i].help[0] || ends_with(rows[i].help, ".") || strpbrk(rows[i].help, "|\\\n"))
            fail_msg("%s: help is one line without its full stop, fit for a table", rows[i].name);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows[i].name, rows[k].name);
    }
}

static void the_manual_is_up_to_date(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer want = {0}, got = {0};
    struct tm_error err = {0};
    metrics_reference(&want);
    if (file_read(TIDEMILL_SOURCES "/docs/metrics.md", 1 << 20, &got, &err))
        fail_msg("%s", err.message);
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_stand_under_their_metric), cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(what_is_not_finite_stays_away),    cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(the_table_keeps_its_rules),        cmocka_unit_test(the_manual_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
