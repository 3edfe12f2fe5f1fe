#include "tests/simulation/memory_store.h"

#include <stdlib.h>

static int compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* The first row whose key is not below. */
static size_t lower_bound(const struct memory_table *t, struct bytes key)
{
    size_t low = 0, high = t->rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(buffer_view(&t->row[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct memory_row *memory_table_find(const struct memory_table *t, struct bytes key)
{
    size_t at = lower_bound(t, key);
    return at < t->rows && bytes_equal(buffer_view(&t->row[at].key), key) ? &t->row[at] : NULL;
}

void memory_table_put(struct memory_table *t, struct bytes key, struct bytes value)
{
    size_t at = lower_bound(t, key);
    if (at == t->rows || !bytes_equal(buffer_view(&t->row[at].key), key)) {
        if (t->rows == t->capacity) {
            t->capacity = t->capacity ? 2 * t->capacity : 16;
            t->row = mem_grow(t->row, t->capacity, sizeof *t->row);
        }
        memmove(t->row + at + 1, t->row + at, (t->rows - at) * sizeof *t->row);
        t->row[at] = (struct memory_row){0};
        t->rows++;
        buffer_put(&t->row[at].key, key.data, key.size);
    }
    t->row[at].value.size = 0;
    buffer_put(&t->row[at].value, value.data, value.size);
}

void memory_table_remove(struct memory_table *t, struct bytes key)
{
    size_t at = lower_bound(t, key);
    if (at == t->rows || !bytes_equal(buffer_view(&t->row[at].key), key))
        return;
    buffer_close(&t->row[at].key);
    buffer_close(&t->row[at].value);
    t->rows--;
    memmove(t->row + at, t->row + at + 1, (t->rows - at) * sizeof *t->row);
}

bool memory_table_equal(const struct memory_table *a, const struct memory_table *b)
{
    if (a->rows != b->rows)
        return false;
    for (size_t i = 0; i < a->rows; i++)
        if (!bytes_equal(buffer_view(&a->row[i].key), buffer_view(&b->row[i].key)) ||
            !bytes_equal(buffer_view(&a->row[i].value), buffer_view(&b->row[i].value)))
            return false;
    return true;
}

void memory_table_close(struct memory_table *t)
{
    for (size_t i = 0; i < t->rows; i++) {
        buffer_close(&t->row[i].key);
        buffer_close(&t->row[i].value);
    }
    free(t->row);
    *t = (struct memory_table){0};
}

/* ---- commits ---- */

void memory_store_commit(struct memory_store *s, struct store_batch *batch)
{
    s->pending = mem_grow(s->pending, s->n_pending + 1, sizeof *s->pending);
    s->pending[s->n_pending++] = batch->operations;
    *batch = (struct store_batch){0};
}

static void keep(struct memory_store *s, uint32_t commits)
{
    for (uint32_t i = 0; i < s->n_pending; i++) {
        struct reader r = reader_of(buffer_view(&s->pending[i]));
        CLEANUP(buffer_close) struct buffer raw = {0};
        struct store_operation op;
        while (i < commits && store_batch_next(&r, &op))
            if (op.remove)
                memory_table_remove(&s->table[op.table], op.key);
            else
                memory_table_put(&s->table[op.table], op.key, store_operation_value(&op, &raw));
        buffer_close(&s->pending[i]);
    }
    s->n_pending = 0;
}

void memory_store_sync(struct memory_store *s) { keep(s, s->n_pending); }

void memory_store_crash(struct memory_store *s, uint32_t survivors)
{
    CHECK(survivors <= s->n_pending);
    keep(s, survivors);
}

void memory_store_close(struct memory_store *s)
{
    keep(s, 0);
    free(s->pending);
    for (int i = 0; i < STORE_TABLE_COUNT; i++)
        memory_table_close(&s->table[i]);
}

enum tm_code memory_table_scan(const struct memory_table *t, struct bytes from, struct bytes prefix, store_visit *visit,
                               void *context, struct tm_error *err)
{
    struct bytes start = compare(from, prefix) > 0 ? from : prefix;
    for (size_t i = lower_bound(t, start); i < t->rows; i++) {
        struct bytes key = buffer_view(&t->row[i].key);
        if (key.size < prefix.size || (prefix.size && memcmp(key.data, prefix.data, prefix.size) != 0))
            break;
        enum tm_code rc = visit(context, key, buffer_view(&t->row[i].value), err);
        if (rc != TM_OK)
            return rc == STORE_ENOUGH ? TM_OK : rc;
    }
    return TM_OK;
}

static enum tm_code scan(void *self, enum store_table table, struct bytes from, struct bytes prefix, store_visit *visit,
                         void *context, struct tm_error *err)
{
    return memory_table_scan(&((struct memory_store *)self)->table[table], from, prefix, visit, context, err);
}

static enum tm_code get(void *self, enum store_table table, struct bytes key, struct buffer *out, struct tm_error *err)
{
    const struct memory_row *row = memory_table_find(&((struct memory_store *)self)->table[table], key);
    (void)err;
    if (!row)
        return TM_NOT_FOUND;
    buffer_put(out, row->value.data, row->value.size);
    return TM_OK;
}

struct store memory_store_face(struct memory_store *s) { return (struct store){s, scan, get}; }
