/* base/units.h - durations and sizes as people write them: a whole number and its unit, never a bare number.
 *
 * Units    durations in ms from "ms s m h d", sizes in bytes from "B KiB MiB GiB TiB". Zero may go without: "0".
 * Errors   false: not such a text, or too large for int64_t; *value is then untouched. Threads: any. */
#ifndef TIDEMILL_BASE_UNITS_H
#define TIDEMILL_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

enum { UNITS_TEXT_SIZE = 32 };

bool duration_parse(const char *text, int64_t *ms);
bool size_parse(const char *text, uint64_t *size);

/* In the largest unit that divides the value, so that the text parses back to it: "90s", "2m", "14d". Returns buf. */
const char *duration_text(int64_t ms, char buf[static UNITS_TEXT_SIZE]);
const char *size_text(uint64_t size, char buf[static UNITS_TEXT_SIZE]);

#endif
