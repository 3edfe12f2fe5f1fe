/* joiner/due.h - what becomes due when time passes: a time bucket is the timer.
 *
 * Items lie unsorted in buckets of DUE_BUCKET_MS; only the bucket that time is passing through is sorted, once, into
 * the front. So an item costs 16 bytes, an append and its share of one sort, whatever the number of live items.
 * Order    due_next gives items by (time, position), for all that are due before one limit.
 * Memory   owns its arrays; empty buckets give theirs back to a small pool. Threads: one owner. */
#ifndef TIDEMILL_JOINER_DUE_H
#define TIDEMILL_JOINER_DUE_H

#include "base/bytes.h"

enum { DUE_BUCKET_MS = 1024 };

struct due_item {
    int64_t time;
    uint64_t position;
    uint32_t number; /* the caller's */
};

struct due_mark { /* an item in a bucket */
    uint64_t position;
    uint32_t number;
    uint32_t offset; /* ms behind the bucket's start */
};

struct due_bucket {
    int64_t start;
    int64_t earliest;
    struct due_mark *marks;
    uint32_t count, capacity;
};

struct due {
    struct due_bucket *buckets; /* sorted by start; live ones from first_bucket on */
    size_t bucket_count, bucket_capacity, first_bucket;
    struct due_item *front; /* sorted; live ones from front_next on; all with time < front_end */
    size_t front_count, front_capacity, front_next;
    int64_t front_end;
    struct due_item *scratch; /* for merging */
    size_t scratch_capacity;
    struct due_bucket spare[8]; /* arrays to use again */
    uint32_t spares;
    uint64_t items;
};

void due_open(struct due *d);
void due_close(struct due *d);
void due_insert(struct due *d, int64_t time, uint64_t position, uint32_t number);

/* Take the earliest item with time < limit. False: none. */
bool due_next(struct due *d, int64_t limit, struct due_item *out);

/* Copy the earliest items with time < limit, `most` of them at most, without taking them; fewer may come where time
 * enters a new bucket, but none only when there is none. Returns how many. */
uint32_t due_ahead(struct due *d, int64_t limit, struct due_item *out, uint32_t most);

/* Drop the items that are of no use any more. Costs a look at each. */
void due_drop(struct due *d, bool (*is_stale)(void *context, const struct due_item *item), void *context);

/* Time of the earliest item; INT64_MAX: none. */
int64_t due_earliest(const struct due *d);
size_t due_memory(const struct due *d);

#endif
