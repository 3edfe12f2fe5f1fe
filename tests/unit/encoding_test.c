/* Raw features as an encoder takes them: what they may look like, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/event.h"
#include "ps/state/encoding.h"
#include "ps/state/feature_vector.h"

enum { DENSE = 2, COUNTRIES = 3, TAGS = 1100, WIDTH = 2 };

struct bench {
    struct encoder *encoder;
    struct encoding encoding;
    struct buffer packed;
};

/* Its numbers, the mean of the countries' and the sum of the tags' go through unchanged. */
static int open_bench(void **state)
{
    struct bench *b = mem_new(1, sizeof *b);
    static float country[COUNTRIES * WIDTH], tag[TAGS], weight[25], bias[5];
    struct encoder_layout l = {.dense = DENSE, .field_count = 2, .layer_count = 1};
    for (int i = 0; i < COUNTRIES * WIDTH; i++)
        country[i] = (float)(i + 1);
    for (int i = 0; i < TAGS; i++)
        tag[i] = (float)(100 * (i + 1));
    for (int i = 0; i < 5; i++)
        weight[6 * i] = 1;
    l.field[0] = (struct encoder_field){"country", POOLING_MEAN, COUNTRIES, WIDTH, country};
    l.field[1] = (struct encoder_field){"tags", POOLING_SUM, TAGS, 1, tag};
    l.layer[0] = (struct encoder_layer){5, 5, ACTIVATION_IDENTITY, weight, bias};
    assert_int_equal(encoder_open(&l, &b->encoder, NULL), TM_OK);
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    encoder_close(b->encoder);
    encoding_close(&b->encoding);
    buffer_close(&b->packed);
    free(b);
    return 0;
}

static void add(struct bench *b, const float *values, uint32_t count)
{
    feature_pack(&b->packed, 0,
                 &(struct event){.has = EVENT_HAS_FEATURES, .features = bytes_of(values, count * sizeof *values)});
}

static void add_sparse(struct bench *b, const uint32_t *indices, const float *values, uint32_t count)
{
    CLEANUP(buffer_close) struct buffer pairs = {0};
    buffer_put(&pairs, indices, count * sizeof *indices);
    buffer_put(&pairs, values, count * sizeof *values);
    feature_pack(&b->packed, 0,
                 &(struct event){.has = EVENT_HAS_FEATURES, .encoding = 1, .features = buffer_view(&pairs)});
}

static enum joiner_reason take(struct bench *b)
{
    encoding_forget(&b->encoding);
    enum joiner_reason reason = encoding_take(&b->encoding, b->encoder, buffer_view(&b->packed));
    b->packed.size = 0;
    return reason;
}

static void assert_x(const struct bench *b, const float *want)
{
    for (int i = 0; i < 5; i++)
        assert_true(b->encoding.x[i] == want[i]);
}

static void test_numbers_and_ids(void **state)
{
    struct bench *b = *state;
    add(b, (float[]){0.5f, -1}, 2); /* no ids at all */
    assert_int_equal(take(b), REASON_NONE);
    assert_x(b, (float[]){0.5f, -1, 0, 0, 0});
    add(b, (float[]){0.5f}, 1); /* in three records; index 0 of the last one is number 1 behind them */
    add(b, NULL, 0);
    add_sparse(b, (uint32_t[]){0, 1, 3, 5}, (float[]){-2, 1, 1, 1}, 4);
    assert_int_equal(take(b), REASON_NONE);
    assert_x(b, (float[]){0.5f, -2, (1 + 5) / 2.f, (2 + 6) / 2.f, 200});
    add_sparse(b, (uint32_t[]){1, 5, 6}, (float[]){3, 1, 1}, 3); /* all of it; number 0 is left out */
    assert_int_equal(take(b), REASON_NONE);
    assert_x(b, (float[]){0, 3, 0, 0, 300});
    add_sparse(b, (uint32_t[]){DENSE + COUNTRIES + TAGS - 1}, (float[]){1}, 1);
    assert_int_equal(take(b), REASON_NONE);
    assert_x(b, (float[]){0, 0, 0, 0, 100 * TAGS});
}

static void test_what_does_not_fit(void **state)
{
    struct bench *b = *state;
    static uint32_t many[ENCODER_BAG_MAX + 1];
    static float ones[ENCODER_BAG_MAX + 1];
    add(b, (float[]){1}, 1);
    assert_int_equal(take(b), REASON_WRONG_DIMENSION);
    add(b, (float[]){1, 2, 3}, 3);
    assert_int_equal(take(b), REASON_WRONG_DIMENSION);
    add(b, (float[]){1}, 1);
    add(b, (float[]){2, 3}, 2);
    assert_int_equal(take(b), REASON_WRONG_DIMENSION);
    add_sparse(b, (uint32_t[]){DENSE + COUNTRIES + TAGS}, (float[]){1}, 1);
    assert_int_equal(take(b), REASON_WRONG_DIMENSION);
    add_sparse(b, (uint32_t[]){UINT32_MAX}, (float[]){1}, 1);
    assert_int_equal(take(b), REASON_WRONG_DIMENSION);
    add_sparse(b, (uint32_t[]){0}, (float[]){1}, 1);
    add(b, (float[]){1}, 1);
    assert_int_equal(take(b), REASON_WRONG_DIMENSION);
    add_sparse(b, (uint32_t[]){2}, (float[]){0.5f}, 1);
    assert_int_equal(take(b), REASON_FEATURE_RANGE);
    add(b, (float[]){1, 2e6f}, 2);
    assert_int_equal(take(b), REASON_FEATURE_RANGE);
    add(b, (float[]){NAN, 0}, 2);
    assert_int_equal(take(b), REASON_FEATURE_RANGE);
    for (uint32_t i = 0; i <= ENCODER_BAG_MAX; i++) {
        many[i] = DENSE + COUNTRIES + i;
        ones[i] = 1;
    }
    add_sparse(b, many, ones, ENCODER_BAG_MAX);
    assert_int_equal(take(b), REASON_NONE);
    add_sparse(b, many, ones, ENCODER_BAG_MAX + 1);
    assert_int_equal(take(b), REASON_FEATURE_RANGE);
    buffer_put_u8(&b->packed, 1); /* cut short */
    assert_int_equal(take(b), REASON_WRONG_DIMENSION);
}

static void test_it_is_encoded_once(void **state)
{
    struct bench *b = *state;
    add(b, (float[]){0.5f, -1}, 2);
    assert_int_equal(take(b), REASON_NONE);
    assert_int_equal(encoding_take(&b->encoding, b->encoder, (struct bytes){0}), REASON_NONE);
    assert_x(b, (float[]){0.5f, -1, 0, 0, 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers_and_ids, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_it_is_encoded_once, open_bench, close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
