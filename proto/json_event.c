#include "proto/json_event.h"

#include <inttypes.h>
#include <math.h>

#include "base/base64.h"
#include "base/clock.h"
#include "proto/items.h"
#include "proto/json_value.h"

/* FeatureEncoding of events.proto. */
enum { ENCODING_FLOAT32 = 0, ENCODING_SPARSE_FLOAT32 = 1 };

/* One event on its way; the JSON object and the buffers own what the event's views point into. */
struct reading {
    struct event event;
    struct buffer features, payload;
    struct buffer items; /* as they follow the event's other fields */
};

/* Takes the value of a key into *out, which lies in the event. */
typedef enum tm_code read_value_fn(const json_t *v, struct reading *l, void *out, struct tm_error *err);

static void reading_close(struct reading *l)
{
    buffer_close(&l->features);
    buffer_close(&l->payload);
    buffer_close(&l->items);
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

static enum tm_code read_item_features(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    enum tm_code rc = json_put_features(v, &l->features, &l->event.item_encoding, err);
    l->event.has |= EVENT_HAS_ITEM_FEATURES;
    *(struct bytes *)out = buffer_view(&l->features);
    return rc;
}

static read_value_fn read_items;

struct key {
    const char *name;
    read_value_fn *read;
    size_t offset; /* of *out in struct event */
};

#define KEY_AT(name, read, member)                 \
    {                                              \
        name, read, offsetof(struct event, member) \
    }
#define KEY(name, read) KEY_AT(#name, read, name)
static const struct key event_keys[] = {
    KEY(stream, read_text),         KEY(request, read_text),  KEY(doc, read_text),
    KEY(user, read_text),           KEY(version, read_text),  KEY(time, read_time),
    KEY(event, read_text),          KEY(value, read_value),   KEY(features, read_features),
    KEY(representation, read_text), KEY(score, read_score),   KEY(propensity, read_propensity),
    KEY(position, read_position),   KEY(weight, read_weight), KEY(payload, read_payload),
    KEY(withdraw, read_flag),       KEY(items, read_items),   {0},
};
static const struct key item_keys[] = {
    KEY(doc, read_text),
    KEY(position, read_position),
    KEY(propensity, read_propensity),
    KEY(score, read_score),
    KEY_AT("features", read_item_features, item_features),
    {0},
};
#undef KEY
#undef KEY_AT

static const char *key_name(const void *keys, size_t i) { return ((const struct key *)keys)[i].name; }

static const struct key *key_find(const struct key *keys, const char *name)
{
    while (keys->name && strcmp(keys->name, name) != 0)
        keys++;
    return keys->name ? keys : NULL;
}

/* *field becomes the key at fault; it stays as it is when there is no such key. */
static enum tm_code read_object(const json_t *object, const struct key *keys, struct reading *l, const char **field,
                                struct tm_error *err)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, name, v)
    {
        const struct key *key = key_find(keys, name);
        enum tm_code rc;
        if (!key)
            return json_unknown_key(name, key_name, keys, err);
        rc = key->read(v, l, (char *)&l->event + key->offset, err);
        if (rc != TM_OK) {
            *field = key->name;
            return rc;
        }
    }
    return TM_OK;
}

static enum tm_code put_item(const json_t *v, size_t number, struct buffer *out, struct tm_error *err)
{
    CLEANUP(reading_close) struct reading item = {.event = {.items = 1}};
    const char *field = NULL;
    enum tm_code rc = json_is_object(v) ? read_object(v, item_keys, &item, &field, err)
                                        : json_unexpected(v, "an object such as {\"doc\":\"d4\"}", err);
    if (rc == TM_OK)
        event_encode(&item.event, out);
    else
        tm_error_wrap(err, field ? "items[%zu].%s" : "items[%zu]", number, field);
    return rc;
}

static enum tm_code read_items(const json_t *v, struct reading *l, void *out, struct tm_error *err)
{
    size_t i;
    json_t *item;
    enum tm_code rc = TM_OK;
    (void)out;
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > ITEMS_MAX) {
        json_unexpected(v, "a list of 1 to 1000 objects such as {\"doc\":\"d4\"}", err);
        tm_error_wrap(err, "items");
        return TM_INVALID_ARGUMENT;
    }
    json_array_foreach(v, i, item)
    {
        rc = put_item(item, i, &l->items, err);
        if (rc != TM_OK)
            break;
    }
    return rc;
}

static void event_put(const struct reading *l, struct buffer *out)
{
    event_encode(&l->event, out);
    buffer_put(out, l->items.data, l->items.size);
}

static enum tm_code check_size(const struct reading *l, size_t size, const char **field, struct tm_error *err)
{
    if (size <= EVENT_SIZE_MAX)
        return TM_OK;
    *field = l->event.features.size > l->event.payload.size ? "features" : "payload";
    if (l->items.size > l->event.features.size && l->items.size > l->event.payload.size)
        *field = "items";
    return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: makes an event of %zu bytes; expected at most %d", *field, size,
                        EVENT_SIZE_MAX);
}

static enum tm_code check(const struct reading *l, struct bytes wire, const char **field, struct tm_error *err)
{
    struct items items = {0};
    if (l->items.size == 0)
        return event_validate(&l->event, INT64_MAX, field, err);
    enum tm_code rc = items_read(wire, INT64_MAX, &items, field, err);
    items_close(&items);
    return rc;
}

/* In front of a complaint; one about an item names it already. */
static void name_field(const char *field, struct tm_error *err)
{
    if (*field && strcmp(field, "items") != 0)
        tm_error_wrap(err, "%s", field);
}

enum tm_code json_event_put(const json_t *object, struct buffer *out, struct tm_error *err)
{
    CLEANUP(reading_close) struct reading l = {.event = {.value = 1, .weight = 1}};
    const char *field = "";
    enum tm_code rc = read_object(object, event_keys, &l, &field, err);
    if (rc == TM_OK)
        event_put(&l, out);
    else
        name_field(field, err);
    return rc;
}

static enum tm_code encode(const json_t *object, struct buffer *out, struct json_event_info *info, const char **field,
                           struct tm_error *err)
{
    CLEANUP(reading_close) struct reading l = {.event = {.value = 1, .weight = 1}};
    size_t before = out->size;
    enum tm_code rc = read_object(object, event_keys, &l, field, err);
    if (rc != TM_OK) {
        name_field(*field, err);
        return rc;
    }
    event_put(&l, out);
    struct bytes wire = bytes_of(out->data + before, out->size - before);
    rc = check_size(&l, wire.size, field, err);
    if (rc == TM_OK)
        rc = check(&l, wire, field, err);
    if (rc != TM_OK) {
        out->size = before;
        return rc;
    }
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
