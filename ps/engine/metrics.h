/* ps/engine/metrics.h - one scrape: values are put in as they are found, and come out as Prometheus reads them.
 *
 *   struct metrics m = {0};
 *   engine_metrics(e, &m);
 *   metric_count(&m, METRIC_STREAM_EVENTS, 17, METRIC_LABELS("clicks", "late"));
 *   metrics_text(&m, &out);
 *   metrics_close(&m);
 *
 * Format   text exposition 0.0.4: each metric with its help and type in the order of the table, whatever the order in
 *          which it was filled. A metric without values is left out; a value that is not finite, too.
 * Memory   values lie as text in the struct until metrics_close().
 * Threads  one scrape belongs to one. */
#ifndef TIDEMILL_PS_ENGINE_METRICS_H
#define TIDEMILL_PS_ENGINE_METRICS_H

#include "base/bytes.h"
#include "base/histogram.h"
#include "ps/engine/metric_table.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
    struct buffer samples[METRIC_COUNT];
};

/* As many as the row has labels. */
struct metric_labels {
    const char *const *values;
    size_t count;
};
#define METRIC_LABELS(...) \
    (struct metric_labels) { (const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})) }
#define METRIC_PLAIN ((struct metric_labels){NULL, 0})

void metric_count(struct metrics *m, enum metric id, uint64_t v, struct metric_labels labels);
void metric_value(struct metrics *m, enum metric id, double v, struct metric_labels labels);
/* A histogram with bounds of its own: cumulative[i] observations up to bounds[i] seconds, `count` in all. */
void metric_buckets(struct metrics *m, enum metric id, const double *bounds, const uint64_t *cumulative, size_t n,
                    uint64_t count, double sum, struct metric_labels labels);
void metric_histogram(struct metrics *m, enum metric id, const struct histogram *h, struct metric_labels labels);

void metrics_text(const struct metrics *m, struct buffer *out);
void metrics_close(struct metrics *m);

/* docs/metrics.md, from the table. */
void metrics_reference(struct buffer *out);

/* What the engine, its storage and the process have to say; everything but calls. Blocks: for locks held
 * shortly, and for one row of each shard that RocksDB may have to fetch (dead letters). */
struct engine;
void engine_metrics(struct engine *e, struct metrics *m);

#endif
