/* The durable half of a shard: what a commit carries, and how a shard comes back from it. */
#include "ps/state/shard_state.h"

enum {
    SHARD_FORMAT = 18,
    SHARD_KEY = 2,   /* shard */
    COMMIT_KEY = 10, /* shard, commit number */
};

static void shard_key(uint8_t key[static SHARD_KEY], uint32_t shard) { key_put_u16(key, (uint16_t)shard); }

static void commit_key(uint8_t key[static COMMIT_KEY], uint32_t shard, uint64_t commit)
{
    key_put_u16(key, (uint16_t)shard);
    key_put_u64(key + 2, commit);
}

void shard_doc_key(uint8_t key[static SHARD_DOC_KEY], uint32_t shard, struct doc_id id)
{
    key_put_u16(key, (uint16_t)shard);
    key_put_u64(key + 2, id.low);
    key_put_u32(key + 10, id.high);
}

struct doc_id shard_doc_of_key(const uint8_t key[static SHARD_DOC_KEY])
{
    return (struct doc_id){key_get_u64(key + 2), key_get_u32(key + 10)};
}

static void put_parameters(struct shard *s, struct store_batch *out)
{
    param_store_commit(&s->params, out);
    for (size_t i = 0; i < s->new_docs; i++) {
        uint8_t key[SHARD_DOC_KEY] = {0};
        shard_doc_key(key, s->options.id, s->new_doc[i].id);
        if (s->new_doc[i].size == 0) {
            store_batch_remove(out, STORE_DOC, bytes_of(key, sizeof key));
            continue;
        }
        store_batch_put(out, STORE_DOC, bytes_of(key, sizeof key),
                        bytes_of(s->new_doc_text.data + s->new_doc[i].offset, s->new_doc[i].size));
    }
    s->new_docs = s->new_doc_text.size = 0;
}

/* What came in and what was decided share the commit's number: the one goes when nothing in it waits any more, the
 * other when it is in a sorted run or expired. The samples have numbers of their own, and go when no version wants
 * them. */
static void put_history(struct shard *s, struct store_batch *out)
{
    struct joiner_delta delta;
    uint8_t key[COMMIT_KEY] = {0};
    struct bytes k = bytes_of(key, sizeof key);
    s->freezing = out;
    if (joiner_freeze(s->joiner, s->commit + 1, &delta))
        commit_key(key, s->options.id, ++s->commit);
    s->freezing = NULL;
    CHECK(sample_log_unfrozen(&s->log) == 0 || delta.run.size > 0);
    if (delta.chunk.size)
        store_batch_put(out, STORE_CHUNK, k, delta.chunk);
    if (delta.run.size)
        store_batch_put(out, STORE_RUN, k, delta.run);
    if (delta.attribution.size)
        store_batch_put(out, STORE_ATTRIBUTION, k, delta.attribution);
    sample_log_freeze(&s->log, shard_rows_needed(s), out);
    feature_rows_freeze(&s->features, joiner_expiry(s->joiner), shard_features_held(s), out);
    archive_freeze(&s->archive, joiner_gate_now(s->joiner), out);
    s->keep_from = delta.keep_from;
    for (; s->waiting_from < delta.waiting_from; s->waiting_from++) {
        commit_key(key, s->options.id, s->waiting_from);
        store_batch_remove(out, STORE_CHUNK, k);
    }
    for (; s->runs_from < delta.runs_from; s->runs_from++) {
        commit_key(key, s->options.id, s->runs_from);
        store_batch_remove(out, STORE_RUN, k);
    }
    for (; s->attribution_from < delta.attribution_from; s->attribution_from++) {
        commit_key(key, s->options.id, s->attribution_from);
        if (s->catalog.join.action_keys)
            store_batch_remove(out, STORE_ATTRIBUTION, k);
    }
}

static void encode_slot(const struct version_slot *slot, struct buffer *out)
{
    buffer_put_u32(out, slot->version->id);
    cursor_encode(&slot->cursor, out);
    buffer_put_u64(out, slot->place.row);
    buffer_put_u64(out, slot->place.bytes);
    buffer_put_i64(out, slot->horizon);
    buffer_put_u64(out, slot->features_from);
    sample_counts_encode(&slot->fresh, out);
    sample_counts_encode(&slot->corrections, out);
    buffer_put_u64(out, slot->repairs);
    buffer_put_u32(out, slot->sweep_next);
    buffer_put_u32(out, slot->sweep_owed);
    buffer_put_u64(out, slot->encoded_from);
    resets_encode(&slot->resets, out);
    buffer_put_u32(out, table_count(slot->table));
    if (slot->judge)
        shard_judge_encode(slot->judge, out);
    if (slot->batches)
        shard_batches_encode(slot, out);
}

/* A byte says whether there are any: only of streams of which an action has matched. */
static void encode_delays(const struct delays *d, struct buffer *out)
{
    buffer_put_u8(out, d != NULL);
    if (d)
        delays_encode(d, out);
}

static void encode_place(const struct shard *s, struct buffer *out)
{
    const struct stream_counts *counts = s->joiner ? joiner_counts(s->joiner) : NULL;
    buffer_put_u8(out, SHARD_FORMAT);
    buffer_put_u64(out, s->position);
    buffer_put_u64(out, s->commit);
    buffer_put_u64(out, s->keep_from);
    buffer_put_u64(out, s->waiting_from);
    buffer_put_u64(out, s->joiner ? joiner_sequence(s->joiner) : 0);
    buffer_put_u32(out, s->catalog.join.streams);
    for (uint32_t i = 0; i < s->catalog.join.streams; i++) {
        buffer_put_i64(out, s->watermark[i]);
        stream_counts_encode(&counts[i], out);
        encode_delays(joiner_delays(s->joiner, i), out);
    }
    if (s->joiner)
        joiner_encode_remembered(s->joiner, out);
    buffer_put_u64(out, s->log.first);
    buffer_put_u64(out, s->log.frozen);
    buffer_put_u64(out, s->log.bytes);
    feature_rows_encode(&s->features, out);
    param_store_encode(&s->params, out);
    buffer_put_u8(out, shard_names_left(s));
    buffer_put_u32(out, s->slots);
    for (uint32_t i = 0; i < s->slots; i++)
        encode_slot(&s->slot[i], out);
}

struct shard_rows shard_commit(struct shard *s, uint64_t position, const int64_t *watermarks, struct store_batch *out)
{
    CLEANUP(buffer_close) struct buffer value = {0};
    uint8_t key[SHARD_KEY] = {0};
    shard_key(key, s->options.id);
    CHECK(s->trouble.code == TM_OK); /* the step said so */
    if (s->joiner) {
        if (memcmp(s->watermark, watermarks, s->catalog.join.streams * sizeof *watermarks) != 0) {
            memcpy(s->watermark, watermarks, s->catalog.join.streams * sizeof *watermarks);
            joiner_advance(s->joiner, watermarks);
            shard_pass_batches(s);
        }
        put_history(s, out);
        put_parameters(s, out);
        shard_judge_commit(s, out);
        shard_batches_commit(s, out);
    }
    dead_letters_commit(s->dead_letters, out);
    s->position = position;
    if (s->catalog_changed) {
        catalog_encode(&s->catalog, &value);
        store_batch_put(out, STORE_CATALOG, bytes_of(key, sizeof key), buffer_view(&value));
        value.size = 0;
    }
    encode_place(s, &value);
    store_batch_put(out, STORE_SHARD, bytes_of(key, sizeof key), buffer_view(&value));
    s->catalog_changed = s->changed = false;
    return (struct shard_rows){s->log.frozen, s->features.frozen, s->commit};
}

/* Loading: the place first, then runs, chunks and parameters. */

struct loading {
    struct shard *shard;
    bool found;
    uint64_t sequence;
    struct stream_counts counts[JOINER_STREAMS_MAX];
};

static enum tm_code load_catalog(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct loading *l = context;
    (void)key;
    enum tm_code rc = catalog_decode(&l->shard->catalog, value, err);
    if (rc == TM_OK)
        shard_follow_catalog(l->shard);
    if (rc == TM_OK && l->shard->trouble.code != TM_OK)
        return tm_error_set(err, l->shard->trouble.code, "%s", l->shard->trouble.message);
    return rc;
}

/* Of a version that holds something: its next sample was made, and its row is kept. */
static bool fits_log(const struct sample_log *l, const struct version_slot *slot, uint64_t sequence)
{
    return slot->cursor.next <= sequence && slot->place.bytes < l->bytes && slot->place.row >= l->first &&
           slot->place.row < l->frozen;
}

static enum tm_code load_version(struct loading *l, struct version_slot *slot, struct reader *r, struct tm_error *err)
{
    enum tm_code rc = cursor_decode(&slot->cursor, r, err);
    if (rc != TM_OK)
        return rc;
    slot->place.row = reader_u64(r);
    slot->place.bytes = reader_u64(r);
    slot->horizon = reader_i64(r);
    slot->features_from = reader_u64(r);
    sample_counts_decode(r, &slot->fresh);
    sample_counts_decode(r, &slot->corrections);
    slot->repairs = reader_u64(r);
    slot->sweep_next = reader_u32(r);
    slot->sweep_owed = reader_u32(r);
    slot->encoded_from = reader_u64(r);
    rc = resets_decode(&slot->resets, r, err);
    if (rc != TM_OK)
        return rc;
    slot->stored_documents = reader_u32(r);
    if (slot->judge)
        shard_judge_decode(slot->judge, r);
    if (slot->batches)
        shard_batches_decode(slot, r);
    if (slot_held(slot) && !fits_log(&l->shard->log, slot, l->sequence))
        return tm_error_set(err, TM_DATA_LOSS, "version %s holds samples that the stored place does not know",
                            slot->version->name);
    return TM_OK;
}

static enum tm_code load_versions(struct loading *l, struct reader *r, struct tm_error *err)
{
    struct shard *s = l->shard;
    uint64_t first = reader_u64(r), next = reader_u64(r), bytes = reader_u64(r);
    if (first < 1 || first > next)
        return tm_error_set(err, TM_DATA_LOSS, "the stored place of the sample log is damaged");
    sample_log_open(&s->log, s->options.id, first, next, bytes);
    feature_rows_decode(&s->features, r);
    param_store_decode(&s->params, r);
    s->names.left = reader_u8(r) != 0;
    uint32_t count = reader_u32(r);
    enum tm_code rc = TM_OK;
    for (uint32_t i = 0; rc == TM_OK && i < count && !r->bad; i++) {
        struct version_slot *slot = shard_slot(s, reader_u32(r));
        if (!slot)
            return tm_error_set(err, TM_DATA_LOSS, "the stored place names a version that the catalog does not know");
        rc = load_version(l, slot, r, err);
    }
    shard_count_held(s);
    return rc;
}

static void load_delays(struct shard *s, uint32_t stream, struct reader *r)
{
    struct delays delays;
    if (reader_u8(r) == 0)
        return;
    delays_decode(r, &delays);
    if (!r->bad)
        joiner_load_delays(s->joiner, stream, &delays);
}

static enum tm_code load_place(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct loading *l = context;
    struct shard *s = l->shard;
    struct reader r = reader_of(value);
    uint8_t format = reader_u8(&r);
    (void)key;
    if (format != SHARD_FORMAT)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "the state is of format %u, and this program reads %d: it was written by another version "
                            "of the program, which can still read it",
                            format, SHARD_FORMAT);
    l->found = true;
    s->position = reader_u64(&r);
    s->commit = reader_u64(&r);
    s->keep_from = reader_u64(&r);
    s->waiting_from = reader_u64(&r);
    l->sequence = reader_u64(&r);
    if (reader_u32(&r) != s->catalog.join.streams)
        return tm_error_set(err, TM_DATA_LOSS, "the stored place and the catalog differ in their streams");
    for (uint32_t i = 0; i < s->catalog.join.streams; i++) {
        s->watermark[i] = reader_i64(&r);
        stream_counts_decode(&r, &l->counts[i]);
        load_delays(s, i, &r);
    }
    if (s->joiner)
        joiner_load_remembered(s->joiner, &r);
    enum tm_code rc = load_versions(l, &r, err);
    if (rc == TM_OK && (r.bad || reader_left(&r) || s->keep_from < 1 || s->keep_from > s->commit + 1))
        return tm_error_set(err, TM_DATA_LOSS, "the stored place is damaged");
    return rc;
}

/* The number of the commit that a row belongs to; false: not one of those that this shard still keeps. */
static bool kept_commit(const struct shard *s, struct bytes key, uint64_t *commit)
{
    if (key.size != COMMIT_KEY)
        return false;
    *commit = key_get_u64(key.data + 2);
    return *commit >= s->keep_from && *commit <= s->commit;
}

static enum tm_code load_run(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct shard *s = ((struct loading *)context)->shard;
    uint64_t commit;
    if (!kept_commit(s, key, &commit))
        return tm_error_set(err, TM_DATA_LOSS, "a run that belongs to no commit");
    return joiner_load_run(s->joiner, commit, value, err);
}

static enum tm_code load_attribution(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct shard *s = ((struct loading *)context)->shard;
    uint64_t commit;
    if (!kept_commit(s, key, &commit))
        return tm_error_set(err, TM_DATA_LOSS, "attributed actions that belong to no commit");
    return joiner_load_attribution(s->joiner, value, err);
}

static enum tm_code load_chunk(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct shard *s = ((struct loading *)context)->shard;
    uint64_t commit;
    if (!kept_commit(s, key, &commit))
        return tm_error_set(err, TM_DATA_LOSS, "a chunk that belongs to no commit");
    return joiner_load_chunk(s->joiner, commit, value, err);
}

static enum tm_code check_documents(const struct shard *s, struct tm_error *err)
{
    for (uint32_t i = 0; i < s->slots; i++)
        if (table_count(s->slot[i].table) != s->slot[i].stored_documents)
            return tm_error_set(err, TM_DATA_LOSS, "version %s has %u documents; the last commit counted %u",
                                s->slot[i].version->name, table_count(s->slot[i].table), s->slot[i].stored_documents);
    return TM_OK;
}

static enum tm_code load_tables(struct loading *l, const struct store *store, struct bytes prefix, struct tm_error *err)
{
    struct shard *s = l->shard;
    enum tm_code rc = TM_OK;
    if (s->joiner) {
        uint8_t from[COMMIT_KEY];
        commit_key(from, s->options.id, s->waiting_from);
        joiner_load_begin(s->joiner, s->watermark);
        rc = shard_load_runs(s, store, err);
        if (rc == TM_OK)
            rc = joiner_load_commits(s->joiner, s->keep_from, s->commit, err);
        s->runs_from = joiner_runs_from(s->joiner);
        s->attribution_from = joiner_attribution_from(s->joiner);
        if (rc == TM_OK)
            rc = store->scan(store->self, STORE_RUN, prefix, prefix, load_run, l, err);
        if (rc == TM_OK)
            rc = store->scan(store->self, STORE_ATTRIBUTION, prefix, prefix, load_attribution, l, err);
        if (rc == TM_OK)
            rc = store->scan(store->self, STORE_CHUNK, bytes_of(from, sizeof from), prefix, load_chunk, l, err);
        if (rc == TM_OK)
            rc = joiner_load_done(s->joiner, s->position, l->sequence, l->counts, err);
    }
    if (rc == TM_OK)
        rc = param_store_load(&s->params, store, err);
    if (rc == TM_OK)
        rc = shard_judge_load(s, store, prefix, err);
    if (rc == TM_OK)
        rc = shard_batches_load(s, store, prefix, err);
    if (rc == TM_OK)
        rc = shard_sweep_names(s, store, prefix, err);
    return rc == TM_OK ? check_documents(s, err) : rc;
}

enum tm_code shard_load(struct shard *s, const struct store *store, struct tm_error *err)
{
    struct loading l = {.shard = s};
    uint8_t key[SHARD_KEY] = {0};
    struct bytes prefix = bytes_of(key, sizeof key);
    shard_key(key, s->options.id);
    CHECK(s->position == 0 && s->catalog.versions == 0);
    enum tm_code rc = store->scan(store->self, STORE_CATALOG, prefix, prefix, load_catalog, &l, err);
    if (rc == TM_OK)
        rc = store->scan(store->self, STORE_SHARD, prefix, prefix, load_place, &l, err);
    if (rc == TM_OK && l.found)
        rc = load_tables(&l, store, prefix, err);
    if (rc == TM_OK && l.found)
        rc = dead_letters_load(s->dead_letters, store, err);
    if (rc == TM_OK && l.found)
        rc = archive_load(&s->archive, store, err);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "shard %u", s->options.id);
}
