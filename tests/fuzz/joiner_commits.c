#include "tests/fuzz/joiner_commits.h"

#include <stdio.h>

/* The place is one row of STORE_SHARD, what is remembered another. */
static const struct bytes place_key = {(const uint8_t *)"place", 5}, remembered_key = {(const uint8_t *)"rest", 4};

void commits_open(struct commits *c)
{
    *c = (struct commits){0};
    c->face = memory_store_face(&c->store);
}

void commits_close(struct commits *c) { memory_store_close(&c->store); }

static void must(enum tm_code rc, const struct tm_error *err)
{
    if (rc != TM_OK)
        fprintf(stderr, "a restart is refused: %s\n", err->message);
    CHECK(rc == TM_OK);
}

/* ---- sorted runs ---- */

static void put(void *self, struct bytes key, struct bytes value)
{
    store_batch_put(((struct commits *)self)->batch, STORE_DECIDED, key, value);
}

static void remove_row(void *self, struct bytes key)
{
    store_batch_remove(((struct commits *)self)->batch, STORE_DECIDED, key);
}

static enum tm_code get(void *self, struct bytes key, struct buffer *out, struct tm_error *err)
{
    struct commits *c = self;
    return c->face.get(c->face.self, STORE_DECIDED, key, out, err);
}

void commits_keep_runs(struct commits *c, struct joiner *j, const struct runs_tuning *tuning)
{
    joiner_keep_runs(j, tuning, &(struct run_store){c, get, put, remove_row});
}

/* ---- writing ---- */

static struct bytes row_key(uint64_t commit, uint8_t out[static 8])
{
    key_put_u64(out, commit);
    return bytes_of(out, 8);
}

static void put_row(struct store_batch *b, enum store_table table, uint64_t commit, struct bytes value)
{
    uint8_t key[8];
    if (value.size)
        store_batch_put(b, table, row_key(commit, key), value);
}

static void remove_rows(struct store_batch *b, enum store_table table, uint64_t *from, uint64_t to)
{
    uint8_t key[8];
    for (; *from < to; ++*from)
        store_batch_remove(b, table, row_key(*from, key));
}

static void describe(const struct joiner *j, struct commits_place *p)
{
    p->sequence = joiner_sequence(j);
    memcpy(p->counts, joiner_counts(j), sizeof p->counts);
    for (uint32_t i = 0; i < p->config.streams; i++) {
        const struct delays *d = joiner_delays(j, i);
        p->delayed[i] = d != NULL;
        if (d)
            p->delays[i] = *d;
    }
}

void commits_freeze(struct commits *c, struct joiner *j, struct commits_place *p)
{
    CLEANUP(buffer_close) struct buffer remembered = {0};
    struct store_batch batch = {0};
    struct joiner_delta d;
    c->batch = &batch;
    if (joiner_freeze(j, p->commit + 1, &d))
        p->commit++;
    c->batch = NULL;
    put_row(&batch, STORE_CHUNK, p->commit, d.chunk);
    put_row(&batch, STORE_RUN, p->commit, d.run);
    put_row(&batch, STORE_ATTRIBUTION, p->commit, d.attribution);
    p->keep_from = d.keep_from;
    remove_rows(&batch, STORE_CHUNK, &p->waiting_from, d.waiting_from);
    remove_rows(&batch, STORE_RUN, &p->runs_from, d.runs_from);
    remove_rows(&batch, STORE_ATTRIBUTION, &p->attribution_from, d.attribution_from);
    describe(j, p);
    joiner_encode_remembered(j, &remembered);
    store_batch_put(&batch, STORE_SHARD, place_key, bytes_of(p, sizeof *p));
    store_batch_put(&batch, STORE_SHARD, remembered_key, buffer_view(&remembered));
    memory_store_commit(&c->store, &batch);
}

void commits_sync(struct commits *c, struct joiner *j, const struct commits_place *p)
{
    memory_store_sync(&c->store);
    joiner_written(j, p->commit);
}

/* ---- reading ---- */

bool commits_crash(struct commits *c, uint32_t survivors, struct commits_place *out)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    struct tm_error err;
    memory_store_crash(&c->store, survivors % (c->store.n_pending + 1));
    if (c->face.get(c->face.self, STORE_SHARD, place_key, &row, &err) != TM_OK)
        return false;
    CHECK(row.size == sizeof *out);
    memcpy(out, row.data, sizeof *out);
    return true;
}

static enum tm_code load_sorted(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    return joiner_load_row(context, key, row, err);
}

static enum tm_code load_run(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    return joiner_load_run(context, key_get_u64(key.data), row, err);
}

static enum tm_code load_attribution(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    (void)key;
    return joiner_load_attribution(context, row, err);
}

static enum tm_code load_chunk(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    return joiner_load_chunk(context, key_get_u64(key.data), row, err);
}

static void load_table(const struct commits *c, enum store_table table, struct joiner *j, store_visit *visit)
{
    struct tm_error err = {0};
    must(c->face.scan(c->face.self, table, (struct bytes){0}, (struct bytes){0}, visit, j, &err), &err);
}

static void load_remembered(const struct commits *c, struct joiner *j)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    struct tm_error err;
    CHECK(c->face.get(c->face.self, STORE_SHARD, remembered_key, &row, &err) == TM_OK);
    struct reader r = reader_of(buffer_view(&row));
    joiner_load_remembered(j, &r);
    CHECK(!r.bad && reader_left(&r) == 0);
}

void commits_load(const struct commits *c, struct joiner *j, struct commits_place *p)
{
    struct tm_error err = {0};
    load_remembered(c, j);
    for (uint32_t i = 0; i < p->config.streams; i++)
        if (p->delayed[i])
            joiner_load_delays(j, i, &p->delays[i]);
    joiner_load_begin(j, p->watermark);
    load_table(c, STORE_DECIDED, j, load_sorted);
    must(joiner_load_commits(j, p->keep_from, p->commit, &err), &err);
    p->runs_from = joiner_runs_from(j);
    p->attribution_from = joiner_attribution_from(j);
    load_table(c, STORE_RUN, j, load_run);
    load_table(c, STORE_ATTRIBUTION, j, load_attribution);
    load_table(c, STORE_CHUNK, j, load_chunk);
    must(joiner_load_done(j, p->position + 1, p->sequence, p->counts, &err), &err);
}
