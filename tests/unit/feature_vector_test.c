/* Tests of feature vectors: what several records make together, and what no version takes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/state/feature_vector.h"

struct bench {
    struct buffer packed;
    struct feature_vector vector;
};

static void close_bench(struct bench *b)
{
    buffer_close(&b->packed);
    feature_vector_close(&b->vector);
}

static void add(struct bench *b, const char *representation, const float *values, uint32_t count)
{
    struct event e = {.representation = representation ? bytes_text(representation) : (struct bytes){0},
                      .features = bytes_of(values, count * sizeof *values),
                      .has = EVENT_HAS_FEATURES};
    feature_pack(&b->packed, 0, &e);
}

static void add_sparse(struct bench *b, const uint32_t *indices, const float *values, uint32_t count)
{
    CLEANUP(buffer_close) struct buffer pairs = {0};
    buffer_put(&pairs, indices, count * sizeof *indices);
    buffer_put(&pairs, values, count * sizeof *values);
    struct event e = {.encoding = 1, .features = buffer_view(&pairs), .has = EVENT_HAS_FEATURES};
    feature_pack(&b->packed, 0, &e);
}

static void unpack(struct bench *b)
{
    assert_true(feature_vector_unpack(buffer_view(&b->packed), &b->vector));
    b->packed.size = 0;
}

static struct version version_of(uint32_t dimension, const char *representation)
{
    struct version v = {.config = {.dimension = dimension, .covariance = COVARIANCE_DIAGONAL}};
    v.model = model_find(bytes_text("lr"));
    model_fix(v.model, &v.config);
    v.model = model_form(v.model, &v.config);
    memcpy(v.representation, representation, strlen(representation));
    return v;
}

static enum joiner_reason judge(const struct bench *b, uint32_t dimension, const char *representation)
{
    struct version v = version_of(dimension, representation);
    return feature_vector_judge(&b->vector, &v, v.representation, 1);
}

static void expect_values(const struct bench *b, const float *want, uint32_t count)
{
    for (uint32_t i = 0; i < FEATURES_MAX; i++)
        assert_true(b->vector.x[i] == (i < count ? want[i] : 0));
}

static void test_one_behind_the_other(void **state)
{
    static const float values[] = {1, -2, 3}, both[] = {1, -2, 3, 1, -2};
    struct bench b = {0};
    (void)state;
    add(&b, "x", values, 3);
    add(&b, "x", values, 2);
    unpack(&b);
    expect_values(&b, both, 5);
    assert_int_equal(judge(&b, 5, ""), REASON_NONE);
    assert_int_equal(judge(&b, 5, "x"), REASON_NONE);
    assert_int_equal(judge(&b, 5, "y"), REASON_WRONG_REPRESENTATION);
    assert_int_equal(judge(&b, 4, ""), REASON_WRONG_DIMENSION);
    assert_int_equal(judge(&b, 6, ""), REASON_WRONG_DIMENSION);
    add(&b, "x", values, 3); /* used again: nothing is left of the one before */
    add(&b, "y", values, 0);
    unpack(&b);
    expect_values(&b, values, 3);
    assert_int_equal(judge(&b, 3, ""), REASON_NONE);
    assert_int_equal(judge(&b, 3, "x"), REASON_WRONG_REPRESENTATION); /* one of them is of another */
    close_bench(&b);
}

static void test_sparse(void **state)
{
    static const uint32_t indices[] = {1, 3};
    static const float values[] = {5, 7}, alone[] = {0, 5, 0, 7}, behind[] = {5, 7, 0, 5, 0, 7};
    struct bench b = {0};
    (void)state;
    add_sparse(&b, indices, values, 2);
    unpack(&b);
    expect_values(&b, alone, 4);
    assert_int_equal(judge(&b, 3, ""), REASON_WRONG_DIMENSION);
    assert_int_equal(judge(&b, 4, ""), REASON_NONE);
    assert_int_equal(judge(&b, 4000, ""), REASON_NONE); /* what is not named is 0 */
    add(&b, NULL, values, 2);
    add_sparse(&b, indices, values, 2);
    unpack(&b);
    expect_values(&b, behind, 6);
    assert_int_equal(judge(&b, 6, ""), REASON_NONE);
    add_sparse(&b, indices, values, 2); /* where does the next one begin? */
    add(&b, NULL, values, 2);
    unpack(&b);
    assert_int_equal(judge(&b, 6, ""), REASON_WRONG_DIMENSION);
    add_sparse(&b, NULL, NULL, 0); /* all 0 */
    unpack(&b);
    assert_int_equal(judge(&b, 1, ""), REASON_NONE);
    expect_values(&b, values, 0);
    close_bench(&b);
}

static void test_what_is_too_long_fits_nobody(void **state)
{
    static float values[FEATURES_MAX + 1];
    static const uint32_t beyond[] = {FEATURES_MAX}, last[] = {FEATURES_MAX - 2}, huge[] = {UINT32_MAX};
    struct bench b = {0};
    (void)state;
    for (uint32_t i = 0; i <= FEATURES_MAX; i++)
        values[i] = 1;
    add(&b, NULL, values, FEATURES_MAX + 1);
    unpack(&b);
    assert_int_equal(judge(&b, FEATURES_MAX - 1, ""), REASON_WRONG_DIMENSION);
    add(&b, NULL, values, FEATURES_MAX);
    add(&b, NULL, values, 1);
    unpack(&b);
    assert_int_equal(judge(&b, FEATURES_MAX - 1, ""), REASON_WRONG_DIMENSION);
    add_sparse(&b, beyond, values, 1);
    unpack(&b);
    assert_int_equal(judge(&b, FEATURES_MAX - 1, ""), REASON_WRONG_DIMENSION);
    add(&b, NULL, values, 3);
    add_sparse(&b, huge, values, 1); /* base and index together overflow */
    unpack(&b);
    assert_int_equal(judge(&b, FEATURES_MAX - 1, ""), REASON_WRONG_DIMENSION);
    add_sparse(&b, last, values, 1);
    unpack(&b);
    assert_int_equal(judge(&b, FEATURES_MAX - 1, ""), REASON_NONE);
    assert_true(b.vector.x[0] == 0 && b.vector.x[last[0]] == 1);
    close_bench(&b);
}

static void test_what_is_no_number_to_learn_from(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1.1e6f, -1.1e6f};
    struct bench b = {0};
    struct version v = version_of(2, ""), beta = {.model = model_find(bytes_text("beta"))};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        float values[] = {0, bad[i]};
        add(&b, NULL, values, 2);
        unpack(&b);
        assert_int_equal(judge(&b, 2, ""), REASON_FEATURE_RANGE);
    }
    float values[] = {1e6f, -1e6f};
    add(&b, NULL, values, 2);
    unpack(&b);
    assert_int_equal(judge(&b, 2, ""), REASON_NONE);
    assert_int_equal(feature_vector_judge(&b.vector, &v, v.representation, 2e6), REASON_FEATURE_RANGE); /* the weight */
    assert_int_equal(feature_vector_judge(NULL, &v, v.representation, 1), REASON_NO_FEATURES);
    assert_int_equal(feature_vector_judge(NULL, &beta, beta.representation, 2e6), REASON_NONE); /* needs none */
    close_bench(&b);
}

static void test_damage_is_seen(void **state)
{
    static const float values[] = {1, 2};
    struct bench b = {0};
    (void)state;
    add(&b, "x", values, 2);
    for (size_t cut = 1; cut < b.packed.size; cut++) {
        assert_false(feature_vector_unpack(bytes_of(b.packed.data, cut), &b.vector));
        assert_int_equal(judge(&b, 2, ""), REASON_WRONG_DIMENSION);
    }
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_behind_the_other),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_what_is_too_long_fits_nobody),
        cmocka_unit_test(test_what_is_no_number_to_learn_from),
        cmocka_unit_test(test_damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
