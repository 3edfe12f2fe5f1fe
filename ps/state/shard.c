#include <stdlib.h>

#include "base/rcu.h"
#include "proto/event.h"
#include "ps/state/record.h"
#include "ps/state/shard_state.h"

struct shard *shard_open(const struct shard_options *options)
{
    struct shard *s = mem_new(1, sizeof *s);
    s->options = *options;
    s->keep_from = 1;
    s->dead_letters = dead_letters_open(options->id);
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        s->watermark[i] = WATERMARK_NONE;
    return s;
}

void shard_close(struct shard *s)
{
    if (!s)
        return;
    joiner_close(s->joiner);
    dead_letters_close(s->dead_letters);
    for (uint32_t i = 0; i < s->slots; i++)
        table_close(s->slot[i].table);
    free(s->slot);
    free(s->route);
    free(atomic_load(&s->readers));
    free(s->new_doc);
    buffer_close(&s->samples);
    buffer_close(&s->new_doc_text);
    catalog_close(&s->catalog);
    free(s);
}

struct version_slot *shard_slot(struct shard *s, uint32_t version)
{
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->slot[i].version->id == version)
            return &s->slot[i];
    return NULL;
}

const struct table *shard_table(const struct shard *s, uint32_t version)
{
    const struct table_set *set = atomic_load_explicit(&s->readers, memory_order_acquire);
    for (uint32_t i = 0; set && i < set->count; i++)
        if (set->item[i].version == version)
            return set->item[i].table;
    return NULL;
}

static void publish_tables(struct shard *s)
{
    struct table_set *set = mem_new(1, sizeof *set + s->slots * sizeof set->item[0]);
    for (uint32_t i = 0; i < s->slots; i++) {
        set->item[i].version = s->slot[i].version->id;
        set->item[i].table = s->slot[i].table;
    }
    set->count = s->slots;
    struct table_set *old = atomic_exchange_explicit(&s->readers, set, memory_order_acq_rel);
    if (old)
        rcu_retire(old);
}

static int by_source(const void *a, const void *b)
{
    const struct route *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void plan_routes(struct shard *s)
{
    s->routes = 0;
    for (uint32_t i = 0; i < s->slots; i++)
        s->routes += s->slot[i].version->samples_from_count;
    s->route = mem_grow(s->route, s->routes, sizeof *s->route);
    s->routes = 0;
    for (uint32_t i = 0; i < s->slots; i++)
        for (uint32_t k = 0; k < s->slot[i].version->samples_from_count; k++)
            s->route[s->routes++] = (struct route){s->slot[i].version->samples_from[k], i};
    qsort(s->route, s->routes, sizeof *s->route, by_source);
}

/* The impression's event names the document; its text goes to the store with the first parameter made for it. */
static void note_doc(struct shard *s, struct doc_id id, struct bytes body)
{
    struct event e;
    CHECK(event_scan(body, &e, NULL) == TM_OK); /* it was read when it came in */
    if (s->new_docs == s->new_doc_capacity) {
        s->new_doc_capacity = s->new_doc_capacity ? s->new_doc_capacity * 2 : 64;
        s->new_doc = mem_grow(s->new_doc, s->new_doc_capacity, sizeof *s->new_doc);
    }
    s->new_doc[s->new_docs++] = (struct new_doc){id, (uint32_t)s->new_doc_text.size, (uint32_t)e.doc.size};
    buffer_put(&s->new_doc_text, e.doc.data, e.doc.size);
}

static struct example example_of(const struct version *v, const struct sample *s, uint64_t labels)
{
    return (struct example){
        .reward = (double)(labels >> v->reward_label & 1), .weight = s->weight / s->keep, .time = s->impression_time};
}

static void learn_new(struct shard *s, struct version_slot *slot, const struct sample *sample)
{
    uint64_t content[MODEL_BLOCK_MAX / 8];
    const struct version *v = slot->version;
    size_t size = v->model->block_size(&v->config);
    struct doc_id id = doc_id_of(sample->doc);
    struct example e = example_of(v, sample, sample->labels);
    bool fresh;
    CHECK(size <= sizeof content);
    v->model->init(&v->config, content);
    uint32_t number = table_upsert(slot->table, id, content, &fresh);
    if (fresh)
        note_doc(s, id, sample->body);
    memcpy(content, table_block(slot->table, number), size);
    v->model->learn(&v->config, content, &e, 1);
    table_write(slot->table, number, content);
    table_mark_dirty(slot->table, number, id);
    cursor_learn_through(&slot->cursor, sample->sequence);
    slot->fresh.samples++;
    slot->fresh.learned++;
}

/* A correction applies if and only if its original was learned. */
static void learn_correction(struct version_slot *slot, const struct sample *sample)
{
    uint64_t content[MODEL_BLOCK_MAX / 8];
    const struct version *v = slot->version;
    size_t size = v->model->block_size(&v->config);
    struct doc_id id = doc_id_of(sample->doc);
    struct correction change = {example_of(v, sample, sample->old_labels), example_of(v, sample, sample->labels)};
    bool learned = cursor_learned(&slot->cursor, sample->original);
    cursor_learn_through(&slot->cursor, sample->sequence);
    slot->corrections.samples++;
    if (!learned) {
        slot->corrections.skipped++;
        return;
    }
    uint32_t number = table_find(slot->table, id);
    CHECK(number != TABLE_NONE && size <= sizeof content);
    memcpy(content, table_block(slot->table, number), size);
    v->model->correct(&v->config, content, &change);
    table_write(slot->table, number, content);
    table_mark_dirty(slot->table, number, id);
    slot->corrections.learned++;
}

static void on_sample(void *self, const struct sample *sample)
{
    struct shard *s = self;
    uint32_t low = 0, high = s->routes;
    sample_encode(sample, &s->samples);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->route[middle].source < sample->version)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < s->routes && s->route[low].source == sample->version; low++) {
        struct version_slot *slot = &s->slot[s->route[low].slot];
        if (sample->kind == SAMPLE_NEW)
            learn_new(s, slot, sample);
        else
            learn_correction(slot, sample);
    }
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    struct shard *s = self;
    dead_letters_add(s->dead_letters, r, reason);
    if (s->options.aside)
        s->options.aside(s->options.context, s->options.id, r->stream, r->position, reason, r->body);
}

void shard_follow_catalog(struct shard *s)
{
    if (s->catalog.joined && !s->joiner)
        s->joiner = joiner_open(&s->catalog.join, (struct joiner_output){s, on_sample, on_aside});
    for (uint32_t i = s->slots; i < s->catalog.versions; i++) {
        const struct version *v = s->catalog.version[i];
        s->slot = mem_grow(s->slot, i + 1, sizeof *s->slot);
        s->slot[i] = (struct version_slot){.version = v, .table = table_open(v->model->block_size(&v->config))};
        cursor_start(&s->slot[i].cursor, (s->joiner ? joiner_sequence(s->joiner) : 0) + 1);
        s->slots = i + 1;
    }
    plan_routes(s);
    publish_tables(s);
}

static enum tm_code apply_controls(struct shard *s, const struct block *b, struct tm_error *err)
{
    struct reader r = reader_of(b->control_bytes);
    struct bytes control;
    while (block_next_control(b, &r, &control)) {
        enum tm_code rc = catalog_apply(&s->catalog, control, err);
        if (rc != TM_OK)
            return tm_error_wrap(err, "control record in the block at position %llu", (unsigned long long)b->first);
        shard_follow_catalog(s);
        s->catalog_changed = s->changed = true;
    }
    return TM_OK;
}

enum { GROUP = 16 }; /* events whose cache misses overlap */

/* Read a group of events before the first of them is joined, so that the index slots of all are on their way. */
static enum tm_code apply_group(struct shard *s, const struct block *b, uint32_t first, uint32_t from, uint32_t n,
                                struct tm_error *err)
{
    struct block_event event[GROUP];
    struct joiner_record record[GROUP];
    bool readable[GROUP];
    for (uint32_t i = 0; i < n; i++) {
        block_event_at(b, first, from + i, &event[i]);
        if (event[i].stream >= s->catalog.join.streams)
            return tm_error_set(err, TM_DATA_LOSS, "an event at position %llu is of stream %u; there are %u",
                                (unsigned long long)event[i].position, event[i].stream, s->catalog.join.streams);
        readable[i] = record_resolve(&event[i], s->catalog.key_fields, s->options.hash_seed, &record[i], NULL) == TM_OK;
        if (readable[i])
            joiner_prefetch(s->joiner, record[i].key);
    }
    for (uint32_t i = 0; i < n; i++)
        if (readable[i])
            joiner_step(s->joiner, &record[i]);
        else
            joiner_malformed(s->joiner, event[i].stream, event[i].position, event[i].wire);
    return TM_OK;
}

/* Watermarks in front of an event count for it, whether or not the shard was touched when they moved. */
static void advance(struct shard *s, const int64_t *watermarks)
{
    if (memcmp(s->watermark, watermarks, s->catalog.join.streams * sizeof *watermarks) == 0)
        return;
    memcpy(s->watermark, watermarks, s->catalog.join.streams * sizeof *watermarks);
    joiner_advance(s->joiner, watermarks);
    s->changed = true;
}

enum tm_code shard_step(struct shard *s, const struct block *b, uint32_t slot, const int64_t *before,
                        const int64_t *after, struct tm_error *err)
{
    uint32_t shard, events = 0, first = 0;
    if (s->joiner)
        advance(s, before);
    enum tm_code rc = apply_controls(s, b, err);
    if (rc != TM_OK)
        return rc;
    if (!s->joiner)
        return slot == SHARD_NOT_NAMED ? TM_OK
                                       : tm_error_set(err, TM_DATA_LOSS, "an event before any join configuration");
    if (slot != SHARD_NOT_NAMED) {
        block_shard(b, slot, &shard, &events, &first);
        CHECK(shard == s->options.id);
        s->changed = true;
    }
    for (uint32_t i = 0; i < events; i += GROUP) {
        rc = apply_group(s, b, first, i, events - i < GROUP ? events - i : GROUP, err);
        if (rc != TM_OK)
            return rc;
    }
    advance(s, after);
    return TM_OK;
}

bool shard_due(const struct shard *s, int64_t gate)
{
    return s->joiner && gate != WATERMARK_NONE && joiner_next_due(s->joiner) < gate;
}

uint64_t shard_position(const struct shard *s) { return s->position; }
const int64_t *shard_watermarks(const struct shard *s) { return s->watermark; }
const struct catalog *shard_catalog(const struct shard *s) { return &s->catalog; }
bool shard_changed(const struct shard *s) { return s->changed; }
size_t shard_unfrozen(const struct shard *s)
{
    return (s->joiner ? joiner_unfrozen(s->joiner) : 0) + s->samples.size + s->new_doc_text.size;
}

void shard_count(const struct shard *s, struct shard_counts *out)
{
    struct shard_version_counts *version = mem_grow(out->version, s->slots, sizeof *version);
    *out = (struct shard_counts){
        .position = s->position, .gate = WATERMARK_NONE, .versions = s->slots, .version = version};
    if (s->joiner) {
        out->samples = joiner_sequence(s->joiner);
        out->gate = joiner_gate(&s->catalog.join, s->watermark);
        out->undecided = joiner_undecided(s->joiner);
        out->decided = joiner_decided(s->joiner);
        memcpy(out->streams, joiner_counts(s->joiner), sizeof out->streams);
    }
    for (uint32_t i = 0; i < s->slots; i++)
        version[i] = (struct shard_version_counts){s->slot[i].version->id, s->slot[i].fresh, s->slot[i].corrections,
                                                   table_count(s->slot[i].table)};
}

void shard_counts_close(struct shard_counts *c)
{
    free(c->version);
    *c = (struct shard_counts){0};
}

struct doc_id shard_doc_id(struct bytes doc, uint64_t hash_seed) { return doc_id_of(hash_128(doc, hash_seed)); }
