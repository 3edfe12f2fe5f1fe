#include "ps/state/version_input.h"

/* x itself came, not what it is made of. */
static bool is_encoded(const struct encoder *encoder, const struct feature_vector *vector)
{
    return !encoder || feature_vector_is(vector, encoder_representation(encoder).text);
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
    if (!encoder || !vector)
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

bool version_input_add_row(struct buffer *packed, struct bytes row)
{
    struct event e = {0};
    if (row.size) /* it was read when it was stored */
        CHECK(event_scan(row, &e, NULL) == TM_OK);
    if (!(e.has & EVENT_HAS_FEATURES))
        return false;
    feature_pack(packed, &e);
    return true;
}
