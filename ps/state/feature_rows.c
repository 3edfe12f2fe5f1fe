#include "ps/state/feature_rows.h"

#include <stdlib.h>

enum { ROW_KEY = 10, ENTRY_HEAD = sizeof(uint32_t) };

static void row_key(uint8_t key[static ROW_KEY], uint32_t shard, uint64_t row)
{
    key_put_u16(key, (uint16_t)shard);
    key_put_u64(key + 2, row);
}

void feature_rows_open(struct feature_rows *f, uint32_t shard)
{
    *f = (struct feature_rows){.shard = shard, .first = 1, .memory = 1, .frozen = 1};
}

void feature_rows_close(struct feature_rows *f)
{
    for (size_t i = 0; i < f->rows; i++)
        buffer_close(&f->row[i]);
    for (size_t i = 0; i < FEATURE_ROWS_CACHED; i++)
        buffer_close(&f->cache[i].bytes);
    free(f->row);
}

/* ---- stretches ---- */

static uint64_t stretch_begin(const struct feature_rows *f, uint32_t i) { return i ? f->stretch[i - 1].end : f->first; }

/* Two neighbours become one: those that are smallest together. */
static void merge_stretches(struct feature_rows *f)
{
    uint32_t best = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i + 1 < f->stretches; i++) {
        uint64_t rows = f->stretch[i + 1].end - stretch_begin(f, i);
        if (rows < least) {
            least = rows;
            best = i;
        }
    }
    struct feature_stretch *s = &f->stretch[best];
    s[1].newest = s[0].newest > s[1].newest ? s[0].newest : s[1].newest;
    memmove(s, s + 1, (--f->stretches - best) * sizeof *s);
}

static void note_time(struct feature_rows *f, uint64_t row, int64_t time)
{
    struct feature_stretch *last = f->stretches ? &f->stretch[f->stretches - 1] : NULL;
    if (last && row < last->end) {
        last->newest = time > last->newest ? time : last->newest;
        return;
    }
    if (f->stretches == FEATURE_STRETCHES)
        merge_stretches(f);
    f->stretch[f->stretches++] = (struct feature_stretch){row + 1, time};
}

/* ---- writing ---- */

static struct buffer *begin_row(struct feature_rows *f)
{
    if (f->rows == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 2;
        f->row = mem_grow(f->row, f->capacity, sizeof *f->row);
    }
    struct buffer *row = &f->row[f->rows++];
    *row = (struct buffer){0};
    return row;
}

struct sample_place feature_rows_append(struct feature_rows *f, struct bytes packed, int64_t time)
{
    struct buffer *row = f->rows ? &f->row[f->rows - 1] : NULL;
    CHECK(packed.size + ENTRY_HEAD <= FEATURE_ROW_BYTES);
    if (!row || f->memory + f->rows <= f->frozen || row->size + ENTRY_HEAD + packed.size > FEATURE_ROW_BYTES)
        row = begin_row(f);
    struct sample_place place = {f->memory + f->rows - 1, (uint32_t)row->size};
    buffer_put_bytes(row, packed);
    note_time(f, place.row, time);
    return place;
}

size_t feature_rows_unfrozen(const struct feature_rows *f)
{
    size_t bytes = 0;
    for (uint64_t i = f->frozen - f->memory; i < f->rows; i++)
        bytes += f->row[i].size;
    return bytes;
}

static void drop_rows(struct feature_rows *f, uint64_t before)
{
    size_t n = 0;
    for (; n < f->rows && f->memory < before; n++, f->memory++)
        buffer_close(&f->row[n]);
    f->rows -= n;
    if (f->rows)
        memmove(f->row, f->row + n, f->rows * sizeof *f->row);
}

/* Those that no commit carries yet are never written. */
static void let_go(struct feature_rows *f, int64_t expiry, uint64_t held, struct store_batch *out)
{
    uint8_t key[ROW_KEY];
    uint32_t gone = 0;
    for (; gone < f->stretches && f->stretch[gone].newest < expiry && f->stretch[gone].end <= held; gone++)
        for (; f->first < f->stretch[gone].end; f->first++)
            if (f->first < f->frozen) {
                row_key(key, f->shard, f->first);
                store_batch_remove(out, STORE_FEATURE, bytes_of(key, sizeof key));
            }
    f->stretches -= gone;
    memmove(f->stretch, f->stretch + gone, f->stretches * sizeof *f->stretch);
}

uint64_t feature_rows_freeze(struct feature_rows *f, int64_t expiry, uint64_t held, struct store_batch *out)
{
    uint8_t key[ROW_KEY];
    let_go(f, expiry, held, out);
    for (; f->frozen < f->memory + f->rows; f->frozen++) {
        if (f->frozen < f->first)
            continue;
        row_key(key, f->shard, f->frozen);
        store_batch_put(out, STORE_FEATURE, bytes_of(key, sizeof key), buffer_view(&f->row[f->frozen - f->memory]));
    }
    drop_rows(f, f->first);
    return f->frozen;
}

void feature_rows_written(struct feature_rows *f, uint64_t rows)
{
    CHECK(rows <= f->frozen);
    drop_rows(f, rows);
}

/* ---- reading ---- */

/* The entry at this offset of a row. */
static enum tm_code entry_at(struct bytes row, struct sample_place place, struct bytes *packed, struct tm_error *err)
{
    struct reader r = reader_of(row);
    reader_take(&r, place.offset);
    *packed = reader_bytes(&r);
    if (r.bad)
        return tm_error_set(err, TM_DATA_LOSS, "row %llu of the features is damaged", (unsigned long long)place.row);
    return TM_OK;
}

static enum tm_code copy_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct buffer *out = context;
    (void)key, (void)err;
    buffer_put(out, value.data, value.size);
    return STORE_ENOUGH;
}

/* Nothing is appended: there is no such row. No row is empty. */
static enum tm_code load_row(const struct store *store, uint32_t shard, uint64_t row, struct buffer *out,
                             struct tm_error *err)
{
    uint8_t key[ROW_KEY];
    row_key(key, shard, row);
    struct bytes k = bytes_of(key, sizeof key);
    return store->scan(store->self, STORE_FEATURE, k, k, copy_row, out, err);
}

static enum tm_code read_stored(struct feature_rows *f, const struct store *store, uint64_t row, struct bytes *out,
                                struct tm_error *err)
{
    struct feature_cached *oldest = &f->cache[0];
    for (size_t i = 0; i < FEATURE_ROWS_CACHED; i++) {
        struct feature_cached *c = &f->cache[i];
        if (c->row == row) {
            c->used = ++f->reads;
            *out = buffer_view(&c->bytes);
            return TM_OK;
        }
        if (c->used < oldest->used)
            oldest = c;
    }
    oldest->row = oldest->bytes.size = 0;
    enum tm_code rc = load_row(store, f->shard, row, &oldest->bytes, err);
    if (rc == TM_OK && oldest->bytes.size == 0)
        rc = tm_error_set(err, TM_DATA_LOSS, "row %llu of the features is missing", (unsigned long long)row);
    if (rc != TM_OK)
        return rc;
    oldest->row = row;
    oldest->used = ++f->reads;
    *out = buffer_view(&oldest->bytes);
    return TM_OK;
}

enum tm_code feature_rows_read(struct feature_rows *f, const struct store *store, struct sample_place place,
                               struct bytes *packed, struct tm_error *err)
{
    struct bytes row;
    enum tm_code rc = TM_OK;
    if (place.row < f->first || place.row >= f->memory + f->rows)
        return tm_error_set(err, TM_DATA_LOSS, "row %llu of the features is wanted; kept are %llu to %llu",
                            (unsigned long long)place.row, (unsigned long long)f->first,
                            (unsigned long long)(f->memory + f->rows));
    if (place.row >= f->memory)
        row = buffer_view(&f->row[place.row - f->memory]);
    else
        rc = read_stored(f, store, place.row, &row, err);
    return rc == TM_OK ? entry_at(row, place, packed, err) : rc;
}

enum tm_code feature_rows_fetch(const struct store *store, uint32_t shard, struct sample_place place,
                                struct buffer *out, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    struct bytes packed;
    enum tm_code rc = load_row(store, shard, place.row, &row, err);
    if (rc == TM_OK && row.size == 0)
        return tm_error_set(err, TM_NOT_FOUND, "row %llu of the features is not kept any more",
                            (unsigned long long)place.row);
    if (rc == TM_OK)
        rc = entry_at(buffer_view(&row), place, &packed, err);
    if (rc == TM_OK)
        buffer_put(out, packed.data, packed.size);
    return rc;
}

/* ---- the place ---- */

void feature_rows_encode(const struct feature_rows *f, struct buffer *out)
{
    buffer_put_u64(out, f->first);
    buffer_put_u64(out, f->frozen);
    buffer_put_u32(out, f->stretches);
    for (uint32_t i = 0; i < f->stretches; i++) {
        buffer_put_u64(out, f->stretch[i].end);
        buffer_put_i64(out, f->stretch[i].newest);
    }
}

void feature_rows_decode(struct feature_rows *f, struct reader *r)
{
    f->first = reader_u64(r);
    f->memory = f->frozen = reader_u64(r);
    f->stretches = reader_u32(r);
    if (f->stretches > FEATURE_STRETCHES) {
        r->bad = true;
        f->stretches = 0;
    }
    for (uint32_t i = 0; i < f->stretches; i++) {
        f->stretch[i].end = reader_u64(r);
        f->stretch[i].newest = reader_i64(r);
        r->bad = r->bad || f->stretch[i].end <= stretch_begin(f, i);
    }
    r->bad = r->bad || f->first < 1 || f->first + (f->stretches ? 1 : 0) > f->frozen ||
             stretch_begin(f, f->stretches) != f->frozen;
}
