/* joiner/decided.h - the keys whose sample is made and that are still open for corrections and duplicates.
 *
 * Kept in memory in the order of decision; what changed since the last commit is written as one run. This interface
 * (find, put, change, expire, write, load) is all the joiner knows about it.
 * Memory   72 bytes a key + 11-21 of index + 16 per counted action. Pointers found live until the next put or expire.
 * Threads  one owner. */
#ifndef TIDEMILL_JOINER_DECIDED_H
#define TIDEMILL_JOINER_DECIDED_H

#include "base/error.h"
#include "joiner/joiner.h"
#include "joiner/key_index.h"

struct decided_key {
    struct hash128 key;
    int64_t time;      /* of the impression */
    uint64_t sequence; /* of its sample */
    uint64_t settled;  /* records up to this position belong to what was decided; later ones with this key do not */
    uint64_t chunk;    /* place of the features */
    uint32_t offset;
    uint32_t version;
    float weight;
    uint16_t labels;
    uint16_t changed; /* on the list of the next run */
    uint32_t actions; /* list of counted actions, or DECIDED_NONE */
    uint32_t unused;
};
static_assert(sizeof(struct decided_key) == 72, "a decided key is 72 bytes");

#define DECIDED_NONE UINT32_MAX

struct decided_action {
    uint64_t event;
    uint32_t next;
    uint32_t stream;
};

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
void decided_add_action(struct decided *d, struct decided_key *k, uint8_t stream, uint64_t event);
bool decided_has_action(const struct decided *d, const struct decided_key *k, uint8_t stream, uint64_t event,
                        uint32_t *of_stream);
/* It must go into the next run. */
void decided_changed(struct decided *d, struct decided_key *k);

/* Drop the oldest ones below expiry. What is behind a younger one, or was not written yet, waits without harm: a
 * restart must learn from a run that the records of such a key are past. */
void decided_expire(struct decided *d, int64_t expiry);

/* Append what changed since the last call; returns the largest impression time in it (INT64_MIN: nothing). */
int64_t decided_write(struct decided *d, struct buffer *run);
/* Fold a run in; *newest as decided_write returned it. */
enum tm_code decided_load(struct decided *d, struct bytes run, int64_t *newest, struct tm_error *err);

uint64_t decided_count(const struct decided *d);
size_t decided_memory(const struct decided *d);

#endif
