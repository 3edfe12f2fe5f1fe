/* What records have in common is kept once, counted once, and comes back whole: in samples and after a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "joiner/chunks.h"

enum { SHOW, LOOK, CLICK, STREAMS, RECORDS = 10, SHARED = 1001 };

struct bench {
    struct joiner *joiner;
    uint64_t position;
    uint32_t samples, aside;
    char shared[SHARED + 1];
};

static void on_sample(void *self, struct sample *s)
{
    struct bench *b = self;
    assert_int_equal(s->body.size, 1);
    assert_int_equal(s->body.data[0], (uint8_t)s->key.lo);
    assert_true(bytes_equal(s->shared, bytes_of(b->shared, SHARED)));
    for (uint32_t i = 0; i < s->feature_count; i++) {
        assert_int_equal(s->features[i].body.data[0], (uint8_t)s->key.lo);
        assert_true(bytes_equal(s->features[i].shared, bytes_of(b->shared, SHARED)));
    }
    b->samples++;
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    struct bench *b = self;
    assert_true(reason == REASON_DUPLICATE || reason == REASON_SHED);
    assert_int_equal(r->shared.size, SHARED);
    assert_int_equal(r->shared.data[0], reason == REASON_SHED ? 's' : b->shared[0]);
    b->aside++;
}

static void begin(struct bench *b)
{
    struct joiner_config config = {.stream = {[SHOW] = {.kind = JOINER_IMPRESSION},
                                              [LOOK] = {.kind = JOINER_FEATURES},
                                              [CLICK] = {.kind = JOINER_ACTION, .labels = 1, .within_ms = 1000}},
                                   .streams = STREAMS,
                                   .labels = 1,
                                   .window_ms = 100,
                                   .allowed_lateness_ms = 1000};
    if (!b->shared[0])
        memset(b->shared, 's', SHARED);
    b->joiner = joiner_open(&config, (struct joiner_output){b, on_sample, on_aside, NULL, NULL});
}

/* One record: so many items, with keys from `first` on. */
static void take(struct bench *b, uint8_t stream, uint8_t first, uint32_t items)
{
    for (uint8_t key = first; key < first + items; key++)
        joiner_step(b->joiner, &(struct joiner_record){.position = ++b->position,
                                                       .time = 50,
                                                       .key = {key, 1},
                                                       .doc = {key, 2},
                                                       .event = b->position,
                                                       .version = 1,
                                                       .stream = stream,
                                                       .weight = 1,
                                                       .lot = {.rate = 1},
                                                       .body = bytes_of(&key, 1),
                                                       .shared = bytes_of(b->shared, SHARED),
                                                       .sharers = items});
}

static void decide(struct bench *b) { joiner_advance(b->joiner, (const int64_t[]){1000, 1000, 1000}); }

static void kept_once_and_counted_once(void **state)
{
    struct bench b = {0};
    enum { ITEM = CHUNK_HEAD_BYTES + 8 + 1, PART = CHUNK_HEAD_BYTES + SHARED };
    (void)state;
    begin(&b);
    take(&b, SHOW, 1, RECORDS);
    assert_int_equal(joiner_unfrozen(b.joiner), PART + RECORDS * ITEM);
    uint64_t one = joiner_waiting_bytes(JOINER_IMPRESSION, 1 + 101); /* a tenth, rounded up */
    assert_int_equal(joiner_held_bytes(b.joiner), RECORDS * one);
    b.shared[0]++; /* another record; the next that is like it needs no copy */
    take(&b, SHOW, 21, RECORDS);
    take(&b, SHOW, 41, RECORDS);
    assert_int_equal(joiner_unfrozen(b.joiner), 2 * PART + 3 * RECORDS * ITEM);
    take(&b, SHOW, 41, 3); /* duplicates are not kept */
    assert_int_equal(b.aside, 3);
    assert_int_equal(joiner_held_bytes(b.joiner), 3 * RECORDS * one);
    joiner_set_bounds(b.joiner, 2 * RECORDS * one + one - 1, 0); /* what is shed is counted as it was */
    assert_int_equal(joiner_held_bytes(b.joiner), 2 * RECORDS * one);
    joiner_close(b.joiner);
}

static enum tm_code restart(struct bench *b, struct bytes chunk, const struct joiner_delta *d,
                            const struct stream_counts *counts)
{
    struct tm_error err = {0};
    joiner_load_begin(b->joiner, (const int64_t[]){WATERMARK_NONE, WATERMARK_NONE, WATERMARK_NONE});
    assert_int_equal(joiner_load_commits(b->joiner, 1, 1, &err), TM_OK);
    assert_int_equal(joiner_load_run(b->joiner, 1, d->run, &err), TM_OK);
    enum tm_code rc = joiner_load_chunk(b->joiner, 1, chunk, &err);
    if (rc == TM_OK)
        rc = joiner_load_done(b->joiner, b->position + 1, 0, counts, &err);
    return rc;
}

static void comes_back_after_a_restart(void **state)
{
    struct bench b = {0};
    struct joiner_delta d;
    (void)state;
    begin(&b);
    take(&b, LOOK, 1, RECORDS);
    take(&b, SHOW, 1, RECORDS);
    uint64_t held = joiner_held_bytes(b.joiner);
    assert_true(joiner_freeze(b.joiner, 1, &d));
    struct joiner *first = b.joiner;
    begin(&b);
    assert_int_equal(restart(&b, d.chunk, &d, joiner_counts(first)), TM_OK);
    assert_int_equal(joiner_held_bytes(b.joiner), held);
    joiner_close(first);
    take(&b, SHOW, 21, RECORDS); /* a new chunk has a copy of its own */
    decide(&b);
    assert_int_equal(b.samples, 2 * RECORDS);
    assert_int_equal(joiner_held_bytes(b.joiner), 0);
    joiner_close(b.joiner);
}

/* Whatever a disk makes of a chunk: it is refused, or nothing beyond it is read. */
static void damage_is_found(void **state)
{
    struct bench b = {0};
    struct joiner_delta d;
    enum { SHARE = CHUNK_HEAD_BYTES + SHARED + CHUNK_HEAD_BYTES }; /* of the first record */
    static const struct {
        size_t at;
        uint8_t value;
    } lies[] = {{SHARE, 1}, {SHARE + 1, 4}, {SHARE + 3, 255}, {SHARE + 4, 0}, {1, 200}};
    (void)state;
    begin(&b);
    take(&b, SHOW, 1, 1);
    assert_true(joiner_freeze(b.joiner, 1, &d));
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct bench again = {0};
        uint8_t *chunk = malloc(d.chunk.size);
        assert_non_null(chunk);
        memcpy(chunk, d.chunk.data, d.chunk.size);
        chunk[lies[i].at] = lies[i].value;
        begin(&again);
        if (restart(&again, bytes_of(chunk, d.chunk.size), &d, joiner_counts(b.joiner)) != TM_DATA_LOSS)
            fail_msg("believed: lie %zu", i);
        joiner_close(again.joiner);
        free(chunk);
    }
    joiner_close(b.joiner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_once_and_counted_once),
        cmocka_unit_test(comes_back_after_a_restart),
        cmocka_unit_test(damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
