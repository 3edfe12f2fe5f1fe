/* ps/state/rejected.h - an event that the door refused: how it travels with its batch, and what is kept of it.
 *
 * List     of a batch: {stream u8, size u32, letter}... one for every event refused; size 0: this one is not kept.
 * Letter   {stream u8, time i64, refused_at i64, index u32, size u32, field, message, event}; texts and bytes as
 *          {size u32, bytes}, little-endian.
 * Row      {number u64, position u64, batch u64, client, instance, lane, letter}.
 * Memory   views into what was given. Threads: pure. */
#ifndef TIDEMILL_PS_STATE_REJECTED_H
#define TIDEMILL_PS_STATE_REJECTED_H

#include "ps/state/sequencer.h"

enum { REJECTED_EVENT_MAX = 256, REJECTED_STREAM_UNKNOWN = SEQUENCER_STREAMS_MAX };

struct rejected {
    uint64_t number;   /* 0, 1, 2... of all events ever kept by the door of this node */
    uint64_t position; /* of the log: what was accepted of the batch lies before it */
    uint64_t batch;    /* sequence */
    struct bytes client, instance, lane;
    uint8_t stream;     /* or REJECTED_STREAM_UNKNOWN */
    int64_t time;       /* event time; 0: it could not be read */
    int64_t refused_at; /* ms since 1970, the wall clock of the door */
    uint32_t index;     /* in the batch, from 0 */
    uint32_t size;      /* of the whole event */
    struct bytes field, message;
    struct bytes event; /* the first REJECTED_EVENT_MAX bytes; rejected_put() cuts */
};

/* Append to a batch's list. number, position, batch and producer do not count here. */
void rejected_put(struct buffer *list, const struct rejected *r);
void rejected_put_unkept(struct buffer *list, uint8_t stream);

/* Walk a list: start with reader_of(list). letter->size 0: not kept. */
bool rejected_next(struct reader *r, uint8_t *stream, struct bytes *letter);

/* Append the row of one letter of a batch that was taken. */
void rejected_row(struct buffer *row, uint64_t number, const struct submission *batch, struct bytes letter);
enum tm_code rejected_decode(struct bytes row, struct rejected *out, struct tm_error *err);

#endif
