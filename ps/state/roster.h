/* ps/state/roster.h - who is there, and how far time has come: the producers that count, the minimum of each stream.
 *
 * While nobody comes or goes, watermarks of producers only rise, so their minimum may be looked up as seldom as we
 * like: once a block. Before anybody comes or goes it is settled, so that the result is that of looking after every
 * submission.
 *
 * Rules    a stream's watermark is the minimum over the live producers that declared it, or sent it undeclared. When
 *          the last of them goes, it stays: the last one is never outrun. But when the last one goes by an end mark,
 *          the watermark rises to the highest of all who declared the stream: who ended earlier sees his windows close,
 *          too.
 * Threads  pure; one owner. Times as in sequencer.h. */
#ifndef TIDEMILL_PS_STATE_ROSTER_H
#define TIDEMILL_PS_STATE_ROSTER_H

#include "ps/state/producers.h"

struct stream_progress {
    int64_t value, sealed; /* the watermark as last settled, and as last put into a block */
    int64_t *holds;        /* by the producers' slots: the watermark of one that counts, else ROSTER_NOBODY */
};
#define ROSTER_NOBODY INT64_MAX

struct roster {
    struct sequencer_options options;
    struct producers producers;
    struct stream_progress streams[SEQUENCER_STREAMS_MAX];
    uint32_t holds_capacity;
    uint32_t moved;            /* bit set: streams whose minimum may have risen */
    int64_t due_ms;            /* no time-out happens before */
    struct producer **changed; /* rows to put */
    uint32_t n_changed, changed_capacity;
    struct buffer removed; /* keys of rows to delete: {size u32, bytes}... */
};

void roster_open(struct roster *r, const struct sequencer_options *options);
void roster_close(struct roster *r);

/* As stored; live ones count as seen now. */
enum tm_code roster_load(struct roster *r, struct bytes key, struct bytes row, int64_t now_ms, struct tm_error *err);

/* A producer that is not there yet comes, live; the lanes of its client's other instances go. NULL: no room. */
struct producer *roster_add(struct roster *r, const struct producer_key *key, uint32_t declared, int64_t now_ms);

/* It sent something: it is live and sends these streams. One that is not declared any more starts anew later. */
void roster_join(struct roster *r, struct producer *p, uint32_t declared, int64_t now_ms);
void roster_leave(struct roster *r, struct producer *p, int64_t now_ms);

/* Every lane of its instance ends. Returns newest event time + window + 1, which their watermarks jump to;
 * WATERMARK_NONE: there was no event, nothing jumps. */
int64_t roster_end(struct roster *r, struct producer *p, int64_t now_ms);

/* An event of a live producer came; after a batch, measure its streams (a bit set). */
void roster_see(struct roster *r, struct producer *p, uint32_t stream, int64_t time);
void roster_measure(struct roster *r, struct producer *p, uint32_t streams);
void roster_assert(struct roster *r, struct producer *p, uint32_t stream, int64_t time);
/* The same in every stream that a live producer has declared. No sign of life. */
void roster_advance(struct roster *r, struct producer *p, int64_t time);

/* Those who time out together leave together: were they the last of a stream, all of them stay in its minimum. */
void roster_expire(struct roster *r, int64_t now_ms);

void roster_settle(struct roster *r);

/* The least watermark among the live producers of a stream, and whose it is; ROSTER_NOBODY: there are none. */
int64_t roster_minimum(const struct roster *r, uint32_t stream, uint32_t *slot);

#endif
