#include "tests/simulation/mill.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ps/state/lookup_sweep.h"
#include "ps/state/param_store.h"
#include "tests/simulation/encoders.h"
#include "tests/simulation/kept.h"

static void on_aside(void *context, uint32_t shard, uint8_t stream, uint64_t position, enum joiner_reason reason,
                     struct bytes body, struct bytes shared)
{
    struct mill_shard *s = &((struct mill *)context)->shard[shard];
    history_check_aside(s->mill->history, shard, stream, position, reason, body, shared);
    for (uint32_t i = 0; i < s->asides; i++)
        if (s->aside[i] == position)
            return;
    s->aside = mem_grow(s->aside, s->asides + 1, sizeof *s->aside);
    s->aside[s->asides++] = position;
}

/* Made again after a crash, if no commit held it. */
static void on_sample(void *context, uint32_t shard, const struct sample *sample)
{
    struct mill_shard *s = &((struct mill *)context)->shard[shard];
    if (sample->sequence != s->samples + 1)
        mismatch("shard %u: sample %" PRIu64 " follows %" PRIu64, shard, sample->sequence, s->samples);
    history_check_sample(s->mill->history, shard, sample);
    s->samples++;
}

static struct shard_counts counts_of(const struct shard *s)
{
    struct shard_counts counts = {0};
    shard_count(s, &counts);
    return counts;
}

/* ---- start ---- */

/* One block, two or five: so the few documents of a world fill several. */
static size_t chunk_bytes(const struct mill *m) { return (size_t)64 << m->history->world->seed % 3; }

/* Runs of a few keys, tiers of two or three, blocks of one to three keys, filters that are often wrong. In one world of
 * four everything stays in memory. */
static struct runs_tuning runs_of(const struct mill *m)
{
    uint64_t seed = m->history->world->seed;
    return (struct runs_tuning){.seal_keys = seed % 4 == 0 ? UINT32_MAX : 1 + (uint32_t)(seed / 4 % 5),
                                .fan_in = 2 + (uint32_t)(seed / 20 % 2),
                                .block_keys = 1 + (uint32_t)(seed / 40 % 3),
                                .filter_bits = 1 + (uint32_t)(seed / 120 % 4)};
}

static void load_shard(struct mill *m, uint32_t i)
{
    struct tm_error err;
    struct store face = memory_store_face(&m->store);
    struct mill_shard *s = &m->shard[i];
    struct archive_options archive = {m->keeps ? INT64_MAX / 2 : 0, UINT64_C(1) << 40};
    s->shard = shard_open(&(struct shard_options){i, SIMULATION_HASH_SEED, on_aside, on_sample, m, face, chunk_bytes(m),
                                                  world_encoder_find, NULL, archive, lookup_cache_source(m->cache),
                                                  runs_of(m)});
    if (shard_load(s->shard, &face, &err) != TM_OK)
        mismatch("shard %u cannot be loaded: %s", i, err.message);
    CLEANUP(shard_counts_close) struct shard_counts counts = counts_of(s->shard);
    history_check_counts(m->history, i, shard_position(s->shard), &counts);
    s->samples = counts.samples;
    s->committed = shard_position(s->shard);
    s->decided_before = counts.decided_before;
    s->rows = (struct shard_rows){0};
}

static void place_thread(struct mill *m, uint32_t thread)
{
    struct mill_thread *t = &m->thread[thread];
    t->position = UINT64_MAX;
    for (uint32_t i = thread; i < m->shards; i += m->threads)
        if (m->shard[i].committed < t->position) {
            t->position = m->shard[i].committed;
            memcpy(t->watermark, shard_watermarks(m->shard[i].shard), sizeof t->watermark);
        }
    const int64_t *want = history_watermarks(m->history, history_at(m->history, t->position));
    for (uint32_t i = 0; i < m->history->world->join.join.streams; i++)
        if (t->watermark[i] != want[i])
            mismatch("thread %u starts at %" PRIu64 " with watermark %" PRId64 " of s%u, expected %" PRId64, thread,
                     t->position, t->watermark[i], i, want[i]);
}

static enum tm_code scan_rows(void *self, const struct store_range *ranges, size_t count, store_visit *visit,
                              struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    const struct mill *m = self;
    for (size_t i = 0; rc == TM_OK && i < count; i++)
        rc = memory_table_scan(m->rows, ranges[i].from, ranges[i].prefix, visit, ranges[i].context, err);
    return rc;
}

/* What is cached dies with the process. A third of the mills have room for one key. */
static void open_cache(struct mill *m)
{
    bool live = m->rows == &m->history->live;
    lookup_cache_close(m->cache);
    m->cache =
        lookup_cache_open((struct lookup_store){m, scan_rows}, (m->history->world->seed + live) % 3 == 0 ? 1 : 1 << 20);
    if (live)
        m->history->cache = m->cache;
}

static void start(struct mill *m, uint32_t threads)
{
    open_cache(m);
    m->threads = threads < m->shards ? threads : m->shards;
    for (uint32_t i = 0; i < m->shards; i++)
        load_shard(m, i);
    for (uint32_t i = 0; i < m->threads; i++)
        place_thread(m, i);
}

void mill_open(struct mill *m, struct history *h, uint32_t threads)
{
    *m = (struct mill){.history = h, .shards = h->world->shards, .keeps = (h->world->seed + threads) % 2 == 0};
    m->rows = h->cache ? &h->rows : &h->live;
    for (uint32_t i = 0; i < m->shards; i++)
        m->shard[i].mill = m;
    start(m, threads);
}

static void stop_shards(struct mill *m)
{
    for (uint32_t i = 0; i < m->shards; i++)
        shard_close(m->shard[i].shard);
}

void mill_close(struct mill *m)
{
    stop_shards(m);
    for (uint32_t i = 0; i < m->shards; i++)
        free(m->shard[i].aside);
    memory_store_close(&m->store);
    lookup_cache_close(m->cache);
}

void mill_crash(struct mill *m, uint32_t commits_that_survive, uint32_t threads)
{
    stop_shards(m);
    memory_store_crash(&m->store, commits_that_survive);
    start(m, threads);
}

/* ---- applying ---- */

static uint32_t slot_of(const struct block *b, uint32_t shard)
{
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t named, events, first;
        block_shard(b, slot, &named, &events, &first);
        if (named == shard)
            return slot;
    }
    return SHARD_NOT_NAMED;
}

/* What can be decided is decided, in every shard, whether or not the block touched it. */
static void check_freshness(const struct mill *m, uint32_t shard, uint64_t position)
{
    CLEANUP(shard_counts_close) struct shard_counts counts = counts_of(m->shard[shard].shard);
    const struct mark *mark = m->history->mark[history_at(m->history, position) - 1];
    if (counts.samples != mark->shard[shard].samples)
        mismatch("shard %u at %" PRIu64 " has made %" PRIu64 " samples; %u are due", shard, position, counts.samples,
                 mark->shard[shard].samples);
}

static void apply_block(struct mill *m, uint32_t thread, const struct block *b)
{
    struct tm_error err;
    struct mill_thread *t = &m->thread[thread];
    int64_t after[JOINER_STREAMS_MAX], time;
    struct reader r = reader_of(b->punctuation_bytes);
    uint8_t stream;
    memcpy(after, t->watermark, sizeof after);
    while (block_next_punctuation(&r, &stream, &time)) {
        if (time <= after[stream])
            mismatch("the watermark of s%u goes from %" PRId64 " to %" PRId64, stream, after[stream], time);
        after[stream] = time;
    }
    for (uint32_t i = thread; i < m->shards; i += m->threads) {
        struct shard *s = m->shard[i].shard;
        uint32_t slot = slot_of(b, i);
        if (shard_position(s) >= b->end || (slot == SHARD_NOT_NAMED && b->controls == 0 && !shard_due(s, after)))
            continue;
        if (shard_step(s, b, slot, t->watermark, after, &err) != TM_OK)
            mismatch("shard %u: %s", i, err.message);
    }
    memcpy(t->watermark, after, sizeof after);
    t->position = b->end;
    for (uint32_t i = thread; i < m->shards; i += m->threads)
        if (m->shard[i].committed <= b->end)
            check_freshness(m, i, b->end);
}

void mill_apply(struct mill *m, uint32_t thread, uint32_t blocks)
{
    uint32_t at = history_at(m->history, m->thread[thread].position);
    for (; blocks > 0 && at < m->history->blocks; blocks--)
        apply_block(m, thread, &m->history->mark[at++]->block);
}

/* ---- commits ---- */

/* What is kept of samples is what was made. */
static void check_kept_samples(const struct mill *m, uint32_t shard, struct bytes encoded)
{
    struct reader r = reader_of(encoded);
    while (reader_left(&r) > 0) {
        struct sample sample;
        sample_decode(&r, &sample);
        if (r.bad)
            mismatch("shard %u keeps what is no sample", shard);
        history_check_sample(m->history, shard, &sample);
    }
}

static void check_batch(const struct mill *m, uint32_t shard, const struct store_batch *batch)
{
    struct reader r = reader_of(buffer_view(&batch->operations));
    struct store_operation op;
    CLEANUP(buffer_close) struct buffer raw = {0};
    while (store_batch_next(&r, &op)) {
        if (op.key.size < 2 || key_get_u16(op.key.data) != shard)
            mismatch("shard %u writes a row of another", shard);
        if (op.table == STORE_SAMPLE && !op.remove)
            check_kept_samples(m, shard, store_operation_value(&op, &raw));
    }
}

void mill_commit(struct mill *m, uint32_t shard)
{
    struct mill_shard *s = &m->shard[shard];
    const struct mill_thread *t = &m->thread[shard % m->threads];
    struct store_batch batch = {0};
    if (!shard_changed(s->shard) && s->committed >= t->position)
        return;
    if (t->position < s->committed)
        mismatch("shard %u changed at %" PRIu64 " although it had committed at %" PRIu64, shard, t->position,
                 s->committed);
    s->rows = shard_commit(s->shard, t->position, t->watermark, &batch);
    check_batch(m, shard, &batch);
    CLEANUP(shard_counts_close) struct shard_counts counts = counts_of(s->shard);
    history_check_counts(m->history, shard, t->position, &counts);
    if (counts.samples != s->samples)
        mismatch("shard %u counts %" PRIu64 " samples, but made %" PRIu64, shard, counts.samples, s->samples);
    s->committed = t->position;
    s->decided_before = counts.decided_before;
    if (t->position == history_end(m->history))
        history_check_tables(m->history, shard, s->shard);
    memory_store_commit(&m->store, &batch);
}

/* From where the shard stands that a crash would set back furthest. */
static void sweep_rows(struct mill *m)
{
    struct lookup_sweep s = {.decided_before = INT64_MAX, .synced = UINT64_MAX};
    bool bad;
    for (uint32_t i = 0; i < m->shards; i++) {
        s.synced = m->shard[i].committed < s.synced ? m->shard[i].committed : s.synced;
        s.decided_before =
            m->shard[i].decided_before < s.decided_before ? m->shard[i].decided_before : s.decided_before;
    }
    for (size_t i = 0; i < m->rows->rows;)
        if (lookup_sweep_row(&s, buffer_view(&m->rows->row[i].key), &bad))
            memory_table_remove(m->rows, buffer_view(&m->rows->row[i].key));
        else
            i++;
}

void mill_sync(struct mill *m)
{
    memory_store_sync(&m->store);
    for (uint32_t i = 0; i < m->shards; i++)
        shard_written(m->shard[i].shard, m->shard[i].rows);
    if (m->rows == &m->history->live)
        sweep_rows(m);
}

/* ---- the end ---- */

static void check_asides(const struct mill *m, uint32_t shard)
{
    const struct oracle_shard *o = oracle_shard(m->history->oracle, shard);
    uint32_t want = 0;
    for (uint32_t i = 0; i < o->records; i++)
        want += oracle_letter(&o->record[i]) != REASON_NONE;
    if (m->shard[shard].asides != want)
        mismatch("shard %u: %u records were set aside, expected %u", shard, m->shard[shard].asides, want);
}

static uint64_t stored_number(const struct memory_table *t, uint32_t shard, int stream, int reason)
{
    uint8_t key[DEAD_LETTER_KEY];
    const struct memory_row *row = memory_table_find(t, bytes_of(key, dead_letter_prefix(key, shard, -1, -1)));
    struct reader r = reader_of(row ? buffer_view(&row->value) : (struct bytes){0});
    struct dead_letter_count c;
    while (dead_letter_count_next(&r, &c))
        if (c.stream == stream && (int)c.reason == reason)
            return c.seen;
    return 0;
}

/* Every letter is of a record that the oracle has set aside for the same reason; their numbers are those of all. */
static void check_letters(const struct mill *m, uint32_t shard)
{
    uint32_t kept[JOINER_STREAMS_MAX][REASON_COUNT] = {0};
    const struct memory_table *t = &m->store.table[STORE_DEAD_LETTER];
    struct dead_letter letter;
    struct tm_error err;
    for (size_t i = 0; i < t->rows; i++) {
        struct bytes key = buffer_view(&t->row[i].key), row = buffer_view(&t->row[i].value);
        if (key_get_u16(key.data) != shard || key.size != DEAD_LETTER_KEY)
            continue;
        if (dead_letter_decode(key, row, &letter, &err) != TM_OK)
            mismatch("shard %u: %s", shard, err.message);
        history_check_letter(m->history, shard, &letter);
        kept[letter.stream][letter.reason]++;
    }
    for (int stream = 0; stream < JOINER_STREAMS_MAX; stream++)
        for (int reason = 0; reason < REASON_COUNT; reason++)
            history_check_letters(m->history, shard, stream, reason, stored_number(t, shard, stream, reason),
                                  kept[stream][reason]);
}

/* Every parameter has its document's name beside it. */
static void check_names(const struct mill *m, uint32_t shard, const struct table *t)
{
    for (uint32_t i = 0; i < table_count(t); i++) {
        uint8_t key[SHARD_DOC_KEY];
        struct doc_id id = table_id(t, i);
        if (doc_id_equal(id, TABLE_NOBODY))
            continue;
        shard_doc_key(key, shard, id);
        const struct memory_row *doc = memory_table_find(&m->store.table[STORE_DOC], bytes_of(key, sizeof key));
        if (!doc)
            mismatch("shard %u stored a parameter without its document's name", shard);
        struct doc_id named = shard_doc_id(buffer_view(&doc->value), SIMULATION_HASH_SEED);
        if (named.low != id.low || named.high != id.high)
            mismatch("shard %u stored the name of another document", shard);
    }
}

static bool somebody_has(const struct mill *m, uint32_t shard, struct doc_id id)
{
    const struct catalog *c = oracle_catalog(m->history->oracle);
    for (uint32_t i = 0; i < c->versions; i++)
        if (table_find(shard_table(m->shard[shard].shard, c->version[i]->id), id) != TABLE_NONE)
            return true;
    return false;
}

/* Has any sample of the shard waited, been given up, or been passed by but for a correction, or a correction of what was
 * not learned, which is named while it is held? Then names may stay, too. */
static bool has_waited(const struct shard_counts *counts)
{
    for (uint32_t i = 0; i < counts->versions; i++) {
        const struct sample_counts *c = &counts->version[i].fresh;
        const struct sample_counts *d = &counts->version[i].corrections;
        if (c->held || d->held || c->batched || d->batched || c->skipped_discarded || c->skipped_limit ||
            c->skipped_reset || c->skipped_filtered || c->skipped_reward || d->skipped_original ||
            d->skipped_filtered || d->skipped_reward)
            return true;
    }
    return false;
}

/* Every name has parameters. */
static void check_no_name_is_left(const struct mill *m, uint32_t shard)
{
    CLEANUP(shard_counts_close) struct shard_counts counts = {0};
    const struct memory_table *t = &m->store.table[STORE_DOC];
    shard_count(m->shard[shard].shard, &counts);
    for (size_t i = 0; i < t->rows && !has_waited(&counts); i++)
        if (key_get_u16(t->row[i].key.data) == shard && !somebody_has(m, shard, shard_doc_of_key(t->row[i].key.data)))
            mismatch("shard %u keeps the name of a document without parameters", shard);
}

/* What the tables allow the deltas to be (ps/state/param_store.h): in proportion to the base. */
static uint64_t deltas_allowed(const struct mill *m, uint32_t shard)
{
    const struct catalog *c = oracle_catalog(m->history->oracle);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->versions; i++) {
        const struct version *v = c->version[i];
        uint64_t size = PARAM_ID_BYTES + version_content_size(v);
        uint64_t blocks = table_count(shard_table(m->shard[shard].shard, v->id)), a_chunk = chunk_bytes(m) / size;
        a_chunk = a_chunk ? a_chunk : 1;
        sum += blocks * size + (blocks + a_chunk - 1) / a_chunk * (chunk_bytes(m) / 8);
    }
    return PARAM_ROLL * sum;
}

static void check_deltas(const struct mill *m, uint32_t shard)
{
    const struct memory_table *t = &m->store.table[STORE_PARAM];
    uint64_t bytes = 0;
    for (size_t i = 0; i < t->rows; i++)
        if (key_get_u16(t->row[i].key.data) == shard && t->row[i].key.data[2] == PARAM_DELTA)
            bytes += t->row[i].value.size;
    if (bytes > deltas_allowed(m, shard))
        mismatch("shard %u keeps %" PRIu64 " bytes of deltas; %" PRIu64 " are allowed", shard, bytes,
                 deltas_allowed(m, shard));
}

static void check_stored(const struct mill *m)
{
    const struct catalog *c = oracle_catalog(m->history->oracle);
    for (uint32_t shard = 0; shard < m->shards; shard++) {
        for (uint32_t i = 0; i < c->versions; i++)
            check_names(m, shard, shard_table(m->shard[shard].shard, c->version[i]->id));
        check_no_name_is_left(m, shard);
        check_deltas(m, shard);
    }
}

/* A row of samples is there because a version goes on in it or behind it. */
static void check_sample_rows(const struct mill *m)
{
    const struct memory_table *t = &m->store.table[STORE_SAMPLE];
    for (size_t i = 0; i < t->rows; i++) {
        uint32_t shard = key_get_u16(t->row[i].key.data);
        struct reader r = reader_of(buffer_view(&t->row[i].value));
        struct sample last = {0};
        while (reader_left(&r))
            sample_decode(&r, &last);
        const struct history *h = m->history;
        uint32_t needed = lessons_needed(&oracle_shard(h->oracle, shard)->lessons, oracle_catalog(h->oracle));
        if (last.sequence < needed)
            mismatch("shard %u keeps sample %" PRIu64 ", which nobody needs", shard, last.sequence);
    }
}

static void check_all(const struct mill *m)
{
    for (uint32_t i = 0; i < m->shards; i++) {
        if (m->shard[i].committed != history_end(m->history))
            mismatch("shard %u stands at %" PRIu64 " of %" PRIu64, i, m->shard[i].committed, history_end(m->history));
        history_check_tables(m->history, i, m->shard[i].shard);
        history_check_validation(m->history, i, m->shard[i].shard);
        check_asides(m, i);
        check_letters(m, i);
    }
    check_stored(m);
}

static void put_validation(const struct validation *v, struct buffer *out)
{
    if (!v)
        return;
    validation_encode_head(v, out);
    for (uint32_t pane = 0; pane < VALIDATION_PANES; pane++)
        validation_encode_pane(v, pane, out);
}

static void compare_validations(struct shard *a, struct shard *b, uint32_t version)
{
    for (int k = 0; k < VALIDATION_KINDS; k++) {
        CLEANUP(buffer_close) struct buffer one = {0}, other = {0};
        put_validation(shard_validation(a, version, (enum validation_kind)k), &one);
        put_validation(shard_validation(b, version, (enum validation_kind)k), &other);
        if (!bytes_equal(buffer_view(&one), buffer_view(&other)))
            mismatch("other threads and commits make other validations");
    }
}

void mill_compare(const struct mill *a, const struct mill *b)
{
    const struct catalog *c = oracle_catalog(a->history->oracle);
    for (uint32_t i = 0; i < a->shards; i++)
        for (uint32_t k = 0; k < c->versions; k++) {
            const struct version *v = c->version[k];
            const struct table *s = shard_table(a->shard[i].shard, v->id), *t = shard_table(b->shard[i].shard, v->id);
            compare_validations(a->shard[i].shard, b->shard[i].shard, v->id);
            if (table_count(s) != table_count(t))
                mismatch("other threads and commits make other documents");
            for (uint32_t n = 0; n < table_count(s); n++)
                if (table_id(s, n).low != table_id(t, n).low || table_id(s, n).high != table_id(t, n).high ||
                    memcmp(table_block(s, n), table_block(t, n), version_content_size(v)) != 0)
                    mismatch("other threads and commits make other parameters");
        }
}

void mill_finish(struct mill *m)
{
    for (uint32_t i = 0; i < m->threads; i++)
        mill_apply(m, i, UINT32_MAX);
    for (uint32_t i = 0; i < m->shards; i++)
        mill_commit(m, i);
    mill_sync(m);
    check_sample_rows(m);
    kept_check(m);
    check_all(m);
    mill_crash(m, 0, m->threads);
    check_all(m);
}
