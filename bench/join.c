/* What the pure joiner costs: CPU per event and memory per live key, against a bare table that joins the same events.
 *
 * Events   per sample an impression and 0.06 clicks (bench/events.h); a body is 64 bytes of header and the payload.
 * Joiner   one, window = allowed lateness, so that a decided key is forgotten at once and what is held are live keys;
 *          it is advanced every 1,024 events and frozen every 100 ms of event time, as its shard would.
 * Floor    an open-addressing index, a ring of entries, a copy of the body, and the same call per sample when its
 *          window is over. It knows no duplicates, lateness, corrections, any-order, versions or restart.
 * Warm     until every key of one window is live and the tables have their size; then ROUNDS rounds are measured, and
 *          the median counts.
 * Decided  keys that can still be corrected, and lie in sorted runs: bench/decided.h. */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/decided.h"
#include "bench/events.h"
#include "joiner/joiner.h"

enum {
    BATCH = 1024,
    GROUP = 16, /* keys that are prefetched together, as a shard does */
    ROUNDS = 5,
    EVENTS_A_ROUND = 300000,
    FREEZE_MS = 100,
    HEADER = 64,
    SOURCE = 8 << 20, /* bytes that bodies are taken from, so that they are not always in the nearest cache */
};

/* ---- what is joined ---- */

struct feed {
    struct events events;
    size_t body;
    uint8_t *source;
    size_t at;
    uint64_t position;
    struct joiner_record record[BATCH];
};

static void feed_fill(struct feed *f)
{
    for (int i = 0; i < BATCH; i++) {
        struct made m;
        events_next(&f->events, &m);
        uint64_t bits = events_mix(m.sample * 4 + 1);
        if (f->at + f->body > SOURCE)
            f->at = 0;
        f->record[i] = (struct joiner_record){.position = ++f->position,
                                              .time = m.time,
                                              .key = {bits, events_mix(bits)},
                                              .doc = {events_mix(m.doc), m.doc},
                                              .event = bits ^ m.kind,
                                              .stream = m.kind == MADE_CLICK,
                                              .weight = 1,
                                              .version = m.kind == MADE_CLICK ? 0 : m.version + 1,
                                              .body = bytes_of(f->source + f->at, f->body)};
        f->at += f->body;
    }
}

/* ---- who joins: the joiner or the floor ---- */

struct contestant {
    void *self;
    void (*join)(void *self, const struct joiner_record *r); /* BATCH of them, then time moves to the last */
    size_t (*memory)(const void *self);
};

struct sink {
    uint64_t samples, positives, bytes;
};

static void take_sample(struct sink *s, struct bytes body, uint64_t labels)
{
    uint64_t head;
    memcpy(&head, body.data, sizeof head);
    s->samples++;
    s->positives += labels;
    s->bytes += head;
}

struct joining {
    struct joiner *joiner;
    uint64_t commit;
    int64_t freeze_at;
    struct sink sink;
};

static void on_sample(void *self, struct sample *s)
{
    if (s->kind == SAMPLE_NEW)
        take_sample(&((struct joining *)self)->sink, s->body, s->labels[0] > 0);
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    (void)self, (void)r;
    CHECK(reason == REASON_LATE || reason == REASON_ORPHANED); /* clicks behind the window: their key is forgotten */
}

static void joiner_joins(void *self, const struct joiner_record *r)
{
    struct joining *j = self;
    int64_t now = r[BATCH - 1].time, watermarks[] = {now, now};
    for (int i = 0; i < BATCH; i += GROUP) {
        for (int k = i; k < i + GROUP; k++)
            joiner_prefetch(j->joiner, &r[k]);
        for (int k = i; k < i + GROUP; k++)
            joiner_step(j->joiner, &r[k]);
    }
    joiner_advance(j->joiner, watermarks);
    if (now >= j->freeze_at) {
        struct joiner_delta delta;
        j->commit += joiner_freeze(j->joiner, j->commit + 1, &delta);
        j->freeze_at = now + FREEZE_MS;
    }
}

static size_t joining_memory(const void *self) { return joiner_memory(((const struct joining *)self)->joiner); }

static void joining_open(struct joining *j)
{
    static const struct joiner_config config = {
        .stream = {{.kind = JOINER_IMPRESSION}, {.kind = JOINER_ACTION, .within_ms = EVENTS_WINDOW_MS, .labels = 1}},
        .streams = 2,
        .labels = 1,
        .window_ms = EVENTS_WINDOW_MS,
        .allowed_lateness_ms = EVENTS_WINDOW_MS};
    *j = (struct joining){0};
    j->joiner = joiner_open(&config, (struct joiner_output){j, on_sample, on_aside, NULL, NULL});
}

struct entry {
    struct hash128 key;
    int64_t time;
    uint64_t labels;
};

struct bare {
    struct entry *ring;
    uint8_t *bodies;
    uint64_t *slots;             /* 32 bits of hash, number + 1 */
    uint32_t entries, slot_mask; /* powers of two; entries is one, the mask is one less */
    uint64_t first, next;
    size_t body;
    struct sink sink;
};

static void bare_open(struct bare *b, uint64_t live, size_t body)
{
    *b = (struct bare){.entries = 1, .body = body};
    while (b->entries < live + 2 * BATCH)
        b->entries *= 2;
    b->slot_mask = b->entries * 2 - 1;
    b->ring = mem_new(b->entries, sizeof *b->ring);
    b->slots = mem_new(b->slot_mask + 1, sizeof *b->slots);
    b->bodies = mem_new(b->entries, body);
}

static void bare_close(struct bare *b)
{
    free(b->ring);
    free(b->slots);
    free(b->bodies);
}

static uint32_t bare_slot(const struct bare *b, struct hash128 key)
{
    uint32_t i = (uint32_t)key.lo & b->slot_mask;
    for (; b->slots[i]; i = (i + 1) & b->slot_mask)
        if (b->slots[i] >> 32 == (uint32_t)key.lo &&
            hash128_equal(b->ring[((uint32_t)b->slots[i] - 1) & (b->entries - 1)].key, key))
            break;
    return i;
}

static void bare_remove(struct bare *b, struct hash128 key)
{
    uint32_t hole = bare_slot(b, key), mask = b->slot_mask;
    for (uint32_t i = (hole + 1) & mask; b->slots[i]; i = (i + 1) & mask)
        if (((i - (uint32_t)(b->slots[i] >> 32)) & mask) >= ((i - hole) & mask)) {
            b->slots[hole] = b->slots[i];
            hole = i;
        }
    b->slots[hole] = 0;
}

static void bare_step(struct bare *b, const struct joiner_record *r)
{
    uint32_t slot = bare_slot(b, r->key), number = (uint32_t)b->next & (b->entries - 1);
    if (r->stream == 1) {
        struct entry *e = b->slots[slot] ? &b->ring[(uint32_t)b->slots[slot] - 1] : NULL;
        if (e && r->time <= e->time + EVENTS_WINDOW_MS)
            e->labels = 1;
        return;
    }
    CHECK(b->next - b->first < b->entries);
    b->slots[slot] = r->key.lo << 32 | (number + 1);
    b->ring[number] = (struct entry){r->key, r->time, 0};
    memcpy(b->bodies + number * b->body, r->body.data, b->body);
    b->next++;
}

static void bare_joins(void *self, const struct joiner_record *r)
{
    struct bare *b = self;
    for (int i = 0; i < BATCH; i++)
        bare_step(b, &r[i]);
    for (int64_t gate = r[BATCH - 1].time - EVENTS_WINDOW_MS; b->first < b->next; b->first++) {
        uint32_t number = (uint32_t)b->first & (b->entries - 1);
        const struct entry *e = &b->ring[number];
        if (e->time >= gate)
            break;
        take_sample(&b->sink, bytes_of(b->bodies + number * b->body, b->body), e->labels);
        bare_remove(b, e->key);
    }
}

static size_t bare_memory(const void *self)
{
    const struct bare *b = self;
    return b->entries * (sizeof *b->ring + b->body) + ((size_t)b->slot_mask + 1) * sizeof *b->slots;
}

/* ---- measuring ---- */

struct cost {
    double ns, held, rss; /* of an event; of a live key, as it says itself and as the system sees it */
};

static struct cost measure(struct feed *f, uint64_t live, size_t rss_before, struct contestant who)
{
    struct cost c;
    double round[ROUNDS];
    uint64_t warm = (uint64_t)((double)live * 1.3);
    while (f->position < warm) {
        feed_fill(f);
        who.join(who.self, f->record);
    }
    c.rss = (double)(bench_rss() - rss_before) / (double)live;
    for (int r = 0; r < ROUNDS; r++) {
        int64_t busy = 0;
        for (int i = 0; i < EVENTS_A_ROUND / BATCH; i++) {
            feed_fill(f);
            int64_t began = clock_thread_cpu_ns();
            who.join(who.self, f->record);
            busy += clock_thread_cpu_ns() - began;
        }
        round[r] = (double)busy / (EVENTS_A_ROUND / BATCH * BATCH);
    }
    c.ns = bench_quantile(round, ROUNDS, 0.5);
    c.held = (double)who.memory(who.self) / (double)live;
    return c;
}

static void feed_open(struct feed *f, uint64_t live, size_t payload)
{
    *f = (struct feed){.body = HEADER + payload};
    f->source = mem_new(SOURCE, 1);
    memset(f->source, 7, SOURCE); /* pages that are there */
    events_open(&f->events, live, 0.06, false);
    memset(f->events.due, 0, f->events.click_ring * sizeof *f->events.due);
    memset(f->events.due_after, 0, f->events.click_ring * sizeof *f->events.due_after);
}

static void feed_close(struct feed *f)
{
    events_close(&f->events);
    free(f->source);
    free(f);
}

static struct cost run_joiner(uint64_t live, size_t payload, struct sink *sink)
{
    struct feed *f = mem_new(1, sizeof *f);
    struct joining j;
    feed_open(f, live, payload);
    size_t before = bench_rss();
    joining_open(&j);
    struct cost c = measure(f, live, before, (struct contestant){&j, joiner_joins, joining_memory});
    *sink = j.sink;
    joiner_close(j.joiner);
    feed_close(f);
    return c;
}

static struct cost run_bare(uint64_t live, size_t payload, struct sink *sink)
{
    struct feed *f = mem_new(1, sizeof *f);
    struct bare b;
    feed_open(f, live, payload);
    size_t before = bench_rss();
    bare_open(&b, live, f->body);
    struct cost c = measure(f, live, before, (struct contestant){&b, bare_joins, bare_memory});
    *sink = b.sink;
    bare_close(&b);
    feed_close(f);
    return c;
}

static void run_case(struct bench *b, const char *keys, uint64_t live, size_t payload)
{
    struct sink joined, bare;
    bench_say("join: %s live keys, %zu B of payload", keys, payload);
    struct cost floor = run_bare(live, payload, &bare), ours = run_joiner(live, payload, &joined);
    CHECK(joined.samples == bare.samples && joined.positives == bare.positives && joined.bytes == bare.bytes);
    double body = (double)(HEADER + payload);
    bench_add(b,
              (struct bench_row){.value = ours.ns / 1e3,
                                 .unit = "us CPU/event",
                                 .reference = "bare table",
                                 .reference_value = floor.ns / 1e3,
                                 .aim = payload == 128 && live >= 1000000 ? 0.45 : 0},
              "join/%s/%zuB/cpu", keys, payload);
    bench_add(b,
              (struct bench_row){.value = ours.held,
                                 .unit = "B/live key",
                                 .reference = "bare table",
                                 .reference_value = floor.held,
                                 .aim = 64 + body},
              "join/%s/%zuB/held", keys, payload);
    bench_add(b,
              (struct bench_row){
                  .value = ours.rss, .unit = "B/live key", .reference = "bare table", .reference_value = floor.rss},
              "join/%s/%zuB/rss", keys, payload);
}

int main(int argc, char **argv)
{
    static const size_t payloads[] = {0, 128, 2048};
    struct bench *b = mem_new(1, sizeof *b);
    bench_open(b, argc, argv);
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++)
        run_case(b, "200k", 200000, payloads[i]);
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++)
        run_case(b, "1M", 1000000, payloads[i]);
    for (size_t i = 0; b->full && i < ARRAY_LEN(payloads) - 1; i++) /* 2,048 B would be 20 GB and more */
        run_case(b, "10M", 10000000, payloads[i]);
    bench_decided(b);
    int status = bench_finish(b);
    free(b);
    return status;
}
