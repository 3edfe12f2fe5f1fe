/* ps/server/rank_tables.h - the rows of tables that samples of a Rank's candidates would be given, were they shown now.
 *
 * Which    of each table the newest row of the candidate's key (request, user, doc) with a time up to now, among all
 *          that are in the log: what the shards find when they decide, unless a row with an older time comes later.
 * Blocks   rows that are not in memory.lookup are read from the database, a table's for 64 candidates together.
 * Memory   owned, until rank_tables_close(); of a row only its features, RANK_ROWS_MAX of all. Threads: one owner.
 * Errors   TM_RESOURCE_EXHAUSTED: more than that. */
#ifndef TIDEMILL_PS_SERVER_RANK_TABLES_H
#define TIDEMILL_PS_SERVER_RANK_TABLES_H

#include "ps/engine/engine.h"
#include "ps/server/rank_request.h"
#include "ps/state/version_input.h"

enum { RANK_ROWS_MAX = 64 << 20 };

struct rank_tables {
    const struct catalog *schema;
    struct input_sources sources; /* of samples from now on: the tables are those behind the feature streams */
    struct buffer rows;
    size_t *at; /* of each candidate's row of each table, and one more: where it begins in `rows` */
};

static inline uint32_t rank_tables_count(const struct rank_tables *t)
{
    return t->sources.count - t->sources.feature_streams;
}
static inline uint8_t rank_tables_stream(const struct rank_tables *t, uint32_t table)
{
    return t->sources.stream[t->sources.feature_streams + table];
}

/* Without such tables nothing is read. */
enum tm_code rank_tables_read(struct engine *e, const struct rank_request *q, struct rank_tables *t,
                              struct tm_error *err);
void rank_tables_close(struct rank_tables *t);

/* An event with the features of a row of one of the tables; empty: there is none. */
struct bytes rank_tables_row(const struct rank_tables *t, uint32_t candidate, uint8_t stream);

#endif
