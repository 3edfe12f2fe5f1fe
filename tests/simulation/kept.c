#include "tests/simulation/kept.h"

#include <inttypes.h>

#include "proto/event.h"
#include "proto/wire.h"
#include "ps/state/record.h"
#include "ps/state/sample_row.h"

enum { ROW = 2 /* tag of a row, behind the shard in its key */ };

static uint8_t impression_stream(const struct catalog *c)
{
    uint8_t i = 0;
    while (c->join.stream[i].kind != JOINER_IMPRESSION)
        i++;
    return i;
}

static bool same_bytes(const struct event *a, const struct event *b)
{
    uint32_t features = EVENT_HAS_FEATURES | EVENT_HAS_ITEM_FEATURES;
    return (a->has & features) == (b->has & features) && a->encoding == b->encoding &&
           a->item_encoding == b->item_encoding && bytes_equal(a->features, b->features) &&
           bytes_equal(a->item_features, b->item_features) && bytes_equal(a->representation, b->representation) &&
           bytes_equal(a->payload, b->payload);
}

/* What feature streams brought: by the records that the oracle joined, as they were sent. */
static void check_records(const struct mill *m, uint32_t shard, const struct kept_sample *s, const struct lesson *want)
{
    const struct catalog *c = oracle_catalog(m->history->oracle);
    struct reader r = reader_of(s->records);
    struct wire_field field;
    uint32_t count = 0;
    while (wire_next(&r, &field)) {
        struct event kept, sent;
        if (count == want->records)
            mismatch("shard %u keeps too many records of sample %" PRIu64, shard, s->sequence);
        const struct oracle_record *from = &oracle_shard(m->history->oracle, shard)->record[want->record[count++]];
        CHECK(event_scan_parts(from->wire, from->shared, &sent, NULL) == TM_OK);
        if (event_scan(field.bytes, &kept, NULL) != TM_OK || !same_bytes(&kept, &sent) || kept.time != from->time ||
            !bytes_equal(kept.stream, bytes_text(c->stream_name[from->stream])))
            mismatch("shard %u keeps another record %u of sample %" PRIu64, shard, count, s->sequence);
    }
    if (r.bad || count != want->records || s->streams != want->streams)
        mismatch("shard %u keeps %u records of sample %" PRIu64 ", of %u streams; expected %u of %u", shard, count,
                 s->sequence, s->streams, want->records, want->streams);
}

static void check_sample(const struct mill *m, uint32_t shard, const struct kept_sample *s, const struct sample *want)
{
    const struct catalog *c = oracle_catalog(m->history->oracle);
    struct block_event event = {.wire = s->wire};
    struct joiner_record record;
    if (s->sequence != want->sequence || s->kind != want->kind || s->original != want->original ||
        s->version != want->version || s->impression_time != want->impression_time || s->position != want->position ||
        s->weight != want->weight || s->keep != want->keep || s->excluded != want->excluded ||
        s->old_excluded != want->old_excluded)
        mismatch("shard %u keeps another sample %" PRIu64, shard, want->sequence);
    for (uint32_t i = 0; i < c->join.labels; i++)
        if (s->label[i] != want->labels[i] || s->old_label[i] != (s->original ? want->old_labels[i] : 0))
            mismatch("shard %u keeps other labels of sample %" PRIu64, shard, want->sequence);
    struct event ids;
    event.stream = impression_stream(c);
    CHECK(event_scan(s->wire, &ids, NULL) == TM_OK);
    bool only_doc = c->join.action_keys && want->position != 0 && !ids.request.size && !ids.user.size;
    if (record_resolve(&event, c, SIMULATION_HASH_SEED, &record, NULL) != TM_OK ||
        (!only_doc && !hash128_equal(record.key, want->key)) || !hash128_equal(record.doc, want->doc))
        mismatch("shard %u keeps other ids of sample %" PRIu64, shard, want->sequence);
}

static uint32_t check_row(const struct mill *m, uint32_t shard, uint32_t seen, struct bytes row)
{
    const struct lessons *l = &oracle_shard(m->history->oracle, shard)->lessons;
    struct sample_row_reader r;
    struct kept_sample s;
    struct tm_error err;
    bool end = false;
    enum tm_code rc = sample_row_open(row, &r, &err);
    while (rc == TM_OK && (rc = sample_row_next(&r, &s, &end, &err)) == TM_OK && !end) {
        if (seen == l->lessons)
            mismatch("shard %u keeps more than its %u samples", shard, l->lessons);
        check_sample(m, shard, &s, &l->lesson[seen].sample);
        check_records(m, shard, &s, &l->lesson[seen++]);
    }
    if (rc != TM_OK)
        mismatch("shard %u: %s", shard, err.message);
    return seen;
}

void kept_check(const struct mill *m)
{
    const struct memory_table *t = &m->store.table[STORE_ARCHIVE];
    uint32_t seen[WORLD_SHARDS_MAX] = {0};
    for (size_t i = 0; i < t->rows; i++) {
        uint32_t shard = key_get_u16(t->row[i].key.data);
        if (t->row[i].key.data[2] == ROW)
            seen[shard] = check_row(m, shard, seen[shard], buffer_view(&t->row[i].value));
    }
    for (uint32_t i = 0; i < m->shards; i++)
        if (seen[i] != (m->keeps ? oracle_shard(m->history->oracle, i)->lessons.lessons : 0))
            mismatch("shard %u keeps %u samples of %u", i, seen[i],
                     oracle_shard(m->history->oracle, i)->lessons.lessons);
}
