#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "ps/state/shared_block.h"

/* One control, three events of shards 7, 2, 7, one punctuation. */
static void small_block(struct buffer *out)
{
    struct block_builder b = {0};
    block_add_control(&b, bytes_text("cc"));
    block_add_event(&b, 7, 1, 9, bytes_text("first"));
    block_add_event(&b, 2, 0, 0, bytes_text(""));
    block_add_event(&b, 7, 3, 0x01020304, bytes_text("third"));
    block_add_punctuation(&b, 4, -2);
    assert_int_equal(block_seal(&b, 100, out), 105);
    assert_true(block_builder_empty(&b));
    assert_int_equal(block_builder_size(&b), 0);
    block_builder_close(&b);
}

/* Two records with items and an event in front: what is shared is there once, whatever the shards. */
static void item_block(struct buffer *out)
{
    struct block_builder b = {0};
    CLEANUP(buffer_close) struct buffer parts = {0};
    buffer_put_bytes(&parts, bytes_text("request 1"));
    block_add_event(&b, 3, 1, 5, bytes_text("alone"));
    uint32_t base = block_add_shared(&b, buffer_view(&parts));
    block_add_item(&b, 3, 1, 5, bytes_text("a"), base + 1, 2);
    block_add_item(&b, 4, 1, 5, bytes_text("b"), base + 1, 1);
    block_add_item(&b, 3, 1, 5, bytes_text("c"), base + 1, 2);
    parts.size = 0;
    buffer_put_bytes(&parts, bytes_text("request 2"));
    base = block_add_shared(&b, buffer_view(&parts));
    block_add_item(&b, 3, 2, 0, bytes_text("d"), base + 1, 1);
    size_t size = block_builder_size(&b);
    assert_int_equal(size, 5 * (13 + 4) + 5 + 4 * (6 + 1) + 2 * (4 + 9));
    assert_int_equal(block_seal(&b, 10, out), 15);
    block_builder_close(&b);
}

/* The layout is what is on people's disks: it may not change by accident. */
static void test_golden_bytes(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        'B', 'L',  'K',  '2',  2,    0,    0,    0,    0xd7, 0x82, 0x8b, 0xe7, 0x32, 0x86, 0xcb, 0xd8, /* magic, named, checksum */
        100, 0,    0,    0,    0,    0,    0,    0,    1,    0,    0,    0,    3,    0,    0,    0,    1,   0,   0,
        0,   49,   0,    0,    0,    0,    0,    0,    0, /* first, counts, sizes of events and shared parts */
        2,   0,    0,    0,    'c',  'c',                 /* control */
        2,   0,    0,    0,    0,    0,    0,    0,    7,    0,    0,    0,    1,    0,    0,    0, /* directory */
        18,  0,    0,    0,    0,    0,    0,    0,    31,   0,    0,    0, /* offsets: of shard 2, of shard 7 */
        4,   0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,                /* punctuation */
        5,   0,    0,    0,    0,    0,    0,    0,    9,    0,    0,    0,    1,    'f',  'i',  'r',  's', 't', /* events */
        0,   0,    0,    0,    1,    0,    0,    0,    0,    0,    0,    0,    0,    5,    0,    0,    0,   2,   0,
        0,   0,    4,    3,    2,    1,    3,    't',  'h',  'i',  'r',  'd',
    };
    struct buffer out = {0};
    small_block(&out);
    assert_int_equal(out.size, sizeof want);
    assert_memory_equal(out.data, want, sizeof want);
    buffer_close(&out);
}

static void test_walk(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct block b;
    struct tm_error err;
    struct bytes control;
    struct block_event e;
    uint32_t shard, events, first;
    uint8_t stream;
    int64_t time;
    small_block(&out);
    assert_int_equal(block_parse(buffer_view(&out), &b, &err), TM_OK);
    assert_int_equal(b.first, 100);
    assert_int_equal(b.end, 105);
    struct reader r = reader_of(b.control_bytes);
    assert_true(block_next_control(&b, &r, &control));
    assert_true(bytes_equal(control, bytes_text("cc")));
    assert_false(block_next_control(&b, &r, &control));
    block_shard(&b, 0, &shard, &events, &first);
    assert_int_equal(shard, 2);
    assert_int_equal(events, 1);
    block_event_at(&b, first, 0, &e);
    assert_int_equal(e.position, 102);
    assert_int_equal(e.wire.size, 0);
    block_shard(&b, 1, &shard, &events, &first);
    assert_int_equal(shard, 7);
    assert_int_equal(events, 2);
    block_event_at(&b, first, 1, &e);
    assert_int_equal(e.position, 103);
    assert_int_equal(e.version, 0x01020304);
    assert_int_equal(e.stream, 3);
    assert_true(bytes_equal(e.wire, bytes_text("third")));
    r = reader_of(b.punctuation_bytes);
    assert_true(block_next_punctuation(&r, &stream, &time));
    assert_int_equal(stream, 4);
    assert_int_equal(time, -2);
    assert_false(block_next_punctuation(&r, &stream, &time));
    buffer_close(&out);
}

/* A copy in memory of its own, so that the sanitizer sees every step outside. */
static enum tm_code parse_copy(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);
    struct block b;
    struct tm_error err;
    memcpy(copy, bytes.data, bytes.size);
    enum tm_code code = block_parse(bytes_of(copy, bytes.size), &b, &err);
    free(copy);
    return code;
}

static void reseal(struct buffer *block)
{
    uint64_t checksum = hash_64(bytes_of(block->data + 16, block->size - 16));
    memcpy(block->data + 8, &checksum, sizeof checksum);
}

static void test_every_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    small_block(&out);
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(parse_copy(buffer_view(&out)), TM_DATA_LOSS);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(parse_copy(buffer_view(&out)), TM_OK);
    buffer_close(&out);
}

static void walk_all(const struct block *b)
{
    struct reader r = reader_of(b->control_bytes);
    struct bytes control;
    uint64_t sum = 0;
    uint32_t walked = 0;
    while (block_next_control(b, &r, &control))
        sum += control.size ? control.data[control.size - 1] : 0;
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        for (uint32_t i = 0; i < events; i++, walked++) {
            struct block_event e;
            block_event_at(b, first, i, &e);
            assert_in_range(e.position, b->first, b->end - 1);
            sum += e.wire.size ? e.wire.data[e.wire.size - 1] : 0;
            sum += e.shared.size ? e.shared.data[e.shared.size - 1] : 0;
        }
    }
    assert_int_equal(walked, b->events);
    assert_true(sum < UINT64_MAX);
}

/* Damage with a right checksum (a writer's bug, an attacker): refused, or what was parsed can be walked. */
static void test_damage_behind_the_checksum_cannot_be_left(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct tm_error err;
    int refused = 0;
    srand48(3);
    for (int i = 0; i < 20000; i++) {
        out.size = 0;
        i % 2 ? item_block(&out) : small_block(&out);
        for (int n = 0; n <= i % 3; n++) {
            size_t at = 16 + (size_t)lrand48() % (out.size - 16);
            out.data[at] = lrand48() % 2 ? (uint8_t)(out.data[at] + lrand48() % 5 - 2) : (uint8_t)lrand48();
        }
        if (lrand48() % 8 == 0)
            out.size -= (size_t)lrand48() % (out.size - 16);
        reseal(&out);
        struct buffer copy = {0};
        struct block b;
        buffer_put(&copy, out.data, out.size);
        if (block_parse(buffer_view(&copy), &b, &err) == TM_OK)
            walk_all(&b);
        else
            refused++;
        buffer_close(&copy);
    }
    assert_in_range(refused, 5000, 19999);
    buffer_close(&out);
}

/* One lie each, in a block whose checksum is right. */
static void test_lies_are_refused(void **state)
{
    (void)state;
    enum { CONTROL = 44, DIRECTORY = 50, OFFSETS = 66, FIRST = 87, THIRD = 118 };
    static const struct {
        const char *name;
        struct {
            size_t at;
            uint8_t value;
        } change[4]; /* at 0: none */
    } lies[] = {
        {"a control record reaches further", {{CONTROL, 3}}},
        {"the spare field is used", {{DIRECTORY + 2, 1}}},
        {"the first shard's events begin at the second offset", {{DIRECTORY + 4, 1}}},
        {"a shard has no event", {{DIRECTORY + 12, 0}}},
        {"a shard begins behind all offsets", {{DIRECTORY + 12, 3}}},
        {"shards fall", {{DIRECTORY, 8}}},
        {"a shard is named twice", {{DIRECTORY, 7}}},
        {"an offset leaves the bytes", {{OFFSETS + 10, 1}}},
        {"an offset leaves no room for a head", {{OFFSETS + 8, 48}}},
        {"an event ends outside, another is shorter for it", {{THIRD, 6}, {FIRST, 4}}},
        {"an event is shorter than its bytes", {{THIRD, 4}}},
        {"an index is too large", {{THIRD + 4, 3}}},
        {"indexes of a shard fall", {{THIRD + 4, 0}, {FIRST + 4, 2}}},
        {"offsets of a shard fall", {{OFFSETS + 4, 31}, {OFFSETS + 8, 0}, {FIRST + 4, 2}, {THIRD + 4, 0}}},
    };
    struct buffer out = {0};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        out.size = 0;
        small_block(&out);
        for (size_t n = 0; n < 4 && lies[i].change[n].at; n++)
            out.data[lies[i].change[n].at] = lies[i].change[n].value;
        reseal(&out);
        if (parse_copy(buffer_view(&out)) != TM_DATA_LOSS)
            fail_msg("believed: %s", lies[i].name);
    }
    buffer_close(&out);
}

static void expect_item(const struct block *b, uint32_t first, uint32_t i, const char *wire, const char *shared,
                        uint32_t sharers)
{
    struct block_event e;
    block_event_at(b, first, i, &e);
    assert_true(bytes_equal(e.wire, bytes_text(wire)) && bytes_equal(e.shared, bytes_text(shared)));
    assert_int_equal(e.sharers, sharers);
    assert_in_range(e.stream, 1, 2);
}

static void test_what_items_share(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct block b;
    struct tm_error err;
    uint32_t shard, events, first;
    item_block(&out);
    assert_int_equal(block_parse(buffer_view(&out), &b, &err), TM_OK);
    block_shard(&b, 0, &shard, &events, &first);
    assert_true(shard == 3 && events == 4);
    expect_item(&b, first, 0, "alone", "", 0);
    expect_item(&b, first, 1, "a", "request 1", 2);
    expect_item(&b, first, 2, "c", "request 1", 2);
    expect_item(&b, first, 3, "d", "request 2", 1);
    block_shard(&b, 1, &shard, &events, &first);
    assert_true(shard == 4 && events == 1);
    expect_item(&b, first, 0, "b", "request 1", 1);
    buffer_close(&out);
}

/* Lies about what is shared: the last item's place and sharers, and the last part's size. */
static void test_lies_about_what_is_shared_are_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    item_block(&out);
    const size_t size = out.size, second = size - 13, place = second - 13 - 1 - 6;
    const struct {
        size_t at;
        uint8_t value;
    } lies[] = {{place, 0}, {place, 24}, {place + 3, 1}, {place + 4, 0}, {second, 10}, {place - 13, 8}};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        out.size = 0;
        item_block(&out);
        out.data[lies[i].at] = lies[i].value;
        reseal(&out);
        if (parse_copy(buffer_view(&out)) != TM_DATA_LOSS)
            fail_msg("believed: lie %zu", i);
    }
    buffer_close(&out);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    small_block(&out);
    for (size_t size = 0; size < out.size; size++)
        assert_int_equal(parse_copy(bytes_of(out.data, size)), TM_DATA_LOSS);
    buffer_put_u8(&out, 0);
    assert_int_equal(parse_copy(buffer_view(&out)), TM_DATA_LOSS); /* nor is one byte more */
    buffer_close(&out);
}

/* Events of a shard keep their order, whatever the mix. */
static void test_random_blocks_come_back(void **state)
{
    (void)state;
    enum { N = 500, SHARDS = 5 };
    struct block_builder builder = {0};
    struct buffer out = {0};
    struct tm_error err;
    srand48(11);
    for (int round = 0; round < 50; round++) {
        uint32_t shards[N], versions[N], n = (uint32_t)(lrand48() % N), next[SHARDS] = {0};
        for (uint32_t i = 0; i < n; i++) {
            char wire[16];
            shards[i] = (uint32_t)(lrand48() % SHARDS);
            versions[i] = (uint32_t)lrand48();
            snprintf(wire, sizeof wire, "%u", i);
            uint32_t robot = i % 3 == 0 ? BLOCK_ROBOT : 0;
            block_add_event(&builder, shards[i] * 1000, (uint8_t)(i % 32 | robot), versions[i], bytes_text(wire));
        }
        block_add_punctuation(&builder, 0, round);
        out.size = 0;
        assert_int_equal(block_seal(&builder, (uint64_t)round, &out), (uint64_t)round + n + 1);
        struct block b;
        assert_int_equal(block_parse(buffer_view(&out), &b, &err), TM_OK);
        for (uint32_t slot = 0, seen = 0; slot < b.shards_named; slot++) {
            uint32_t shard, events, first;
            block_shard(&b, slot, &shard, &events, &first);
            for (uint32_t i = 0; i < events; i++, seen++) {
                struct block_event e;
                uint32_t *at = &next[shard / 1000];
                block_event_at(&b, first, i, &e);
                while (shards[*at] != shard / 1000)
                    ++*at;
                assert_int_equal(e.position, (uint64_t)round + *at);
                assert_int_equal(e.version, versions[*at]);
                assert_int_equal(e.stream, *at % 32);
                assert_int_equal(e.robot, *at % 3 == 0);
                ++*at;
            }
            assert_true(slot + 1 < b.shards_named || seen == n);
        }
    }
    block_builder_close(&builder);
    buffer_close(&out);
}

static void *read_and_drop(void *block)
{
    struct shared_block *shared = block;
    walk_all(&shared->block);
    shared_block_unref(shared);
    return NULL;
}

static void test_the_last_reader_frees(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct shared_block *shared;
    struct tm_error err;
    pthread_t threads[4];
    small_block(&out);
    assert_int_equal(shared_block_new(&out, &shared, &err), TM_OK);
    assert_null(out.data);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        shared_block_ref(shared);
        assert_int_equal(pthread_create(&threads[i], NULL, read_and_drop, shared), 0);
    }
    shared_block_unref(shared);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    small_block(&out);
    out.data[50] ^= 1;
    assert_int_equal(shared_block_new(&out, &shared, &err), TM_DATA_LOSS);
    assert_null(out.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_damage_behind_the_checksum_cannot_be_left),
        cmocka_unit_test(test_lies_are_refused),
        cmocka_unit_test(test_what_items_share),
        cmocka_unit_test(test_lies_about_what_is_shared_are_refused),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_random_blocks_come_back),
        cmocka_unit_test(test_the_last_reader_frees),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
