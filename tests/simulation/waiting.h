/* tests/simulation/waiting.h - the truth about batches and turns, told naively: what a version has taken and not yet
 * learned lies in one array, in the order in which it came to lie there; every rule is a loop over it.
 *
 * Written from ps/state/shard.h (Batches, Turns) alone. A batch is nothing but those of a document that are in one; it
 * is as old as says the first of them. */
#ifndef TIDEMILL_TESTS_SIMULATION_WAITING_H
#define TIDEMILL_TESTS_SIMULATION_WAITING_H

#include "learner/model.h"
#include "ps/state/shard.h"

struct lessons;

enum { WAITING_VALUES_MAX = 64 };

struct waiter {
    uint32_t id;     /* lessons name it */
    uint32_t lesson; /* the new sample that it is, or corrects: its index */
    uint32_t doc;
    bool correction;              /* it was learned already, as `was` */
    bool in_batch;                /* else its turn comes, at due */
    bool last;                    /* its turn is among the corrections */
    bool was_nothing, is_nothing; /* its features did not fit, or do not now */
    int64_t due, opened;
    struct example now, was;
    bool has_x;
    float x[WAITING_VALUES_MAX], old_x[WAITING_VALUES_MAX];
};

struct waiting {
    struct waiter *waiter;
    uint32_t waiters, ids;
    int64_t clock;
    bool clocked; /* the clock has a value */
    struct batch_counts fired;
};

void waiting_close(struct waiting *w);
/* The version gets a new sample, or the correction of one that it has; at: index of the lesson. */
void waiting_take(struct lessons *l, const struct catalog *c, uint32_t version, uint32_t at, const struct example *was,
                  const struct example *now, bool fitted, bool fits);
void waiting_pass(struct lessons *l, const struct catalog *c, uint32_t version, int64_t now);
/* The version's encoder changes: what waits is never learned. */
void waiting_forget(struct lessons *l, const struct version *v, uint32_t version);
bool waiting_has(const struct waiting *w, uint32_t lesson); /* or a correction of it */
/* It has not been learned, so that it can be dropped. */
bool waiting_unlearned(const struct waiting *w, const struct version *v, uint32_t lesson);
uint32_t waiting_batches(const struct waiting *w);
void waiting_keep_bound(struct lessons *l, const struct catalog *c);

#endif
