#include "proto/json_sample.h"

#include "proto/json_event.h"
#include "proto/json_value.h"

void json_sample_close(struct told_sample *s)
{
    buffer_close(&s->features);
    json_decref(s->json);
    *s = (struct told_sample){0};
}

static enum tm_code read_text(const json_t *v, struct told_sample *s, void *out, struct tm_error *err)
{
    (void)s;
    if (!json_is_string(v))
        return json_unexpected(v, "a string", err);
    *(struct bytes *)out = json_text(v);
    return TM_OK;
}

static enum tm_code read_kind(const json_t *v, struct told_sample *s, void *out, struct tm_error *err)
{
    (void)out;
    s->correction = json_is_string(v) && strcmp(json_string_value(v), "correction") == 0;
    if (!s->correction && !(json_is_string(v) && strcmp(json_string_value(v), "new") == 0))
        return json_unexpected(v, "\"new\" or \"correction\"", err);
    return TM_OK;
}

static enum tm_code read_time(const json_t *v, struct told_sample *s, void *out, struct tm_error *err)
{
    if (!json_is_integer(v))
        return json_unexpected(v, "milliseconds since 1970 as an integer", err);
    s->has_time = true;
    *(int64_t *)out = json_integer_value(v);
    return TM_OK;
}

static enum tm_code read_weight(const json_t *v, struct told_sample *s, void *out, struct tm_error *err)
{
    if (!json_is_number(v))
        return json_unexpected(v, "a number", err);
    s->has_weight = true;
    *(double *)out = json_number_value(v);
    return TM_OK;
}

static enum tm_code read_keep(const json_t *v, struct told_sample *s, void *out, struct tm_error *err)
{
    (void)s;
    if (!json_is_number(v) || !(json_number_value(v) > 0 && json_number_value(v) <= 1))
        return json_unexpected(v, "a number above 0, at most 1", err);
    *(double *)out = json_number_value(v);
    return TM_OK;
}

static enum tm_code read_features(const json_t *v, struct told_sample *s, void *out, struct tm_error *err)
{
    s->has_features = true;
    return json_put_features(v, out, &s->encoding, err);
}

static const struct key {
    const char *name;
    enum tm_code (*read)(const json_t *v, struct told_sample *s, void *out, struct tm_error *err);
    size_t offset; /* of *out in struct told_sample */
} keys[] = {
#define KEY(name, read)                                 \
    {                                                   \
#name, read, offsetof(struct told_sample, name) \
    }
    KEY(id, read_text),
    KEY(version, read_text),
    KEY(request, read_text),
    KEY(doc, read_text),
    KEY(impression_time, read_time),
    KEY(weight, read_weight),
    KEY(features, read_features),
    KEY(user, read_text),
#undef KEY
    {"kind", read_kind, 0},
    {"keep_probability", read_keep, offsetof(struct told_sample, keep)},
};

struct label_names {
    const char *const *name;
    size_t count;
};

static const char *label_name(const void *context, size_t i)
{
    const struct label_names *names = context;
    return i < names->count ? names->name[i] : NULL;
}

static enum tm_code read_label(const char *name, const json_t *v, const struct label_names *names,
                               struct told_sample *s, struct tm_error *err)
{
    size_t i = 0;
    while (i < names->count && strcmp(names->name[i], name) != 0)
        i++;
    if (i == names->count)
        return json_unknown_key(name, label_name, names, err);
    if (json_is_null(v))
        return TM_OK;
    if (!json_is_number(v))
        return json_unexpected(v, "a number", err);
    s->labels |= UINT64_C(1) << i;
    s->label[i] = json_number_value(v);
    return TM_OK;
}

static enum tm_code read_labels(json_t *labels, const struct label_names *names, struct told_sample *s,
                                struct tm_error *err)
{
    const char *name;
    json_t *v;
    if (!json_is_object(labels))
        return json_unexpected(labels, "an object: a number for each label", err);
    json_object_foreach(labels, name, v)
    {
        enum tm_code rc = read_label(name, v, names, s, err);
        if (rc != TM_OK)
            return tm_error_wrap(err, "%s", name);
    }
    return TM_OK;
}

static enum tm_code read_keys(struct told_sample *s, const struct label_names *names, struct tm_error *err)
{
    json_t *labels = json_object_get(s->json, "labels");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        json_t *v = json_object_get(s->json, keys[i].name);
        if (!v || json_is_null(v))
            continue;
        if (keys[i].read(v, s, (char *)s + keys[i].offset, err) != TM_OK)
            return tm_error_wrap(err, "%s", keys[i].name);
    }
    if (labels && read_labels(labels, names, s, err) != TM_OK)
        return tm_error_wrap(err, "labels");
    return TM_OK;
}

enum tm_code json_sample_read(struct bytes line, const char *const *names, size_t count, struct told_sample *out,
                              struct tm_error *err)
{
    const struct label_names labels = {names, count};
    CHECK(count <= SAMPLE_LABELS_MAX);
    *out = (struct told_sample){0};
    enum tm_code rc = json_parse(line, JSON_LINE_MAX, &out->json, err);
    if (rc == TM_OK)
        rc = read_keys(out, &labels, err);
    if (rc != TM_OK)
        json_sample_close(out);
    return rc;
}
