/* client/recompute_events.h - the events of a recomputation that count: read one after the other, as a server takes
 * them, and kept.
 *
 * Refused  what a server's door would refuse for its stream: unknown streams, ids that its key needs, withdrawals
 *          without an event id, impressions without a version, actions with items.
 * Users    events of blocked users are left out, and of those with more than events_max events within `per`: the eighth
 *          of the window in which an event lies and the seven before it, each event counted, robots' too. Allowed users
 *          pass; so do withdrawals.
 * Filters  of event streams, in their order.
 * Kept     impressions, actions and features between `from` and `to`, and as far around as they and repetitions reach.
 * Memory   88 bytes an event that is kept, up to twice that while there is room to grow, and its ids' texts, each once:
 *          about 150 to 250 bytes an event. Beyond memory_max it is TM_RESOURCE_EXHAUSTED. Threads: one. */
#ifndef TIDEMILL_CLIENT_RECOMPUTE_EVENTS_H
#define TIDEMILL_CLIENT_RECOMPUTE_EVENTS_H

#include "client/recompute_names.h"
#include "client/recompute_rules.h"
#include "proto/items.h"

struct recompute_event {
    int64_t time;
    uint32_t order;                              /* in which it came */
    uint32_t version, request, user, doc, event; /* numbers of names; 0: not told */
    double number;                               /* impressions: the weight; actions: the value; both mended */
    double sent;                                 /* the value as it was sent */
    double keep;                                 /* impressions: probability with which a negative is kept */
    uint64_t features;                           /* impressions, feature streams: a hash of them (match_features()) */
    uint8_t stream;
    bool withdraw, has_features;
};

struct user_panes;

struct recompute_events {
    const struct recompute_rules *rules;
    int64_t from, to; /* impressions of this time are wanted: inclusive, exclusive */
    uint64_t memory_max;
    struct names names;
    struct recompute_event *event;
    size_t count, capacity;
    bool features; /* some impression has features */
    uint64_t refused, blocked, robots, filtered;
    /* private */
    uint32_t came;
    struct items items;
    struct buffer joined;
    struct user_panes *panes; /* by the user's number */
    size_t panes_capacity;
};

/* rules must outlive it. */
void recompute_events_open(struct recompute_events *e, const struct recompute_rules *rules, int64_t from, int64_t to,
                           uint64_t memory_max);
void recompute_events_close(struct recompute_events *e); /* {0} is fine */

/* One well-formed record, whose events come behind all before. refused: why it makes none, when it is counted so. */
enum tm_code recompute_events_take(struct recompute_events *e, struct bytes wire, struct tm_error *refused,
                                   struct tm_error *err);

/* How far around an impression something may matter, ms: actions, attribution, repetitions. */
int64_t recompute_reach(const struct recompute_rules *r);
/* So long behind a decided impression may the time of its late features lie, ms. */
int64_t recompute_nearby(const struct recompute_rules *r);

uint64_t recompute_events_memory(const struct recompute_events *e); /* bytes */

#endif
