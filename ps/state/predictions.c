#include "ps/state/predictions.h"

#include <math.h>
#include <stdlib.h>

enum { ENTRY_BYTES = 24, HEAD_BYTES = 8 };

static void row_key(uint8_t key[static PREDICTIONS_KEY], const struct predictions *p, uint64_t row)
{
    key_put_u16(key, (uint16_t)p->shard);
    key_put_u32(key + 2, p->version);
    key_put_u64(key + 6, row);
}

void predictions_open(struct predictions *p, uint32_t shard, uint32_t version)
{
    *p = (struct predictions){.shard = shard, .version = version, .first = 1, .frozen = 1};
}

void predictions_close(struct predictions *p)
{
    for (size_t i = 0; i < p->rows; i++)
        free(p->row[i]);
    free(p->row);
}

static struct prediction_row *begin_row(struct predictions *p)
{
    if (p->rows == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 4;
        p->row = mem_grow(p->row, p->capacity, sizeof(struct prediction_row *));
    }
    struct prediction_row *row = mem_new(1, sizeof *row);
    row->newest = INT64_MIN;
    return p->row[p->rows++] = row;
}

void predictions_add(struct predictions *p, const struct prediction *prediction, int64_t time)
{
    struct prediction_row *row = p->rows ? p->row[p->rows - 1] : NULL;
    CHECK(!row || row->entry[row->count - 1].sequence < prediction->sequence);
    if (!row || row->count == PREDICTIONS_ROW)
        row = begin_row(p);
    row->entry[row->count++] = *prediction;
    row->newest = time > row->newest ? time : row->newest;
    uint64_t last = p->first + p->rows - 1;
    p->frozen = last < p->frozen ? last : p->frozen;
}

/* The last row that begins at or before the sequence. */
static const struct prediction_row *row_of(const struct predictions *p, uint64_t sequence)
{
    size_t low = 0, high = p->rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->row[middle]->entry[0].sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? p->row[low - 1] : NULL;
}

const struct prediction *predictions_find(const struct predictions *p, uint64_t sequence)
{
    const struct prediction_row *row = row_of(p, sequence);
    uint32_t low = 0, high = row ? row->count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (row->entry[middle].sequence == sequence)
            return &row->entry[middle];
        if (row->entry[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

size_t predictions_unfrozen(const struct predictions *p)
{
    return (size_t)(p->first + p->rows - p->frozen) * sizeof(struct prediction_row);
}

static void put_row(const struct predictions *p, uint64_t number, struct store_batch *out)
{
    CLEANUP(buffer_close) struct buffer value = {0};
    const struct prediction_row *row = p->row[number - p->first];
    uint8_t key[PREDICTIONS_KEY];
    row_key(key, p, number);
    buffer_reserve(&value, HEAD_BYTES + PREDICTIONS_ROW * ENTRY_BYTES);
    buffer_put_i64(&value, row->newest);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct prediction *e = &row->entry[i];
        buffer_put_u64(&value, e->sequence);
        buffer_put(&value, &e->prequential, sizeof e->prequential);
        buffer_put(&value, &e->served, sizeof e->served);
        buffer_put_u32(&value, e->request);
        buffer_put(&value, &e->freedom, sizeof e->freedom);
    }
    store_batch_put(out, STORE_PREDICTION, bytes_of(key, sizeof key), buffer_view(&value));
}

static void let_go(struct predictions *p, int64_t expiry, struct store_batch *out)
{
    size_t gone = 0;
    for (; gone < p->rows && p->row[gone]->newest < expiry; gone++) {
        uint8_t key[PREDICTIONS_KEY];
        row_key(key, p, p->first + gone);
        store_batch_remove(out, STORE_PREDICTION, bytes_of(key, sizeof key));
        free(p->row[gone]);
    }
    p->first += gone;
    p->rows -= gone;
    if (p->rows)
        memmove(p->row, p->row + gone, p->rows * sizeof(struct prediction_row *));
    p->frozen = p->frozen < p->first ? p->first : p->frozen;
}

void predictions_freeze(struct predictions *p, int64_t expiry, struct store_batch *out)
{
    let_go(p, expiry, out);
    for (; p->frozen < p->first + p->rows; p->frozen++)
        put_row(p, p->frozen, out);
}

/* ---- loading ---- */

void predictions_encode(const struct predictions *p, struct buffer *out)
{
    buffer_put_u64(out, p->first);
    buffer_put_u64(out, p->first + p->rows);
}

void predictions_decode(struct predictions *p, struct reader *r)
{
    p->first = reader_u64(r);
    p->frozen = reader_u64(r);
    r->bad = r->bad || p->first < 1 || p->frozen < p->first;
}

static float read_float(struct reader *r)
{
    float value = 0;
    const uint8_t *bytes = reader_take(r, sizeof value);
    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return value;
}

static bool counted(const struct prediction *e, float p) { return e->freedom > 0 ? isfinite(p) : p >= 0 && p <= 1; }

/* Every row but the last is full. */
static bool continues(const struct predictions *p, uint64_t number)
{
    return number == p->first + p->rows && number < p->frozen &&
           (p->rows == 0 || p->row[p->rows - 1]->count == PREDICTIONS_ROW);
}

static bool read_row(struct prediction_row *row, uint64_t before, struct reader *r)
{
    row->newest = reader_i64(r);
    for (; reader_left(r) && row->count < PREDICTIONS_ROW; row->count++) {
        struct prediction *e = &row->entry[row->count];
        e->sequence = reader_u64(r);
        e->prequential = read_float(r);
        e->served = read_float(r);
        e->request = reader_u32(r);
        e->freedom = read_float(r);
        if (r->bad || e->sequence <= before || !(counted(e, e->prequential) || counted(e, e->served)))
            return false;
        before = e->sequence;
    }
    return !r->bad && row->count > 0 && reader_left(r) == 0;
}

enum tm_code predictions_load_row(struct predictions *p, struct bytes key, struct bytes value, struct tm_error *err)
{
    uint64_t number = key.size == PREDICTIONS_KEY ? key_get_u64(key.data + 6) : 0;
    uint64_t before = p->rows ? p->row[p->rows - 1]->entry[PREDICTIONS_ROW - 1].sequence : 0;
    struct reader r = reader_of(value);
    if (!continues(p, number) || !read_row(begin_row(p), before, &r))
        return tm_error_set(err, TM_DATA_LOSS, "row %llu of the predictions of version %u is not what was written",
                            (unsigned long long)number, p->version);
    return TM_OK;
}

enum tm_code predictions_loaded(const struct predictions *p, struct tm_error *err)
{
    if (p->first + p->rows == p->frozen)
        return TM_OK;
    return tm_error_set(err, TM_DATA_LOSS, "of the predictions of version %u there are %zu rows; expected %llu",
                        p->version, p->rows, (unsigned long long)(p->frozen - p->first));
}
