/* joiner/joiner_state.h - the inside of a joiner, shared by its parts: joiner.c (step, advance), durable.c
 * (freeze, load) and joiner_read.c (counters). Nobody else includes it. */
#ifndef TIDEMILL_JOINER_JOINER_STATE_H
#define TIDEMILL_JOINER_JOINER_STATE_H

#include "joiner/chunks.h"
#include "joiner/decided.h"
#include "joiner/due.h"
#include "joiner/pending.h"

struct joiner {
    struct joiner_config config;
    struct joiner_output output;
    int64_t watermark[JOINER_STREAMS_MAX];
    int64_t gate, expiry;   /* WATERMARK_NONE: nothing is decided, nothing expires */
    int64_t action_horizon; /* early actions and late impressions before it are set aside */
    int64_t features_horizon;
    uint64_t sequence;  /* of the newest sample */
    uint64_t position;  /* of the newest record stepped */
    uint64_t undecided; /* impressions that wait */
    struct stream_counts counts[JOINER_STREAMS_MAX];
    struct joiner_pace pace;
    struct delays *delays[JOINER_STREAMS_MAX]; /* NULL: no action of the stream has matched */
    struct pending pending;
    struct decided decided;
    struct chunks chunks;
    struct due decisions;     /* impressions, by their time */
    struct due early_actions; /* notes without an impression, by their time */
    struct due early_features;
    struct buffer frozen_run;
    bool loading; /* counters, samples and set-asides are not told: they were told before the restart */
};

void joiner_set_watermarks(struct joiner *j, const int64_t *watermarks);
/* How long the chunk's row is needed because of this record's features. */
void joiner_chunk_holds(struct joiner *j, uint64_t chunk, const struct joiner_record *r);

/* The three kinds of records, after the checks that only a first arrival needs. The record lies in the chunk
 * at offset. */
void joiner_hold_impression(struct joiner *j, const struct joiner_record *r, uint64_t chunk, uint32_t offset);
void joiner_hold_note(struct joiner *j, const struct joiner_record *r, uint64_t chunk, uint32_t offset);

#endif
