/* tests/simulation/world_author.h - the inside of world_make(), shared by its parts: world.c (the order of all, limits,
 * clients), world_join.c (streams, labels, stages, filters, sampling), world_versions.c, world_events.c,
 * world_records.c (events with many documents) and world_acts.c. Nobody else includes it.
 *
 * Each draw of chance moves the next: who changes the order of draws gives every seed another world. Times in ms. */
#ifndef TIDEMILL_TESTS_SIMULATION_WORLD_AUTHOR_H
#define TIDEMILL_TESTS_SIMULATION_WORLD_AUTHOR_H

#include "tests/simulation/random.h"
#include "tests/simulation/world.h"

enum { WORLD_DAY_MS = 86400000 };

/* What is needed while writing the script. */
struct author {
    struct world *w;
    struct random r;
    int64_t unit, now; /* event time: the grid, and how far the story has come */
    bool mad, fractions, pauses;
    bool ranks;       /* the server has events of its own */
    bool attributes;  /* action streams may have keys of their own */
    bool at_once;     /* positives may be decided before the gate */
    bool orderly;     /* one well-behaved client: many samples and corrections, for what comes behind the join */
    bool tardy;       /* features are sent for what was shown, mostly when it is decided */
    uint32_t records; /* percent of impressions and features that come with others in one record */
    uint32_t crowd, act_capacity, event_capacity; /* crowd: percent of events that are actions on one key */
};

static inline uint32_t below(struct author *a, uint32_t n) { return random_below(&a->r, n); }
static inline uint32_t between(struct author *a, uint32_t low, uint32_t high)
{
    return random_between(&a->r, low, high);
}
static inline bool chance(struct author *a, uint32_t percent) { return random_chance(&a->r, percent); }

/* world_join.c */
void author_make_join(struct author *a); /* and the unit of time, before all else that needs it */
void author_make_rules(struct author *a);
/* How many values this stream of features sends, so that all of them are WORLD_DIMENSION together. */
uint32_t world_values_of(const struct world *w, uint32_t stream);

/* world_versions.c */
void author_make_versions(struct author *a); /* behind the join: they know its labels and dimensions */

/* world_events.c */
struct world_event *author_next_event(struct author *a); /* room for one more; earlier ones may move */
void author_make_event(struct author *a, const struct world_lane *lane);
int64_t author_some_time(struct author *a);
int64_t author_some_impression_time(struct author *a);

/* world_records.c */
void author_make_record(struct author *a, const struct world_lane *lane); /* of the event made last */

/* world_acts.c */
void author_add_habit(struct author *a); /* one act, or a few that belong together */
void author_add_end(struct author *a);

#endif
