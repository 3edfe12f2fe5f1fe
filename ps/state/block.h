/* ps/state/block.h - the unit of the input sequence: one log value, one hand-over, one step of each shard it names.
 *
 * Order    positions run through the control records, then the events, then the punctuations of a block; block.first is
 *          the position of the first of them, block.end of the next block's first. "Position p" stands for everything
 *          before p.
 * Layout   little-endian: header {magic u32, shards_named u32, checksum u64 over all that follows, first u64,
 *          controls u32, events u32, punctuations u32, events_size u32, shared_size u32},
 *          controls {size u32, bytes}..., directory {shard u16, zero u16, first u32: how many offsets lie before its
 *          own}... by rising shard, then for each shard, in directory order, its event offsets u32..., punctuations
 *          {stream u8, time i64}..., events {size u32 of the wire bytes, index u32 in the block, version u32, stream
 *          u8 and BLOCK_ROBOT in it, wire bytes}..., shared parts {size u32, bytes}...
 * Shared   what the items of a record have in common is there once in a block, whatever the shards. In an event of such
 *          a record the highest bit of `stream` is set, and before its wire bytes stand {place u32 of the shared part,
 *          from 1; sharers u16}.
 * Memory   a parsed block is views into the bytes given. A builder owns its buffers until block_builder_close().
 * Errors   block_parse checks the checksum and every count and offset: afterwards walking cannot leave the bytes. */
#ifndef TIDEMILL_PS_STATE_BLOCK_H
#define TIDEMILL_PS_STATE_BLOCK_H

#include "base/bytes.h"
#include "base/error.h"

enum {
    BLOCK_EVENTS_MAX = 1 << 20,
    BLOCK_BYTES_TARGET = 1 << 20, /* the log writer seals when it has this much */
    BLOCK_ROBOT = 0x40,           /* with an event's stream, which has five bits: it is a robot's */
    BLOCK_VERSION_NONE = 0,       /* an event that names no version; version ids start at 1 */
};

struct block {
    uint64_t first, end;
    uint32_t controls, events, punctuations, shards_named;
    struct bytes control_bytes, directory_bytes, offset_bytes, punctuation_bytes, event_bytes, shared_bytes;
};

struct block_event {
    uint64_t position;
    uint32_t version;    /* internal id, or BLOCK_VERSION_NONE */
    uint8_t stream;      /* index in the join configuration */
    bool robot;          /* ps/state/user_rates.h said so when it was logged */
    struct bytes wire;   /* the protobuf Event as it was sent; of an item its own part of it */
    struct bytes shared; /* the other part (proto/items.h); empty: the event is whole */
    uint32_t sharers;    /* events of the same shard with the same shared part; 0: it is empty */
};

enum tm_code block_parse(struct bytes stored, struct block *out, struct tm_error *err);

/* Walk: control records in order; start with reader_of(b->control_bytes). */
bool block_next_control(const struct block *b, struct reader *r, struct bytes *control);

/* Walk: the shards named; `slot` runs from 0 to shards_named - 1. */
void block_shard(const struct block *b, uint32_t slot, uint32_t *shard, uint32_t *events, uint32_t *first_offset);

/* The i-th event of the shard whose first_offset was given. */
void block_event_at(const struct block *b, uint32_t first_offset, uint32_t i, struct block_event *out);

/* n of the shard's events from the i-th on will be walked soon: they lie far apart, and another thread wrote them. */
void block_prefetch(const struct block *b, uint32_t first_offset, uint32_t i, uint32_t n);

/* Walk: punctuations; start with reader_of(b->punctuation_bytes). */
bool block_next_punctuation(struct reader *r, uint8_t *stream, int64_t *time);

struct block_builder {
    struct buffer controls, events, punctuations, shared, places; /* places: {shard u32, offset u32} of each event */
    uint32_t n_controls, n_events, n_punctuations;
};

void block_builder_close(struct block_builder *b);
bool block_builder_empty(const struct block_builder *b);
size_t block_builder_size(const struct block_builder *b);              /* bytes so far, about */
void block_add_control(struct block_builder *b, struct bytes control); /* only while there is no event in the block */
/* stream: and BLOCK_ROBOT, if it is. */
void block_add_event(struct block_builder *b, uint32_t shard, uint8_t stream, uint32_t version, struct bytes wire);

/* Shared parts, each {size u32, bytes}. Returns what is to be added to their places in `parts`, counted from 1, to name
 * them in block_add_item(). */
uint32_t block_add_shared(struct block_builder *b, struct bytes parts);
/* sharers: how many of the shard's events name this place. */
void block_add_item(struct block_builder *b, uint32_t shard, uint8_t stream, uint32_t version, struct bytes wire,
                    uint32_t place, uint16_t sharers);
void block_add_punctuation(struct block_builder *b, uint8_t stream, int64_t time);

/* Append the finished block to *out and empty the builder. Returns the position after the block. */
uint64_t block_seal(struct block_builder *b, uint64_t first, struct buffer *out);

#endif
