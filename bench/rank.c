/* What a Rank of 100 and of 500 candidates costs the server, with and without a log of what it shows.
 *
 * State    DOCS Beta documents that have learned, and forget; as in bench_pull.
 * Calls    32 under way over 4 connections, candidates evenly drawn, Thompson sampling, one place shown; what is claimed
 *          is the server's CPU: user and system, all threads. A logged call pays for its impression, too: log, sync,
 *          join, commit. Propensities are those of 200 re-ranks.
 * Floor    a Pull of the same documents, on the same server, in turn, and policy_rank() of as many Beta arms by itself.
 * Rounds   ROUNDS; the median counts. */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/calls.h"
#include "bench/disk.h"
#include "bench/host.h"
#include "bench/traffic.h"
#include "learner/policy.h"
#include "proto/wire.h"

enum { DOCS = 200000, REQUESTS = 512, ROUNDS = 3, CANDIDATES_MAX = 500, INFLIGHT = 32, CONNECTIONS = 4 };

static const char pull[] = "/tidemill.v1.Parameters/Pull", rank[] = "/tidemill.v1.Ranking/Rank";
static double sink; /* keeps what is measured */

/* ---- requests ---- */

struct kind {
    const char *name;
    const char *method;
    bool log;
    uint32_t draws; /* for propensities */
};

static void put_double(struct buffer *out, uint32_t number, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    wire_put_fixed64(out, number, bits);
}

static void put_options(const struct kind *k, struct buffer *out)
{
    enum { PROPENSITY_DRAWS = 13, LOG = 14, EPSILON = 17 };
    if (k->method != rank)
        return;
    wire_put_integer(out, LOG, k->log);
    if (k->draws) {
        wire_put_integer(out, PROPENSITY_DRAWS, k->draws);
        put_double(out, EPSILON, 0.05);
    }
}

/* Distinct documents: a multiplier that has no factor in common with DOCS walks through all of them. */
static void make_requests(const struct kind *k, uint32_t candidates, struct buffer *requests)
{
    enum { VERSION = 1, STEP = 7919, PULL_DOCS = 2, RANK_DOCS = 5 };
    uint32_t doc = 0, field = k->method == rank ? RANK_DOCS : PULL_DOCS;
    for (int i = 0; i < REQUESTS; i++) {
        requests[i].size = 0;
        wire_put_bytes(&requests[i], VERSION, bytes_text(encode_versions[0]));
        for (uint32_t c = 0; c < candidates; c++) {
            char text[ENCODE_DOC_SIZE];
            doc = (doc + STEP) % DOCS;
            encode_doc(doc, text);
            wire_put_bytes(&requests[i], field, bytes_text(text));
        }
        put_options(k, &requests[i]);
    }
}

/* ---- the policy by itself ---- */

/* Microseconds of CPU a ranking: of fresh and much seen arms. */
static double policy_cpu(uint32_t candidates)
{
    enum { CALLS = 2000 };
    const struct policy thompson = {.kind = POLICY_THOMPSON};
    struct arm arms[CANDIDATES_MAX];
    struct choice first;
    for (uint32_t i = 0; i < candidates; i++)
        arms[i] = arm_of_beta(events_mix(i), (double[2]){1 + i % 7, 20 + 3 * (i % 50)});
    int64_t began = clock_thread_cpu_ns();
    for (uint64_t seed = 0; seed < CALLS; seed++) {
        policy_rank(&thompson, seed, 1, arms, candidates, 1, &first);
        sink += first.score;
    }
    return (double)(clock_thread_cpu_ns() - began) / 1e3 / CALLS;
}

/* ---- rounds ---- */

static uint32_t calls_of(const struct kind *k) { return k->draws ? 300 : 2000; }

/* The server's CPU a call, in microseconds. */
static double measure(const struct host *h, struct calls *c, const struct kind *k)
{
    double cpu = host_cpu(h);
    calls_play(c, calls_of(k), INFLIGHT);
    return (host_cpu(h) - cpu) * 1e6 / calls_of(k);
}

static void run(struct bench *b, const struct host *h, uint32_t candidates, const struct kind *k)
{
    static const struct kind floor = {"pull", pull, false, 0};
    static struct buffer ours[REQUESTS], pulls[REQUESTS];
    struct calls *c = mem_new(1, sizeof *c), *f = mem_new(1, sizeof *f);
    double us[ROUNDS], least[ROUNDS], policy = policy_cpu(candidates);
    bench_say("rank: %u candidates, %s", candidates, k->name);
    make_requests(k, candidates, ours);
    make_requests(&floor, candidates, pulls);
    *c = (struct calls){.method = k->method, .requests = ours, .requests_count = REQUESTS};
    *f = (struct calls){.method = pull, .requests = pulls, .requests_count = REQUESTS};
    c->caller = f->caller = caller_open(h->port, CONNECTIONS);
    calls_play(c, INFLIGHT, INFLIGHT);
    for (int round = 0; round < ROUNDS; round++) {
        least[round] = measure(h, f, &floor) + policy;
        us[round] = measure(h, c, k);
    }
    bench_add(b,
              (struct bench_row){.value = bench_quantile(us, ROUNDS, 0.5),
                                 .unit = "us CPU/call",
                                 .reference = "Pull and policy alone",
                                 .reference_value = bench_quantile(least, ROUNDS, 0.5)},
              "rank/%u/%s", candidates, k->name);
    caller_close(c->caller);
    free(c);
    free(f);
}

int main(int argc, char **argv)
{
    static const struct kind kinds[] = {
        {"only ranked", rank, false, 0}, {"logged", rank, true, 0}, {"propensities", rank, false, 200}};
    static const uint32_t candidates[] = {100, CANDIDATES_MAX};
    struct bench *b = mem_new(1, sizeof *b);
    char folder[DISK_FOLDER_SIZE];
    struct host h;
    bench_open(b, argc, argv);
    disk_folder_make(folder);
    host_serve(&h, folder, "join: { window: 10s, allowed_lateness: 10s }\n");
    bench_say("rank: %d documents to learn", DOCS);
    traffic_learn(h.port, DOCS);
    for (size_t i = 0; i < ARRAY_LEN(candidates); i++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            run(b, &h, candidates[i], &kinds[k]);
    host_stop(&h);
    disk_folder_remove(folder);
    int status = bench_finish(b);
    free(b);
    return status;
}
