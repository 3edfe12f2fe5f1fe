#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

size_t text_distance(const char *a, const char *b)
{
    size_t rows[3][TEXT_DISTANCE_MAX + 1]; /* of the table: this one, and the two above it that a swap looks at */
    size_t n = strnlen(b, TEXT_DISTANCE_MAX);
    for (size_t j = 0; j <= n; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t changed = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(changed, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[strlen(a) % 3][n];
}

const char *text_number(double v, char buf[static TEXT_NUMBER_SIZE])
{
    enum { DIGITS_ENOUGH_MOSTLY = 15, DIGITS_ENOUGH_ALWAYS = 17 };
    CHECK(isfinite(v));
    for (int digits = DIGITS_ENOUGH_MOSTLY; digits <= DIGITS_ENOUGH_ALWAYS; digits++) {
        snprintf(buf, TEXT_NUMBER_SIZE, "%.*g", digits, v);
        if (strtod(buf, NULL) == v)
            break;
    }
    return buf;
}

const char *text_float(float v, char buf[static TEXT_NUMBER_SIZE])
{
    enum { DIGITS_ENOUGH_MOSTLY = 6, DIGITS_ENOUGH_ALWAYS = 9 };
    CHECK(isfinite(v));
    for (int digits = DIGITS_ENOUGH_MOSTLY; digits <= DIGITS_ENOUGH_ALWAYS; digits++) {
        snprintf(buf, TEXT_NUMBER_SIZE, "%.*g", digits, (double)v);
        if (strtof(buf, NULL) == v)
            break;
    }
    return buf;
}

const char *text_count(uint64_t v, char buf[static TEXT_NUMBER_SIZE])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, v);
    char *to = buf;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return buf;
}
