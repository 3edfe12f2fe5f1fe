#include "ps/state/rejected.h"

void rejected_put(struct buffer *list, const struct rejected *r)
{
    CLEANUP(buffer_close) struct buffer letter = {0};
    struct bytes event = r->event;
    if (event.size > REJECTED_EVENT_MAX)
        event.size = REJECTED_EVENT_MAX;
    buffer_put_u8(&letter, r->stream);
    buffer_put_i64(&letter, r->time);
    buffer_put_i64(&letter, r->refused_at);
    buffer_put_u32(&letter, r->index);
    buffer_put_u32(&letter, r->size);
    buffer_put_bytes(&letter, r->field);
    buffer_put_bytes(&letter, r->message);
    buffer_put_bytes(&letter, event);
    buffer_put_u8(list, r->stream);
    buffer_put_bytes(list, buffer_view(&letter));
}

void rejected_put_unkept(struct buffer *list, uint8_t stream)
{
    buffer_put_u8(list, stream);
    buffer_put_bytes(list, (struct bytes){0});
}

bool rejected_next(struct reader *r, uint8_t *stream, struct bytes *letter)
{
    if (reader_left(r) == 0)
        return false;
    *stream = reader_u8(r);
    *letter = reader_bytes(r);
    CHECK(!r->bad && *stream <= REJECTED_STREAM_UNKNOWN); /* we built it ourselves */
    return true;
}

void rejected_row(struct buffer *row, uint64_t number, const struct submission *batch, struct bytes letter)
{
    buffer_put_u64(row, number);
    buffer_put_u64(row, batch->position);
    buffer_put_u64(row, batch->sequence);
    buffer_put_bytes(row, bytes_text(batch->producer.client));
    buffer_put_bytes(row, bytes_text(batch->producer.instance));
    buffer_put_bytes(row, bytes_text(batch->producer.lane));
    buffer_put(row, letter.data, letter.size);
}

enum tm_code rejected_decode(struct bytes row, struct rejected *out, struct tm_error *err)
{
    struct reader r = reader_of(row);
    *out = (struct rejected){.number = reader_u64(&r)};
    out->position = reader_u64(&r);
    out->batch = reader_u64(&r);
    out->client = reader_bytes(&r);
    out->instance = reader_bytes(&r);
    out->lane = reader_bytes(&r);
    out->stream = reader_u8(&r);
    out->time = reader_i64(&r);
    out->refused_at = reader_i64(&r);
    out->index = reader_u32(&r);
    out->size = reader_u32(&r);
    out->field = reader_bytes(&r);
    out->message = reader_bytes(&r);
    out->event = reader_bytes(&r);
    bool sane = out->stream <= REJECTED_STREAM_UNKNOWN && out->event.size <= out->size;
    if (r.bad || reader_left(&r) > 0 || !sane)
        return tm_error_set(err, TM_DATA_LOSS, "a rejected event's row of %zu bytes is damaged", row.size);
    return TM_OK;
}
