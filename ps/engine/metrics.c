#include "ps/engine/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/text.h"

enum type { COUNTER, GAUGE, HISTOGRAM };

static const struct {
    const char *group, *name;
    enum type type;
    const char *labels, *help;
} rows[METRIC_COUNT] = {
#define M(group, id, name, type, labels, help) [METRIC_##id] = {group, name, type, labels, help},
    METRICS(M)
#undef M
};

static const char *const type_words[] = {[COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};

/* ---- samples ---- */

/* Backslash, quote and line end, as the format says; other control characters have no business in a name. */
static void put_escaped(struct buffer *out, const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p == '\\' || *p == '"')
            buffer_print(out, "\\%c", *p);
        else if (*p == '\n')
            buffer_print(out, "\\n");
        else
            buffer_put_u8(out, (uint8_t)*p);
}

/* {stream="clicks",le="0.1"}; le NULL: without. */
static void put_labels(struct buffer *out, enum metric id, struct metric_labels labels, const char *le)
{
    const char *name = rows[id].labels;
    const char *before = "{";
    size_t given = 0;
    for (; *name; given++) {
        size_t size = strcspn(name, ",");
        CHECK(given < labels.count);
        buffer_print(out, "%s%.*s=\"", before, (int)size, name);
        put_escaped(out, labels.values[given]);
        buffer_put_u8(out, '"');
        name += size + (name[size] == ',');
        before = ",";
    }
    CHECK(given == labels.count);
    if (le)
        buffer_print(out, "%sle=\"%s\"", before, le);
    if (le || given)
        buffer_put_u8(out, '}');
}

void metric_count(struct metrics *m, enum metric id, uint64_t v, struct metric_labels labels)
{
    struct buffer *out = &m->samples[id];
    CHECK(rows[id].type != HISTOGRAM);
    buffer_print(out, "%s", rows[id].name);
    put_labels(out, id, labels, NULL);
    buffer_print(out, " %" PRIu64 "\n", v);
}

void metric_value(struct metrics *m, enum metric id, double v, struct metric_labels labels)
{
    struct buffer *out = &m->samples[id];
    char text[TEXT_NUMBER_SIZE];
    CHECK(rows[id].type != HISTOGRAM);
    if (!isfinite(v))
        return;
    buffer_print(out, "%s", rows[id].name);
    put_labels(out, id, labels, NULL);
    buffer_print(out, " %s\n", text_number(v, text));
}

static void put_bucket(struct metrics *m, enum metric id, const char *bound, uint64_t cumulative,
                       struct metric_labels labels)
{
    buffer_print(&m->samples[id], "%s_bucket", rows[id].name);
    put_labels(&m->samples[id], id, labels, bound);
    buffer_print(&m->samples[id], " %" PRIu64 "\n", cumulative);
}

static void put_sum(struct metrics *m, enum metric id, double sum, uint64_t count, struct metric_labels labels)
{
    struct buffer *out = &m->samples[id];
    char text[TEXT_NUMBER_SIZE];
    buffer_print(out, "%s_sum", rows[id].name);
    put_labels(out, id, labels, NULL);
    buffer_print(out, " %s\n%s_count", text_number(sum, text), rows[id].name);
    put_labels(out, id, labels, NULL);
    buffer_print(out, " %" PRIu64 "\n", count);
}

void metric_histogram(struct metrics *m, enum metric id, const struct histogram *h, struct metric_labels labels)
{
    struct histogram_copy copy;
    CHECK(rows[id].type == HISTOGRAM);
    histogram_copy(h, &copy);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        put_bucket(m, id, histogram_bound(i), copy.cumulative[i], labels);
    put_sum(m, id, copy.sum_seconds, copy.cumulative[HISTOGRAM_BUCKETS - 1], labels);
}

void metric_buckets(struct metrics *m, enum metric id, const double *bounds, const uint64_t *cumulative, size_t n,
                    uint64_t count, double sum, struct metric_labels labels)
{
    char text[TEXT_NUMBER_SIZE];
    CHECK(rows[id].type == HISTOGRAM);
    for (size_t i = 0; i < n; i++)
        put_bucket(m, id, text_number(bounds[i], text), cumulative[i], labels);
    put_bucket(m, id, "+Inf", count, labels);
    put_sum(m, id, sum, count, labels);
}

void metrics_text(const struct metrics *m, struct buffer *out)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!m->samples[i].size)
            continue;
        buffer_print(out, "# HELP %s %s.\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
                     type_words[rows[i].type]);
        buffer_put(out, m->samples[i].data, m->samples[i].size);
    }
}

void metrics_close(struct metrics *m)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        buffer_close(&m->samples[i]);
}

/* ---- the manual ---- */

static const char introduction[] =
    "# Metrics\n"
    "\n"
    "<!-- Printed from the table of metrics by `tidemill metrics reference`; a test compares. Do not edit by hand. "
    "-->\n"
    "\n"
    "`GET /metrics` at the address `http` answers with all of them, in Prometheus' text format 0.0.4. Times are "
    "seconds,\n"
    "timestamps seconds since 1970 UTC. Histograms have the buckets 1, 2 and 5 times the powers of ten from 10 us to\n"
    "100 s; that of join delays has the durations people choose as windows, from 0.1 s to 30 days. What is \"as of the "
    "shards' last commits\" survives restarts; the other counters begin again at 0. A "
    "metric\n"
    "without a value is left out. [operating.md](operating.md) says what to look at first.\n";

/* `stream`, `fate` */
static void describe_labels(const char *labels, struct buffer *out)
{
    for (const char *before = ""; *labels; before = ", ") {
        size_t size = strcspn(labels, ",");
        buffer_print(out, "%s`%.*s`", before, (int)size, labels);
        labels += size + (labels[size] == ',');
    }
}

void metrics_reference(struct buffer *out)
{
    const char *group = "";
    buffer_put(out, introduction, sizeof introduction - 1);
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (strcmp(rows[i].group, group) != 0)
            buffer_print(out, "\n## %s\n\n| metric | type | labels | what it is |\n|---|---|---|---|\n", rows[i].group);
        group = rows[i].group;
        buffer_print(out, "| `%s` | %s | ", rows[i].name, type_words[rows[i].type]);
        describe_labels(rows[i].labels, out);
        buffer_print(out, " | %s |\n", rows[i].help);
    }
}
