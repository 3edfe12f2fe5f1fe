/* ps/state/shard.h - a slice of the documents with all that belongs to it: step(state, block) -> state'. Pure.
 *
 *   event ──► joiner ──► sample ──► sample log ──► every version that listens ──► its table
 *
 * A shard has no clock, thread or I/O: what can change a result is in the blocks. So recovery is replay, and the same
 * input gives the same bytes whatever the threads, commits and crashes (promises E1, E2).
 * Commit   shard_commit() freezes everything that changed since the last one, with the position it stands for, into one
 *          atomic store_batch. shard_load() is its inverse.
 * Threads  one writer; tables may be read by anybody inside rcu_enter/rcu_leave. */
#ifndef TIDEMILL_PS_STATE_SHARD_H
#define TIDEMILL_PS_STATE_SHARD_H

#include "learner/cursor.h"
#include "ps/state/block.h"
#include "ps/state/catalog.h"
#include "ps/state/store.h"
#include "ps/state/table.h"

struct shard;

struct shard_options {
    uint32_t id;
    uint64_t hash_seed;
    /* A record was set aside (may be NULL). Runs inside the step. */
    void (*aside)(void *context, uint32_t shard, uint8_t stream, uint64_t position, enum joiner_reason reason,
                  struct bytes body);
    void *context;
};

struct shard *shard_open(const struct shard_options *options);
void shard_close(struct shard *s); /* no reader may be left; NULL is fine */

/* Fill an empty shard from its last commit. Nothing stored: it stays empty, at position 0. TM_DATA_LOSS says what is
 * damaged. */
enum tm_code shard_load(struct shard *s, const struct store *store, struct tm_error *err);

/* Apply what the block has for this shard: its control records, its events (slot: the shard's place in the block's
 * directory, SHARD_NOT_NAMED when it has none), then the watermarks as they are behind the block. `before` are the
 * watermarks in front of it. Both have one value per stream. TM_DATA_LOSS: a control record this program does
 * not know. */
#define SHARD_NOT_NAMED UINT32_MAX
enum tm_code shard_step(struct shard *s, const struct block *b, uint32_t slot, const int64_t *before,
                        const int64_t *after, struct tm_error *err);

/* Would shard_step decide something at this gate although the block does not name it? */
bool shard_due(const struct shard *s, int64_t gate);

/* Freeze: everything before `position` is applied. watermarks: as of there. Appends to *out. */
void shard_commit(struct shard *s, uint64_t position, const int64_t *watermarks, struct store_batch *out);

/* Everything below is as of the last commit or load... */
uint64_t shard_position(const struct shard *s);
const int64_t *shard_watermarks(const struct shard *s);
/* ...and this, as of now. */
const struct catalog *shard_catalog(const struct shard *s);
bool shard_changed(const struct shard *s);    /* since the last commit */
size_t shard_unfrozen(const struct shard *s); /* bytes that the next commit will carry, about */

/* One copy of the counters, for status and metrics; to be taken when committing. */
struct shard_version_counts {
    uint32_t id;
    struct sample_counts fresh, corrections;
    uint64_t documents;
};
struct shard_counts {
    uint64_t position, samples, undecided, decided;
    int64_t gate; /* event time decided; WATERMARK_NONE */
    struct stream_counts streams[JOINER_STREAMS_MAX];
    uint32_t versions;
    struct shard_version_counts *version; /* owned by the copy */
};
void shard_count(const struct shard *s, struct shard_counts *out); /* out: zeroed or an earlier copy */
void shard_counts_close(struct shard_counts *c);

/* The table of a version, for readers: inside rcu_enter/rcu_leave, any thread. NULL: the version is not here (yet). */
const struct table *shard_table(const struct shard *s, uint32_t version);

/* How documents and keys are hashed, for readers and tests. */
struct doc_id shard_doc_id(struct bytes doc, uint64_t hash_seed);

/* Rows of STORE_PARAM and STORE_DOC, for exports: shard u16, (version u32,) document low u64, high u32,
 * all big-endian. */
enum { SHARD_PARAM_KEY = 18, SHARD_DOC_KEY = 14 };
void shard_param_key(uint8_t key[static SHARD_PARAM_KEY], uint32_t shard, uint32_t version, struct doc_id id);
void shard_doc_key(uint8_t key[static SHARD_DOC_KEY], uint32_t shard, struct doc_id id);

#endif
