#include "ps/state/feature_vector.h"

#include <stdlib.h>

#include "tidemill/v1/events.pb-c.h"

enum { FITS_NOBODY = FEATURES_MAX + 1 };

void feature_vector_close(struct feature_vector *v)
{
    free(v->x);
    *v = (struct feature_vector){0};
}

static void pack(struct buffer *out, struct bytes representation, uint32_t encoding, struct bytes features)
{
    CHECK(representation.size <= EVENT_ID_MAX && encoding <= UINT8_MAX);
    buffer_put_u16(out, (uint16_t)representation.size);
    buffer_put(out, representation.data, representation.size);
    buffer_put_u8(out, (uint8_t)encoding);
    buffer_put_bytes(out, features);
}

bool feature_pack(struct buffer *out, const struct event *e)
{
    if (e->has & EVENT_HAS_FEATURES)
        pack(out, e->representation, e->encoding, e->features);
    if (e->has & EVENT_HAS_ITEM_FEATURES)
        pack(out, e->representation, e->item_encoding, e->item_features);
    return e->has & (EVENT_HAS_FEATURES | EVENT_HAS_ITEM_FEATURES);
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

static void take_part(struct feature_vector *v, uint8_t encoding, struct bytes features)
{
    if (v->sparse)
        v->count = FITS_NOBODY;
    if (v->count == FITS_NOBODY)
        return;
    if (encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32)
        take_sparse(v, features);
    else
        take_dense(v, features);
}

bool feature_vector_unpack(struct bytes packed, struct feature_vector *v)
{
    struct reader r = reader_of(packed);
    float *x = v->x ? v->x : mem_new(FEATURES_MAX, sizeof *x);
    /* A vector that fits nobody may have left values anywhere. */
    memset(x, 0, (v->count < FEATURES_MAX ? v->count : FEATURES_MAX) * sizeof *x);
    *v = (struct feature_vector){.x = x, .of_one_kind = true};
    for (bool first = true; !r.bad && reader_left(&r); first = false) {
        uint16_t size = reader_u16(&r);
        const uint8_t *name = reader_take(&r, size);
        struct bytes representation = bytes_of(name, name ? size : 0);
        uint8_t encoding = reader_u8(&r);
        struct bytes features = reader_bytes(&r);
        if (r.bad)
            break;
        v->of_one_kind = v->of_one_kind && (first || bytes_equal(representation, v->representation));
        v->representation = representation;
        take_part(v, encoding, features);
    }
    if (r.bad)
        v->count = FITS_NOBODY;
    return !r.bad;
}

bool feature_vector_is(const struct feature_vector *v, const char *representation)
{
    return v->of_one_kind && bytes_equal(v->representation, bytes_text(representation));
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
    if (!v)
        return REASON_NO_FEATURES;
    if (representation[0] && !feature_vector_is(v, representation))
        return REASON_WRONG_REPRESENTATION;
    if (!fits(v, version->config.dimension))
        return REASON_WRONG_DIMENSION;
    const struct example e = {.x = v->x, .weight = weight};
    return m->takes(&version->config, &e, NULL) == TM_OK ? REASON_NONE : REASON_FEATURE_RANGE;
}
