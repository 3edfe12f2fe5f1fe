/* Tests of base/pack.h: everything comes back, what is damaged is refused within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/pack.h"
#include "tests/unit/random.h"

static void put_text(struct buffer *b, size_t size)
{
    for (uint64_t i = 0; b->size < size; i++)
        buffer_print(b, "{\"request\":%llu,\"doc\":\"d%03llu\"}", (unsigned long long)i,
                     (unsigned long long)(i * i % 500));
    b->size = size;
}

static void put_noise(struct buffer *b, size_t size)
{
    uint64_t seed = 7;
    while (b->size < size)
        buffer_put_u64(b, draw(&seed));
    b->size = size;
}

enum { OLD = 3 };

/* Returns the packed size. */
static size_t assert_comes_back(struct bytes raw)
{
    CLEANUP(buffer_close) struct buffer packed = {0}, buffer = {0};
    struct bytes back;
    buffer_put(&packed, "old", OLD); /* what was there stays */
    pack(raw, &packed);
    assert_memory_equal(packed.data, "old", OLD);
    struct bytes appended = bytes_of(packed.data + OLD, packed.size - OLD);
    assert_true(unpack(appended, &buffer, &back));
    assert_int_equal(back.size, raw.size);
    assert_true(raw.size == 0 || memcmp(back.data, raw.data, raw.size) == 0);
    assert_true(appended.size <= raw.size + PACK_HEAD);
    return appended.size;
}

static void all_comes_back(void **state)
{
    static const size_t sizes[] = {0,    1,          PACK_MIN - 1,   PACK_MIN, PACK_MIN + 1,
                                   4096, PACK_PIECE, PACK_PIECE + 1, 70000,    1 << 20};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CLEANUP(buffer_close) struct buffer text = {0}, noise = {0};
        put_text(&text, sizes[i]);
        put_noise(&noise, sizes[i]);
        size_t packed = assert_comes_back(buffer_view(&text));
        assert_true(sizes[i] < PACK_MIN ? packed == sizes[i] + PACK_HEAD : packed < sizes[i] * 3 / 4);
        assert_int_equal(assert_comes_back(buffer_view(&noise)), sizes[i] + PACK_HEAD); /* not worth it */
    }
}

/* Each piece of its own: what cannot be made smaller lies between the others as it is. */
static void pieces_that_cannot_be_packed_stay_as_they_are(void **state)
{
    CLEANUP(buffer_close) struct buffer mixed = {0};
    (void)state;
    put_text(&mixed, PACK_PIECE);
    put_noise(&mixed, 2 * PACK_PIECE);
    for (uint64_t i = 0; mixed.size < 3 * PACK_PIECE; i++)
        buffer_put_u64(&mixed, i);
    size_t packed = assert_comes_back(buffer_view(&mixed));
    assert_true(packed > PACK_PIECE && packed < 5 * PACK_PIECE / 2);
}

static void what_is_damaged_is_refused_or_of_its_size(void **state)
{
    enum { RAW = 2000 };
    CLEANUP(buffer_close) struct buffer text = {0}, packed = {0}, buffer = {0};
    struct bytes back;
    (void)state;
    put_text(&text, RAW);
    pack(buffer_view(&text), &packed);
    for (size_t size = 0; size < packed.size; size++) { /* in an array of its own: ASan sees a read behind it */
        uint8_t *cut = mem_new(size + 1, 1);
        memcpy(cut, packed.data, size);
        assert_false(unpack(bytes_of(cut, size), &buffer, &back));
        free(cut);
    }
    for (size_t bit = 0; bit < packed.size * 8; bit++) {
        packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (unpack(buffer_view(&packed), &buffer, &back))
            assert_int_equal(back.size, RAW); /* another text: checksums are the owners' business */
        packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* A size that nobody can have packed into so little asks for no memory. */
static void a_mad_size_is_refused(void **state)
{
    uint8_t packed[PACK_HEAD + 16] = {0};
    CLEANUP(buffer_close) struct buffer buffer = {0};
    struct bytes back;
    (void)state;
    for (uint64_t size = 16 * 512; size <= UINT32_MAX; size *= 2) {
        uint32_t mad = (uint32_t)size;
        memcpy(packed, &mad, sizeof mad);
        assert_false(unpack(bytes_of(packed, sizeof packed), &buffer, &back));
    }
    assert_null(buffer.data);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_comes_back),
        cmocka_unit_test(pieces_that_cannot_be_packed_stay_as_they_are),
        cmocka_unit_test(what_is_damaged_is_refused_or_of_its_size),
        cmocka_unit_test(a_mad_size_is_refused),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
