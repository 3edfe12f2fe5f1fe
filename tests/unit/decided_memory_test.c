/* The promise about memory: decided samples of 24 hours at 10,000 impressions a second, all of which can still be
 * corrected, take less than 1.5 GB.
 *
 * Scale    one of 64 shards would hold 13.5 million of them. Here it holds SCALE times fewer, and all that is counted in
 *          keys is as much smaller: keys in memory, keys of a commit. So there are as many runs, tiers and merges under
 *          way as there would be, and a key takes what it would take. What does not grow with keys (a few KiB) weighs
 *          more than it should. Nothing hangs on time or chance: the figure is the same wherever it is measured.
 * Peak     over more than a day, so that the oldest expire. bench_join measures the same with 10 million keys: there a key
 *          takes a twentieth more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/joiner.h"
#include "joiner/runs.h"
#include "tests/simulation/memory_store.h"
#include "tests/unit/random.h"

enum {
    SCALE = 32,
    DAY_MS = 24 * 3600 * 1000,
    A_SECOND = 10000,
    SHARDS = 64,
    KEYS = DAY_MS / 1000 / SHARDS * A_SECOND / SCALE, /* of a day */
    SEAL_KEYS = 12288 / SCALE,
    COMMIT_KEYS = 16384 / SCALE,
    CHECKED = COMMIT_KEYS / 4,
};
static const double promised_gb = 1.5;

struct shop {
    struct joiner *joiner;
    struct memory_store store;
    struct store_batch batch;
    uint64_t position, commit, samples, corrections, random;
    size_t most;
};

static void put(void *self, struct bytes key, struct bytes value)
{
    store_batch_put(&((struct shop *)self)->batch, STORE_DECIDED, key, value);
}

static void remove_row(void *self, struct bytes key)
{
    store_batch_remove(&((struct shop *)self)->batch, STORE_DECIDED, key);
}

static enum tm_code get(void *self, struct bytes key, struct buffer *out, struct tm_error *err)
{
    struct store face = memory_store_face(&((struct shop *)self)->store);
    return face.get(face.self, STORE_DECIDED, key, out, err);
}

static void on_sample(void *self, struct sample *s)
{
    struct shop *d = self;
    d->samples += s->kind == SAMPLE_NEW;
    d->corrections += s->kind == SAMPLE_CORRECTION;
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    (void)self, (void)r, (void)reason;
    fail_msg("every record belongs to a sample");
}

static void shop_open(struct shop *d)
{
    static const struct joiner_config config = {
        .stream = {{.kind = JOINER_IMPRESSION}, {.kind = JOINER_ACTION, .within_ms = DAY_MS, .labels = 1}},
        .streams = 2,
        .labels = 1,
        .label = {{.aggregate = LABEL_COUNT}},
        .window_ms = 60000,
        .allowed_lateness_ms = DAY_MS};
    *d = (struct shop){.random = 1};
    d->joiner = joiner_open(&config, (struct joiner_output){d, on_sample, on_aside, NULL, NULL});
    joiner_keep_runs(d->joiner, &(struct runs_tuning){.seal_keys = SEAL_KEYS},
                     &(struct run_store){d, get, put, remove_row});
}

static void shop_close(struct shop *d)
{
    joiner_close(d->joiner);
    memory_store_close(&d->store);
}

static void step(struct shop *d, uint64_t key, uint8_t stream, int64_t time)
{
    joiner_step(d->joiner, &(struct joiner_record){.position = ++d->position,
                                                   .time = time,
                                                   .key = hash_128(bytes_of(&key, sizeof key), 1),
                                                   .event = d->position,
                                                   .stream = stream,
                                                   .weight = 1,
                                                   .version = stream ? 0 : 1,
                                                   .body = bytes_text("what it was predicted from")});
}

static void commit(struct shop *d)
{
    struct joiner_delta delta;
    d->commit += joiner_freeze(d->joiner, d->commit + 1, &delta);
    memory_store_commit(&d->store, &d->batch);
    memory_store_sync(&d->store);
    joiner_written(d->joiner, d->commit);
    size_t bytes = joiner_decided_memory(d->joiner);
    d->most = bytes > d->most ? bytes : d->most;
}

static int64_t time_of(uint64_t key) { return (int64_t)(key * DAY_MS / KEYS); }

static void show(struct shop *d, uint64_t first, uint64_t keys)
{
    for (uint64_t key = first; key < first + keys; key += COMMIT_KEYS) {
        for (uint64_t i = key; i < key + COMMIT_KEYS; i++)
            step(d, i, 0, time_of(i));
        joiner_advance(d->joiner, (const int64_t[]){time_of(key + COMMIT_KEYS), time_of(key + COMMIT_KEYS)});
        commit(d);
    }
}

/* They can indeed be corrected: some, all over the day before `end`. */
static void correct(struct shop *d, uint64_t end)
{
    for (int i = 0; i < CHECKED; i++)
        step(d, end - KEYS * 15 / 16 + below(&d->random, KEYS * 7 / 8), 1, time_of(end) - 1000);
    assert_int_equal(d->corrections, CHECKED);
}

static void a_day_of_decided_samples_fits_into_memory(void **state)
{
    struct shop d;
    struct tm_error err;
    const uint64_t keys = (KEYS * 5 / 4 / COMMIT_KEYS) * (uint64_t)COMMIT_KEYS;
    (void)state;
    shop_open(&d);
    show(&d, 0, keys);
    assert_true(joiner_decided(d.joiner) >= KEYS);
    double each = (double)d.most / KEYS, gb = each * KEYS * SCALE * SHARDS / 1e9;
    print_message("%.3f B a decided key at the peak: %.3f GB\n", each, gb);
    correct(&d, keys);
    assert_int_equal(joiner_failure(d.joiner, &err), TM_OK);
    shop_close(&d);
    assert_true(gb <= promised_gb);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(a_day_of_decided_samples_fits_into_memory)};
    return cmocka_run_group_tests_name("decided_memory", tests, NULL, NULL);
}
