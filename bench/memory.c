/* What a document of a Beta version takes in memory, all in: blocks, index slots, slack of both, the allocator's own.
 *
 * Tables   SHARDS of them, as a server with default settings has for one version; documents spread by hash. Tables
 *          grow in steps, so the cost of a document depends on how many there are: measured at sizes of one doubling.
 * Heap     what malloc has handed out, the difference to before; RSS: what the system sees, likewise (pages of a
 *          segment that no block lies in yet are not in it).
 * Floor    the block alone: 8 bytes of hash and the model's state.
 * What an undecided key takes is measured by bench_join, which fills a joiner. */
#include <malloc.h>
#include <stdlib.h>

#include "base/rcu.h"
#include "bench/bench.h"
#include "bench/events.h"
#include "learner/model.h"
#include "ps/state/table.h"

enum { SHARDS = 64, SIZES = 8 };

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void fill(struct table **tables, uint32_t from, uint32_t docs, const void *initial)
{
    for (uint32_t i = from; i < docs; i++) {
        struct hash128 h = {events_mix(i), events_mix(events_mix(i) ^ i)};
        bool fresh;
        table_upsert(tables[h.hi % SHARDS], (struct doc_id){h.lo, (uint32_t)(h.hi >> 32)}, initial, &fresh);
        CHECK(fresh);
    }
}

static void add_row(struct bench *b, const char *what, const char *seen, double value, double floor)
{
    bench_add(b,
              (struct bench_row){
                  .value = value, .unit = "B/doc", .reference = "hash and state", .reference_value = floor, .aim = 64},
              "memory/doc/%s/%s", seen, what);
}

int main(int argc, char **argv)
{
    static const struct model_config config = {.prior = {1, 20}, .prior_count = 2, .decay_per_ms = 1e-9};
    const struct model *beta = model_find(bytes_text("beta"));
    struct bench *b = mem_new(1, sizeof *b);
    struct table *tables[SHARDS];
    double held[SIZES], rss[SIZES];
    uint32_t docs = 0;
    bench_open(b, argc, argv);
    size_t block = beta->block_size(&config), heap_before = heap(), rss_before = bench_rss();
    void *initial = mem_new(1, block);
    beta->init(&config, initial);
    for (int i = 0; i < SHARDS; i++)
        tables[i] = table_open(block);
    for (int i = 0; i < SIZES; i++) { /* 2 M to 4 M */
        uint32_t until = (uint32_t)(2000000.0 * exp2((double)i / SIZES));
        fill(tables, docs, until, initial);
        docs = until;
        rcu_settle();
        held[i] = (double)(heap() - heap_before) / docs;
        rss[i] = (double)(bench_rss() - rss_before) / docs;
    }
    double floor = (double)(block + sizeof(uint64_t));
    add_row(b, "median", "held", bench_quantile(held, SIZES, 0.5), floor);
    add_row(b, "most", "held", bench_quantile(held, SIZES, 1), floor);
    add_row(b, "median", "rss", bench_quantile(rss, SIZES, 0.5), floor);
    add_row(b, "most", "rss", bench_quantile(rss, SIZES, 1), floor);
    for (int i = 0; i < SHARDS; i++)
        table_close(tables[i]);
    free(initial);
    int status = bench_finish(b);
    free(b);
    return status;
}
