/* tests/simulation/history.h - the durable log, and what the oracle says about every point of it.
 *
 * Blocks are kept as bytes and parsed once. After each the oracle's counters are copied, so that a shard that
 * replays an old stretch can be judged at the place where it stands.
 * Errors   mismatch() is how every check of the simulation fails: it prints and ends the process with MISMATCH_EXIT. */
#ifndef TIDEMILL_TESTS_SIMULATION_HISTORY_H
#define TIDEMILL_TESTS_SIMULATION_HISTORY_H

#include "ps/state/dead_letters.h"
#include "ps/state/shard.h"
#include "ps/storage/lookup_cache.h"
#include "tests/simulation/memory_store.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/world.h"

#define SIMULATION_HASH_SEED UINT64_C(0x5eed)
enum { MISMATCH_EXIT = 3 };

_Noreturn void mismatch(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is true behind one block. */
struct shard_mark {
    uint32_t samples;
    struct stream_counts streams[WORLD_STREAMS_MAX];
    struct delays delays[WORLD_STREAMS_MAX];
    struct sample_counts fresh[WORLD_VERSIONS_MAX], corrections[WORLD_VERSIONS_MAX];
    struct judge_counts not_judged[WORLD_VERSIONS_MAX];
    struct batch_counts batches[WORLD_VERSIONS_MAX];
    uint32_t open_batches[WORLD_VERSIONS_MAX];
};

struct mark {
    struct buffer bytes;
    struct block block;
    int64_t watermark[JOINER_STREAMS_MAX];
    uint32_t versions;
    struct shard_mark *shard;
};

struct history {
    const struct world *world;
    struct oracle *oracle;
    struct mark **mark; /* one per block */
    uint32_t blocks;
    struct memory_table rows, live; /* of tables: all there ever were, and without those that were swept away */
    struct lookup_cache *cache;     /* of the mill that lives with the log; NULL: none yet */
};

void history_open(struct history *h, const struct world *w);
void history_close(struct history *h);
void history_add(struct history *h, struct buffer *block); /* takes the bytes over */
uint64_t history_end(const struct history *h);

/* The block that begins at a position; blocks when it is the end. mismatch() when no block begins there. */
uint32_t history_at(const struct history *h, uint64_t position);

/* Watermarks in front of block i. */
const int64_t *history_watermarks(const struct history *h, uint32_t i);

/* Judge a shard that stands exactly at a position; one sample; the tables of a shard that has applied all. */
void history_check_counts(const struct history *h, uint32_t shard, uint64_t position,
                          const struct shard_counts *counts);
void history_check_sample(const struct history *h, uint32_t shard, const struct sample *s);
void history_check_tables(const struct history *h, uint32_t shard, const struct shard *s);
void history_check_validation(const struct history *h, uint32_t shard, struct shard *s);
void history_check_aside(const struct history *h, uint32_t shard, uint8_t stream, uint64_t position,
                         enum joiner_reason reason, struct bytes body, struct bytes shared);
/* Judge a letter of a shard that has applied all; how many of a kind there were, and are kept. */
void history_check_letter(const struct history *h, uint32_t shard, const struct dead_letter *l);
void history_check_letters(const struct history *h, uint32_t shard, int stream, int reason, uint64_t seen,
                           uint64_t kept);

#endif
