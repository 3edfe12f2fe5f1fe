#include "bench/decided.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/disk.h"
#include "bench/events.h"
#include "joiner/joiner.h"
#include "joiner/runs.h"
#include "ps/storage/state_db.h"

enum {
    DECIDED_KEYS = 10000000, /* that can be corrected at a time: those of a day */
    PROBED = 20000,          /* keys that are corrected */
    BATCH = 1024,            /* impressions between two advances */
    COMMIT_EACH = 16,        /* batches */
    ROUND = COMMIT_EACH * BATCH,
    GROUP = 16,
    DAY_MS = 24 * 3600 * 1000,
    WINDOW_MS = 60000,
    KEY = 2 + RUN_KEY,
};

struct shop {
    struct joiner *joiner;
    struct state_db *db;
    struct store_batch batch;
    struct joiner_record record[BATCH];
    uint64_t position, commit, corrections, samples;
    int64_t joining, keeping; /* ns of CPU: steps and time; commits */
    size_t most;              /* bytes of decided keys */
};

static struct bytes key_of(struct bytes key, uint8_t out[static KEY])
{
    key_put_u16(out, 0);
    memcpy(out + 2, key.data, key.size);
    return bytes_of(out, KEY);
}

static void put(void *self, struct bytes key, struct bytes value)
{
    uint8_t full[KEY];
    store_batch_put(&((struct shop *)self)->batch, STORE_DECIDED, key_of(key, full), value);
}

static void remove_row(void *self, struct bytes key)
{
    uint8_t full[KEY];
    store_batch_remove(&((struct shop *)self)->batch, STORE_DECIDED, key_of(key, full));
}

static enum tm_code get(void *self, struct bytes key, struct buffer *out, struct tm_error *err)
{
    uint8_t full[KEY];
    struct store store = state_db_store(((struct shop *)self)->db);
    return store.get(store.self, STORE_DECIDED, key_of(key, full), out, err);
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
    CHECK(!"every record belongs to a sample");
}

static void shop_open(struct shop *d, const char *folder, bool runs)
{
    static const struct joiner_config config = {
        .stream = {{.kind = JOINER_IMPRESSION}, {.kind = JOINER_ACTION, .within_ms = DAY_MS, .labels = 1}},
        .streams = 2,
        .labels = 1,
        .label = {{.aggregate = LABEL_COUNT}},
        .window_ms = WINDOW_MS,
        .allowed_lateness_ms = DAY_MS};
    struct tm_error err;
    char path[DISK_PATH_SIZE];
    *d = (struct shop){0};
    snprintf(path, sizeof path, "%s/state", folder);
    CHECK(state_db_open(path, &d->db, &err) == TM_OK);
    d->joiner = joiner_open(&config, (struct joiner_output){d, on_sample, on_aside, NULL, NULL});
    if (runs)
        joiner_keep_runs(d->joiner, &(struct runs_tuning){0}, &(struct run_store){d, get, put, remove_row});
}

static void shop_close(struct shop *d)
{
    joiner_close(d->joiner);
    state_db_close(d->db);
    store_batch_close(&d->batch);
}

static int64_t time_of(uint64_t key) { return (int64_t)(key * DAY_MS / DECIDED_KEYS); }

static void fill(struct shop *d, uint64_t first, uint8_t stream, int64_t time)
{
    for (uint64_t i = 0; i < BATCH; i++) {
        uint64_t bits = events_mix(first + i);
        d->record[i] = (struct joiner_record){.position = ++d->position,
                                              .time = stream ? time : time_of(first + i),
                                              .key = {bits, events_mix(bits)},
                                              .event = d->position,
                                              .stream = stream,
                                              .weight = 1,
                                              .version = stream ? 0 : 1,
                                              .body = bytes_text("what it was predicted from")};
    }
}

static void join(struct shop *d)
{
    int64_t began = clock_thread_cpu_ns();
    for (int i = 0; i < BATCH; i += GROUP) {
        for (int k = i; k < i + GROUP; k++)
            joiner_prefetch(d->joiner, &d->record[k]);
        for (int k = i; k < i + GROUP; k++)
            joiner_step(d->joiner, &d->record[k]);
    }
    d->joining += clock_thread_cpu_ns() - began;
}

static void pass_time(struct shop *d, int64_t now)
{
    int64_t watermarks[] = {now, now}, began = clock_thread_cpu_ns();
    joiner_advance(d->joiner, watermarks);
    d->joining += clock_thread_cpu_ns() - began;
}

static void commit(struct shop *d)
{
    struct joiner_delta delta;
    int64_t began = clock_thread_cpu_ns();
    d->commit += joiner_freeze(d->joiner, d->commit + 1, &delta);
    d->keeping += clock_thread_cpu_ns() - began;
    state_db_commit(d->db, &d->batch);
    joiner_written(d->joiner, d->commit);
    d->batch.operations.size = 0;
    size_t bytes = joiner_decided_memory(d->joiner);
    d->most = bytes > d->most ? bytes : d->most;
}

static void decide(struct shop *d, uint64_t first, uint64_t keys)
{
    for (uint64_t i = first, n = 1; i < first + keys; i += BATCH, n++) {
        fill(d, i, 0, 0);
        join(d);
        pass_time(d, d->record[BATCH - 1].time);
        if (n % COMMIT_EACH == 0)
            commit(d);
    }
}

/* ns of CPU for a correction of each of some keys, all over the last day but its end, which is in memory. */
static double correct(struct shop *d, uint64_t keys)
{
    enum { MARGIN = 128 * BATCH, CORRECTED = PROBED / BATCH * BATCH };
    struct tm_error err;
    int64_t before = d->joining;
    uint64_t corrections = d->corrections;
    for (uint64_t n = 0; n < PROBED / BATCH; n++) {
        uint64_t first = keys - DECIDED_KEYS + MARGIN + events_mix(n) % (DECIDED_KEYS - 2 * MARGIN);
        fill(d, first, 1, time_of(keys) - WINDOW_MS);
        join(d);
    }
    CHECK(joiner_failure(d->joiner, &err) == TM_OK);
    CHECK(d->corrections - corrections == CORRECTED);
    return (double)(d->joining - before) / CORRECTED;
}

struct cost {
    double joining, keeping, whole; /* us of CPU an impression: steps; commits; all of the process, storage included */
};

/* Over the last `last` of some keys. */
static struct cost measure(struct shop *d, uint64_t keys, uint64_t last)
{
    decide(d, 0, keys - last);
    d->joining = d->keeping = 0;
    d->most = 0;
    double began = bench_process_cpu();
    decide(d, keys - last, last);
    return (struct cost){(double)d->joining / 1e3 / (double)last, (double)d->keeping / 1e3 / (double)last,
                         (bench_process_cpu() - began) * 1e6 / (double)last};
}

static void add_cpu(struct bench *b, const char *what, double value, double plain)
{
    bench_add(b,
              (struct bench_row){
                  .value = value, .unit = "us CPU/event", .reference = "2 M in memory", .reference_value = plain},
              "join/decided/10M/%s", what);
}

static void add_memory(struct bench *b, size_t bytes)
{
    const double each = (double)bytes / DECIDED_KEYS, keys = 86400.0 * 10000;
    bench_add(b, (struct bench_row){.value = each, .unit = "B/decided key"}, "join/decided/10M/held");
    bench_add(b, (struct bench_row){.value = each * keys / 1e9, .unit = "GB", .aim = 1.5},
              "join/decided/24h at 10k/s/held");
}

/* More than a day, so that the oldest ones expire; the memory counts where it is largest. */
void bench_decided(struct bench *b)
{
    char folder[DISK_FOLDER_SIZE];
    const uint64_t last = DECIDED_KEYS / 4 / ROUND * ROUND, keys = DECIDED_KEYS / ROUND * ROUND + last;
    struct shop *d = mem_new(1, sizeof *d);
    bench_say("join: 10 M decided keys in sorted runs");
    disk_folder_make(folder);
    shop_open(d, folder, false);
    struct cost plain = measure(d, 512 * ROUND, 256 * ROUND);
    shop_close(d);
    disk_folder_remove(folder);
    disk_folder_make(folder);
    shop_open(d, folder, true);
    struct cost cost = measure(d, keys, last);
    add_memory(b, d->most);
    add_cpu(b, "cpu", cost.joining, plain.joining);
    add_cpu(b, "commit", cost.keeping, plain.keeping);
    add_cpu(b, "all with storage", cost.whole, plain.whole);
    bench_add(b, (struct bench_row){.value = correct(d, keys) / 1e3, .unit = "us CPU"}, "join/decided/10M/correction");
    bench_add(b, (struct bench_row){.value = correct(d, keys) / 1e3, .unit = "us CPU"}, "join/decided/10M/next");
    shop_close(d);
    disk_folder_remove(folder);
    free(d);
}
