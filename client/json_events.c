#include "client/json_events.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"

enum { SHOWN_MAX = 60, TYPO_MAX = 2, KEY_MAX = 32 };

/* FeatureEncoding of events.proto. */
enum { ENCODING_FLOAT32 = 0, ENCODING_SPARSE_FLOAT32 = 1 };

/* One line on its way; json and the buffers own what the event's views point into. */
struct line {
    json_t *json;
    struct event event;
    struct buffer features, payload;
};

static void line_close(struct line *l)
{
    json_decref(l->json);
    buffer_close(&l->features);
    buffer_close(&l->payload);
}

/* The first SHOWN_MAX bytes of a value's text. */
struct excerpt {
    char text[SHOWN_MAX + sizeof "..."];
    size_t size;
};

static int excerpt_put(const char *piece, size_t size, void *opaque)
{
    struct excerpt *x = opaque;
    size_t room = SHOWN_MAX - x->size, used = size < room ? size : room;
    memcpy(x->text + x->size, piece, used);
    x->size += used;
    return used == size ? 0 : -1; /* -1 ends the dump: the rest may be megabytes */
}

/* ASCII for messages: escaped, cut when long. Returns x->text. */
static const char *shown(const json_t *v, struct excerpt *x)
{
    size_t flags = JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT | JSON_REAL_PRECISION(15);
    x->size = 0;
    bool cut = json_dump_callback(v, excerpt_put, x, flags) != 0;
    snprintf(x->text + x->size, sizeof x->text - x->size, "%s", cut ? "..." : "");
    return x->text;
}

static enum tm_code unexpected(const json_t *v, const char *expected, struct tm_error *err)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "object ", [JSON_ARRAY] = "array ", [JSON_STRING] = "string ", [JSON_INTEGER] = "number ",
        [JSON_REAL] = "number ",   [JSON_TRUE] = "",        [JSON_FALSE] = "",         [JSON_NULL] = ""};
    struct excerpt x;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "got %s%s; expected %s", kinds[json_typeof(v)], shown(v, &x),
                        expected);
}

static struct bytes text_of(const json_t *v) { return bytes_of(json_string_value(v), json_string_length(v)); }

static enum tm_code read_text(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    (void)l;
    if (!json_is_string(v))
        return unexpected(v, "a string", err);
    *(struct bytes *)out = text_of(v);
    return TM_OK;
}

static enum tm_code read_time(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    int64_t *time = out;
    l->event.has |= EVENT_HAS_TIME;
    if (json_is_integer(v)) {
        *time = json_integer_value(v);
        return TM_OK;
    }
    if (json_is_string(v) && clock_parse(text_of(v), time))
        return TM_OK;
    return unexpected(v, "milliseconds since 1970 as an integer, or a time like \"2019-11-24T00:00:12.345Z\"", err);
}

static enum tm_code read_value(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    if (!json_is_number(v))
        return unexpected(v, "a number", err);
    l->event.has |= EVENT_HAS_VALUE;
    *(double *)out = json_number_value(v);
    return TM_OK;
}

static enum tm_code read_float(const json_t *v, float *out, struct tm_error *err)
{
    if (!json_is_number(v))
        return unexpected(v, "a number", err);
    *out = (float)json_number_value(v);
    return isfinite(*out) ? TM_OK : unexpected(v, "a number within float32, +-3.4e38", err);
}

static enum tm_code read_score(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    l->event.has |= EVENT_HAS_SCORE;
    return read_float(v, out, err);
}

static enum tm_code read_propensity(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    l->event.has |= EVENT_HAS_PROPENSITY;
    return read_float(v, out, err);
}

static enum tm_code read_weight(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    l->event.has |= EVENT_HAS_WEIGHT;
    return read_float(v, out, err);
}

static enum tm_code read_position(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    json_int_t position = json_integer_value(v);
    if (!json_is_integer(v) || position < INT32_MIN || position > INT32_MAX)
        return unexpected(v, "an integer of 32 bits", err);
    l->event.has |= EVENT_HAS_POSITION;
    *(int32_t *)out = (int32_t)position;
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
            unexpected(v, "an integer from 0 to 4294967295", err);
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
        return unexpected(v, "{\"i\":[indices],\"v\":[values]}", err);
    if (json_array_size(indices) != json_array_size(values))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu indices and %zu values; expected as many of each",
                            json_array_size(indices), json_array_size(values));
    rc = put_indices(indices, out, err);
    return rc == TM_OK ? put_values(values, out, err) : rc;
}

static enum tm_code read_features(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    enum tm_code rc;
    if (!json_is_array(v) && !json_is_object(v))
        return unexpected(v, "an array of numbers or {\"i\":[indices],\"v\":[values]}", err);
    l->event.has |= EVENT_HAS_FEATURES;
    l->event.encoding = json_is_object(v) ? ENCODING_SPARSE_FLOAT32 : ENCODING_FLOAT32;
    rc = json_is_object(v) ? put_sparse(v, &l->features, err) : put_values(v, &l->features, err);
    *(struct bytes *)out = buffer_view(&l->features);
    return rc;
}

/* 0-63, or -1 for what is no character of base64. */
static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool base64_decode(struct bytes text, struct buffer *out)
{
    uint32_t bits = 0;
    size_t size = text.size;
    uint8_t *p = buffer_reserve(out, size / 4 * 3 + 1); /* + 1: even an empty payload has an address */
    if (size % 4)
        return false;
    while (size && text.size - size < 2 && text.data[size - 1] == '=')
        size--;
    for (size_t i = 0; i < size; i++) {
        int v = sextet(text.data[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4)
            p[out->size++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    /* what is left over of the last character must be zero, or two texts would be one payload */
    return size % 4 != 1 && (bits & ((1u << (size * 6 % 8)) - 1)) == 0;
}

static enum tm_code read_payload(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    if (!json_is_string(v) || !base64_decode(text_of(v), &l->payload))
        return unexpected(v, "base64 text, padded with =", err);
    *(struct bytes *)out = buffer_view(&l->payload);
    return TM_OK;
}

static enum tm_code read_items(const json_t *v, struct line *l, void *out, struct tm_error *err)
{
    (void)v;
    (void)l;
    (void)out;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "not supported by this server version; send one event per document");
}

static const struct key {
    const char *name;
    enum tm_code (*read)(const json_t *v, struct line *l, void *out, struct tm_error *err);
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
#undef KEY
    {"items", read_items, 0},
};

static enum tm_code unknown_key(const char *name, struct tm_error *err)
{
    const char *nearest = NULL;
    size_t least = TYPO_MAX + 1;
    struct excerpt x;
    json_t *json = json_string(name);
    for (size_t i = 0; i < ARRAY_LEN(keys) && strlen(name) < KEY_MAX; i++) {
        size_t d = text_distance(name, keys[i].name);
        if (d < least) {
            least = d;
            nearest = keys[i].name;
        }
    }
    shown(json, &x);
    json_decref(json);
    if (nearest)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "unknown key %s; did you mean \"%s\"?", x.text, nearest);
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "unknown key %s; expected stream, request, doc, user, version, time, event, "
                        "value, features, representation, score, propensity, position, weight or payload",
                        x.text);
}

static const struct key *key_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static enum tm_code line_parse(struct bytes text, struct line *l, struct tm_error *err)
{
    json_error_t why;
    if (text.size > JSON_LINE_MAX)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%zu bytes; expected at most %d", text.size, JSON_LINE_MAX);
    l->json = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);
    if (!l->json)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "byte %d: %s; expected one JSON object", why.position, why.text);
    return json_is_object(l->json) ? TM_OK : unexpected(l->json, "one JSON object", err);
}

static enum tm_code line_read(struct line *l, const char **field, struct tm_error *err)
{
    const char *name;
    json_t *v;
    json_object_foreach(l->json, name, v)
    {
        const struct key *key = key_find(name);
        enum tm_code rc;
        if (!key)
            return unknown_key(name, err);
        rc = key->read(v, l, (char *)&l->event + key->offset, err);
        if (rc != TM_OK) {
            *field = key->name;
            return rc;
        }
    }
    return TM_OK;
}

static enum tm_code line_put(const struct event *e, struct buffer *out, const char **field, struct tm_error *err)
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

enum tm_code json_event_encode(struct bytes line, struct buffer *out, struct json_event_info *info, const char **field,
                               struct tm_error *err)
{
    CLEANUP(line_close) struct line l = {.event = {.value = 1, .weight = 1}};
    enum tm_code rc;
    *field = "line";
    rc = line_parse(line, &l, err);
    if (rc == TM_OK)
        rc = line_read(&l, field, err);
    if (rc != TM_OK) {
        tm_error_wrap(err, "%s", *field);
        return rc;
    }
    rc = event_validate(&l.event, INT64_MAX, field, err);
    if (rc == TM_OK)
        rc = line_put(&l.event, out, field, err);
    if (rc != TM_OK)
        return rc;
    info->time = l.event.time;
    memcpy(info->stream, l.event.stream.data, l.event.stream.size);
    info->stream[l.event.stream.size] = '\0';
    return TM_OK;
}
