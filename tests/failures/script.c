#include "tests/failures/script.h"

#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/event.h"
#include "ps/engine/engine.h"

enum {
    DOCS = 40,
    BATCHES = 24,
    BATCH_IMPRESSIONS = 20,
    BATCH_EVENTS = BATCH_IMPRESSIONS + BATCH_IMPRESSIONS / 4, /* every fourth is clicked, in its own batch */
    EVENT_BYTES = 64,
    IN_FLIGHT = 4,
};
#define BEGINNING INT64_C(1700000000000)

static const struct producer_id sender_id = {"script", "1", "all"};

/* ---- an engine ---- */

static enum tm_code open_engine(const char *folder, struct engine **e, struct tm_error *err)
{
    static struct options o;
    struct option_problems problems = {0};
    const char *const settings[][2] = {
        {"data", folder},  {"shards", "4"}, {"threads", "2"}, {"join.window", "2s"}, {"commit.interval", "10ms"},
        {"log.sync", "0s"}};
    options_default(&o);
    o.versions = 1;
    o.version[0] =
        (struct version_options){.name = "A", .model = "beta", .prior = {1, 1}, .prior_count = 2, .reward = "click"};
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        options_set(&o, settings[i][0], settings[i][1], "script", &problems);
    options_check(&o, "script", &problems);
    CHECK(problems.count == 0);
    return engine_open(&o, NULL, e, err);
}

/* ---- a sender ---- */

struct sender {
    struct engine *engine;
    struct failing_report *report;
    sem_t room;
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
    if (s->sequence > atomic_load(&to->report->acked))
        atomic_store(&to->report->acked, s->sequence);
    buffer_close(&b->wire);
    buffer_close(&s->old_rejects);
    free(b);
    sem_post(&to->room);
}

static void put_event(struct batch *b, struct engine *e, const char *stream, uint64_t request, int64_t time)
{
    char name[24], doc[24];
    size_t from = b->wire.size;
    bool shown = strcmp(stream, "impressions") == 0;
    snprintf(name, sizeof name, "r%" PRIu64, request);
    snprintf(doc, sizeof doc, "d%" PRIu64, request % DOCS);
    event_encode(&(struct event){.stream = bytes_text(stream),
                                 .request = bytes_text(name),
                                 .doc = bytes_text(doc),
                                 .time = time,
                                 .has = EVENT_HAS_TIME},
                 &b->wire);
    CHECK(b->wire.size <= BATCH_EVENTS * EVENT_BYTES);
    b->event[b->submission.event_count++] =
        (struct submission_event){.wire = bytes_of(b->wire.data + from, b->wire.size - from),
                                  .time = time,
                                  .shard = engine_shard(e, bytes_text(doc)),
                                  .stream = (uint8_t)engine_stream(e, bytes_text(stream)),
                                  .version = shown ? engine_version(e, bytes_text("A"))->id : BLOCK_VERSION_NONE};
}

static bool is_clicked(uint64_t request) { return request % 4 == 0; }

static void hand_in(struct sender *s, uint64_t sequence)
{
    struct batch *b = mem_new(1, sizeof *b);
    uint64_t first = (sequence - 1) * BATCH_IMPRESSIONS;
    sem_wait(&s->room);
    b->sender = s;
    buffer_reserve(&b->wire, BATCH_EVENTS * EVENT_BYTES); /* views stay good */
    b->submission = (struct submission){.kind = SUBMIT_BATCH,
                                        .producer = sender_id,
                                        .sequence = sequence,
                                        .events = b->event,
                                        .done = acknowledged,
                                        .context = b};
    for (uint64_t request = first; request < first + BATCH_IMPRESSIONS; request++) {
        int64_t time = BEGINNING + 100 * (int64_t)request;
        put_event(b, s->engine, "impressions", request, time);
        if (is_clicked(request))
            put_event(b, s->engine, "clicks", request, time + 50);
    }
    if (sequence > atomic_load(&s->report->sent))
        atomic_store(&s->report->sent, sequence);
    CHECK(engine_submit(s->engine, &b->submission));
}

static void answered(struct submission *s) { sem_post(s->context); }

/* One submission without events, waited for. */
static struct submission ask(struct engine *e, enum submission_kind kind)
{
    sem_t done;
    struct submission s = {.kind = kind, .producer = sender_id, .streams = 3, .done = answered, .context = &done};
    CHECK(sem_init(&done, 0, 0) == 0);
    CHECK(engine_submit(e, &s));
    sem_wait(&done);
    sem_destroy(&done);
    CHECK(s.code == TM_OK);
    return s;
}

static void send_until(struct engine *e, struct failing_report *report, uint64_t from, uint64_t to)
{
    struct sender s = {.engine = e, .report = report};
    CHECK(sem_init(&s.room, 0, IN_FLIGHT) == 0);
    for (uint64_t sequence = from; sequence <= to; sequence++)
        hand_in(&s, sequence);
    for (int i = 0; i < IN_FLIGHT; i++)
        sem_wait(&s.room);
    sem_destroy(&s.room);
}

/* ---- the script ---- */

static int refused(const struct tm_error *err)
{
    fprintf(stderr, "tidemill: %s\n", err->message); /* as the program says it */
    return tm_code_exit(err->code);
}

static int session(const char *folder, struct failing_report *report, uint64_t last)
{
    struct engine *e;
    struct tm_error err = {0};
    uint64_t position;
    if (open_engine(folder, &e, &err) != TM_OK)
        return refused(&err);
    send_until(e, report, ask(e, SUBMIT_OPEN).last_sequence + 1, last - 2);
    enum tm_code rc = engine_drain(e, &position, &err);
    CHECK(rc == TM_OK);
    send_until(e, report, last - 1, last);
    engine_close(e);
    return 0;
}

int script_run(const char *folder, struct failing_report *report)
{
    int code = session(folder, report, BATCHES / 2);
    return code ? code : session(folder, report, BATCHES);
}

/* ---- the judge ---- */

static int wrong(const char *what, uint64_t got, uint64_t expected)
{
    fprintf(stderr, "%s: %" PRIu64 ", expected %" PRIu64 "\n", what, got, expected);
    return 1;
}

static int judge_counts(struct engine *e)
{
    char name[DOCS][24];
    struct bytes docs[DOCS];
    double values[2 * DOCS];
    uint8_t known[DOCS], source[DOCS];
    int64_t updated_at[DOCS];
    uint64_t n[DOCS], shown[DOCS] = {0}, clicked[DOCS] = {0};
    for (uint64_t request = 0; request < BATCHES * BATCH_IMPRESSIONS; request++) {
        shown[request % DOCS]++;
        clicked[request % DOCS] += is_clicked(request);
    }
    for (uint32_t d = 0; d < DOCS; d++) {
        snprintf(name[d], sizeof name[d], "d%" PRIu32, d);
        docs[d] = bytes_text(name[d]);
    }
    engine_pull(e, &(struct pull){.version = engine_version(e, bytes_text("A")),
                                  .docs = docs,
                                  .count = DOCS,
                                  .values = values,
                                  .known = known,
                                  .updated_at = updated_at,
                                  .n = n,
                                  .source = source});
    for (uint32_t d = 0; d < DOCS; d++) {
        if (n[d] != shown[d])
            return wrong(name[d], n[d], shown[d]);
        if (values[2 * d] != 1 + (double)clicked[d])
            return wrong(name[d], (uint64_t)values[2 * d] - 1, clicked[d]);
    }
    return 0;
}

static int judge_conservation(struct engine *e)
{
    struct engine_status s;
    uint64_t consumed = 0;
    engine_status(e, &s);
    for (uint32_t i = 0; i < s.log.streams; i++)
        consumed += s.streams[i].consumed;
    int64_t imbalance = s.imbalance;
    engine_status_close(&s);
    if (imbalance)
        return wrong("imbalance", (uint64_t)imbalance, 0);
    return consumed == BATCHES * BATCH_EVENTS ? 0 : wrong("events consumed", consumed, BATCHES * BATCH_EVENTS);
}

int script_judge(const char *folder, struct failing_report *report)
{
    struct engine *e;
    struct tm_error err = {0};
    uint64_t position, sent = atomic_load(&report->sent), acked = atomic_load(&report->acked);
    if (open_engine(folder, &e, &err) != TM_OK) {
        fprintf(stderr, "cannot start again: %s\n", err.message);
        return 1;
    }
    uint64_t last = ask(e, SUBMIT_OPEN).last_sequence;
    if (last < acked || last > sent)
        return wrong("last sequence", last, last < acked ? acked : sent);
    send_until(e, report, last + 1, BATCHES);
    ask(e, SUBMIT_END);
    CHECK(engine_drain(e, &position, &err) == TM_OK);
    int code = judge_counts(e);
    if (code == 0)
        code = judge_conservation(e);
    engine_close(e);
    return code;
}
