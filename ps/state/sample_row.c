#include "ps/state/sample_row.h"

enum {
    FORMAT = 3,
    COUNT_AT = 1, /* in the head */
    OLDEST_AT = 1 + 4 + 8,
    NEWEST_AT = OLDEST_AT + 8,
    HEAD = NEWEST_AT + 8,
    EXCLUDED = 16, /* with the kind */
    WAS_EXCLUDED = 32,
};

void kept_sample_of(const struct sample *s, struct bytes event, struct bytes shared, struct kept_sample *out)
{
    CHECK(s->label_count <= JOINER_LABELS_MAX);
    *out = (struct kept_sample){.kind = s->kind,
                                .sequence = s->sequence,
                                .original = s->original,
                                .version = s->version,
                                .labels = s->label_count,
                                .impression_time = s->impression_time,
                                .decided_at = s->decided_at,
                                .position = s->position,
                                .weight = s->weight,
                                .keep = s->keep,
                                .excluded = s->excluded,
                                .old_excluded = s->old_excluded,
                                .streams = s->streams,
                                .wire = event,
                                .shared = shared};
    memcpy(out->label, s->labels, sizeof out->label);
    if (s->kind == SAMPLE_CORRECTION)
        memcpy(out->old_label, s->old_labels, sizeof out->old_label);
}

static void begin(struct buffer *row, const struct kept_sample *s)
{
    buffer_put_u8(row, FORMAT);
    buffer_put_u32(row, 0);
    buffer_put_u64(row, s->sequence);
    buffer_put_i64(row, s->decided_at);
    buffer_put_i64(row, s->decided_at);
}

/* Over the time of decision; it may go back where a configuration of the join is the first to know its gate. */
static void stretch(struct buffer *row, int64_t decided_at)
{
    int64_t oldest, newest;
    memcpy(&oldest, row->data + OLDEST_AT, sizeof oldest);
    memcpy(&newest, row->data + NEWEST_AT, sizeof newest);
    if (decided_at < oldest)
        memcpy(row->data + OLDEST_AT, &decided_at, sizeof decided_at);
    if (decided_at > newest)
        memcpy(row->data + NEWEST_AT, &decided_at, sizeof decided_at);
}

void sample_row_append(struct buffer *row, const struct kept_sample *s)
{
    uint32_t count;
    if (row->size == 0)
        begin(row, s);
    memcpy(&count, row->data + COUNT_AT, sizeof count);
    count++;
    memcpy(row->data + COUNT_AT, &count, sizeof count);
    stretch(row, s->decided_at);
    buffer_reserve(row, 64 + 2 * sizeof s->label + s->wire.size + s->shared.size + s->tables.size + s->records.size);
    buffer_put_u8(row,
                  (uint8_t)((uint32_t)s->kind | (s->excluded ? EXCLUDED : 0) | (s->old_excluded ? WAS_EXCLUDED : 0)));
    buffer_put_u8(row, (uint8_t)s->labels);
    buffer_put_u8(row, (uint8_t)s->streams);
    buffer_put_u32(row, s->version);
    buffer_put_i64(row, s->impression_time);
    buffer_put_i64(row, s->decided_at);
    buffer_put_u64(row, s->position);
    buffer_put_f64(row, s->weight);
    buffer_put_f64(row, s->keep);
    buffer_put(row, s->label, s->labels * sizeof *s->label);
    if (s->kind == SAMPLE_CORRECTION) {
        buffer_put_u64(row, s->original);
        buffer_put(row, s->old_label, s->labels * sizeof *s->old_label);
    }
    buffer_put_u32(row, (uint32_t)(s->wire.size + s->shared.size));
    buffer_put(row, s->wire.data, s->wire.size);
    buffer_put(row, s->shared.data, s->shared.size);
    buffer_put_bytes(row, s->tables);
    buffer_put_bytes(row, s->records);
}

static enum tm_code damaged(const char *what, struct tm_error *err)
{
    return tm_error_set(err, TM_DATA_LOSS, "a row of kept samples is damaged: %s", what);
}

static enum tm_code read_head(struct reader *r, struct sample_row_head *out, struct tm_error *err)
{
    uint8_t format = reader_u8(r);
    out->count = reader_u32(r);
    out->first = reader_u64(r);
    out->oldest = reader_i64(r);
    out->newest = reader_i64(r);
    if (!r->bad && format != FORMAT)
        return tm_error_set(err, TM_DATA_LOSS, "a row of kept samples is of format %u; expected %d", format, FORMAT);
    if (r->bad || out->count == 0 || out->first == 0 || out->first > UINT64_MAX - out->count ||
        out->newest < out->oldest)
        return damaged("its head makes no sense", err);
    return TM_OK;
}

enum tm_code sample_row_head(struct bytes row, struct sample_row_head *out, struct tm_error *err)
{
    struct reader r = reader_of(row);
    return read_head(&r, out, err);
}

enum tm_code sample_row_open(struct bytes row, struct sample_row_reader *out, struct tm_error *err)
{
    *out = (struct sample_row_reader){.reader = reader_of(row)};
    return read_head(&out->reader, &out->head, err);
}

static void read_labels(struct reader *r, uint32_t count, double *out)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = reader_f64(r);
}

static bool is_sane(const struct sample_row_head *head, const struct kept_sample *s)
{
    if (s->old_excluded && s->kind != SAMPLE_CORRECTION)
        return false;
    bool original = s->kind == SAMPLE_CORRECTION ? s->original > 0 && s->original < s->sequence : s->original == 0;
    return original && s->decided_at >= head->oldest && s->decided_at <= head->newest;
}

static bool are_ids(const struct event *e)
{
    return e->doc.size > 0 && e->doc.size <= EVENT_ID_MAX && e->request.size <= EVENT_ID_MAX &&
           e->user.size <= EVENT_ID_MAX && e->representation.size <= EVENT_ID_MAX;
}

enum tm_code sample_row_next(struct sample_row_reader *g, struct kept_sample *out, bool *end, struct tm_error *err)
{
    struct reader *r = &g->reader;
    *end = g->done == g->head.count;
    if (*end)
        return reader_left(r) ? damaged("bytes behind its last sample", err) : TM_OK;
    *out = (struct kept_sample){.sequence = g->head.first + g->done++};
    uint8_t kind = reader_u8(r);
    out->labels = reader_u8(r);
    out->streams = reader_u8(r);
    out->version = reader_u32(r);
    out->impression_time = reader_i64(r);
    out->decided_at = reader_i64(r);
    out->position = reader_u64(r);
    out->weight = reader_f64(r);
    out->keep = reader_f64(r);
    out->excluded = kind & EXCLUDED;
    out->old_excluded = kind & WAS_EXCLUDED;
    kind &= (uint8_t) ~(EXCLUDED | WAS_EXCLUDED);
    if (r->bad || kind > SAMPLE_CORRECTION || out->labels > JOINER_LABELS_MAX || out->streams > JOINER_STREAMS_MAX)
        return damaged("a sample makes no sense", err);
    out->kind = (enum sample_kind)kind;
    read_labels(r, out->labels, out->label);
    if (out->kind == SAMPLE_CORRECTION) {
        out->original = reader_u64(r);
        read_labels(r, out->labels, out->old_label);
    }
    out->wire = reader_bytes(r);
    out->tables = reader_bytes(r);
    out->records = reader_bytes(r);
    if (r->bad || !is_sane(&g->head, out))
        return damaged("a sample makes no sense", err);
    if (event_scan(out->wire, &out->event, NULL) != TM_OK || !are_ids(&out->event))
        return damaged("an event in it cannot be read", err);
    return TM_OK;
}
