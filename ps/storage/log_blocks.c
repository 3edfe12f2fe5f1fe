#include "ps/storage/log_blocks.h"

#include <inttypes.h>

#include "ps/storage/data_dir.h"

enum { NEWEST_CHECKED = 8 };

struct position_key {
    uint8_t bytes[sizeof(uint64_t)];
};

static struct position_key key_of(uint64_t position)
{
    struct position_key key;
    key_put_u64(key.bytes, position);
    return key;
}

static struct bytes key_view(const struct position_key *key) { return bytes_of(key->bytes, sizeof key->bytes); }

void log_blocks_put(struct rocks_batch *batch, const struct shared_block *block)
{
    struct position_key key = key_of(block->block.first);
    rocks_batch_put(batch, LOG_BLOCK, key_view(&key), buffer_view(&block->bytes));
}

static enum tm_code read_key(struct bytes key, uint64_t *position, struct tm_error *err)
{
    if (key.size != sizeof *position)
        return tm_error_set(err, TM_DATA_LOSS, "the log has a block under a key of %zu bytes", key.size);
    *position = key_get_u64(key.data);
    return TM_OK;
}

/* Takes the buffer over. */
static enum tm_code read_block(struct bytes key, struct buffer *value, struct shared_block **out, struct tm_error *err)
{
    uint64_t position = 0;
    struct tm_error why;
    enum tm_code rc = read_key(key, &position, err);
    if (rc)
        return rc;
    if (shared_block_new(value, out, &why))
        return tm_error_set(err, TM_DATA_LOSS, "the block at position %" PRIu64 " is damaged: %.300s", position,
                            why.message);
    if ((*out)->block.first == position)
        return TM_OK;
    rc = tm_error_set(err, TM_DATA_LOSS, "the block at position %" PRIu64 " says it begins at %" PRIu64, position,
                      (*out)->block.first);
    shared_block_unref(*out);
    return rc;
}

static enum tm_code gap(uint64_t from, uint64_t to, struct tm_error *err)
{
    return tm_error_set(err, TM_DATA_LOSS,
                        "the log has a gap: position %" PRIu64 " is missing, the next block is expected at %" PRIu64,
                        from, to);
}

enum tm_code log_blocks_floor(struct rocks *db, uint64_t at, struct shared_block **out, struct tm_error *err)
{
    struct position_key place = key_of(at);
    CLEANUP(buffer_close) struct buffer key = {0}, value = {0};
    enum tm_code rc = rocks_floor(db, LOG_BLOCK, key_view(&place), &key, &value, err);
    return rc ? rc : read_block(buffer_view(&key), &value, out, err);
}

static enum tm_code extent_at(struct rocks *db, uint64_t at, uint64_t *first, uint64_t *end, struct tm_error *err)
{
    struct shared_block *block;
    enum tm_code rc = log_blocks_floor(db, at, &block, err);
    if (rc)
        return rc;
    *first = block->block.first;
    *end = block->block.end;
    shared_block_unref(block);
    return TM_OK;
}

static enum tm_code visit_first(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    (void)value;
    enum tm_code rc = read_key(key, context, err);
    return rc ? rc : STORE_ENOUGH;
}

static enum tm_code missing_first(uint64_t first, uint64_t begins, struct tm_error *err)
{
    if (begins == UINT64_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "the log is kept from position %" PRIu64 " on, but has no blocks",
                            first);
    return tm_error_set(err, TM_DATA_LOSS,
                        "the log is kept from position %" PRIu64 " on, but its first block is at %" PRIu64, first,
                        begins);
}

enum tm_code log_blocks_head(struct rocks *db, uint64_t first, uint64_t *head, struct tm_error *err)
{
    struct bytes all = {0};
    struct position_key from = key_of(first);
    uint64_t at, end, begins = UINT64_MAX;
    *head = 0;
    enum tm_code rc = rocks_scan(db, LOG_BLOCK, key_view(&from), all, visit_first, &begins, err);
    if (rc)
        return rc;
    if (begins != first && (first > 0 || begins != UINT64_MAX))
        return missing_first(first, begins, err);
    if (begins == UINT64_MAX)
        return TM_OK;
    rc = extent_at(db, UINT64_MAX, &at, head, err);
    for (int i = 1; i < NEWEST_CHECKED && rc == TM_OK && at > first; i++) {
        uint64_t next = at;
        rc = extent_at(db, next - 1, &at, &end, err);
        if (rc == TM_OK && end != next)
            return gap(end, next, err);
    }
    return rc;
}

struct replay {
    uint64_t from;
    uint64_t next; /* where the next block must begin */
    log_blocks_visit *visit;
    void *context;
};

static enum tm_code replay_block(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct replay *r = context;
    struct shared_block *block;
    CLEANUP(buffer_close) struct buffer copy = {0};
    buffer_put(&copy, value.data, value.size);
    enum tm_code rc = read_block(key, &copy, &block, err);
    if (rc)
        return rc;
    if (block->block.first != r->next)
        rc = gap(r->next, block->block.first, err);
    r->next = block->block.end;
    if (rc == TM_OK && r->next > r->from)
        return r->visit(r->context, block, err); /* the reference goes along */
    shared_block_unref(block);
    return rc;
}

enum tm_code log_blocks_replay(struct rocks *db, uint64_t from, uint64_t head, log_blocks_visit *visit, void *context,
                               struct tm_error *err)
{
    struct replay r = {.from = from, .visit = visit, .context = context};
    struct position_key begin;
    uint64_t end;
    if (from == head)
        return TM_OK;
    enum tm_code rc = extent_at(db, from, &r.next, &end, err);
    if (rc)
        return rc;
    begin = key_of(r.next);
    rc = rocks_scan(db, LOG_BLOCK, key_view(&begin), (struct bytes){0}, replay_block, &r, err);
    return rc == TM_OK && r.next != head ? gap(r.next, head, err) : rc;
}
