/* ps/state/shard_state.h - the inside of a shard, shared by its parts: shard.c (step), shard_versions.c (who learns
 * what), shard_archive.c (what is kept), shard_catch_up.c (what was held), shard_commit.c (commit, load). Nobody else
 * includes it. */
#ifndef TIDEMILL_PS_STATE_SHARD_STATE_H
#define TIDEMILL_PS_STATE_SHARD_STATE_H

#include <stdatomic.h>

#include "ps/state/archive.h"
#include "ps/state/dead_letters.h"
#include "ps/state/param_store.h"
#include "ps/state/sample_log.h"
#include "ps/state/shard.h"

/* One version in one shard. It is current (it learns, and nothing is held: a sample is learned as it is made), or its
 * cursor stays behind in the sample log. */
struct version_slot {
    const struct version *version;
    struct table *table;
    struct cursor cursor;
    struct sample_log_place place; /* while something is held: of cursor.next */
    int64_t horizon;               /* while something is held: impressions before it are corrected no more */
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
    bool behind;           /* some version works on what was held */
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
    struct sample_log log;
    uint32_t holding;          /* slots for which something is held */
    uint64_t brought;          /* cost of the samples made in this step */
    struct param_store params; /* its tables are those of the slots, in the same order */
    struct new_doc *new_doc;
    size_t new_docs, new_doc_capacity;
    struct buffer new_doc_text;
    struct dead_letters *dead_letters;
    struct archive archive;
    struct bytes at_hand;     /* the event being joined; empty while time passes */
    struct buffer newest_ids; /* of the sample made last, for corrections that come right behind it */
};

/* shard.c */
void shard_follow_catalog(struct shard *s); /* it has grown */

/* shard_versions.c */
void shard_add_versions(struct shard *s); /* the catalog has grown: give the new versions their places */
struct version_slot *shard_slot(struct shard *s, uint32_t version);
void shard_take_sample(void *shard, const struct sample *sample); /* joiner_output.sample */
/* The version learns a sample, or corrects what it learned of it; samples++ and what held has to do with it are the
 * caller's. horizon: see cursor_learn(). Returns whether it is a new sample of a document without parameters here: then
 * the document's text must be stored. */
bool shard_learn(struct version_slot *slot, const struct sample *sample, int64_t horizon);

static inline uint64_t slot_held(const struct version_slot *slot) { return slot->fresh.held + slot->corrections.held; }
static inline bool slot_paused(const struct shard *s, const struct version_slot *slot)
{
    return s->catalog.state[slot - s->slot] == VERSION_PAUSED;
}

/* Impressions before it are corrected no more, neither by what is held nor by what comes. */
static inline int64_t shard_horizon(const struct shard *s, const struct version_slot *slot)
{
    return slot_held(slot) || !s->joiner ? slot->horizon : joiner_expiry(s->joiner);
}

/* shard_archive.c */
void shard_archive(struct shard *s, const struct sample *sample); /* keep it, if samples are kept */

/* shard_catch_up.c */
void shard_hold(struct shard *s, struct version_slot *slot, const struct sample *sample, struct sample_log_place place);
void shard_discard(struct shard *s, uint32_t version);
enum tm_code shard_catch_up(struct shard *s, struct tm_error *err); /* one slice */
void shard_count_held(struct shard *s);                             /* after loading */
uint64_t shard_rows_needed(const struct shard *s);                  /* of the sample log, from here; UINT64_MAX: none */

#endif
