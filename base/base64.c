#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct bytes data, struct buffer *out)
{
    uint8_t *p = buffer_reserve(out, (data.size + 2) / 3 * 4 + 1);
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t bits = (uint32_t)data.data[i] << 16;
        bits |= left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
        bits |= left > 2 ? data.data[i + 2] : 0;
        *p++ = (uint8_t)alphabet[bits >> 18];
        *p++ = (uint8_t)alphabet[bits >> 12 & 63];
        *p++ = left > 1 ? (uint8_t)alphabet[bits >> 6 & 63] : '=';
        *p++ = left > 2 ? (uint8_t)alphabet[bits & 63] : '=';
    }
    out->size += (data.size + 2) / 3 * 4;
}

/* 0-63, or -1 for what is no character of base64. */
static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct bytes text, struct buffer *out)
{
    uint32_t bits = 0;
    size_t size = text.size, used = 0;
    uint8_t *p = buffer_reserve(out, size / 4 * 3 + 1); /* + 1: even an empty payload has an address */
    if (size % 4)
        return false;
    while (size && text.size - size < 2 && text.data[size - 1] == '=')
        size--;
    for (size_t i = 0; i < size; i++) {
        int v = sextet(text.data[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4)
            p[used++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    out->size += used;
    /* what is left over of the last character must be zero, or two texts would be one payload */
    return size % 4 != 1 && (bits & ((1u << (size * 6 % 8)) - 1)) == 0;
}
