#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

size_t text_distance(const char *a, const char *b)
{
    size_t row[TEXT_DISTANCE_MAX + 1], n = strnlen(b, TEXT_DISTANCE_MAX); /* one row of the table at a time */
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[n];
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
