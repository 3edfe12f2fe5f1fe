/* How long a server takes to serve again after a crash.
 *
 * Behind   commits only every five minutes; a warm-up is drained (so everything is committed), then a number of events
 *          is sent and acknowledged, and the server is killed (SIGKILL). Time: from the start of the next process to
 *          its line "ready", wall clock, and CPU of all its threads up to then. It replays what was sent behind the
 *          commit, but for the few shards whose turn to commit came in between.
 * Nothing  the same after a clean stop: what a start costs when there is nothing to replay.
 * Floor    as many bytes as the log wrote for these events, read from its files and checksummed. Both are in the page
 *          cache: a process was killed, not the machine.
 * Docs     a clean start with a million documents (--full: ten) whose parameters and nothing else are to be loaded.
 * Rounds   ROUNDS of each, each with a folder of its own; the median counts. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "bench/bench.h"
#include "bench/disk.h"
#include "bench/host.h"
#include "bench/traffic.h"
#include "proto/wire.h"

enum { LIVE = 200000, WARM = 420000, ROUNDS = 3, READ_BLOCK = 256 << 10 };

static const char seldom[] = "join: { window: 10s, allowed_lateness: 20s }\ncommit: { interval: 5m }\n";

/* ---- a server and what is sent to it ---- */

struct sender {
    struct host host;
    struct caller *caller;
    struct traffic traffic;
};

static struct sender *sender_open(const char *folder, const char *configuration)
{
    struct sender *s = mem_new(1, sizeof *s);
    host_serve(&s->host, folder, configuration);
    s->caller = caller_open(s->host.port, 1);
    events_open(&s->traffic.events, LIVE, 0.06, false);
    return s;
}

static void sender_close(struct sender *s)
{
    traffic_close(&s->traffic);
    events_close(&s->traffic.events);
    caller_close(s->caller);
    free(s);
}

static uint64_t log_bytes(struct sender *s)
{
    enum { LOG_BYTES = 14 };
    struct buffer reply = {0};
    struct wire_field f;
    uint64_t bytes = 0;
    caller_ask(s->caller, "/tidemill.v1.Admin/Status", (struct bytes){0}, &reply);
    struct reader r = reader_of(buffer_view(&reply));
    while (wire_next(&r, &f))
        if (f.number == LOG_BYTES)
            bytes = f.integer;
    buffer_close(&reply);
    return bytes;
}

/* ---- the floor ---- */

static uint64_t read_file(const char *path, uint64_t left, uint64_t *sum)
{
    static uint8_t block[READ_BLOCK];
    uint64_t total = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    for (ssize_t got; total < left && (got = read(fd, block, sizeof block)) > 0; total += (uint64_t)got)
        *sum ^= hash_64(bytes_of(block, (size_t)got));
    close(fd);
    return total;
}

/* Milliseconds to read so many bytes of the log's files: it has more, the warm-up's. */
static double read_log(const char *folder, uint64_t bytes)
{
    char path[DISK_PATH_SIZE + 300];
    uint64_t got = 0, sum = 0;
    int64_t began = clock_monotonic_ns();
    snprintf(path, sizeof path, "%s/data/log", folder);
    DIR *dir = opendir(path);
    CHECK(dir);
    for (struct dirent *e = readdir(dir); e && got < bytes; e = readdir(dir)) {
        snprintf(path, sizeof path, "%s/data/log/%s", folder, e->d_name);
        if (e->d_type == DT_REG)
            got += read_file(path, bytes - got, &sum);
    }
    closedir(dir);
    double ms = (double)(clock_monotonic_ns() - began) / 1e6;
    if (got < bytes)
        stop(STOP_IO, "%s/data/log has %llu bytes; expected %llu and more, checksum %llx", folder,
             (unsigned long long)got, (unsigned long long)bytes, (unsigned long long)sum);
    return ms;
}

/* ---- rounds ---- */

struct figures {
    double ready[ROUNDS], cpu[ROUNDS], floor[ROUNDS], replayed[ROUNDS];
};

static void start_again(const char *folder, const char *configuration, struct figures *f, int round)
{
    struct host h;
    host_serve(&h, folder, configuration);
    f->cpu[round] = host_cpu(&h) * 1e3;
    f->ready[round] = h.ready_ms;
    f->replayed[round] = (double)h.replayed;
    host_stop(&h);
}

static void crash_with(uint64_t events, struct figures *f, int round)
{
    char folder[DISK_FOLDER_SIZE];
    disk_folder_make(folder);
    struct sender *s = sender_open(folder, seldom);
    traffic_open(&s->traffic, s->caller, 1);
    traffic_send(&s->traffic, WARM);
    traffic_drain(&s->traffic);
    uint64_t before = log_bytes(s);
    traffic_send(&s->traffic, events);
    uint64_t bytes = log_bytes(s) - before;
    traffic_close(&s->traffic);
    host_kill(&s->host);
    start_again(folder, seldom, f, round);
    f->floor[round] = read_log(folder, bytes);
    sender_close(s);
    disk_folder_remove(folder);
}

static void report(struct bench *b, const char *name, struct figures *f, bool floor, double aim_ms)
{
    double reference = floor ? bench_quantile(f->floor, ROUNDS, 0.5) : 0;
    const char *of = floor ? "reading the log" : NULL;
    bench_add(b,
              (struct bench_row){.value = bench_quantile(f->ready, ROUNDS, 0.5),
                                 .unit = "ms",
                                 .reference = of,
                                 .reference_value = reference,
                                 .aim = aim_ms},
              "recovery/%s/ready", name);
    bench_add(b,
              (struct bench_row){.value = bench_quantile(f->cpu, ROUNDS, 0.5),
                                 .unit = "ms CPU",
                                 .reference = of,
                                 .reference_value = reference},
              "recovery/%s/cpu", name);
}

static void run_crash(struct bench *b, const char *name, uint64_t events, double aim_ms)
{
    struct figures f;
    bench_say("recovery: %s behind the last commit", name);
    for (int round = 0; round < ROUNDS; round++)
        crash_with(events, &f, round);
    report(b, name, &f, true, aim_ms);
    bench_add(b, (struct bench_row){.value = bench_quantile(f.replayed, ROUNDS, 0.5), .unit = "events"},
              "recovery/%s/replayed", name);
}

/* A clean start: of what a crash would find, and of many documents. `more` samples behind them decide them all. */
static void run_clean(struct bench *b, const char *name, uint32_t docs, double aim_ms)
{
    static const char often[] = "join: { window: 10s, allowed_lateness: 10s }\n";
    char folder[DISK_FOLDER_SIZE];
    struct figures f;
    bench_say("recovery: %s", name);
    disk_folder_make(folder);
    struct sender *s = sender_open(folder, docs ? often : seldom);
    s->traffic.events.docs = docs;
    s->traffic.events.one_version = docs > 0;
    traffic_open(&s->traffic, s->caller, 1);
    traffic_send(&s->traffic, (uint64_t)(docs * 1.07) + WARM);
    traffic_close(&s->traffic);
    host_stop(&s->host);
    for (int round = 0; round < ROUNDS; round++)
        start_again(folder, docs ? often : seldom, &f, round);
    report(b, name, &f, false, aim_ms);
    sender_close(s);
    disk_folder_remove(folder);
}

int main(int argc, char **argv)
{
    struct bench *b = mem_new(1, sizeof *b);
    bench_open(b, argc, argv);
    run_clean(b, "nothing", 0, 0);
    run_crash(b, "100k events", 100000, 500);
    run_crash(b, "1M events", 1000000, 0);
    run_clean(b, "1M docs", 1000000, 0);
    if (b->full)
        run_clean(b, "10M docs", 10000000, 10000);
    int status = bench_finish(b);
    free(b);
    return status;
}
