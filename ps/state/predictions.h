/* ps/state/predictions.h - what one version predicted of the samples it learned in one shard, kept for as long as a
 * correction may come: what was counted with a prediction can only be taken out with the same one.
 *
 *   sample learned ──► add(sequence, prediction)      correction ──► find(original)
 *
 * Rows     PREDICTIONS_ROW predictions each, in the order of learning, which is that of the sequences; numbered without
 *          gaps from 1: STORE_PREDICTION, {shard u16, version u32, row u64}, big-endian -> the row's newest impression
 *          time i64, then {sequence u64, prequential f32, served f32, request u32 or scale f32, freedom
 *          f32} of each. A commit writes the rows
 *          that something was added to, the last one again until it is full. A row goes, oldest first, once nothing in
 *          it can be corrected any more.
 * Memory   24 B a sample, everything from the oldest row on, for as long as the joiner keeps the decided key (83-93 B)
 *          that brings the correction.
 * Threads  one owner. */
#ifndef TIDEMILL_PS_STATE_PREDICTIONS_H
#define TIDEMILL_PS_STATE_PREDICTIONS_H

#include "ps/state/store.h"

enum { PREDICTIONS_ROW = 128, PREDICTIONS_KEY = 14 };

/* As they were counted; NaN: not counted. */
struct prediction {
    uint64_t sequence;
    float prequential, served;
    union {
        uint32_t request; /* of probabilities: hash of its id */
        float scale;      /* of real-valued rewards: of what was foretold */
    };
    float freedom; /* likewise; 0: probabilities */
};

struct prediction_row {
    int64_t newest; /* impression time */
    uint32_t count;
    struct prediction entry[PREDICTIONS_ROW];
};

struct predictions {
    uint32_t shard, version;
    uint64_t first;  /* number of the oldest row that is kept */
    uint64_t frozen; /* rows from here on have something that no commit carries yet; the last one may lie before it */
    struct prediction_row **row; /* first, first + 1, ... */
    size_t rows, capacity;
};

void predictions_open(struct predictions *p, uint32_t shard, uint32_t version);
void predictions_close(struct predictions *p);

/* Sequences grow. time: of the impression. */
void predictions_add(struct predictions *p, const struct prediction *prediction, int64_t time);

/* NULL: none is kept. A view until the next call that changes something. */
const struct prediction *predictions_find(const struct predictions *p, uint64_t sequence);

/* Bytes that the next commit will carry, about. */
size_t predictions_unfrozen(const struct predictions *p);

/* Impressions before `expiry` are corrected no more. */
void predictions_freeze(struct predictions *p, int64_t expiry, struct store_batch *out);

/* Where it stands is part of the shard's place: u64 first row, u64 behind the last. Loading: that into one that was
 * just opened, its rows in the order of their keys, and then whether they are all there. TM_DATA_LOSS: they are not
 * what was written. */
void predictions_encode(const struct predictions *p, struct buffer *out);
void predictions_decode(struct predictions *p, struct reader *r);
enum tm_code predictions_load_row(struct predictions *p, struct bytes key, struct bytes value, struct tm_error *err);
enum tm_code predictions_loaded(const struct predictions *p, struct tm_error *err);

#endif
