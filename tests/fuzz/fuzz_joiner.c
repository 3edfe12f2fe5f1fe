/* Bytes become a story for the joiner: records of few keys, watermarks, control (epochs, bounds, rules), commits and
 * crashes. After every step the identities are looked at: what was consumed has a fate or waits, and samples have
 * sequences without gaps.
 *
 * Twice    every story is played by a joiner that never commits, and then by one that commits, keeps sorted runs, dies
 *          where the story says so, and reads on where its newest commit stood. Both must tell the same: every
 *          sample, every left out negative, every set-aside record, bit for bit and in the same order, and they end
 *          alike.
 * Story    the first bytes are the configuration, then steps of a byte each and what they need; missing bytes are 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/joiner_commits.h"

/* ORDER and those behind it may come with an epoch. */
enum { SHOW, CLICK, ORDER, LOOK, ROW, SECOND_SHOW, STREAMS };
static_assert((int)STREAMS == (int)COMMITS_STREAMS, "a place has room for every stream");

enum { LABELS_MAX = 4, STEPS_MAX = 400, CRASHES_MAX = 16, BEGIN_MS = 100, LEAP = 300 };

struct tale {
    struct reader r;
    struct bytes story;
    struct commits_place now, first; /* first: nothing was told yet */
    struct joiner *joiner;
    struct commits commits;
    struct runs_tuning tuning;
    bool plain, keeps_runs;
    uint32_t crashes;
    size_t crashed_at; /* how far the story was read at the last crash: what is before happens again, but for crashes */
    struct buffer told; /* of the plain one: a hash of each output */
};

static uint8_t next_byte(struct tale *t) { return reader_left(&t->r) ? reader_u8(&t->r) : 0; }

/* ---- what is told ---- */

static void tell(struct tale *t, const struct buffer *output)
{
    uint64_t hash = hash_64(buffer_view(output)), known;
    size_t at = t->now.told++ * sizeof hash;
    if (t->plain) {
        buffer_put_u64(&t->told, hash);
        return;
    }
    CHECK(at < t->told.size); /* with commits and crashes there is no more to tell */
    memcpy(&known, t->told.data + at, sizeof known);
    if (hash != known)
        fprintf(stderr, "with commits and crashes output %llu is another\n", (unsigned long long)t->now.told);
    CHECK(hash == known);
}

static void put_sample(const struct sample *s, struct buffer *out)
{
    sample_encode(s, out);
    buffer_put_i64(out, s->decided_at);
    buffer_put_u64(out, s->position);
    buffer_put_u64(out, s->place.row);
    buffer_put_u8(out, (uint8_t)(s->behind | s->elsewhere << 1 | s->late << 2));
    buffer_put_bytes(out, s->body);
    for (uint32_t i = 0; i < s->feature_count; i++)
        buffer_put_bytes(out, s->features[i].body);
}

static void on_sample(void *self, struct sample *s)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    struct tale *t = self;
    CHECK(s->sequence == ++t->now.sequence);
    CHECK(s->original < s->sequence && (s->original > 0) == (s->kind == SAMPLE_CORRECTION));
    CHECK(s->kind == SAMPLE_CORRECTION || !s->old_excluded);
    CHECK(s->kind == SAMPLE_NEW || !labels_equal(s->labels, s->old_labels, s->label_count) ||
          s->excluded != s->old_excluded || sample_brings_features(s));
    CHECK(s->kind == SAMPLE_NEW || s->place.row == s->original); /* where its features were put */
    if (s->kind == SAMPLE_NEW)
        s->place = (struct sample_place){s->sequence, 7};
    put_sample(s, &out);
    tell(t, &out);
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    struct tale *t = self;
    CHECK(reason != REASON_NONE && r->stream < t->now.config.streams);
    t->now.aside++;
    buffer_put_u64(&out, r->position);
    buffer_put_i64(&out, r->time);
    buffer_put_u8(&out, r->stream);
    buffer_put_u8(&out, (uint8_t)reason);
    buffer_put_bytes(&out, r->body);
    tell(t, &out);
}

static void on_left_out(void *self, struct sample *s)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    CHECK(s->sequence == 0);
    put_sample(s, &out);
    tell(self, &out);
}

/* ---- configuration ---- */

static struct joiner_output output_of(struct tale *t)
{
    return (struct joiner_output){t, on_sample, on_aside, on_left_out, NULL};
}

static void open_joiner(struct tale *t)
{
    t->joiner = joiner_open(&t->now.config, output_of(t));
    if (t->keeps_runs && !t->plain)
        commits_keep_runs(&t->commits, t->joiner, &t->tuning);
}

static void add_label(struct joiner_config *c, uint32_t stream, uint8_t aggregate)
{
    if (c->labels == LABELS_MAX)
        return;
    c->label[c->labels].aggregate = (enum label_aggregate)(aggregate % LABEL_AGGREGATE_COUNT);
    c->stream[stream].labels |= UINT64_C(1) << c->labels++;
}

/* form: what the configuration's first byte says. Whoever is in front of it is there. */
static void add_stream(struct joiner_config *c, uint8_t form, uint8_t more)
{
    struct joiner_stream *s = &c->stream[c->streams];
    switch (c->streams++) {
    case CLICK:
        *s = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 90, .before_ms = form & 32 ? 10 : 0};
        break;
    case ORDER: *s = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 100}; break;
    case LOOK: *s = (struct joiner_stream){.kind = JOINER_FEATURES, .required = form & 128}; break;
    case ROW: *s = (struct joiner_stream){.kind = JOINER_TABLE, .key_fields = JOINER_KEY_USER}; break;
    default: s->kind = JOINER_IMPRESSION;
    }
    if (c->streams == ORDER + 1 && form & 64) {
        s->attribute = (enum joiner_attribute)(1 + (more & 3) % (JOINER_ATTRIBUTES - 1));
        s->key_fields = JOINER_KEY_USER | JOINER_KEY_DOC;
    }
    joiner_derive_keys(c);
}

static void add_epoch(struct joiner_config *c, uint64_t from)
{
    uint32_t number = c->epochs ? c->epoch[c->epochs - 1].number + 1 : 1;
    if (c->epochs == JOINER_EPOCHS_MAX)
        memmove(c->epoch, c->epoch + 1, --c->epochs * sizeof *c->epoch);
    c->epoch[c->epochs++] = (struct joiner_epoch){number, c->streams, c->labels, c->window_ms, from, c->at_once};
}

static struct joiner_rules rules_of(uint8_t what)
{
    struct joiner_rules rules = {0};
    if (what & 8)
        rules.sampling = (struct sampling){1, {{0.5f, SAMPLING_IMPRESSION, INT32_MIN, INT32_MAX}}};
    if (what & 16)
        rules.filters = (struct filters){1, {{1u << CLICK, FILTER_value, FILTER_DROP, 0, 3, 0}}};
    return rules;
}

static void configure(struct tale *t)
{
    struct joiner_config *c = &t->now.config;
    uint8_t form = next_byte(t), more = next_byte(t), runs = next_byte(t), streams = next_byte(t);
    *c = (struct joiner_config){.window_ms = (form & 3) * 20,
                                .allowed_lateness_ms = 100 + (form >> 2 & 3) * 50,
                                .held_bytes_max = form & 16 ? 2000 : 0,
                                .decided_bytes_max = more & 32   ? 300
                                                     : more & 64 ? 900
                                                                 : 0,
                                .at_once = streams & 128,
                                .rules = rules_of(more)};
    for (uint32_t n = CLICK + 1 + (streams & 7) % (STREAMS - CLICK); c->streams < n;)
        add_stream(c, form, more);
    add_label(c, CLICK, (uint8_t)(LABEL_COUNT + (streams >> 3)));
    if (c->streams > ORDER)
        add_label(c, ORDER, (uint8_t)(LABEL_SUM + (streams >> 3)));
    if (more & 4)
        c->label_filters = (struct label_filters){
            c->labels, {{0, LOOK_AT_VALUE, 0, 2, true, 0}, {1, LOOK_AT_DELAY, 0.01, 1, false, 3}}};
    c->first_streams = c->streams;
    add_epoch(c, 0);
    t->tuning = (struct runs_tuning){1 + (runs & 7), 2 + (runs >> 3 & 1), 1 + (runs >> 4 & 1), 1 + (runs >> 5 & 3)};
    t->keeps_runs = !(runs & 128);
    t->now.clock = BEGIN_MS;
    for (int i = 0; i < STREAMS; i++)
        t->now.watermark[i] = WATERMARK_NONE;
    t->now.keep_from = t->now.waiting_from = t->now.runs_from = t->now.attribution_from = 1;
    t->now.read = t->story.size - reader_left(&t->r);
    t->first = t->now;
}

/* ---- steps ---- */

static struct hash128 key_of(char kind, uint32_t user, uint32_t number)
{
    const uint8_t name[] = {(uint8_t)kind, (uint8_t)user, (uint8_t)number};
    return hash_128(bytes_of(name, sizeof name), 0);
}

static void tell_record(struct tale *t, uint8_t what)
{
    uint8_t who = next_byte(t), when = next_byte(t), form = next_byte(t);
    static const uint8_t body[] = "event", shared[] = "what several have in common";
    struct joiner_record r = {.position = ++t->now.position,
                              .time = t->now.clock + when - 100,
                              .key = key_of('i', 0, (who & 7) + (form >> 5 & 3) * 8),
                              .doc = key_of('d', 0, who & 1),
                              .event = 1 + (form & 7),
                              .version = form & 8 ? 1 + (form & 1) : 0,
                              .stream = (uint8_t)(what % t->now.config.streams),
                              .withdraw = form & 16,
                              .robot = (form & 224) == 224,
                              .weight = 1,
                              .value = form >> 4,
                              .user = 1 + (who >> 4 & 3),
                              .has = 1u << FILTER_value,
                              .lot.rate = 1,
                              .body = bytes_of(body, sizeof body)};
    const struct joiner_stream *s = &t->now.config.stream[r.stream];
    struct hash128 user_and_doc = key_of('u', who >> 4 & 3, who & 1);
    if (s->kind != JOINER_ACTION)
        r.withdraw = false;
    if (s->kind == JOINER_IMPRESSION && r.version == 0)
        r.version = 1;
    if (s->kind == JOINER_IMPRESSION && !(who & 128))
        r.action_key[0] = user_and_doc;
    if (s->attribute != JOINER_ATTRIBUTE_NONE)
        r.key = user_and_doc;
    if (s->kind != JOINER_ACTION && who & 8) {
        r.shared = bytes_of(shared, sizeof shared);
        r.sharers = 2;
    }
    joiner_step(t->joiner, &r);
}

static void tell_malformed(struct tale *t)
{
    static const uint8_t body[] = "\xff";
    joiner_malformed(t->joiner, next_byte(t) % (uint8_t)t->now.config.streams, ++t->now.position,
                     bytes_of(body, sizeof body), (struct bytes){0});
}

/* Of the streams in the low bits; by leaps that let even features go. */
static void tell_time(struct tale *t)
{
    uint8_t which = next_byte(t);
    int64_t step = next_byte(t), *w = t->now.watermark;
    if (which & 128)
        step *= LEAP;
    for (uint32_t i = 0; i < t->now.config.streams; i++) {
        if (which >> i & 1)
            w[i] = (w[i] == WATERMARK_NONE ? BEGIN_MS - 40 : w[i]) + step;
        if (w[i] > t->now.clock)
            t->now.clock = w[i];
    }
    int64_t gate = joiner_gate_at(t->joiner, w);
    uint64_t undecided = joiner_is_due(t->joiner, w) ? 0 : joiner_undecided(t->joiner);
    joiner_advance(t->joiner, w);
    CHECK(joiner_gate_now(t->joiner) >= gate && joiner_undecided(t->joiner) >= undecided);
}

/* One more stream, perhaps, one more label, another window, positives at once or not; for what comes from here on. */
static void tell_epoch(struct tale *t)
{
    struct joiner_config *c = &t->now.config;
    uint8_t how = next_byte(t), form = next_byte(t);
    if (c->epochs == JOINER_EPOCHS_MAX && joiner_oldest_epoch(t->joiner) == c->epoch[0].number)
        return; /* somebody needs the one that would go: the engine refuses such a change */
    if (how & 1 && c->streams < STREAMS)
        add_stream(c, form, form >> 4);
    if (how & 2)
        add_label(c, c->streams > ORDER && form & 1 ? ORDER : CLICK, form >> 1);
    if (how & 4)
        c->window_ms = (how >> 3 & 3) * 20;
    c->at_once ^= how >> 5 & 1;
    add_epoch(c, ++t->now.position);
    joiner_change(t->joiner, c, output_of(t));
}

static void tell_bounds(struct tale *t)
{
    struct joiner_config *c = &t->now.config;
    c->held_bytes_max = (uint64_t)next_byte(t) * 20;
    c->decided_bytes_max = (uint64_t)next_byte(t) * 8;
    t->now.position++;
    joiner_set_bounds(t->joiner, c->held_bytes_max, c->decided_bytes_max);
}

static void tell_rules(struct tale *t)
{
    t->now.config.rules = rules_of(next_byte(t));
    t->now.position++;
    joiner_set_rules(t->joiner, &t->now.config.rules);
}

static void commit(struct tale *t)
{
    bool synced = next_byte(t) & 1;
    if (t->plain)
        return;
    t->now.read = t->story.size - reader_left(&t->r);
    commits_freeze(&t->commits, t->joiner, &t->now);
    if (synced)
        commits_sync(&t->commits, t->joiner, &t->now);
}

/* What came since the commit that is left comes once more. */
static void crash(struct tale *t)
{
    uint32_t survivors = next_byte(t);
    size_t at = t->story.size - reader_left(&t->r);
    if (t->plain || at <= t->crashed_at || t->crashes++ >= CRASHES_MAX)
        return;
    t->crashed_at = at;
    joiner_close(t->joiner);
    bool any = commits_crash(&t->commits, survivors, &t->now);
    if (!any)
        t->now = t->first;
    open_joiner(t);
    if (any)
        commits_load(&t->commits, t->joiner, &t->now);
    t->r = reader_of(bytes_of(t->story.data + t->now.read, t->story.size - t->now.read));
}

/* ---- a story ---- */

/* Every record has one fate, or waits; and who was set aside was told. */
static void check_identity(const struct tale *t)
{
    const struct stream_counts *c = joiner_counts(t->joiner);
    uint64_t aside = 0, waiting = 0;
    struct tm_error err;
    for (uint32_t i = 0; i < t->now.config.streams; i++) {
        CHECK(stream_counts_imbalance(&c[i]) == 0);
        aside += c[i].late + c[i].orphaned + c[i].duplicate + c[i].filtered + c[i].shed + c[i].malformed;
        waiting += t->now.config.stream[i].kind == JOINER_IMPRESSION ? c[i].waiting : 0;
    }
    CHECK(aside == t->now.aside && joiner_sequence(t->joiner) == t->now.sequence);
    CHECK(joiner_undecided(t->joiner) == waiting);
    CHECK(t->now.config.held_bytes_max == 0 || joiner_held_bytes(t->joiner) <= t->now.config.held_bytes_max);
    CHECK(joiner_failure(t->joiner, &err) == TM_OK);
}

static void take_step(struct tale *t)
{
    uint8_t what = next_byte(t);
    if (what < 140)
        tell_record(t, what);
    else if (what < 145)
        tell_malformed(t);
    else if (what < 195)
        tell_time(t);
    else if (what < 228)
        commit(t);
    else if (what < 240)
        crash(t);
    else if (what < 248)
        tell_epoch(t);
    else if (what < 252)
        tell_bounds(t);
    else
        tell_rules(t);
}

/* How it ends, as it must be whatever was committed when. */
static void put_end(const struct tale *t, struct buffer *out)
{
    const struct stream_counts *c = joiner_counts(t->joiner);
    for (uint32_t i = 0; i < t->now.config.streams; i++) {
        stream_counts_encode(&c[i], out);
        if (joiner_delays(t->joiner, i))
            delays_encode(joiner_delays(t->joiner, i), out);
    }
    buffer_put_u64(out, joiner_sequence(t->joiner));
    buffer_put_u64(out, joiner_undecided(t->joiner));
    buffer_put_u64(out, joiner_held_bytes(t->joiner));
    buffer_put_u32(out, joiner_oldest_epoch(t->joiner));
    buffer_put_i64(out, joiner_gate_now(t->joiner));
    buffer_put_i64(out, joiner_front(t->joiner));
    buffer_put_i64(out, joiner_expiry(t->joiner));
    buffer_put_i64(out, joiner_decided_before(t->joiner));
}

static void play(struct tale *t, struct buffer *end)
{
    t->r = reader_of(t->story);
    t->now = (struct commits_place){0};
    configure(t);
    open_joiner(t);
    while (reader_left(&t->r)) {
        take_step(t);
        check_identity(t);
    }
    put_end(t, end);
    joiner_close(t->joiner);
}

/* Steps take at least a byte and at most five. */
static size_t as_long_as_it_may_be(size_t size) { return size < 5 * STEPS_MAX ? size : 5 * STEPS_MAX; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buffer_close) struct buffer plain_end = {0}, end = {0};
    static struct tale t;
    t = (struct tale){.story = bytes_of(data, as_long_as_it_may_be(size)), .plain = true};
    play(&t, &plain_end);
    t.plain = false;
    commits_open(&t.commits);
    play(&t, &end);
    CHECK(t.now.told * sizeof(uint64_t) == t.told.size && bytes_equal(buffer_view(&plain_end), buffer_view(&end)));
    commits_close(&t.commits);
    buffer_close(&t.told);
    return 0;
}
