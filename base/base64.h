/* base/base64.h - bytes as text: RFC 4648, section 4, padded with '='.
 *
 * Decoding is strict: no white space, no other alphabet, nothing left over in the last character, so that two texts are
 * never the same bytes. Threads: pure. */
#ifndef TIDEMILL_BASE_BASE64_H
#define TIDEMILL_BASE_BASE64_H

#include "base/bytes.h"

void base64_encode(struct bytes data, struct buffer *out);

/* Appends. False: not such a text; what was appended is then of no use. */
bool base64_decode(struct bytes text, struct buffer *out);

#endif
