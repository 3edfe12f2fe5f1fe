/* base/text.h - small things with text: how far apart two words are, and how numbers are written.
 *
 * Threads  pure. */
#ifndef TIDEMILL_BASE_TEXT_H
#define TIDEMILL_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* The least number of bytes changed, added, dropped or swapped with their neighbour that makes a into b (optimal string
 * alignment). Of b the first TEXT_DISTANCE_MAX bytes count; a may be of any length. For "did you mean". */
enum { TEXT_DISTANCE_MAX = 128 };
size_t text_distance(const char *a, const char *b);

/* With as few digits as read back as the same double: "0.1", "1e+300". v must be finite. Returns buf. */
enum { TEXT_NUMBER_SIZE = 32 };
const char *text_number(double v, char buf[static TEXT_NUMBER_SIZE]);
const char *text_float(float v, char buf[static TEXT_NUMBER_SIZE]);    /* ... as the same float */
const char *text_count(uint64_t v, char buf[static TEXT_NUMBER_SIZE]); /* "20,115" */

#endif
