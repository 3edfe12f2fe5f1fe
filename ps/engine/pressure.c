#include "ps/engine/pressure.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/units.h"

struct place {
    _Atomic uint64_t held, decided; /* as the shard tells */
    _Atomic uint64_t coming;        /* bytes on their way to it */
    int64_t closed_ns;              /* guarded by the mutex: since when it lets nothing in; 0: it is open */
    int64_t forced_ns;              /* when a batch was let in above the hard limit */
    uint64_t decided_then;          /* when it was closed */
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

/* What the shard may have by now, by the rule of the time-out; the mutex is held. */
static uint64_t limit_now(const struct pressure *p, struct place *s, int64_t now_ns)
{
    uint64_t decided = atomic_load(&s->decided);
    if (taken(s) <= p->soft) {
        s->closed_ns = 0;
        return p->soft;
    }
    if (s->closed_ns == 0 || decided != s->decided_then) {
        s->closed_ns = now_ns;
        s->decided_then = decided;
    }
    if (now_ns - s->closed_ns < p->timeout_ns)
        return p->soft;
    return now_ns - s->forced_ns < p->timeout_ns ? p->hard : UINT64_MAX;
}

/* The first shard that has no room for what the batch brings; UINT32_MAX: all have. */
static uint32_t find_full(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch,
                          int64_t now_ns)
{
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < batch->event_count; i++) {
        const struct submission_event *e = &batch->events[i];
        if (!needs_room(kinds, e) || e->shard == last)
            continue;
        last = e->shard;
        if (taken(&p->place[last]) > limit_now(p, &p->place[last], now_ns))
            return last;
    }
    return UINT32_MAX;
}

static void reserve(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch,
                    int64_t now_ns)
{
    for (uint32_t i = 0; i < batch->event_count; i++) {
        const struct submission_event *e = &batch->events[i];
        struct place *s = &p->place[e->shard];
        if (needs_room(kinds, e) && taken(s) > p->hard)
            s->forced_ns = now_ns;
        atomic_fetch_add(&s->coming, weight(kinds, batch, e));
    }
}

enum tm_code pressure_admit(struct pressure *p, const struct joiner_config *kinds, const struct submission *batch,
                            int64_t now_ns, struct tm_error *err)
{
    char has[UNITS_TEXT_SIZE], room[UNITS_TEXT_SIZE];
    pthread_mutex_lock(&p->mutex);
    uint32_t full = find_full(p, kinds, batch, now_ns);
    if (full == UINT32_MAX)
        reserve(p, kinds, batch, now_ns);
    pthread_mutex_unlock(&p->mutex);
    if (full == UINT32_MAX)
        return TM_OK;
    atomic_fetch_add(&p->refused, 1);
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "shard %" PRIu32
                        " has %s of impressions that wait for their decision, of %s (memory.join): send "
                        "it again in a second; actions and watermarks pass in calls of their own",
                        full, size_text(taken(&p->place[full]), has), size_text(p->hard, room));
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
