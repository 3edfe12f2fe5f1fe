/* What it costs a sample to find the row of a table: from the cache, from the disk, and without reading together.
 *
 * Rows     KEYS users with 2 versions of 128 B each, spread over event time, in a database as the log's writer leaves it.
 * Samples  come as they are decided: GROUP users at a time are fetched together, then each is found, at a time between
 *          its two versions. Hit: the cache has them all. Miss: it has a sixteenth of them, and users are drawn evenly.
 * Floor    each user alone, by a scan of its own that ends at the row that counts. */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/disk.h"
#include "bench/events.h"
#include "ps/storage/data_dir.h"
#include "ps/storage/lookup_cache.h"

enum { KEYS = 200000, BYTES = 128, GROUP = 64, ROUNDS = 5, GROUPS_A_ROUND = 2000, TIME = 1000, ENTRY_ABOUT = 512 };

static struct lookup_key key_of(uint64_t user)
{
    return (struct lookup_key){.place = LOOKUP_NODE_WIDE, .stream = 1, .hash = {events_mix(user), events_mix(~user)}};
}

static void fill(struct rocks *db)
{
    uint8_t stored[LOOKUP_ROW_SIZE], event[BYTES] = {0};
    struct rocks_batch *batch = rocks_batch_new(db);
    for (uint64_t i = 0; i < 2 * KEYS; i++) {
        struct lookup_key key = key_of(i % KEYS);
        lookup_put_row(&key, i < KEYS ? 0 : 2 * TIME, i, stored);
        rocks_batch_put(batch, LOG_LOOKUP, bytes_of(stored, sizeof stored), bytes_of(event, sizeof event));
        if (i % 1000 == 999) {
            rocks_write(db, batch);
            rocks_batch_clear(batch);
        }
    }
    rocks_batch_free(batch);
}

static enum tm_code scan(void *self, const struct store_range *ranges, size_t count, store_visit *visit,
                         struct tm_error *err)
{
    return rocks_scan_ranges(self, LOG_LOOKUP, ranges, count, visit, err);
}

static void find(struct lookup_source source, const struct lookup_key *key, struct buffer *event)
{
    struct tm_error err;
    bool found;
    event->size = 0;
    CHECK(source.find(source.self, key, TIME, UINT64_MAX, event, &found, &err) == TM_OK && found);
}

/* How a group of samples finds its rows. */
typedef void way(struct lookup_source source, const struct lookup_key *keys, struct buffer *event);

static void together(struct lookup_source source, const struct lookup_key *keys, struct buffer *event)
{
    source.fetch(source.self, keys, GROUP);
    for (int i = 0; i < GROUP; i++)
        find(source, &keys[i], event);
}

static void alone(struct lookup_source source, const struct lookup_key *keys, struct buffer *event)
{
    for (int i = 0; i < GROUP; i++)
        find(source, &keys[i], event);
}

/* CPU for a sample, ns. */
static double measure(struct rocks *db, uint64_t cache_bytes, way *how)
{
    struct lookup_cache *cache = lookup_cache_open((struct lookup_store){db, scan}, cache_bytes);
    struct lookup_source source = lookup_cache_source(cache);
    CLEANUP(buffer_close) struct buffer event = {0};
    struct lookup_key keys[GROUP];
    double round[ROUNDS];
    uint64_t drawn = 0;
    for (uint64_t i = 0; i < KEYS; i++) { /* warm */
        struct lookup_key key = key_of(i);
        find(source, &key, &event);
    }
    for (int r = 0; r < ROUNDS; r++) {
        int64_t busy = 0;
        for (int g = 0; g < GROUPS_A_ROUND; g++) {
            for (int i = 0; i < GROUP; i++)
                keys[i] = key_of(events_mix(++drawn) % KEYS);
            int64_t began = clock_thread_cpu_ns();
            how(source, keys, &event);
            busy += clock_thread_cpu_ns() - began;
        }
        round[r] = (double)busy / (GROUPS_A_ROUND * GROUP);
    }
    lookup_cache_close(cache);
    return bench_quantile(round, ROUNDS, 0.5);
}

static void add(struct bench *b, const char *name, double ns, double floor_ns)
{
    bench_add(b,
              (struct bench_row){.value = ns / 1e3,
                                 .unit = "us CPU/sample",
                                 .reference = "a scan for each",
                                 .reference_value = floor_ns / 1e3},
              "join/table/%s", name);
}

int main(int argc, char **argv)
{
    struct bench *b = mem_new(1, sizeof *b);
    char folder[DISK_FOLDER_SIZE];
    struct data_dir dir;
    struct tm_error err;
    bench_open(b, argc, argv);
    disk_folder_make(folder);
    if (data_dir_open(folder, 8, 0, NULL, &dir, &err) != TM_OK)
        stop(tm_code_exit(err.code), "%s", err.message);
    bench_say("join: rows of tables, %d keys", KEYS);
    fill(dir.log);
    double floor = measure(dir.log, 1, alone); /* room for one key */
    add(b, "hit", measure(dir.log, UINT64_C(4) * KEYS * ENTRY_ABOUT, together), floor);
    add(b, "miss", measure(dir.log, UINT64_C(1) * KEYS * ENTRY_ABOUT / 16, together), floor);
    data_dir_close(&dir);
    disk_folder_remove(folder);
    int status = bench_finish(b);
    free(b);
    return status;
}
