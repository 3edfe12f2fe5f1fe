#include "ps/state/version_input.h"

#include <stdlib.h>

/* x itself came, not what it is made of. */
static bool is_encoded(const struct encoder *encoder, const struct feature_vector *vector)
{
    return !encoder || (!vector->blank && feature_vector_is(vector, encoder_representation(encoder).text));
}

static enum joiner_reason judge_raw(const struct version *v, const struct encoder *encoder,
                                    const struct feature_vector *vector, struct encoding *e, struct bytes packed,
                                    double weight)
{
    if (!feature_vector_is(vector, v->representation))
        return REASON_WRONG_REPRESENTATION;
    enum joiner_reason reason = encoding_take(e, encoder, packed);
    if (reason != REASON_NONE)
        return reason;
    const struct example sample = {.x = e->x, .weight = weight};
    return v->model->takes(&v->config, &sample, NULL) == TM_OK ? REASON_NONE : REASON_FEATURE_RANGE;
}

enum joiner_reason version_input_judge(const struct version *v, const struct encoder *encoder,
                                       const struct feature_vector *vector, struct encoding *e, struct bytes packed,
                                       double weight)
{
    if (!encoder || !vector || !vector->whole)
        return feature_vector_judge(vector, v, v->representation, weight);
    if (is_encoded(encoder, vector))
        return feature_vector_judge(vector, v, encoder_representation(encoder).text, weight);
    return judge_raw(v, encoder, vector, e, packed, weight);
}

const float *version_input_x(const struct encoder *encoder, const struct feature_vector *vector, struct encoding *e,
                             struct bytes packed)
{
    if (is_encoded(encoder, vector))
        return vector->x;
    CHECK(encoding_take(e, encoder, packed) == REASON_NONE);
    return e->x;
}

/* ---- many at once ---- */

/* Those that are to be encoded, until all are found. */
struct raw_rows {
    struct bytes *packed;
    uint32_t *place; /* of each among all */
    uint32_t count;
};

static enum joiner_reason say(enum joiner_reason reason, const struct version *v, struct tm_error *err)
{
    if (reason != REASON_NONE)
        tm_error_set(err, TM_INVALID_ARGUMENT, "%s, version %s; %s", joiner_reason_meaning(reason), v->name,
                     joiner_reason_hint(reason));
    return reason;
}

/* x itself, or one row more that is to be encoded. */
static enum joiner_reason sort_out(const struct version *v, const struct encoder *encoder,
                                   const struct feature_vector *vector, struct raw_rows *raw, struct bytes packed,
                                   uint32_t place, float *x)
{
    size_t n = v->config.dimension;
    if (!is_encoded(encoder, vector)) {
        if (!feature_vector_is(vector, v->representation))
            return REASON_WRONG_REPRESENTATION;
        raw->packed[raw->count] = packed;
        raw->place[raw->count++] = place;
        return REASON_NONE;
    }
    enum joiner_reason reason = version_input_judge(v, encoder, vector, NULL, packed, 1);
    if (reason == REASON_NONE)
        memcpy(x + place * n, vector->x, n * sizeof *x);
    return reason;
}

static enum joiner_reason encode_raw(const struct version *v, const struct encoder *encoder, const struct raw_rows *raw,
                                     float *x, uint32_t *refused, struct tm_error *err)
{
    size_t n = v->config.dimension;
    struct encoding e = {0};
    struct example sample = {.weight = 1};
    uint32_t i = 0;
    enum joiner_reason reason = encoding_take_all(&e, encoder, raw->packed, raw->count, &i, err);
    for (uint32_t k = 0; reason == REASON_NONE && k < raw->count; k++) {
        sample.x = memcpy(x + raw->place[k] * n, e.x + k * n, n * sizeof *x);
        i = k;
        if (v->model->takes(&v->config, &sample, err) != TM_OK)
            reason = REASON_FEATURE_RANGE;
    }
    *refused = raw->place[i];
    encoding_close(&e);
    return reason;
}

enum joiner_reason version_input_take_all(const struct version *v, const struct encoder *encoder,
                                          const struct bytes *packed, uint32_t count, float *x, uint32_t *refused,
                                          struct tm_error *err)
{
    struct feature_vector vector = {0};
    struct raw_rows raw = {.packed = mem_new(count, sizeof *raw.packed), .place = mem_new(count, sizeof *raw.place)};
    enum joiner_reason reason = REASON_NONE;
    for (uint32_t i = 0; reason == REASON_NONE && i < count; i++) {
        CHECK(feature_vector_unpack(packed[i], &vector));
        *refused = i;
        reason = say(sort_out(v, encoder, &vector, &raw, packed[i], i, x), v, err);
    }
    if (reason == REASON_NONE && raw.count)
        reason = encode_raw(v, encoder, &raw, x, refused, err);
    feature_vector_close(&vector);
    free(raw.packed);
    free(raw.place);
    return reason;
}

/* ---- what was sent, and rows of tables ---- */

uint32_t version_input_tables(const struct catalog *c, uint8_t stream[static JOINER_STREAMS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->join.streams; i++) {
        if (c->join.stream[i].kind != JOINER_TABLE)
            continue;
        uint32_t at = count++;
        for (; at > 0 && strcmp(c->stream_name[stream[at - 1]], c->stream_name[i]) > 0; at--)
            stream[at] = stream[at - 1];
        stream[at] = (uint8_t)i;
    }
    return count;
}

void version_input_sources(const struct catalog *c, struct input_sources *out)
{
    uint8_t table[JOINER_STREAMS_MAX];
    uint32_t tables = version_input_tables(c, table);
    *out = (struct input_sources){0};
    for (uint32_t i = 0; i < c->join.streams; i++)
        if (c->join.stream[i].kind == JOINER_FEATURES) {
            out->zeros[out->feature_streams] = c->join.stream[i].dimension;
            out->stream[out->feature_streams++] = (uint8_t)i;
        }
    out->count = out->feature_streams;
    for (uint32_t i = 0; i < tables; i++)
        if (!c->join.stream[table[i]].payload_only)
            out->stream[out->count++] = table[i];
}

static bool gather_from(const struct input_parts *parts, uint8_t stream, struct buffer *packed)
{
    struct event e;
    return parts->find(parts->context, stream, &e) && feature_pack(packed, stream, &e);
}

bool version_input_gather(const struct input_sources *sources, const struct input_parts *parts, struct buffer *packed,
                          uint8_t *lacking)
{
    const size_t before = packed->size;
    bool own = feature_pack(packed, FEATURES_NO_STREAM, parts->shown);
    for (uint32_t i = own ? sources->feature_streams : 0; i < sources->count; i++) {
        uint8_t stream = sources->stream[i];
        if (stream >= parts->streams || gather_from(parts, stream, packed))
            continue;
        if (i < sources->feature_streams) {
            feature_pack_blank(packed, stream, sources->zeros[i]);
            continue;
        }
        if (lacking)
            *lacking = stream;
        return false;
    }
    return packed->size > before;
}
