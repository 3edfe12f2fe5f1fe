/* client/event_print.h - a protobuf Event as it came, damaged or cut off perhaps, for people to look at.
 *
 * JSON     the form that `tidemill ingest` reads (proto/json_event.h), so that an event can be mended and sent again.
 *          Fields are read up to the first malformed byte; what is no text where text should be is a list of numbers.
 * Threads  any. */
#ifndef TIDEMILL_CLIENT_EVENT_PRINT_H
#define TIDEMILL_CLIENT_EVENT_PRINT_H

#include <stdio.h>

#include "base/bytes.h"

/* One object on one line, without a line end. Returns how many bytes could be read: all, or the rest is damaged or
 * missing. */
size_t event_print_json(FILE *out, struct bytes wire);

/* Offset, 16 bytes, and the same as ASCII, in lines as hexdump -C makes them. */
void event_print_hex(FILE *out, struct bytes bytes);

/* A text field by its name in events.proto, appended with its NUL; of items that of the first that has it. False: not
 * there, or no text. */
bool event_text(struct bytes wire, const char *field, struct buffer *out);

#endif
