/* Reading parameters while the workers write them. */
#include "base/rcu.h"
#include "ps/engine/parts.h"
#include "tidemill/v1/parameters.pb-c.h"

#include <math.h>

enum { GROUP = 64 }; /* documents whose cache misses overlap */

/* While shards change a version's encoder, one after the other, some parameters are of the one and some of the other. A
 * reader wants those of one; a document that has none of it yet, or no more, is one that nothing was learned about. */
struct found {
    const struct table *table;
    struct doc_id id;
    uint32_t number;
};

/* In passes, so that the misses of a pass overlap. */
static void find_group(const struct engine *e, const struct version *v, const struct bytes *docs, size_t n,
                       struct found *f)
{
    for (size_t i = 0; i < n; i++) {
        struct bytes doc = docs[i];
        f[i].id = shard_doc_id(doc, e->dir.hash_seed);
        f[i].table = shard_table(e->shard[hash_shard(doc, e->options.shards)], v->id);
        if (f[i].table)
            table_prefetch(f[i].table, f[i].id);
    }
    for (size_t i = 0; i < n; i++)
        f[i].number = f[i].table ? table_guess(f[i].table, f[i].id) : TABLE_NONE;
    for (size_t i = 0; i < n; i++)
        if (f[i].table)
            f[i].number = table_confirm(f[i].table, f[i].id, f[i].number);
}

static void fill_statistics(const struct pull *p, size_t at, const void *block)
{
    struct belief b;
    p->version->model->describe(&p->version->config, block, p->as_of, &b);
    p->mean[at] = b.mean;
    p->sd[at] = sqrt(b.variance);
    p->lower[at] = b.lower;
    p->upper[at] = b.upper;
}

/* What nothing was learned about is all the same: computed for the first one, copied for the others. */
static bool repeat_prior(struct pull *p, size_t at)
{
    size_t first = p->prior_at, width = p->version->model->width(&p->version->config);
    if (first == PULL_NO_PRIOR) {
        p->prior_at = at;
        return false;
    }
    memcpy(p->values + at * width, p->values + first * width, width * sizeof *p->values);
    if (p->mean) {
        p->mean[at] = p->mean[first];
        p->sd[at] = p->sd[first];
        p->lower[at] = p->lower[first];
        p->upper[at] = p->upper[first];
    }
    return true;
}

static bool read_block(const struct found *f, uint64_t era, void *content)
{
    return f->number != TABLE_NONE && table_era(f->table) == era && table_read(f->table, f->number, f->id, content) &&
           table_era(f->table) == era;
}

/* What was found: `content`, filled, and its summary; NULL and an empty one: it is not there, of another encoder,
 * reset, or forgotten. */
static const void *read_found(const struct version *v, const struct found *f, uint64_t era, int64_t as_of,
                              void *content, struct summary *s)
{
    *s = (struct summary){0};
    if (read_block(f, era, content) && model_knows(v->model, &v->config, content, as_of))
        v->model->summarise(&v->config, content, s);
    return s->samples > 0 ? content : NULL;
}

static void fill(struct pull *p, size_t at, const struct found *f, uint64_t era)
{
    const struct model *m = p->version->model;
    const struct model_config *config = &p->version->config;
    CLEANUP(block_copy_close) struct block_copy copy;
    struct summary s;
    const void *block =
        read_found(p->version, f, era, p->as_of, block_copy_open(&copy, version_content_size(p->version)), &s);
    p->known[at] = block != NULL;
    p->updated_at[at] = s.updated_at;
    p->n[at] = s.samples;
    p->source[at] = block ? TIDEMILL__V1__SOURCE__LEARNED : TIDEMILL__V1__SOURCE__PRIOR;
    if (!block && repeat_prior(p, at))
        return;
    m->values(config, block, p->as_of, p->values + at * m->width(config));
    if (p->mean)
        fill_statistics(p, at, block);
}

void engine_pull(struct engine *e, struct pull *p)
{
    struct found f[GROUP];
    p->prior_at = PULL_NO_PRIOR;
    p->position = engine_applied(e); /* before reading: what is read is at least this new */
    p->durable_position = engine_durable(e);
    p->encoder = registry_encoder(e->registry, p->version);
    uint64_t era = shard_era(p->encoder);
    p->as_of = engine_gate(e); /* one time for all values, before any of them is read */
    rcu_enter();
    for (size_t from = 0; from < p->count; from += GROUP) {
        size_t n = p->count - from < GROUP ? p->count - from : GROUP;
        find_group(e, p->version, p->docs + from, n, f);
        for (size_t i = 0; i < n; i++)
            fill(p, from + i, &f[i], era);
    }
    rcu_leave();
}

/* ---- candidates ---- */

static void score_one(const struct scoring *s, size_t at, const struct found *f, uint64_t era)
{
    const struct model *m = s->version->model;
    const struct model_config *config = &s->version->config;
    CLEANUP(block_copy_close) struct block_copy copy;
    struct summary summary;
    const void *block =
        read_found(s->version, f, era, s->as_of, block_copy_open(&copy, version_content_size(s->version)), &summary);
    uint64_t item = draw_key(s->docs[at]);
    s->known[at] = block != NULL;
    if (m->score) {
        struct score score;
        m->score(config, block, s->x + at * config->dimension, s->as_of, &score);
        s->arms[at] = arm_of_score(item, &score);
        s->means[at] = score.expected;
    } else {
        double shape[2];
        m->values(config, block, s->as_of, shape);
        s->arms[at] = arm_of_beta(item, shape);
        s->means[at] = m->mean(config, block, s->as_of);
    }
}

void engine_score(struct engine *e, struct scoring *s)
{
    struct found f[GROUP];
    CHECK(s->version->model->score || s->version->model->width(&s->version->config) == 2);
    uint64_t era = shard_era(s->encoder);
    s->as_of = engine_gate(e);
    rcu_enter();
    for (size_t from = 0; from < s->count; from += GROUP) {
        size_t n = s->count - from < GROUP ? s->count - from : GROUP;
        find_group(e, s->version, s->docs + from, n, f);
        for (size_t i = 0; i < n; i++)
            score_one(s, from + i, &f[i], era);
    }
    rcu_leave();
}

/* ---- rows of tables ---- */

static bool key_of(const struct engine *e, uint8_t stream, const struct event *shown, struct lookup_key *key)
{
    return lookup_key_of(shown, engine_schema(e), stream, hash_shard(shown->doc, e->options.shards), e->dir.hash_seed,
                         key);
}

void engine_fetch_rows(struct engine *e, uint8_t stream, const struct event *shown, uint32_t count)
{
    struct lookup_source source = lookup_rows_source(e->lookups);
    struct lookup_key keys[JOINER_COMING_MAX];
    uint32_t found = 0;
    CHECK(count <= JOINER_COMING_MAX);
    for (uint32_t i = 0; i < count; i++)
        found += key_of(e, stream, &shown[i], &keys[found]);
    source.fetch(source.self, keys, found);
}

enum tm_code engine_find_row(struct engine *e, uint8_t stream, const struct event *shown, int64_t time,
                             struct buffer *row, struct tm_error *err)
{
    struct lookup_source source = lookup_rows_source(e->lookups);
    struct lookup_key key;
    bool found;
    if (!key_of(e, stream, shown, &key))
        return TM_OK;
    return source.find(source.self, &key, time, UINT64_MAX, row, &found, err);
}
