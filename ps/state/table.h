/* ps/state/table.h - the parameters of one version in one shard: document hash -> block.
 *
 * Writer   one thread (the shard's). Readers: any number, never waiting for it and never making it wait.
 * Layout   index slots of 8 bytes (32 hash bits + block number) over blocks of 16 + block_size bytes. A block holds the
 *          other 64 hash bits: an identity of 96 bits. Blocks never move; the index is replaced as a whole when it
 *          grows, or is full of slots that are gone. A document that is removed leaves its block to the next new one.
 * Reading  a block is copied word by word under its sequence lock, with whose it is, so a reader sees all of an update
 *          or nothing (promise R1), and never another document's. Pointers that a reader got live until its
 *          rcu_leave() (base/rcu.h).
 * Era      a word of the owner's about all blocks: what they are of. While they become something else it is
 *          TABLE_NO_ERA; who finds the same era in front of reading a block and behind it has read one of that era.
 * Memory   owned; of 16 + block_size bytes a document at most a sixteenth more for blocks to come, and 11.4 to 12.9
 *          for the index: 60 to 64 bytes for Beta's 32, and 3.7 KiB for the table itself. While an index grows the one
 *          before it stays until no reader can be in it.
 * Bound    2^30 documents. */
#ifndef TIDEMILL_PS_STATE_TABLE_H
#define TIDEMILL_PS_STATE_TABLE_H

#include "base/hash.h"

/* Which document: 96 bits of its 128-bit hash. */
struct doc_id {
    uint64_t low;
    uint32_t high;
};

static inline struct doc_id doc_id_of(struct hash128 h) { return (struct doc_id){h.lo, (uint32_t)h.hi}; }

static inline bool doc_id_equal(struct doc_id a, struct doc_id b) { return a.low == b.low && a.high == b.high; }

#define TABLE_NONE UINT32_MAX
#define TABLE_NOBODY ((struct doc_id){UINT64_MAX, UINT32_MAX}) /* whose a free block is */

struct table;

struct table *table_open(size_t block_size);
void table_close(struct table *t); /* no reader may be left */

/* Writer: the block of a document, made from `initial` when it is new (*fresh). */
uint32_t table_upsert(struct table *t, struct doc_id id, const void *initial, bool *fresh);
/* Writer: what the block holds now. */
const void *table_block(const struct table *t, uint32_t number);
/* Writer: replace the content for readers, at once. */
void table_write(struct table *t, uint32_t number, const void *content);

/* Any thread: whose block it is; TABLE_NOBODY: it is free. Numbers are given out from 0 on, one by one, but a new
 * document gets the lowest free block, if there is one; they never change. */
struct doc_id table_id(const struct table *t, uint32_t number);

/* Writer: forget a document. Its block, all zeros, is free for the next one. */
void table_remove(struct table *t, uint32_t number);
/* Writer, while loading: block `number`, at most table_count(), is this document's, or free (TABLE_NOBODY, zeros). */
void table_place(struct table *t, uint32_t number, struct doc_id id, const void *content);

/* Writer: remember that a block changed since the last commit; false when it was remembered already. */
bool table_mark_dirty(struct table *t, uint32_t number);
/* Writer: call for every dirty block, in the order of their numbers, then none is. */
typedef void table_visit(void *context, uint32_t number);
void table_take_dirty(struct table *t, table_visit *visit, void *context);

/* The writer; 0 at first. Any thread. */
#define TABLE_NO_ERA UINT64_MAX
void table_set_era(struct table *t, uint64_t era);
uint64_t table_era(const struct table *t);

uint32_t table_count(const struct table *t); /* blocks: documents and free ones; any thread */
uint32_t table_free(const struct table *t);  /* of them; any thread */
size_t table_bytes(const struct table *t);   /* of memory, used or not yet; the writer */

/* Readers. Many documents go in passes, so that the misses of a pass overlap: ask for the index slots; guess each
 * document's block by the bits in its slot, and ask for it (TABLE_NONE: it is not there); confirm the guess by the
 * block, and look further if it was wrong (TABLE_NONE likewise); read. table_find does all but the last, for one
 * document. */
void table_prefetch(const struct table *t, struct doc_id id);
uint32_t table_guess(const struct table *t, struct doc_id id);
uint32_t table_confirm(const struct table *t, struct doc_id id, uint32_t guess);
uint32_t table_find(const struct table *t, struct doc_id id); /* TABLE_NONE */
/* False: the block is another document's by now, or free; *out is undefined. */
bool table_read(const struct table *t, uint32_t number, struct doc_id id, void *out);

#endif
