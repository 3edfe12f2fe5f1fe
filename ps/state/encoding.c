#include "ps/state/encoding.h"

#include <stdlib.h>

#include "tidemill/v1/events.pb-c.h"

void encoding_close(struct encoding *e)
{
    free(e->dense);
    free(e->x);
    free(e->room);
    free(e->id);
    *e = (struct encoding){0};
}

struct input {
    struct encoding *e;
    const struct encoder_layout *layout;
    uint32_t at;          /* numbers that came */
    bool sparse;          /* the end was reached */
    uint32_t field, base; /* of ids: that of the last one, and the index of its first row */
};

static enum joiner_reason take_dense(struct input *in, struct bytes values)
{
    size_t n = values.size / sizeof(float);
    if (in->at + n > in->layout->dense)
        return REASON_WRONG_DIMENSION;
    if (n)
        memcpy(in->e->dense + in->at, values.data, n * sizeof(float));
    in->at += (uint32_t)n;
    return REASON_NONE;
}

/* Indices grow, so the ids of a field lie one behind the other. */
static enum joiner_reason take_id(struct input *in, uint64_t index, float value)
{
    const struct encoder_layout *l = in->layout;
    struct encoding *e = in->e;
    for (; in->field < l->field_count && index - in->base >= l->field[in->field].rows; in->field++)
        in->base += l->field[in->field].rows;
    if (in->field == l->field_count)
        return REASON_WRONG_DIMENSION;
    if (value != 1 || e->bag[in->field].count == ENCODER_BAG_MAX)
        return REASON_FEATURE_RANGE;
    if (e->bag[in->field].count++ == 0)
        e->bag[in->field].id = e->id + e->ids;
    e->id[e->ids++] = (uint32_t)(index - in->base);
    return REASON_NONE;
}

static enum joiner_reason take_sparse(struct input *in, struct bytes pairs)
{
    size_t n = pairs.size / (sizeof(uint32_t) + sizeof(float));
    enum joiner_reason reason = REASON_NONE;
    struct encoding *e = in->e;
    uint64_t from = in->at;
    if (n > e->id_capacity) {
        e->id = mem_grow(e->id, n, sizeof *e->id);
        e->id_capacity = n;
    }
    in->sparse = true;
    in->base = in->layout->dense;
    for (size_t i = 0; reason == REASON_NONE && i < n; i++) {
        uint32_t index;
        float value;
        memcpy(&index, pairs.data + i * sizeof index, sizeof index);
        memcpy(&value, pairs.data + n * sizeof index + i * sizeof value, sizeof value);
        if (from + index < in->layout->dense)
            e->dense[from + index] = value;
        else
            reason = take_id(in, from + index, value);
    }
    return reason;
}

static enum joiner_reason read_input(struct input *in, struct bytes packed)
{
    struct reader r = reader_of(packed);
    enum joiner_reason reason = REASON_NONE;
    while (reason == REASON_NONE && reader_left(&r)) {
        reader_take(&r, reader_u16(&r)); /* the representation */
        uint8_t encoding = reader_u8(&r);
        struct bytes features = reader_bytes(&r);
        if (r.bad || in->sparse)
            return REASON_WRONG_DIMENSION;
        reason = encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32 ? take_sparse(in, features)
                                                                            : take_dense(in, features);
    }
    if (reason == REASON_NONE && !in->sparse && in->at < in->layout->dense)
        return REASON_WRONG_DIMENSION;
    return reason;
}

static void make_room(struct encoding *e, const struct encoder *encoder)
{
    const struct encoder_layout *l = encoder_layout(encoder);
    e->dense = mem_grow(e->dense, l->dense + 1, sizeof *e->dense);
    e->x = mem_grow(e->x, encoder_width(encoder), sizeof *e->x);
    e->room = mem_grow(e->room, encoder_room(encoder), sizeof *e->room);
    memset(e->dense, 0, l->dense * sizeof *e->dense);
    memset(e->bag, 0, l->field_count * sizeof *e->bag);
    e->ids = 0;
}

enum joiner_reason encoding_take(struct encoding *e, const struct encoder *encoder, struct bytes packed)
{
    if (e->encoder == encoder)
        return e->refused;
    struct input in = {.e = e, .layout = encoder_layout(encoder)};
    make_room(e, encoder);
    const struct encoder_input row = {e->dense, e->bag};
    e->encoder = encoder;
    e->refused = read_input(&in, packed);
    if (e->refused == REASON_NONE && encoder_takes(encoder, &row, NULL) != TM_OK)
        e->refused = REASON_FEATURE_RANGE;
    if (e->refused == REASON_NONE)
        encoder_run(encoder, &row, 1, e->room, e->x);
    return e->refused;
}
