/* learner/encoder.h - the static part of a model: a small network that turns raw input into the representation x.
 *
 * Network  numbers and pooled categorical fields one behind the other, then dense layers: h := f(W h + b), f one of
 *          ENCODER_ACTIVATIONS. A field's ids are rows of its table, summed or averaged (an embedding bag); no ids give
 *          zeros. Weights are fixed when the encoder is opened; nothing here learns.
 * Shapes   W: out x in by rows, as PyTorch's Linear keeps it; tables: rows x width. Everything is float.
 * Bits     a row gives the same bits alone, in any batch, and at any place of it; and on every processor, but for what
 *          tanhf of the system's library rounds otherwise (learner/dense.h).
 * Identity encoder_representation is XXH3-128 (seed 0), as 32 hexadecimal digits, of a text: "tidemill encoder 1\n",
 *          "dense N\n", per field "field NAME POOLING ROWS WIDTH HASH\n", per layer "layer IN OUT ACTIVATION HASH
 *          HASH\n" (W, b), each HASH that of the numbers as they lie in memory. So equal weights in equal roles have
 *          equal names, however their file is laid out. Parameters carry it, and whatever comes encoded; what was
 *          learned of one representation means nothing in another.
 * Memory   an encoder copies its weights, those of layers as learner/dense.h packs them, and is not changed by use;
 *          room and arrays of a call are the caller's.
 * Threads  any number on one encoder, each with its own room.
 * Errors   what a file or a sender can get wrong is TM_INVALID_ARGUMENT with its place. encoder_run CHECKs what
 *          encoder_takes refuses. Weights can be such that sums overflow: then x holds an infinity or a NaN, which
 *          every model refuses as it does any other (features_take). */
#ifndef TIDEMILL_LEARNER_ENCODER_H
#define TIDEMILL_LEARNER_ENCODER_H

#include "base/bytes.h"
#include "base/error.h"
#include "learner/dense.h"

enum {
    ENCODER_TILE = DENSE_ROWS, /* rows that go through all layers together */
    ENCODER_LAYERS_MAX = 16,
    ENCODER_WIDTH_MAX = 4096, /* of a layer, or of what goes in */
    ENCODER_FIELDS_MAX = 64,
    ENCODER_NAME_MAX = 63,
    ENCODER_ROWS_MAX = 1 << 24, /* of a table */
    ENCODER_BAG_MAX = 1024,     /* ids of one field in one row */
};

#define ENCODER_INPUT_MAX 1e6f        /* largest |number| */
#define ENCODER_WEIGHTS_MAX (1 << 28) /* numbers in all, 1 GiB */

/* clang-format off */
#define ENCODER_ACTIVATIONS(A) A(IDENTITY, "identity") A(RELU, "relu") A(TANH, "tanh")
#define ENCODER_POOLINGS(P) P(SUM, "sum") P(MEAN, "mean")

enum encoder_activation {
#define A(id, name) ACTIVATION_##id,
    ENCODER_ACTIVATIONS(A)
#undef A
    ACTIVATION_COUNT
};
enum encoder_pooling {
#define P(id, name) POOLING_##id,
    ENCODER_POOLINGS(P)
#undef P
    POOLING_COUNT
};
/* clang-format on */

struct encoder_field {
    char name[ENCODER_NAME_MAX + 1];
    enum encoder_pooling pooling;
    uint32_t rows, width;
    const float *table;
};

struct encoder_layer {
    uint32_t in, out;
    enum encoder_activation activation;
    const float *weight, *bias;
};

struct encoder_layout {
    uint32_t dense; /* numbers of a row */
    uint32_t field_count, layer_count;
    struct encoder_field field[ENCODER_FIELDS_MAX];
    struct encoder_layer layer[ENCODER_LAYERS_MAX];
};

struct encoder;

struct encoder_id {
    char text[33];
};

/* One row of raw input: `dense` numbers, and of every field its ids. */
struct encoder_bag {
    const uint32_t *id;
    uint32_t count;
};
struct encoder_input {
    const float *dense;
    const struct encoder_bag *bag; /* field_count */
};

/* TM_INVALID_ARGUMENT: layers that do not fit together, bounds, weights that are not finite. On TM_OK the caller ends
 * *ret with encoder_close(). */
enum tm_code encoder_open(const struct encoder_layout *layout, struct encoder **ret, struct tm_error *err);
void encoder_close(struct encoder *e); /* NULL is fine */

/* Without the weights of layers (NULL). */
const struct encoder_layout *encoder_layout(const struct encoder *e);
struct encoder_id encoder_representation(const struct encoder *e);
uint32_t encoder_width(const struct encoder *e); /* of x */

/* TM_INVALID_ARGUMENT names the number or id that cannot be encoded. */
enum tm_code encoder_takes(const struct encoder *e, const struct encoder_input *row, struct tm_error *err);

/* out: count x encoder_width(e). room: encoder_room(e) floats of the caller's, contents of no matter. */
size_t encoder_room(const struct encoder *e);
void encoder_run(const struct encoder *e, const struct encoder_input *rows, size_t count, float *room, float *out);

const char *encoder_activation_name(enum encoder_activation a);
const char *encoder_pooling_name(enum encoder_pooling p);

#endif
