#include "proto/event.h"

#include <inttypes.h>
#include <math.h>

#include "base/clock.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

/* Field numbers of Event in events.proto. */
enum {
    F_STREAM = 1,
    F_REQUEST,
    F_DOC,
    F_USER,
    F_VERSION,
    F_TIME,
    F_EVENT,
    F_VALUE,
    F_SCORE,
    F_PROPENSITY,
    F_POSITION,
    F_WEIGHT,
    F_REPRESENTATION,
    F_ENCODING,
    F_PAYLOAD,
    F_FEATURES,
    F_WITHDRAW,
    F_END
};

static const struct {
    const char *name;
    enum wire_type type;
} fields[F_END] = {
    [F_STREAM] = {"stream", WIRE_BYTES},
    [F_REQUEST] = {"request", WIRE_BYTES},
    [F_DOC] = {"doc", WIRE_BYTES},
    [F_USER] = {"user", WIRE_BYTES},
    [F_VERSION] = {"version", WIRE_BYTES},
    [F_TIME] = {"time", WIRE_VARINT},
    [F_EVENT] = {"event", WIRE_BYTES},
    [F_VALUE] = {"value", WIRE_FIXED64},
    [F_SCORE] = {"score", WIRE_FIXED32},
    [F_PROPENSITY] = {"propensity", WIRE_FIXED32},
    [F_POSITION] = {"position", WIRE_VARINT},
    [F_WEIGHT] = {"weight", WIRE_FIXED32},
    [F_REPRESENTATION] = {"representation", WIRE_BYTES},
    [F_ENCODING] = {"encoding", WIRE_VARINT},
    [F_PAYLOAD] = {"payload", WIRE_BYTES},
    [F_FEATURES] = {"features", WIRE_BYTES},
    [F_WITHDRAW] = {"withdraw", WIRE_VARINT},
};

/* The four ways a value lies on the wire: each sets *out and returns what follows, or NULL. */
static inline const uint8_t *take_bytes(const uint8_t *p, const uint8_t *end, struct bytes *out)
{
    uint64_t size;
    p = wire_varint(p, end, &size);
    if (!p || size > (uint64_t)(end - p))
        return NULL;
    *out = bytes_of(p, (size_t)size);
    return p + size;
}

static inline const uint8_t *take_fixed(const uint8_t *p, const uint8_t *end, void *out, size_t size)
{
    if ((size_t)(end - p) < size)
        return NULL;
    memcpy(out, p, size);
    return p + size;
}

static inline const uint8_t *take_int64(const uint8_t *p, const uint8_t *end, int64_t *out)
{
    uint64_t v = 0;
    p = wire_varint(p, end, &v);
    *out = (int64_t)v;
    return p;
}

/* int32 and enums are written as 64 bits; every reader drops the upper half. */
static inline const uint8_t *take_low_bits(const uint8_t *p, const uint8_t *end, void *out)
{
    uint64_t v = 0;
    p = wire_varint(p, end, &v);
    memcpy(out, &v, sizeof(uint32_t));
    return p;
}

static inline const uint8_t *take_flag(const uint8_t *p, const uint8_t *end, bool *out)
{
    uint64_t v = 0;
    p = wire_varint(p, end, &v);
    *out = v != 0;
    return p;
}

static const uint8_t *skip(const uint8_t *field, const uint8_t *end)
{
    struct reader r = {field, end, false};
    struct wire_field unknown;
    return wire_next(&r, &unknown) ? r.at : NULL;
}

#define TAG(number, type) ((number) << 3 | (type))

/* Take the value of one known field; unknown ones are skipped. field: where the tag stands; p: behind it. */
static inline const uint8_t *take_field(uint32_t tag, const uint8_t *field, const uint8_t *p, const uint8_t *end,
                                        struct event *e)
{
    switch (tag) {
    case TAG(F_STREAM, WIRE_BYTES): return take_bytes(p, end, &e->stream);
    case TAG(F_REQUEST, WIRE_BYTES): return take_bytes(p, end, &e->request);
    case TAG(F_DOC, WIRE_BYTES): return take_bytes(p, end, &e->doc);
    case TAG(F_USER, WIRE_BYTES): return take_bytes(p, end, &e->user);
    case TAG(F_VERSION, WIRE_BYTES): return take_bytes(p, end, &e->version);
    case TAG(F_EVENT, WIRE_BYTES): return take_bytes(p, end, &e->event);
    case TAG(F_REPRESENTATION, WIRE_BYTES): return take_bytes(p, end, &e->representation);
    case TAG(F_PAYLOAD, WIRE_BYTES): return take_bytes(p, end, &e->payload);
    case TAG(F_ENCODING, WIRE_VARINT): return take_low_bits(p, end, &e->encoding);
    case TAG(F_TIME, WIRE_VARINT): e->has |= EVENT_HAS_TIME; return take_int64(p, end, &e->time);
    case TAG(F_VALUE, WIRE_FIXED64): e->has |= EVENT_HAS_VALUE; return take_fixed(p, end, &e->value, sizeof e->value);
    case TAG(F_SCORE, WIRE_FIXED32): e->has |= EVENT_HAS_SCORE; return take_fixed(p, end, &e->score, sizeof e->score);
    case TAG(F_PROPENSITY, WIRE_FIXED32):
        e->has |= EVENT_HAS_PROPENSITY;
        return take_fixed(p, end, &e->propensity, sizeof e->propensity);
    case TAG(F_POSITION, WIRE_VARINT): e->has |= EVENT_HAS_POSITION; return take_low_bits(p, end, &e->position);
    case TAG(F_WEIGHT, WIRE_FIXED32):
        e->has |= EVENT_HAS_WEIGHT;
        return take_fixed(p, end, &e->weight, sizeof e->weight);
    case TAG(F_FEATURES, WIRE_BYTES): e->has |= EVENT_HAS_FEATURES; return take_bytes(p, end, &e->features);
    case TAG(F_WITHDRAW, WIRE_VARINT): return take_flag(p, end, &e->withdraw);
    default: return tag >> 3 < F_END ? NULL : skip(field, end);
    }
}

/* Why take_field gave up on the field at `at`. */
static enum tm_code refuse(struct bytes wire, const uint8_t *at, struct tm_error *err)
{
    struct reader r = {at, wire.data + wire.size, false};
    struct wire_field f;
    if (!wire_next(&r, &f)) {
        wire_malformed(&r, wire, err);
        return TM_INVALID_ARGUMENT;
    }
    return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: wire type %d at byte %zu; expected %d", fields[f.number].name,
                        (int)f.type, (size_t)(at - wire.data), (int)fields[f.number].type);
}

enum tm_code event_scan(struct bytes wire, struct event *out, struct tm_error *err)
{
    const struct reader r = reader_of(wire);
    const uint8_t *p = r.at, *end = r.end;
    if (wire.size > EVENT_SIZE_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "event of %zu bytes; expected at most %d", wire.size,
                            EVENT_SIZE_MAX);
    *out = (struct event){.value = 1, .weight = 1};
    while (p < end) {
        const uint8_t *field = p;
        uint32_t tag = *p;
        p = tag >= F_STREAM << 3 && tag < 0x80 ? p + 1 : wire_tag(p, end, &tag);
        if (p)
            p = take_field(tag, field, p, end, out);
        if (!p)
            return refuse(wire, field, err);
    }
    return TM_OK;
}

static void put_text(struct buffer *b, uint32_t number, struct bytes v)
{
    if (v.data)
        wire_put_bytes(b, number, v);
}

static void put_float(struct buffer *b, uint32_t number, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    wire_put_fixed32(b, number, bits);
}

void event_encode(const struct event *e, struct buffer *out)
{
    uint64_t bits;
    memcpy(&bits, &e->value, sizeof bits);
    put_text(out, F_STREAM, e->stream);
    put_text(out, F_REQUEST, e->request);
    put_text(out, F_DOC, e->doc);
    put_text(out, F_USER, e->user);
    put_text(out, F_VERSION, e->version);
    if (e->has & EVENT_HAS_TIME)
        wire_put_integer(out, F_TIME, (uint64_t)e->time);
    put_text(out, F_EVENT, e->event);
    if (e->has & EVENT_HAS_VALUE)
        wire_put_fixed64(out, F_VALUE, bits);
    if (e->has & EVENT_HAS_SCORE)
        put_float(out, F_SCORE, e->score);
    if (e->has & EVENT_HAS_PROPENSITY)
        put_float(out, F_PROPENSITY, e->propensity);
    if (e->has & EVENT_HAS_POSITION)
        wire_put_integer(out, F_POSITION, (uint64_t)(int64_t)e->position);
    if (e->has & EVENT_HAS_WEIGHT)
        put_float(out, F_WEIGHT, e->weight);
    put_text(out, F_REPRESENTATION, e->representation);
    if (e->encoding)
        wire_put_integer(out, F_ENCODING, (uint64_t)(int64_t)(int32_t)e->encoding);
    if (e->withdraw)
        wire_put_integer(out, F_WITHDRAW, true);
    put_text(out, F_PAYLOAD, e->payload);
    if (e->has & EVENT_HAS_FEATURES)
        wire_put_bytes(out, F_FEATURES, e->features);
}

static enum tm_code validate_text(struct bytes text, struct tm_error *err)
{
    if (text.size < 1 || text.size > EVENT_ID_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu bytes; expected 1 to %d", text.size, EVENT_ID_MAX);
    if (!wire_is_text(text))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "not UTF-8 text, or a NUL in it; expected UTF-8");
    return TM_OK;
}

static enum tm_code validate_texts(const struct event *e, const char **field, struct tm_error *err)
{
    const struct {
        int number;
        struct bytes text;
    } texts[] = {{F_STREAM, e->stream},
                 {F_DOC, e->doc},
                 {F_REQUEST, e->request},
                 {F_USER, e->user},
                 {F_VERSION, e->version},
                 {F_EVENT, e->event},
                 {F_REPRESENTATION, e->representation}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *field = fields[texts[i].number].name;
        if (!texts[i].text.data && (texts[i].number == F_STREAM || texts[i].number == F_DOC))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "missing; expected 1 to %d bytes of UTF-8", EVENT_ID_MAX);
        if (texts[i].text.data && validate_text(texts[i].text, err) != TM_OK)
            return TM_INVALID_ARGUMENT;
    }
    *field = fields[F_WITHDRAW].name;
    if (e->withdraw && !e->event.data)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "there is no event; expected the event id of what it takes back");
    return TM_OK;
}

static enum tm_code validate_time(const struct event *e, int64_t now_ms, const char **field, struct tm_error *err)
{
    char text[CLOCK_TEXT_SIZE];
    *field = "time";
    if (!(e->has & EVENT_HAS_TIME))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "missing; expected milliseconds since 1970, UTC");
    if (e->time < EVENT_TIME_MIN_MS)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "%" PRId64 " is before 2000-01-01T00:00:00Z; expected milliseconds since 1970, UTC",
                            e->time);
    if (e->time - EVENT_TIME_AHEAD_MS > now_ms)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "%" PRId64 " is more than a day after %s; expected milliseconds since 1970, UTC", e->time,
                            clock_text(now_ms, text));
    return TM_OK;
}

static enum tm_code validate_numbers(const struct event *e, const char **field, struct tm_error *err)
{
    const struct {
        int number;
        double v;
        bool fits;
        const char *expected;
    } numbers[] = {
        {F_VALUE, e->value, isfinite(e->value), "a finite number"},
        {F_SCORE, (double)e->score, isfinite(e->score), "a finite number"},
        {F_PROPENSITY, (double)e->propensity,
         !(e->has & EVENT_HAS_PROPENSITY) || (e->propensity > 0 && e->propensity <= 1), "more than 0 and at most 1"},
        {F_WEIGHT, (double)e->weight, isfinite(e->weight) && e->weight >= 0, "a finite number, 0 or more"},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!numbers[i].fits) {
            *field = fields[numbers[i].number].name;
            return tm_error_set(err, TM_INVALID_ARGUMENT, "%g; expected %s", numbers[i].v, numbers[i].expected);
        }
    return TM_OK;
}

static uint32_t word_at(const uint8_t *p, size_t i)
{
    uint32_t v;
    memcpy(&v, p + i * sizeof v, sizeof v);
    return v;
}

static enum tm_code validate_values(const uint8_t *values, size_t count, struct tm_error *err)
{
    const uint32_t infinite = 0x7f800000; /* exponent of infinities and NaNs */
    for (size_t i = 0; i < count; i++)
        if ((word_at(values, i) & infinite) == infinite)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "value %zu is not finite; expected finite float32", i);
    return TM_OK;
}

static enum tm_code validate_features(const struct event *e, const char **field, struct tm_error *err)
{
    bool sparse = e->encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32;
    size_t unit = sparse ? 8 : 4, count = e->features.size / unit;
    const uint8_t *p = e->features.data;
    *field = "encoding";
    if (!sparse && e->encoding != TIDEMILL__V1__FEATURE_ENCODING__FLOAT32)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%" PRIu32 "; expected 0 (FLOAT32) or 1 (SPARSE_FLOAT32)",
                            e->encoding);
    *field = "features";
    if (e->features.size % unit)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu bytes; expected a multiple of %zu", e->features.size, unit);
    if (!sparse)
        return validate_values(p, count, err);
    for (size_t i = 1; i < count; i++)
        if (word_at(p, i) <= word_at(p, i - 1))
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "index %" PRIu32 " follows %" PRIu32 "; expected increasing indices", word_at(p, i),
                                word_at(p, i - 1));
    return validate_values(count ? p + count * 4 : p, count, err);
}

enum tm_code event_validate(const struct event *e, int64_t now_ms, const char **field, struct tm_error *err)
{
    enum tm_code rc = validate_texts(e, field, err);
    if (rc == TM_OK)
        rc = validate_time(e, now_ms, field, err);
    if (rc == TM_OK)
        rc = validate_numbers(e, field, err);
    if (rc == TM_OK)
        rc = validate_features(e, field, err);
    if (rc == TM_OK)
        *field = "";
    else
        tm_error_wrap(err, "%s", *field);
    return rc;
}
