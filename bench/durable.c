/* What the whole durable path costs, in process, from decoded events: log append and sync, join, two Beta versions,
 * commits.
 *
 * Events   per sample an impression (bench/encode.h) and 0.06 clicks; the second run adds a features event for every
 *          impression, the third has both versions judged (validate: on), so every sample once; the fourth has
 *          payloads of random bytes instead of text. Documents Zipf over 10,000, versions A and B in halves.
 * State    1 M undecided keys: window 10 s at 100,000 samples a second of event time; allowed lateness is twice the
 *          window, so that another 1 M decided keys are open for corrections. Wall time runs as fast as it can.
 * Measured after a warm-up that fills both, in ROUNDS rounds between drains (everything applied, committed, synced):
 * CPU of the process without the making of the events, and wall time, of which the median round counts; bytes as the
 * log and the commits count them, and as the kernel counts them for the process (write_bytes: with RocksDB's flushes
 * and compactions), of all rounds together. Kernel threads are not in it.
 * Floor    the same bytes of events copied into blocks of 256 KiB, checksummed, written and fdatasync'ed, in the same
 *          folder.
 * Folder   beside the program, on a real disk; removed at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/queue.h"
#include "bench/bench.h"
#include "bench/disk.h"
#include "bench/encode.h"
#include "bench/threads.h"
#include "ps/engine/engine.h"

enum {
    LIVE = 1000000,
    WARM = 2100000, /* samples: window, and the decided ones behind it */
    ROUNDS = 3,
    SAMPLES_A_ROUND = 500000,
    BATCH = 256,
    BATCHES = 128, /* under way at once */
};

/* Room for the documents' Zipf: the part of the shard with the first of them is seven times the mean. */
static const char join[] = "join: { window: 10s, allowed_lateness: 20s }\n"
                           "memory: { join: 8GiB }\n";

/* A batch and the watermarks behind it; back in the pool when the log is through with the last of them. */
struct batch {
    struct submission events, watermark[MADE_KINDS];
    struct submission_event event[BATCH];
    struct buffer wire;
    struct queue *pool;
};

struct producer {
    struct engine *engine;
    struct events events;
    enum encode_filling filling;
    struct queue *pool;
    struct batch *batches;
    struct producer_id id;
    uint64_t sequence, position, submitted, wire_bytes;
    int stream[MADE_KINDS];
    uint32_t version[2];
    int64_t making_ns; /* of this thread's CPU */
};

static void taken(struct submission *s) { CHECK(s->code == TM_OK); }

static void last_taken(struct submission *s)
{
    struct batch *b = s->context;
    CHECK(s->code == TM_OK);
    CHECK(queue_try_push(b->pool, b, 0));
}

static void make_batch(struct producer *p, struct batch *b)
{
    struct made m;
    b->wire.size = 0;
    for (int i = 0; i < BATCH; i++) {
        size_t from = b->wire.size;
        events_next(&p->events, &m);
        encode_event(&m, p->filling, &b->wire);
        char doc[ENCODE_DOC_SIZE];
        encode_doc(m.doc, doc);
        b->event[i] = (struct submission_event){.wire = bytes_of(b->wire.data + from, b->wire.size - from),
                                                .time = m.time,
                                                .shard = engine_shard(p->engine, bytes_text(doc)),
                                                .stream = (uint8_t)p->stream[m.kind],
                                                .version = m.kind == MADE_IMPRESSION ? p->version[m.version]
                                                                                     : BLOCK_VERSION_NONE};
    }
    CHECK(b->wire.size <= BATCH * ENCODE_EVENT_MAX); /* views would have moved */
    p->submitted += BATCH;
    p->wire_bytes += b->wire.size;
    b->events.sequence = ++p->sequence;
    for (int i = 0; i < MADE_KINDS; i++)
        b->watermark[i].time = m.time;
}

static void produce(struct producer *p, uint64_t until_sample)
{
    while (p->events.next < until_sample) {
        struct batch *b = queue_pop(p->pool, -1);
        int64_t began = clock_thread_cpu_ns();
        make_batch(p, b);
        p->making_ns += clock_thread_cpu_ns() - began;
        CHECK(engine_submit(p->engine, &b->events));
        for (int i = 0; i < MADE_KINDS; i++)
            CHECK(engine_submit(p->engine, &b->watermark[i]));
    }
}

/* Everything handed in is applied, committed and synced. */
static void drain(struct producer *p)
{
    struct tm_error err;
    while (queue_length(p->pool) < BATCHES)
        usleep(1000);
    CHECK(engine_drain(p->engine, &p->position, &err) == TM_OK);
}

static void producer_open(struct producer *p, struct engine *e, bool features)
{
    *p = (struct producer){.engine = e, .id = {"bench", "1", "main"}};
    events_open(&p->events, LIVE, 0.06, features);
    p->pool = queue_open(BATCHES, 0);
    p->batches = mem_new(BATCHES, sizeof *p->batches);
    for (int i = 0; i < MADE_KINDS; i++)
        p->stream[i] = engine_stream(e, bytes_text(encode_streams[i]));
    for (int i = 0; i < 2; i++)
        p->version[i] = engine_version(e, bytes_text(encode_versions[i]))->id;
    for (int k = 0; k < BATCHES; k++) {
        struct batch *b = &p->batches[k];
        b->pool = p->pool;
        buffer_reserve(&b->wire, BATCH * ENCODE_EVENT_MAX);
        b->events = (struct submission){
            .kind = SUBMIT_BATCH, .producer = p->id, .events = b->event, .event_count = BATCH, .done = taken};
        for (int i = 0; i < MADE_KINDS; i++)
            b->watermark[i] = (struct submission){.kind = SUBMIT_WATERMARK,
                                                  .producer = p->id,
                                                  .stream = (uint8_t)p->stream[i],
                                                  .done = i + 1 == MADE_KINDS ? last_taken : taken,
                                                  .context = b};
        CHECK(queue_try_push(p->pool, b, 0));
    }
    static struct submission open; /* lives until the log has taken it, which is before the first batch */
    open = (struct submission){.kind = SUBMIT_OPEN, .producer = p->id, .streams = 7, .done = taken};
    CHECK(engine_submit(e, &open));
}

static void producer_close(struct producer *p)
{
    for (int k = 0; k < BATCHES; k++) {
        CHECK(queue_pop(p->pool, 0));
        buffer_close(&p->batches[k].wire);
    }
    queue_close(p->pool);
    events_close(&p->events);
    free(p->batches);
}

/* ---- measuring ---- */

struct reading {
    int64_t wall_ns, making_ns;
    double cpu;
    uint64_t events, wire, log, commits, state, syncs, device, undecided, decided, rss;
    struct thread_times threads;
};

static void take_reading(struct producer *p, struct reading *r)
{
    struct engine_status s;
    drain(p);
    engine_status(p->engine, &s);
    *r = (struct reading){.wall_ns = clock_monotonic_ns(),
                          .making_ns = p->making_ns,
                          .cpu = bench_process_cpu(),
                          .events = p->submitted,
                          .wire = p->wire_bytes,
                          .log = s.log.bytes_written,
                          .syncs = s.log.syncs,
                          .commits = s.commits,
                          .state = s.commit_bytes,
                          .device = disk_written(),
                          .rss = bench_rss()};
    for (uint32_t i = 0; i < engine_options(p->engine)->shards; i++) {
        r->undecided += s.shards[i].undecided;
        r->decided += s.shards[i].decided;
    }
    CHECK(s.imbalance == 0);
    for (uint32_t i = 0; i < s.log.streams; i++)
        CHECK(s.streams[i].shed == 0 && s.streams[i].given_up == 0);
    engine_status_close(&s);
    thread_times_read(getpid(), &r->threads);
}

static void report_threads(struct bench *b, const char *run, const struct reading *from, const struct reading *to)
{
    double events = (double)(to->events - from->events), others = 0;
    for (uint32_t i = 0; i < to->threads.count; i++) {
        const struct thread_time *t = &to->threads.thread[i];
        double us = (double)(t->ns - thread_time_of(&from->threads, t->name)) / 1e3 / events;
        if (strcmp(t->name, "main") == 0)
            us -= (double)(to->making_ns - from->making_ns) / 1e3 / events;
        if (us < 0.01)
            others += us;
        else
            bench_add(b, (struct bench_row){.value = us, .unit = "us CPU/event"}, "%s/thread/%s", run, t->name);
    }
    bench_add(b, (struct bench_row){.value = others, .unit = "us CPU/event"}, "%s/thread/(others)", run);
}

/* CPU of the program for an event of one round, without the making of the events: microseconds. */
static double round_cpu(const struct reading *from, const struct reading *to)
{
    double cpu = to->cpu - from->cpu - (double)(to->making_ns - from->making_ns) / 1e9;
    return cpu * 1e6 / (double)(to->events - from->events);
}

static double round_wall(const struct reading *from, const struct reading *to)
{
    return (double)(to->wall_ns - from->wall_ns) / 1e3 / (double)(to->events - from->events);
}

static void report(struct bench *b, const char *run, const char *folder, const struct reading *readings)
{
    const struct reading *from = &readings[0], *to = &readings[ROUNDS];
    double events = (double)(to->events - from->events), wire = (double)(to->wire - from->wire) / events;
    double seconds = (double)(to->wall_ns - from->wall_ns) / 1e9, cpu[ROUNDS], wall[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        cpu[i] = round_cpu(&readings[i], &readings[i + 1]);
        wall[i] = round_wall(&readings[i], &readings[i + 1]);
    }
    double log = (double)(to->log - from->log) / events, state = (double)(to->state - from->state) / events;
    struct disk_floor floor = disk_floor_measure(folder, to->wire - from->wire);
    bench_add(b,
              (struct bench_row){.value = bench_quantile(cpu, ROUNDS, 0.5),
                                 .unit = "us CPU/event",
                                 .reference = "write+fdatasync",
                                 .reference_value = floor.cpu * 1e6 / events,
                                 .aim = 1.0},
              "%s/cpu", run);
    report_threads(b, run, from, to);
    bench_add(b,
              (struct bench_row){.value = log + state,
                                 .unit = "B/event",
                                 .reference = "events on the wire",
                                 .reference_value = wire,
                                 .aim = 250},
              "%s/written", run);
    bench_add(
        b,
        (struct bench_row){.value = log, .unit = "B/event", .reference = "events on the wire", .reference_value = wire},
        "%s/written/log", run);
    bench_add(b,
              (struct bench_row){
                  .value = state, .unit = "B/event", .reference = "events on the wire", .reference_value = wire},
              "%s/written/state", run);
    bench_add(b,
              (struct bench_row){.value = (double)(to->device - from->device) / events,
                                 .unit = "B/event",
                                 .reference = "write+fdatasync",
                                 .reference_value = (double)floor.written / events},
              "%s/written/device", run);
    bench_add(b,
              (struct bench_row){.value = (double)(to->syncs - from->syncs) * 1e3 / events,
                                 .unit = "/1000 events",
                                 .reference = "write+fdatasync",
                                 .reference_value = (double)floor.syncs * 1e3 / events},
              "%s/log syncs", run);
    bench_add(b, (struct bench_row){.value = (double)(to->commits - from->commits) / seconds, .unit = "/s"},
              "%s/shard commits", run);
    bench_add(b,
              (struct bench_row){.value = bench_quantile(wall, ROUNDS, 0.5),
                                 .unit = "us wall/event",
                                 .reference = "write+fdatasync",
                                 .reference_value = floor.wall * 1e6 / events},
              "%s/wall", run);
    bench_add(b, (struct bench_row){.value = (double)to->undecided, .unit = "keys"}, "%s/undecided", run);
    bench_add(b, (struct bench_row){.value = (double)to->decided, .unit = "keys"}, "%s/decided", run);
    bench_add(b,
              (struct bench_row){.value = (double)to->rss / (double)(to->undecided + to->decided), .unit = "B RSS/key"},
              "%s/rss", run);
}

static struct engine *open_engine(const char *folder, bool judged)
{
    char path[DISK_PATH_SIZE];
    struct tm_error err;
    struct engine *e;
    struct options *o = mem_new(1, sizeof *o);
    struct option_problems problems = {0};
    struct buffer text = {0};
    options_default(o);
    snprintf(path, sizeof path, "%s/tidemill.yaml", folder);
    buffer_put(&text, encode_configuration, strlen(encode_configuration));
    buffer_put(&text, join, strlen(join));
    CHECK(file_write_atomic(path, buffer_view(&text), &err) == TM_OK);
    buffer_close(&text);
    options_read_file(o, path, &problems);
    snprintf(o->data, sizeof o->data, "%s/data", folder);
    for (uint32_t i = 0; i < o->versions; i++)
        o->version[i].validate = judged;
    if (problems.count)
        stop(1, "%.*s", (int)problems.text.size, (const char *)problems.text.data);
    if (engine_open(o, NULL, &e, &err) != TM_OK)
        stop(1, "%s", err.message);
    buffer_close(&problems.text);
    free(o);
    return e;
}

static void run(struct bench *b, const char *name, bool features, bool judged, enum encode_filling filling)
{
    char folder[DISK_FOLDER_SIZE];
    struct producer p;
    struct reading *readings = mem_new(ROUNDS + 1, sizeof *readings);
    disk_folder_make(folder);
    struct engine *e = open_engine(folder, judged);
    producer_open(&p, e, features);
    p.filling = filling;
    bench_say("%s: %d samples to warm up", name, WARM);
    produce(&p, WARM);
    take_reading(&p, &readings[0]);
    bench_say("%s: %d rounds of %d samples", name, ROUNDS, SAMPLES_A_ROUND);
    for (int i = 1; i <= ROUNDS; i++) {
        produce(&p, WARM + (uint64_t)i * SAMPLES_A_ROUND);
        take_reading(&p, &readings[i]);
    }
    engine_close(e);
    producer_close(&p);
    report(b, name, folder, readings); /* its floor wants the disk for itself */
    disk_folder_remove(folder);
    free(readings);
}

int main(int argc, char **argv)
{
    struct bench *b = mem_new(1, sizeof *b);
    bench_open(b, argc, argv);
    run(b, "durable", false, false, ENCODE_TEXT);
    run(b, "durable+features", true, false, ENCODE_TEXT);
    run(b, "durable+judged", false, true, ENCODE_TEXT);
    run(b, "durable+noise", false, false, ENCODE_NOISE);
    int status = bench_finish(b);
    free(b);
    return status;
}
