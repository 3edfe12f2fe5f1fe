/* tests/fuzz/joiner_commits.h - what the commits of a joiner leave behind, kept as a shard keeps it (the rows of
 * ps/state/shard_commit.c), in a store that loses the newest of what was not synced.
 *
 * A place is all that a commit says beside its rows: how far everything was. It is stored as it lies in memory.
 * Rows that a commit says nobody needs are deleted with it, so what is needed all the same is missed at a restart.
 * Errors   what cannot be read or is refused aborts with words, so that the input is kept.
 * Memory   owns the store. Threads: one. */
#ifndef TIDEMILL_TESTS_FUZZ_JOINER_COMMITS_H
#define TIDEMILL_TESTS_FUZZ_JOINER_COMMITS_H

#include "joiner/joiner.h"
#include "joiner/runs.h"
#include "tests/simulation/memory_store.h"

enum { COMMITS_STREAMS = 6 };

struct commits_place {
    struct joiner_config config;
    uint64_t position, commit, sequence;
    uint64_t keep_from, waiting_from, runs_from, attribution_from;
    int64_t watermark[COMMITS_STREAMS];
    struct stream_counts counts[COMMITS_STREAMS];
    struct delays delays[COMMITS_STREAMS];
    bool delayed[COMMITS_STREAMS];
    uint64_t told, aside; /* the story's: outputs, set-asides among them, */
    int64_t clock;        /* its time, */
    size_t read;          /* and how much of it was read */
};

struct commits {
    struct memory_store store;
    struct store face;         /* what can be read: synced, or survived */
    struct store_batch *batch; /* of the commit that is frozen now */
};

void commits_open(struct commits *c);
void commits_close(struct commits *c);

/* The joiner's sorted runs lie here. */
void commits_keep_runs(struct commits *c, struct joiner *j, const struct runs_tuning *tuning);

/* One more commit; *p has everything but what the joiner says. */
void commits_freeze(struct commits *c, struct joiner *j, struct commits_place *p);
void commits_sync(struct commits *c, struct joiner *j, const struct commits_place *p);

/* The process dies; so many of those that were not synced survive, modulo all of them. False: no commit is left. */
bool commits_crash(struct commits *c, uint32_t survivors, struct commits_place *out);

/* Into a joiner that was just opened: all that the commit at *p left. */
void commits_load(const struct commits *c, struct joiner *j, struct commits_place *p);

#endif
