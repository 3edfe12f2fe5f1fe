/* The durable half of ps/state/batches.h: a row for each sample that waits. */
#include <inttypes.h>
#include <math.h>

#include "ps/state/batches.h"

enum {
    IS_TURN = 1,
    IS_CORRECTION = 2,
    IS_LATE = 4,
    IS_WHOLE = 8,
    WAS_NOTHING = 16,
    IS_NOTHING = 32,
    FLAGS_ALL = 63,
};

static void row_key(uint8_t key[static BATCHES_KEY], const struct batches *b, uint64_t serial)
{
    key_put_u16(key, (uint16_t)b->shard);
    key_put_u32(key + 2, b->version);
    key_put_u64(key + 6, serial);
}

static void encode_sample(const struct batches *b, uint32_t number, struct buffer *out)
{
    const struct batched *s = &b->sample[number];
    buffer_put_u8(out, (uint8_t)((s->place == BATCHED_TURN ? IS_TURN : 0) | (s->correction ? IS_CORRECTION : 0) |
                                 (s->late ? IS_LATE : 0) | (s->whole ? IS_WHOLE : 0) |
                                 (s->was_nothing ? WAS_NOTHING : 0) | (s->is_nothing ? IS_NOTHING : 0)));
    buffer_put(out, &s->key, sizeof s->key);
    buffer_put(out, &s->doc, sizeof s->doc);
    buffer_put_u64(out, s->sample.lo);
    buffer_put_u64(out, s->item);
    buffer_put_f64(out, s->reward);
    buffer_put_f64(out, s->weight);
    buffer_put_f64(out, s->offset);
    buffer_put_f64(out, s->old_reward);
    buffer_put_f64(out, s->old_weight);
    buffer_put_i64(out, s->time);
    buffer_put_i64(out, s->due);
    buffer_put_u32(out, s->corrections);
    buffer_put(out, batches_x(b, number), b->stride * sizeof(float));
}

static void decode_sample(struct reader *r, struct batched *s)
{
    uint8_t flags = reader_u8(r);
    *s = (struct batched){.place = flags & IS_TURN ? BATCHED_TURN : BATCHED_OPEN,
                          .correction = flags & IS_CORRECTION,
                          .late = flags & IS_LATE,
                          .whole = flags & IS_WHOLE,
                          .was_nothing = flags & WAS_NOTHING,
                          .is_nothing = flags & IS_NOTHING};
    s->key = reader_hash128(r);
    s->doc = reader_hash128(r);
    s->sample.lo = reader_u64(r);
    s->item = reader_u64(r);
    s->reward = reader_f64(r);
    s->weight = reader_f64(r);
    s->offset = reader_f64(r);
    s->old_reward = reader_f64(r);
    s->old_weight = reader_f64(r);
    s->time = reader_i64(r);
    s->due = reader_i64(r);
    s->corrections = reader_u32(r);
    if (flags & ~FLAGS_ALL || !isfinite(s->reward) || !isfinite(s->weight) || !isfinite(s->offset))
        r->bad = true;
}

void batches_freeze(struct batches *b, struct store_batch *out)
{
    CLEANUP(buffer_close) struct buffer value = {0};
    uint8_t key[BATCHES_KEY];
    struct bytes k = bytes_of(key, sizeof key);
    for (size_t i = 0; i < b->losses; i++) {
        row_key(key, b, b->gone[i]);
        store_batch_remove(out, STORE_BATCH, k);
    }
    for (size_t i = 0; i < b->changes; i++) {
        struct batched *s = &b->sample[b->changed[i]];
        if (!s->changed) /* it is gone */
            continue;
        value.size = 0;
        encode_sample(b, b->changed[i], &value);
        row_key(key, b, s->serial);
        store_batch_put(out, STORE_BATCH, k, buffer_view(&value));
        s->changed = false;
        s->stored = true;
    }
    *b->unfrozen -= b->rows_due * batches_row_bytes(b) + b->losses * BATCHES_KEY;
    b->losses = b->changes = b->rows_due = 0;
}

void batches_encode(const struct batches *b, struct buffer *out)
{
    buffer_put_i64(out, b->clock);
    buffer_put_u64(out, b->serial);
    buffer_put_u32(out, b->samples);
}

void batches_decode(struct batches *b, struct reader *r)
{
    b->clock = reader_i64(r);
    b->serial = reader_u64(r);
    b->expected = reader_u32(r);
}

enum tm_code batches_load_row(struct batches *b, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct reader r = reader_of(value);
    struct batched s;
    uint64_t serial = key.size == BATCHES_KEY ? key_get_u64(key.data + 6) : 0;
    decode_sample(&r, &s);
    if (r.bad || reader_left(&r) != b->stride * sizeof(float) || serial == 0 || serial >= b->serial)
        return tm_error_set(err, TM_DATA_LOSS, "version %" PRIu32 ": batched sample %" PRIu64 " is damaged", b->version,
                            serial);
    float x[2 * MODEL_DIAGONAL_MAX];
    memcpy(x, r.at, reader_left(&r));
    uint32_t number = batches_put(b, &s, x, x + b->dimension);
    b->sample[number].place = s.place;
    b->sample[number].stored = true;
    batches_place(b, number, serial);
    return TM_OK;
}

enum tm_code batches_loaded(const struct batches *b, struct tm_error *err)
{
    if (b->samples == b->expected)
        return TM_OK;
    return tm_error_set(err, TM_DATA_LOSS,
                        "version %" PRIu32 " has %" PRIu32 " samples in batches; the last commit counted %" PRIu32,
                        b->version, b->samples, b->expected);
}
