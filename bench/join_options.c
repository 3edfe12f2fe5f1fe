/* What options of the join cost: those that are declared and unused, which should cost nothing, and corrections and
 * further action streams in use.
 *
 * Events   per sample an impression and 0.06 clicks (bench/events.h), a body of 192 bytes; LIVE keys in a window.
 * Joiners  one an option, beside a plain one; all take the same events, EVENTS_A_ROUND at a time in turn, so that each
 *          round compares under the same conditions. The median round counts, of the cost and of its ratio.
 * Unused   a rule that nothing breaks, a stream of which nothing comes, a key that no action has. */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/events.h"
#include "joiner/joiner.h"

enum {
    LIVE = 200000,
    BATCH = 1024,
    GROUP = 16, /* keys that are prefetched together, as a shard does */
    ROUNDS = 9,
    BATCHES_A_ROUND = 100,
    EVENTS_A_ROUND = BATCHES_A_ROUND * BATCH,
    FREEZE_MS = 100,
    BODY = 192,
    SHORT_WINDOW_MS = 450, /* of 0.06 clicks a sample, delayed by 2.5 s on average, 0.05 come behind it */
    FURTHER = 2,           /* streams */
};

/* ---- options ---- */

static void plain(struct joiner_config *c) { (void)c; }

static void before(struct joiner_config *c) { c->stream[1].before_ms = EVENTS_WINDOW_MS; }

static void filters(struct joiner_config *c)
{
    c->rules.filters.filter[c->rules.filters.count++] =
        (struct filter){.streams = 2, .field = FILTER_value, .action = FILTER_DROP, .least = -1e300, .most = 1e300};
}

static void sample_filters(struct joiner_config *c)
{
    c->label_filters.filter[c->label_filters.count++] =
        (struct label_filter){.look = LOOK_AT_VALUE, .least = -1e300, .most = 1e300, .drop = true};
}

static void sampling(struct joiner_config *c)
{
    c->rules.sampling.rule[c->rules.sampling.rules++] =
        (struct sampling_rule){.keep = 1, .first = INT32_MIN, .last = INT32_MAX};
}

static void add_stream(struct joiner_config *c, struct joiner_stream s) { c->stream[c->streams++] = s; }

static void streams(struct joiner_config *c)
{
    for (int i = 0; i < FURTHER; i++) {
        c->label[c->labels] = c->label[0];
        add_stream(c, (struct joiner_stream){
                          .kind = JOINER_ACTION, .within_ms = c->allowed_lateness_ms, .labels = 1u << c->labels++});
    }
}

static void own_key(struct joiner_config *c)
{
    c->label[c->labels] = c->label[0];
    add_stream(c, (struct joiner_stream){.kind = JOINER_ACTION,
                                         .within_ms = c->allowed_lateness_ms,
                                         .labels = 1u << c->labels++,
                                         .attribute = JOINER_ATTRIBUTE_LAST,
                                         .key_fields = JOINER_KEY_USER | JOINER_KEY_DOC});
}

static void table(struct joiner_config *c)
{
    add_stream(c, (struct joiner_stream){.kind = JOINER_TABLE, .key_fields = JOINER_KEY_USER});
}

static void features(struct joiner_config *c) { add_stream(c, (struct joiner_stream){.kind = JOINER_FEATURES}); }

static void short_window(struct joiner_config *c) { c->window_ms = SHORT_WINDOW_MS; }

static const struct option {
    const char *name;
    void (*set)(struct joiner_config *c);
    bool spread; /* clicks over all action streams */
} options[] = {
    {"plain", plain, false},
    {"unused/before", before, false},
    {"unused/filters", filters, false},
    {"unused/sample_filters", sample_filters, false},
    {"unused/sampling", sampling, false},
    {"unused/two action streams", streams, false},
    {"unused/table", table, false},
    {"unused/feature stream", features, false},
    {"unused/key [user, doc]", own_key, false},
    {"used/three action streams", streams, true},
    {"used/5 % corrections", short_window, false},
};
enum { OPTIONS = ARRAY_LEN(options) };

/* ---- joiners ---- */

struct joining {
    const struct option *option;
    struct joiner *joiner;
    uint32_t streams;
    uint64_t commit, samples, corrections;
    int64_t freeze_at;
    double ns[ROUNDS];
};

static void on_sample(void *self, struct sample *s)
{
    struct joining *j = self;
    j->samples += s->kind == SAMPLE_NEW;
    j->corrections += s->kind == SAMPLE_CORRECTION;
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    (void)self, (void)r;
    CHECK(reason == REASON_LATE || reason == REASON_ORPHANED); /* clicks behind the window: their key is forgotten */
}

static void on_left_out(void *self, struct sample *s) { (void)self, (void)s; }

static void joining_open(struct joining *j, const struct option *o)
{
    struct joiner_config config = {
        .stream = {{.kind = JOINER_IMPRESSION}, {.kind = JOINER_ACTION, .within_ms = EVENTS_WINDOW_MS, .labels = 1}},
        .streams = 2,
        .labels = 1,
        .window_ms = EVENTS_WINDOW_MS,
        .allowed_lateness_ms = EVENTS_WINDOW_MS};
    o->set(&config);
    joiner_derive_keys(&config);
    *j = (struct joining){.option = o, .streams = config.streams};
    j->joiner = joiner_open(
        &config, (struct joiner_output){.self = j, .sample = on_sample, .aside = on_aside, .left_out = on_left_out});
}

static void step(struct joining *j, const struct joiner_record *r)
{
    struct joiner_record mine = *r;
    if (j->option->spread && r->stream == 1)
        mine.stream = (uint8_t)(1 + r->key.hi % (1 + FURTHER));
    joiner_step(j->joiner, &mine);
}

static void join_batch(struct joining *j, const struct joiner_record *r)
{
    int64_t now = r[BATCH - 1].time, watermarks[JOINER_STREAMS_MAX];
    for (int i = 0; i < BATCH; i += GROUP) {
        for (int k = i; k < i + GROUP; k++)
            joiner_prefetch(j->joiner, &r[k]);
        for (int k = i; k < i + GROUP; k++)
            step(j, &r[k]);
    }
    for (uint32_t i = 0; i < j->streams; i++)
        watermarks[i] = now;
    joiner_advance(j->joiner, watermarks);
    if (now >= j->freeze_at) {
        struct joiner_delta delta;
        j->commit += joiner_freeze(j->joiner, j->commit + 1, &delta);
        j->freeze_at = now + FREEZE_MS;
    }
}

/* Nanoseconds of CPU an event. */
static double join_round(struct joining *j, const struct joiner_record *r)
{
    int64_t began = clock_thread_cpu_ns();
    for (int i = 0; i < BATCHES_A_ROUND; i++)
        join_batch(j, r + (size_t)i * BATCH);
    return (double)(clock_thread_cpu_ns() - began) / EVENTS_A_ROUND;
}

/* ---- events ---- */

static void make_round(struct events *events, uint64_t *position, struct joiner_record *out)
{
    static const uint8_t body[BODY] = {7};
    for (int i = 0; i < EVENTS_A_ROUND; i++) {
        struct made m;
        events_next(events, &m);
        uint64_t bits = events_mix(m.sample * 4 + 1), group = events_mix(bits ^ m.doc);
        out[i] = (struct joiner_record){.position = ++*position,
                                        .time = m.time,
                                        .key = {bits, events_mix(bits)},
                                        .doc = {events_mix(m.doc), m.doc},
                                        .action_key = {{group, events_mix(group)}},
                                        .event = bits ^ m.kind,
                                        .stream = m.kind == MADE_CLICK,
                                        .weight = 1,
                                        .value = 1,
                                        .has = 1u << FILTER_value,
                                        .version = m.kind == MADE_CLICK ? 0 : m.version + 1,
                                        .body = bytes_of(body, BODY)};
    }
}

static void report(struct bench *b, struct joining *j)
{
    for (size_t i = 1; i < OPTIONS; i++) {
        double ratio[ROUNDS], ns[ROUNDS];
        for (int r = 0; r < ROUNDS; r++) {
            ratio[r] = j[i].ns[r] / j[0].ns[r];
            ns[r] = j[i].ns[r];
        }
        double cost = bench_quantile(ns, ROUNDS, 0.5) / 1e3;
        bench_add(b,
                  (struct bench_row){.value = cost,
                                     .unit = "us CPU/event",
                                     .reference = "plain",
                                     .reference_value = cost / bench_quantile(ratio, ROUNDS, 0.5)},
                  "join/%s", j[i].option->name);
    }
    bench_add(b,
              (struct bench_row){.value = 100 * (double)j[OPTIONS - 1].corrections / (double)j[OPTIONS - 1].samples,
                                 .unit = "% of samples"},
              "join/%s/corrected", j[OPTIONS - 1].option->name);
}

int main(int argc, char **argv)
{
    struct bench *b = mem_new(1, sizeof *b);
    struct joining j[OPTIONS];
    struct events events;
    uint64_t position = 0;
    struct joiner_record *record = mem_new(EVENTS_A_ROUND, sizeof *record);
    bench_open(b, argc, argv);
    events_open(&events, LIVE, 0.06, false);
    for (size_t i = 0; i < OPTIONS; i++)
        joining_open(&j[i], &options[i]);
    int warm = (int)(1.3 * LIVE / EVENTS_A_ROUND) + 1;
    bench_say("join_options: %d options beside each other", (int)OPTIONS - 1);
    for (int r = -warm; r < ROUNDS; r++) {
        make_round(&events, &position, record);
        for (size_t i = 0; i < OPTIONS; i++) {
            double ns = join_round(&j[i], record);
            if (r >= 0)
                j[i].ns[r] = ns;
        }
    }
    report(b, j);
    int status = bench_finish(b);
    for (size_t i = 0; i < OPTIONS; i++)
        joiner_close(j[i].joiner);
    events_close(&events);
    free(record);
    free(b);
    return status;
}
