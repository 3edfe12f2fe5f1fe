#include "joiner/run.h"

#include <stdlib.h>

#include "joiner/decided.h"

void run_key(uint8_t key[static RUN_KEY], enum run_row row, uint64_t run, uint32_t part)
{
    key[0] = (uint8_t)row;
    key_put_u64(key + 1, run);
    key_put_u32(key + 9, part);
}

void run_written(struct run *r, uint32_t blocks)
{
    uint32_t n = blocks - r->written;
    if (blocks <= r->written)
        return;
    CHECK(n <= r->unwritten_count);
    for (uint32_t i = 0; i < n; i++)
        buffer_close(&r->unwritten[i]);
    r->written = blocks;
    r->unwritten_count -= n;
    memmove(r->unwritten, r->unwritten + n, r->unwritten_count * sizeof *r->unwritten);
    if (r->written == run_blocks(r)) {
        free(r->unwritten);
        r->unwritten = NULL;
        r->unwritten_capacity = 0;
    }
}

void run_close(struct run *r)
{
    for (uint32_t i = 0; i < r->unwritten_count; i++)
        buffer_close(&r->unwritten[i]);
    free(r->unwritten);
    key_filter_close(&r->filter);
    *r = (struct run){0};
}

bool run_in_memory(const struct run *r, uint32_t block)
{
    return block >= r->written && block - r->written < r->unwritten_count;
}

size_t run_memory(const struct run *r)
{
    size_t bytes = key_filter_bytes(&r->filter) + r->unwritten_capacity * sizeof *r->unwritten;
    for (uint32_t i = 0; i < r->unwritten_count; i++)
        bytes += r->unwritten[i].capacity;
    return bytes;
}

static enum tm_code damaged(const struct run *r, uint32_t block, const char *how, struct tm_error *err)
{
    return tm_error_set(err, TM_DATA_LOSS, "block %u of run %llu of decided keys is %s", block,
                        (unsigned long long)r->id, how);
}

enum tm_code run_read(const struct run *r, uint32_t block, const struct run_store *store, struct buffer *buffer,
                      struct bytes *entries, struct tm_error *err)
{
    uint8_t key[RUN_KEY];
    uint64_t checksum;
    if (run_in_memory(r, block)) {
        const struct buffer *b = &r->unwritten[block - r->written];
        *entries = bytes_of(b->data + RUN_BLOCK_HEAD, b->size - RUN_BLOCK_HEAD);
        return TM_OK;
    }
    run_key(key, RUN_BLOCK, r->id, block);
    buffer->size = 0;
    enum tm_code rc = store->get(store->self, bytes_of(key, sizeof key), buffer, err);
    if (rc != TM_OK)
        return rc == TM_NOT_FOUND ? damaged(r, block, "missing", err) : rc;
    if (buffer->size < RUN_BLOCK_HEAD)
        return damaged(r, block, "damaged", err);
    memcpy(&checksum, buffer->data, sizeof checksum);
    *entries = bytes_of(buffer->data + RUN_BLOCK_HEAD, buffer->size - RUN_BLOCK_HEAD);
    return checksum == hash_64(*entries) ? TM_OK : damaged(r, block, "damaged", err);
}

bool run_entry_next(struct reader *r, struct run_entry *out)
{
    const uint8_t *begin = r->at, *p;
    if (reader_left(r) == 0 || !(p = reader_take(r, DECIDED_ENTRY)))
        return false;
    struct reader head = reader_of(bytes_of(p + sizeof out->key, sizeof out->time));
    memcpy(&out->key, p, sizeof out->key);
    out->time = reader_i64(&head);
    if (!reader_take(r, (size_t)decided_entry_actions(p) * DECIDED_ENTRY_ACTION))
        return false;
    out->bytes = bytes_of(begin, (size_t)(r->at - begin));
    return true;
}

static void begin_block(struct run_builder *b)
{
    b->block.size = 0;
    buffer_put_u64(&b->block, 0);
}

void run_build(struct run_builder *b, uint64_t id, uint64_t keys, uint32_t block_keys, uint32_t filter_bits)
{
    *b = (struct run_builder){.run = {.id = id, .oldest = INT64_MAX, .newest = INT64_MIN}};
    while (keys >> b->run.shift > block_keys)
        b->run.shift++;
    CHECK(b->run.shift < 32);
    key_filter_open(&b->run.filter, key_filter_lines(keys, filter_bits));
    begin_block(b);
}

static void keep_unwritten(struct run *r, struct bytes block)
{
    if (r->unwritten_count == r->unwritten_capacity) {
        r->unwritten_capacity = r->unwritten_capacity ? 2 * r->unwritten_capacity : 16;
        r->unwritten = mem_grow(r->unwritten, r->unwritten_capacity, sizeof *r->unwritten);
    }
    struct buffer *kept = &r->unwritten[r->unwritten_count++];
    *kept = (struct buffer){0};
    buffer_put(kept, block.data, block.size);
}

/* The row goes into the commit; the block stays until the commit is written. */
static void end_block(struct run_builder *b, const struct run_store *store)
{
    uint8_t key[RUN_KEY];
    uint64_t checksum = hash_64(bytes_of(b->block.data + RUN_BLOCK_HEAD, b->block.size - RUN_BLOCK_HEAD));
    memcpy(b->block.data, &checksum, sizeof checksum);
    run_key(key, RUN_BLOCK, b->run.id, b->at);
    store->put(store->self, bytes_of(key, sizeof key), buffer_view(&b->block));
    keep_unwritten(&b->run, buffer_view(&b->block));
    b->at++;
    begin_block(b);
}

void run_add(struct run_builder *b, const struct run_store *store, const struct run_entry *entry)
{
    uint32_t block = run_block_of(&b->run, entry->key);
    CHECK(block >= b->at);
    while (b->at < block)
        end_block(b, store);
    buffer_put(&b->block, entry->bytes.data, entry->bytes.size);
    key_filter_add(&b->run.filter, entry->key);
    b->run.keys++;
    b->run.oldest = entry->time < b->run.oldest ? entry->time : b->run.oldest;
    b->run.newest = entry->time > b->run.newest ? entry->time : b->run.newest;
}

static void put_filter(const struct run *r, const struct run_store *store)
{
    const uint8_t *bytes = (const uint8_t *)r->filter.words;
    size_t size = key_filter_bytes(&r->filter);
    CLEANUP(buffer_close) struct buffer part = {0};
    for (uint32_t i = 0; (size_t)i * RUN_FILTER_PART < size; i++) {
        uint8_t key[RUN_KEY];
        size_t at = (size_t)i * RUN_FILTER_PART, left = size - at;
        struct bytes piece = bytes_of(bytes + at, left < RUN_FILTER_PART ? left : RUN_FILTER_PART);
        part.size = 0;
        buffer_put_u64(&part, hash_64(piece));
        buffer_put(&part, piece.data, piece.size);
        run_key(key, RUN_FILTER, r->id, i);
        store->put(store->self, bytes_of(key, sizeof key), buffer_view(&part));
    }
}

void run_finish(struct run_builder *b, const struct run_store *store)
{
    while (b->at < run_blocks(&b->run))
        end_block(b, store);
    put_filter(&b->run, store);
    buffer_close(&b->block);
}
