/* How long it takes until what somebody did is in the parameters that a Pull gives: action sent -> correction visible.
 *
 * Load     the events of bench_ingest on 4 streams. First as fast as they are taken: the peak, of client and server on
 *          the same two processors. Then at half of it, for as long as the probes take.
 * Probe    an impression of a document of its own, sent before the peak and decided long ago. Its click, behind the
 *          window, is a correction and counts as soon as it is joined. The clock starts before the click is encoded and
 *          stops when a Pull shows another value; the Pulls follow each other with a pause of POLL_US, so a figure is
 *          late by half a pause and half a Pull on average. One probe after the other, at irregular distances.
 * Floor    a block of 16 KiB appended to a file in the same folder and synced, once behind each probe and under the
 *          same load: before the log's sync nothing may be shown, and the disk is shared.
 * Threads  one for the load, one for the probes, each with its own connection. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/disk.h"
#include "bench/host.h"
#include "bench/traffic.h"
#include "proto/event.h"
#include "proto/wire.h"

enum {
    LIVE = 200000,
    WARM = 640000,
    PEAK_EVENTS = 1200000,
    LANES = 4,
    PROBES = 500,
    POLL_US = 100,
    PAUSE_US = 4000, /* between two probes: half of it to one and a half */
    SETTLE_US = 1000000,
    AHEAD_MS = 3600000,
    FLOOR_BYTES = 16 << 10,
};

/* ---- probes ---- */

struct prober {
    struct caller *caller;
    struct caller_stream *stream;
    uint64_t sent, acked; /* batches */
    int64_t time;         /* of the impressions */
    double ms[PROBES], floor_ms[PROBES];
};

static void heard(void *context, struct bytes reply) { ((struct prober *)context)->acked += traffic_is_ack(reply); }

static void probe_name(int number, char name[static 16]) { snprintf(name, 16, "probe-%d", number); }

static void add_probe(struct buffer *batch, enum made_kind kind, int number, int64_t time)
{
    char name[16];
    struct buffer wire = {0};
    probe_name(number, name);
    struct event e = {.stream = bytes_text(encode_streams[kind]),
                      .request = bytes_text(name),
                      .doc = bytes_text(name),
                      .version =
                          bytes_text(encode_versions[1]), /* the one that does not forget: only learning moves it */
                      .time = time,
                      .has = EVENT_HAS_TIME};
    event_encode(&e, &wire);
    traffic_add_event(batch, buffer_view(&wire));
    buffer_close(&wire);
}

static void send_batch(struct prober *p, struct buffer *batch)
{
    struct buffer message = {0};
    traffic_put_batch(&message, batch);
    caller_stream_send(p->stream, &message);
}

static void prober_open(struct prober *p, int port)
{
    struct buffer open = {0};
    p->caller = caller_open(port, 1);
    p->stream = caller_stream_open(p->caller, "/tidemill.v1.Events/Ingest", heard, p);
    traffic_put_open(&open, "probes", 1, "main");
    caller_stream_send(p->stream, &open);
}

/* The impressions of all probes. What this producer then says of time is ahead of all that the load will send, so that
 * it holds nothing back; its clicks come behind that, which changes nothing for a correction. Only while the load's
 * lanes are open: alone, it would speak for all. */
static void send_impressions(struct prober *p)
{
    struct buffer batch = {0};
    for (int i = MADE_IMPRESSION; i <= MADE_CLICK; i++) {
        struct buffer mark = {0};
        traffic_put_watermark(&mark, encode_streams[i], p->time + AHEAD_MS);
        caller_stream_send(p->stream, &mark);
    }
    traffic_begin_batch(&batch, ++p->sent);
    for (int i = 0; i < PROBES; i++)
        add_probe(&batch, MADE_IMPRESSION, i, p->time);
    send_batch(p, &batch);
    while (p->acked < p->sent)
        caller_wait(p->caller);
}

static uint64_t first_value(struct bytes reply)
{
    enum { VALUES = 9 };
    struct reader r = reader_of(reply);
    struct wire_field f;
    uint64_t first = 0;
    while (wire_next(&r, &f))
        if (f.number == VALUES && f.bytes.size >= sizeof first)
            memcpy(&first, f.bytes.data, sizeof first);
    return first;
}

/* The first value (alpha) of a probe's document, as its bits. */
static uint64_t look(struct prober *p, int number)
{
    enum { VERSION = 1, DOCS = 2 };
    struct buffer request = {0}, reply = {0};
    char name[16];
    probe_name(number, name);
    wire_put_bytes(&request, VERSION, bytes_text(encode_versions[1]));
    wire_put_bytes(&request, DOCS, bytes_text(name));
    caller_ask(p->caller, "/tidemill.v1.Parameters/Pull", buffer_view(&request), &reply);
    uint64_t value = first_value(buffer_view(&reply));
    buffer_close(&request);
    buffer_close(&reply);
    return value;
}

/* Click, and see when it shows. */
static double probe(struct prober *p, int number)
{
    struct buffer batch = {0};
    uint64_t before = look(p, number);
    int64_t began = clock_monotonic_ns();
    traffic_begin_batch(&batch, ++p->sent);
    add_probe(&batch, MADE_CLICK, number, p->time + EVENTS_WINDOW_MS + 1);
    send_batch(p, &batch);
    while (look(p, number) == before)
        usleep(POLL_US);
    return (double)(clock_monotonic_ns() - began) / 1e6;
}

/* ---- load ---- */

struct load {
    struct traffic traffic;
    double rate;
    atomic_bool over;
};

static void *load_main(void *context)
{
    struct load *l = context;
    traffic_send_until(&l->traffic, l->rate, &l->over);
    return NULL;
}

/* Events a second when nothing holds the sender back but the server. */
static double peak_of(struct traffic *t)
{
    int64_t began = clock_monotonic_ns();
    traffic_send(t, PEAK_EVENTS);
    traffic_drain(t);
    return PEAK_EVENTS / ((double)(clock_monotonic_ns() - began) / 1e9);
}

static void probe_under(struct load *l, struct prober *p, double rate, const char *folder)
{
    pthread_t thread;
    l->rate = rate;
    atomic_store(&l->over, false);
    CHECK(pthread_create(&thread, NULL, load_main, l) == 0);
    usleep(SETTLE_US);
    for (int i = 0; i < PROBES; i++) {
        p->ms[i] = probe(p, i);
        p->floor_ms[i] = disk_sync_ms(folder, FLOOR_BYTES);
        usleep((useconds_t)(PAUSE_US / 2 + events_mix((uint64_t)i) % PAUSE_US));
    }
    atomic_store(&l->over, true);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- rows ---- */

static void report(struct bench *b, struct prober *p, double peak, double rate)
{
    bench_add(b, (struct bench_row){.value = peak, .unit = "events/s"}, "freshness/peak");
    bench_add(b, (struct bench_row){.value = rate, .unit = "events/s"}, "freshness/load");
    bench_add(b,
              (struct bench_row){.value = bench_quantile(p->ms, PROBES, 0.5),
                                 .unit = "ms",
                                 .reference = "write+fdatasync p50",
                                 .reference_value = bench_quantile(p->floor_ms, PROBES, 0.5)},
              "freshness/p50");
    bench_add(b,
              (struct bench_row){.value = bench_quantile(p->ms, PROBES, 0.99),
                                 .unit = "ms",
                                 .reference = "write+fdatasync p99",
                                 .reference_value = bench_quantile(p->floor_ms, PROBES, 0.99),
                                 .aim = 10},
              "freshness/p99");
}

int main(int argc, char **argv)
{
    struct bench *b = mem_new(1, sizeof *b);
    struct prober *p = mem_new(1, sizeof *p);
    struct load *l = mem_new(1, sizeof *l);
    char folder[DISK_FOLDER_SIZE];
    struct host host;
    bench_open(b, argc, argv);
    disk_folder_make(folder);
    host_serve(&host, folder, "join: { window: 10s, allowed_lateness: 10m }\n");
    struct caller *c = caller_open(host.port, 1);
    events_open(&l->traffic.events, LIVE, 0.06, false);
    traffic_open(&l->traffic, c, LANES);
    traffic_send(&l->traffic, WARM);
    prober_open(p, host.port);
    p->time = l->traffic.time;
    send_impressions(p);
    bench_say("freshness: peak load");
    double peak = peak_of(&l->traffic);
    bench_say("freshness: %d probes at half of it", PROBES);
    probe_under(l, p, peak / 2, folder);
    report(b, p, peak, peak / 2);
    traffic_close(&l->traffic);
    events_close(&l->traffic.events);
    caller_close(c);
    caller_stream_close(p->stream);
    caller_close(p->caller);
    host_stop(&host);
    disk_folder_remove(folder);
    free(p);
    free(l);
    int status = bench_finish(b);
    free(b);
    return status;
}
