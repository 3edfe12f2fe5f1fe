#include <stdlib.h>

#include "ps/state/record.h"
#include "ps/state/shard_state.h"

struct shard *shard_open(const struct shard_options *options)
{
    struct shard *s = mem_new(1, sizeof *s);
    s->options = *options;
    s->keep_from = s->waiting_from = s->runs_from = s->attribution_from = 1;
    s->dead_letters = dead_letters_open(options->id);
    sample_log_open(&s->log, options->id, 1, 1, 0);
    feature_rows_open(&s->features, options->id);
    archive_open(&s->archive, options->id, &options->archive);
    param_store_open(&s->params, options->id,
                     options->param_chunk_bytes ? options->param_chunk_bytes : PARAM_CHUNK_BYTES);
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
    param_store_close(&s->params);
    for (uint32_t i = 0; i < s->slots; i++) {
        table_close(s->slot[i].table);
        resets_close(&s->slot[i].resets);
        shard_judge_close(s->slot[i].judge);
        shard_batches_close(&s->slot[i]);
    }
    free(s->slot);
    free(s->route);
    free(s->batcher);
    free(atomic_load(&s->readers));
    free(s->new_doc);
    sample_log_close(&s->log);
    feature_rows_close(&s->features);
    feature_vector_close(&s->hand.vector);
    encoding_close(&s->encoding);
    free(s->old_x);
    buffer_close(&s->hand.packed);
    buffer_close(&s->tables.found);
    buffer_close(&s->tables.rows);
    buffer_close(&s->records.one);
    buffer_close(&s->records.all);
    archive_close(&s->archive);
    buffer_close(&s->newest_ids);
    buffer_close(&s->new_doc_text);
    shard_names_close(&s->names);
    catalog_close(&s->catalog);
    free(s);
}

void shard_set_aside(struct shard *s, const struct joiner_record *r, enum joiner_reason reason)
{
    dead_letters_add(s->dead_letters, r, reason);
    if (s->options.aside)
        s->options.aside(s->options.context, s->options.id, r->stream, r->position, reason, r->body, r->shared);
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    shard_set_aside(self, r, reason);
}

static struct joiner_output output_of(struct shard *s)
{
    return (struct joiner_output){.self = s,
                                  .sample = shard_take_sample,
                                  .aside = on_aside,
                                  .left_out = shard_leave_out,
                                  .coming = s->tables.count ? shard_coming : NULL};
}

void shard_follow_catalog(struct shard *s)
{
    if (s->catalog.joined && !s->joiner) {
        shard_order_sources(s);
        s->joiner = joiner_open(&s->catalog.join, output_of(s));
        shard_keep_runs(s);
    }
    shard_add_versions(s);
}

/* Of impressions from this position on: the first join there is, or another epoch of it. */
static void begin_epoch(struct shard *s, uint64_t position)
{
    catalog_begin_epoch(&s->catalog, position);
    if (!s->joiner) {
        shard_follow_catalog(s);
        return;
    }
    shard_order_sources(s);
    joiner_change(s->joiner, &s->catalog.join, output_of(s));
}

/* There is less room for what waits; or a version that was paused, and kept what it had, must share it again. */
static bool tightens(enum catalog_change_kind kind)
{
    return kind == CATALOG_LIMITED || kind == CATALOG_RESUMED || kind == CATALOG_DISCARDED;
}

static void follow_change(struct shard *s, struct catalog_change change, struct bytes control, uint64_t position)
{
    if (change.kind == CATALOG_SAME)
        return;
    if (change.kind == CATALOG_JOINED)
        begin_epoch(s, position);
    if (change.kind == CATALOG_CREATED)
        shard_follow_catalog(s);
    if (change.kind == CATALOG_LIMITED && s->joiner)
        joiner_set_bounds(s->joiner, s->catalog.join.held_bytes_max, s->catalog.join.decided_bytes_max);
    if (change.kind == CATALOG_RULED && s->joiner)
        joiner_set_rules(s->joiner, &s->catalog.join.rules);
    if (change.kind == CATALOG_DISCARDED)
        shard_discard(s, change.version);
    if (tightens(change.kind))
        shard_keep_batch_bound(s);
    if (change.kind == CATALOG_RESET)
        shard_reset(s, change.version, control);
    if (change.kind == CATALOG_ENCODED)
        shard_change_encoder(s, change.version);
    s->catalog_changed = s->changed = true;
}

static enum tm_code apply_controls(struct shard *s, const struct block *b, struct tm_error *err)
{
    struct reader r = reader_of(b->control_bytes);
    struct bytes control;
    while (block_next_control(b, &r, &control)) {
        struct catalog_change change;
        enum tm_code rc = catalog_apply(&s->catalog, control, &change, err);
        if (rc != TM_OK)
            return tm_error_wrap(err, "control record in the block at position %llu", (unsigned long long)b->first);
        follow_change(s, change, control, b->first);
        if (s->trouble.code != TM_OK)
            return tm_error_set(err, s->trouble.code, "shard %u: %s", s->options.id, s->trouble.message);
    }
    return TM_OK;
}

enum { GROUP = 16 }; /* events whose cache misses overlap */

/* Impressions of a group that are decided as they arrive. */
static void fetch_rows(struct shard *s, const struct joiner_record *record, const bool *readable, uint32_t n)
{
    struct sample_features shown[GROUP];
    uint32_t count = 0;
    int64_t gate = joiner_gate(&s->catalog.join, s->watermark);
    for (uint32_t i = 0; i < n; i++)
        if (readable[i] && s->catalog.join.stream[record[i].stream].kind == JOINER_IMPRESSION && record[i].time < gate)
            shown[count++] = (struct sample_features){record[i].body, record[i].shared, record[i].stream};
    if (count > 0)
        shard_coming(s, shown, count);
}

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
        readable[i] = record_resolve(&event[i], &s->catalog, s->options.hash_seed, &record[i], NULL) == TM_OK;
        if (readable[i])
            joiner_prefetch(s->joiner, &record[i]);
    }
    if (s->tables.count)
        fetch_rows(s, record, readable, n);
    for (uint32_t i = 0; i < n; i++) {
        s->at_hand = &event[i];
        s->tables.end = event[i].position;
        if (readable[i])
            joiner_step(s->joiner, &record[i]);
        else
            joiner_malformed(s->joiner, event[i].stream, event[i].position, event[i].wire, event[i].shared);
    }
    s->at_hand = NULL;
    return TM_OK;
}

static uint32_t group_of(uint32_t events) { return events < GROUP ? events : GROUP; }

/* The bytes of a group come to the cache while the one in front of it is joined. */
static enum tm_code apply_events(struct shard *s, const struct block *b, uint32_t first, uint32_t events,
                                 struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    block_prefetch(b, first, 0, group_of(events));
    for (uint32_t i = 0, n; rc == TM_OK && i < events; i += n) {
        n = group_of(events - i);
        block_prefetch(b, first, i + n, group_of(events - i - n));
        rc = apply_group(s, b, first, i, n, err);
    }
    return rc;
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
    s->tables.end = b->first;
    if (s->joiner) {
        advance(s, before);
        shard_pass_batches(s); /* as at the end of the steps that did not touch it */
    }
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
    rc = apply_events(s, b, first, events, err);
    if (rc != TM_OK)
        return rc;
    s->tables.end = b->end;
    advance(s, after);
    rc = shard_catch_up(s, err);
    if (slot != SHARD_NOT_NAMED)
        shard_sweep(s);
    shard_pass_batches(s);
    if (rc == TM_OK && s->trouble.code == TM_OK)
        joiner_failure(s->joiner, &s->trouble);
    if (s->trouble.code == TM_OK)
        return rc;
    return tm_error_set(err, s->trouble.code, "shard %u: %s", s->options.id, s->trouble.message);
}

bool shard_behind(const struct shard *s) { return s->behind; }

int64_t shard_gate(const struct shard *s, const int64_t *watermarks)
{
    return s->joiner ? joiner_gate_at(s->joiner, watermarks) : WATERMARK_NONE;
}

bool shard_due(const struct shard *s, const int64_t *watermarks)
{
    return s->behind || (s->joiner && joiner_is_due(s->joiner, watermarks)) ||
           (s->batching && shard_batches_due(s, shard_gate(s, watermarks)));
}

uint64_t shard_position(const struct shard *s) { return s->position; }
const int64_t *shard_watermarks(const struct shard *s) { return s->watermark; }
const struct catalog *shard_catalog(const struct shard *s) { return &s->catalog; }
bool shard_changed(const struct shard *s) { return s->changed; }
size_t shard_unfrozen(const struct shard *s)
{
    return (s->joiner ? joiner_unfrozen(s->joiner) : 0) + sample_log_unfrozen(&s->log) +
           feature_rows_unfrozen(&s->features) + archive_unfrozen(&s->archive) + shard_judge_unfrozen(s) +
           s->batch_unfrozen + s->new_doc_text.size;
}

uint64_t shard_archived(const struct shard *s) { return archive_end(&s->archive); }

struct shard_room shard_room(const struct shard *s)
{
    if (!s->joiner)
        return (struct shard_room){0};
    return (struct shard_room){joiner_held_bytes(s->joiner), joiner_pace(s->joiner).decided};
}

static void count_joined(const struct shard *s, struct shard_counts *out)
{
    out->samples = joiner_sequence(s->joiner);
    out->gate = joiner_gate_now(s->joiner);
    out->front = joiner_front(s->joiner);
    out->decided_before = joiner_decided_before(s->joiner);
    out->epoch = s->catalog.join.epoch[s->catalog.join.epochs - 1].number;
    out->oldest_epoch = joiner_oldest_epoch(s->joiner);
    out->undecided = joiner_undecided(s->joiner);
    out->undecided_entries = joiner_undecided_entries(s->joiner);
    out->undecided_payload = joiner_undecided_payload(s->joiner);
    out->decided = joiner_decided(s->joiner);
    out->pace = joiner_pace(s->joiner);
    memcpy(out->streams, joiner_counts(s->joiner), sizeof out->streams);
    for (uint32_t i = 0; i < s->catalog.join.streams; i++) {
        const struct delays *delays = joiner_delays(s->joiner, i);
        if (!delays)
            continue;
        out->delays[i] = mem_new(1, sizeof *delays);
        *out->delays[i] = *delays;
    }
}

static struct judge_counts judge_counts(const struct judge *j)
{
    return j ? (struct judge_counts){j->refused[VALIDATION_SERVED], j->refused[VALIDATION_PREQUENTIAL], j->unjudged}
             : (struct judge_counts){0};
}

void shard_count(const struct shard *s, struct shard_counts *out)
{
    shard_counts_close(out);
    struct shard_version_counts *version = mem_new(s->slots, sizeof *version);
    *out = (struct shard_counts){.position = s->position,
                                 .gate = WATERMARK_NONE,
                                 .front = WATERMARK_NONE,
                                 .kept_bytes = s->archive.index.bytes,
                                 .decided_before = WATERMARK_NONE,
                                 .versions = s->slots,
                                 .version = version};
    if (s->joiner)
        count_joined(s, out);
    for (uint32_t i = 0; i < s->slots; i++) {
        const struct version_slot *slot = &s->slot[i];
        version[i] = (struct shard_version_counts){.id = slot->version->id,
                                                   .fresh = slot->fresh,
                                                   .corrections = slot->corrections,
                                                   .intervals = cursor_intervals(&slot->cursor, shard_horizon(s, slot)),
                                                   .documents = table_count(slot->table) - table_free(slot->table),
                                                   .repairs = slot->repairs,
                                                   .judge = judge_counts(slot->judge),
                                                   .open_batches = slot->batches ? slot->batches->open : 0,
                                                   .batches = slot->fired,
                                                   .bytes = table_bytes(slot->table)};
    }
}

void shard_counts_close(struct shard_counts *c)
{
    free(c->version);
    for (uint32_t i = 0; i < JOINER_STREAMS_MAX; i++)
        free(c->delays[i]);
    *c = (struct shard_counts){0};
}

const struct validation *shard_validation(struct shard *s, uint32_t version, enum validation_kind kind)
{
    const struct version_slot *slot = shard_slot(s, version);
    return slot && slot->judge ? slot->judge->kind[kind] : NULL;
}

struct doc_id shard_doc_id(struct bytes doc, uint64_t hash_seed) { return doc_id_of(hash_128(doc, hash_seed)); }
