/* What a Pull of 200 documents costs the server, and how long the caller waits for it.
 *
 * State    DOCS Beta documents of one version that forgets, each learned from at least one impression sent through
 *          Ingest; then everything is committed and nothing comes in any more.
 * Calls    200 documents each, evenly drawn; 1, 32 and 256 under way over 1, 4 and 8 connections, by a native client of
 *          one thread in this process. What is claimed is the server's CPU: user and system, all threads. Latencies are
 *          those of client and server on the same two processors.
 * Floor    floor_server (bench/floor.c) on the same rpc door: takes the same requests and answers as many bytes.
 * Rounds   ROUNDS, floor and server in turn; the median of their figures counts. */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/calls.h"
#include "bench/disk.h"
#include "bench/host.h"
#include "bench/traffic.h"
#include "proto/wire.h"

enum { DOCS = 1000000, ASKED = 200, REQUESTS = 2048, ROUNDS = 5 };

static const char pull[] = "/tidemill.v1.Parameters/Pull";

struct load {
    uint32_t inflight, connections, calls; /* calls: in a round */
};

/* ---- requests and replies ---- */

static void make_requests(struct buffer *requests)
{
    enum { VERSION = 1, DOCS_FIELD = 2 };
    uint64_t bits = 1;
    for (int i = 0; i < REQUESTS; i++) {
        wire_put_bytes(&requests[i], VERSION, bytes_text(encode_versions[0]));
        for (int k = 0; k < ASKED; k++) {
            char doc[ENCODE_DOC_SIZE];
            bits = events_mix(bits);
            encode_doc((uint32_t)(bits % DOCS), doc);
            wire_put_bytes(&requests[i], DOCS_FIELD, bytes_text(doc));
        }
    }
}

/* Every document was learned: else the figures would be those of misses. */
static void check_reply(struct bytes reply)
{
    enum { KNOWN = 10 };
    struct reader r = reader_of(reply);
    struct wire_field f;
    size_t known = 0;
    while (wire_next(&r, &f))
        for (size_t i = 0; f.number == KNOWN && i < f.bytes.size; i++)
            known += f.bytes.data[i];
    CHECK(known == ASKED);
}

/* ---- a round ---- */

struct figures {
    double cpu[ROUNDS], p50[ROUNDS], p99[ROUNDS], rate[ROUNDS];
};

static void measure(const struct host *h, struct calls *c, const struct load *load, struct figures *f, int round)
{
    double cpu = host_cpu(h);
    int64_t began = clock_monotonic_ns();
    calls_play(c, load->calls, load->inflight);
    f->rate[round] = load->calls / ((double)(clock_monotonic_ns() - began) / 1e9);
    f->cpu[round] = (host_cpu(h) - cpu) * 1e6 / load->calls;
    f->p50[round] = bench_quantile(c->us, load->calls, 0.5);
    f->p99[round] = bench_quantile(c->us, load->calls, 0.99);
}

/* ---- rows ---- */

static void report(struct bench *b, uint32_t inflight, struct figures *ours, struct figures *floor)
{
    const struct {
        const char *name, *unit;
        double *ours, *floor, aim;
    } rows[] = {{"cpu", "us CPU/call", ours->cpu, floor->cpu, inflight > 1 ? 31 : 0},
                {"p50", "us", ours->p50, floor->p50, 0},
                {"p99", "us", ours->p99, floor->p99, 0},
                {"rate", "calls/s", ours->rate, floor->rate, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        bench_add(b,
                  (struct bench_row){.value = bench_quantile(rows[i].ours, ROUNDS, 0.5),
                                     .unit = rows[i].unit,
                                     .reference = "empty handler",
                                     .reference_value = bench_quantile(rows[i].floor, ROUNDS, 0.5),
                                     .aim = rows[i].aim},
                  "pull/%u/%s", inflight, rows[i].name);
}

static void run_load(struct bench *b, const struct load *load, const struct host *ours, const struct host *floor,
                     const struct buffer *requests)
{
    struct figures us = {0}, them = {0};
    struct calls *c = mem_new(1, sizeof *c), *cf = mem_new(1, sizeof *cf);
    bench_say("pull: %u under way", load->inflight);
    *c = *cf = (struct calls){.method = pull, .requests = requests, .requests_count = REQUESTS};
    c->caller = caller_open(ours->port, load->connections);
    cf->caller = caller_open(floor->port, load->connections);
    calls_play(c, load->calls, load->inflight);
    calls_play(cf, load->calls, load->inflight);
    for (int round = 0; round < ROUNDS; round++) {
        measure(floor, cf, load, &them, round);
        measure(ours, c, load, &us, round);
    }
    report(b, load->inflight, &us, &them);
    caller_close(c->caller);
    caller_close(cf->caller);
    free(c);
    free(cf);
}

static size_t reply_size(struct host *h, const struct buffer *request)
{
    struct buffer reply = {0};
    struct caller *c = caller_open(h->port, 1);
    caller_ask(c, pull, buffer_view(request), &reply);
    check_reply(buffer_view(&reply));
    size_t size = reply.size;
    buffer_close(&reply);
    caller_close(c);
    return size;
}

int main(int argc, char **argv)
{
    static const struct load loads[] = {{1, 1, 4000}, {32, 4, CALLS_MAX}, {256, 8, CALLS_MAX}};
    struct bench *b = mem_new(1, sizeof *b);
    struct buffer *requests = mem_new(REQUESTS, sizeof *requests);
    char folder[DISK_FOLDER_SIZE];
    struct host ours, floor;
    bench_open(b, argc, argv);
    make_requests(requests);
    disk_folder_make(folder);
    host_serve(&ours, folder, "join: { window: 10s, allowed_lateness: 10s }\n");
    bench_say("pull: %d documents to learn", DOCS);
    traffic_learn(ours.port, DOCS);
    host_floor(&floor, reply_size(&ours, &requests[0]));
    for (size_t i = 0; i < ARRAY_LEN(loads); i++)
        run_load(b, &loads[i], &ours, &floor, requests);
    host_stop(&ours);
    host_stop(&floor);
    disk_folder_remove(folder);
    for (int i = 0; i < REQUESTS; i++)
        buffer_close(&requests[i]);
    free(requests);
    int status = bench_finish(b);
    free(b);
    return status;
}
