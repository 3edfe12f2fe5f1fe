#include "ps/state/archive.h"

#include <stdlib.h>

enum tag { PLACE, MARK, ROW };
enum { PREFIX = 2 /* shard */ };

static struct bytes put_key(uint8_t key[static ARCHIVE_KEY], uint32_t shard, enum tag tag, uint64_t number)
{
    key_put_u16(key, (uint16_t)shard);
    key[2] = (uint8_t)tag;
    key_put_u64(key + 3, number);
    return bytes_of(key, ARCHIVE_KEY);
}

void archive_row_key(uint8_t key[static ARCHIVE_KEY], uint32_t shard, uint64_t row) { put_key(key, shard, ROW, row); }

/* ---- the index ---- */

static struct archive_mark empty_mark(uint64_t first)
{
    return (struct archive_mark){.first = first, .end = first, .oldest = INT64_MAX, .newest = INT64_MIN};
}

void archive_index_close(struct archive_index *x)
{
    free(x->mark);
    *x = (struct archive_index){0};
}

static void add_mark(struct archive_index *x, const struct archive_mark *m)
{
    if (x->count == x->capacity) {
        x->capacity = x->capacity ? 2 * x->capacity : 16;
        x->mark = mem_grow(x->mark, x->capacity, sizeof *x->mark);
    }
    x->mark[x->count++] = *m;
}

static void encode_mark(const struct archive_mark *m, struct buffer *out)
{
    buffer_put_u64(out, m->first);
    buffer_put_u64(out, m->end);
    buffer_put_u64(out, m->bytes);
    buffer_put_i64(out, m->oldest);
    buffer_put_i64(out, m->newest);
}

static enum tm_code decode_mark(struct bytes stored, struct archive_mark *out, struct tm_error *err)
{
    struct reader r = reader_of(stored);
    out->first = reader_u64(&r);
    out->end = reader_u64(&r);
    out->bytes = reader_u64(&r);
    out->oldest = reader_i64(&r);
    out->newest = reader_i64(&r);
    if (r.bad || reader_left(&r) || out->first < 1 || out->end < out->first)
        return tm_error_set(err, TM_DATA_LOSS, "the index of kept samples is damaged");
    return TM_OK;
}

/* The place comes first, then the marks by rising row; rows are not looked at. */
static enum tm_code read_entry(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct archive_index *x = context;
    struct archive_mark m;
    if (key.size != ARCHIVE_KEY)
        return tm_error_set(err, TM_DATA_LOSS, "the index of kept samples has a key of %zu bytes", key.size);
    if (key.data[2] == ROW)
        return STORE_ENOUGH;
    enum tm_code rc = decode_mark(value, &m, err);
    if (rc != TM_OK)
        return rc;
    x->bytes += m.bytes;
    if (key.data[2] == PLACE)
        x->open = m;
    else
        add_mark(x, &m);
    return TM_OK;
}

static bool is_whole(const struct archive_index *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (x->mark[i].end != (i + 1 < x->count ? x->mark[i + 1].first : x->open.first))
            return false;
    return true;
}

enum tm_code archive_index_read(const struct store *store, uint32_t shard, struct archive_index *out,
                                struct tm_error *err)
{
    uint8_t key[ARCHIVE_KEY];
    struct bytes from = put_key(key, shard, PLACE, 0);
    *out = (struct archive_index){.open = empty_mark(1)};
    enum tm_code rc = store->scan(store->self, STORE_ARCHIVE, from, bytes_of(key, PREFIX), read_entry, out, err);
    if (rc == TM_OK && !is_whole(out))
        rc = tm_error_set(err, TM_DATA_LOSS, "the index of kept samples has a gap");
    if (rc != TM_OK)
        archive_index_close(out);
    return rc;
}

/* ---- what comes ---- */

void archive_open(struct archive *a, uint32_t shard, const struct archive_options *options)
{
    *a = (struct archive){.shard = shard, .options = *options, .index.open = empty_mark(1)};
}

void archive_close(struct archive *a)
{
    for (size_t i = 0; i < a->rows; i++)
        buffer_close(&a->row[i]);
    free(a->row);
    archive_index_close(&a->index);
}

enum tm_code archive_load(struct archive *a, const struct store *store, struct tm_error *err)
{
    CHECK(a->rows == 0 && a->index.count == 0);
    return archive_index_read(store, a->shard, &a->index, err);
}

void archive_add(struct archive *a, const struct kept_sample *s)
{
    if (a->rows == 0 || a->row[a->rows - 1].size >= ARCHIVE_ROW_BYTES) {
        if (a->rows == a->capacity) {
            a->capacity = a->capacity ? 2 * a->capacity : 2;
            a->row = mem_grow(a->row, a->capacity, sizeof *a->row);
        }
        a->row[a->rows++] = (struct buffer){0};
    }
    sample_row_append(&a->row[a->rows - 1], s);
}

size_t archive_unfrozen(const struct archive *a)
{
    size_t bytes = 0;
    for (size_t i = 0; i < a->rows; i++)
        bytes += a->row[i].size;
    return bytes;
}

uint64_t archive_end(const struct archive *a) { return a->index.open.end; }

/* ---- the commit ---- */

static void put_mark(struct archive *a, enum tag tag, const struct archive_mark *m, struct store_batch *out)
{
    CLEANUP(buffer_close) struct buffer value = {0};
    uint8_t key[ARCHIVE_KEY];
    encode_mark(m, &value);
    store_batch_put(out, STORE_ARCHIVE, put_key(key, a->shard, tag, tag == PLACE ? 0 : m->first), buffer_view(&value));
}

static void close_stretch(struct archive *a, struct store_batch *out)
{
    put_mark(a, MARK, &a->index.open, out);
    add_mark(&a->index, &a->index.open);
    a->index.open = empty_mark(a->index.open.end);
}

static bool is_long(const struct archive *a, const struct archive_mark *m)
{
    uint64_t part = a->options.bytes_max / ARCHIVE_MARKS, bytes = part > ARCHIVE_MARK_BYTES ? part : ARCHIVE_MARK_BYTES;
    return m->end - m->first >= ARCHIVE_MARK_ROWS || m->bytes >= bytes ||
           m->newest - m->oldest > a->options.retain_ms / ARCHIVE_TIMES;
}

static void put_rows(struct archive *a, struct store_batch *out)
{
    uint8_t key[ARCHIVE_KEY];
    for (size_t i = 0; i < a->rows; i++) {
        struct bytes row = buffer_view(&a->row[i]);
        struct archive_mark *m = &a->index.open;
        struct sample_row_head head;
        CHECK(sample_row_head(row, &head, NULL) == TM_OK);
        store_batch_put(out, STORE_ARCHIVE, put_key(key, a->shard, ROW, m->end), row);
        m->end++;
        m->bytes += row.size;
        a->index.bytes += row.size;
        m->oldest = head.oldest < m->oldest ? head.oldest : m->oldest;
        m->newest = head.newest > m->newest ? head.newest : m->newest;
        if (is_long(a, m))
            close_stretch(a, out);
        buffer_close(&a->row[i]);
    }
    a->rows = 0;
}

/* What was decided before it may go. */
static int64_t horizon(const struct archive *a, int64_t gate)
{
    if (!archive_keeps(a))
        return INT64_MAX;
    return gate < INT64_MIN + a->options.retain_ms ? INT64_MIN : gate - a->options.retain_ms;
}

static void drop_stretch(struct archive *a, struct store_batch *out)
{
    uint8_t key[ARCHIVE_KEY];
    struct archive_mark m = a->index.mark[0];
    for (uint64_t row = m.first; row < m.end; row++)
        store_batch_remove(out, STORE_ARCHIVE, put_key(key, a->shard, ROW, row));
    store_batch_remove(out, STORE_ARCHIVE, put_key(key, a->shard, MARK, m.first));
    a->index.bytes -= m.bytes;
    memmove(a->index.mark, a->index.mark + 1, --a->index.count * sizeof m);
}

static bool drop_old(struct archive *a, int64_t gate, struct store_batch *out)
{
    int64_t before = horizon(a, gate);
    int dropped = 0;
    if (a->index.open.end > a->index.open.first && a->index.open.newest < before)
        close_stretch(a, out);
    for (; dropped < ARCHIVE_DROPS && a->index.count > 0; dropped++) {
        if (a->index.mark[0].newest >= before && a->index.bytes <= a->options.bytes_max)
            break;
        drop_stretch(a, out);
    }
    return dropped > 0;
}

void archive_freeze(struct archive *a, int64_t gate, struct store_batch *out)
{
    bool came = a->rows > 0;
    put_rows(a, out);
    if (drop_old(a, gate, out) || came)
        put_mark(a, PLACE, &a->index.open, out);
}
