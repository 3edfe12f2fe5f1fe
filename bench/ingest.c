/* What events cost the server when they come over gRPC: from the socket to the commit, the whole program.
 *
 * Client   native, in this process, one thread; it takes part of the two processors, so rates are those of client and
 *          server together. What is claimed is the server's CPU: user and system, all threads.
 * Events   as bench_durable's without features: 200 to a batch, 32 batches under way in each stream (bench/traffic.h).
 * Items    the last run sends the impressions of a batch as one record of 200 items; a click is not among them.
 * State    200,000 undecided keys and as many open for corrections, filled before anything is measured.
 * Floor    floor_server (bench/floor.c) on the same rpc door: takes the same bytes and drops them.
 * Rounds   of each number of streams ROUNDS, floor and server in turn; each begins and ends with everything applied,
 *          committed and synced, so that commits are paid for. The median round counts. */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/disk.h"
#include "bench/host.h"
#include "bench/threads.h"
#include "bench/traffic.h"

enum { LIVE = 200000, WARM = 640000, EVENTS_A_ROUND = 400000, ROUNDS = 5 };

/* A server and what is sent to it. */
struct side {
    struct host host;
    struct caller *caller;
    struct traffic traffic;
    bool real; /* knows Drain */
    double cpu[ROUNDS], rate[ROUNDS], written[ROUNDS];
};

static void side_open(struct side *s)
{
    s->caller = caller_open(s->host.port, 1);
    events_open(&s->traffic.events, LIVE, 0.06, false);
}

static void side_close(struct side *s)
{
    caller_close(s->caller);
    events_close(&s->traffic.events);
    host_stop(&s->host);
}

static void settle(struct side *s)
{
    if (s->real)
        traffic_drain(&s->traffic);
}

static void play_round(struct side *s, int round)
{
    settle(s);
    double cpu = host_cpu(&s->host);
    uint64_t written = host_written(&s->host);
    int64_t began = clock_monotonic_ns();
    traffic_send(&s->traffic, EVENTS_A_ROUND);
    settle(s);
    s->rate[round] = EVENTS_A_ROUND / ((double)(clock_monotonic_ns() - began) / 1e9);
    s->cpu[round] = (host_cpu(&s->host) - cpu) * 1e6 / EVENTS_A_ROUND;
    s->written[round] = (double)(host_written(&s->host) - written) / EVENTS_A_ROUND;
}

static void report_threads(struct bench *b, const char *name, const struct thread_times *from,
                           const struct thread_times *to)
{
    double others = 0;
    for (uint32_t i = 0; i < to->count; i++) {
        const struct thread_time *t = &to->thread[i];
        double us = (double)(t->ns - thread_time_of(from, t->name)) / 1e3 / ((double)EVENTS_A_ROUND * ROUNDS);
        if (us < 0.02)
            others += us;
        else
            bench_add(b, (struct bench_row){.value = us, .unit = "us CPU/event"}, "ingest/%s/thread/%s", name, t->name);
    }
    bench_add(b, (struct bench_row){.value = others, .unit = "us CPU/event"}, "ingest/%s/thread/(others)", name);
}

static double median(double *rounds) { return bench_quantile(rounds, ROUNDS, 0.5); }

static void report(struct bench *b, const char *name, struct side *ours, struct side *floor)
{
    bench_add(b,
              (struct bench_row){.value = median(ours->cpu),
                                 .unit = "us CPU/event",
                                 .reference = "dropping server",
                                 .reference_value = median(floor->cpu),
                                 .aim = 1.5},
              "ingest/%s/cpu", name);
    bench_add(b,
              (struct bench_row){.value = median(ours->rate),
                                 .unit = "events/s",
                                 .reference = "dropping server",
                                 .reference_value = median(floor->rate)},
              "ingest/%s/rate", name);
    bench_add(b,
              (struct bench_row){.value = median(ours->written),
                                 .unit = "B/event",
                                 .reference = "events as sent",
                                 .reference_value = (double)ours->traffic.bytes / (double)ours->traffic.sent},
              "ingest/%s/written/device", name);
}

static void run_lanes(struct bench *b, const char *name, uint32_t lanes, struct side *ours, struct side *floor)
{
    struct thread_times *from = mem_new(1, sizeof *from), *to = mem_new(1, sizeof *to);
    bench_say("ingest: %s", name);
    traffic_open(&ours->traffic, ours->caller, lanes);
    traffic_open(&floor->traffic, floor->caller, lanes);
    traffic_send(&ours->traffic, ours->traffic.sent ? EVENTS_A_ROUND / 4 : WARM);
    traffic_send(&floor->traffic, EVENTS_A_ROUND / 4);
    settle(ours);
    thread_times_read(ours->host.pid, from);
    for (int round = 0; round < ROUNDS; round++) {
        play_round(floor, round);
        play_round(ours, round);
    }
    thread_times_read(ours->host.pid, to);
    report(b, name, ours, floor);
    report_threads(b, name, from, to);
    traffic_close(&ours->traffic);
    traffic_close(&floor->traffic);
    free(from);
    free(to);
}

static void send_records(struct side *s)
{
    s->traffic.records = true;
    s->traffic.events.clicks = 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint32_t lanes;
    } runs[] = {{"1", 1}, {"4", 4}, {"16", 16}};
    struct bench *b = mem_new(1, sizeof *b);
    struct side *ours = mem_new(1, sizeof *ours), *floor = mem_new(1, sizeof *floor);
    char folder[DISK_FOLDER_SIZE];
    bench_open(b, argc, argv);
    disk_folder_make(folder);
    host_serve(&ours->host, folder, "join: { window: 10s, allowed_lateness: 20s }\n");
    host_floor(&floor->host, 0);
    ours->real = true;
    side_open(ours);
    side_open(floor);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        run_lanes(b, runs[i].name, runs[i].lanes, ours, floor);
    send_records(ours);
    send_records(floor);
    run_lanes(b, "items", 4, ours, floor);
    side_close(ours);
    side_close(floor);
    disk_folder_remove(folder);
    free(ours);
    free(floor);
    int status = bench_finish(b);
    free(b);
    return status;
}
