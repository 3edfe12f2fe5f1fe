/* tests/simulation/mill.h - the engine in miniature: threads that apply blocks to their shards, commits, and recovery.
 *
 * As the engine does it (ps/engine/workers.c): thread k of n has the shards k, k + n...; a block touches a shard
 * that it names, that is due, or when it has control records; a shard skips blocks before its own position; after a
 * start a thread stands where the shard stands that is furthest behind, with that shard's watermarks.
 * Everything that a commit writes is compared with the history on its way to the store. */
#ifndef TIDEMILL_TESTS_SIMULATION_MILL_H
#define TIDEMILL_TESTS_SIMULATION_MILL_H

#include "tests/simulation/history.h"
#include "tests/simulation/memory_store.h"

struct mill_thread {
    uint64_t position;
    int64_t watermark[JOINER_STREAMS_MAX];
};

struct mill_shard {
    struct mill *mill;
    struct shard *shard;
    uint64_t samples;       /* the newest sequence */
    uint64_t committed;     /* position of the last commit */
    int64_t decided_before; /* as of it */
    struct shard_rows rows; /* of it */
    uint64_t *aside;        /* positions set aside, ever; repeated by replays */
    uint32_t asides;
};

struct mill {
    struct history *history;
    uint32_t shards, threads;
    bool keeps; /* samples for people: it must make no difference, so some mills do and some do not */
    struct mill_thread thread[WORLD_THREADS_MAX];
    struct mill_shard shard[WORLD_SHARDS_MAX];
    struct memory_store store;
    struct memory_table *rows; /* of tables: the history's; the first mill sweeps */
    struct lookup_cache *cache;
};

void mill_open(struct mill *m, struct history *h, uint32_t threads);
void mill_close(struct mill *m);

void mill_apply(struct mill *m, uint32_t thread, uint32_t blocks); /* at most so many; fewer at the end of the log */
void mill_commit(struct mill *m, uint32_t shard); /* when there is something new, as the engine would */
void mill_sync(struct mill *m);                   /* and sweep rows of tables away that nobody needs */
void mill_crash(struct mill *m, uint32_t commits_that_survive, uint32_t threads);

/* Everything applied, committed, synced and compared; then once more after a start from what was stored. */
void mill_finish(struct mill *m);

/* Two that have finished have the same parameters, byte by byte. How they lie in the store depends on the commits. */
void mill_compare(const struct mill *a, const struct mill *b);

#endif
