/* ps/engine/dead_letters.h - what was set aside and is kept, read from where it lies: letters of the shards in the
 * state (ps/state/dead_letters.h), as of each shard's last commit, letters of the door in the log's database
 * (ps/storage/rejects.h).
 *
 * Order    newest first, by the place in the log; of a place the door's letters come first.
 * Cost     a list reads every letter that stream and reason do not rule out: at worst 18 KB for each shard, stream and
 *          reason, and 4.5 MB of the door. It holds `limit` rows at a time.
 * Threads  any. Blocks: disk. */
#ifndef TIDEMILL_PS_ENGINE_DEAD_LETTERS_H
#define TIDEMILL_PS_ENGINE_DEAD_LETTERS_H

#include "ps/engine/engine.h"
#include "ps/state/rejected.h"

/* One letter; views live during the call that shows it. */
struct engine_dead_letter {
    enum joiner_reason reason; /* REASON_REJECTED: the door's, and `rejected` holds */
    const char *stream;        /* NULL: not known */
    uint32_t shard;            /* unless it is the door's */
    uint64_t position;         /* of the record; the door's: what was accepted of the batch lies before it */
    int64_t time;              /* event time; 0: it could not be read */
    uint32_t size;             /* of the whole event; 0: not known */
    struct bytes event;        /* its first bytes */
    struct rejected rejected;
};

/* A letter's place in the order. */
struct dead_letter_place {
    uint64_t position, tie;
};
struct dead_letter_place engine_dead_letter_place(const struct engine_dead_letter *l);

struct dead_letter_query {
    int stream;                      /* -1: any */
    enum joiner_reason reason;       /* REASON_NONE: any */
    int64_t since, until;            /* event time, both included; the door's without one: when it was refused */
    uint32_t limit;                  /* from 1 */
    struct dead_letter_place before; /* older than this alone; both UINT64_MAX: all */
};

/* *more: there are older ones behind the last that was shown. */
typedef void engine_visit_letter(void *context, const struct engine_dead_letter *letter);
enum tm_code engine_dead_letters(struct engine *e, const struct dead_letter_query *q, engine_visit_letter *visit,
                                 void *context, bool *more, struct tm_error *err);

/* One letter, with its whole event where the log still has it. TM_NOT_FOUND: none is kept under this name. */
enum tm_code engine_dead_letter(struct engine *e, uint32_t shard, uint64_t position, engine_visit_letter *visit,
                                void *context, struct tm_error *err);
enum tm_code engine_rejected_letter(struct engine *e, uint64_t number, engine_visit_letter *visit, void *context,
                                    struct tm_error *err);

/* How many there were since the data directory was made, and how many of them are kept. */
struct dead_letter_counts {
    struct {
        uint64_t seen, kept;
    } of[SEQUENCER_STREAMS_MAX + 1][REASON_COUNT]; /* by stream; the last: stream not known */
};
enum tm_code engine_dead_letter_counts(struct engine *e, struct dead_letter_counts *out, struct tm_error *err);

#endif
