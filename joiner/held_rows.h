/* joiner/held_rows.h - how long the rows of commits are held: each until event time has passed what it says.
 *
 * Rows go oldest first. A row is remembered in a group with its neighbours, as long as their times span no more than
 * `span`: a day of commits is a few dozen groups, and a row stays at most that much longer.
 * Memory   24 bytes a group. Threads: one owner. */
#ifndef TIDEMILL_JOINER_HELD_ROWS_H
#define TIDEMILL_JOINER_HELD_ROWS_H

#include "base/bytes.h"

struct held_group { /* commits in front of `end`, behind the group before */
    uint64_t end;
    int64_t oldest, newest; /* times up to which they are held; INT64_MAX, INT64_MIN: nothing holds them */
};

struct held_rows {
    struct held_group *group; /* by end */
    size_t groups, capacity;
    uint64_t first; /* commit number of the oldest row that is held */
    int64_t span;   /* of a group, ms */
};

void held_rows_open(struct held_rows *h, uint64_t first, int64_t span);
void held_rows_close(struct held_rows *h);

/* The rows in front of `end`, behind those before, are held until expiry passes `newest`; INT64_MIN: nothing holds
 * them. */
void held_rows_add(struct held_rows *h, uint64_t end, int64_t newest);

/* Let the oldest ones go that nothing holds. Were there any? */
bool held_rows_trim(struct held_rows *h, int64_t expiry);

/* As they are stored, and back: into what was just opened. Returns the commit behind the last group; r->bad: they make
 * no sense. */
void held_rows_encode(const struct held_rows *h, struct buffer *out);
uint64_t held_rows_decode(struct held_rows *h, struct reader *r);

#endif
