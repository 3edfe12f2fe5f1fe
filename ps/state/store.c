#include "ps/state/store.h"

#include "base/pack.h"

static const char *const names[STORE_TABLE_COUNT] = {
#define T(name, family, help) [STORE_##name] = family,
    STORE_TABLES(T)
#undef T
};

const char *store_table_name(enum store_table table) { return names[table]; }

bool store_table_is_packed(enum store_table table)
{
    switch (table) {
    case STORE_CHUNK:
    case STORE_RUN:
    case STORE_ATTRIBUTION:
    case STORE_DECIDED:
    case STORE_SAMPLE:
    case STORE_FEATURE:
    case STORE_ARCHIVE: return true;
    default: return false;
    }
}

void store_batch_close(struct store_batch *b) { buffer_close(&b->operations); }

/* As buffer_put_bytes() would put what it is packed into. */
static void put_packed(struct buffer *out, struct bytes value)
{
    size_t at = out->size;
    buffer_put_u32(out, 0);
    pack(value, out);
    uint32_t size = (uint32_t)(out->size - at - sizeof size);
    memcpy(out->data + at, &size, sizeof size);
}

void store_batch_put(struct store_batch *b, enum store_table table, struct bytes key, struct bytes value)
{
    buffer_put_u8(&b->operations, (uint8_t)table);
    buffer_put_u8(&b->operations, 0);
    buffer_put_bytes(&b->operations, key);
    if (store_table_is_packed(table))
        put_packed(&b->operations, value);
    else
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

struct bytes store_operation_value(const struct store_operation *op, struct buffer *buffer)
{
    struct bytes raw = op->value;
    if (!op->remove && store_table_is_packed(op->table))
        CHECK(unpack(op->value, buffer, &raw)); /* we packed it ourselves */
    return raw;
}
