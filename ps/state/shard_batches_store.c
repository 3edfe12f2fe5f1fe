/* What waits before it is learned, in commits and out of them. */
#include "ps/state/shard_state.h"

void shard_batches_commit(struct shard *s, struct store_batch *out)
{
    for (uint32_t i = 0; i < s->batching; i++)
        batches_freeze(shard_batcher(s, i)->batches, out);
}

void shard_batches_encode(const struct version_slot *slot, struct buffer *out)
{
    batches_encode(slot->batches, out);
#define T(name, help) buffer_put_u64(out, slot->fired.name);
    BATCH_COUNTS(T)
#undef T
}

void shard_batches_decode(struct version_slot *slot, struct reader *r)
{
    batches_decode(slot->batches, r);
#define T(name, help) slot->fired.name = reader_u64(r);
    BATCH_COUNTS(T)
#undef T
}

static enum tm_code load_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct shard *s = context;
    struct version_slot *slot = key.size == BATCHES_KEY ? shard_slot(s, key_get_u32(key.data + 2)) : NULL;
    if (!slot || !slot->batches)
        return tm_error_set(err, TM_DATA_LOSS, "a batched sample of a version that has no batches");
    return batches_load_row(slot->batches, key, value, err);
}

enum tm_code shard_batches_load(struct shard *s, const struct store *store, struct bytes prefix, struct tm_error *err)
{
    enum tm_code rc = store->scan(store->self, STORE_BATCH, prefix, prefix, load_row, s, err);
    s->batch_bytes = 0;
    for (uint32_t i = 0; rc == TM_OK && i < s->batching; i++) {
        rc = batches_loaded(shard_batcher(s, i)->batches, err);
        s->batch_bytes += batches_bytes(shard_batcher(s, i)->batches);
    }
    shard_note_batches_due(s);
    return rc;
}
