#include "ps/engine/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Smallest first; the smallest has factor 1. */
static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const struct unit sizes[] = {
    {"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40},
};

/* The digits at the start of text, up to INT64_MAX. NULL: there are none, or too many. */
static const char *parse_digits(const char *text, uint64_t *value)
{
    const char *p = text;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (v > (INT64_MAX - digit) / 10)
            return NULL;
        v = v * 10 + digit;
    }
    *value = v;
    return p == text ? NULL : p;
}

static bool parse(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
    uint64_t v;
    const char *name = parse_digits(text, &v);
    if (!name)
        return false;
    if (*name == '\0' && v == 0) {
        *value = 0;
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, units[i].name) != 0)
            continue;
        if (v > INT64_MAX / units[i].factor)
            return false;
        *value = v * units[i].factor;
        return true;
    }
    return false;
}

static const char *print(uint64_t value, const struct unit *units, size_t count, const char *zero, char *buf)
{
    size_t i = count - 1;
    if (value == 0) {
        snprintf(buf, UNITS_TEXT_SIZE, "%s", zero);
        return buf;
    }
    while (value % units[i].factor != 0)
        i--;
    snprintf(buf, UNITS_TEXT_SIZE, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
    return buf;
}

bool duration_parse(const char *text, int64_t *ms)
{
    uint64_t v;
    if (!parse(text, durations, ARRAY_LEN(durations), &v))
        return false;
    *ms = (int64_t)v;
    return true;
}

bool size_parse(const char *text, uint64_t *size) { return parse(text, sizes, ARRAY_LEN(sizes), size); }

const char *duration_text(int64_t ms, char buf[static UNITS_TEXT_SIZE])
{
    CHECK(ms >= 0);
    return print((uint64_t)ms, durations, ARRAY_LEN(durations), "0s", buf);
}

const char *size_text(uint64_t size, char buf[static UNITS_TEXT_SIZE])
{
    return print(size, sizes, ARRAY_LEN(sizes), "0B", buf);
}
