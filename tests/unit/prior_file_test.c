/* Priors out of safetensors files: good ones of both types and forms, and a word for each way of being none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/prior_file.h"

/* A file of one header, and numbers of one type behind it. */
static void build(struct buffer *out, const char *header, bool wide, const double *numbers, size_t count)
{
    size_t size = strlen(header), padding = (8 - size % 8) % 8;
    out->size = 0;
    buffer_put_u64(out, size + padding);
    buffer_put(out, header, size);
    buffer_put(out, "        ", padding);
    for (size_t i = 0; i < count; i++) {
        float narrow = (float)numbers[i];
        buffer_put(out, wide ? (const void *)&numbers[i] : &narrow, wide ? sizeof *numbers : sizeof narrow);
    }
}

#define TENSOR(name, type, shape, from, to) \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static void test_good(void **state)
{
    static const double sds[] = {0.5, -1, 2, 0.25}, swapped[] = {2, 0.25, 0.5, -1},
                        covariance[] = {1, 2, 4, 0.5, 0.5, 1};
    static const struct {
        const char *header;
        bool wide;
        const double *numbers;
        size_t count;
        double want[5];
    } files[] = {
        {"{" TENSOR("mean", "F32", "[2]", "0", "8") "," TENSOR("sd", "F32", "[2]", "8", "16") "}",
         false,
         sds,
         4,
         {0.5, -1, 2, 0.25}},
        {"{" TENSOR("sd", "F64", "[2]", "0", "16") "," TENSOR("mean", "F64", "[2]", "16", "32") "}",
         true,
         swapped,
         4,
         {0.5, -1, 2, 0.25}},
        {"{" TENSOR("mean", "F64", "[2]", "0", "16") "," TENSOR("covariance", "F64", "[2,2]", "16", "48") "}",
         true,
         covariance,
         6,
         {1, 2, 4, 0.5, 1}},
        {"{" TENSOR("mean", "F32", "[2]", "0", "8") "," TENSOR("covariance", "F32", "[2,2]", "8", "24") "}",
         false,
         covariance,
         6,
         {1, 2, 4, 0.5, 1}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(buffer_close) struct buffer file = {0};
        double *values = NULL;
        size_t count = 0;
        struct tm_error err = {0};
        build(&file, files[i].header, files[i].wide, files[i].numbers, files[i].count);
        if (prior_file_parse(buffer_view(&file), &values, &count, &err) != TM_OK)
            fail_msg("file %zu: %s", i, err.message);
        assert_int_equal(count, files[i].count == 6 ? 5 : 4);
        for (size_t k = 0; k < count; k++)
            assert_true(values[k] == files[i].want[k]);
        free(values);
    }
}

#define MEAN TENSOR("mean", "F64", "[2]", "0", "16")
#define SD TENSOR("sd", "F64", "[2]", "16", "32")
#define COVARIANCE TENSOR("covariance", "F64", "[2,2]", "16", "48")

static void test_bad(void **state)
{
    static const struct {
        const char *header, *message;
        size_t count;
        double numbers[6];
    } files[] = {
        {"{" MEAN "}", "1 tensors; expected mean, and sd or covariance", 2, {0}},
        {"{" MEAN "," SD "," TENSOR("more", "F64", "[]", "32", "40") "}", "3 tensors; expected mean", 5, {0, 0, 1, 1}},
        {"{" TENSOR("Mean", "F64", "[2]", "0", "16") "," SD "}", "expected mean", 4, {0, 0, 1, 1}},
        {"{" TENSOR("mean", "I64", "[2]", "0", "16") "," SD "}", "tensor mean: dtype I64; expected F32 or F64", 4, {0}},
        {"{" TENSOR("mean", "F64", "[2,1]", "0", "16") "," SD "}", "tensor mean: expected shape [n]", 4, {0}},
        {"{" TENSOR("mean", "F64", "[]", "0", "8") "," TENSOR("sd", "F64", "[]", "8", "16") "}",
         "tensor mean: expected shape [n]",
         2,
         {0}},
        {"{" TENSOR("mean", "F64", "[0]", "0", "0") "," TENSOR("sd", "F64", "[0]", "0", "0") "}",
         "tensor mean: 0 weights",
         0,
         {0}},
        {"{" MEAN "," TENSOR("sd", "F64", "[3]", "16", "40") "}",
         "tensor sd: 3 weights; mean has 2",
         5,
         {0, 0, 1, 1, 1}},
        {"{" MEAN "," TENSOR("covariance", "F64", "[1,4]", "16", "48") "}",
         "tensor covariance: expected shape [n, n]",
         6,
         {0}},
        {"{" MEAN "," SD "}", "tensor mean: number 1 is nan", 4, {0, NAN, 1, 1}},
        {"{" MEAN "," SD "}", "tensor sd: number 0 is inf", 4, {0, 0, INFINITY, 1}},
        {"{" MEAN "," SD "}", "tensor sd: number 1 is 0", 4, {0, 0, 1, 0}},
        {"{" MEAN "," COVARIANCE "}",
         "[1, 0] is 0.5 and [0, 1] is 0.25; expected a symmetric",
         6,
         {0, 0, 1, 0.25, 0.5, 1}},
        {"{" MEAN "," COVARIANCE "}", "tensor covariance: [1, 1] is -1", 6, {0, 0, 1, 0, 0, -1}},
        {"{" MEAN "," TENSOR("sd", "F64", "[2]", "8", "24") "}", "overlap", 3, {0}},
        {"{" MEAN "," SD "}", "data_offsets", 3, {0}}, /* lies about its size */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(buffer_close) struct buffer file = {0};
        double *values = NULL;
        size_t count = 0;
        struct tm_error err = {0};
        build(&file, files[i].header, true, files[i].numbers, files[i].count);
        assert_int_equal(prior_file_parse(buffer_view(&file), &values, &count, &err), TM_INVALID_ARGUMENT);
        assert_null(values);
        if (!strstr(err.message, files[i].message))
            fail_msg("file %zu: \"%s\" does not say \"%s\"", i, err.message, files[i].message);
    }
}

static void test_no_file(void **state)
{
    double *values = NULL;
    size_t count = 0;
    struct tm_error err = {0};
    (void)state;
    assert_int_equal(prior_file_read("/nowhere/prior.safetensors", &values, &count, &err), TM_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/prior.safetensors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
