/* The store of the joiner's runs: rows of STORE_DECIDED, which begin with the shard. */
#include "ps/state/shard_state.h"

enum { SHARD_BYTES = 2, KEY = SHARD_BYTES + RUN_KEY };

static struct bytes key_of(const struct shard *s, struct bytes key, uint8_t out[static KEY])
{
    CHECK(key.size == RUN_KEY);
    key_put_u16(out, (uint16_t)s->options.id);
    memcpy(out + SHARD_BYTES, key.data, key.size);
    return bytes_of(out, KEY);
}

static void put(void *self, struct bytes key, struct bytes value)
{
    struct shard *s = self;
    uint8_t full[KEY];
    store_batch_put(s->freezing, STORE_DECIDED, key_of(s, key, full), value);
}

static void remove_row(void *self, struct bytes key)
{
    struct shard *s = self;
    uint8_t full[KEY];
    store_batch_remove(s->freezing, STORE_DECIDED, key_of(s, key, full));
}

static enum tm_code get(void *self, struct bytes key, struct buffer *out, struct tm_error *err)
{
    const struct shard *s = self;
    uint8_t full[KEY];
    return s->options.store.get(s->options.store.self, STORE_DECIDED, key_of(s, key, full), out, err);
}

void shard_keep_runs(struct shard *s)
{
    if (s->options.store.get)
        joiner_keep_runs(s->joiner, &s->options.runs, &(struct run_store){s, get, put, remove_row});
}

static enum tm_code load_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct shard *s = context;
    static_assert(STORE_ENOUGH == TM_ABORTED, "the first block ends the scan");
    return joiner_load_row(s->joiner, bytes_of(key.data + SHARD_BYTES, key.size - SHARD_BYTES), value, err);
}

enum tm_code shard_load_runs(struct shard *s, const struct store *store, struct tm_error *err)
{
    uint8_t key[SHARD_BYTES];
    struct bytes prefix = bytes_of(key, sizeof key);
    key_put_u16(key, (uint16_t)s->options.id);
    return store->scan(store->self, STORE_DECIDED, prefix, prefix, load_row, s, err);
}
