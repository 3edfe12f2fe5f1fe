/* Encoder: its numbers and its name against numpy, the promise about bits, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "ps/engine/encoder_file.h"
#include "tests/unit/random.h"

enum { DENSE = 5, FIELDS = 2, BAG_MAX = 4, ROWS_MAX = 200 };

/* ---- what tests encode ---- */

struct row {
    float dense[64];
    uint32_t id[FIELDS][BAG_MAX];
    struct encoder_bag bag[FIELDS];
    struct encoder_input input;
};

static void row_set(struct row *r)
{
    for (int f = 0; f < FIELDS; f++)
        r->bag[f].id = r->id[f];
    r->input = (struct encoder_input){r->dense, r->bag};
}

static float number(uint64_t *seed) { return (float)((double)draw(seed) * 0x1p-63 - 1); }

static void row_fill(struct row *r, const struct encoder *e, uint64_t *seed)
{
    const struct encoder_layout *l = encoder_layout(e);
    row_set(r);
    for (uint32_t i = 0; i < l->dense; i++)
        r->dense[i] = number(seed);
    for (uint32_t f = 0; f < l->field_count; f++) {
        r->bag[f].count = (uint32_t)below(seed, BAG_MAX + 1);
        for (uint32_t k = 0; k < r->bag[f].count; k++)
            r->id[f][k] = (uint32_t)below(seed, l->field[f].rows);
    }
}

static float *encode(const struct encoder *e, const struct row *rows, size_t count)
{
    static struct encoder_input inputs[ROWS_MAX];
    float *room = mem_new(encoder_room(e), sizeof *room), *out = mem_new(count * encoder_width(e) + 1, sizeof *out);
    for (size_t i = 0; i < count; i++)
        inputs[i] = rows[i].input;
    for (size_t i = 0; i < encoder_room(e); i++)
        room[i] = NAN; /* what lay in it must not matter */
    encoder_run(e, inputs, count, room, out);
    free(room);
    return out;
}

/* Random layers over `dense` numbers; the weights are the caller's to free. */
static float *layout_make(struct encoder_layout *l, uint64_t *seed, uint32_t dense, const uint32_t *widths,
                          uint32_t count)
{
    float *all = mem_new(1 << 20, sizeof *all), *at = all;
    *l = (struct encoder_layout){.dense = dense, .layer_count = count};
    for (size_t i = 0; i < 1 << 20; i++)
        all[i] = 0.3f * number(seed);
    for (uint32_t i = 0; i < count; i++) {
        l->layer[i] = (struct encoder_layer){dense, widths[i], (enum encoder_activation)(i % ACTIVATION_COUNT), at,
                                             at + dense * widths[i]};
        at += (dense + 1) * widths[i];
        dense = widths[i];
    }
    assert_true(at <= all + (1 << 20));
    return all;
}

static struct encoder *opened(const struct encoder_layout *l)
{
    struct encoder *e = NULL;
    struct tm_error err = {0};
    if (encoder_open(l, &e, &err) != TM_OK)
        fail_msg("%s", err.message);
    return e;
}

static struct encoder *golden_encoder(struct buffer *file)
{
    struct encoder *e = NULL;
    struct tm_error err = {0};
    assert_int_equal(file_read(GOLDEN "/encoder.safetensors", 1 << 20, file, &err), TM_OK);
    if (encoder_file_open(buffer_view(file), &e, &err) != TM_OK)
        fail_msg("%s", err.message);
    return e;
}

/* ---- numbers and name ---- */

static FILE *golden_text(char *representation, int *rows)
{
    FILE *f = fopen(GOLDEN "/encoder.txt", "r");
    char line[256];
    int dense, fields, width;
    assert_non_null(f);
    for (int i = 0; i < 4; i++)
        assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(fscanf(f, "%63s %d %d %d %d", representation, rows, &dense, &fields, &width), 5);
    assert_true(dense == DENSE && fields == FIELDS && width == 6);
    return f;
}

static void test_golden(void **state)
{
    CLEANUP(buffer_close) struct buffer file = {0};
    static struct row rows[ROWS_MAX];
    char representation[64];
    double want[ROWS_MAX][6];
    int count;
    struct encoder *e = golden_encoder(&file);
    FILE *f = golden_text(representation, &count);
    (void)state;
    assert_string_equal(encoder_representation(e).text, representation);
    assert_int_equal(encoder_width(e), 6);
    for (int j = 0; j < count; j++) {
        row_set(&rows[j]);
        for (int i = 0; i < DENSE; i++)
            assert_int_equal(fscanf(f, "%f", &rows[j].dense[i]), 1);
        for (int k = 0; k < FIELDS; k++) {
            assert_int_equal(fscanf(f, "%u", &rows[j].bag[k].count), 1);
            for (uint32_t i = 0; i < rows[j].bag[k].count; i++)
                assert_int_equal(fscanf(f, "%u", &rows[j].id[k][i]), 1);
        }
        for (int i = 0; i < 6; i++)
            assert_int_equal(fscanf(f, "%lf", &want[j][i]), 1);
    }
    fclose(f);
    float *out = encode(e, rows, (size_t)count);
    for (int j = 0; j < count; j++)
        for (int i = 0; i < 6; i++)
            if (!(fabs((double)out[j * 6 + i] - want[j][i]) < 2e-6))
                fail_msg("row %d, number %d: %g, not %g", j, i, (double)out[j * 6 + i], want[j][i]);
    free(out);
    encoder_close(e);
}

/* Weights, shapes, activations, poolings and names make the name of a representation; the file around them does not. */
static void test_representation(void **state)
{
    static const uint32_t widths[] = {4, 3};
    struct encoder_layout l, changed;
    uint64_t seed = 1;
    float *all = layout_make(&l, &seed, 6, widths, 2), table[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    char seen[10][33];
    (void)state;
    l.dense = 4;
    l.field_count = 1;
    l.field[0] = (struct encoder_field){"color", POOLING_SUM, 4, 2, table};
    for (int i = 0; i < 10; i++) {
        changed = l;
        float other[8];
        memcpy(other, table, sizeof other);
        /* clang-format off */
        switch (i) {
        case 1: changed.field[0].name[0] = 'k'; break;
        case 2: changed.field[0].pooling = POOLING_MEAN; break;
        case 3: changed.field[0].rows = 3; break;
        case 4: other[7] = 7.000001f; changed.field[0].table = other; break;
        case 5: changed.layer[0].activation = ACTIVATION_TANH; break;
        case 6: changed.layer[1].bias++; break;
        case 7: changed.layer[1].weight++; break;
        case 8: changed.layer_count = 1; break;
        case 9: changed.dense = 2; changed.field[0].width = 4; changed.field[0].rows = 2; break;
        }
        /* clang-format on */
        struct encoder *e = opened(&changed), *again = opened(&changed);
        memcpy(seen[i], encoder_representation(e).text, sizeof seen[i]);
        assert_string_equal(seen[i], encoder_representation(again).text);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(seen[i], seen[k]);
        encoder_close(e);
        encoder_close(again);
    }
    free(all);
}

/* ---- bits ---- */

/* Batches of 1 to 97 rows; the rows of each begin at every offset of a tile. */
static void compare_places(const struct encoder *e, uint64_t seed)
{
    enum { MOST = 97 };
    static struct row rows[MOST + ENCODER_TILE];
    uint32_t width = encoder_width(e);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row_fill(&rows[i], e, &seed);
    float *want = mem_new(ARRAY_LEN(rows) * width, sizeof *want);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        float *alone = encode(e, &rows[i], 1);
        memcpy(want + i * width, alone, width * sizeof *alone);
        free(alone);
    }
    for (size_t count = 1; count <= MOST; count++)
        for (size_t offset = 0; offset < ENCODER_TILE; offset++) {
            float *have = encode(e, &rows[offset], count);
            if (memcmp(have, want + offset * width, count * width * sizeof *have) != 0)
                fail_msg("%zu rows from %zu on: other bits than one by one", count, offset);
            free(have);
        }
    free(want);
}

static void test_bits(void **state)
{
    static const uint32_t shapes[][3] = {{1, 1, 1}, {7, 3, 5}, {16, 8, 8}, {33, 65, 17}, {64, 32, 9}};
    CLEANUP(buffer_close) struct buffer file = {0};
    struct encoder *golden = golden_encoder(&file);
    (void)state;
    compare_places(golden, 1);
    encoder_close(golden);
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct encoder_layout l;
        uint64_t seed = 2 + i;
        float *all = layout_make(&l, &seed, (uint32_t)(1 + 21 * i % 64), shapes[i], 3);
        struct encoder *e = opened(&l);
        compare_places(e, seed);
        encoder_close(e);
        free(all);
    }
}

/* The weights are the encoder's own. */
static void test_copies(void **state)
{
    static const uint32_t widths[] = {3};
    struct encoder_layout l;
    struct row row = {0};
    uint64_t seed = 9;
    float *all = layout_make(&l, &seed, 4, widths, 1);
    struct encoder *e = opened(&l);
    (void)state;
    row_fill(&row, e, &seed);
    float *before = encode(e, &row, 1);
    memset(all, 0, 64 * sizeof *all);
    float *after = encode(e, &row, 1);
    assert_memory_equal(before, after, 3 * sizeof *before);
    free(before);
    free(after);
    free(all);
    encoder_close(e);
    encoder_close(NULL);
}

/* ---- refusals ---- */

static void test_layouts(void **state)
{
    static const uint32_t widths[] = {4, 3};
    uint64_t seed = 3;
    (void)state;
    for (int i = 0; i < 14; i++) {
        struct encoder_layout l;
        struct encoder *e = NULL;
        float *all = layout_make(&l, &seed, 6, widths, 2), table[8] = {0}, bad[32] = {0};
        const char *message = NULL;
        l.dense = 4;
        l.field_count = 1;
        l.field[0] = (struct encoder_field){"color", POOLING_SUM, 4, 2, table};
        bad[1] = NAN;
        /* clang-format off */
        switch (i) {
        case 1:  l.layer_count = 0;                                message = "no layers"; break;
        case 2:  l.dense = 5;                                      message = "layer 0: takes 6 numbers; 7 come in"; break;
        case 3:  l.layer[1].in = 5;                                message = "layer 1: takes 5 numbers; 4 come in"; break;
        case 4:  l.layer[1].out = 0;                               message = "width of layer 1: 0"; break;
        case 5:  l.layer[1].out = 4097;                            message = "4097 is not in [1, 4096]"; break;
        case 6:  l.layer[0].weight = bad;                          message = "weights of layer 0: number 1 is nan"; break;
        case 7:  l.layer[1].bias = bad;                            message = "bias of layer 1"; break;
        case 8:  l.field[0].table = bad;                           message = "table of field 0"; break;
        case 9:  l.field[0].rows = 0;                              message = "rows of field 0"; break;
        case 10: l.field[0].width = 5000;                          message = "width of field 0"; break;
        case 11: l.field[0].name[2] = '\n';                        message = "field 0: a name"; break;
        case 12: l.field[1] = l.field[0]; l.field_count = 2;       message = "field color: given twice"; break;
        case 13: l.dense = 4095;                                   message = "4097 numbers go into"; break;
        }
        /* clang-format on */
        struct tm_error err = {0};
        assert_int_equal(encoder_open(&l, &e, &err), message ? TM_INVALID_ARGUMENT : TM_OK);
        if (message && !strstr(err.message, message))
            fail_msg("case %d: \"%s\" does not say \"%s\"", i, err.message, message);
        encoder_close(e);
        free(all);
    }
}

static void test_takes(void **state)
{
    CLEANUP(buffer_close) struct buffer file = {0};
    struct encoder *e = golden_encoder(&file);
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct row r;
        const char *message = NULL;
        uint64_t seed = 4;
        row_fill(&r, e, &seed);
        r.bag[1].count = 2;
        /* clang-format off */
        switch (i) {
        case 1: r.dense[4] = NAN;       message = "number 4: nan"; break;
        case 2: r.dense[0] = -INFINITY; message = "number 0"; break;
        case 3: r.dense[1] = 1.1e6f;    message = "number 1"; break;
        case 4: r.id[1][1] = 11;        message = "field tags: id 11; the table has 11 rows"; break;
        case 5: r.bag[0].count = 1025;  message = "field country: 1025 ids"; break;
        }
        /* clang-format on */
        struct tm_error err = {0};
        assert_int_equal(encoder_takes(e, &r.input, &err), message ? TM_INVALID_ARGUMENT : TM_OK);
        if (message && !strstr(err.message, message))
            fail_msg("case %d: \"%s\" does not say \"%s\"", i, err.message, message);
    }
    encoder_close(e);
}

/* A well-formed file whose metadata or tensors are not an encoder's. */
static void test_files(void **state)
{
    static const struct {
        const char *from, *to, *message; /* of the golden file's header, in equally many bytes */
    } cases[] = {
        {"\"tidemill.encoder\":\"1\"", "\"tidemill.encoder\":\"2\"", "metadata tidemill.encoder: 2; expected \"1\""},
        {"tidemill.encoder", "tidemill.decoder", "metadata tidemill.encoder: none"},
        {"\"tidemill.dense\":\"5\"", "\"tidemill.dense\":\"x\"", "metadata tidemill.dense: \"x\""},
        {"\"tidemill.dense\":\"5\"", "\"tidemill.dense\":\"6\"", "layer 0: takes 12 numbers; 13 come in"},
        {"relu,tanh", "relu,tahn", "metadata tidemill.activations: \"tahn\", number 1"},
        {"relu,tanh,identity", "relu,tanh,,,,,,,,,", "metadata tidemill.activations: \"\", number 2"},
        {"country:mean", "country:meam", "metadata tidemill.fields: \"country:meam\", number 0"},
        {"country:mean", "kountry:mean", "tensor fields.kountry.weight: not in the file"},
        {"country:mean,tags:sum", "country:mean,tags:sum", NULL},
        {",tags:sum", "         ", "metadata tidemill.fields: \"country:mean         \""},
        {"\"layers.2.bias\"", "\"layers.2.bios\"", "tensor layers.2.bias: not in the file"},
        {"\"dtype\":\"F32\",\"shape\":[6]", "\"dtype\":\"I32\",\"shape\":[6]",
         "tensor layers.2.bias: dtype I32; expected F32"},
        {"\"shape\":[6,10]", "\"shape\":[10,6]", "tensor layers.2.bias: 6 numbers; the layer has 10"},
        {"\"shape\":[6,10]", "\"shape\":[60]  ", "tensor layers.2.weight: rank 1; expected 2"},
        {"relu,tanh,identity\"", "relu,tanh\"         ",
         "8 tensors; the metadata has places for 6 (2 fields, 2 layers"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buffer_close) struct buffer file = {0};
        struct tm_error err = {0};
        struct encoder *e = NULL;
        assert_int_equal(file_read(GOLDEN "/encoder.safetensors", 1 << 20, &file, NULL), TM_OK);
        assert_int_equal(strlen(cases[i].from), strlen(cases[i].to));
        uint8_t *at = memmem(file.data, file.size, cases[i].from, strlen(cases[i].from));
        assert_non_null(at);
        memcpy(at, cases[i].to, strlen(cases[i].to));
        enum tm_code want = cases[i].message ? TM_INVALID_ARGUMENT : TM_OK;
        if (encoder_file_open(buffer_view(&file), &e, &err) != want)
            fail_msg("case %zu: \"%s\"", i, err.message);
        if (cases[i].message && !strstr(err.message, cases[i].message))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].message);
        encoder_close(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_representation), cmocka_unit_test(test_bits),
        cmocka_unit_test(test_copies), cmocka_unit_test(test_layouts),        cmocka_unit_test(test_takes),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
