/* client/recompute.h - the samples that files of events should have made, worked out again without the server's joiner:
 * the second opinion of `samples verify --recompute`.
 *
 * Files are merged by time, as `tidemill ingest` merges them; what the rules are is in recompute_rules.h, what events
 * are left out in recompute_events.h, and what counts for what in recompute_join.h. Labels are the final ones, behind
 * all corrections.
 * Granted  all events were taken, in time and at once; a key is not used again; rules and lists of users never changed.
 * Memory   see there; all of it stays until recompute_close(). Threads: one.
 * Errors   TM_RESOURCE_EXHAUSTED: beyond memory_max; TM_NOT_FOUND, TM_IO: a file; malformed and refused records are
 *          counted, and told. */
#ifndef TIDEMILL_CLIENT_RECOMPUTE_H
#define TIDEMILL_CLIENT_RECOMPUTE_H

#include "client/progress.h"
#include "client/recompute_rules.h"
#include "client/sample_match.h"

enum { RECOMPUTE_PROBLEMS_SHOWN = 20 };

struct recompute_options {
    const struct recompute_rules *rules;
    const char *const *paths;
    size_t path_count;
    int64_t from, to; /* impressions of this time: inclusive, exclusive */
    uint64_t memory_max;
    struct progress *progress;
};

struct recompute_counts {
    uint64_t records;                                       /* well-formed */
    uint64_t malformed, refused, blocked, robots, filtered; /* not kept: records; events */
    uint64_t crowded;                                       /* may have come out otherwise: recompute_join.h */
};

struct recompute;

/* Read and join. *counts is filled as far as it went. */
enum tm_code recompute_open(const struct recompute_options *o, struct recompute **out, struct recompute_counts *counts,
                            struct tm_error *err);
void recompute_close(struct recompute *r); /* NULL is fine */
uint64_t recompute_memory(const struct recompute *r);

/* Tell every sample to the match. labels: names of its `count` labels, in its order. */
enum tm_code recompute_tell(const struct recompute *r, char *const *labels, size_t count, struct match *m,
                            struct tm_error *err);

#endif
