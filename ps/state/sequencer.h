/* ps/state/sequencer.h - who sent what, in which order, and how far time has come: the pure half of the input log.
 *
 * The log writer hands in submissions one after the other; the sequencer decides what is taken (only last + 1 of a
 * producer), puts it into the block under construction and measures watermarks per (producer, stream). Sealing a block
 * appends the stream watermarks that moved, as punctuations. Rows of the producers that changed go into the same atomic
 * write, so after a crash the table and the log agree.
 *
 * Producer (client, instance, lane). A new instance replaces its client's old one. Live: opened, and since then neither
 *          ended, left, replaced nor timed out; whatever it sends makes it live again. A stream's watermark is the
 *          minimum over the live producers that declared it (sending it counts as declaring); the last one that
 *          declared a stream stays in the minimum even when it left or vanished. A stream nobody declared holds. It
 *          never goes back. More in ps/state/roster.h.
 * Server   events of the server's own are stamped here: ps/state/server_lane.h.
 * Robots   every event that is taken counts for its user, once, the server's own like any other; what is too much is
 *          marked in the block, for the shards to set aside. The items of a record are one event, and so is what one
 *          Rank shows. The counts are not stored: after a start they begin anew, what was marked stays marked.
 * Bounded  producers_max rows; what is not live is forgotten after retain_ms of silence, or earlier, oldest first,
 *          when the table is full. Open is refused when all are live.
 * Memory   one struct sequencer (2 MiB more with a limit of user_events), and 8 KB for each stream of a live producer
 *          that is measured; a submission is the caller's and must live until its done() was called.
 * Threads  pure, one owner. Times come in as arguments: now_ms is the clock of the log writer that time-outs go by. */
#ifndef TIDEMILL_PS_STATE_SEQUENCER_H
#define TIDEMILL_PS_STATE_SEQUENCER_H

#include "joiner/watermark.h"
#include "ps/state/block.h"

enum {
    SEQUENCER_STREAMS_MAX = 32,
    SEQUENCER_ID_MAX = 64,
    SEQUENCER_REJECTS_KEPT = 64, /* batches */
};

struct sequencer_options {
    uint32_t streams;
    int64_t out_of_orderness_ms[SEQUENCER_STREAMS_MAX];
    int64_t window_ms;           /* an end mark jumps this far, + 1 ms, behind the newest event time of the client */
    int64_t producer_timeout_ms; /* silent for so long: leaves the watermarks, unless it is a stream's last */
    int64_t producer_retain_ms;  /* silent for so long: forgotten */
    uint32_t producers_max;
    uint32_t user_events; /* more of one user within user_window_ms are a robot's, ps/state/user_rates.h; 0: no limit */
    int64_t user_window_ms;
};

struct producer_id {
    char client[SEQUENCER_ID_MAX + 1], instance[SEQUENCER_ID_MAX + 1], lane[SEQUENCER_ID_MAX + 1];
};

enum submission_kind {
    SUBMIT_OPEN,
    SUBMIT_BATCH,
    SUBMIT_WATERMARK,
    SUBMIT_END,
    SUBMIT_LEAVE,
    SUBMIT_CONTROL,
    SUBMIT_STAMPED, /* a batch of the server's own: no sequence, and the events have no time; they get the clock's. An
                       empty one only passes */
};

/* One event of a batch, validated and resolved at the door; of a record with items one for each of them. */
struct submission_event {
    struct bytes wire; /* of an item its own part */
    int64_t time;      /* STAMPED: unused */
    uint32_t shard, version;
    uint64_t user;    /* hash; 0: it names none, or one that may do what it likes */
    uint32_t shared;  /* items: place of the shared part in the submission's, from 1 */
    uint16_t sharers; /* items: how many of this record are in this shard */
    uint8_t stream;
    bool same_record; /* as the event before it: of their user they are one */
};

struct submission {
    enum submission_kind kind;
    struct producer_id producer;           /* all but SUBMIT_CONTROL and SUBMIT_STAMPED */
    uint32_t streams;                      /* OPEN: bit set of the streams declared; 0: each from its first record */
    uint64_t sequence;                     /* BATCH */
    const struct submission_event *events; /* BATCH, STAMPED */
    uint32_t event_count;
    struct bytes shared;  /* BATCH: what the items of each record have in common, {size u32, bytes}... */
    struct bytes rejects; /* BATCH: what the door refused, opaque, kept for repeated acks */
    struct bytes letters; /* BATCH: the same as dead letters, a list of ps/state/rejected.h */
    uint8_t stream;       /* WATERMARK */
    int64_t time;         /* WATERMARK */
    struct bytes control; /* CONTROL: packed tidemill.v1.Control */

    /* Results; valid from when done() is called. */
    enum tm_code
        code; /* TM_FAILED_PRECONDITION: a gap, or a producer that is not open; TM_RESOURCE_EXHAUSTED: table full */
    struct tm_error error;
    uint64_t position;         /* everything of this submission lies before it; synced */
    uint64_t last_sequence;    /* OPEN, BATCH */
    bool repeated;             /* BATCH: had been taken before */
    struct buffer old_rejects; /* BATCH repeated: its rejects if still kept; owned by the submission */
    int64_t watermark;         /* END */

    int64_t accepted_ns;                /* the log's: when it was handed in, by the monotonic clock */
    void (*done)(struct submission *s); /* on the log writer's thread, after the sync; may free s */
    void *context;
    struct submission *next; /* the log writer's */
};

struct sequencer;

struct sequencer *sequencer_open(const struct sequencer_options *options);
void sequencer_close(struct sequencer *s); /* NULL is fine */

/* Other out_of_orderness_ms and window_ms; the rest is as it was opened. */
void sequencer_configure(struct sequencer *s, const struct sequencer_options *options);

/* Loading, before anything is taken: where the log ends, the stream watermarks as last broadcast, the
 * stored producers. */
void sequencer_load_position(struct sequencer *s, uint64_t next_position);
void sequencer_load_watermark(struct sequencer *s, uint8_t stream, int64_t time);
enum tm_code sequencer_load_producer(struct sequencer *s, struct bytes key, struct bytes row, int64_t now_ms,
                                     struct tm_error *err);

/* The next free position. */
uint64_t sequencer_position(const struct sequencer *s);

/* What the wall clock says, which server-stamped events are stamped with. Before the first of them is taken, and again
 * whenever time has passed. */
void sequencer_tell_time(struct sequencer *s, int64_t wall_ms);

/* False: the block cannot hold it (a control record after events, or it is full); seal first, then take it again.
 * Otherwise fills the results of *sub (position is filled by sequencer_seal for what was taken now) and puts its
 * records into the block under construction. */
bool sequencer_take(struct sequencer *s, struct submission *sub, int64_t now_ms);

/* Let time-outs happen; call before sealing. True when something now waits to be sealed. */
bool sequencer_tick(struct sequencer *s, int64_t now_ms);

size_t sequencer_pending_bytes(const struct sequencer *s);

/* Append the punctuations that moved, then finish the block into *block (left empty when there is nothing to log) and
 * set `position` of every submission taken since the last seal that is on the list *taken. Returns the block's first
 * position. */
uint64_t sequencer_seal(struct sequencer *s, struct submission *taken, struct buffer *block);

/* Rows changed since the last call: key and value for a put, value.data NULL for a delete. Only
 * after sequencer_seal(). */
typedef void sequencer_row(void *context, struct bytes key, struct bytes value);
void sequencer_changed_rows(struct sequencer *s, sequencer_row *put, void *context);

/* For status: the watermark of a stream as last sealed, and the live producer that holds it back (false: nobody). */
int64_t sequencer_watermark(const struct sequencer *s, uint8_t stream);
bool sequencer_holder(const struct sequencer *s, uint8_t stream, int64_t now_ms, struct producer_id *who,
                      int64_t *silent_ms);
uint32_t sequencer_producers(const struct sequencer *s);

#endif
