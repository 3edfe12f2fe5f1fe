/* joiner/run.h - one sorted run of decided keys: blocks in a store, a filter in memory. It is what STORE_DECIDED holds;
 * STORE_RUN holds what each commit changed about the keys in memory (joiner/decided.h).
 *
 * Blocks   entries (joiner/decided.h) in the order of their key's hash (hi, then lo). Block b holds the keys whose
 *          highest `shift` bits of hi are b, so that no index of blocks is needed: of a good hash they come out even.
 *          A block is {checksum u64, entries}; its row is there even when it is empty, so a lost one is noticed.
 * Rows     keys are {kind u8, run u64, part u32}, big-endian: RUN_MANIFEST has one row for all runs, RUN_FILTER the
 *          filter of a run in parts of RUN_FILTER_PART bytes, RUN_BLOCK its blocks. Only blocks are read after the
 *          start.
 * Store    a row that was put can be read when its commit was written; until then the block is in memory.
 * Memory   a filter, and the blocks that are not written. Threads: one owner. Errors: TM_DATA_LOSS names the block. */
#ifndef TIDEMILL_JOINER_RUN_H
#define TIDEMILL_JOINER_RUN_H

#include "base/error.h"
#include "joiner/key_filter.h"

enum { RUN_KEY = 13, RUN_FILTER_PART = 256 << 10, RUN_BLOCK_HEAD = 8 };
enum run_row { RUN_MANIFEST, RUN_FILTER, RUN_BLOCK };

/* Where rows go and come from. Of get, TM_NOT_FOUND says that there is no such row. */
struct run_store {
    void *self;
    enum tm_code (*get)(void *self, struct bytes key, struct buffer *out, struct tm_error *err);
    void (*put)(void *self, struct bytes key, struct bytes value); /* into the commit that is frozen now */
    void (*remove)(void *self, struct bytes key);
};

struct run {
    uint64_t id;
    uint64_t keys;
    int64_t oldest, newest; /* impression times */
    uint32_t shift;         /* 2^shift blocks */
    uint32_t level;         /* merges it went through */
    struct key_filter filter;
    uint32_t written;         /* blocks below this one can be read from the store */
    struct buffer *unwritten; /* those from there on that were made */
    uint32_t unwritten_count, unwritten_capacity;
    size_t filter_loaded; /* bytes, while loading */
};

void run_key(uint8_t key[static RUN_KEY], enum run_row row, uint64_t run, uint32_t part);

static inline uint32_t run_blocks(const struct run *r) { return UINT32_C(1) << r->shift; }
static inline uint32_t run_block_of(const struct run *r, struct hash128 key)
{
    return r->shift ? (uint32_t)(key.hi >> (64 - r->shift)) : 0;
}
void run_close(struct run *r);
void run_written(struct run *r, uint32_t blocks); /* the blocks below can be read from the store */
bool run_in_memory(const struct run *r, uint32_t block);
size_t run_memory(const struct run *r);

/* The entries of a block, checked. Views memory, or *buffer, which is filled then. */
enum tm_code run_read(const struct run *r, uint32_t block, const struct run_store *store, struct buffer *buffer,
                      struct bytes *entries, struct tm_error *err);

/* An entry's marks: what runs know of it. */
struct run_entry {
    struct hash128 key;
    int64_t time;
    struct bytes bytes; /* all of it */
};
/* The next entry of a block; false at the end or when it makes no sense (r->bad). */
bool run_entry_next(struct reader *r, struct run_entry *out);

/* Entries have one order. */
static inline bool run_key_less(struct hash128 a, struct hash128 b) { return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo; }

/* A run being made: entries come in order, blocks go out as they are full. */
struct run_builder {
    struct run run;
    struct buffer block; /* of the block `at` */
    uint32_t at;
};
/* A run of at most `keys`; block_keys: of a block, at most, on average. */
void run_build(struct run_builder *b, uint64_t id, uint64_t keys, uint32_t block_keys, uint32_t filter_bits);
void run_add(struct run_builder *b, const struct run_store *store, const struct run_entry *entry);
void run_finish(struct run_builder *b, const struct run_store *store); /* b->run is whole now */

#endif
