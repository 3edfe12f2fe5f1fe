/* ps/state/dead_letters.h - what a shard has set aside, kept for whoever looks for the reason.
 *
 * Kept      of every (stream, reason) the newest DEAD_LETTERS_KEPT records, and the number of all there ever were. So a
 *           flood of one kind pushes out nothing of another, and what is kept depends on the sequence of records alone:
 *           a replay, other commits or other threads give the same rows.
 * Rows      of STORE_DEAD_LETTER, written with the commit of what set them aside. Integers of keys big-endian.
 *             {shard u16} -> {stream u8, reason u8, seen u64}...
 *             {shard u16, stream u8, reason u8, slot u8} -> {position u64, time i64, size u32, the first bytes};
 *           the n-th letter (from 0) of a kind lies in slot n modulo DEAD_LETTERS_KEPT.
 * Bound     18 KB a kind in the store and, at worst, in memory: DEAD_LETTERS_KEPT * (DEAD_LETTER_EVENT_MAX + 25) bytes.
 * Place     a letter's position is its record's: no other record has it, so shard and position name a letter for good.
 * Memory    owns copies. Threads: one owner; the rows may be read by anybody. */
#ifndef TIDEMILL_PS_STATE_DEAD_LETTERS_H
#define TIDEMILL_PS_STATE_DEAD_LETTERS_H

#include "joiner/joiner.h"
#include "ps/state/store.h"

enum { DEAD_LETTERS_KEPT = 64, DEAD_LETTER_EVENT_MAX = 256, DEAD_LETTER_KEY = 5 };

struct dead_letter {
    uint8_t stream;
    enum joiner_reason reason;
    uint64_t position;
    int64_t time;       /* event time; 0: it could not be read */
    uint32_t size;      /* of the whole event; 0: not known, its marks alone were there */
    struct bytes event; /* its first bytes */
};

struct dead_letters;

struct dead_letters *dead_letters_open(uint32_t shard);
void dead_letters_close(struct dead_letters *d); /* NULL is fine */

void dead_letters_add(struct dead_letters *d, const struct joiner_record *r, enum joiner_reason reason);

/* Append the rows that changed since the last commit. */
void dead_letters_commit(struct dead_letters *d, struct store_batch *out);

/* Go on from the last commit's numbers. */
enum tm_code dead_letters_load(struct dead_letters *d, const struct store *store, struct tm_error *err);

/* Reading rows. `stream` and `reason` narrow the scan down; negative: all (then reason is, too). Rows of numbers begin
 * with the same bytes, but are shorter than DEAD_LETTER_KEY. Returns the key's size. */
size_t dead_letter_prefix(uint8_t key[static DEAD_LETTER_KEY], uint32_t shard, int stream, int reason);
/* TM_DATA_LOSS: no letter of ours. Views into the row. */
enum tm_code dead_letter_decode(struct bytes key, struct bytes row, struct dead_letter *out, struct tm_error *err);

/* One number of a shard's row of numbers: false at its end, or with r->bad where it makes no sense. */
struct dead_letter_count {
    uint8_t stream;
    enum joiner_reason reason;
    uint64_t seen;
};
bool dead_letter_count_next(struct reader *r, struct dead_letter_count *out);

static inline uint64_t dead_letters_kept(uint64_t seen) { return seen < DEAD_LETTERS_KEPT ? seen : DEAD_LETTERS_KEPT; }

#endif
