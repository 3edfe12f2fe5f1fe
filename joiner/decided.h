/* joiner/decided.h - the keys whose sample is made and that are still open for corrections and duplicates.
 *
 * Kept in memory in the order of decision; what changed since the last commit is written as one run. When there are too
 * many, all of them leave memory for a sorted run (joiner/runs.h); one that an action or features come for is put back,
 * and leaves again with the next.
 * Entry    as it is stored: {key 16, time i64, sequence u64, settled u64, row u64, offset u32, version u32, weight f32,
 *          rate f32, standing u8, labels u8, features u16, count u16} and `count` actions {event u64, time i64,
 *          value f64, stream u8, came u8}.
 * Memory   72 bytes a key + 11-21 of index + 32 per action. Pointers found live until the next put or expire.
 * Threads  one owner. */
#ifndef TIDEMILL_JOINER_DECIDED_H
#define TIDEMILL_JOINER_DECIDED_H

#include "base/error.h"
#include "joiner/joiner.h"
#include "joiner/key_index.h"
#include "joiner/run.h"

/* What became of the negative, if it was one. */
enum decided_standing {
    DECIDED_WHOLE,    /* its sample counts once */
    DECIDED_THINNED,  /* a negative that was kept with a rate below 1 */
    DECIDED_LEFT_OUT, /* a negative without a sample: sequence 0 */
    DECIDED_FORGOTTEN /* not stored: a place in the ring that the index does not know */
};

struct decided_key {
    struct hash128 key;
    int64_t time;      /* of the impression */
    uint64_t sequence; /* of its sample; 0: it has none */
    uint64_t settled;  /* position at which it was decided: tells this decision from another one of the key */
    uint64_t row;      /* place of the features, as the sample has it */
    uint32_t offset;
    uint32_t version;
    float weight;
    uint8_t changed : 1;  /* on the list of the next run */
    uint8_t standing : 7; /* enum decided_standing */
    uint8_t labels;       /* that its sample has */
    uint16_t features;    /* bits of the feature streams that have come: joiner.feature_bit */
    uint32_t actions;     /* list of what came for it, by (time, position); or DECIDED_NONE */
    float rate;           /* with which a negative of its kind is kept */
};
static_assert(sizeof(struct decided_key) == 72, "a decided key is 72 bytes");

#define DECIDED_NONE UINT32_MAX
enum { DECIDED_ENTRY = 70, DECIDED_ENTRY_ACTION = 26 };
enum { DECIDED_COUNTED_MAX = JOINER_STREAMS_MAX * JOINER_ACTIONS_MAX };

/* An action, its withdrawal, or both: it counts if it came and its withdrawal did not. */
enum { DECIDED_ACTION = 1, DECIDED_WITHDRAWAL = 2, DECIDED_BOTH };

struct decided_action {
    uint64_t event;
    int64_t time; /* of what came first */
    double value;
    uint32_t next;
    uint8_t stream;
    uint8_t came; /* DECIDED_ACTION, DECIDED_WITHDRAWAL */
};
static_assert(sizeof(struct decided_action) == 32, "an action is 32 bytes");

struct decided {
    struct decided_key *ring;
    uint32_t capacity;      /* power of two, or 0 */
    uint64_t first, next;   /* live keys are first .. next - 1, in order of decision */
    struct key_index index; /* numbers modulo 2^31 */
    struct decided_action *actions;
    uint32_t action_count, action_capacity, action_free;
    uint64_t *changed; /* numbers to write in the next run */
    size_t changed_count, changed_capacity;
};

void decided_open(struct decided *d);
void decided_close(struct decided *d);

/* NULL: not there (a key whose time is below expiry counts as not there). */
struct decided_key *decided_find(struct decided *d, struct hash128 key, int64_t expiry);

/* A new one; takes the place of an expired one with the same key. The caller fills the rest in (key is set, no
 * actions). */
struct decided_key *decided_put(struct decided *d, struct hash128 key);

/* What has come with this event id; NULL: nothing. of_kind: how many actions of the stream (or withdrawals, as `came`
 * says) there are. */
struct decided_action *decided_find_action(const struct decided *d, const struct decided_key *k, uint8_t stream,
                                           uint64_t event, uint8_t came, uint32_t *of_kind);
/* An action or a withdrawal has come; it is the newest in position. */
void decided_add_action(struct decided *d, struct decided_key *k, const struct decided_action *action);
/* The actions that count, in the order of (time, position), without their positions. Returns how many. */
uint32_t decided_counted(const struct decided *d, const struct decided_key *k, const struct joiner_config *config,
                         struct label_action out[static DECIDED_COUNTED_MAX]);
/* It must go into the next run. */
void decided_changed(struct decided *d, struct decided_key *k);

/* Drop the oldest ones below expiry. What is behind a younger one, or was not written yet, waits without harm. */
void decided_expire(struct decided *d, int64_t expiry);

/* Append what changed since the last call; returns the largest impression time in it (INT64_MIN: nothing). */
int64_t decided_write(struct decided *d, struct buffer *run);
/* Fold a run in; *newest as decided_write returned it. */
enum tm_code decided_load(struct decided *d, struct bytes run, int64_t *newest, struct tm_error *err);

/* All live entries, in the order of run_key_less(), as they are stored; views of *bytes. Free the array. */
struct run_entry *decided_sorted(const struct decided *d, int64_t expiry, struct buffer *bytes, size_t *count);
/* Forget everything: it is in a run, or expired. */
void decided_clear(struct decided *d);
/* An entry out of a run comes back; it counts as unchanged. NULL: it makes no sense. */
struct decided_key *decided_restore(struct decided *d, struct bytes entry);

static inline uint16_t decided_entry_actions(const uint8_t entry[static DECIDED_ENTRY])
{
    uint16_t count;
    memcpy(&count, entry + DECIDED_ENTRY - sizeof count, sizeof count);
    return count;
}

uint64_t decided_count(const struct decided *d);
size_t decided_memory(const struct decided *d);

#endif
