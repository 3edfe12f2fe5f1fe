#include "ps/storage/log_rows.h"

#include <inttypes.h>

#include "ps/storage/data_dir.h"

/* Row of LOG_META: {head u64, watermark i64 of each stream}, written when one of them moved. */
static const char watermarks_key[] = "watermarks";

static enum tm_code read_watermarks(struct log_rows *rows, struct bytes row, struct tm_error *err)
{
    size_t stored = row.size / sizeof(int64_t) - 1;
    if (row.size % sizeof(int64_t) || row.size == 0)
        return tm_error_set(err, TM_DATA_LOSS, "the log's watermarks are damaged: %zu bytes", row.size);
    if (stored > rows->streams)
        return tm_error_set(err, TM_FAILED_PRECONDITION, "streams: the log knows %zu, the configuration names %" PRIu32,
                            stored, rows->streams);
    struct reader r = reader_of(row);
    uint64_t head = reader_u64(&r);
    if (head != rows->head)
        return tm_error_set(err, TM_DATA_LOSS,
                            "the log's rows stand at position %" PRIu64 ", its blocks end at %" PRIu64, head,
                            rows->head);
    for (uint8_t s = 0; s < stored; s++) {
        rows->watermark[s] = reader_i64(&r);
        if (rows->watermark[s] != WATERMARK_NONE)
            sequencer_load_watermark(rows->sequencer, s, rows->watermark[s]);
    }
    return TM_OK;
}

static enum tm_code load_watermarks(struct log_rows *rows, struct rocks *db, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    enum tm_code rc = rocks_get(db, LOG_META, bytes_text(watermarks_key), &row, err);
    for (uint32_t s = 0; s < rows->streams; s++)
        rows->watermark[s] = WATERMARK_NONE;
    if (rc == TM_NOT_FOUND)
        return rows->head == 0 ? TM_OK : tm_error_set(err, TM_DATA_LOSS, "the log has blocks, but no watermarks");
    return rc ? rc : read_watermarks(rows, buffer_view(&row), err);
}

struct producers_load {
    struct sequencer *sequencer;
    int64_t clock_ms;
};

static enum tm_code visit_producer(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    struct producers_load *load = context;
    return sequencer_load_producer(load->sequencer, key, row, load->clock_ms, err);
}

enum tm_code log_rows_load(struct log_rows *rows, struct rocks *db, struct sequencer *sequencer, uint32_t streams,
                           uint64_t head, int64_t clock_ms, struct tm_error *err)
{
    struct bytes all = {0};
    *rows = (struct log_rows){.sequencer = sequencer, .streams = streams, .head = head};
    enum tm_code rc = load_watermarks(rows, db, err);
    return rc ? rc
              : rocks_scan(db, LOG_PRODUCER, all, all, visit_producer, &(struct producers_load){sequencer, clock_ms},
                           err);
}

static void put_producer(void *context, struct bytes key, struct bytes value)
{
    struct rocks_batch *batch = context;
    if (value.data)
        rocks_batch_put(batch, LOG_PRODUCER, key, value);
    else
        rocks_batch_remove(batch, LOG_PRODUCER, key);
}

void log_rows_put(struct log_rows *rows, struct rocks_batch *batch, uint64_t head)
{
    int64_t row[1 + SEQUENCER_STREAMS_MAX] = {(int64_t)head};
    bool moved = head != rows->head;
    sequencer_changed_rows(rows->sequencer, put_producer, batch);
    for (uint32_t s = 0; s < rows->streams; s++) {
        int64_t now = sequencer_watermark(rows->sequencer, (uint8_t)s);
        moved |= now != rows->watermark[s];
        row[1 + s] = rows->watermark[s] = now;
    }
    rows->head = head;
    if (moved)
        rocks_batch_put(batch, LOG_META, bytes_text(watermarks_key),
                        bytes_of(row, (1 + rows->streams) * sizeof row[0]));
}
