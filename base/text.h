/* base/text.h - how far apart two short words are: for "did you mean".
 *
 * Bound    of b the first TEXT_DISTANCE_MAX bytes count; a may be of any length. Threads: pure. */
#ifndef TIDEMILL_BASE_TEXT_H
#define TIDEMILL_BASE_TEXT_H

#include <stddef.h>

enum { TEXT_DISTANCE_MAX = 64 };

/* Levenshtein's distance: the least number of bytes inserted, dropped or replaced that makes a into b. */
size_t text_distance(const char *a, const char *b);

#endif
