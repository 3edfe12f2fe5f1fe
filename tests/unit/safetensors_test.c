/* Safetensors files: what is read of good ones, and the words for each way in which one can be bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/file.h"
#include "proto/json_safetensors.h"

/* The header as it is, spaces to a multiple of 8, `data` bytes 0, 1, 2, ... */
static void build(struct buffer *out, struct bytes header, size_t data)
{
    size_t padding = (8 - header.size % 8) % 8;
    out->size = 0;
    buffer_put_u64(out, header.size + padding);
    buffer_put(out, header.data, header.size);
    buffer_put(out, "        ", padding);
    for (size_t i = 0; i < data; i++)
        buffer_put_u8(out, (uint8_t)i);
}

static void test_good(void **state)
{
    static const char header[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
                                 "\"__metadata__\":{\"who\":\"us\"},"
                                 "\"empty\":{\"dtype\":\"I8\",\"shape\":[4,0],\"data_offsets\":[8,8]},"
                                 "\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}";
    static const char *const order[] = {"a", "empty", "b"};
    CLEANUP(buffer_close) struct buffer file = {0};
    struct safetensors *s = NULL;
    struct tm_error err = {0};
    (void)state;
    build(&file, bytes_text(header), 32);
    if (safetensors_open(buffer_view(&file), &s, &err) != TM_OK)
        fail_msg("%s", err.message);
    assert_int_equal(safetensors_count(s), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(safetensors_at(s, i)->name, order[i]);
    const struct tensor *b = safetensors_find(s, "b"), *a = safetensors_find(s, "a");
    assert_true(b->type == TENSOR_F32 && b->rank == 2 && b->shape[0] == 2 && b->shape[1] == 3);
    assert_true(b->data.size == 24 && b->data.data[0] == 8 && b->data.data + 24 == file.data + file.size);
    assert_true(a->type == TENSOR_F64 && a->rank == 0 && a->data.size == 8);
    assert_string_equal(tensor_type_name(TENSOR_BF16), "BF16");
    assert_null(safetensors_find(s, "__metadata__"));
    assert_string_equal(safetensors_metadata(s, "who"), "us");
    assert_null(safetensors_metadata(s, "where"));
    safetensors_close(s);
    safetensors_close(NULL);
}

/* As the format's own library wrote it. */
static void test_of_the_library(void **state)
{
    CLEANUP(buffer_close) struct buffer file = {0};
    struct safetensors *s = NULL;
    (void)state;
    assert_int_equal(file_read(GOLDEN "/encoder.safetensors", 1 << 20, &file, NULL), TM_OK);
    assert_int_equal(safetensors_open(buffer_view(&file), &s, NULL), TM_OK);
    assert_int_equal(safetensors_count(s), 8);
    assert_int_equal(safetensors_find(s, "layers.0.weight")->shape[0], 24);
    safetensors_close(s);
}

#define A(shape, at) "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" at "}}"
#define TWO(a, b)                                                      \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" a "}," \
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" b "}}"

static const struct {
    const char *header;
    size_t data;
    const char *message; /* NULL: taken */
} headers[] = {
    {A("[2]", "[0,8]"), 8, NULL},
    {"{}", 0, NULL},
    {TWO("[8,16]", "[0,8]"), 16, NULL},

    /* not an object of tensors */
    {"[]", 0, "does not begin with {"},
    {" {}", 0, "does not begin with {"},
    {"{", 0, "header: byte"},
    {"{}{}", 0, "header: byte"},
    {"{\"a\":1}", 0, "tensor a: got number 1; expected an object with dtype, shape and data_offsets"},
    {"{\"\":{}}", 0, "a tensor's name is empty"},
    {"{\"a\\n\":{}}", 0, "a tensor's name is empty, longer than 255 bytes, or has control characters"},
    {"{\"a\\u0000\":{}}", 0, "header: byte"},
    {"{\"a\xff\":{}}", 0, "header: byte"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
     0, "header: byte 57: duplicate object key"},
    {"{\"__metadata__\":[]}", 0, "__metadata__: got array []; expected an object of texts"},
    {"{\"__metadata__\":{\"n\":5}}", 0, "__metadata__: got number 5; expected only texts"},

    /* keys */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8,
     "tensor a: no data_offsets; expected dtype, shape and data_offsets"},
    {"{\"a\":{\"dytpe\":\"F32\"}}", 8, "tensor a: unknown key \"dytpe\"; did you mean \"dtype\"?"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "tensor a: dtype: got string \"F33\""},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "tensor a: dtype: got number 7"},

    /* sizes that lie */
    {A("2", "[0,8]"), 8, "tensor a: shape: got number 2; expected an array of at most 8 lengths"},
    {A("[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, "tensor a: shape: got array"},
    {A("[2.0]", "[0,8]"), 8, "tensor a: shape[0]: got number 2.0; expected a length >= 0"},
    {A("[1,-2]", "[0,8]"), 8, "tensor a: shape[1]: got number -2"},
    {A("[99999999999999999999]", "[0,8]"), 8, "header: byte"},
    {A("[4611686018427387904,2]", "[0,8]"), 8, "tensor a: shape: more than 2^64 bytes"},
    {A("[4611686018427387904,4]", "[0,0]"), 0, "tensor a: shape: more than 2^64 bytes"},
    {A("[3]", "[0,8]"), 8, "tensor a: data_offsets: 8 bytes; shape and dtype make 12"},
    {A("[2]", "[0]"), 8, "tensor a: data_offsets: got array [0]; expected [begin, end], both >= 0"},
    {A("[2]", "[-8,0]"), 8, "tensor a: data_offsets: got array [-8,0]"},
    {A("[2]", "[8,0]"), 8, "tensor a: data_offsets: [8, 0] is not a part of the 8 bytes of data"},
    {A("[4]", "[0,16]"), 8, "tensor a: data_offsets: [0, 16] is not a part of the 8 bytes of data"},

    /* places */
    {A("[1]", "[4,8]"), 8, "4 bytes before tensor a belong to none"},
    {A("[1]", "[0,4]"), 8, "the last 4 bytes belong to no tensor"},
    {"{}", 3, "the last 3 bytes belong to no tensor"},
    {A("[1]", "[2,6]"), 8, "is no multiple of the 4 bytes of F32"},
    {TWO("[0,8]", "[4,12]"), 12, "tensors a and b overlap"},
    {TWO("[0,8]", "[0,8]"), 8, "tensors a and b overlap"},
    {TWO("[0,8]", "[12,20]"), 20, "4 bytes before tensor b belong to none"},
};

static void test_headers(void **state)
{
    CLEANUP(buffer_close) struct buffer file = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct safetensors *s = NULL;
        struct tm_error err = {0};
        build(&file, bytes_text(headers[i].header), headers[i].data);
        enum tm_code rc = safetensors_open(buffer_view(&file), &s, &err);
        assert_int_equal(rc, headers[i].message ? TM_INVALID_ARGUMENT : TM_OK);
        if (headers[i].message && !strstr(err.message, headers[i].message))
            fail_msg("%s: \"%s\" does not say \"%s\"", headers[i].header, err.message, headers[i].message);
        assert_true((rc == TM_OK) == (s != NULL));
        safetensors_close(s);
    }
}

/* The eight bytes in front of the header, and files that end early. */
static void test_lengths(void **state)
{
    static const char good[] = A("[2]", "[0,8]");
    CLEANUP(buffer_close) struct buffer file = {0};
    struct safetensors *s = NULL;
    struct tm_error err = {0};
    (void)state;
    build(&file, bytes_text(good), 8);
    for (size_t size = 0; size < file.size; size++)
        assert_int_equal(safetensors_open(bytes_of(file.data, size), &s, NULL), TM_INVALID_ARGUMENT);
    static const struct {
        uint64_t size;
        enum tm_code code;
        const char *message;
    } sizes[] = {
        {0, TM_INVALID_ARGUMENT, "does not begin with {"},
        {1000, TM_INVALID_ARGUMENT, "a header of 1000 bytes, but only 64 are there"},
        {SAFETENSORS_HEADER_MAX + 1, TM_RESOURCE_EXHAUSTED, "a header of 1048577 bytes; expected at most 1048576"},
        {UINT64_MAX, TM_RESOURCE_EXHAUSTED, "a header of 18446744073709551615 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        memcpy(file.data, &sizes[i].size, 8);
        assert_int_equal(safetensors_open(buffer_view(&file), &s, &err), sizes[i].code);
        if (!strstr(err.message, sizes[i].message))
            fail_msg("case %zu: \"%s\"", i, err.message);
    }
    assert_null(s);
}

static void test_bounds(void **state)
{
    CLEANUP(buffer_close) struct buffer header = {0}, file = {0};
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct safetensors *s = NULL;
        struct tm_error err = {0};
        header.size = 0;
        for (int i = 0; i < SAFETENSORS_TENSORS_MAX + more; i++)
            buffer_print(&header, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "{",
                         i, i, i + 1);
        buffer_print(&header, "}");
        build(&file, buffer_view(&header), (size_t)(SAFETENSORS_TENSORS_MAX + more));
        assert_int_equal(safetensors_open(buffer_view(&file), &s, &err), more ? TM_RESOURCE_EXHAUSTED : TM_OK);
        safetensors_close(s);
    }
    char name[SAFETENSORS_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    for (int more = 0; more < 2; more++) {
        struct safetensors *s = NULL;
        header.size = 0;
        buffer_print(&header, "{\"%.*s\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
                     SAFETENSORS_NAME_MAX + more, name);
        build(&file, buffer_view(&header), 0);
        assert_int_equal(safetensors_open(buffer_view(&file), &s, NULL), more ? TM_INVALID_ARGUMENT : TM_OK);
        safetensors_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_of_the_library), cmocka_unit_test(test_headers),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
