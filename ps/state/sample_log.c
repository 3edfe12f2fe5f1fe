#include "ps/state/sample_log.h"

#include <stdlib.h>

enum { ROW_KEY = 10 /* shard u16, row u64, big-endian */ };

static void row_key(uint8_t key[static ROW_KEY], uint32_t shard, uint64_t row)
{
    key_put_u16(key, (uint16_t)shard);
    key_put_u64(key + 2, row);
}

void sample_log_open(struct sample_log *l, uint32_t shard, uint64_t first, uint64_t next, uint64_t bytes)
{
    CHECK(first >= 1 && first <= next);
    *l = (struct sample_log){.shard = shard, .bytes = bytes, .first = first, .memory = next, .frozen = next};
}

void sample_log_close(struct sample_log *l)
{
    for (size_t i = 0; i < l->rows; i++)
        buffer_close(&l->row[i]);
    buffer_close(&l->spare);
    free(l->row);
}

/* The row being filled, or the one that will be. */
static uint64_t last_row(const struct sample_log *l) { return l->rows ? l->memory + l->rows - 1 : l->memory; }

struct sample_log_place sample_log_end(const struct sample_log *l)
{
    uint64_t last = last_row(l);
    return (struct sample_log_place){last < l->frozen ? l->frozen : last, l->bytes};
}

static struct buffer *begin_row(struct sample_log *l)
{
    if (l->rows == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 2;
        l->row = mem_grow(l->row, l->capacity, sizeof *l->row);
    }
    struct buffer *row = &l->row[l->rows++];
    *row = l->spare;
    l->spare = (struct buffer){0};
    return row;
}

void sample_log_append(struct sample_log *l, const struct sample *s)
{
    struct buffer *row = l->rows ? &l->row[l->rows - 1] : NULL;
    if (!row || last_row(l) < l->frozen || row->size >= SAMPLE_ROW_BYTES)
        row = begin_row(l);
    size_t before = row->size;
    sample_encode(s, row);
    l->bytes += row->size - before + s->feature_bytes;
}

size_t sample_log_unfrozen(const struct sample_log *l)
{
    size_t bytes = 0;
    for (uint64_t i = l->frozen - l->memory; i < l->rows; i++)
        bytes += l->row[i].size;
    return bytes;
}

static void drop_rows(struct sample_log *l, uint64_t before)
{
    size_t n = 0;
    for (; n < l->rows && l->memory < before; n++, l->memory++) {
        if (!l->spare.data) {
            l->spare = l->row[n];
            l->spare.size = 0;
        } else {
            buffer_close(&l->row[n]);
        }
    }
    l->rows -= n;
    if (l->rows)
        memmove(l->row, l->row + n, l->rows * sizeof *l->row);
}

uint64_t sample_log_freeze(struct sample_log *l, uint64_t needed, struct store_batch *out)
{
    uint8_t key[ROW_KEY];
    struct bytes k = bytes_of(key, sizeof key);
    for (; l->first < needed && l->first < l->frozen; l->first++) {
        row_key(key, l->shard, l->first);
        store_batch_remove(out, STORE_SAMPLE, k);
    }
    for (; l->frozen < l->memory + l->rows; l->frozen++) {
        if (l->frozen < needed) { /* it would be deleted by the next commit */
            l->first = l->frozen + 1;
            continue;
        }
        row_key(key, l->shard, l->frozen);
        store_batch_put(out, STORE_SAMPLE, k, buffer_view(&l->row[l->frozen - l->memory]));
    }
    drop_rows(l, needed < l->frozen ? needed : l->frozen);
    return l->frozen;
}

void sample_log_written(struct sample_log *l, uint64_t rows)
{
    CHECK(rows <= l->frozen);
    if (rows > l->memory)
        drop_rows(l, rows);
}

struct reading {
    const struct sample_log *log;
    uint64_t row; /* the next one */
    sample_log_visit *visit;
    void *context;
    bool ended;
};

static enum tm_code read_row(struct reading *g, struct bytes content, struct tm_error *err)
{
    struct reader r = reader_of(content);
    while (!g->ended && reader_left(&r)) {
        struct sample s;
        size_t before = reader_left(&r);
        sample_decode(&r, &s);
        if (r.bad)
            return tm_error_set(err, TM_DATA_LOSS, "row %llu of the sample log is damaged", (unsigned long long)g->row);
        g->ended = !g->visit(g->context, &s, g->row, before - reader_left(&r) + s.feature_bytes);
    }
    g->row++;
    return TM_OK;
}

static enum tm_code on_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct reading *g = context;
    if (g->ended || g->row == g->log->memory) /* what follows is in memory, too */
        return STORE_ENOUGH;
    if (key.size != ROW_KEY || key_get_u64(key.data + 2) != g->row)
        return tm_error_set(err, TM_DATA_LOSS, "row %llu of the sample log is missing", (unsigned long long)g->row);
    return read_row(g, value, err);
}

static enum tm_code read_stored(struct reading *g, const struct store *store, struct tm_error *err)
{
    uint8_t from[ROW_KEY], prefix[2];
    row_key(from, g->log->shard, g->row);
    key_put_u16(prefix, (uint16_t)g->log->shard);
    enum tm_code rc = store->scan(store->self, STORE_SAMPLE, bytes_of(from, sizeof from),
                                  bytes_of(prefix, sizeof prefix), on_row, g, err);
    if (rc != TM_OK)
        return rc;
    if (!g->ended && g->row < g->log->memory)
        return tm_error_set(err, TM_DATA_LOSS, "the sample log ends in front of row %llu", (unsigned long long)g->row);
    return TM_OK;
}

enum tm_code sample_log_read(const struct sample_log *l, const struct store *store, uint64_t row,
                             sample_log_visit *visit, void *context, struct tm_error *err)
{
    struct reading g = {.log = l, .row = row, .visit = visit, .context = context};
    enum tm_code rc = TM_OK;
    CHECK(row >= l->first);
    if (row < l->memory)
        rc = read_stored(&g, store, err);
    while (rc == TM_OK && !g.ended && g.row < l->memory + l->rows)
        rc = read_row(&g, buffer_view(&l->row[g.row - l->memory]), err);
    return rc;
}
