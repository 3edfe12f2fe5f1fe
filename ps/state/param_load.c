/* How the parameters of a shard come back: the base, then the deltas. */
#include <stdlib.h>

#include "ps/state/param_store.h"

struct loading {
    struct param_store *store;
    bool all;            /* a row of a version that was not added is damage, not somebody else's */
    uint64_t from, next; /* the deltas met so far; 0: none */
};

static struct param_table *find(const struct param_store *p, uint32_t version)
{
    for (uint32_t i = 0; i < p->tables; i++)
        if (p->table[i].version->id == version)
            return &p->table[i];
    return NULL;
}

static enum tm_code unknown_version(const struct loading *l, uint32_t version, struct tm_error *err)
{
    return l->all
               ? tm_error_set(err, TM_DATA_LOSS, "parameters of version %u, which the catalog does not know", version)
               : TM_OK;
}

static enum tm_code damaged(const struct param_table *t, const char *what, uint64_t number, struct tm_error *err)
{
    return tm_error_set(err, TM_DATA_LOSS, "version %s: %s %llu of its parameters is damaged, or one is missing",
                        t->version->name, what, (unsigned long long)number);
}

/* The id of a block, and its content, if it is somebody's. NULL: the row has ended. */
static const uint8_t *take_named(const struct param_table *t, struct reader *r, struct doc_id *id)
{
    const uint8_t *name = reader_take(r, PARAM_ID_BYTES);
    if (!name)
        return NULL;
    memcpy(&id->low, name, sizeof id->low);
    memcpy(&id->high, name + sizeof id->low, sizeof id->high);
    return doc_id_equal(*id, TABLE_NOBODY) ? name : reader_take(r, t->size);
}

/* One block into its place. False: that is no place of it, or the row has ended. content, of a block's size: what it is
 * now, zeros where it is free. */
static bool place(struct param_table *t, uint32_t number, bool named, struct reader *r, void *content)
{
    struct doc_id id;
    const uint8_t *stored = named ? take_named(t, r, &id) : reader_take(r, t->size);
    uint32_t count = table_count(t->table);
    if (!stored || number > count || (number < count ? named && !t->mortal : !named))
        return false;
    memset(content, 0, t->size);
    if (!named || !doc_id_equal(id, TABLE_NOBODY))
        memcpy(content, stored, t->size);
    if (named)
        table_place(t->table, number, id, content);
    else
        table_write(t->table, number, content);
    return true;
}

static enum tm_code check_block(const struct param_table *t, const void *content, struct tm_error *err)
{
    if (t->version->model->valid(&t->version->config, content))
        return TM_OK;
    return tm_error_set(err, TM_DATA_LOSS, "a parameter of version %s holds what no sample could have made",
                        t->version->name);
}

static enum tm_code load_chunk(struct loading *l, struct bytes key, struct bytes value, struct tm_error *err)
{
    uint32_t version = key_get_u32(key.data + 3), chunk = key_get_u32(key.data + 7);
    struct param_table *t = find(l->store, version);
    struct reader r = reader_of(value);
    uint64_t as_of = reader_u64(&r);
    uint32_t first = reader_u32(&r), count = reader_u32(&r);
    if (!t)
        return unknown_version(l, version, err);
    if (chunk != t->chunks || first != table_count(t->table) || first != chunk * t->a_chunk || count > t->a_chunk)
        return damaged(t, "chunk", chunk, err);
    CLEANUP(block_copy_close) struct block_copy copy;
    void *content = block_copy_open(&copy, t->size);
    for (uint32_t i = first; i < first + count; i++) {
        if (!place(t, i, true, &r, content))
            return damaged(t, "chunk", chunk, err);
        enum tm_code rc = check_block(t, content, err);
        if (rc != TM_OK)
            return rc;
    }
    if (r.bad || reader_left(&r))
        return damaged(t, "chunk", chunk, err);
    param_store_touch(l->store, (uint32_t)(t - l->store->table), first, as_of);
    t->chunk[chunk] = (struct param_chunk){.as_of = as_of};
    return TM_OK;
}

static enum tm_code load_section(struct loading *l, struct param_table *t, uint64_t delta, struct bytes entries,
                                 struct tm_error *err)
{
    CLEANUP(block_copy_close) struct block_copy copy;
    void *content = block_copy_open(&copy, t->size);
    struct reader r = reader_of(entries);
    while (reader_left(&r)) {
        uint32_t word = reader_u32(&r), number = word & ~PARAM_FRESH, chunk = number / t->a_chunk;
        bool fresh = word & PARAM_FRESH;
        if (chunk < t->chunks && t->chunk[chunk].as_of >= delta) {
            struct doc_id ignored;
            fresh ? take_named(t, &r, &ignored) : reader_take(&r, t->size);
            continue;
        }
        if (r.bad || !place(t, number, fresh, &r, content))
            return damaged(t, "delta", delta, err);
        enum tm_code rc = check_block(t, content, err);
        if (rc != TM_OK)
            return rc;
        param_store_touch(l->store, (uint32_t)(t - l->store->table), number, delta);
    }
    return r.bad ? damaged(t, "delta", delta, err) : TM_OK;
}

static enum tm_code load_delta(struct loading *l, uint64_t delta, struct bytes value, struct tm_error *err)
{
    struct reader r = reader_of(value);
    if (l->next && delta != l->next)
        return tm_error_set(err, TM_DATA_LOSS, "delta %llu of the parameters is missing", (unsigned long long)l->next);
    l->from = l->from ? l->from : delta;
    l->next = delta + 1;
    while (reader_left(&r)) {
        uint32_t version = reader_u32(&r);
        struct bytes entries = reader_bytes(&r);
        struct param_table *t = find(l->store, version);
        if (r.bad)
            return tm_error_set(err, TM_DATA_LOSS, "delta %llu of the parameters is damaged",
                                (unsigned long long)delta);
        enum tm_code rc = t ? load_section(l, t, delta, entries, err) : unknown_version(l, version, err);
        if (rc != TM_OK)
            return rc;
    }
    return TM_OK;
}

static enum tm_code load_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    if (key.size == PARAM_KEY && key.data[2] == PARAM_BASE)
        return load_chunk(context, key, value, err);
    if (key.size == PARAM_KEY && key.data[2] == PARAM_DELTA)
        return load_delta(context, key_get_u64(key.data + 3), value, err);
    return tm_error_set(err, TM_DATA_LOSS, "a row of parameters has a key of %zu bytes", key.size);
}

static enum tm_code scan(struct loading *l, const struct store *store, struct tm_error *err)
{
    uint8_t shard[2];
    struct bytes prefix = bytes_of(shard, sizeof shard);
    key_put_u16(shard, (uint16_t)l->store->shard);
    return store->scan(store->self, STORE_PARAM, prefix, prefix, load_row, l, err);
}

enum tm_code param_store_read(struct param_store *p, const struct store *store, struct tm_error *err)
{
    return scan(&(struct loading){.store = p}, store, err);
}

struct aged {
    struct param_place place;
    uint64_t as_of;
};

static int by_age(const void *a, const void *b)
{
    const struct aged *x = a, *y = b;
    return (x->as_of > y->as_of) - (x->as_of < y->as_of);
}

/* Chunks that no delta has touched are as of the last one. */
static enum tm_code sort_queue(struct param_store *p, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    struct aged *aged = mem_new(p->queued + 1, sizeof *aged);
    for (uint32_t i = 0; i < p->queued && rc == TM_OK; i++) {
        struct param_place at = p->queue[i]; /* head is 0 while it is filled */
        struct param_chunk *c = &p->table[at.table].chunk[at.chunk];
        if (c->as_of >= p->next)
            rc = damaged(&p->table[at.table], "chunk", at.chunk, err);
        if (!c->touched)
            c->as_of = p->next - 1;
        aged[i] = (struct aged){at, c->as_of};
    }
    qsort(aged, p->queued, sizeof *aged, by_age);
    for (uint32_t i = 0; i < p->queued; i++)
        p->queue[i] = aged[i].place;
    free(aged);
    return rc;
}

enum tm_code param_store_load(struct param_store *p, const struct store *store, struct tm_error *err)
{
    struct loading l = {.store = p, .all = true};
    enum tm_code rc = scan(&l, store, err);
    if (rc != TM_OK)
        return rc;
    if (p->from < p->next ? l.from != p->from || l.next != p->next : l.from != 0)
        return tm_error_set(err, TM_DATA_LOSS,
                            "the deltas of the parameters are %llu to %llu; the last commit counted %llu to %llu",
                            (unsigned long long)l.from, (unsigned long long)l.next - 1, (unsigned long long)p->from,
                            (unsigned long long)p->next - 1);
    for (uint32_t i = 0; i < p->tables; i++)
        p->table[i].stored = table_count(p->table[i].table);
    return sort_queue(p, err);
}
