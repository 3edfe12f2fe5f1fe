/* base/random.h - bytes that nobody can foresee, for names and numbers that must not be given twice.
 *
 * Errors   TM_IO: the system has none.
 * Threads  any. */
#ifndef TIDEMILL_BASE_RANDOM_H
#define TIDEMILL_BASE_RANDOM_H

#include <stddef.h>

#include "base/error.h"

enum { RANDOM_FILL_MAX = 256 };

enum tm_code random_fill(void *out, size_t size, struct tm_error *err); /* at most RANDOM_FILL_MAX */

#endif
