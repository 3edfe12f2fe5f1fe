#include "ps/server/rank_tables.h"

#include <stdlib.h>

#include "base/clock.h"

static struct event candidate_of(const struct rank_request *q, uint32_t candidate)
{
    return (struct event){.request = q->request, .user = q->user, .doc = q->docs[candidate]};
}

static void fetch(struct engine *e, const struct rank_request *q, uint8_t stream)
{
    struct event shown[JOINER_COMING_MAX];
    for (uint32_t first = 0, n; first < q->count; first += n) {
        n = q->count - first < JOINER_COMING_MAX ? q->count - first : JOINER_COMING_MAX;
        for (uint32_t i = 0; i < n; i++)
            shown[i] = candidate_of(q, first + i);
        engine_fetch_rows(e, stream, shown, n);
    }
}

/* Only what is a source of features: a row's payload may be large, and there is a copy for each candidate. */
static enum tm_code keep_row(struct rank_tables *t, struct bytes row, struct tm_error *err)
{
    struct event e;
    if (!row.size)
        return TM_OK;
    CHECK(event_scan(row, &e, NULL) == TM_OK); /* it was read when it was stored */
    event_encode(&(struct event){.representation = e.representation,
                                 .features = e.features,
                                 .encoding = e.encoding,
                                 .items = e.items,
                                 .item_features = e.item_features,
                                 .item_encoding = e.item_encoding,
                                 .has = e.has & (EVENT_HAS_FEATURES | EVENT_HAS_ITEM_FEATURES)},
                 &t->rows);
    if (t->rows.size <= RANK_ROWS_MAX)
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "docs: the rows of tables for them have more than %d bytes of features; send fewer at once",
                        RANK_ROWS_MAX);
}

static enum tm_code read_rows(struct engine *e, const struct rank_request *q, struct rank_tables *t,
                              struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    int64_t now = clock_wall_ms();
    enum tm_code rc = TM_OK;
    const uint32_t count = rank_tables_count(t);
    size_t rows = (size_t)q->count * count;
    t->at = mem_new(rows + 1, sizeof *t->at);
    for (size_t i = 0; rc == TM_OK && i < rows; i++) {
        struct event shown = candidate_of(q, (uint32_t)(i / count));
        row.size = 0;
        rc = engine_find_row(e, rank_tables_stream(t, (uint32_t)(i % count)), &shown, now, &row, err);
        if (rc == TM_OK)
            rc = keep_row(t, buffer_view(&row), err);
        t->at[i + 1] = t->rows.size;
    }
    return rc;
}

enum tm_code rank_tables_read(struct engine *e, const struct rank_request *q, struct rank_tables *t,
                              struct tm_error *err)
{
    *t = (struct rank_tables){.schema = engine_schema(e)};
    version_input_sources(t->schema, &t->sources);
    for (uint32_t k = 0; k < rank_tables_count(t); k++)
        fetch(e, q, rank_tables_stream(t, k));
    return rank_tables_count(t) ? read_rows(e, q, t, err) : TM_OK;
}

struct bytes rank_tables_row(const struct rank_tables *t, uint32_t candidate, uint8_t stream)
{
    const uint32_t count = rank_tables_count(t);
    uint32_t table = 0;
    while (table < count && rank_tables_stream(t, table) != stream)
        table++;
    CHECK(table < count);
    size_t i = (size_t)candidate * count + table;
    return bytes_of(t->rows.data + t->at[i], t->at[i + 1] - t->at[i]);
}

void rank_tables_close(struct rank_tables *t)
{
    buffer_close(&t->rows);
    free(t->at);
    *t = (struct rank_tables){0};
}
