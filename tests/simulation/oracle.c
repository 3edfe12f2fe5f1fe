/* The sequence: what every block does to every shard; and the answers. */
#include "tests/simulation/oracle.h"

#include <stdlib.h>

#include "proto/wire.h"
#include "tests/simulation/encoders.h"
#include "tests/simulation/oracle_state.h"
#include "tests/simulation/world.h"

struct oracle *oracle_open(uint32_t shards, uint64_t hash_seed)
{
    struct oracle *o = mem_new(1, sizeof *o);
    o->shards = shards;
    o->hash_seed = hash_seed;
    o->shard = mem_new(shards, sizeof *o->shard);
    for (uint32_t i = 0; i < shards; i++)
        o->shard[i].gone = o->shard[i].ahead = o->shard[i].told_at = o->shard[i].least_gate = o->shard[i].least_expiry =
            WATERMARK_NONE;
    o->least_horizon = WATERMARK_NONE;
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        o->watermark[i] = WATERMARK_NONE;
    return o;
}

void oracle_close(struct oracle *o)
{
    for (uint32_t i = 0; i < o->shards; i++) {
        free(o->shard[i].record);
        lessons_close(&o->shard[i].lessons);
    }
    free(o->shard);
    free(o->epoch);
    told_rows_close(&o->rows);
    catalog_close(&o->catalog);
    free(o);
}

static void let_orphans_go(struct oracle *o, struct oracle_shard *s)
{
    int64_t actions = oracle_lateness_horizon(o), features = oracle_horizon(o, oracle_nearby(o));
    for (uint32_t i = 0; i < s->records; i++) {
        struct oracle_record *r = &s->record[i];
        bool action = o->catalog.join.stream[r->stream].kind == JOINER_ACTION;
        if (r->fate == FATE_WAITING && r->time < (action ? actions : features))
            oracle_settle(r, FATE_ORPHANED, REASON_ORPHANED);
    }
}

/* The undecided impression that is due and comes first: smallest time, then smallest position. */
static uint32_t next_due(const struct oracle *o, const struct oracle_shard *s)
{
    uint32_t best = NOBODY;
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        if (is_undecided(o, r) && r->time < oracle_gate_of(o, r->epoch) &&
            (best == NOBODY || r->time < s->record[best].time))
            best = i; /* records lie in the order of positions */
    }
    return best;
}

static void pass_time(struct oracle *o, struct oracle_shard *s)
{
    uint32_t next;
    let_orphans_go(o, s);
    while ((next = next_due(o, s)) != NOBODY)
        oracle_decide(o, s, next);
    oracle_decide_ready(o, s);
    while (oracle_give_up(o, s)) {
    }
    oracle_forget(o, s);
}

/* Whoever is asked of everything is asked of every document. */
static void take_reset(struct oracle *o, struct bytes control)
{
    Tidemill__V1__Control *m =
        (Tidemill__V1__Control *)wire_unpack(&tidemill__v1__control__descriptor, control, 1 << 20, NULL);
    for (uint32_t i = 0; i < o->catalog.versions; i++)
        for (uint32_t doc = 0; doc < WORLD_DOCS_MAX && o->catalog.version[i]->id == m->reset->id; doc++) {
            bool all = m->reset->all, named = all;
            for (size_t k = 0; k < m->reset->n_docs; k++)
                named |= strcmp(m->reset->docs[k], world_doc(doc)) == 0;
            for (uint32_t k = 0; named && k < o->shards; k++) /* named: a document without a parameter is passed by */
                if (all || o->shard[k].lessons.student[i].known[doc])
                    lessons_reset(&o->shard[k].lessons, o->catalog.version[i], i, doc);
        }
    wire_free(&m->base);
}

static void begin_epoch(struct oracle *o)
{
    const struct joiner_config *c = &o->catalog.join;
    o->epoch = mem_grow(o->epoch, o->epochs + 1, sizeof *o->epoch);
    o->epoch[o->epochs++] = (struct oracle_epoch){c->streams, c->labels, c->window_ms, c->at_once};
    for (uint32_t i = 0; i < o->shards; i++)
        let_orphans_go(o, &o->shard[i]);
}

/* What was so far stays so far. */
static void end_epoch(struct oracle *o)
{
    if (o->epochs == 0)
        return;
    o->least_horizon = oracle_lateness_horizon(o);
    for (uint32_t i = 0; i < o->shards; i++) {
        o->shard[i].least_gate = oracle_shard_gate(o, &o->shard[i]);
        o->shard[i].least_expiry = oracle_expiry(o, &o->shard[i]);
    }
}

static bool is_join(struct bytes control)
{
    Tidemill__V1__Control *m =
        (Tidemill__V1__Control *)wire_unpack(&tidemill__v1__control__descriptor, control, 1 << 20, NULL);
    bool join = m->join != NULL;
    wire_free(&m->base);
    return join;
}

static void take_control(struct oracle *o, struct bytes control)
{
    struct catalog_change change;
    if (is_join(control))
        end_epoch(o);
    enum version_state before[LESSONS_VERSIONS_MAX] = {0};
    for (uint32_t i = 0; i < o->catalog.versions; i++)
        before[i] = o->catalog.state[i];
    CHECK(catalog_apply(&o->catalog, control, &change, NULL) == TM_OK);
    if (change.kind == CATALOG_JOINED)
        begin_epoch(o);
    CHECK(o->catalog.versions <= LESSONS_VERSIONS_MAX);
    for (uint32_t i = 0; i < o->catalog.versions && change.kind == CATALOG_DISCARDED; i++)
        for (uint32_t k = 0; k < o->shards && o->catalog.version[i]->id == change.version; k++) {
            CHECK(before[i] == VERSION_PAUSED);
            lessons_discard(&o->shard[k].lessons, i);
        }
    if (change.kind == CATALOG_RESET)
        take_reset(o, control);
    for (uint32_t i = 0; i < o->catalog.versions; i++)
        for (uint32_t k = 0; k < o->shards; k++) {
            const struct encoder_id *id = &o->catalog.encoder[i];
            const struct version *v = o->catalog.version[i];
            lessons_encode(&o->shard[k].lessons, v, i, id->text[0] ? world_encoder_find(NULL, id, NULL) : NULL,
                           change.kind == CATALOG_ENCODED && change.version == v->id);
        }
    for (uint32_t k = 0; k < o->shards && change.kind == CATALOG_LIMITED; k++)
        oracle_keep_bounds(o, &o->shard[k]);
    bool resumed = change.kind == CATALOG_RESUMED || change.kind == CATALOG_DISCARDED;
    for (uint32_t k = 0; k < o->shards && (change.kind == CATALOG_LIMITED || resumed); k++)
        waiting_keep_bound(&o->shard[k].lessons, &o->catalog);
}

/* How many events of the shard have the same shared part as this one. */
static uint32_t sharers_of(const struct block *b, uint32_t first, uint32_t events, const struct block_event *e)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < events && e->shared.size; i++) {
        struct block_event other;
        block_event_at(b, first, i, &other);
        count += other.shared.data == e->shared.data;
    }
    return count;
}

void oracle_block(struct oracle *o, const struct block *b)
{
    struct reader r = reader_of(b->control_bytes);
    struct bytes control;
    uint8_t stream;
    int64_t time;
    while (block_next_control(b, &r, &control))
        take_control(o, control);
    told_rows_add(&o->rows, &o->catalog, b);
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        for (uint32_t i = 0; i < events; i++) {
            struct block_event e;
            block_event_at(b, first, i, &e);
            oracle_take(o, &o->shard[shard], &e, sharers_of(b, first, events, &e));
        }
    }
    r = reader_of(b->punctuation_bytes);
    while (block_next_punctuation(&r, &stream, &time))
        o->watermark[stream] = time;
    o->here = b->end;
    for (uint32_t i = 0; i < o->shards; i++) {
        pass_time(o, &o->shard[i]);
        lessons_end_block(&o->shard[i].lessons, &o->catalog, oracle_shard_gate(o, &o->shard[i]));
    }
}

/* ---- answers ---- */

const struct oracle_shard *oracle_shard(const struct oracle *o, uint32_t shard) { return &o->shard[shard]; }
const struct catalog *oracle_catalog(const struct oracle *o) { return &o->catalog; }
const int64_t *oracle_watermarks(const struct oracle *o) { return o->watermark; }
int64_t oracle_gate(const struct oracle *o, uint32_t shard) { return oracle_shard_gate(o, &o->shard[shard]); }

bool oracle_behind(const struct oracle *o)
{
    for (uint32_t i = 0; i < o->shards; i++)
        if (lessons_behind(&o->shard[i].lessons, &o->catalog))
            return true;
    return false;
}

struct stream_counts oracle_counts(const struct oracle *o, uint32_t shard, uint32_t stream)
{
    struct stream_counts c = {0};
    for (uint32_t i = 0; i < o->shard[shard].records; i++) {
        const struct oracle_record *r = &o->shard[shard].record[i];
        if (r->stream != stream)
            continue;
        c.consumed++;
        switch (r->fate) {
        case FATE_WAITING: c.waiting++; break;
        case FATE_MATCHED:
            if (o->catalog.join.stream[stream].kind == JOINER_IMPRESSION && !r->decided)
                c.waiting++;
            else
                c.matched++;
            break;
        case FATE_LATE: c.late++; break;
        case FATE_ORPHANED: c.orphaned++; break;
        case FATE_DUPLICATE: c.duplicate++; break;
        case FATE_FILTERED: c.filtered++; break;
        case FATE_SHED: c.shed++; break;
        case FATE_APPLIED:
            c.applied++;
            c.table_late += r->behind;
            break;
        }
    }
    c.crowded_out = o->shard[shard].crowded_out[stream];
    uint32_t first = 0;
    while (o->catalog.join.stream[first].kind != JOINER_IMPRESSION)
        first++;
    c.given_up = stream == first ? o->shard[shard].given_up : 0;
    return c;
}

struct delays oracle_delays(const struct oracle *o, uint32_t shard, uint32_t stream)
{
    struct delays d = {0};
    const struct oracle_shard *s = &o->shard[shard];
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        if (r->stream != stream || !r->met || r->withdraw || o->catalog.join.stream[stream].kind != JOINER_ACTION)
            continue;
        int64_t delay = r->time - s->record[r->impression].time;
        uint32_t bucket = DELAY_BEFORE;
        while (bucket < DELAY_LONGER && delay > (bucket == DELAY_BEFORE ? -1 : delay_bounds[bucket - 1]))
            bucket++;
        d.bucket[bucket]++;
        d.sum_ms += delay > 0 ? (uint64_t)delay : 0;
    }
    return d;
}

const struct oracle_record *oracle_find(const struct oracle *o, uint32_t shard, uint64_t position)
{
    for (uint32_t i = 0; i < o->shard[shard].records; i++)
        if (o->shard[shard].record[i].position == position)
            return &o->shard[shard].record[i];
    return NULL;
}
