#include "ps/state/validation_rows.h"

enum { HEAD = 0 };

void validation_key_put(uint8_t out[static VALIDATION_KEY], const struct validation_key *key)
{
    key_put_u16(out, (uint16_t)key->shard);
    key_put_u32(out + 2, key->version);
    out[6] = (uint8_t)key->kind;
    out[7] = (uint8_t)key->row;
}

enum tm_code validation_key_get(struct bytes bytes, struct validation_key *out, struct tm_error *err)
{
    if (bytes.size != VALIDATION_KEY || bytes.data[6] >= VALIDATION_KINDS || bytes.data[7] > VALIDATION_PANES)
        return tm_error_set(err, TM_DATA_LOSS, "a row of the validations belongs to nothing that is validated");
    *out = (struct validation_key){key_get_u16(bytes.data), key_get_u32(bytes.data + 2),
                                   (enum validation_kind)bytes.data[6], bytes.data[7]};
    return TM_OK;
}

static void put(const struct validation_key *key, const struct buffer *value, struct store_batch *out)
{
    uint8_t bytes[VALIDATION_KEY];
    validation_key_put(bytes, key);
    store_batch_put(out, STORE_VALIDATION, bytes_of(bytes, sizeof bytes), buffer_view(value));
}

void validation_rows_put(struct validation *v, struct validation_key key, struct store_batch *out)
{
    CLEANUP(buffer_close) struct buffer value = {0};
    key.row = HEAD;
    validation_encode_head(v, &value);
    put(&key, &value, out);
    for (uint32_t pane = 0; pane < VALIDATION_PANES; pane++) {
        if (!(v->changed >> pane & 1))
            continue;
        value.size = 0;
        key.row = 1 + pane;
        validation_encode_pane(v, pane, &value);
        put(&key, &value, out);
    }
    v->changed = 0;
}

enum tm_code validation_row_load(struct validation *v, uint32_t row, struct bytes value, struct tm_error *err)
{
    struct reader r = reader_of(value);
    enum tm_code rc = row == HEAD ? validation_decode_head(v, &r, err) : validation_decode_pane(v, row - 1, &r, err);
    if (rc == TM_OK && reader_left(&r))
        rc = tm_error_set(err, TM_DATA_LOSS, "row %u of a validation is longer than what was written", row);
    return rc;
}

struct fetch {
    struct validation *validation;
    bool there;
};

static enum tm_code take_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct fetch *f = context;
    struct validation_key k = {0};
    enum tm_code rc = validation_key_get(key, &k, err);
    if (rc == TM_OK && (k.row == HEAD) == f->there)
        rc = tm_error_set(err, TM_DATA_LOSS, "a validation has no head");
    f->there = true;
    return rc == TM_OK ? validation_row_load(f->validation, k.row, value, err) : rc;
}

enum tm_code validation_fetch(const struct store *store, struct validation_key key, struct validation *out, bool *there,
                              struct tm_error *err)
{
    struct fetch f = {out, false};
    uint8_t bytes[VALIDATION_KEY];
    validation_key_put(bytes, &key);
    struct bytes prefix = bytes_of(bytes, VALIDATION_KEY_KIND);
    validation_start(out);
    enum tm_code rc = store->scan(store->self, STORE_VALIDATION, prefix, prefix, take_row, &f, err);
    *there = f.there;
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "shard %u", key.shard);
}
