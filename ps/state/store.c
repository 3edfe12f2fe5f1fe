#include "ps/state/store.h"

static const char *const names[STORE_TABLE_COUNT] = {
#define T(name, family, help) [STORE_##name] = family,
    STORE_TABLES(T)
#undef T
};

const char *store_table_name(enum store_table table) { return names[table]; }

void store_batch_close(struct store_batch *b) { buffer_close(&b->operations); }

void store_batch_put(struct store_batch *b, enum store_table table, struct bytes key, struct bytes value)
{
    buffer_put_u8(&b->operations, (uint8_t)table);
    buffer_put_u8(&b->operations, 0);
    buffer_put_bytes(&b->operations, key);
    buffer_put_bytes(&b->operations, value);
}

void store_batch_remove(struct store_batch *b, enum store_table table, struct bytes key)
{
    buffer_put_u8(&b->operations, (uint8_t)table);
    buffer_put_u8(&b->operations, 1);
    buffer_put_bytes(&b->operations, key);
}

bool store_batch_next(struct reader *r, struct store_operation *op)
{
    if (reader_left(r) == 0)
        return false;
    op->table = (enum store_table)reader_u8(r);
    op->remove = reader_u8(r) != 0;
    op->key = reader_bytes(r);
    op->value = op->remove ? (struct bytes){0} : reader_bytes(r);
    CHECK(!r->bad && op->table < STORE_TABLE_COUNT); /* we built it ourselves */
    return true;
}
