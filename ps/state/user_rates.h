/* ps/state/user_rates.h - users that send more events than people do, by event time: robots.
 *
 * Window   of a user, the pane of an event and the USER_PANES - 1 before it, each an eighth of `window_ms`: so between
 *          seven eighths of the window and all of it. Every event in it counts, those of a robot too: it stays one for
 *          as long as it goes on. An event is a robot's when more than `events` are in its window, itself included.
 * Order    events may come in any; one that is older than the window of its user's newest passes uncounted.
 * Bound    USER_RATES_ENTRIES users, in sets of USER_WAYS by hash; of a set that is full the one whose newest event is
 *          oldest is forgotten, and begins anew: a robot may pass that way, nobody is taken for one. 2 MiB.
 * Threads  one owner; pure. */
#ifndef TIDEMILL_PS_STATE_USER_RATES_H
#define TIDEMILL_PS_STATE_USER_RATES_H

#include "base/bytes.h"

enum { USER_PANES = 8, USER_WAYS = 4, USER_RATES_ENTRIES = 65536, USER_EVENTS_MAX = 60000 };

struct user_rates;

/* events: 1 to USER_EVENTS_MAX. */
struct user_rates *user_rates_open(uint32_t events, int64_t window_ms);
void user_rates_close(struct user_rates *u); /* NULL is fine */

/* Count an event of a user (a hash; not 0) and say whether it is a robot's. */
bool user_rates_take(struct user_rates *u, uint64_t user, int64_t time);

#endif
