#include "ps/state/user_rates.h"

#include <stdlib.h>

enum { SETS = USER_RATES_ENTRIES / USER_WAYS };

struct entry {
    uint64_t user;  /* 0: free */
    int64_t newest; /* pane */
    uint16_t count[USER_PANES];
};
static_assert(sizeof(struct entry) == 32, "two entries share a cache line");
static_assert(USER_EVENTS_MAX < UINT16_MAX, "a count that is full is above every limit");

struct user_rates {
    uint32_t events;
    int64_t pane_ms;
    struct entry entry[USER_RATES_ENTRIES];
};

struct user_rates *user_rates_open(uint32_t events, int64_t window_ms)
{
    CHECK(events >= 1 && events <= USER_EVENTS_MAX && window_ms >= 1);
    struct user_rates *u = mem_new(1, sizeof *u);
    u->events = events;
    u->pane_ms = window_ms / USER_PANES > 0 ? window_ms / USER_PANES : 1;
    return u;
}

void user_rates_close(struct user_rates *u) { free(u); }

/* The user's place, or the one that he gets. */
static struct entry *place_of(struct user_rates *u, uint64_t user, int64_t pane)
{
    struct entry *set = &u->entry[user % SETS * USER_WAYS], *oldest = &set[0];
    for (uint32_t i = 0; i < USER_WAYS; i++) {
        if (set[i].user == user)
            return &set[i];
        if (oldest->user != 0 && (set[i].user == 0 || set[i].newest < oldest->newest))
            oldest = &set[i];
    }
    *oldest = (struct entry){.user = user, .newest = pane};
    return oldest;
}

static void move_on(struct entry *e, int64_t pane)
{
    for (int64_t p = pane - e->newest > USER_PANES ? pane - USER_PANES + 1 : e->newest + 1; p <= pane; p++)
        e->count[p % USER_PANES] = 0;
    e->newest = pane;
}

bool user_rates_take(struct user_rates *u, uint64_t user, int64_t time)
{
    int64_t pane = time / u->pane_ms; /* times are after 2000 */
    struct entry *e = place_of(u, user, pane);
    uint32_t events = 0;
    if (pane > e->newest)
        move_on(e, pane);
    if (pane <= e->newest - USER_PANES)
        return false;
    uint16_t *count = &e->count[pane % USER_PANES];
    *count += *count < UINT16_MAX;
    for (int64_t p = e->newest - USER_PANES + 1; p <= pane; p++)
        events += p >= 0 ? e->count[p % USER_PANES] : 0;
    return events > u->events;
}
