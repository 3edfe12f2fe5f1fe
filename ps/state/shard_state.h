/* ps/state/shard_state.h - the inside of a shard, shared by its two halves: shard.c (step) and shard_commit.c (commit,
 * load). Nobody else includes it. */
#ifndef TIDEMILL_PS_STATE_SHARD_STATE_H
#define TIDEMILL_PS_STATE_SHARD_STATE_H

#include <stdatomic.h>

#include "ps/state/dead_letters.h"
#include "ps/state/shard.h"

/* One version in one shard. */
struct version_slot {
    const struct version *version;
    struct table *table;
    struct cursor cursor; /* place in the shard's sample log */
    struct sample_counts fresh, corrections;
    uint32_t stored_documents; /* as the last commit before loading counted them */
};

/* A sample of version `source` goes to the slots of its routes; sorted by source. */
struct route {
    uint32_t source, slot;
};

/* What readers see: replaced as a whole when a version comes. */
struct table_set {
    uint32_t count;
    struct {
        uint32_t version;
        struct table *table;
    } item[];
};

struct new_doc {
    struct doc_id id;
    uint32_t offset, size; /* in new_doc_text */
};

struct shard {
    struct shard_options options;
    struct catalog catalog;
    bool catalog_changed, changed;
    struct joiner *joiner; /* NULL until there is a join configuration */
    struct version_slot *slot;
    uint32_t slots;
    struct route *route;
    uint32_t routes;
    struct table_set *_Atomic readers;
    int64_t watermark[JOINER_STREAMS_MAX]; /* as of the last step or commit */
    uint64_t position;                     /* of the last commit */
    uint64_t commit;                       /* number of the last commit */
    uint64_t keep_from;                    /* rows of older commits are deleted */
    uint64_t waiting_from;                 /* chunks of older commits are not read at a restart */
    struct buffer samples;                 /* encoded, since the last commit */
    struct new_doc *new_doc;
    size_t new_docs, new_doc_capacity;
    struct buffer new_doc_text;
    struct dead_letters *dead_letters;
};

/* The catalog has grown: give the joiner and the new versions their places. */
void shard_follow_catalog(struct shard *s);
struct version_slot *shard_slot(struct shard *s, uint32_t version);

#endif
