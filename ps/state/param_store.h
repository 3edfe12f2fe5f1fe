/* ps/state/param_store.h - how the parameters of a shard lie on disk: a rolling base, and the deltas behind it.
 *
 *   commit ──► delta n: the blocks that changed, of all versions          ──► deltas older than every chunk are deleted
 *         └──► a few chunks of the base, as of n, written again in turn ─┘
 *
 * Why      a row per changed parameter costs ten times as much CPU as the same bytes in large values, which RocksDB
 *          copies and neither sorts nor compares.
 * Rows     of STORE_PARAM, numbers in keys big-endian, so that one scan meets the whole base before the deltas:
 *            shard u16, 0 u8, version u32, chunk u32 -> as_of u64, first u32, count u32, count x {id 12, block}
 *            shard u16, 1 u8, delta u64              -> {version u32, bytes u32, bytes of entries}...
 *          An entry is {number u32, block}; of a block that is new, {number u32 | 2^31, id 12, block}, and so is every
 *          entry of a table whose documents come and go. A free block has the id TABLE_NOBODY and no content.
 * Chunk    a fixed run of block numbers of one (shard, version) table: as many as fit into 32 KiB, at least one. It is
 *          the content of these blocks behind delta as_of, so a parameter is found by reading its chunk and the deltas
 *          behind, and nothing else.
 * Rolling  chunks stand in a queue, the one written longest ago in front. A byte of delta is a credit; PARAM_ROLL
 *          credits buy a byte of base. So the deltas stay below PARAM_ROLL x (base + 4 KiB a chunk), and what a commit
 *          writes of the base is in proportion to what it changes. A chunk that no delta has touched
 *          passes to the end without being written.
 * Loading  chunks, then deltas in order; what a delta says of a chunk that was written later is passed over.
 *          TM_DATA_LOSS: rows are missing, left over, or hold what no sample could have made.
 * Memory   the tables are borrowed. 16 bytes a chunk. Bounds: a row is at most one chunk, or DELTA_ROW_BYTES and one
 *          block: a commit that changes more writes several deltas. Threads: the table's writer. */
#ifndef TIDEMILL_PS_STATE_PARAM_STORE_H
#define TIDEMILL_PS_STATE_PARAM_STORE_H

#include "ps/state/catalog.h"
#include "ps/state/store.h"
#include "ps/state/table.h"

enum {
    PARAM_CHUNK_BYTES = 32 << 10,
    PARAM_ROLL = 3, /* bytes of deltas for each byte of base */
};

struct param_chunk {
    uint64_t as_of; /* it holds every delta up to here */
    bool touched;   /* by a delta behind as_of */
};

struct param_table {
    const struct version *version;
    struct table *table;
    size_t size;      /* of a block's content */
    bool mortal;      /* its documents come and go */
    uint32_t a_chunk; /* blocks */
    uint32_t stored;  /* blocks that are in the base or in a delta */
    struct param_chunk *chunk;
    uint32_t chunks, capacity;
};

struct param_place {
    uint32_t table, chunk;
};

struct param_store {
    uint32_t shard;
    size_t chunk_bytes;
    struct param_table *table;
    uint32_t tables;
    struct param_place *queue; /* a ring: as_of grows */
    uint32_t head, queued, capacity;
    uint64_t from, next; /* the deltas that are kept; the next one's number, from 1 on */
    uint64_t credit;
    struct buffer row;
};

/* chunk_bytes: PARAM_CHUNK_BYTES; tests make it small. A directory is always opened with the same. */
void param_store_open(struct param_store *p, uint32_t shard, size_t chunk_bytes);
void param_store_close(struct param_store *p);
void param_store_add(struct param_store *p, const struct version *version, struct table *table);

/* What is dirty in the tables becomes rows in *out. */
void param_store_commit(struct param_store *p, struct store_batch *out);

/* Where it stands is part of the shard's place. */
void param_store_encode(const struct param_store *p, struct buffer *out);
void param_store_decode(struct param_store *p, struct reader *r);

/* Fill the tables, which are empty and of all versions, as of the place that was decoded. */
enum tm_code param_store_load(struct param_store *p, const struct store *store, struct tm_error *err);
/* Fill the tables that were added, of some versions, as of the last commit that can be read. Then only close it. */
enum tm_code param_store_read(struct param_store *p, const struct store *store, struct tm_error *err);

/* ---- shared by param_store.c and param_load.c ---- */

enum { PARAM_KEY = 11, PARAM_ID_BYTES = 12, PARAM_BASE = 0, PARAM_DELTA = 1 };
#define PARAM_FRESH (UINT32_C(1) << 31)

/* Delta `number` says something of this block. */
void param_store_touch(struct param_store *p, uint32_t table, uint32_t block, uint64_t number);
void param_store_queue(struct param_store *p, struct param_place place);

#endif
