/* What makes an event acceptable, whatever the configuration. */
#include <inttypes.h>
#include <math.h>

#include "base/clock.h"
#include "proto/event.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

static enum tm_code validate_text(struct bytes text, struct tm_error *err)
{
    if (text.size < 1 || text.size > EVENT_ID_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu bytes; expected 1 to %d", text.size, EVENT_ID_MAX);
    if (!wire_is_text(text))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "not UTF-8 text, or a NUL in it; expected UTF-8");
    return TM_OK;
}

static enum tm_code validate_needed(struct bytes text, struct tm_error *err)
{
    if (text.data)
        return validate_text(text, err);
    return tm_error_set(err, TM_INVALID_ARGUMENT, "missing; expected 1 to %d bytes of UTF-8", EVENT_ID_MAX);
}

static enum tm_code validate_texts(const struct event *e, const char **field, struct tm_error *err)
{
    const struct {
        const char *name;
        struct bytes text;
    } texts[] = {{"request", e->request},
                 {"user", e->user},
                 {"version", e->version},
                 {"event", e->event},
                 {"representation", e->representation}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *field = texts[i].name;
        if (texts[i].text.data && validate_text(texts[i].text, err) != TM_OK)
            return TM_INVALID_ARGUMENT;
    }
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
        const char *name;
        double v;
        bool fits;
        const char *expected;
    } numbers[] = {
        {"value", e->value, isfinite(e->value), "a finite number"},
        {"score", (double)e->score, isfinite(e->score), "a finite number"},
        {"propensity", (double)e->propensity,
         !(e->has & EVENT_HAS_PROPENSITY) || (e->propensity > 0 && e->propensity <= 1), "more than 0 and at most 1"},
        {"weight", (double)e->weight, isfinite(e->weight) && e->weight >= 0, "a finite number, 0 or more"},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!numbers[i].fits) {
            *field = numbers[i].name;
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

static enum tm_code validate_features(uint32_t encoding, struct bytes features, const char **field,
                                      struct tm_error *err)
{
    bool sparse = encoding == TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32;
    size_t unit = sparse ? 8 : 4, count = features.size / unit;
    const uint8_t *p = features.data;
    *field = "encoding";
    if (!sparse && encoding != TIDEMILL__V1__FEATURE_ENCODING__FLOAT32)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%" PRIu32 "; expected 0 (FLOAT32) or 1 (SPARSE_FLOAT32)",
                            encoding);
    *field = "features";
    if (features.size % unit)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu bytes; expected a multiple of %zu", features.size, unit);
    if (!sparse)
        return validate_values(p, count, err);
    for (size_t i = 1; i < count; i++)
        if (word_at(p, i) <= word_at(p, i - 1))
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "index %" PRIu32 " follows %" PRIu32 "; expected increasing indices", word_at(p, i),
                                word_at(p, i - 1));
    return validate_values(count ? p + count * 4 : p, count, err);
}

/* Of an event, or of what the items of one share. */
static enum tm_code validate(const struct event *e, bool doc, int64_t now_ms, const char **field, struct tm_error *err)
{
    *field = "stream";
    enum tm_code rc = validate_needed(e->stream, err);
    if (rc == TM_OK && doc && (e->doc.data || (!e->request.data && !e->user.data))) {
        *field = "doc";
        rc = validate_needed(e->doc, err);
    }
    if (rc == TM_OK)
        rc = validate_texts(e, field, err);
    if (rc == TM_OK)
        rc = validate_time(e, now_ms, field, err);
    if (rc == TM_OK)
        rc = validate_numbers(e, field, err);
    return rc == TM_OK ? validate_features(e->encoding, e->features, field, err) : rc;
}

/* Name the field in front of its complaint, or none when there is none. */
static enum tm_code conclude(enum tm_code rc, const char **field, struct tm_error *err)
{
    if (rc == TM_OK)
        *field = "";
    else
        tm_error_wrap(err, "%s", *field);
    return rc;
}

enum tm_code event_validate(const struct event *e, int64_t now_ms, const char **field, struct tm_error *err)
{
    return conclude(validate(e, true, now_ms, field, err), field, err);
}

/* What an item has would be said twice. */
static enum tm_code validate_absent(const struct event *e, const char **field, struct tm_error *err)
{
    const struct {
        const char *name;
        bool there;
    } places[] = {{"doc", e->doc.data},
                  {"score", e->has & EVENT_HAS_SCORE},
                  {"propensity", e->has & EVENT_HAS_PROPENSITY},
                  {"position", e->has & EVENT_HAS_POSITION}};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        *field = places[i].name;
        if (places[i].there)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "is beside items; expected it in each of them");
    }
    return TM_OK;
}

enum tm_code event_validate_shared(const struct event *e, int64_t now_ms, const char **field, struct tm_error *err)
{
    enum tm_code rc = validate_absent(e, field, err);
    return conclude(rc == TM_OK ? validate(e, false, now_ms, field, err) : rc, field, err);
}

enum tm_code event_validate_item(const struct event *e, bool behind_sparse, const char **field, struct tm_error *err)
{
    *field = "doc";
    enum tm_code rc = validate_needed(e->doc, err);
    if (rc == TM_OK)
        rc = validate_numbers(e, field, err);
    if (rc == TM_OK)
        rc = validate_features(e->item_encoding, e->item_features, field, err);
    if (rc == TM_OK && behind_sparse && (e->has & EVENT_HAS_ITEM_FEATURES)) {
        *field = "features";
        rc = tm_error_set(err, TM_INVALID_ARGUMENT,
                          "come behind shared sparse ones, which have no end; expected shared ones that are dense");
    }
    return rc;
}
