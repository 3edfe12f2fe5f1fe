#include "proto/json_safetensors.h"

#include <stdlib.h>

#include "proto/json_value.h"

#define METADATA "__metadata__"

/* clang-format off */
static const struct {
    const char *name;
    size_t size;
} types[] = {
#define T(name, size) {#name, size},
    TENSOR_TYPES(T)
#undef T
};
/* clang-format on */

struct safetensors {
    json_t *header;
    struct bytes data; /* behind the header */
    size_t data_at;    /* its place in the file */
    struct tensor *tensor;
    size_t count;
};

const char *tensor_type_name(enum tensor_type type) { return types[type].name; }

/* ---- one tensor ---- */

static const char *tensor_key(const void *context, size_t i)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    (void)context;
    return i < ARRAY_LEN(keys) ? keys[i] : NULL;
}

static enum tm_code check_keys(const json_t *v, struct tm_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v))
        return json_unexpected(v, "an object with dtype, shape and data_offsets", err);
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        size_t i = 0;
        while (tensor_key(NULL, i) && strcmp(tensor_key(NULL, i), key) != 0)
            i++;
        if (!tensor_key(NULL, i))
            return json_unknown_key(key, tensor_key, NULL, err);
    }
    for (size_t i = 0; tensor_key(NULL, i); i++)
        if (!json_object_get(v, tensor_key(NULL, i)))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "no %s; expected dtype, shape and data_offsets",
                                tensor_key(NULL, i));
    return TM_OK;
}

static enum tm_code read_type(const json_t *v, enum tensor_type *out, struct tm_error *err)
{
    for (size_t i = 0; json_is_string(v) && i < TENSOR_TYPE_COUNT; i++)
        if (bytes_equal(json_text(v), bytes_text(types[i].name))) {
            *out = (enum tensor_type)i;
            return TM_OK;
        }
    json_unexpected(v, "F32, or another dtype of at least a byte", err);
    return tm_error_wrap(err, "dtype");
}

static bool is_size(const json_t *v) { return json_is_integer(v) && json_integer_value(v) >= 0; }

/* *bytes: of all elements. */
static enum tm_code read_shape(const json_t *v, struct tensor *t, uint64_t *bytes, struct tm_error *err)
{
    size_t i;
    json_t *length;
    *bytes = types[t->type].size;
    if (!json_is_array(v) || json_array_size(v) > SAFETENSORS_RANK_MAX) {
        json_unexpected(v, "an array of at most 8 lengths", err);
        return tm_error_wrap(err, "shape");
    }
    json_array_foreach(v, i, length)
    {
        if (!is_size(length)) {
            json_unexpected(length, "a length >= 0", err);
            return tm_error_wrap(err, "shape[%zu]", i);
        }
        t->shape[t->rank++] = (uint64_t)json_integer_value(length);
        if (__builtin_mul_overflow(*bytes, t->shape[i], bytes))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "shape: more than 2^64 bytes");
    }
    return TM_OK;
}

/* The tensor's part of the data: of exactly `bytes` bytes, inside, and aligned. */
static enum tm_code read_place(const struct safetensors *s, const json_t *v, uint64_t bytes, struct tensor *t,
                               struct tm_error *err)
{
    const json_t *first = json_array_get(v, 0), *last = json_array_get(v, 1);
    if (!json_is_array(v) || json_array_size(v) != 2 || !is_size(first) || !is_size(last)) {
        json_unexpected(v, "[begin, end], both >= 0", err);
        return tm_error_wrap(err, "data_offsets");
    }
    uint64_t begin = (uint64_t)json_integer_value(first), end = (uint64_t)json_integer_value(last);
    if (begin > end || end > s->data.size)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "data_offsets: [%llu, %llu] is not a part of the %zu bytes of data",
                            (unsigned long long)begin, (unsigned long long)end, s->data.size);
    if (end - begin != bytes)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "data_offsets: %llu bytes; shape and dtype make %llu",
                            (unsigned long long)(end - begin), (unsigned long long)bytes);
    if ((s->data_at + begin) % types[t->type].size != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "byte %llu of the file is no multiple of the %zu bytes of %s; write the file again with "
                            "safetensors 0.3 or newer",
                            (unsigned long long)(s->data_at + begin), types[t->type].size, types[t->type].name);
    t->data = bytes_of(s->data.data + begin, bytes);
    return TM_OK;
}

static enum tm_code read_tensor(struct safetensors *s, const char *name, const json_t *v, struct tm_error *err)
{
    struct tensor *t = &s->tensor[s->count];
    uint64_t bytes;
    t->name = name;
    enum tm_code rc = check_keys(v, err);
    if (rc == TM_OK)
        rc = read_type(json_object_get(v, "dtype"), &t->type, err);
    if (rc == TM_OK)
        rc = read_shape(json_object_get(v, "shape"), t, &bytes, err);
    if (rc == TM_OK)
        rc = read_place(s, json_object_get(v, "data_offsets"), bytes, t, err);
    s->count++;
    return rc;
}

/* ---- the file ---- */

/* A name can stand in a message as it is. */
static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((uint8_t)*c < 0x20 || *c == 0x7f || c - name >= SAFETENSORS_NAME_MAX)
            return false;
    return name[0];
}

static enum tm_code check_metadata(const json_t *v, struct tm_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v)) {
        json_unexpected(v, "an object of texts", err);
        return tm_error_wrap(err, METADATA);
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        if (json_is_string(value))
            continue;
        json_unexpected(value, "only texts", err);
        return tm_error_wrap(err, METADATA);
    }
    return TM_OK;
}

static enum tm_code read_tensors(struct safetensors *s, struct tm_error *err)
{
    const char *name;
    json_t *v;
    json_object_foreach(s->header, name, v)
    {
        enum tm_code rc;
        if (strcmp(name, METADATA) == 0)
            rc = check_metadata(v, err);
        else if (!is_name(name))
            rc = tm_error_set(err, TM_INVALID_ARGUMENT,
                              "a tensor's name is empty, longer than %d bytes, or has control characters in it",
                              SAFETENSORS_NAME_MAX);
        else if ((rc = read_tensor(s, name, v, err)) != TM_OK)
            tm_error_wrap(err, "tensor %.64s", name);
        if (rc != TM_OK)
            return rc;
    }
    return TM_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->data.data != y->data.data)
        return x->data.data < y->data.data ? -1 : 1;
    if (x->data.size != y->data.size) /* the empty ones first */
        return x->data.size < y->data.size ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* One behind the other, from the first byte of the data to the last. */
static enum tm_code check_cover(struct safetensors *s, struct tm_error *err)
{
    const uint8_t *at = s->data.data, *end = s->data.data + s->data.size;
    qsort(s->tensor, s->count, sizeof *s->tensor, by_place);
    for (size_t i = 0; i < s->count; i++) {
        const struct tensor *t = &s->tensor[i];
        if (t->data.data < at)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "tensors %.64s and %.64s overlap", s->tensor[i - 1].name,
                                t->name);
        if (t->data.data > at)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu bytes before tensor %.64s belong to none",
                                (size_t)(t->data.data - at), t->name);
        at += t->data.size;
    }
    if (at < end)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "the last %zu bytes belong to no tensor", (size_t)(end - at));
    return TM_OK;
}

/* The header's text; what is behind it becomes the data. */
static enum tm_code cut(struct bytes file, struct safetensors *s, struct bytes *header, struct tm_error *err)
{
    struct reader r = reader_of(file);
    uint64_t size = reader_u64(&r);
    if (r.bad)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu bytes; expected a safetensors file", file.size);
    if (size > SAFETENSORS_HEADER_MAX)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "a header of %llu bytes; expected at most %d",
                            (unsigned long long)size, SAFETENSORS_HEADER_MAX);
    if (size > reader_left(&r))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "a header of %llu bytes, but only %zu are there",
                            (unsigned long long)size, reader_left(&r));
    *header = bytes_of(reader_take(&r, size), size);
    if (size == 0 || header->data[0] != '{')
        return tm_error_set(err, TM_INVALID_ARGUMENT, "the header does not begin with {; expected a safetensors file");
    s->data = bytes_of(r.at, reader_left(&r));
    s->data_at = file.size - s->data.size;
    return TM_OK;
}

static enum tm_code read_file(struct bytes file, struct safetensors *s, struct tm_error *err)
{
    struct bytes header;
    enum tm_code rc = cut(file, s, &header, err);
    if (rc != TM_OK)
        return rc;
    if (json_parse(header, SAFETENSORS_HEADER_MAX, &s->header, err) != TM_OK)
        return tm_error_wrap(err, "header");
    if (json_object_size(s->header) > SAFETENSORS_TENSORS_MAX)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%zu tensors; expected at most %d", json_object_size(s->header),
                            SAFETENSORS_TENSORS_MAX);
    s->tensor = mem_new(json_object_size(s->header) + 1, sizeof *s->tensor);
    rc = read_tensors(s, err);
    return rc == TM_OK ? check_cover(s, err) : rc;
}

enum tm_code safetensors_open(struct bytes file, struct safetensors **ret, struct tm_error *err)
{
    CHECK((uintptr_t)file.data % 8 == 0);
    struct safetensors *s = mem_new(1, sizeof *s);
    enum tm_code rc = read_file(file, s, err);
    if (rc == TM_OK)
        *ret = s;
    else
        safetensors_close(s);
    return rc;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    json_decref(s->header);
    free(s->tensor);
    free(s);
}

/* ---- reading ---- */

size_t safetensors_count(const struct safetensors *s) { return s->count; }

const struct tensor *safetensors_at(const struct safetensors *s, size_t i)
{
    CHECK(i < s->count);
    return &s->tensor[i];
}

const struct tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->tensor[i].name, name) == 0)
            return &s->tensor[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->header, METADATA), key));
}
