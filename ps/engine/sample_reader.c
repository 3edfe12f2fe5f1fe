#include "ps/engine/sample_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ps/engine/parts.h"
#include "ps/engine/sample_parts.h"

/* ---- what is shown of a sample ---- */

static void add_text(struct buffer *b, struct bytes text)
{
    buffer_put_u16(b, (uint16_t)text.size);
    buffer_put(b, text.data, text.size);
}

static void put_id(const struct sample_reader *r, const struct kept_sample *s, const struct version *v,
                   char id[static SAMPLE_ID_SIZE])
{
    CLEANUP(buffer_close) struct buffer name = {0};
    uint32_t fields = engine_schema(r->engine)->key_fields;
    add_text(&name, bytes_text(v ? v->name : ""));
    if (fields & JOINER_KEY_REQUEST)
        add_text(&name, s->event.request);
    if (fields & JOINER_KEY_USER)
        add_text(&name, s->event.user);
    if (fields & JOINER_KEY_DOC)
        add_text(&name, s->event.doc);
    buffer_put_i64(&name, s->impression_time);
    struct hash128 h = hash_128(buffer_view(&name), 0);
    snprintf(id, SAMPLE_ID_SIZE, "%016" PRIx64 "%016" PRIx64, h.hi, h.lo);
}

static double reward_of(const struct version *v, const double *label)
{
    double value;
    return v && reward_value(&v->reward, label, &value) ? value : NAN;
}

void sample_show(struct sample_reader *r, uint32_t shard, const struct kept_sample *s)
{
    struct engine_sample shown = {.shard = shard, .sample = s, .version = engine_version_by_id(r->engine, s->version)};
    put_id(r, s, shown.version, shown.id);
    shown.reward = s->excluded ? NAN : reward_of(shown.version, s->label);
    shown.old_reward = s->kind != SAMPLE_CORRECTION ? 0
                       : s->old_excluded            ? NAN
                                                    : reward_of(shown.version, s->old_label);
    r->visit(r->context, &shown);
}

/* ---- rows ---- */

static enum tm_code keep_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct sample_reader *r = context;
    (void)key;
    (void)err;
    buffer_put(&r->row, value.data, value.size);
    return STORE_ENOUGH;
}

enum tm_code sample_read_row(struct sample_reader *r, uint32_t shard, uint64_t row, bool *found, struct tm_error *err)
{
    struct store store = state_db_store(r->engine->dir.state);
    uint8_t key[ARCHIVE_KEY];
    struct bytes k = bytes_of(key, sizeof key);
    archive_row_key(key, shard, row);
    r->row.size = 0;
    enum tm_code rc = store.scan(store.self, STORE_ARCHIVE, k, k, keep_row, r, err);
    *found = r->row.size > 0;
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "shard %u", shard);
}

static uint64_t committed_end(const struct sample_reader *r, uint32_t shard)
{
    return atomic_load_explicit(&r->engine->committer.written[shard].archived, memory_order_acquire);
}

/* Rows have gone: go on with the oldest one that is there. */
static enum tm_code skip_gone(struct sample_reader *r, uint32_t shard, struct tm_error *err)
{
    struct store store = state_db_store(r->engine->dir.state);
    struct archive_index index;
    struct reading_place *p = &r->place[shard];
    enum tm_code rc = archive_index_read(&store, shard, &index, err);
    if (rc != TM_OK)
        return tm_error_wrap(err, "shard %u", shard);
    uint64_t first = index.count ? index.mark[0].first : index.open.first;
    archive_index_close(&index);
    if (first <= p->next)
        return tm_error_set(err, TM_DATA_LOSS, "shard %u: row %" PRIu64 " of the kept samples is missing", shard,
                            p->next);
    p->next = first < p->end ? first : p->end;
    return TM_OK;
}

static void notice_gap(struct sample_reader *r, struct reading_place *p, const struct sample_row_head *head)
{
    if (p->expected && head->first > p->expected)
        r->lost += head->first - p->expected;
    p->expected = head->first + head->count;
}

static enum tm_code show_row(struct sample_reader *r, uint32_t shard, struct tm_error *err)
{
    struct sample_row_reader g;
    struct kept_sample s;
    bool end = false;
    enum tm_code rc = sample_row_open(buffer_view(&r->row), &g, err);
    if (rc != TM_OK)
        return rc;
    notice_gap(r, &r->place[shard], &g.head);
    if (!sample_filter_time(&r->query.filter, g.head.oldest, g.head.newest))
        return TM_OK;
    while ((rc = sample_row_next(&g, &s, &end, err)) == TM_OK && !end)
        if (sample_filter_sample(&r->query.filter, &s))
            sample_show(r, shard, &s);
    return rc;
}

static enum tm_code read_next(struct sample_reader *r, uint32_t shard, struct tm_error *err)
{
    struct reading_place *p = &r->place[shard];
    bool found;
    enum tm_code rc = sample_read_row(r, shard, p->next, &found, err);
    if (rc == TM_OK && !found)
        return skip_gone(r, shard, err);
    if (rc == TM_OK) {
        p->next++;
        r->done += r->row.size;
        rc = show_row(r, shard, err);
    }
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "shard %u", shard);
}

/* ---- the reader ---- */

/* Rows before the time asked for are not read, as far as marks tell. */
static uint64_t first_row(const struct archive_index *x, int64_t since)
{
    size_t i = 0;
    while (i < x->count && x->mark[i].newest < since)
        i++;
    return i < x->count ? x->mark[i].first : x->open.first;
}

static uint64_t last_row(const struct archive_index *x, int64_t until)
{
    uint64_t end = x->open.end;
    if (x->open.end == x->open.first || x->open.oldest >= until)
        end = x->open.first;
    for (size_t i = x->count; i > 0 && end == x->mark[i - 1].end && x->mark[i - 1].oldest >= until; i--)
        end = x->mark[i - 1].first;
    return end;
}

static uint64_t bytes_between(const struct archive_index *x, uint64_t first, uint64_t end)
{
    uint64_t bytes = x->open.first < end ? x->open.bytes : 0;
    for (size_t i = 0; i < x->count; i++)
        if (x->mark[i].first >= first && x->mark[i].end <= end)
            bytes += x->mark[i].bytes;
    return bytes;
}

/* From the first row on a gap is noticed, however late its turn comes. */
static enum tm_code expect_first(struct sample_reader *r, uint32_t shard, struct tm_error *err)
{
    struct reading_place *p = &r->place[shard];
    struct sample_row_head head;
    bool found = false;
    enum tm_code rc = TM_OK;
    if (p->next < p->end)
        rc = sample_read_row(r, shard, p->next, &found, err);
    if (rc == TM_OK && found)
        rc = sample_row_head(buffer_view(&r->row), &head, err);
    if (rc == TM_OK && found)
        p->expected = head.first;
    return rc;
}

static enum tm_code open_place(struct sample_reader *r, uint32_t shard, struct tm_error *err)
{
    struct store store = state_db_store(r->engine->dir.state);
    struct archive_index index;
    struct reading_place *p = &r->place[shard];
    const struct sample_filter *f = &r->query.filter;
    p->wanted = sample_filter_shard(f, shard, r->shards);
    if (!p->wanted)
        return TM_OK;
    enum tm_code rc = archive_index_read(&store, shard, &index, err);
    if (rc != TM_OK)
        return tm_error_wrap(err, "shard %u", shard);
    p->first = p->next = first_row(&index, f->since);
    p->end = last_row(&index, f->until);
    if (p->end < p->next)
        p->end = p->next;
    r->total += bytes_between(&index, p->next, p->end);
    archive_index_close(&index);
    return expect_first(r, shard, err);
}

enum tm_code sample_reader_open(struct engine *e, const struct sample_query *query, struct sample_reader **out,
                                struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    if (e->options.samples_retain_ms == 0)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "samples.retain is 0s: no samples are kept; set it, to 24h for instance, and start the "
                            "server again");
    struct sample_reader *r = mem_new(1, sizeof *r);
    *r = (struct sample_reader){.engine = e,
                                .query = *query,
                                .shards = e->options.shards,
                                .gathering = query->newest != SAMPLES_NEWEST_ALL,
                                .newest.max = query->newest};
    sample_filter_prepare(&r->query.filter);
    r->place = mem_new(r->shards, sizeof *r->place);
    for (uint32_t i = 0; rc == TM_OK && i < r->shards; i++)
        rc = open_place(r, i, err);
    if (rc == TM_OK)
        *out = r;
    else
        sample_reader_close(r);
    return rc;
}

void sample_reader_close(struct sample_reader *r)
{
    if (!r)
        return;
    newest_close(&r->newest);
    buffer_close(&r->row);
    free(r->place);
    free(r);
}

/* Of the shards in turn the first that has a row to read; none: r->shards. */
static uint32_t next_shard(struct sample_reader *r)
{
    for (uint32_t tried = 0; tried < r->shards; tried++, r->shard = (r->shard + 1) % r->shards) {
        const struct reading_place *p = &r->place[r->shard];
        if (p->wanted && p->next < p->end)
            return r->shard;
    }
    return r->shards;
}

static void look_for_more(struct sample_reader *r)
{
    for (uint32_t i = 0; i < r->shards; i++)
        if (committed_end(r, i) > r->place[i].end)
            r->place[i].end = committed_end(r, i);
}

enum tm_code sample_reader_step(struct sample_reader *r, sample_visit *visit, void *context,
                                enum sample_progress *progress, struct tm_error *err)
{
    r->visit = visit;
    r->context = context;
    *progress = SAMPLES_MORE;
    if (r->gathering) {
        bool done = false;
        enum tm_code rc = newest_step(r, &done, err);
        r->gathering = !done;
        return rc;
    }
    uint32_t shard = next_shard(r);
    if (shard == r->shards && r->query.follow) {
        look_for_more(r);
        shard = next_shard(r);
    }
    if (shard < r->shards)
        return read_next(r, shard, err);
    *progress = r->query.follow ? SAMPLES_IDLE : SAMPLES_END;
    return TM_OK;
}

uint64_t sample_reader_lost(struct sample_reader *r)
{
    uint64_t lost = r->lost;
    r->lost = 0;
    return lost;
}

uint64_t sample_reader_done(const struct sample_reader *r) { return r->done < r->total ? r->done : r->total; }
uint64_t sample_reader_total(const struct sample_reader *r) { return r->total; }
