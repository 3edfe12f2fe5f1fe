#include "joiner/sample.h"

enum {
    HAS_ORIGINAL = 1,
    HAS_WEIGHT = 2,
    HAS_KEEP = 4,
    HAS_FEATURES = 8,
    HAS_OLD_KEEP = 16,
    HAS_RATE = 32,
    HAS_REQUEST = 64,
    HAS_ITEM = 128,
};

enum { IS_EXCLUDED = 16, WAS_EXCLUDED = 32, IS_BEHIND = 64, HAS_OLD_FEATURES = 128 }; /* with the kind */

/* A label that is a small whole number, as nearly all are, is one byte; any other is this byte and its 8. */
enum { LABEL_AS_DOUBLE = 255 };

static void encode_labels(const double *labels, uint32_t count, struct buffer *out)
{
    for (uint32_t i = 0; i < count; i++) {
        bool small = labels[i] >= 0 && labels[i] < LABEL_AS_DOUBLE && labels[i] == (uint8_t)labels[i];
        buffer_put_u8(out, small ? (uint8_t)labels[i] : LABEL_AS_DOUBLE);
        if (!small)
            buffer_put_f64(out, labels[i]);
    }
}

static void decode_labels(struct reader *r, double *labels, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t small = reader_u8(r);
        labels[i] = small == LABEL_AS_DOUBLE ? reader_f64(r) : small;
    }
}

/* 74 bytes with one label for the usual new sample: what is nearly always the same is left out. */
void sample_encode(const struct sample *s, struct buffer *out)
{
    uint8_t has =
        (uint8_t)((s->original ? HAS_ORIGINAL : 0) | (s->weight != 1 ? HAS_WEIGHT : 0) | (s->keep != 1 ? HAS_KEEP : 0) |
                  (s->place.row ? HAS_FEATURES : 0) | (s->old_keep != 1 ? HAS_OLD_KEEP : 0) |
                  (s->rate != 1 ? HAS_RATE : 0) | (s->told ? HAS_REQUEST : 0) | (s->named ? HAS_ITEM : 0));
    buffer_reserve(out, 320);
    buffer_put_u8(out,
                  (uint8_t)((uint32_t)s->kind | (s->excluded ? IS_EXCLUDED : 0) | (s->old_excluded ? WAS_EXCLUDED : 0) |
                            (s->behind ? IS_BEHIND : 0) | (sample_moved(s) ? HAS_OLD_FEATURES : 0)));
    buffer_put_u8(out, has);
    buffer_put_u64(out, s->sequence);
    buffer_put_u32(out, s->version);
    buffer_put(out, &s->key, sizeof s->key);
    buffer_put(out, &s->doc, sizeof s->doc);
    buffer_put_i64(out, s->impression_time);
    buffer_put_i64(out, s->decided_at);
    buffer_put_u64(out, s->position);
    buffer_put_u8(out, (uint8_t)s->label_count);
    encode_labels(s->labels, s->label_count, out);
    if (has & HAS_FEATURES) {
        buffer_put_u64(out, s->place.row);
        buffer_put_u32(out, s->place.offset);
        buffer_put_u32(out, s->feature_bytes);
        buffer_put_u32(out, s->feature_reach);
    }
    if (has & HAS_ORIGINAL) {
        buffer_put_u64(out, s->original);
        encode_labels(s->old_labels, s->label_count, out);
    }
    if (has & HAS_WEIGHT)
        buffer_put_f64(out, s->weight);
    if (has & HAS_KEEP)
        buffer_put_f64(out, s->keep);
    if (has & HAS_OLD_KEEP)
        buffer_put_f64(out, s->old_keep);
    if (has & HAS_RATE)
        buffer_put_f64(out, s->rate);
    if (has & HAS_REQUEST) {
        buffer_put_u32(out, s->request);
        buffer_put(out, &s->score, sizeof s->score);
    }
    if (has & HAS_ITEM)
        buffer_put_u64(out, s->item);
    if (sample_moved(s)) {
        buffer_put_u64(out, s->old_place.row);
        buffer_put_u32(out, s->old_place.offset);
    }
}

static void decode_request(struct reader *r, struct sample *out)
{
    out->told = true;
    out->request = reader_u32(r);
    const uint8_t *score = reader_take(r, sizeof out->score);
    if (score)
        memcpy(&out->score, score, sizeof out->score);
}

void sample_decode(struct reader *r, struct sample *out)
{
    *out = (struct sample){.weight = 1, .keep = 1, .old_keep = 1, .rate = 1};
    uint8_t kind = reader_u8(r);
    out->kind = (enum sample_kind)(kind & ~(uint32_t)(IS_EXCLUDED | WAS_EXCLUDED | IS_BEHIND | HAS_OLD_FEATURES));
    out->excluded = kind & IS_EXCLUDED;
    out->old_excluded = kind & WAS_EXCLUDED;
    out->behind = kind & IS_BEHIND;
    uint8_t has = reader_u8(r);
    out->sequence = reader_u64(r);
    out->version = reader_u32(r);
    out->key = reader_hash128(r);
    out->doc = reader_hash128(r);
    out->impression_time = reader_i64(r);
    out->decided_at = reader_i64(r);
    out->position = reader_u64(r);
    out->label_count = reader_u8(r);
    if (out->label_count > JOINER_LABELS_MAX) {
        r->bad = true;
        return;
    }
    decode_labels(r, out->labels, out->label_count);
    if (has & HAS_FEATURES) {
        out->place.row = reader_u64(r);
        out->place.offset = reader_u32(r);
        out->feature_bytes = reader_u32(r);
        out->feature_reach = reader_u32(r);
    }
    if (has & HAS_ORIGINAL) {
        out->original = reader_u64(r);
        decode_labels(r, out->old_labels, out->label_count);
    }
    if (has & HAS_WEIGHT)
        out->weight = reader_f64(r);
    if (has & HAS_KEEP)
        out->keep = reader_f64(r);
    if (has & HAS_OLD_KEEP)
        out->old_keep = reader_f64(r);
    if (has & HAS_RATE)
        out->rate = reader_f64(r);
    if (has & HAS_REQUEST)
        decode_request(r, out);
    out->named = has & HAS_ITEM;
    if (out->named)
        out->item = reader_u64(r);
    if (out->kind == SAMPLE_CORRECTION)
        out->old_place = out->place;
    if (kind & HAS_OLD_FEATURES) {
        out->old_place.row = reader_u64(r);
        out->old_place.offset = reader_u32(r);
    }
    if (out->kind > SAMPLE_CORRECTION)
        r->bad = true;
}
