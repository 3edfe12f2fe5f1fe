/* ps/state/sample_row.h - samples as they are kept for people and their tools: rows that can be read alone.
 *
 * A row holds samples of one shard whose sequences follow each other. Of a new sample it holds the impression's event
 * as it came, of a correction the ids of what caused it, so that both name request, document and user as text; and its
 * features, if it is features that came late. The version is its id in the catalog.
 * Layout   little-endian: {format u8, count u32, first sequence u64, oldest and newest time of decision i64}, then for
 *          each sample {kind u8, and 16 in it if it is excluded, 32 if it was; labels u8, streams u8, version u32,
 *          impression time i64, decided at i64, position u64, weight f64, keep f64, label f64..., of a correction
 *          {original u64, old label f64...}, event {size u32, bytes}, rows of tables {size u32, TableRows of
 *          samples.proto}, what feature streams brought {size u32, FeatureRecords}}.
 * Units    times are event time, ms since 1970 UTC.
 * Memory   a sample that was read has views into the row.
 * Errors   rows come from a disk: whatever is not as above is TM_DATA_LOSS.
 * Threads  pure. */
#ifndef TIDEMILL_PS_STATE_SAMPLE_ROW_H
#define TIDEMILL_PS_STATE_SAMPLE_ROW_H

#include "joiner/joiner.h"
#include "proto/event.h"

struct kept_sample {
    enum sample_kind kind;
    uint64_t sequence; /* in its shard */
    uint64_t original; /* corrections: the sequence of what they correct */
    uint32_t version;
    uint32_t labels;  /* how many */
    uint32_t streams; /* of its epoch (joiner/joiner.h); 0: a correction, or one that was left out before */
    int64_t impression_time, decided_at;
    uint64_t position; /* of the record that made it: the impression, or what corrects it */
    double weight, keep;
    double label[JOINER_LABELS_MAX], old_label[JOINER_LABELS_MAX];
    bool excluded, old_excluded; /* joiner/sample.h */
    struct bytes wire;           /* the impression's Event; corrections: ids and new features */
    struct bytes shared;         /* to be appended: its other part; what was read is whole */
    struct event event;          /* the same, read */
    /* TableRows and FeatureRecords of samples.proto, packed; empty: none, or more than EVENT_SIZE_MAX. */
    struct bytes tables;  /* rows read for it */
    struct bytes records; /* what feature streams brought, in the order of the streams; corrections: what came late */
};

/* *event and *shared become the sample's wire and are not read. */
void kept_sample_of(const struct sample *s, struct bytes event, struct bytes shared, struct kept_sample *out);

/* Append; a row that is empty is begun. Its sequence follows the row's last one. */
void sample_row_append(struct buffer *row, const struct kept_sample *s);

struct sample_row_head {
    uint32_t count;
    uint64_t first; /* sequence */
    int64_t oldest, newest;
};
enum tm_code sample_row_head(struct bytes row, struct sample_row_head *out, struct tm_error *err);

/* Read a row from its beginning: sample_row_open, then sample_row_next until *end. */
struct sample_row_reader {
    struct sample_row_head head;
    struct reader reader;
    uint32_t done;
};
enum tm_code sample_row_open(struct bytes row, struct sample_row_reader *out, struct tm_error *err);
enum tm_code sample_row_next(struct sample_row_reader *r, struct kept_sample *out, bool *end, struct tm_error *err);

#endif
