#include "proto/json_value.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { SHOWN_MAX = 60, TYPO_MAX = 2, KEY_MAX = 32 };

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

static const char *shown(const json_t *v, struct excerpt *x)
{
    size_t flags = JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT | JSON_REAL_PRECISION(15);
    x->size = 0;
    bool cut = json_dump_callback(v, excerpt_put, x, flags) != 0;
    snprintf(x->text + x->size, sizeof x->text - x->size, "%s", cut ? "..." : "");
    return x->text;
}

enum tm_code json_unexpected(const json_t *v, const char *expected, struct tm_error *err)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "object ", [JSON_ARRAY] = "array ", [JSON_STRING] = "string ", [JSON_INTEGER] = "number ",
        [JSON_REAL] = "number ",   [JSON_TRUE] = "",        [JSON_FALSE] = "",         [JSON_NULL] = ""};
    struct excerpt x;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "got %s%s; expected %s", kinds[json_typeof(v)], shown(v, &x),
                        expected);
}

enum tm_code json_parse(struct bytes text, size_t size_max, json_t **out, struct tm_error *err)
{
    json_error_t why;
    if (text.size > size_max)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%zu bytes; expected at most %zu", text.size, size_max);
    json_t *v = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);
    if (!v)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "byte %d: %s; expected one JSON object", why.position, why.text);
    if (!json_is_object(v)) {
        json_unexpected(v, "one JSON object", err);
        json_decref(v);
        return TM_INVALID_ARGUMENT;
    }
    *out = v;
    return TM_OK;
}

/* "a, b or c" */
static void list_keys(json_known_key *name, const void *context, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; name(context, i) && used < size; i++) {
        const char *before = i == 0 ? "" : name(context, i + 1) ? ", " : " or ";
        int more = snprintf(out + used, size - used, "%s%s", before, name(context, i));
        used += (size_t)more;
    }
}

enum tm_code json_unknown_key(const char *key, json_known_key *name, const void *context, struct tm_error *err)
{
    const char *nearest = NULL;
    size_t least = TYPO_MAX + 1;
    struct excerpt x;
    char all[256] = "none at all";
    json_t *json = json_string(key);
    for (size_t i = 0; strlen(key) < KEY_MAX && name(context, i); i++) {
        size_t d = text_distance(key, name(context, i));
        if (d < least) {
            least = d;
            nearest = name(context, i);
        }
    }
    shown(json, &x);
    json_decref(json);
    if (nearest)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "unknown key %s; did you mean \"%s\"?", x.text, nearest);
    list_keys(name, context, all, sizeof all);
    return tm_error_set(err, TM_INVALID_ARGUMENT, "unknown key %s; expected %s", x.text, all);
}
