/* joiner/run_merge.h - neighbouring runs become one, a slice at a time.
 *
 * Of entries with one key the one of the youngest run stays; expired ones are dropped. A merge changes no answer, so
 * how far it is does not matter to anybody but the disk.
 * Memory   a block of each input, the filter and the unwritten blocks of the output. Threads: one owner. */
#ifndef TIDEMILL_JOINER_RUN_MERGE_H
#define TIDEMILL_JOINER_RUN_MERGE_H

#include "joiner/run.h"

enum { RUN_FAN_IN_MAX = 8 };

struct run_cursor {
    struct buffer bytes;
    struct reader reader;   /* of the entries that are left of the block */
    struct run_entry entry; /* the one in front */
    uint32_t block;         /* the next one to read */
    bool ended;
};

struct run_merge {
    struct run_builder out;
    struct run_cursor cursor[RUN_FAN_IN_MAX];
    uint32_t inputs; /* 0: nothing is merged */
};

struct run_merging {
    const struct run *input; /* oldest first; the same runs as in every slice before */
    const struct run_store *store;
    int64_t expiry;
};

/* Begin. inputs: 2 to RUN_FAN_IN_MAX. */
enum tm_code run_merge_begin(struct run_merge *m, const struct run_merging *w, uint32_t inputs, struct tm_error *err);
/* Take up to `entries` of the inputs; *done: the output is whole, in m->out.run, and the caller's. */
enum tm_code run_merge_step(struct run_merge *m, const struct run_merging *w, uint64_t entries, bool *done,
                            struct tm_error *err);
void run_merge_close(struct run_merge *m);

#endif
