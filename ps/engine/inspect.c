/* What operators ask: counters as of the last commits, and every parameter as it lies in the state. */
#include <stdlib.h>

#include "proto/event.h"
#include "ps/engine/parts.h"
#include "ps/state/param_store.h"

/* Shards have their versions in the order in which they were made, too; one that is newer than the list is left out. */
static struct engine_version_status *version_status(struct engine_status *out, uint32_t guess, uint32_t id)
{
    if (guess < out->version_count && out->versions[guess].version->id == id)
        return &out->versions[guess];
    for (uint32_t i = 0; i < out->version_count; i++)
        if (out->versions[i].version->id == id)
            return &out->versions[i];
    return NULL;
}

static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

/* Imbalances are added up shard by shard and without their sign: two that cancel out are two, not none. */
static void add_shard(const struct shard_counts *c, uint32_t streams, struct engine_status *out)
{
    for (uint32_t i = 0; i < streams; i++) {
        stream_counts_add(&out->streams[i], &c->streams[i]);
        out->imbalance += magnitude(stream_counts_imbalance(&c->streams[i]));
    }
    for (uint32_t i = 0; i < c->versions; i++) {
        const struct shard_version_counts *from = &c->version[i];
        struct engine_version_status *v = version_status(out, i, from->id);
        int64_t imbalance =
            magnitude(sample_counts_imbalance(&from->fresh)) + magnitude(sample_counts_imbalance(&from->corrections));
        if (!v)
            continue;
        sample_counts_add(&v->fresh, &from->fresh);
        sample_counts_add(&v->corrections, &from->corrections);
        v->documents += from->documents;
        v->bytes += from->bytes;
        v->repairs += from->repairs;
        v->open_batches += from->open_batches;
        batch_counts_add(&v->batches, &from->batches);
        v->judge.served += from->judge.served;
        v->judge.prequential += from->judge.prequential;
        v->judge.corrections += from->judge.corrections;
        v->imbalance += imbalance;
        out->imbalance += imbalance;
    }
}

void engine_status(struct engine *e, struct engine_status *out)
{
    struct committer *c = &e->committer;
    *out = (struct engine_status){.applied = engine_applied(e),
                                  .recovery_ms = e->recovery_ms,
                                  .recovered_events = e->recovered_events,
                                  .version_count = registry_count(e->registry),
                                  .as_of = engine_gate(e),
                                  .tables = lookup_any(engine_schema(e))};
    lookup_rows_count(e->lookups, &out->lookups);
    input_log_status(e->log, &out->log);
    disk_status(e->dir.disk, &out->disk);
    out->versions = mem_new(out->version_count, sizeof *out->versions);
    out->shards = mem_new(e->options.shards, sizeof *out->shards);
    for (uint32_t i = 0; i < out->version_count; i++) {
        out->versions[i].version = registry_at(e->registry, i);
        out->versions[i].state = registry_state(e->registry, out->versions[i].version);
    }
    pthread_mutex_lock(&c->mutex);
    out->commits = c->commits;
    out->commit_bytes = c->bytes;
    for (uint32_t i = 0; i < e->options.shards; i++) {
        const struct shard_counts *counts = &c->counts[i];
        add_shard(counts, engine_schema(e)->join.streams, out);
        out->shards[i] = (struct engine_shard_status){e->shard_worker[i], counts->position, counts->samples,
                                                      counts->undecided,  counts->decided,  counts->kept_bytes};
    }
    pthread_mutex_unlock(&c->mutex);
    for (uint32_t i = 0; i < out->version_count; i++) {
        struct engine_version_status *v = &out->versions[i];
        v->catching_up = v->state == VERSION_LEARNING ? v->fresh.held + v->corrections.held : 0;
    }
}

struct shard_version_counts inspect_version(struct engine *e, const struct version *v)
{
    struct shard_version_counts sum = {.id = v->id};
    pthread_mutex_lock(&e->committer.mutex);
    for (uint32_t i = 0; i < e->options.shards; i++) {
        const struct shard_counts *c = &e->committer.counts[i];
        for (uint32_t k = 0; k < c->versions; k++) {
            if (c->version[k].id != v->id)
                continue;
            sample_counts_add(&sum.fresh, &c->version[k].fresh);
            sample_counts_add(&sum.corrections, &c->version[k].corrections);
            sum.documents += c->version[k].documents;
            sum.intervals = c->version[k].intervals > sum.intervals ? c->version[k].intervals : sum.intervals;
        }
    }
    pthread_mutex_unlock(&e->committer.mutex);
    return sum;
}

void engine_status_close(struct engine_status *s)
{
    free(s->versions);
    free(s->shards);
    *s = (struct engine_status){0};
}

enum { PIECE_ROWS = 1000 };

/* A walk over the parameters of one version, shard by shard, in the order of the document's hash. The parameters are
 * read first, so that every one of them finds its document, whatever is committed meanwhile. Documents are read in
 * pieces, and visited between two of these: a visitor may wait for a slow reader, and a database in use cannot be
 * opened again after the disk was full. */
struct walk {
    struct engine *engine;
    const struct version *version;
    const char *encoder;             /* of the version; NULL: it has none */
    struct table *table;             /* of one shard */
    uint32_t left;                   /* in it, without a document yet */
    struct buffer piece;             /* documents: {number of the block u32, size u32, text}... */
    uint32_t pieced;                 /* how many */
    uint8_t from[SHARD_DOC_KEY + 1]; /* where the next piece begins: right behind the last key */
    int64_t as_of;
    engine_visit_row *visit; /* NULL: digest instead */
    void *context;
    struct buffer row; /* what the digest hashes of one document */
    struct hash128 digest;
    uint64_t documents;
};

static void add128(struct hash128 *sum, struct hash128 v)
{
    sum->lo += v.lo;
    sum->hi += v.hi + (sum->lo < v.lo);
}

static enum tm_code digest_row(struct walk *w, struct bytes doc, struct bytes block)
{
    w->row.size = 0;
    buffer_put_bytes(&w->row, doc);
    buffer_put(&w->row, block.data, block.size);
    add128(&w->digest, hash_128(buffer_view(&w->row), 0));
    return TM_OK;
}

static enum tm_code export_row(struct walk *w, struct bytes doc, const void *content, struct tm_error *err)
{
    const struct model *m = w->version->model;
    const struct model_config *config = &w->version->config;
    CLEANUP(block_copy_close) struct block_copy values;
    double *value = block_copy_open(&values, m->width(config) * sizeof *value);
    struct export_row row = {.doc = doc, .values = value};
    m->values(config, content, w->as_of, value);
    m->describe(config, content, w->as_of, &row.belief);
    return w->visit(w->context, &row, err);
}

static enum tm_code on_doc(void *context, struct bytes key, struct bytes doc, struct tm_error *err)
{
    struct walk *w = context;
    if (key.size != SHARD_DOC_KEY || doc.size > EVENT_ID_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "a document's row has a key of %zu bytes and a name of %zu", key.size,
                            doc.size);
    uint32_t number = table_find(w->table, shard_doc_of_key(key.data));
    if (number == TABLE_NONE) /* other versions' document, or a newer one */
        return TM_OK;
    buffer_put_u32(&w->piece, number);
    buffer_put_bytes(&w->piece, doc);
    memcpy(w->from, key.data, key.size);
    return ++w->pieced < PIECE_ROWS ? TM_OK : STORE_ENOUGH;
}

/* A parameter that was reset is as if it had never been, and so is a document that is not admitted or has expired:
 * whether it was swept away already must not show. */
static bool has_learned(const struct walk *w, const void *block)
{
    const struct version *v = w->version;
    struct summary summary;
    v->model->summarise(&v->config, block, &summary);
    return summary.samples > 0 && model_knows(v->model, &v->config, block, w->as_of);
}

static enum tm_code visit_piece(struct walk *w, struct tm_error *err)
{
    struct reader r = reader_of(buffer_view(&w->piece));
    size_t size = w->version->model->block_size(&w->version->config);
    enum tm_code rc = TM_OK;
    while (rc == TM_OK && reader_left(&r)) {
        const void *block = table_block(w->table, reader_u32(&r));
        struct bytes doc = reader_bytes(&r);
        w->left--;
        if (!has_learned(w, block))
            continue;
        w->documents++;
        rc = w->visit ? export_row(w, doc, block, err) : digest_row(w, doc, bytes_of(block, size));
    }
    return rc;
}

static enum tm_code walk_docs(struct walk *w, const struct store *store, uint32_t shard, struct tm_error *err)
{
    struct bytes prefix = bytes_of(w->from, sizeof(uint16_t)), from = prefix;
    enum tm_code rc;
    memset(w->from, 0, sizeof w->from);
    shard_doc_key(w->from, shard, (struct doc_id){0});
    do {
        w->piece.size = w->pieced = 0;
        rc = store->scan(store->self, STORE_DOC, from, prefix, on_doc, w, err);
        from = bytes_of(w->from, sizeof w->from);
        if (rc == TM_OK)
            rc = visit_piece(w, err);
    } while (rc == TM_OK && w->pieced == PIECE_ROWS);
    return rc;
}

static enum tm_code read_shard(struct walk *w, const struct store *store, uint32_t shard, struct tm_error *err)
{
    struct param_store params;
    param_store_open(&params, shard, PARAM_CHUNK_BYTES);
    param_store_add(&params, w->version, w->table);
    enum tm_code rc = param_store_read(&params, store, err);
    param_store_close(&params);
    w->left = table_count(w->table) - table_free(w->table);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "shard %u", shard);
}

static enum tm_code walk_shard(struct walk *w, const struct store *store, uint32_t shard, struct tm_error *err)
{
    w->table = table_open(version_content_size(w->version));
    enum tm_code rc = read_shard(w, store, shard, err);
    if (rc == TM_OK)
        rc = walk_docs(w, store, shard, err);
    if (rc == TM_OK && w->left && !version_is_mortal(w->version)) /* those may go while they are read */
        rc = tm_error_set(err, TM_DATA_LOSS, "shard %u: %u parameters of version %s have no document", shard, w->left,
                          w->version->name);
    table_close(w->table);
    return rc;
}

/* Parameters of two encoders never go together: what is stored must be of the one that the version has when the walk
 * begins, and it must have that one when the walk ends. */
static enum tm_code settle_encoder(struct walk *w, struct tm_error *err)
{
    uint64_t position;
    w->encoder = registry_encoder(w->engine->registry, w->version);
    return w->encoder ? engine_drain(w->engine, &position, err) : TM_OK;
}

static enum tm_code check_encoder(const struct walk *w, struct tm_error *err)
{
    if (registry_encoder(w->engine->registry, w->version) == w->encoder)
        return TM_OK;
    return tm_error_set(err, TM_ABORTED, "version %s got another encoder meanwhile; ask again", w->version->name);
}

static enum tm_code walk_version(struct walk *w, struct tm_error *err)
{
    struct store store = state_db_store(w->engine->dir.state);
    enum tm_code rc = settle_encoder(w, err);
    for (uint32_t i = 0; rc == TM_OK && i < w->engine->options.shards; i++)
        rc = walk_shard(w, &store, i, err);
    if (rc == TM_OK)
        rc = check_encoder(w, err);
    buffer_close(&w->row);
    buffer_close(&w->piece);
    return rc;
}

/* What every commit that is exported has decided. */
static int64_t committed_gate(struct engine *e)
{
    int64_t gate = INT64_MAX;
    pthread_mutex_lock(&e->committer.mutex);
    for (uint32_t i = 0; i < e->options.shards; i++)
        gate = e->committer.counts[i].gate < gate ? e->committer.counts[i].gate : gate;
    pthread_mutex_unlock(&e->committer.mutex);
    return gate;
}

enum tm_code engine_export(struct engine *e, const struct version *v, engine_visit_row *visit, void *context,
                           int64_t *as_of, struct tm_error *err)
{
    struct walk w = {.engine = e, .version = v, .as_of = INT64_MAX, .visit = visit, .context = context};
    *as_of = w.as_of = committed_gate(e);
    return walk_version(&w, err);
}

enum tm_code engine_digest(struct engine *e, const struct version *v, struct hash128 *digest, uint64_t *documents,
                           struct tm_error *err)
{
    struct walk w = {.engine = e, .version = v, .as_of = committed_gate(e)};
    enum tm_code rc = walk_version(&w, err);
    *digest = w.digest;
    *documents = w.documents;
    return rc;
}
