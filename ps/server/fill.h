/* ps/server/fill.h - filling messages in for packing: optional fields, and texts that are somebody else's.
 *
 * Memory   nothing is copied: what a message points to must live until it is packed. Threads: pure. */
#ifndef TIDEMILL_PS_SERVER_FILL_H
#define TIDEMILL_PS_SERVER_FILL_H

#include <stdint.h>

/* An optional field and its mark. */
#define FILL(message, field, value) ((message)->field = (value), (message)->has_##field = true)

/* The messages' texts are not const; packing only reads. */
static inline char *fill_text(const char *text) { return (char *)(uintptr_t)text; }

#endif
