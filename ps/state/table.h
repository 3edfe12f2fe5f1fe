/* ps/state/table.h - the parameters of one version in one shard: document hash -> block.
 *
 * Writer   one thread (the shard's). Readers: any number, never waiting for it and never making it wait.
 * Layout   index slots of 8 bytes (32 hash bits + block number) over blocks of 16 + block_size bytes. A block holds the
 *          other 64 hash bits: an identity of 96 bits. Blocks never move; the index is replaced as a whole when it
 *          grows.
 * Reading  a block is copied word by word under its sequence lock, so a reader sees all of an update or nothing
 *          (promise R1). Pointers that a reader got live until its rcu_leave() (base/rcu.h).
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

#define TABLE_NONE UINT32_MAX

struct table;

struct table *table_open(size_t block_size);
void table_close(struct table *t); /* no reader may be left */

/* Writer: the block of a document, made from `initial` when it is new (*fresh). */
uint32_t table_upsert(struct table *t, struct doc_id id, const void *initial, bool *fresh);
/* Writer: what the block holds now. */
const void *table_block(const struct table *t, uint32_t number);
/* Writer: replace the content for readers, at once. */
void table_write(struct table *t, uint32_t number, const void *content);

/* Writer: whose block it is. Numbers are given out from 0 on, one by one, and never change. */
struct doc_id table_id(const struct table *t, uint32_t number);

/* Writer: remember that a block changed since the last commit; false when it was remembered already. */
bool table_mark_dirty(struct table *t, uint32_t number);
/* Writer: call for every dirty block, in the order of their numbers, then none is. */
typedef void table_visit(void *context, uint32_t number);
void table_take_dirty(struct table *t, table_visit *visit, void *context);

uint32_t table_count(const struct table *t); /* documents; any thread */
size_t table_bytes(const struct table *t);   /* of memory, used or not yet; the writer */

/* Readers. Many documents go in passes, so that the misses of a pass overlap: ask for the index slots; guess each
 * document's block by the bits in its slot, and ask for it (TABLE_NONE: it is not there); confirm the guess by the
 * block, and look further if it was wrong (TABLE_NONE likewise); read. table_find does all but the last, for one
 * document. */
void table_prefetch(const struct table *t, struct doc_id id);
uint32_t table_guess(const struct table *t, struct doc_id id);
uint32_t table_confirm(const struct table *t, struct doc_id id, uint32_t guess);
uint32_t table_find(const struct table *t, struct doc_id id); /* TABLE_NONE */
void table_read(const struct table *t, uint32_t number, void *out);

#endif
