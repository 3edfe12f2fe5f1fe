#include "ps/engine/pressure.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

struct place {
    _Atomic uint64_t held, decided; /* as the shard tells */
    _Atomic uint64_t coming;        /* bytes on their way to it */
    int64_t closed_ns;              /* guarded by the mutex: since when it lets nothing in; 0: it is open */
    int64_t forced_ns;              /* when a batch was let in above the hard limit */
    uint64_t decided_then;          /* when it was closed */
    uint64_t brings;                /* what the batch that is being weighed would add; else 0 */
};

struct pressure {
    uint32_t shards;
    uint64_t hard, soft;
    int64_t timeout_ns;
    _Atomic uint64_t refused;
    pthread_mutex_t mutex; /* one batch is weighed at a time */
    struct place place[];
};

struct pressure *pressure_open(uint32_t shards, uint64_t hard_bytes, int64_t timeout_ms)
{
    struct pressure *p = mem_new(1, sizeof *p + shards * sizeof p->place[0]);
    p->shards = shards;
    p->hard = hard_bytes;
    p->soft = hard_bytes / 4 * 3;
    p->timeout_ns = timeout_ms * NS_PER_MS;
    CHECK(pthread_mutex_init(&p->mutex, NULL) == 0);
    return p;
}

void pressure_close(struct pressure *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

/* As the shard will count it. */
static size_t shared_weight(const struct submission *batch, const struct submission_event *e)
{
    if (!e->shared)
        return 0;
    struct reader r = {batch->shared.data + e->shared - 1, batch->shared.data + batch->shared.size, false};
    return joiner_shared_bytes(reader_bytes(&r).size, e->sharers);
}

static uint64_t weight(const struct joiner_config *kinds, const struct submission *batch,
                       const struct submission_event *e)
{
    return joiner_waiting_bytes(kinds->stream[e->stream].kind, e->wire.size + shared_weight(batch, e));
}

static bool needs_room(const struct joiner_config *kinds, const struct submission_event *e)
{
    return kinds->stream[e->stream].kind == JOINER_IMPRESSION || kinds->stream[e->stream].kind == JOINER_FEATURES;
}

static uint64_t taken(const struct place *s) { return atomic_load(&s->held) + atomic_load(&s->coming); }

/* Would what it brings stay within the hard limit? What is larger than all of it fits where nothing waits. */
static bool fits(const struct pressure *p, const struct place *s)
{
    return taken(s) == 0 || taken(s) + s->brings <= p->hard;
}

/* By the rules of limits and time-out; the mutex is held. */
static bool has_room(const struct pressure *p, struct place *s, int64_t now_ns)
{
    uint64_t decided = atomic_load(&s->decided);
    if (taken(s) <= p->soft && fits(p, s)) {
        s->closed_ns = 0;
        return true;
    }
    if (s->closed_ns == 0 || decided != s->decided_then) {
        s->closed_ns = now_ns;
        s->decided_then = decided;
    }
    if (now_ns - s->closed_ns < p->timeout_ns)
        return false;
    return fits(p, s) || now_ns - s->forced_ns >= p->timeout_ns;
}

/* The first shard that has no room for what the batch brings; UINT32_MAX: all have. */
static uint32_t find_full(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch,
                          int64_t now_ns)
{
    uint32_t full = UINT32_MAX;
    for (uint32_t i = 0; i < batch->event_count; i++)
        if (needs_room(kinds, &batch->events[i]))
            p->place[batch->events[i].shard].brings += weight(kinds, batch, &batch->events[i]);
    for (uint32_t i = 0; i < batch->event_count; i++) {
        struct place *s = &p->place[batch->events[i].shard];
        if (full == UINT32_MAX && s->brings > 0 && !has_room(p, s, now_ns))
            full = batch->events[i].shard;
        s->brings = 0;
    }
    return full;
}

static void reserve(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch,
                    int64_t now_ns)
{
    for (uint32_t i = 0; i < batch->event_count; i++) {
        const struct submission_event *e = &batch->events[i];
        struct place *s = &p->place[e->shard];
        atomic_fetch_add(&s->coming, weight(kinds, batch, e));
        if (needs_room(kinds, e) && taken(s) > p->hard)
            s->forced_ns = now_ns;
    }
}

static uint64_t kib(uint64_t bytes) { return (bytes + 1023) / 1024; }

enum tm_code pressure_admit(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch,
                            int64_t now_ns, struct tm_error *err)
{
    pthread_mutex_lock(&p->mutex);
    uint32_t full = find_full(p, kinds, batch, now_ns);
    if (full == UINT32_MAX)
        reserve(p, kinds, batch, now_ns);
    pthread_mutex_unlock(&p->mutex);
    if (full == UINT32_MAX)
        return TM_OK;
    atomic_fetch_add(&p->refused, 1);
    return tm_error_set(
        err, TM_RESOURCE_EXHAUSTED,
        "shard %" PRIu32 " has %" PRIu64 "KiB of impressions that wait for their decision, of %" PRIu64
        "KiB (memory.join): send it again in a second; actions and watermarks pass in calls of their own",
        full, kib(taken(&p->place[full])), kib(p->hard));
}

void pressure_release(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch)
{
    for (uint32_t i = 0; i < batch->event_count; i++)
        atomic_fetch_sub(&p->place[batch->events[i].shard].coming, weight(kinds, batch, &batch->events[i]));
}

/* Without looking at each event: as many as there are, of the size that they have on average. */
static uint64_t share(const struct block *b, uint32_t events)
{
    return events * joiner_waiting_bytes(JOINER_FEATURES, (b->event_bytes.size + b->shared_bytes.size) / b->events);
}

void pressure_send(struct pressure *p, const struct block *b)
{
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        if (shard < p->shards)
            atomic_fetch_add(&p->place[shard].coming, share(b, events));
    }
}

void pressure_arrive(struct pressure *p, const struct block *b, uint32_t shard, uint32_t events)
{
    CHECK(shard < p->shards);
    atomic_fetch_sub(&p->place[shard].coming, share(b, events));
}

void pressure_tell(struct pressure *p, uint32_t shard, uint64_t held_bytes, uint64_t decided)
{
    CHECK(shard < p->shards);
    atomic_store_explicit(&p->place[shard].held, held_bytes, memory_order_relaxed);
    atomic_store_explicit(&p->place[shard].decided, decided, memory_order_relaxed);
}

uint32_t pressure_closed(struct pressure *p)
{
    uint32_t closed = 0;
    pthread_mutex_lock(&p->mutex);
    for (uint32_t i = 0; i < p->shards; i++)
        closed += p->place[i].closed_ns != 0 && taken(&p->place[i]) > p->soft;
    pthread_mutex_unlock(&p->mutex);
    return closed;
}

uint64_t pressure_refused(const struct pressure *p) { return atomic_load(&p->refused); }
