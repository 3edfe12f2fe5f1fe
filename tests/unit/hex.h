/* tests/unit/hex.h - bytes written as hexadecimal text, spaces allowed, for tables of wire messages. */
#ifndef TIDEMILL_TESTS_UNIT_HEX_H
#define TIDEMILL_TESTS_UNIT_HEX_H

#include "base/bytes.h"

static inline int hex_digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Replace what is in *b; the view is good until the next change of *b. */
static inline struct bytes hex(struct buffer *b, const char *text)
{
    buffer_reserve(b, 1); /* a view with an address, even of nothing */
    b->size = 0;
    for (; *text; text++)
        if (*text != ' ') {
            buffer_put_u8(b, (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1])));
            text++;
        }
    return buffer_view(b);
}

#endif
