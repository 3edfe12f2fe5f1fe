#include "tests/simulation/history.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rcu.h"

void mismatch(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("mismatch: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    fflush(stderr);
    fflush(stdout);
    _exit(MISMATCH_EXIT);
}

void history_open(struct history *h, const struct world *w)
{
    *h = (struct history){.world = w, .oracle = oracle_open(w->shards, SIMULATION_HASH_SEED)};
}

void history_close(struct history *h)
{
    oracle_close(h->oracle);
    for (uint32_t i = 0; i < h->blocks; i++) {
        buffer_close(&h->mark[i]->bytes);
        free(h->mark[i]->shard);
        free(h->mark[i]);
    }
    free(h->mark);
    memory_table_close(&h->rows);
    memory_table_close(&h->live);
}

uint64_t history_end(const struct history *h) { return h->blocks ? h->mark[h->blocks - 1]->block.end : 0; }

static void note_shard(const struct history *h, uint32_t shard, struct shard_mark *m)
{
    const struct oracle_shard *s = oracle_shard(h->oracle, shard);
    m->samples = s->lessons.lessons;
    for (uint32_t i = 0; i < h->world->join.join.streams; i++) {
        m->streams[i] = oracle_counts(h->oracle, shard, i);
        m->delays[i] = oracle_delays(h->oracle, shard, i);
    }
    for (uint32_t i = 0; i < WORLD_VERSIONS_MAX; i++) {
        lessons_count(&s->lessons, i, &m->fresh[i], &m->corrections[i]);
        m->not_judged[i] = s->lessons.student[i].jury.not_judged;
        m->batches[i] = s->lessons.student[i].waiting.fired;
        m->open_batches[i] = waiting_batches(&s->lessons.student[i].waiting);
    }
}

/* As the log's writer does: the row with its block, and whoever has cached its key reads again. */
static void add_row(void *context, const struct lookup_row *row)
{
    struct history *h = context;
    uint8_t key[LOOKUP_ROW_SIZE];
    lookup_put_row(&row->key, row->time, row->position, key);
    memory_table_put(&h->rows, bytes_of(key, sizeof key), row->event);
    memory_table_put(&h->live, bytes_of(key, sizeof key), row->event);
    if (h->cache)
        lookup_cache_forget(h->cache, &row->key);
}

void history_add(struct history *h, struct buffer *block)
{
    struct tm_error err;
    struct mark *m = mem_new(1, sizeof *m);
    m->bytes = *block;
    *block = (struct buffer){0};
    if (block_parse(buffer_view(&m->bytes), &m->block, &err) != TM_OK)
        mismatch("a sealed block cannot be parsed: %s", err.message);
    if (m->block.first != history_end(h))
        mismatch("a block begins at %" PRIu64 ", the log ends at %" PRIu64, m->block.first, history_end(h));
    oracle_block(h->oracle, &m->block);
    lookup_rows_of(&m->block, oracle_catalog(h->oracle), SIMULATION_HASH_SEED, add_row, h);
    memcpy(m->watermark, oracle_watermarks(h->oracle), sizeof m->watermark);
    m->versions = oracle_catalog(h->oracle)->versions;
    m->shard = mem_new(h->world->shards, sizeof *m->shard);
    for (uint32_t i = 0; i < h->world->shards; i++)
        note_shard(h, i, &m->shard[i]);
    h->mark = mem_grow(h->mark, h->blocks + 1, sizeof(struct mark *));
    h->mark[h->blocks++] = m;
}

uint32_t history_at(const struct history *h, uint64_t position)
{
    if (position == history_end(h))
        return h->blocks;
    for (uint32_t i = 0; i < h->blocks; i++)
        if (h->mark[i]->block.first == position)
            return i;
    mismatch("no block begins at position %" PRIu64, position);
}

const int64_t *history_watermarks(const struct history *h, uint32_t i)
{
    static const int64_t none[JOINER_STREAMS_MAX] = {[0 ... JOINER_STREAMS_MAX - 1] = WATERMARK_NONE};
    return i ? h->mark[i - 1]->watermark : none;
}

/* ---- judging ---- */

static void check_stream(uint32_t shard, uint32_t stream, uint64_t position, const struct stream_counts *got,
                         const struct stream_counts *want)
{
    if (stream_counts_imbalance(got) != 0)
        mismatch("shard %u stream %u at %" PRIu64 ": imbalance %" PRId64, shard, stream, position,
                 stream_counts_imbalance(got));
#define F(name, help)                                                                                           \
    if (got->name != want->name)                                                                                \
        mismatch("shard %u stream s%u at %" PRIu64 ": " #name " %" PRIu64 ", expected %" PRIu64, shard, stream, \
                 position, got->name, want->name);
    F(consumed, "")
    STREAM_FATES(F)
    STREAM_NOTES(F)
#undef F
}

static void check_delays(uint32_t shard, uint32_t stream, uint64_t position, const struct delays *got,
                         const struct delays *want)
{
    static const struct delays none;
    got = got ? got : &none;
    for (int i = 0; i < DELAY_BUCKETS; i++)
        if (got->bucket[i] != want->bucket[i])
            mismatch("shard %u stream s%u at %" PRIu64 ": %" PRIu64 " delays in bucket %d, expected %" PRIu64, shard,
                     stream, position, got->bucket[i], i, want->bucket[i]);
    if (got->sum_ms != want->sum_ms)
        mismatch("shard %u stream s%u at %" PRIu64 ": delays of %" PRIu64 " ms, expected %" PRIu64, shard, stream,
                 position, got->sum_ms, want->sum_ms);
}

static void check_samples(uint32_t shard, uint32_t version, const char *kind, uint64_t position,
                          const struct sample_counts *got, const struct sample_counts *want)
{
    if (sample_counts_imbalance(got) != 0)
        mismatch("shard %u version %u at %" PRIu64 ": %s: imbalance %" PRId64, shard, version, position, kind,
                 sample_counts_imbalance(got));
#define F(name, help)                                                                                                \
    if (got->name != want->name)                                                                                     \
        mismatch("shard %u version %u at %" PRIu64 ": %s: " #name " %" PRIu64 ", expected %" PRIu64, shard, version, \
                 position, kind, got->name, want->name);
    F(samples, "")
    SAMPLE_FATES(F)
    SKIP_REASONS(F)
    SAMPLE_NOTES(F)
#undef F
}

static void check_judged(uint32_t shard, uint32_t version, uint64_t position, struct judge_counts got,
                         struct judge_counts want)
{
    if (got.served != want.served || got.prequential != want.prequential || got.corrections != want.corrections)
        mismatch("shard %u version %u at %" PRIu64 ": not judged %" PRIu64 ", %" PRIu64 ", %" PRIu64
                 ", expected %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                 shard, version, position, got.served, got.prequential, got.corrections, want.served, want.prequential,
                 want.corrections);
}

static void check_batches(uint32_t shard, uint32_t version, uint64_t position, const struct shard_version_counts *got,
                          const struct batch_counts *want, uint32_t open)
{
#define C(name, help)                                                                                           \
    if (got->batches.name != want->name)                                                                        \
        mismatch("shard %u version %u at %" PRIu64 ": batches " #name " %" PRIu64 ", expected %" PRIu64, shard, \
                 version, position, got->batches.name, want->name);
    BATCH_COUNTS(C)
#undef C
    if (got->open_batches != open)
        mismatch("shard %u version %u at %" PRIu64 ": %u open batches, expected %u", shard, version, position,
                 got->open_batches, open);
}

void history_check_counts(const struct history *h, uint32_t shard, uint64_t position, const struct shard_counts *counts)
{
    uint32_t at = history_at(h, position);
    if (counts->position != position)
        mismatch("shard %u says that it stands at %" PRIu64 ", not %" PRIu64, shard, counts->position, position);
    if (at == 0)
        return;
    const struct shard_mark *m = &h->mark[at - 1]->shard[shard];
    if (counts->samples != m->samples)
        mismatch("shard %u at %" PRIu64 ": %" PRIu64 " samples, expected %u", shard, position, counts->samples,
                 m->samples);
    for (uint32_t i = 0; i < h->world->join.join.streams; i++) {
        check_stream(shard, i, position, &counts->streams[i], &m->streams[i]);
        check_delays(shard, i, position, counts->delays[i], &m->delays[i]);
    }
    if (counts->versions != h->mark[at - 1]->versions)
        mismatch("shard %u at %" PRIu64 ": %u versions, expected %u", shard, position, counts->versions,
                 h->mark[at - 1]->versions);
    for (uint32_t i = 0; i < counts->versions; i++) {
        check_samples(shard, counts->version[i].id, "new", position, &counts->version[i].fresh, &m->fresh[i]);
        check_samples(shard, counts->version[i].id, "corrections", position, &counts->version[i].corrections,
                      &m->corrections[i]);
        check_judged(shard, counts->version[i].id, position, counts->version[i].judge, m->not_judged[i]);
        check_batches(shard, counts->version[i].id, position, &counts->version[i], &m->batches[i], m->open_batches[i]);
    }
}

static void describe(const struct sample *s, char *out, size_t room)
{
    snprintf(out, room,
             "%s #%" PRIu64 " of %" PRIu64 " version %u position %" PRIu64 " time %" PRId64 " decided at %" PRId64
             " labels %.17g %.17g %.17g were %.17g %.17g %.17g weight %g keep %g behind %d excluded %d was %d",
             s->kind == SAMPLE_NEW ? "new" : "correction", s->sequence, s->original, s->version, s->position,
             s->impression_time, s->decided_at, s->labels[0], s->labels[1], s->labels[2], s->old_labels[0],
             s->old_labels[1], s->old_labels[2], s->weight, s->keep, s->behind, s->excluded, s->old_excluded);
}

static bool same_sample(const struct sample *a, const struct sample *b)
{
    return a->sequence == b->sequence && a->original == b->original && a->kind == b->kind && a->version == b->version &&
           hash128_equal(a->key, b->key) && hash128_equal(a->doc, b->doc) && a->impression_time == b->impression_time &&
           a->decided_at == b->decided_at && a->behind == b->behind && a->position == b->position &&
           a->label_count == b->label_count && memcmp(a->labels, b->labels, sizeof a->labels) == 0 &&
           memcmp(a->old_labels, b->old_labels, sizeof a->old_labels) == 0 && a->weight == b->weight &&
           a->keep == b->keep && a->old_keep == b->old_keep && a->rate == b->rate && a->told == b->told &&
           (!a->told || a->request == b->request) && a->named == b->named && a->item == b->item &&
           a->feature_bytes == b->feature_bytes && (a->place.row > 0) == (b->place.row > 0) &&
           a->excluded == b->excluded && a->old_excluded == b->old_excluded;
}

/* The promise behind the gate, said without it: nothing is a sample while a label could still come in time, but for
 * what is positive, where that is decided at once, and for what corrects it. */
static void check_gate(const struct history *h, const struct sample *s)
{
    const struct joiner_config *c = &h->world->join.join;
    int64_t window = INT64_MAX;
    bool at_once = false;
    for (uint32_t i = 0; i < h->world->stages; i++)
        if (h->world->stage[i].labels == s->label_count) {
            window = h->world->stage[i].window_ms < window ? h->world->stage[i].window_ms : window;
            at_once |= h->world->stage[i].at_once;
        }
    if (at_once && (s->kind == SAMPLE_CORRECTION || sample_is_positive(s->labels, s->label_count)))
        return;
    for (uint32_t i = 0; i < c->streams; i++)
        if (c->stream[i].kind == JOINER_ACTION && c->stream[i].labels & ((UINT64_C(1) << s->label_count) - 1)) {
            int64_t watermark = oracle_watermarks(h->oracle)[i];
            if (watermark == WATERMARK_NONE || watermark - window <= s->impression_time)
                mismatch("stream s%u is stalled, and there is a sample of position %" PRIu64, i, s->position);
        }
}

void history_check_sample(const struct history *h, uint32_t shard, const struct sample *s)
{
    char got[512], want[512];
    const struct lessons *l = &oracle_shard(h->oracle, shard)->lessons;
    describe(s, got, sizeof got);
    check_gate(h, s);
    if (s->sequence == 0 || s->sequence > l->lessons)
        mismatch("shard %u: %s; expected only %u samples", shard, got, l->lessons);
    describe(&l->lesson[s->sequence - 1].sample, want, sizeof want);
    if (!same_sample(s, &l->lesson[s->sequence - 1].sample))
        mismatch("shard %u: sample\n  %s, expected\n  %s", shard, got, want);
}

static bool same_sum(double got, double want, double mass, bool whole)
{
    if (whole)
        return got == want;
    return fabs(got - want) <= 1e-9 * fmax(fabs(got), fabs(want)) + 1e-13 * (1 + mass);
}

/* Against the sums. */
static void check_sums(const struct history *h, uint32_t shard, const struct table *t, uint32_t version, uint32_t doc,
                       uint32_t number)
{
    const struct version *v = oracle_catalog(h->oracle)->version[version];
    struct lessons_sum want = lessons_sum(&oracle_shard(h->oracle, shard)->lessons, v, version, doc);
    struct beta_block got;
    memcpy(&got, table_block(t, number), sizeof got);
    if (got.time != want.time || got.positives != want.positives || got.negatives != want.negatives ||
        !same_sum(got.s, want.s, want.mass, h->world->whole) || !same_sum(got.f, want.f, want.mass, h->world->whole))
        mismatch("shard %u version %u d%u: +%u -%u s %.17g f %.17g time %" PRId64
                 ", expected +%u -%u s %.17g f %.17g time %" PRId64,
                 shard, v->id, doc, got.positives, got.negatives, got.s, got.f, got.time, want.positives,
                 want.negatives, want.s, want.f, want.time);
}

/* Bit for bit against the model fed in the right order. Returns whether it is there. */
static bool check_param(const struct history *h, uint32_t shard, const struct table *t, uint32_t version, uint32_t doc)
{
    const struct student *student = &oracle_shard(h->oracle, shard)->lessons.student[version];
    const struct version *v = oracle_catalog(h->oracle)->version[version];
    uint64_t got[LESSONS_BLOCK_MAX / 8 + 1];
    struct doc_id id = shard_doc_id(bytes_text(world_doc(doc)), SIMULATION_HASH_SEED);
    uint32_t number = table_find(t, id);
    bool forgotten =
        lessons_expired(&oracle_shard(h->oracle, shard)->lessons, v, version, doc, oracle_gate(h->oracle, shard));
    if (number == TABLE_NONE && forgotten) /* when is its own business */
        return false;
    if ((number != TABLE_NONE) != student->known[doc])
        mismatch("shard %u version %u: d%u is %s", shard, v->id, doc, student->known[doc] ? "not known" : "known");
    if (!student->known[doc])
        return false;
    if (v->model == &model_beta)
        check_sums(h, shard, t, version, doc, number);
    if (!table_read(t, number, id, got) || memcmp(got, student->belief[doc], v->model->block_size(&v->config)) != 0)
        mismatch("shard %u version %u d%u: %s has learned something else, or in another order", shard, v->id, doc,
                 v->model->name);
    return true;
}

void history_check_tables(const struct history *h, uint32_t shard, const struct shard *s)
{
    const struct catalog *c = oracle_catalog(h->oracle);
    for (uint32_t i = 0; i < c->versions; i++) {
        uint32_t documents = 0;
        const struct table *t = shard_table(s, c->version[i]->id);
        if (!t)
            mismatch("shard %u has no table of version %u", shard, c->version[i]->id);
        if (table_era(t) != shard_era(c->encoder[i].text))
            mismatch("shard %u version %u: readers see another encoder than %s", shard, c->version[i]->id,
                     c->encoder[i].text);
        rcu_enter();
        for (uint32_t doc = 0; doc < h->world->docs; doc++) {
            documents += check_param(h, shard, t, i, doc);
        }
        rcu_leave();
        if (table_count(t) - table_free(t) != documents)
            mismatch("shard %u version %u: %u documents, expected %u", shard, c->version[i]->id,
                     table_count(t) - table_free(t), documents);
    }
}

void history_check_aside(const struct history *h, uint32_t shard, uint8_t stream, uint64_t position,
                         enum joiner_reason reason, struct bytes body, struct bytes shared)
{
    const struct oracle_record *r = oracle_find(h->oracle, shard, position);
    if (!r)
        mismatch("shard %u: a record at %" PRIu64 " was set aside that is not there", shard, position);
    if (r->stream != stream || oracle_letter(r) != reason)
        mismatch("shard %u: the record of s%u at %" PRIu64 " was set aside for reason %d, expected s%u, reason %d",
                 shard, stream, position, (int)reason, r->stream, (int)oracle_letter(r));
    if (body.size && !(bytes_equal(body, r->wire) && bytes_equal(shared, r->shared)))
        mismatch("shard %u: the record at %" PRIu64 " was set aside with another's bytes", shard, position);
}

void history_check_letter(const struct history *h, uint32_t shard, const struct dead_letter *l)
{
    const struct oracle_record *r = oracle_find(h->oracle, shard, l->position);
    history_check_aside(h, shard, l->stream, l->position, l->reason, (struct bytes){0}, (struct bytes){0});
    if (l->time != r->time)
        mismatch("shard %u: the letter of %" PRIu64 " has time %" PRId64 ", expected %" PRId64, shard, l->position,
                 l->time, r->time);
    CLEANUP(buffer_close) struct buffer whole = {0};
    buffer_put(&whole, r->wire.data, r->wire.size);
    buffer_put(&whole, r->shared.data, r->shared.size);
    struct bytes first = bytes_of(whole.data, l->event.size);
    if (l->size && (l->size != whole.size || !bytes_equal(l->event, first) ||
                    l->event.size < (l->size < DEAD_LETTER_EVENT_MAX ? l->size : DEAD_LETTER_EVENT_MAX)))
        mismatch("shard %u: the letter of %" PRIu64 " has another's bytes", shard, l->position);
}

void history_check_letters(const struct history *h, uint32_t shard, int stream, int reason, uint64_t seen,
                           uint64_t kept)
{
    const struct oracle_shard *o = oracle_shard(h->oracle, shard);
    uint64_t want = 0;
    for (uint32_t i = 0; i < o->records; i++)
        want += reason != REASON_NONE && o->record[i].stream == stream && (int)oracle_letter(&o->record[i]) == reason;
    if (seen != want || kept != dead_letters_kept(want))
        mismatch("shard %u: %" PRIu64 " letters of s%d for reason %d, %" PRIu64 " kept; expected %" PRIu64, shard, seen,
                 stream, reason, kept, want);
}
