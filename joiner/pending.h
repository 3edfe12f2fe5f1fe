/* joiner/pending.h - the keys that wait for their decision: what is there of each, found by key.
 *
 * An entry stands for a key; it has an impression or it does not yet. Its records other than the impression are notes
 * in a list (an action's marks, the place of a features record).
 * Memory   64 bytes a key + 11-21 of index + 56 a note; pools that grow and are reused, never shrink. Entry and note
 *          pointers live until the next add.
 * Threads  one owner. */
#ifndef TIDEMILL_JOINER_PENDING_H
#define TIDEMILL_JOINER_PENDING_H

#include "joiner/key_index.h"
#include "joiner/sample.h"

#define PENDING_NONE UINT32_MAX
enum { PENDING_INDEX_BYTES = 14 }; /* of a key, on average: a slot of 8 bytes, 3/8 to 3/4 of them in use */

struct pending_key {
    struct hash128 key;
    struct hash128 doc;
    int64_t time;      /* of the impression */
    uint64_t position; /* of the impression */
    uint32_t chunk;    /* commit number, low half; 0: there is no impression yet */
    uint32_t offset;
    uint32_t version;
    uint32_t notes; /* list, newest first */
};
static_assert(sizeof(struct pending_key) == 64, "one cache line");

struct pending_note {
    uint64_t event;
    int64_t time;
    uint64_t position; /* 0: free */
    double value;      /* actions */
    uint32_t next;
    uint32_t owner; /* entry */
    uint32_t chunk, offset;
    uint32_t version;
    uint8_t stream;
    bool withdraw; /* actions: takes back the one with the same event */
};
static_assert(sizeof(struct pending_note) == 56, "a note is 56 bytes");

struct pending {
    struct pending_key *keys;
    uint32_t key_count, key_capacity, key_free;
    struct pending_note *notes;
    uint32_t note_count, note_capacity, note_free;
    struct key_index index;
};

void pending_open(struct pending *p);
void pending_close(struct pending *p);

uint32_t pending_find(const struct pending *p, struct hash128 key); /* PENDING_NONE */
uint32_t pending_add(struct pending *p, struct hash128 key);
void pending_remove(struct pending *p, uint32_t number); /* its notes must be gone */

uint32_t pending_add_note(struct pending *p, uint32_t owner);
/* Take one note out of its owner's list and free it. */
void pending_remove_note(struct pending *p, uint32_t note);

size_t pending_memory(const struct pending *p);
size_t pending_touched(
    const struct pending *p); /* without the room that was never used: the system gave no pages yet */

#endif
