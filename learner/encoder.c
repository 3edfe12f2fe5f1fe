#include "learner/encoder.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"

struct encoder {
    struct encoder_layout layout;           /* its tables lie in `memory`; layers have no weights of their own there */
    const float *layer[ENCODER_LAYERS_MAX]; /* packed (learner/dense.h), in `memory`, too */
    float *memory;
    uint32_t widest; /* of what goes in, and of all layers as they come out */
    struct encoder_id id;
};

/* clang-format off */
static const char *const activations[] = {
#define A(id, name) name,
    ENCODER_ACTIVATIONS(A)
#undef A
};
static const char *const poolings[] = {
#define P(id, name) name,
    ENCODER_POOLINGS(P)
#undef P
};
/* clang-format on */

const char *encoder_activation_name(enum encoder_activation a) { return activations[a]; }
const char *encoder_pooling_name(enum encoder_pooling p) { return poolings[p]; }

/* ---- opening ---- */

static size_t size_of_table(const struct encoder_field *f) { return (size_t)f->rows * f->width; }
static size_t size_of_weight(const struct encoder_layer *l) { return (size_t)l->in * l->out; }

static enum tm_code check_size(const char *what, uint32_t i, uint32_t size, uint32_t most, struct tm_error *err)
{
    if (size < 1 || size > most)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s %u: %u is not in [1, %u]", what, i, size, most);
    return TM_OK;
}

static enum tm_code check_finite(const float *v, size_t count, const char *what, uint32_t i, struct tm_error *err)
{
    for (size_t k = 0; k < count; k++)
        if (!isfinite(v[k]))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "%s %u: number %zu is %g; expected finite ones", what, i, k,
                                (double)v[k]);
    return TM_OK;
}

/* A word, so that the text that is hashed has one meaning. */
static bool is_word(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return size > 0 && !name[size];
}

static enum tm_code check_field(const struct encoder_layout *l, uint32_t i, struct tm_error *err)
{
    const struct encoder_field *f = &l->field[i];
    enum tm_code rc = TM_OK;
    if (!is_word(f->name))
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "field %u: a name has letters, digits, _ and -", i);
    if (rc == TM_OK)
        rc = check_size("rows of field", i, f->rows, ENCODER_ROWS_MAX, err);
    if (rc == TM_OK)
        rc = check_size("width of field", i, f->width, ENCODER_WIDTH_MAX, err);
    for (uint32_t k = 0; rc == TM_OK && k < i; k++)
        if (strcmp(f->name, l->field[k].name) == 0)
            rc = tm_error_set(err, TM_INVALID_ARGUMENT, "field %s: given twice", f->name);
    return rc == TM_OK ? check_finite(f->table, size_of_table(f), "table of field", i, err) : rc;
}

static enum tm_code check_layer(const struct encoder_layout *l, uint32_t i, uint32_t in, struct tm_error *err)
{
    const struct encoder_layer *layer = &l->layer[i];
    enum tm_code rc = check_size("width of layer", i, layer->out, ENCODER_WIDTH_MAX, err);
    if (rc == TM_OK && layer->in != in)
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "layer %u: takes %u numbers; %u come in", i, layer->in, in);
    if (rc == TM_OK)
        rc = check_finite(layer->weight, size_of_weight(layer), "weights of layer", i, err);
    return rc == TM_OK ? check_finite(layer->bias, layer->out, "bias of layer", i, err) : rc;
}

static enum tm_code check_layout(const struct encoder_layout *l, struct tm_error *err)
{
    uint64_t in = l->dense;
    size_t weights = 0;
    CHECK(l->field_count <= ENCODER_FIELDS_MAX && l->layer_count <= ENCODER_LAYERS_MAX);
    if (l->layer_count < 1)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "no layers; expected 1 to %d", ENCODER_LAYERS_MAX);
    for (uint32_t i = 0; i < l->field_count; i++) {
        if (check_field(l, i, err) != TM_OK)
            return TM_INVALID_ARGUMENT;
        in += l->field[i].width;
        weights += size_of_table(&l->field[i]);
    }
    if (in < 1 || in > ENCODER_WIDTH_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%llu numbers go into the first layer; expected 1 to %d",
                            (unsigned long long)in, ENCODER_WIDTH_MAX);
    for (uint32_t i = 0; i < l->layer_count; i++) {
        if (check_layer(l, i, (uint32_t)in, err) != TM_OK)
            return TM_INVALID_ARGUMENT;
        in = l->layer[i].out;
        weights += size_of_weight(&l->layer[i]) + in;
    }
    if (weights > ENCODER_WEIGHTS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu weights; expected at most %d", weights, ENCODER_WEIGHTS_MAX);
    return TM_OK;
}

static size_t size_of_layer(const struct encoder_layer *l) { return dense_size(l->in, l->out); }

/* Floats in memory, and what makes up for where it begins. */
static size_t size_of_all(const struct encoder_layout *l)
{
    size_t size = DENSE_ALIGNMENT / sizeof(float);
    for (uint32_t i = 0; i < l->layer_count; i++)
        size += size_of_layer(&l->layer[i]);
    for (uint32_t i = 0; i < l->field_count; i++)
        size += size_of_table(&l->field[i]);
    return size;
}

/* Layers first: each takes whole lines of the cache. */
static void copy_weights(struct encoder *e)
{
    struct encoder_layout *l = &e->layout;
    float *to = e->memory + (-(uintptr_t)e->memory % DENSE_ALIGNMENT) / sizeof *to;
    e->widest = l->layer[0].in;
    for (uint32_t i = 0; i < l->layer_count; i++) {
        struct encoder_layer *layer = &l->layer[i];
        dense_pack(layer->weight, layer->bias, layer->in, layer->out, to);
        e->layer[i] = to;
        to += size_of_layer(layer);
        layer->weight = layer->bias = NULL;
        e->widest = dense_padded(layer->out) > e->widest ? dense_padded(layer->out) : e->widest;
    }
    for (uint32_t i = 0; i < l->field_count; i++) {
        struct encoder_field *f = &l->field[i];
        f->table = memcpy(to, f->table, size_of_table(f) * sizeof *to);
        to += size_of_table(f);
    }
}

/* ---- identity ---- */

static struct encoder_id id_of(struct bytes data)
{
    static const char digits[] = "0123456789abcdef";
    struct hash128 h = hash_128(data, 0);
    struct encoder_id id = {0};
    for (int i = 0; i < 32; i++)
        id.text[i] = digits[(i < 16 ? h.hi : h.lo) >> (60 - 4 * (i % 16)) & 15];
    return id;
}

static struct encoder_id id_of_numbers(const float *v, size_t count) { return id_of(bytes_of(v, count * sizeof *v)); }

static struct encoder_id identify(const struct encoder_layout *l)
{
    CLEANUP(buffer_close) struct buffer text = {0};
    buffer_print(&text, "tidemill encoder 1\ndense %u\n", l->dense);
    for (uint32_t i = 0; i < l->field_count; i++) {
        const struct encoder_field *f = &l->field[i];
        buffer_print(&text, "field %s %s %u %u %s\n", f->name, poolings[f->pooling], f->rows, f->width,
                     id_of_numbers(f->table, size_of_table(f)).text);
    }
    for (uint32_t i = 0; i < l->layer_count; i++) {
        const struct encoder_layer *layer = &l->layer[i];
        buffer_print(&text, "layer %u %u %s %s %s\n", layer->in, layer->out, activations[layer->activation],
                     id_of_numbers(layer->weight, size_of_weight(layer)).text,
                     id_of_numbers(layer->bias, layer->out).text);
    }
    return id_of(buffer_view(&text));
}

/* ---- encoding ---- */

static void activate(enum encoder_activation a, float *restrict v, size_t count)
{
    if (a == ACTIVATION_RELU)
        for (size_t i = 0; i < count; i++)
            v[i] = v[i] < 0 ? 0 : v[i];
    if (a == ACTIVATION_TANH)
        for (size_t i = 0; i < count; i++)
            v[i] = tanhf(v[i]);
}

/* Rows through all layers, from a to b and back; returns where the last one left them. */
static const float *run_layers(const struct encoder *e, size_t rows, float *a, float *b)
{
    size_t stride = e->layout.layer[0].in;
    for (uint32_t i = 0; i < e->layout.layer_count; i++) {
        const struct encoder_layer *l = &e->layout.layer[i];
        dense_run(e->layer[i], l->in, l->out, a, stride, rows, b);
        stride = dense_padded(l->out);
        activate(l->activation, b, rows * stride);
        float *held = a;
        a = b;
        b = held;
    }
    return a;
}

static void pool(const struct encoder_field *f, const struct encoder_bag *bag, float *restrict out)
{
    memset(out, 0, f->width * sizeof *out);
    for (uint32_t k = 0; k < bag->count; k++) {
        const float *row = f->table + (size_t)bag->id[k] * f->width;
        for (uint32_t i = 0; i < f->width; i++)
            out[i] += row[i];
    }
    if (f->pooling == POOLING_MEAN && bag->count > 1)
        for (uint32_t i = 0; i < f->width; i++)
            out[i] /= (float)bag->count;
}

static void gather(const struct encoder *e, const struct encoder_input *row, float *out)
{
    const struct encoder_layout *l = &e->layout;
    CHECK(encoder_takes(e, row, NULL) == TM_OK);
    if (l->dense)
        memcpy(out, row->dense, l->dense * sizeof *out);
    out += l->dense;
    for (uint32_t i = 0; i < l->field_count; out += l->field[i++].width)
        pool(&l->field[i], &row->bag[i], out);
}

void encoder_run(const struct encoder *e, const struct encoder_input *rows, size_t count, float *room, float *out)
{
    uint32_t in = e->layout.layer[0].in, width = encoder_width(e);
    for (size_t done = 0; done < count; done += ENCODER_TILE) {
        size_t now = count - done < ENCODER_TILE ? count - done : ENCODER_TILE;
        for (size_t i = 0; i < now; i++)
            gather(e, &rows[done + i], room + i * in);
        const float *x = run_layers(e, now, room, room + ENCODER_TILE * e->widest);
        for (size_t i = 0; i < now; i++)
            memcpy(out + (done + i) * width, x + i * dense_padded(width), width * sizeof *out);
    }
}

/* ---- what callers see ---- */

enum tm_code encoder_open(const struct encoder_layout *layout, struct encoder **ret, struct tm_error *err)
{
    enum tm_code rc = check_layout(layout, err);
    if (rc != TM_OK)
        return rc;
    struct encoder *e = mem_new(1, sizeof *e);
    e->layout = *layout;
    e->id = identify(layout);
    e->memory = mem_grow(NULL, size_of_all(layout), sizeof *e->memory);
    copy_weights(e);
    *ret = e;
    return TM_OK;
}

void encoder_close(struct encoder *e)
{
    if (!e)
        return;
    free(e->memory);
    free(e);
}

const struct encoder_layout *encoder_layout(const struct encoder *e) { return &e->layout; }
struct encoder_id encoder_representation(const struct encoder *e) { return e->id; }
uint32_t encoder_width(const struct encoder *e) { return e->layout.layer[e->layout.layer_count - 1].out; }
size_t encoder_room(const struct encoder *e) { return (size_t)2 * ENCODER_TILE * e->widest; }

enum tm_code encoder_takes(const struct encoder *e, const struct encoder_input *row, struct tm_error *err)
{
    const struct encoder_layout *l = &e->layout;
    for (uint32_t i = 0; i < l->dense; i++)
        if (!(fabsf(row->dense[i]) <= ENCODER_INPUT_MAX))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "number %u: %g is not in [-%g, %g]", i, (double)row->dense[i],
                                (double)ENCODER_INPUT_MAX, (double)ENCODER_INPUT_MAX);
    for (uint32_t i = 0; i < l->field_count; i++) {
        const struct encoder_field *f = &l->field[i];
        if (row->bag[i].count > ENCODER_BAG_MAX)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "field %s: %u ids; expected at most %d", f->name,
                                row->bag[i].count, ENCODER_BAG_MAX);
        for (uint32_t k = 0; k < row->bag[i].count; k++)
            if (row->bag[i].id[k] >= f->rows)
                return tm_error_set(err, TM_INVALID_ARGUMENT, "field %s: id %u; the table has %u rows", f->name,
                                    row->bag[i].id[k], f->rows);
    }
    return TM_OK;
}
