/* Tests of the whole engine in one process: what goes in by engine_submit comes out by engine_pull, come what may.
 *
 * The stream of events is a pure function of its length, so what each document must have learned is counted by hand.
 * Crashes happen in a second process, which is this program with arguments: RocksDB's threads do not survive a fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "proto/event.h"
#include "ps/engine/engine.h"
#include "ps/engine/metrics.h"
#include "tests/unit/random.h"
#include "tidemill/v1/parameters.pb-c.h"

enum {
    DOCS = 300,
    BATCH_EVENTS = 40,
    BATCHES = 200,
    EVENTS = BATCHES * BATCH_EVENTS,
    BEHIND = 300, /* a click is on one of so many events before it */
    SHARDS = 8,
    IN_FLIGHT = 8,
};
#define BEGINNING INT64_C(1700000000000)

static const char *program;

/* ---- the stream ---- */

/* Event i is an impression, or a click on another event; clicks on clicks never find an impression. Behind the stream
 * come only clicks, on the first events of all. */
struct made {
    bool impression;
    uint32_t request, doc; /* an impression's request is its own number */
    int64_t time;
};

static struct made made_event(uint32_t i)
{
    uint64_t seed = i, random = draw(&seed);
    struct made m = {.impression = i < EVENTS && random % 3 != 0, .request = i, .time = BEGINNING + 10 * (int64_t)i};
    if (i >= EVENTS) {
        m.request = i - EVENTS;
    } else if (!m.impression) {
        uint32_t back = (uint32_t)draw(&seed) % BEHIND;
        m.request = back < 5 ? i + back : i > back ? i - back : 0; /* some come before what they click on */
    }
    seed = m.request;
    draw(&seed);
    m.doc = (uint32_t)below(&seed, DOCS);
    return m;
}

struct outcome {
    uint64_t shown[DOCS], clicked[DOCS];
    uint32_t docs, samples;
};

static const struct outcome *outcome_of(uint32_t events)
{
    static struct outcome o;
    static bool clicked[EVENTS + BEHIND];
    memset(&o, 0, sizeof o);
    memset(clicked, 0, sizeof clicked);
    for (uint32_t i = 0; i < events; i++)
        if (!made_event(i).impression)
            clicked[made_event(i).request] = true;
    for (uint32_t i = 0; i < events; i++) {
        struct made m = made_event(i);
        if (!m.impression)
            continue;
        o.samples++;
        o.docs += o.shown[m.doc] == 0;
        o.shown[m.doc]++;
        o.clicked[m.doc] += clicked[i];
    }
    return &o;
}

/* ---- an engine on a folder ---- */

static void options_of(struct options *o, const char *folder, const char *threads)
{
    struct option_problems problems = {0};
    const char *const settings[][2] = {
        {"data", folder},  {"shards", "8"}, {"threads", threads}, {"join.window", "2s"}, {"commit.interval", "20ms"},
        {"log.sync", "0s"}};
    options_default(o);
    o->versions = 2;
    o->version[0] = (struct version_options){.name = "base", .model = "beta"};
    o->version[1] = (struct version_options){
        .name = "fading", .model = "beta", .half_life_ms = 60000, .samples_from = {"base"}, .samples_from_count = 1};
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        options_set(o, settings[i][0], settings[i][1], "test", &problems);
    assert_int_equal(problems.count, 0);
}

static struct engine *open_with(const struct options *o)
{
    struct engine *e = NULL;
    struct tm_error err = {0};
    if (engine_open(o, NULL, &e, &err) != TM_OK)
        fail_msg("%s", err.message);
    return e;
}

static struct engine *open_in(void **state, const char *threads)
{
    struct options o;
    options_of(&o, *state, threads);
    return open_with(&o);
}

static const struct version *version_of(struct engine *e, const char *name)
{
    const struct version *v = engine_version(e, bytes_text(name));
    assert_non_null(v);
    return v;
}

/* ---- a sender: some batches on their way at a time ---- */

static const struct producer_id sender_id = {"test", "1", "all"};

struct sender {
    struct engine *engine;
    sem_t room;                /* batches that may still be handed in */
    _Atomic uint64_t position; /* of the last batch acknowledged */
    int report_to;             /* file descriptor: acknowledged sequences; -1: nobody */
    uint64_t die_after;        /* acknowledged; 0: never */
};

struct batch {
    struct submission submission;
    struct submission_event event[BATCH_EVENTS];
    struct buffer wire;
    struct sender *sender;
};

static void acknowledged(struct submission *s)
{
    struct batch *b = s->context;
    struct sender *to = b->sender;
    CHECK(s->code == TM_OK);
    atomic_store(&to->position, s->position);
    if (to->report_to >= 0)
        CHECK(write(to->report_to, &s->sequence, sizeof s->sequence) == sizeof s->sequence);
    if (to->die_after && s->sequence >= to->die_after)
        _exit(0);
    buffer_close(&b->wire);
    buffer_close(&s->old_rejects);
    free(b);
    sem_post(&to->room);
}

static void encode(struct batch *b, uint32_t k, uint32_t i, struct engine *e)
{
    struct made m = made_event(i);
    char request[16], doc[16];
    snprintf(request, sizeof request, "r%u", m.request);
    snprintf(doc, sizeof doc, "d%u", m.doc);
    const char *stream = m.impression ? "impressions" : "clicks";
    size_t from = b->wire.size;
    event_encode(&(struct event){.stream = bytes_text(stream),
                                 .request = bytes_text(request),
                                 .doc = bytes_text(doc),
                                 .time = m.time,
                                 .has = EVENT_HAS_TIME},
                 &b->wire);
    b->event[k] = (struct submission_event){.wire = bytes_of(b->wire.data + from, b->wire.size - from),
                                            .time = m.time,
                                            .shard = engine_shard(e, bytes_text(doc)),
                                            .stream = (uint8_t)engine_stream(e, bytes_text(stream)),
                                            .version = m.impression ? version_of(e, "base")->id : BLOCK_VERSION_NONE};
}

/* Sequences count from 1; batch s has the events from (s - 1) * BATCH_EVENTS on. */
static void hand_in(struct sender *s, uint64_t sequence)
{
    struct batch *b = mem_new(1, sizeof *b);
    sem_wait(&s->room);
    b->sender = s;
    buffer_reserve(&b->wire, BATCH_EVENTS * 64); /* views stay good */
    for (uint32_t k = 0; k < BATCH_EVENTS; k++)
        encode(b, k, (uint32_t)(sequence - 1) * BATCH_EVENTS + k, s->engine);
    CHECK(b->wire.size <= BATCH_EVENTS * 64);
    b->submission = (struct submission){.kind = SUBMIT_BATCH,
                                        .producer = sender_id,
                                        .sequence = sequence,
                                        .events = b->event,
                                        .event_count = BATCH_EVENTS,
                                        .done = acknowledged,
                                        .context = b};
    CHECK(engine_submit(s->engine, &b->submission));
}

static void wait_for_acks(struct sender *s)
{
    for (int i = 0; i < IN_FLIGHT; i++)
        sem_wait(&s->room);
    for (int i = 0; i < IN_FLIGHT; i++)
        sem_post(&s->room);
}

static void answered(struct submission *s) { sem_post(s->context); }

/* One submission without events, waited for. */
static struct submission ask(struct engine *e, enum submission_kind kind)
{
    sem_t done;
    struct submission s = {.kind = kind, .producer = sender_id, .streams = 3, .done = answered, .context = &done};
    sem_init(&done, 0, 0);
    CHECK(engine_submit(e, &s));
    sem_wait(&done);
    sem_destroy(&done);
    CHECK(s.code == TM_OK);
    return s;
}

/* Returns the last sequence that the log has. */
static uint64_t sender_open(struct sender *s, struct engine *e)
{
    *s = (struct sender){.engine = e, .report_to = -1};
    sem_init(&s->room, 0, IN_FLIGHT);
    return ask(e, SUBMIT_OPEN).last_sequence;
}

static void send_all(struct sender *s, uint64_t from, uint64_t to)
{
    for (uint64_t sequence = from; sequence <= to; sequence++)
        hand_in(s, sequence);
    wait_for_acks(s);
}

static uint64_t drain(struct engine *e)
{
    uint64_t position = 0;
    struct tm_error err;
    assert_int_equal(engine_drain(e, &position, &err), TM_OK);
    return position;
}

/* Everything sent and decided. */
static void fill(struct engine *e, uint64_t batches)
{
    struct sender s;
    uint64_t last = sender_open(&s, e);
    send_all(&s, last + 1, batches);
    ask(e, SUBMIT_END);
    drain(e);
}

/* ---- what came of it ---- */

struct answer {
    double values[2 * DOCS];
    uint8_t known[DOCS], source[DOCS];
    int64_t updated_at[DOCS];
    uint64_t n[DOCS];
    struct pull pull;
};

static void pull_all(struct engine *e, const struct version *v, struct answer *a)
{
    char name[DOCS][8];
    struct bytes docs[DOCS];
    for (uint32_t d = 0; d < DOCS; d++) {
        snprintf(name[d], sizeof name[d], "d%u", d);
        docs[d] = bytes_text(name[d]);
    }
    a->pull = (struct pull){.version = v,
                            .docs = docs,
                            .count = DOCS,
                            .values = a->values,
                            .known = a->known,
                            .updated_at = a->updated_at,
                            .n = a->n,
                            .source = a->source};
    engine_pull(e, &a->pull);
}

static void assert_learned(struct engine *e, const struct outcome *want)
{
    static struct answer a;
    pull_all(e, version_of(e, "base"), &a);
    for (uint32_t d = 0; d < DOCS; d++) {
        assert_int_equal(a.known[d], want->shown[d] > 0);
        assert_int_equal(a.n[d], want->shown[d]);
        assert_true(a.values[2 * d] == 1 + (double)want->clicked[d]);
        assert_true(a.values[2 * d + 1] == 1 + (double)(want->shown[d] - want->clicked[d]));
        assert_int_equal(a.source[d], want->shown[d] ? TIDEMILL__V1__SOURCE__LEARNED : TIDEMILL__V1__SOURCE__PRIOR);
    }
}

struct digests {
    struct hash128 base, fading;
};

static struct digests digests_of(struct engine *e, uint64_t docs)
{
    struct digests d;
    struct tm_error err;
    uint64_t documents;
    assert_int_equal(engine_digest(e, version_of(e, "base"), &d.base, &documents, &err), TM_OK);
    assert_int_equal(documents, docs);
    assert_int_equal(engine_digest(e, version_of(e, "fading"), &d.fading, &documents, &err), TM_OK);
    assert_int_equal(documents, docs);
    return d;
}

static void assert_same_digests(struct digests a, struct digests b)
{
    assert_true(hash128_equal(a.base, b.base));
    assert_true(hash128_equal(a.fading, b.fading));
}

/* ---- a folder for each test ---- */

static int make_folder(void **state)
{
    char *path = strdup("/tmp/tidemill-engine-XXXXXX");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    free(*state);
    return system(command);
}

/* ---- the tests ---- */

static void test_a_new_directory(void **state)
{
    struct engine *e = open_in(state, "2");
    static struct outcome nothing;
    assert_string_equal(engine_generation(e), "1.1");
    assert_null(engine_version(e, bytes_text("nobody")));
    assert_int_equal(engine_stream(e, bytes_text("clicks")), 0);
    assert_int_equal(engine_stream(e, bytes_text("impressions")), 1);
    assert_int_equal(engine_stream(e, bytes_text("orders")), -1);
    assert_learned(e, &nothing);
    digests_of(e, 0);
    engine_close(e);
    e = open_in(state, "2");
    assert_string_equal(engine_generation(e), "1.2");
    engine_close(e);
}

/* What was acknowledged at a position is read when that position is applied; again and again, and never slowly. */
static void test_read_your_writes(void **state)
{
    struct engine *e = open_in(state, "2");
    struct sender s;
    sender_open(&s, e);
    for (uint64_t batch = 1; batch <= BATCHES; batch++) {
        int64_t began = clock_monotonic_ns();
        send_all(&s, batch, batch);
        uint64_t position = s.position;
        assert_true(position <= engine_durable(e));
        assert_true(engine_wait_applied(e, position, 20000));
        assert_true(engine_applied(e) >= position);
        assert_in_range(clock_monotonic_ns() - began, 0, INT64_C(10000000000)); /* nobody had to wait for a time-out */
    }
    uint64_t end = ask(e, SUBMIT_END).position;
    assert_true(engine_wait_applied(e, end, 20000));
    assert_learned(e, outcome_of(EVENTS));
    assert_false(engine_wait_applied(e, end + 1000, 30)); /* there is no such position */
    engine_close(e);
}

/* While a version's encoder changes some parameters are of another one than the reader's: they are not for it. */
static void test_parameters_of_another_encoder_are_not_read(void **state)
{
    struct engine *e = open_in(state, "2");
    struct sender s;
    const struct bytes doc = bytes_text("d0");
    struct arm arm;
    double mean, prior;
    bool known;
    struct scoring of = {
        .version = version_of(e, "base"), .docs = &doc, .count = 1, .arms = &arm, .means = &mean, .known = &known};
    engine_score(e, &of);
    prior = mean;
    sender_open(&s, e);
    for (uint64_t batch = 1; batch <= BATCHES; batch++)
        send_all(&s, batch, batch);
    assert_true(engine_wait_applied(e, ask(e, SUBMIT_END).position, 20000));
    engine_score(e, &of);
    assert_true(known && mean != prior);
    of.encoder = "0123456789abcdef0123456789abcdef";
    engine_score(e, &of);
    assert_true(!known && mean == prior);
    engine_close(e);
}

static void test_nothing_vanishes(void **state)
{
    struct engine *e = open_in(state, "2");
    struct engine_status s;
    const struct outcome *want = outcome_of(EVENTS);
    uint64_t consumed = 0, documents = 0;
    fill(e, BATCHES);
    engine_status(e, &s);
    assert_int_equal(s.imbalance, 0);
    for (int i = 0; i < 2; i++)
        consumed += s.streams[i].consumed;
    assert_int_equal(consumed, EVENTS);
    assert_int_equal(s.streams[1].consumed, want->samples);
    assert_int_equal(s.streams[1].matched, want->samples);
    assert_int_equal(s.version_count, 2);
    for (uint32_t i = 0; i < s.version_count; i++) {
        assert_int_equal(s.versions[i].imbalance, 0);
        assert_int_equal(s.versions[i].fresh.samples, want->samples);
        assert_int_equal(s.versions[i].fresh.learned, want->samples);
        assert_int_equal(s.versions[i].documents, want->docs);
        assert_true(s.versions[i].corrections.samples > 0); /* the stream has clicks behind the window */
        documents = s.versions[i].documents;
    }
    assert_true(documents > DOCS / 2);
    assert_int_equal(s.applied, engine_durable(e));
    for (uint32_t i = 0; i < SHARDS; i++)
        assert_int_equal(s.shards[i].committed_position, s.applied);
    assert_true(s.commits > 0 && s.commit_bytes > 0);
    engine_status_close(&s);
    engine_close(e);
}

static void test_reopened_it_is_the_same(void **state)
{
    static const char *const threads[] = {"1", "4", "3", "8", "2"};
    const struct outcome *want = outcome_of(EVENTS);
    struct engine *e = open_in(state, "2");
    fill(e, BATCHES);
    struct digests before = digests_of(e, want->docs);
    engine_close(e);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct engine_status s;
        e = open_in(state, threads[i]);
        assert_same_digests(digests_of(e, want->docs), before);
        assert_learned(e, want);
        engine_status(e, &s);
        assert_int_equal(s.imbalance, 0);
        assert_int_equal(s.recovered_events, 0); /* closing committed everything */
        assert_int_equal(s.versions[0].fresh.samples, want->samples);
        engine_status_close(&s);
        engine_close(e);
    }
}

/* Half of the stream, a restart with other threads in the middle of windows, the rest. */
static void test_a_restart_in_the_middle(void **state)
{
    static const char *const threads[] = {"1", "4", "2", "3"};
    struct sender s;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct engine *e = open_in(state, threads[i]);
        uint64_t last = sender_open(&s, e);
        assert_int_equal(last, i * BATCHES / ARRAY_LEN(threads));
        send_all(&s, last + 1, (i + 1) * BATCHES / ARRAY_LEN(threads));
        engine_close(e);
    }
    struct engine *e = open_in(state, "2");
    fill(e, BATCHES);
    assert_learned(e, outcome_of(EVENTS));
    engine_close(e);
}

/* Nothing but corrections came since everything was stored. */
static void test_corrections_are_stored(void **state)
{
    struct sender s;
    struct engine_status status;
    struct engine *e = open_in(state, "2");
    fill(e, BATCHES);
    engine_status(e, &status);
    uint64_t before = status.versions[0].corrections.learned;
    engine_status_close(&status);
    sender_open(&s, e);
    send_all(&s, BATCHES + 1, BATCHES + 1);
    drain(e);
    engine_status(e, &status);
    assert_true(status.versions[0].corrections.learned > before);
    assert_int_equal(status.versions[0].fresh.samples, outcome_of(EVENTS)->samples);
    engine_status_close(&status);
    const struct outcome *want = outcome_of(EVENTS + BATCH_EVENTS);
    assert_learned(e, want);
    engine_close(e);
    e = open_in(state, "2");
    assert_learned(e, want);
    engine_close(e);
}

struct exported {
    struct answer *pulled;
    uint32_t rows;
    uint64_t samples;
};

static enum tm_code compare_row(void *context, const struct export_row *row, struct tm_error *err)
{
    struct exported *x = context;
    char name[8] = {0};
    (void)err;
    assert_in_range(row->doc.size, 2, sizeof name - 1);
    memcpy(name, row->doc.data, row->doc.size);
    uint32_t d = (uint32_t)atoi(name + 1);
    assert_true(d < DOCS && x->pulled->known[d]);
    assert_memory_equal(row->values, &x->pulled->values[2 * d], 2 * sizeof(double));
    assert_int_equal(row->belief.positives + row->belief.negatives, x->pulled->n[d]);
    assert_int_equal(row->belief.updated_at, x->pulled->updated_at[d]);
    x->pulled->known[d] = 0; /* not twice */
    x->rows++;
    x->samples += x->pulled->n[d];
    return TM_OK;
}

static void test_what_is_exported_is_what_is_pulled(void **state)
{
    static struct answer pulled;
    static const char *const versions[] = {"base", "fading"};
    const struct outcome *want = outcome_of(EVENTS);
    struct engine *e = open_in(state, "2");
    fill(e, BATCHES);
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct exported x = {.pulled = &pulled};
        struct tm_error err;
        int64_t as_of;
        pull_all(e, version_of(e, versions[i]), &pulled);
        assert_int_equal(engine_export(e, version_of(e, versions[i]), compare_row, &x, &as_of, &err), TM_OK);
        assert_int_equal(as_of, pulled.pull.as_of);
        assert_int_equal(x.rows, want->docs);
        assert_int_equal(x.samples, want->samples);
    }
    engine_close(e);
}

/* ---- crashes ---- */

/* In the second process: send on from where the log stands, telling what was acknowledged, until killed or done. */
static int child(char **argv)
{
    struct options o;
    struct sender s;
    options_of(&o, argv[2], argv[3]);
    struct engine *e = open_with(&o);
    uint64_t last = sender_open(&s, e);
    s.report_to = STDOUT_FILENO;
    s.die_after = strtoull(argv[4], NULL, 10);
    send_all(&s, last + 1, BATCHES);
    engine_close(e);
    return 0;
}

/* Run it until `after` was acknowledged, then kill it, or let it leave by itself. Returns the last acknowledged. */
static uint64_t crash(void **state, const char *threads, uint64_t after, bool kill_it)
{
    char die_after[24];
    int ends[2], status;
    uint64_t sequence = 0, last = 0;
    snprintf(die_after, sizeof die_after, "%llu", kill_it ? 0ull : (unsigned long long)after);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program, program, "child", (char *)*state, threads, die_after, NULL);
        _exit(127);
    }
    close(ends[1]);
    while (read(ends[0], &sequence, sizeof sequence) == sizeof sequence) {
        assert_true(last == 0 || sequence == last + 1);
        last = sequence;
        if (kill_it && last >= after)
            kill(pid, SIGKILL);
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(kill_it ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(last >= after);
    return last;
}

static void test_crashes(void **state)
{
    static const struct {
        const char *threads;
        uint64_t after;
        bool kill_it;
    } crashes[] = {{"2", 1, true}, {"4", 50, true}, {"1", 51, false}, {"2", 110, true}, {"3", 150, false}};
    const struct outcome *want = outcome_of(EVENTS);
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++) {
        struct sender s;
        uint64_t acknowledged_last = crash(state, crashes[i].threads, crashes[i].after, crashes[i].kill_it);
        if (i % 2 == 0)
            continue; /* the next crash comes on top */
        struct engine *e = open_in(state, "2");
        assert_true(sender_open(&s, e) >= acknowledged_last);
        engine_close(e);
    }
    struct engine *e = open_in(state, "2");
    fill(e, BATCHES);
    assert_learned(e, outcome_of(EVENTS));
    struct digests crashed = digests_of(e, want->docs);
    engine_close(e);
    void *whole;
    /* The same without crashes; counts that fade hang on the order of learning. */
    assert_int_equal(make_folder(&whole), 0);
    e = open_in(&whole, "4");
    fill(e, BATCHES);
    assert_true(hash128_equal(digests_of(e, want->docs).base, crashed.base));
    engine_close(e);
    assert_int_equal(remove_folder(&whole), 0);
}

/* ---- what the log may drop ---- */

static void set(struct options *o, const char *key, const char *value)
{
    struct option_problems problems = {0};
    options_set(o, key, value, "test", &problems);
    assert_int_equal(problems.count, 0);
}

/* A large impression of one document, acknowledged. */
static void send_large(struct engine *e, uint64_t sequence)
{
    static uint8_t payload[8 << 10];
    CLEANUP(buffer_close) struct buffer wire = {0};
    char request[24];
    sem_t done;
    snprintf(request, sizeof request, "r%llu", (unsigned long long)sequence);
    event_encode(&(struct event){.stream = bytes_text("impressions"),
                                 .request = bytes_text(request),
                                 .doc = bytes_text("d0"),
                                 .payload = bytes_of(payload, sizeof payload),
                                 .time = BEGINNING + (int64_t)sequence,
                                 .has = EVENT_HAS_TIME},
                 &wire);
    struct submission_event event = {.wire = buffer_view(&wire),
                                     .time = BEGINNING + (int64_t)sequence,
                                     .shard = engine_shard(e, bytes_text("d0")),
                                     .stream = (uint8_t)engine_stream(e, bytes_text("impressions")),
                                     .version = version_of(e, "base")->id};
    struct submission s = {.kind = SUBMIT_BATCH,
                           .producer = sender_id,
                           .sequence = sequence,
                           .events = &event,
                           .event_count = 1,
                           .done = answered,
                           .context = &done};
    sem_init(&done, 0, 0);
    CHECK(engine_submit(e, &s));
    sem_wait(&done);
    sem_destroy(&done);
    CHECK(s.code == TM_OK);
    buffer_close(&s.old_rejects);
}

static uint64_t state_syncs(struct engine *e)
{
    static const char name[] = "\ntidemill_state_sync_seconds_count ";
    CLEANUP(buffer_close) struct buffer text = {0};
    struct metrics m = {0};
    engine_metrics(e, &m);
    metrics_text(&m, &text);
    metrics_close(&m);
    buffer_put_u8(&text, 0);
    const char *line = strstr((const char *)text.data, name);
    return line ? strtoull(line + sizeof name - 1, NULL, 10) : 0;
}

/* Where the log begins: not behind what the slowest shard has committed. */
static uint64_t log_begin(struct engine *e)
{
    struct engine_status s;
    engine_status(e, &s);
    for (int i = 0; i < SHARDS; i++)
        assert_true(s.log.retained.first <= s.shards[i].committed_position);
    uint64_t first = s.log.retained.first;
    engine_status_close(&s);
    return first;
}

/* One shard is busy and commits all the time. The others have nothing to do, and would have to read everything again:
 * from where they stand, which nobody but their own rare commits moves. */
static void test_the_log_waits_for_the_slowest_shard(void **state)
{
    enum { ROUNDS = 10000 };
    struct options o;
    uint64_t sequence = 0;
    options_of(&o, *state, "2");
    set(&o, "log.retain_size", "64KiB");
    struct engine *e = open_with(&o);
    ask(e, SUBMIT_OPEN);
    for (uint64_t enough = state_syncs(e) + 2; state_syncs(e) < enough;
         log_begin(e)) { /* what it committed is synced */
        assert_true(sequence < ROUNDS);
        send_large(e, ++sequence);
    }
    uint64_t drained = drain(e);
    while (log_begin(e) == 0) { /* now all of them have */
        assert_true(sequence < 2 * ROUNDS);
        send_large(e, ++sequence);
    }
    assert_true(log_begin(e) <= drained);
    engine_close(e);
}

/* ---- refusals ---- */

static void assert_refused(const struct options *o, const char *words)
{
    struct engine *e;
    struct tm_error err = {0};
    assert_int_equal(engine_open(o, NULL, &e, &err), TM_FAILED_PRECONDITION);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void refuse_settings(void **state)
{
    static const char *const refused[][3] = {
        {"join.allowed_lateness", "25h",
         "join.allowed_lateness is 86400000ms in the data directory, and 90000000ms now"},
        {"join.key", "user, doc", "join.key is [request, doc] in the data directory, and [user, doc] now"},
        {"shards", "16", "shards: the data directory was made with 8, the configuration says 16"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct options o;
        options_of(&o, *state, "2");
        set(&o, refused[i][0], refused[i][1]);
        assert_refused(&o, refused[i][2]);
    }
}

static void refuse_streams_and_labels(void **state)
{
    struct options o;
    options_of(&o, *state, "2");
    strcpy(o.stream[0].name, "shows");
    assert_refused(&o, "streams.impressions is in the data directory, and not in the configuration");
    options_of(&o, *state, "2");
    o.stream[1].within_ms = 5000;
    o.stream[1].within_given = true;
    assert_refused(&o, "streams.clicks.within is 86400000ms in the data directory, and 5000ms now; streams and labels");
    options_of(&o, *state, "2");
    o.label[0].label.aggregate = LABEL_COUNT;
    assert_refused(&o, "labels.click.aggregate is exists in the data directory, and count now");
}

static void refuse_versions(void **state)
{
    struct options o;
    options_of(&o, *state, "2");
    o.version[0].prior[1] = 9;
    assert_refused(&o, "version base differs from what the data directory was made with; put the old value back");
    options_of(&o, *state, "2");
    o.version[1].half_life_ms = 1;
    assert_refused(&o, "version fading differs from");
    options_of(&o, *state, "2");
    o.version[1].samples_from_count = 0;
    assert_refused(&o, "version fading differs from");
    options_of(&o, *state, "2"); /* a new one in front of a changed one: refused as a whole */
    o.version[2] = o.version[0];
    o.version[2].prior[0] = 3;
    strcpy(o.version[0].name, "newcomer");
    strcpy(o.version[0].samples_from[0], "newcomer");
    o.versions = 3;
    assert_refused(&o, "version base differs from");
}

static void test_other_configurations_are_refused(void **state)
{
    struct engine *e = open_in(state, "2");
    fill(e, 50);
    const struct outcome *want = outcome_of(50 * BATCH_EVENTS);
    struct digests before = digests_of(e, want->docs);
    uint64_t position = engine_durable(e);
    engine_close(e);
    refuse_settings(state);
    refuse_streams_and_labels(state);
    refuse_versions(state);
    e = open_in(state, "2");
    assert_null(engine_version(e, bytes_text("newcomer")));
    assert_int_equal(engine_durable(e), position); /* nothing was written */
    assert_same_digests(digests_of(e, want->docs), before);
    engine_close(e);
}

static void test_a_version_may_come_later(void **state)
{
    struct options o;
    struct sender s;
    static struct answer a;
    struct engine *e = open_in(state, "2");
    uint64_t documents;
    struct hash128 digest;
    struct tm_error err;
    fill(e, 50);
    engine_close(e);
    options_of(&o, *state, "2");
    o.version[o.versions++] =
        (struct version_options){.name = "late", .model = "beta", .samples_from = {"base"}, .samples_from_count = 1};
    set(&o, "threads", "3");
    e = open_with(&o);
    assert_int_equal(engine_digest(e, version_of(e, "late"), &digest, &documents, &err), TM_OK);
    assert_int_equal(documents, 0); /* it learns from now on */
    uint64_t last = sender_open(&s, e);
    assert_int_equal(last, 50);
    send_all(&s, last + 1, BATCHES);
    ask(e, SUBMIT_END);
    drain(e);
    pull_all(e, version_of(e, "late"), &a);
    uint64_t learned = 0;
    for (uint32_t d = 0; d < DOCS; d++)
        learned += a.n[d];
    assert_int_equal(learned, outcome_of(EVENTS)->samples - outcome_of(50 * BATCH_EVENTS)->samples);
    engine_close(e);
}

static void test_two_engines_on_one_directory(void **state)
{
    struct options o;
    char in_use[64];
    struct engine *e = open_in(state, "1");
    options_of(&o, *state, "1");
    snprintf(in_use, sizeof in_use, "in use by pid %d", (int)getpid());
    assert_refused(&o, in_use);
    fill(e, 1); /* the first one does not mind */
    engine_close(e);
    e = open_with(&o);
    engine_close(e);
}

/* ---- reading while it learns ---- */

struct puller {
    struct engine *engine;
    _Atomic bool *over;
    uint64_t pulls, faults;
};

/* Whole blocks, nothing going back: the sum of alpha and beta is the prior and the samples, at every moment. */
static void *pull_until_over(void *context)
{
    struct puller *p = context;
    struct answer *a = mem_new(2, sizeof *a);
    pull_all(p->engine, version_of(p->engine, "base"), &a[1]);
    for (p->pulls = 0; !atomic_load(p->over) || p->pulls == 0; p->pulls++) {
        struct answer *now = &a[p->pulls % 2], *before = &a[1 - p->pulls % 2];
        pull_all(p->engine, version_of(p->engine, "base"), now);
        p->faults += now->pull.position < before->pull.position || now->pull.as_of < before->pull.as_of;
        p->faults += now->pull.durable_position < now->pull.position;
        for (uint32_t d = 0; d < DOCS; d++) {
            p->faults += now->values[2 * d] + now->values[2 * d + 1] != 2 + (double)now->n[d];
            p->faults += now->n[d] < before->n[d] || now->updated_at[d] < before->updated_at[d];
            p->faults += now->known[d] < before->known[d];
        }
    }
    free(a);
    return NULL;
}

static void test_pulls_while_events_stream_in(void **state)
{
    enum { PULLERS = 3 };
    struct engine *e = open_in(state, "3");
    struct puller puller[PULLERS];
    pthread_t thread[PULLERS];
    _Atomic bool over = false;
    for (int i = 0; i < PULLERS; i++) {
        puller[i] = (struct puller){.engine = e, .over = &over};
        assert_int_equal(pthread_create(&thread[i], NULL, pull_until_over, &puller[i]), 0);
    }
    fill(e, BATCHES);
    atomic_store(&over, true);
    for (int i = 0; i < PULLERS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(puller[i].faults, 0);
        assert_true(puller[i].pulls > 0);
    }
    assert_learned(e, outcome_of(EVENTS));
    engine_close(e);
}

/* ---- versions at run time ---- */

struct creator {
    struct engine *engine;
    double prior;
    enum tm_code code;
    uint64_t position;
};

static void *create(void *context)
{
    struct creator *c = context;
    struct version_options wanted = {.name = "late", .model = "beta", .prior = {1, c->prior}, .prior_count = 2};
    struct engine_change change = {0};
    struct tm_error err;
    c->code = engine_create_version(c->engine, &wanted, &(struct engine_prior){0}, &change, &err);
    c->position = change.position;
    return NULL;
}

static void test_of_concurrent_creates_one_wins(void **state)
{
    enum { CREATORS = 8 };
    struct engine *e = open_in(state, "3");
    struct creator c[CREATORS];
    pthread_t thread[CREATORS];
    int won = -1;
    for (int i = 0; i < CREATORS; i++) {
        c[i] = (struct creator){.engine = e, .prior = 2 + i};
        assert_int_equal(pthread_create(&thread[i], NULL, create, &c[i]), 0);
    }
    for (int i = 0; i < CREATORS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(c[i].code == TM_OK || c[i].code == TM_ALREADY_EXISTS);
        assert_true(c[i].code != TM_OK || won < 0);
        won = c[i].code == TM_OK ? i : won;
    }
    assert_in_range(won, 0, CREATORS - 1);
    assert_true(engine_applied(e) >= c[won].position);
    assert_int_equal(engine_versions(e), 3);
    assert_true(version_of(e, "late")->config.prior[1] == 2 + won);
    engine_close(e);
    e = open_in(state, "2");
    assert_true(version_of(e, "late")->config.prior[1] == 2 + won);
    engine_close(e);
}

static struct engine_version_status status_of(struct engine *e, const char *name)
{
    struct engine_version_status found = {0};
    struct engine_status s;
    drain(e);
    engine_status(e, &s);
    assert_int_equal(s.imbalance, 0);
    for (uint32_t i = 0; i < s.version_count; i++)
        if (s.versions[i].version == version_of(e, name))
            found = s.versions[i];
    engine_status_close(&s);
    return found;
}

static void change_state(struct engine *e, enum version_state to, bool unchanged)
{
    struct engine_change change;
    struct tm_error err;
    const struct version *base = version_of(e, "base");
    enum tm_code rc = to == VERSION_PAUSED ? engine_pause_version(e, base, &change, &err)
                                           : engine_resume_version(e, base, false, &change, &err);
    assert_int_equal(rc, TM_OK);
    assert_int_equal(change.unchanged, unchanged);
    assert_ptr_equal(change.version, base);
    assert_true(engine_applied(e) >= change.position);
    assert_int_equal(engine_version_state(e, base), to);
}

/* The same stream with a pause in the middle, a restart in the pause, and one while it catches up. */
static void test_a_pause_changes_nothing_in_the_end(void **state)
{
    const struct outcome *want = outcome_of(EVENTS);
    struct engine *e = open_in(state, "2");
    struct sender s;
    sender_open(&s, e);
    send_all(&s, 1, BATCHES / 4);
    change_state(e, VERSION_PAUSED, false);
    change_state(e, VERSION_PAUSED, true);
    engine_close(e);
    e = open_in(state, "3");
    assert_int_equal(engine_version_state(e, version_of(e, "base")), VERSION_PAUSED);
    fill(e, BATCHES);
    struct engine_version_status paused = status_of(e, "base");
    assert_true(paused.fresh.held > want->samples / 2 && paused.corrections.held > 0 && paused.catching_up == 0);
    assert_int_equal(status_of(e, "fading").fresh.learned, want->samples);
    change_state(e, VERSION_LEARNING, false);
    engine_close(e);
    e = open_in(state, "1");
    change_state(e, VERSION_LEARNING, true);
    for (int64_t began = clock_monotonic_ns(); status_of(e, "base").catching_up > 0;)
        assert_in_range(clock_monotonic_ns() - began, 0, INT64_C(20000000000));
    assert_learned(e, want);
    assert_int_equal(status_of(e, "base").fresh.learned, want->samples);
    engine_close(e);
}

int main(int argc, char **argv)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(test_a_new_directory),
        IN_A_FOLDER(test_read_your_writes),
        IN_A_FOLDER(test_parameters_of_another_encoder_are_not_read),
        IN_A_FOLDER(test_nothing_vanishes),
        IN_A_FOLDER(test_reopened_it_is_the_same),
        IN_A_FOLDER(test_a_restart_in_the_middle),
        IN_A_FOLDER(test_corrections_are_stored),
        IN_A_FOLDER(test_what_is_exported_is_what_is_pulled),
        IN_A_FOLDER(test_crashes),
        IN_A_FOLDER(test_the_log_waits_for_the_slowest_shard),
        IN_A_FOLDER(test_other_configurations_are_refused),
        IN_A_FOLDER(test_a_version_may_come_later),
        IN_A_FOLDER(test_two_engines_on_one_directory),
        IN_A_FOLDER(test_pulls_while_events_stream_in),
        IN_A_FOLDER(test_of_concurrent_creates_one_wins),
        IN_A_FOLDER(test_a_pause_changes_nothing_in_the_end),
    };
    program = argv[0];
    if (argc == 5 && strcmp(argv[1], "child") == 0)
        return child(argv);
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
