/* A dense layer: every bit of it, for any number of rows and on either kind of processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "learner/dense.h"
#include "tests/unit/random.h"

enum { IN_MAX = 70, OUT_MAX = 150, ROWS_MAX = 40, STRIDE = IN_MAX + 3 };

struct layer {
    uint32_t in, out;
    float weights[IN_MAX * OUT_MAX], bias[OUT_MAX];
    float from[ROWS_MAX * STRIDE], want[ROWS_MAX * OUT_MAX];
    float *packed;
};

static float number(uint64_t *seed) { return (float)((double)draw(seed) * 0x1p-63 - 1); }

/* The bias, then product by product. Rounded at each step: what is volatile cannot be fused. */
static float sum_of(const struct layer *l, uint32_t row, uint32_t out)
{
    volatile float sum = l->bias[out];
    for (uint32_t k = 0; k < l->in; k++) {
        volatile float product = l->from[row * STRIDE + k] * l->weights[out * l->in + k];
        sum = sum + product;
    }
    return sum;
}

static struct layer *make_layer(uint64_t *seed, uint32_t in, uint32_t out)
{
    struct layer *l = mem_new(1, sizeof *l);
    l->in = in;
    l->out = out;
    for (uint32_t i = 0; i < in * out; i++)
        l->weights[i] = number(seed);
    for (uint32_t i = 0; i < out; i++)
        l->bias[i] = number(seed);
    for (uint32_t i = 0; i < ROWS_MAX * STRIDE; i++)
        l->from[i] = number(seed);
    for (uint32_t row = 0; row < ROWS_MAX; row++)
        for (uint32_t i = 0; i < out; i++)
            l->want[row * out + i] = sum_of(l, row, i);
    l->packed = mem_new(dense_size(in, out), sizeof *l->packed);
    dense_pack(l->weights, l->bias, in, out, l->packed);
    return l;
}

static void close_layer(struct layer *l)
{
    free(l->packed);
    free(l);
}

typedef void run_fn(const float *packed, uint32_t in, uint32_t out, const float *from, size_t stride, size_t rows,
                    float *to);

/* Rows from `first` on. What lies behind the last one stays as it was. */
static void check(const struct layer *l, run_fn *run, uint32_t first, uint32_t rows)
{
    const uint32_t width = dense_padded(l->out);
    float *to = mem_new((size_t)rows * width + 1, sizeof *to);
    to[rows * width] = 7;
    run(l->packed, l->in, l->out, l->from + first * STRIDE, STRIDE, rows, to);
    for (uint32_t row = 0; row < rows; row++) {
        assert_memory_equal(to + row * width, l->want + (first + row) * l->out, l->out * sizeof *to);
        for (uint32_t i = l->out; i < width; i++)
            assert_true(to[row * width + i] == 0);
    }
    assert_true(to[rows * width] == 7);
    free(to);
}

static void test_every_bit(void **state)
{
    static const uint32_t shapes[][2] = {{1, 1},  {3, 15},  {4, 16},   {5, 17}, {32, 32},
                                         {7, 64}, {70, 80}, {33, 129}, {2, 150}};
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct layer *l = make_layer(&seed, shapes[i][0], shapes[i][1]);
        for (uint32_t rows = 0; rows <= ROWS_MAX; rows++)
            for (uint32_t first = 0; first + rows <= ROWS_MAX; first += 5) {
                check(l, dense_run, first, rows);
                check(l, dense_run_plain, first, rows);
            }
        close_layer(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
