#include "ps/state/feature_vector.h"

#include <stdlib.h>

#include "tidemill/v1/events.pb-c.h"

enum { FITS_NOBODY = FEATURES_MAX + 1 };

void feature_vector_close(struct feature_vector *v)
{
    free(v->x);
    *v = (struct feature_vector){0};
}

static void pack(struct buffer *out, uint8_t stream, struct bytes representation, uint32_t encoding,
                 struct bytes features)
{
    CHECK(representation.size <= EVENT_ID_MAX && encoding <= UINT8_MAX);
    buffer_put_u8(out, stream);
    buffer_put_u16(out, (uint16_t)representation.size);
    buffer_put(out, representation.data, representation.size);
    buffer_put_u8(out, (uint8_t)encoding);
    buffer_put_bytes(out, features);
}

bool feature_pack(struct buffer *out, uint8_t stream, const struct event *e)
{
    if (e->has & EVENT_HAS_FEATURES)
        pack(out, stream, e->representation, e->encoding, e->features);
    if (e->has & EVENT_HAS_ITEM_FEATURES)
        pack(out, stream, e->representation, e->item_encoding, e->item_features);
    return e->has & (EVENT_HAS_FEATURES | EVENT_HAS_ITEM_FEATURES);
}

void feature_pack_blank(struct buffer *out, uint8_t stream, uint32_t zeros)
{
    pack(out, stream, (struct bytes){0}, FEATURES_BLANK, bytes_of(&zeros, sizeof zeros));
}

bool feature_part_next(struct reader *r, struct feature_part *out)
{
    *out = (struct feature_part){.stream = reader_u8(r)};
    uint16_t size = reader_u16(r);
    const uint8_t *name = reader_take(r, size);
    out->representation = bytes_of(name, name ? size : 0);
    out->encoding = reader_u8(r);
    out->features = reader_bytes(r);
    r->bad |= out->encoding == FEATURES_BLANK && out->features.size != sizeof out->zeros;
    if (!r->bad && out->encoding == FEATURES_BLANK)
        memcpy(&out->zeros, out->features.data, sizeof out->zeros);
    return !r->bad;
}

bool feature_repack(struct buffer *out, struct bytes before, uint8_t stream, const struct event *e)
{
    struct reader r = reader_of(before);
    struct feature_part part;
    size_t start = out->size;
    bool filled = false;
    while (reader_left(&r) && feature_part_next(&r, &part)) {
        if (part.encoding == FEATURES_BLANK && part.stream == stream)
            filled = feature_pack(out, stream, e);
        else
            pack(out, part.stream, part.representation, part.encoding, part.features);
    }
    if (!filled)
        out->size = start;
    return filled;
}

static void take_dense(struct feature_vector *v, struct bytes values)
{
    size_t n = values.size / sizeof *v->x;
    if (v->count + n > FEATURES_MAX) {
        v->count = FITS_NOBODY;
        return;
    }
    if (n)
        memcpy(v->x + v->count, values.data, n * sizeof *v->x);
    v->count += (uint32_t)n;
}

/* Indices increase: the door sees to it. */
static void take_sparse(struct feature_vector *v, struct bytes pairs)
{
    size_t n = pairs.size / (sizeof(uint32_t) + sizeof *v->x);
    uint32_t base = v->count, index;
    v->sparse = true;
    for (size_t i = 0; i < n; i++) {
        memcpy(&index, pairs.data + i * sizeof index, sizeof index);
        if (index >= FEATURES_MAX - base || base + index < v->count) {
            v->count = FITS_NOBODY;
            return;
        }
        memcpy(v->x + base + index, pairs.data + n * sizeof index + i * sizeof *v->x, sizeof *v->x);
        v->count = base + index + 1;
    }
}

static void take_blank(struct feature_vector *v, uint32_t zeros)
{
    v->count = zeros > FEATURES_MAX - v->count ? FITS_NOBODY : v->count + zeros;
}

static void take_part(struct feature_vector *v, const struct feature_part *part)
{
    if (v->sparse)
        v->count = FITS_NOBODY;
    if (v->count == FITS_NOBODY)
        return;
    if (part->encoding == FEATURES_BLANK)
        take_blank(v, part->zeros);
    else if (part->encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32)
        take_sparse(v, part->features);
    else
        take_dense(v, part->features);
}

static void note_part(struct feature_vector *v, const struct feature_part *part)
{
    if (part->encoding == FEATURES_BLANK) {
        v->open = true;
        v->whole = v->whole && part->zeros > 0;
        return;
    }
    v->of_one_kind = v->of_one_kind && (v->blank || bytes_equal(part->representation, v->representation));
    v->representation = part->representation;
    v->blank = false;
}

bool feature_vector_unpack(struct bytes packed, struct feature_vector *v)
{
    struct reader r = reader_of(packed);
    struct feature_part part;
    float *x = v->x ? v->x : mem_new(FEATURES_MAX, sizeof *x);
    /* A vector that fits nobody may have left values anywhere. */
    memset(x, 0, (v->count < FEATURES_MAX ? v->count : FEATURES_MAX) * sizeof *x);
    *v = (struct feature_vector){.x = x, .of_one_kind = true, .blank = true, .whole = true};
    while (reader_left(&r) && feature_part_next(&r, &part)) {
        note_part(v, &part);
        take_part(v, &part);
    }
    if (r.bad)
        v->count = FITS_NOBODY;
    return !r.bad;
}

bool feature_vector_is(const struct feature_vector *v, const char *representation)
{
    return v->blank || (v->of_one_kind && bytes_equal(v->representation, bytes_text(representation)));
}

static bool fits(const struct feature_vector *v, uint32_t dimension)
{
    return v->sparse ? v->count <= dimension : v->count == dimension;
}

enum joiner_reason feature_vector_judge(const struct feature_vector *v, const struct version *version,
                                        const char *representation, double weight)
{
    const struct model *m = version->model;
    if (!model_uses_features(m))
        return REASON_NONE;
    if (!v || !v->whole)
        return REASON_NO_FEATURES;
    if (representation[0] && !feature_vector_is(v, representation))
        return REASON_WRONG_REPRESENTATION;
    if (!fits(v, version->config.dimension))
        return REASON_WRONG_DIMENSION;
    const struct example e = {.x = v->x, .weight = weight};
    return m->takes(&version->config, &e, NULL) == TM_OK ? REASON_NONE : REASON_FEATURE_RANGE;
}
