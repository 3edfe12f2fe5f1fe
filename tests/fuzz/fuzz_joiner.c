/* Bytes become a story for the joiner: records of few keys, watermarks, commits and restarts. After every step both
 * identities are looked at: what was consumed has a fate or waits, and samples have sequences without gaps.
 *
 * Story    the first bytes are the configuration, then steps of a byte each and what they need; missing bytes are 0. */
#include <stdlib.h>
#include <string.h>

#include "joiner/joiner.h"

enum { SHOW, CLICK, ORDER, LOOK, STREAMS, COMMITS_MAX = 24, STEPS_MAX = 400 };

struct tale {
    struct reader r;
    struct joiner_config config;
    struct joiner *joiner;
    uint64_t position, commit, keep_from, waiting_from;
    uint64_t samples, new_ones, left_out; /* told by callbacks; of the whole tale */
    uint64_t aside, aside_then;           /* and as of the last commit */
    uint64_t samples_then;
    int64_t watermark[STREAMS];
    struct buffer chunk[COMMITS_MAX], run[COMMITS_MAX], attributed[COMMITS_MAX];
    struct stream_counts counts[STREAMS]; /* as of the last commit, */
    uint64_t position_then;               /* with what a restart is given besides */
    int64_t watermark_then[STREAMS];
};

static uint8_t next_byte(struct tale *t) { return reader_left(&t->r) ? reader_u8(&t->r) : 0; }

static void on_sample(void *self, struct sample *s)
{
    struct tale *t = self;
    CHECK(s->sequence == ++t->samples);
    CHECK(s->original < s->sequence && (s->original > 0) == (s->kind == SAMPLE_CORRECTION));
    CHECK(s->kind == SAMPLE_CORRECTION || !s->old_excluded);
    CHECK(s->kind == SAMPLE_NEW || !labels_equal(s->labels, s->old_labels, s->label_count) ||
          s->excluded != s->old_excluded || sample_brings_features(s));
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    struct tale *t = self;
    CHECK(reason != REASON_NONE && r->stream < STREAMS);
    t->aside++;
}

static void on_left_out(void *self, struct sample *s)
{
    struct tale *t = self;
    CHECK(s->sequence == 0);
    t->left_out++;
}

static struct joiner *open_joiner(struct tale *t)
{
    return joiner_open(&t->config, (struct joiner_output){t, on_sample, on_aside, on_left_out, NULL});
}

static void configure(struct tale *t)
{
    struct joiner_config *c = &t->config;
    uint8_t form = next_byte(t), more = next_byte(t);
    *c = (struct joiner_config){.streams = STREAMS,
                                .labels = 2,
                                .window_ms = (form & 3) * 20,
                                .allowed_lateness_ms = 60 + (form >> 2 & 3) * 50,
                                .held_bytes_max = form & 16 ? 2000 : 0};
    c->stream[SHOW] = (struct joiner_stream){.kind = JOINER_IMPRESSION};
    c->stream[CLICK] = (struct joiner_stream){
        .kind = JOINER_ACTION, .within_ms = c->window_ms + 30, .before_ms = form & 32 ? 10 : 0, .labels = 1};
    c->stream[ORDER] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = c->window_ms + 60, .labels = 2};
    if (form & 64) {
        c->stream[ORDER].attribute = (enum joiner_attribute)(1 + (more & 3) % (JOINER_ATTRIBUTES - 1));
        c->stream[ORDER].key_fields = JOINER_KEY_USER | JOINER_KEY_DOC;
    }
    c->stream[LOOK] = (struct joiner_stream){.kind = JOINER_FEATURES, .required = form & 128};
    c->label[0].aggregate = LABEL_COUNT;
    c->label[1].aggregate = LABEL_SUM;
    if (more & 4)
        c->label_filters =
            (struct label_filters){2, {{0, LOOK_AT_VALUE, 0, 2, true, 0}, {1, LOOK_AT_DELAY, 0.01, 1, false, 3}}};
    if (more & 8)
        c->rules.sampling = (struct sampling){1, {{0.5f, SAMPLING_IMPRESSION, INT32_MIN, INT32_MAX}}};
    if (more & 16)
        c->rules.filters = (struct filters){1, {{1u << CLICK, FILTER_value, FILTER_DROP, 0, 3, 0}}};
    joiner_derive_keys(c);
}

/* Every record has one fate, or waits; and who was set aside was told. */
static void check_identity(const struct tale *t)
{
    const struct stream_counts *c = joiner_counts(t->joiner);
    uint64_t aside = 0;
    for (int i = 0; i < STREAMS; i++) {
        CHECK(stream_counts_imbalance(&c[i]) == 0);
        aside += c[i].late + c[i].orphaned + c[i].duplicate + c[i].filtered + c[i].shed;
    }
    CHECK(aside == t->aside && joiner_sequence(t->joiner) == t->samples);
    CHECK(joiner_undecided(t->joiner) <= c[SHOW].waiting);
}

static void tell_record(struct tale *t, uint8_t what)
{
    uint8_t who = next_byte(t), when = next_byte(t), form = next_byte(t);
    static const uint8_t body[] = "event";
    struct joiner_record r = {.position = ++t->position,
                              .time = 100 + when,
                              .key = {1 + (who & 7), 5},
                              .doc = {1 + (who & 1), 6},
                              .event = 1 + (form & 7),
                              .version = form & 8 ? 1 + (form & 1) : 0,
                              .stream = what % STREAMS,
                              .withdraw = form & 16,
                              .robot = (form & 224) == 224,
                              .weight = 1,
                              .value = form >> 4,
                              .user = 1 + (who >> 4 & 3),
                              .has = 1u << FILTER_value,
                              .lot.rate = 1,
                              .body = bytes_of(body, sizeof body)};
    const struct joiner_stream *s = &t->config.stream[r.stream];
    struct hash128 user_and_doc = {r.user, 100 + r.doc.lo};
    if (s->kind != JOINER_ACTION)
        r.withdraw = false;
    if (s->kind == JOINER_IMPRESSION && r.version == 0)
        r.version = 1;
    if (s->kind == JOINER_IMPRESSION && t->config.action_keys)
        r.action_key[0] = user_and_doc;
    if (s->attribute != JOINER_ATTRIBUTE_NONE)
        r.key = user_and_doc;
    joiner_step(t->joiner, &r);
}

static void tell_time(struct tale *t, uint8_t which)
{
    int64_t step = next_byte(t);
    for (int i = 0; i < STREAMS; i++)
        if (which >> i & 1)
            t->watermark[i] = (t->watermark[i] == WATERMARK_NONE ? 60 : t->watermark[i]) + step;
    joiner_advance(t->joiner, t->watermark);
}

static void put(struct buffer *b, struct bytes v)
{
    b->size = 0;
    buffer_put(b, v.data, v.size);
}

static void commit(struct tale *t)
{
    struct joiner_delta d;
    if (t->commit + 1 == COMMITS_MAX)
        return;
    if (joiner_freeze(t->joiner, t->commit + 1, &d)) {
        t->commit++;
        put(&t->chunk[t->commit], d.chunk);
        put(&t->run[t->commit], d.run);
        put(&t->attributed[t->commit], d.attribution);
        t->keep_from = d.keep_from;
        t->waiting_from = d.waiting_from;
    }
    memcpy(t->counts, joiner_counts(t->joiner), sizeof t->counts);
    memcpy(t->watermark_then, t->watermark, sizeof t->watermark);
    t->position_then = t->position;
    t->aside_then = t->aside;
    t->samples_then = t->samples;
}

/* What came since the last commit never was: the joiner of that moment, from what was stored. */
static void restart(struct tale *t)
{
    struct tm_error err;
    joiner_close(t->joiner);
    t->joiner = open_joiner(t);
    uint64_t first = t->keep_from ? t->keep_from : 1;
    joiner_load_begin(t->joiner, t->watermark_then);
    CHECK(joiner_load_commits(t->joiner, first, t->commit, &err) == TM_OK);
    for (uint64_t i = first; i <= t->commit; i++) {
        CHECK(joiner_load_run(t->joiner, i, buffer_view(&t->run[i]), &err) == TM_OK);
        CHECK(joiner_load_attribution(t->joiner, buffer_view(&t->attributed[i]), &err) == TM_OK);
    }
    for (uint64_t i = t->waiting_from ? t->waiting_from : 1; i <= t->commit; i++)
        if (t->chunk[i].size)
            CHECK(joiner_load_chunk(t->joiner, i, buffer_view(&t->chunk[i]), &err) == TM_OK);
    if (joiner_load_done(t->joiner, t->position_then + 1, t->samples_then, t->counts, &err) != TM_OK)
        stop(1, "a restart is refused: %s", err.message);
    memcpy(t->watermark, t->watermark_then, sizeof t->watermark);
    t->position = t->position_then;
    t->aside = t->aside_then;
    t->samples = t->samples_then;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tale t;
    t = (struct tale){.r = reader_of(bytes_of(data, size))};
    for (int i = 0; i < STREAMS; i++)
        t.watermark[i] = t.watermark_then[i] = WATERMARK_NONE;
    configure(&t);
    t.joiner = open_joiner(&t);
    for (int steps = 0; reader_left(&t.r) && steps < STEPS_MAX; steps++) {
        uint8_t what = next_byte(&t);
        if (what < 160)
            tell_record(&t, what);
        else if (what < 224)
            tell_time(&t, what);
        else if (what < 248)
            commit(&t);
        else
            restart(&t);
        check_identity(&t);
    }
    joiner_close(t.joiner);
    for (int i = 0; i < COMMITS_MAX; i++) {
        buffer_close(&t.chunk[i]);
        buffer_close(&t.run[i]);
        buffer_close(&t.attributed[i]);
    }
    return 0;
}
