#include "proto/json_event.h"

#include <inttypes.h>
#include <math.h>

#include "base/base64.h"
#include "base/clock.h"
#include "proto/json_value.h"

/* FeatureEncoding of events.proto. */
enum { ENCODING_FLOAT32 = 0, ENCODING_SPARSE_FLOAT32 = 1 };

/* One event on its way; the JSON object and the buffers own what the event's views point into. */
struct reading {
    struct event event;
    struct buffer features, payload;
};

static void reading_close(struct reading *l)
{
    buffer_close(&l->features);
    buffer_close(&l->payload);
}

static enum tm_code read_text(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    (void)l;
    if (!json_is_string(v))
        return json_unexpected(v, "a string", err);
    *(struct bytes *)out = json_text(v);
    return TM_OK;
}

static enum tm_code read_time(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    int64_t *time = out;
    l->event.has |= EVENT_HAS_TIME;
    if (json_is_integer(v)) {
        *time = json_integer_value(v);
        return TM_OK;
    }
    if (json_is_string(v) && clock_parse(json_text(v), time))
        return TM_OK;
    return json_unexpected(v, "milliseconds since 1970 as an integer, or a time like \"2019-11-24T00:00:12.345Z\"",
                           err);
}

static enum tm_code read_value(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    if (!json_is_number(v))
        return json_unexpected(v, "a number", err);
    l->event.has |= EVENT_HAS_VALUE;
    *(double *)out = json_number_value(v);
    return TM_OK;
}

static enum tm_code read_float(const json_t *v, float *out, struct tm_error *err)
{
    if (!json_is_number(v))
        return json_unexpected(v, "a number", err);
    *out = (float)json_number_value(v);
    return isfinite(*out) ? TM_OK : json_unexpected(v, "a number within float32, +-3.4e38", err);
}

static enum tm_code read_score(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    l->event.has |= EVENT_HAS_SCORE;
    return read_float(v, out, err);
}

static enum tm_code read_propensity(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    l->event.has |= EVENT_HAS_PROPENSITY;
    return read_float(v, out, err);
}

static enum tm_code read_weight(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    l->event.has |= EVENT_HAS_WEIGHT;
    return read_float(v, out, err);
}

static enum tm_code read_position(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    json_int_t position = json_integer_value(v);
    if (!json_is_integer(v) || position < INT32_MIN || position > INT32_MAX)
        return json_unexpected(v, "an integer of 32 bits", err);
    l->event.has |= EVENT_HAS_POSITION;
    *(int32_t *)out = (int32_t)position;
    return TM_OK;
}

static enum tm_code read_flag(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    (void)l;
    if (!json_is_boolean(v))
        return json_unexpected(v, "true or false", err);
    *(bool *)out = json_is_true(v);
    return TM_OK;
}

static enum tm_code put_values(const json_t *values, struct buffer *out, struct tm_error *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(values, i, v)
    {
        float value = 0;
        enum tm_code rc = read_float(v, &value, err);
        if (rc != TM_OK) {
            tm_error_wrap(err, "value %zu", i);
            return rc;
        }
        buffer_put(out, &value, sizeof value);
    }
    return TM_OK;
}

static enum tm_code put_indices(const json_t *indices, struct buffer *out, struct tm_error *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(indices, i, v)
    {
        json_int_t index = json_integer_value(v);
        if (!json_is_integer(v) || index < 0 || index > UINT32_MAX) {
            json_unexpected(v, "an integer from 0 to 4294967295", err);
            tm_error_wrap(err, "index %zu", i);
            return TM_INVALID_ARGUMENT;
        }
        buffer_put_u32(out, (uint32_t)index);
    }
    return TM_OK;
}

static enum tm_code put_sparse(const json_t *v, struct buffer *out, struct tm_error *err)
{
    json_t *indices = json_object_get(v, "i"), *values = json_object_get(v, "v");
    enum tm_code rc;
    if (json_object_size(v) != 2 || !json_is_array(indices) || !json_is_array(values))
        return json_unexpected(v, "{\"i\":[indices],\"v\":[values]}", err);
    if (json_array_size(indices) != json_array_size(values))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu indices and %zu values; expected as many of each",
                            json_array_size(indices), json_array_size(values));
    rc = put_indices(indices, out, err);
    return rc == TM_OK ? put_values(values, out, err) : rc;
}

enum tm_code json_put_features(const json_t *v, struct buffer *out, uint32_t *encoding, struct tm_error *err)
{
    if (!json_is_array(v) && !json_is_object(v))
        return json_unexpected(v, "an array of numbers or {\"i\":[indices],\"v\":[values]}", err);
    *encoding = json_is_object(v) ? ENCODING_SPARSE_FLOAT32 : ENCODING_FLOAT32;
    return json_is_object(v) ? put_sparse(v, out, err) : put_values(v, out, err);
}

static enum tm_code read_features(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    enum tm_code rc = json_put_features(v, &l->features, &l->event.encoding, err);
    l->event.has |= EVENT_HAS_FEATURES;
    *(struct bytes *)out = buffer_view(&l->features);
    return rc;
}

static enum tm_code read_payload(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    if (!json_is_string(v) || !base64_decode(json_text(v), &l->payload))
        return json_unexpected(v, "base64 text, padded with =", err);
    *(struct bytes *)out = buffer_view(&l->payload);
    return TM_OK;
}

static enum tm_code read_items(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    (void)v;
    (void)l;
    (void)out;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "not supported by this server version; send one event per document");
}

static const struct key {
    const char *name;
    enum tm_code (*read)(const json_t *v, struct reading *l, void *out, struct tm_error *err);
    size_t offset; /* of *out in struct event */
} keys[] = {
#define KEY(name, read)                           \
    {                                             \
#name, read, offsetof(struct event, name) \
    }
    KEY(stream, read_text),         KEY(request, read_text),  KEY(doc, read_text),
    KEY(user, read_text),           KEY(version, read_text),  KEY(time, read_time),
    KEY(event, read_text),          KEY(value, read_value),   KEY(features, read_features),
    KEY(representation, read_text), KEY(score, read_score),   KEY(propensity, read_propensity),
    KEY(position, read_position),   KEY(weight, read_weight), KEY(payload, read_payload),
    KEY(withdraw, read_flag),
#undef KEY
    {"items", read_items, 0},
};

static const char *key_name(const void *context, size_t i)
{
    (void)context;
    return i + 1 < ARRAY_LEN(keys) ? keys[i].name : NULL; /* the last one, items, is not recommended */
}

static const struct key *key_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static enum tm_code read_object(const json_t *object, struct reading *l, const char **field, struct tm_error *err)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, name, v)
    {
        const struct key *key = key_find(name);
        enum tm_code rc;
        if (!key)
            return json_unknown_key(name, key_name, NULL, err);
        rc = key->read(v, l, (char *)&l->event + key->offset, err);
        if (rc != TM_OK) {
            *field = key->name;
            return rc;
        }
    }
    return TM_OK;
}

static enum tm_code event_put(const struct event *e, struct buffer *out, const char **field, struct tm_error *err)
{
    size_t before = out->size, size;
    event_encode(e, out);
    size = out->size - before;
    if (size <= EVENT_SIZE_MAX)
        return TM_OK;
    out->size = before;
    *field = e->features.size > e->payload.size ? "features" : "payload";
    return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: makes an event of %zu bytes; expected at most %d", *field, size,
                        EVENT_SIZE_MAX);
}

enum tm_code json_event_put(const json_t *object, struct buffer *out, struct tm_error *err)
{
    CLEANUP(reading_close) struct reading l = {.event = {.value = 1, .weight = 1}};
    const char *field = NULL;
    enum tm_code rc = read_object(object, &l, &field, err);
    if (rc == TM_OK)
        event_encode(&l.event, out);
    else if (field)
        tm_error_wrap(err, "%s", field);
    return rc;
}

static enum tm_code encode(const json_t *object, struct buffer *out, struct json_event_info *info, const char **field,
                           struct tm_error *err)
{
    CLEANUP(reading_close) struct reading l = {.event = {.value = 1, .weight = 1}};
    enum tm_code rc = read_object(object, &l, field, err);
    if (rc != TM_OK) {
        tm_error_wrap(err, "%s", *field);
        return rc;
    }
    rc = event_validate(&l.event, INT64_MAX, field, err);
    if (rc == TM_OK)
        rc = event_put(&l.event, out, field, err);
    if (rc != TM_OK)
        return rc;
    info->time = l.event.time;
    memcpy(info->stream, l.event.stream.data, l.event.stream.size);
    info->stream[l.event.stream.size] = '\0';
    return TM_OK;
}

enum tm_code json_event_encode(struct bytes line, struct buffer *out, struct json_event_info *info, const char **field,
                               struct tm_error *err)
{
    json_t *object;
    *field = "line";
    enum tm_code rc = json_parse(line, JSON_LINE_MAX, &object, err);
    if (rc != TM_OK) {
        tm_error_wrap(err, "%s", *field);
        return rc;
    }
    rc = encode(object, out, info, field, err);
    json_decref(object);
    return rc;
}
