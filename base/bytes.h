/* base/bytes.h - views of bytes, buffers that grow, and the little-endian codec of everything we store.
 *
 * Memory   struct bytes never owns. A struct buffer owns its array until buffer_close().
 * Errors   writing cannot fail (memory is there or the process stops); a struct reader remembers the first shortfall
 *          in `bad` and returns zeros from then on, so a decoder checks once at its end. */
#ifndef TIDEMILL_BASE_BYTES_H
#define TIDEMILL_BASE_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored integers are little-endian and copied as they are");

struct bytes {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){(const uint8_t *)data, size};
}
static inline struct bytes bytes_text(const char *text) { return bytes_of(text, strlen(text)); }
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct buffer {
    uint8_t *data;
    size_t size, capacity;
};

void buffer_close(struct buffer *b); /* {0} is fine */
void buffer_reserve_slow(struct buffer *b, size_t more);

/* Room for `more` bytes behind the end; returns where they go. The caller adds to size what it used. */
static inline uint8_t *buffer_reserve(struct buffer *b, size_t more)
{
    if (__builtin_expect(b->capacity - b->size < more, 0))
        buffer_reserve_slow(b, more);
    return b->data ? b->data + b->size : NULL;
}
static inline void buffer_put(struct buffer *b, const void *data, size_t size)
{
    if (size) {
        memcpy(buffer_reserve(b, size), data, size);
        b->size += size;
    }
}
/* Formatted text, without its NUL. */
void buffer_print(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct bytes buffer_view(const struct buffer *b) { return bytes_of(b->data, b->size); }

#define BUFFER_PUT(name, type) \
    static inline void buffer_put_##name(struct buffer *b, type v) { buffer_put(b, &v, sizeof v); }
BUFFER_PUT(u8, uint8_t)
BUFFER_PUT(u16, uint16_t)
BUFFER_PUT(u32, uint32_t)
BUFFER_PUT(u64, uint64_t)
BUFFER_PUT(i64, int64_t)
BUFFER_PUT(f64, double)
#undef BUFFER_PUT

/* u32 length, then the bytes. */
static inline void buffer_put_bytes(struct buffer *b, struct bytes v)
{
    CHECK(v.size <= UINT32_MAX);
    buffer_put_u32(b, (uint32_t)v.size);
    buffer_put(b, v.data, v.size);
}

struct reader {
    const uint8_t *at, *end;
    bool bad; /* something was asked for that is not there */
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){b.data, b.data ? b.data + b.size : b.data, false};
}
static inline size_t reader_left(const struct reader *r) { return (size_t)(r->end - r->at); }
static inline const uint8_t *reader_take(struct reader *r, size_t size)
{
    const uint8_t *p = r->at;
    if (r->bad || reader_left(r) < size) {
        r->bad = true;
        return NULL;
    }
    r->at += size;
    return p;
}

#define READER_GET(name, type)                         \
    static inline type reader_##name(struct reader *r) \
    {                                                  \
        type v = 0;                                    \
        const uint8_t *p = reader_take(r, sizeof v);   \
        if (p)                                         \
            memcpy(&v, p, sizeof v);                   \
        return v;                                      \
    }
READER_GET(u8, uint8_t)
READER_GET(u16, uint16_t)
READER_GET(u32, uint32_t)
READER_GET(u64, uint64_t)
READER_GET(i64, int64_t)
READER_GET(f64, double)
#undef READER_GET

static inline struct bytes reader_bytes(struct reader *r)
{
    uint32_t size = reader_u32(r);
    const uint8_t *p = reader_take(r, size);
    return p ? bytes_of(p, size) : (struct bytes){0};
}

/* Keys of the stores are big-endian, so that their order is the numbers' order. */
/* clang-format off */
static inline void key_put_u16(uint8_t *p, uint16_t v) { v = __builtin_bswap16(v); memcpy(p, &v, 2); }
static inline void key_put_u32(uint8_t *p, uint32_t v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); }
static inline void key_put_u64(uint8_t *p, uint64_t v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); }
static inline uint16_t key_get_u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
static inline uint32_t key_get_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
static inline uint64_t key_get_u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
/* clang-format on */

#endif
