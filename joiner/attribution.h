/* joiner/attribution.h - actions of streams that have a key of their own, and the impressions they are attributed to.
 *
 * What meets under one action key is a group: its impressions, and its actions with their withdrawals, both in the
 * order of (event time, position). Which impressions hold an action is not stored: it follows from the group by the
 * rule of the action's stream, so the order in which things came cannot show.
 *     candidates of an action at a   its group's impressions at t with a - within <= t <= a, of its version if it names
 *                                    one. Not after a: with a key that many impressions share, one that was shown
 *                                    after the order cannot have caused it, whatever clocks say.
 *     last, first                    the last or the first of them holds it; all: each does, with value / how many
 * Decided impressions before expiry are forgotten. An action keeps what it had: when the first of its impressions is
 * forgotten its shares are settled; impressions that come afterwards get nothing of it.
 * An action before expiry is forgotten, too, but for those that an undecided impression may hold: they stay until that
 * is decided, shed or crowded out.
 * Bounds   an impression is found under JOINER_ACTION_KEYS_MAX keys. A group has the newest ATTRIBUTION_SHOWN_MAX
 *          impressions (nothing is attributed to older ones, nor stays with them), and JOINER_ACTIONS_MAX actions and
 *          as many withdrawals of each stream.
 * Memory   64 bytes an impression, 56 an action, 32 a group, 11-21 of index for an impression and a group, each; and
 *          16 an entry until it is forgotten. Pools that grow and are reused. Numbers live until their entry goes.
 * Durable  every change is logged; the owner takes the log with each commit, and stores it while it is needed: until
 *          its newest event time is before expiry, and so is every impression that was undecided when it was taken.
 * Errors   attribution_load: TM_DATA_LOSS when bytes make no sense.
 * Threads  one owner. Pure. */
#ifndef TIDEMILL_JOINER_ATTRIBUTION_H
#define TIDEMILL_JOINER_ATTRIBUTION_H

#include "joiner/due.h"
#include "joiner/joiner.h"
#include "joiner/key_index.h"

#define ATTRIBUTION_NONE UINT32_MAX
enum { ATTRIBUTION_SHOWN_MAX = 32 };

struct shown {          /* an impression */
    struct hash128 key; /* join key */
    int64_t time;
    uint64_t position;
    uint32_t version;
    uint32_t group[JOINER_ACTION_KEYS_MAX]; /* by action key; ATTRIBUTION_NONE: not there */
    uint32_t older[JOINER_ACTION_KEYS_MAX]; /* the next of that group */
    bool decided, shed;
};
static_assert(sizeof(struct shown) == 64, "one cache line");

struct deed { /* an action, or a withdrawal */
    uint64_t event;
    int64_t time;
    uint64_t position;
    double value;
    uint64_t settled_at; /* position; only impressions up to it have a share */
    uint32_t version;    /* 0: none named */
    uint32_t group, next;
    uint8_t stream;
    uint8_t shares; /* how many impressions held it when one of them was forgotten; 0: none was */
    bool withdraw : 1;
    bool matched : 1;   /* there was a candidate once */
    bool withdrawn : 1; /* an action whose withdrawal has matched */
};
static_assert(sizeof(struct deed) == 56, "a deed is 56 bytes");

struct action_group {
    struct hash128 key;
    uint32_t newest; /* of its impressions */
    uint32_t shown;  /* how many */
    uint32_t deeds;  /* list, in order */
    uint32_t slot;   /* which of the action keys */
};

struct attribution_pool {
    void *items;
    size_t size; /* of an item */
    uint32_t count, capacity, free;
};

struct attribution {
    const struct joiner_config *config;
    struct attribution_pool shown, deeds, groups;
    struct key_index by_key, by_action_key; /* of impressions; of groups */
    struct due forgets;                     /* groups, by the times of what they have */
    struct due waits;                       /* deeds without a candidate, by their time */
    struct buffer log, taken;               /* log: what changed since it was taken */
    int64_t logged_until;                   /* the largest time in it; INT64_MIN: it is empty */
};

void attribution_open(struct attribution *a, const struct joiner_config *config); /* config: must outlive it */
void attribution_close(struct attribution *a);

static inline struct action_group *attribution_group_at(const struct attribution *a, uint32_t group)
{
    return (struct action_group *)a->groups.items + group;
}
static inline struct deed *attribution_deed_at(const struct attribution *a, uint32_t deed)
{
    return (struct deed *)a->deeds.items + deed;
}
static inline struct shown *attribution_shown_at(const struct attribution *a, uint32_t shown)
{
    return (struct shown *)a->shown.items + shown;
}

uint32_t attribution_find(const struct attribution *a, struct hash128 action_key); /* a group, or NONE */
/* The same; a new one where there is none. It goes when it is empty. */
uint32_t attribution_group(struct attribution *a, struct hash128 action_key, uint32_t slot);

/* What will be looked at comes to the cache all at once, not one behind the other: for a record that is about to come;
 * for decisions of impressions with these join keys, `keys` of them, JOINER_COMING_MAX at most. */
void attribution_prefetch(const struct attribution *a, const struct joiner_record *r);
void attribution_prefetch_decisions(const struct attribution *a, const struct hash128 *key, uint32_t keys);

/* The impression with this join key, if it is known under any action key, or NONE. */
uint32_t attribution_find_shown(const struct attribution *a, struct hash128 key);

/* An impression becomes known under an action key. *shown: what attribution_find_shown() says of it; it is kept so.
 * *crowded_out: how many lost their place (it may be itself). */
void attribution_show(struct attribution *a, uint32_t group, const struct joiner_record *r, uint32_t *shown,
                      uint32_t *crowded_out);
uint32_t attribution_add_deed(struct attribution *a, uint32_t group, const struct joiner_record *r);
/* The deed of this stream, event id and kind; of_kind: how many of that stream and kind there are. */
uint32_t attribution_find_deed(const struct attribution *a, uint32_t group, uint8_t stream, uint64_t event,
                               bool withdraw, uint32_t *of_kind);
void attribution_remove_deed(struct attribution *a, uint32_t deed);
void attribution_log_deed(struct attribution *a, uint32_t deed); /* it has changed */

/* The impression that would hold a deed with this stream, time and version were it new (all: the newest); or NONE. */
uint32_t attribution_holder(const struct attribution *a, uint32_t group, const struct deed *d);

/* The actions that an impression holds, with their shares of the value; those of one stream in order. NONE: none. */
uint32_t attribution_held(const struct attribution *a, uint32_t shown, struct label_action *out);

/* The sample of this impression is made: from now on it may be forgotten. NONE: nothing happens. */
void attribution_decided(struct attribution *a, uint32_t shown);

/* An undecided impression is dropped: as if it were forgotten. */
void attribution_shed(struct attribution *a, struct hash128 key, uint64_t impression, uint64_t position);

/* Forget decided impressions before expiry, and actions that only they could hold; positions up to `position` were
 * stepped. Repeat for every group that attribution_due() gives. attribution_look_ahead() brings the next of them to the
 * cache, and returns how many; 0 when there is none. */
uint32_t attribution_look_ahead(struct attribution *a, int64_t expiry);
bool attribution_due(struct attribution *a, int64_t expiry, uint32_t *group);
void attribution_forget(struct attribution *a, uint32_t group, int64_t expiry, uint64_t position);

/* What was logged since the last call; the view lives until the next one. */
struct bytes attribution_take_log(struct attribution *a);

/* Take in what was logged, commit by commit; then attribution_decided() of every impression of which that holds, and
 * attribution_loaded(): it drops what is past, before expiry, and waiting before the horizon (WATERMARK_NONE: nothing),
 * and counts what waits. */
enum tm_code attribution_load(struct attribution *a, struct bytes log, struct tm_error *err);
void attribution_loaded(struct attribution *a, int64_t expiry, int64_t horizon, struct stream_counts *counts);

size_t attribution_memory(const struct attribution *a);

#endif
