#include "ps/state/encoding.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ps/state/feature_rows.h"
#include "ps/state/feature_vector.h"
#include "tidemill/v1/events.pb-c.h"

enum { PAIR = sizeof(uint32_t) + sizeof(float) }; /* bytes of an index and its value */

void encoding_close(struct encoding *e)
{
    free(e->memory);
    *e = (struct encoding){0};
}

/* One row on its way in. */
struct input {
    const struct encoder_layout *layout;
    float *dense;
    struct encoder_bag *bag;
    uint32_t *id;         /* where the next one goes */
    uint32_t at;          /* numbers that came */
    bool sparse;          /* the end was reached */
    uint32_t field, base; /* of ids: that of the last one, and the index of its first row */
    struct tm_error *err; /* words for a refusal; may be NULL */
};

static enum joiner_reason refuse_numbers(const struct input *in, size_t numbers)
{
    tm_error_set(in->err, TM_INVALID_ARGUMENT, "%zu numbers; the encoder takes %" PRIu32, numbers, in->layout->dense);
    return REASON_WRONG_DIMENSION;
}

static enum joiner_reason take_dense(struct input *in, struct bytes values)
{
    size_t n = values.size / sizeof(float);
    if (in->at + n > in->layout->dense)
        return refuse_numbers(in, in->at + n);
    if (n)
        memcpy(in->dense + in->at, values.data, n * sizeof(float));
    in->at += (uint32_t)n;
    return REASON_NONE;
}

/* They are 0 already. */
static enum joiner_reason take_blank(struct input *in, uint32_t zeros)
{
    if (zeros > in->layout->dense - in->at)
        return refuse_numbers(in, (size_t)in->at + zeros);
    in->at += zeros;
    return REASON_NONE;
}

/* Indices grow, so the ids of a field lie one behind the other. */
static enum joiner_reason take_id(struct input *in, uint64_t index, float value)
{
    const struct encoder_layout *l = in->layout;
    for (; in->field < l->field_count && index - in->base >= l->field[in->field].rows; in->field++)
        in->base += l->field[in->field].rows;
    if (in->field == l->field_count) {
        tm_error_set(in->err, TM_INVALID_ARGUMENT,
                     "id %" PRIu64 "; the encoder's numbers and tables end before %" PRIu32, index, in->base);
        return REASON_WRONG_DIMENSION;
    }
    struct encoder_bag *bag = &in->bag[in->field];
    if (value != 1) {
        tm_error_set(in->err, TM_INVALID_ARGUMENT, "id %" PRIu64 ": value %g; expected 1", index, (double)value);
        return REASON_FEATURE_RANGE;
    }
    if (bag->count == ENCODER_BAG_MAX) {
        tm_error_set(in->err, TM_INVALID_ARGUMENT, "id %" PRIu64 ": field %s has more than %d ids", index,
                     l->field[in->field].name, ENCODER_BAG_MAX);
        return REASON_FEATURE_RANGE;
    }
    if (bag->count++ == 0)
        bag->id = in->id;
    *in->id++ = (uint32_t)(index - in->base);
    return REASON_NONE;
}

static enum joiner_reason take_sparse(struct input *in, struct bytes pairs)
{
    size_t n = pairs.size / PAIR;
    enum joiner_reason reason = REASON_NONE;
    uint64_t from = in->at;
    in->sparse = true;
    in->base = in->layout->dense;
    for (size_t i = 0; reason == REASON_NONE && i < n; i++) {
        uint32_t index;
        float value;
        memcpy(&index, pairs.data + i * sizeof index, sizeof index);
        memcpy(&value, pairs.data + n * sizeof index + i * sizeof value, sizeof value);
        if (from + index < in->layout->dense)
            in->dense[from + index] = value;
        else
            reason = take_id(in, from + index, value);
    }
    return reason;
}

static enum joiner_reason read_input(struct input *in, struct bytes packed)
{
    struct reader r = reader_of(packed);
    enum joiner_reason reason = REASON_NONE;
    if (packed.size > FEATURE_PACKED_MAX) {
        tm_error_set(in->err, TM_INVALID_ARGUMENT,
                     "%zu bytes of numbers and ids; expected at most %d, about %d of them", packed.size,
                     FEATURE_PACKED_MAX, FEATURE_PACKED_MAX / PAIR);
        return REASON_FEATURE_RANGE;
    }
    while (reason == REASON_NONE && reader_left(&r)) {
        struct feature_part part;
        if (!feature_part_next(&r, &part) || in->sparse) {
            tm_error_set(in->err, TM_INVALID_ARGUMENT, "something lies behind a sparse vector, which has no end");
            return REASON_WRONG_DIMENSION;
        }
        reason = part.encoding == FEATURES_BLANK                                   ? take_blank(in, part.zeros)
                 : part.encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32 ? take_sparse(in, part.features)
                                                                                   : take_dense(in, part.features);
    }
    if (reason == REASON_NONE && !in->sparse && in->at < in->layout->dense)
        return refuse_numbers(in, in->at);
    return reason;
}

/* One piece of memory for all arrays; what needs the widest alignment comes first. */
static void make_room(struct encoding *e, const struct encoder *encoder, size_t count, size_t ids)
{
    const struct encoder_layout *l = encoder_layout(encoder);
    size_t bags = count * l->field_count, dense = count * l->dense, x = count * encoder_width(encoder);
    size_t floats = dense + x + encoder_room(encoder);
    size_t size = count * sizeof *e->row + bags * sizeof *e->bag + floats * sizeof(float) + ids * sizeof *e->id;
    if (size > e->capacity) {
        free(e->memory);
        e->memory = mem_grow(NULL, size, 1);
        e->capacity = size;
    }
    e->row = e->memory;
    e->bag = (void *)(e->row + count);
    e->dense = (void *)(e->bag + bags);
    e->x = e->dense + dense;
    e->room = e->x + x;
    e->id = (void *)(e->dense + floats);
    memset(e->bag, 0, bags * sizeof *e->bag);
    memset(e->dense, 0, dense * sizeof *e->dense);
}

static enum joiner_reason read_all(struct encoding *e, const struct encoder *encoder, const struct bytes *packed,
                                   uint32_t count, uint32_t *refused, struct tm_error *err)
{
    const struct encoder_layout *l = encoder_layout(encoder);
    enum joiner_reason reason = REASON_NONE;
    uint32_t *id = e->id;
    for (uint32_t i = 0; reason == REASON_NONE && i < count; i++) {
        struct input in = {.layout = l,
                           .dense = e->dense + (size_t)i * l->dense,
                           .bag = e->bag + (size_t)i * l->field_count,
                           .id = id,
                           .err = err};
        *refused = i;
        e->row[i] = (struct encoder_input){in.dense, in.bag};
        reason = read_input(&in, packed[i]);
        if (reason == REASON_NONE && encoder_takes(encoder, &e->row[i], err) != TM_OK)
            reason = REASON_FEATURE_RANGE;
        id = in.id;
    }
    return reason;
}

enum joiner_reason encoding_take_all(struct encoding *e, const struct encoder *encoder, const struct bytes *packed,
                                     uint32_t count, uint32_t *refused, struct tm_error *err)
{
    size_t ids = 0;
    for (uint32_t i = 0; i < count; i++)
        ids += packed[i].size / PAIR;
    encoding_forget(e);
    make_room(e, encoder, count, ids);
    enum joiner_reason reason = read_all(e, encoder, packed, count, refused, err);
    if (reason == REASON_NONE)
        encoder_run(encoder, e->row, count, e->room, e->x);
    return reason;
}

enum joiner_reason encoding_take(struct encoding *e, const struct encoder *encoder, struct bytes packed)
{
    uint32_t refused;
    if (e->encoder == encoder)
        return e->refused;
    e->refused = encoding_take_all(e, encoder, &packed, 1, &refused, NULL);
    e->encoder = encoder;
    return e->refused;
}
