/* Rows of tables for samples: fetched together for impressions that are about to be decided, found one by one. */
#include "proto/wire.h"
#include "ps/state/shard_state.h"

void shard_order_sources(struct shard *s)
{
    const struct catalog *c = &s->catalog;
    struct sample_tables *t = &s->tables;
    t->count = version_input_tables(c, t->stream);
    version_input_sources(c, &s->sources);
}

static bool has_features(const struct shard *s, uint32_t table)
{
    return !s->catalog.join.stream[s->tables.stream[table]].payload_only;
}

/* Learners want features; who keeps samples for people wants all of them. */
static bool is_wanted(const struct shard *s, uint32_t table)
{
    return archive_keeps(&s->archive) || (s->feature_slots && has_features(s, table));
}

void shard_coming(void *self, const struct sample_features *shown, uint32_t count)
{
    struct shard *s = self;
    struct lookup_key keys[JOINER_COMING_MAX];
    CHECK(count <= JOINER_COMING_MAX);
    for (uint32_t t = 0; t < s->tables.count; t++) {
        uint32_t found = 0;
        for (uint32_t i = 0; i < count && is_wanted(s, t); i++) {
            struct event e;
            shard_read_event(shown[i].body, shown[i].shared, &e);
            found +=
                lookup_key_of(&e, &s->catalog, s->tables.stream[t], s->options.id, s->options.hash_seed, &keys[found]);
        }
        s->options.lookup.fetch(s->options.lookup.self, keys, found);
    }
}

/* The event of the row that counts; empty: there is none. */
static struct bytes find_row(struct shard *s, const struct event *shown, int64_t time, uint8_t stream)
{
    struct lookup_key key;
    struct buffer *row = &s->tables.found;
    bool found = false;
    row->size = 0;
    if (s->trouble.code != TM_OK ||
        !lookup_key_of(shown, &s->catalog, stream, s->options.id, s->options.hash_seed, &key) ||
        s->options.lookup.find(s->options.lookup.self, &key, time, s->tables.end, row, &found, &s->trouble) != TM_OK ||
        !found)
        return (struct bytes){0};
    return buffer_view(row);
}

void shard_find_rows(struct shard *s, const struct sample *sample)
{
    enum { ROW = 1 }; /* of TableRows */
    struct sample_tables *tables = &s->tables;
    struct event shown;
    shard_read_event(sample->body, sample->shared, &shown);
    tables->rows.size = 0;
    for (uint32_t t = 0; t < tables->count; t++) {
        struct bytes row = {0};
        if (is_wanted(s, t) && tables->stream[t] < sample->streams)
            row = find_row(s, &shown, sample->impression_time, tables->stream[t]);
        if (row.size)
            wire_put_bytes(&tables->rows, ROW, row);
        tables->at[t] = tables->rows.size - row.size;
        tables->size[t] = row.size;
    }
}

struct bytes shard_found_row(const struct shard *s, uint8_t stream)
{
    const struct sample_tables *tables = &s->tables;
    uint32_t t = 0;
    while (t < tables->count && tables->stream[t] != stream)
        t++;
    CHECK(t < tables->count);
    return bytes_of(tables->rows.data + tables->at[t], tables->size[t]);
}
