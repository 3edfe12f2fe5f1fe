/* tests/simulation/told_rows.h - the truth about rows of tables: a list of all that ever came, searched from end to end.
 *
 * Written from the specification alone (ps/state/lookup.h); keys are compared as text.
 * Memory   owns its list; the blocks' bytes must outlive it. */
#ifndef TIDEMILL_TESTS_SIMULATION_TOLD_ROWS_H
#define TIDEMILL_TESTS_SIMULATION_TOLD_ROWS_H

#include "proto/event.h"
#include "ps/state/block.h"
#include "ps/state/catalog.h"

struct told_row {
    uint8_t stream;
    int64_t time;
    uint64_t position;
    bool deletes;
    char about[64];
    struct bytes wire;
};

struct told_rows {
    struct told_row *row;
    uint32_t rows;
};

void told_rows_close(struct told_rows *t);
void told_rows_add(struct told_rows *t, const struct catalog *c, const struct block *b);

/* Of the rows that came in front of the position, the newest at or before the impression. NULL: there is none, or it
 * deletes. */
const struct told_row *told_rows_find(const struct told_rows *t, const struct catalog *c, uint8_t stream,
                                      const struct event *shown, int64_t time, uint64_t position);

#endif
