#include "ps/state/param_store.h"

#include <stdlib.h>

enum {
    CHUNK_COST = 8, /* a chunk counts for 1/8 of a full one more: tiny ones are not written all the time */
    DELTA_ROW_BYTES = 1 << 20,
    SECTION_HEAD = 8,
};

void param_store_open(struct param_store *p, uint32_t shard, size_t chunk_bytes)
{
    *p = (struct param_store){.shard = shard, .chunk_bytes = chunk_bytes, .from = 1, .next = 1};
}

void param_store_close(struct param_store *p)
{
    for (uint32_t i = 0; i < p->tables; i++)
        free(p->table[i].chunk);
    free(p->table);
    free(p->queue);
    buffer_close(&p->row);
}

void param_store_add(struct param_store *p, const struct version *version, struct table *table)
{
    size_t size = version_content_size(version), fit = p->chunk_bytes / (PARAM_ID_BYTES + size);
    p->table = mem_grow(p->table, p->tables + 1, sizeof *p->table);
    p->table[p->tables++] = (struct param_table){.version = version,
                                                 .table = table,
                                                 .size = size,
                                                 .mortal = version_is_mortal(version),
                                                 .a_chunk = fit > 0 ? (uint32_t)fit : 1};
}

/* ---- the queue ---- */

static struct param_chunk *chunk_at(const struct param_store *p, struct param_place place)
{
    return &p->table[place.table].chunk[place.chunk];
}

static void put_last(struct param_store *p, struct param_place place)
{
    p->queue[(p->head + p->queued++) % p->capacity] = place;
}

static struct param_place take_first(struct param_store *p)
{
    struct param_place place = p->queue[p->head];
    p->head = (p->head + 1) % p->capacity;
    p->queued--;
    return place;
}

void param_store_queue(struct param_store *p, struct param_place place)
{
    if (p->queued == p->capacity) {
        uint32_t capacity = p->capacity ? 2 * p->capacity : 4, queued = p->queued;
        struct param_place *queue = mem_new(capacity, sizeof *queue);
        for (uint32_t i = 0; i < queued; i++)
            queue[i] = take_first(p);
        free(p->queue);
        p->queue = queue;
        p->head = 0;
        p->queued = queued;
        p->capacity = capacity;
    }
    put_last(p, place);
}

/* A chunk begins with the delta that brings its first block: so chunks come to the end of the queue in order. */
void param_store_touch(struct param_store *p, uint32_t table, uint32_t block, uint64_t number)
{
    struct param_table *t = &p->table[table];
    uint32_t chunk = block / t->a_chunk;
    CHECK(chunk <= t->chunks);
    if (chunk == t->chunks) {
        if (t->chunks == t->capacity) {
            t->capacity = t->capacity ? 2 * t->capacity : 1;
            t->chunk = mem_grow(t->chunk, t->capacity, sizeof *t->chunk);
        }
        t->chunk[t->chunks++] = (struct param_chunk){.as_of = number - 1};
        param_store_queue(p, (struct param_place){table, chunk});
    }
    t->chunk[chunk].touched = true;
}

/* ---- deltas ---- */

static void put_id(struct buffer *out, struct doc_id id)
{
    buffer_put_u64(out, id.low);
    buffer_put_u32(out, id.high);
}

/* Whose it is, and the content, if it is somebody's. */
static void put_named(struct buffer *out, const struct param_table *t, uint32_t number)
{
    struct doc_id id = table_id(t->table, number);
    put_id(out, id);
    if (!doc_id_equal(id, TABLE_NOBODY))
        buffer_put(out, table_block(t->table, number), t->size);
}

static void put_row(struct param_store *p, uint8_t kind, uint64_t number, struct store_batch *out)
{
    uint8_t key[PARAM_KEY];
    key_put_u16(key, (uint16_t)p->shard);
    key[2] = kind;
    key_put_u64(key + 3, number);
    store_batch_put(out, STORE_PARAM, bytes_of(key, sizeof key), buffer_view(&p->row));
    p->row.size = 0;
}

struct delta {
    struct param_store *store;
    struct store_batch *out;
    uint32_t table;
    size_t section; /* where it begins in the row; SIZE_MAX: none is open */
    uint64_t bytes; /* of the rows that are finished */
};

static void end_section(struct delta *d)
{
    struct buffer *row = &d->store->row;
    if (d->section == SIZE_MAX)
        return;
    uint32_t bytes = (uint32_t)(row->size - d->section - SECTION_HEAD);
    memcpy(row->data + d->section + 4, &bytes, sizeof bytes);
    d->section = SIZE_MAX;
}

static void end_row(struct delta *d)
{
    struct param_store *p = d->store;
    end_section(d);
    if (p->row.size == 0)
        return;
    d->bytes += p->row.size;
    put_row(p, PARAM_DELTA, p->next++, d->out);
}

static void put_block(void *context, uint32_t number)
{
    struct delta *d = context;
    struct param_store *p = d->store;
    const struct param_table *t = &p->table[d->table];
    if (p->row.size >= DELTA_ROW_BYTES)
        end_row(d);
    if (d->section == SIZE_MAX) {
        d->section = p->row.size;
        buffer_put_u32(&p->row, t->version->id);
        buffer_put_u32(&p->row, 0); /* the bytes, when they are known */
    }
    bool fresh = t->mortal || number >= t->stored;
    buffer_put_u32(&p->row, fresh ? number | PARAM_FRESH : number);
    if (fresh)
        put_named(&p->row, t, number);
    else
        buffer_put(&p->row, table_block(t->table, number), t->size);
    param_store_touch(p, d->table, number, p->next);
}

/* Returns their bytes. */
static uint64_t put_deltas(struct param_store *p, struct store_batch *out)
{
    struct delta d = {.store = p, .out = out, .section = SIZE_MAX};
    for (; d.table < p->tables; d.table++) {
        struct param_table *t = &p->table[d.table];
        table_take_dirty(t->table, put_block, &d);
        t->stored = table_count(t->table);
        end_section(&d);
    }
    end_row(&d);
    return d.bytes;
}

/* ---- the base ---- */

static uint32_t blocks_in(const struct param_table *t, uint32_t chunk)
{
    uint32_t left = t->stored - chunk * t->a_chunk;
    return left < t->a_chunk ? left : t->a_chunk;
}

static void put_chunk(struct param_store *p, struct param_place place, uint64_t as_of, struct store_batch *out)
{
    const struct param_table *t = &p->table[place.table];
    uint32_t first = place.chunk * t->a_chunk, count = blocks_in(t, place.chunk);
    buffer_put_u64(&p->row, as_of);
    buffer_put_u32(&p->row, first);
    buffer_put_u32(&p->row, count);
    for (uint32_t i = first; i < first + count; i++)
        put_named(&p->row, t, i);
    put_row(p, PARAM_BASE, (uint64_t)t->version->id << 32 | place.chunk, out);
}

static uint64_t price(const struct param_store *p, struct param_place place)
{
    const struct param_table *t = &p->table[place.table];
    return PARAM_ROLL * (blocks_in(t, place.chunk) * (PARAM_ID_BYTES + t->size) + p->chunk_bytes / CHUNK_COST);
}

/* As much of the base as the credit buys, oldest first. */
static void roll(struct param_store *p, uint64_t as_of, struct store_batch *out)
{
    for (;;) {
        struct param_place first = p->queue[p->head];
        struct param_chunk *c = chunk_at(p, first);
        if (c->as_of == as_of) { /* it has come round: all are as new as can be */
            p->credit = 0;
            return;
        }
        if (c->touched) {
            uint64_t cost = price(p, first);
            if (p->credit < cost)
                return;
            p->credit -= cost;
            put_chunk(p, first, as_of, out);
        }
        *c = (struct param_chunk){.as_of = as_of};
        put_last(p, take_first(p));
    }
}

void param_store_commit(struct param_store *p, struct store_batch *out)
{
    uint64_t bytes = put_deltas(p, out);
    uint8_t key[PARAM_KEY];
    if (bytes == 0)
        return;
    p->credit += bytes;
    roll(p, p->next - 1, out);
    key_put_u16(key, (uint16_t)p->shard);
    key[2] = PARAM_DELTA;
    for (uint64_t oldest = chunk_at(p, p->queue[p->head])->as_of; p->from <= oldest; p->from++) {
        key_put_u64(key + 3, p->from);
        store_batch_remove(out, STORE_PARAM, bytes_of(key, sizeof key));
    }
}

void param_store_encode(const struct param_store *p, struct buffer *out)
{
    buffer_put_u64(out, p->from);
    buffer_put_u64(out, p->next);
    buffer_put_u64(out, p->credit);
}

void param_store_decode(struct param_store *p, struct reader *r)
{
    p->from = reader_u64(r);
    p->next = reader_u64(r);
    p->credit = reader_u64(r);
}
