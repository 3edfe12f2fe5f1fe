#include "joiner/run_merge.h"

static enum tm_code damaged(const struct run *r, uint32_t block, struct tm_error *err)
{
    return tm_error_set(err, TM_DATA_LOSS, "block %u of run %llu of decided keys is damaged", block,
                        (unsigned long long)r->id);
}

static enum tm_code next(struct run_cursor *c, const struct run *input, const struct run_store *store,
                         struct tm_error *err)
{
    while (!run_entry_next(&c->reader, &c->entry)) {
        struct bytes entries;
        if (c->reader.bad)
            return damaged(input, c->block - 1, err);
        if (c->block == run_blocks(input)) {
            c->ended = true;
            return TM_OK;
        }
        enum tm_code rc = run_read(input, c->block, store, &c->bytes, &entries, err);
        if (rc != TM_OK)
            return rc;
        if (entries.data != c->bytes.data + RUN_BLOCK_HEAD) { /* it may be written, and gone, before the next slice */
            c->bytes.size = 0;
            buffer_put(&c->bytes, entries.data - RUN_BLOCK_HEAD, entries.size + RUN_BLOCK_HEAD);
            entries.data = c->bytes.data + RUN_BLOCK_HEAD;
        }
        c->reader = reader_of(entries);
        c->block++;
    }
    return run_block_of(input, c->entry.key) == c->block - 1 ? TM_OK : damaged(input, c->block - 1, err);
}

enum tm_code run_merge_begin(struct run_merge *m, const struct run_merging *w, uint32_t inputs, struct tm_error *err)
{
    CHECK(inputs >= 2 && inputs <= RUN_FAN_IN_MAX);
    m->inputs = inputs;
    for (uint32_t i = 0; i < inputs; i++) {
        m->cursor[i] = (struct run_cursor){0};
        enum tm_code rc = next(&m->cursor[i], &w->input[i], w->store, err);
        if (rc != TM_OK)
            return rc;
    }
    return TM_OK;
}

/* The smallest key in front; of equal ones the youngest. */
static struct run_cursor *smallest(struct run_merge *m)
{
    struct run_cursor *best = NULL;
    for (uint32_t i = 0; i < m->inputs; i++) {
        struct run_cursor *c = &m->cursor[i];
        if (!c->ended && (!best || !run_key_less(best->entry.key, c->entry.key)))
            best = c;
    }
    return best;
}

static enum tm_code pass(struct run_merge *m, const struct run_merging *w, struct hash128 key, uint64_t *taken,
                         struct tm_error *err)
{
    for (uint32_t i = 0; i < m->inputs; i++) {
        struct run_cursor *c = &m->cursor[i];
        if (c->ended || !hash128_equal(c->entry.key, key))
            continue;
        enum tm_code rc = next(c, &w->input[i], w->store, err);
        if (rc != TM_OK)
            return rc;
        ++*taken;
    }
    return TM_OK;
}

enum tm_code run_merge_step(struct run_merge *m, const struct run_merging *w, uint64_t entries, bool *done,
                            struct tm_error *err)
{
    *done = false;
    for (uint64_t taken = 0; taken < entries;) {
        const struct run_cursor *c = smallest(m);
        if (!c) {
            run_finish(&m->out, w->store);
            *done = true;
            return TM_OK;
        }
        struct hash128 key = c->entry.key;
        if (c->entry.time >= w->expiry)
            run_add(&m->out, w->store, &c->entry);
        enum tm_code rc = pass(m, w, key, &taken, err);
        if (rc != TM_OK)
            return rc;
    }
    return TM_OK;
}

void run_merge_close(struct run_merge *m)
{
    for (uint32_t i = 0; i < m->inputs; i++)
        buffer_close(&m->cursor[i].bytes);
    buffer_close(&m->out.block);
    *m = (struct run_merge){0};
}
