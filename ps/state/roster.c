#include "ps/state/roster.h"

#include <stdlib.h>

static uint32_t bit(uint32_t stream) { return 1u << stream; }
static uint32_t lowest(uint32_t streams) { return (uint32_t)__builtin_ctz(streams); }

static int64_t later(int64_t time, int64_t by_ms)
{
    int64_t sum;
    return __builtin_add_overflow(time, by_ms, &sum) ? INT64_MAX : sum;
}

void roster_open(struct roster *r, const struct sequencer_options *options)
{
    CHECK(options->streams <= SEQUENCER_STREAMS_MAX);
    *r = (struct roster){.options = *options, .due_ms = INT64_MAX};
    producers_open(&r->producers, options->streams, options->producers_max);
    for (uint32_t stream = 0; stream < SEQUENCER_STREAMS_MAX; stream++)
        r->streams[stream].value = r->streams[stream].sealed = WATERMARK_NONE;
}

void roster_close(struct roster *r)
{
    producers_close(&r->producers);
    for (uint32_t stream = 0; stream < r->options.streams; stream++)
        free(r->streams[stream].holds);
    free(r->changed);
    buffer_close(&r->removed);
}

/* ---- the minimum ---- */

int64_t roster_minimum(const struct roster *r, uint32_t stream, uint32_t *slot)
{
    const int64_t *holds = r->streams[stream].holds;
    int64_t least = ROSTER_NOBODY;
    for (uint32_t i = 0; i < r->producers.count; i++)
        if (holds[i] < least) {
            least = holds[i];
            *slot = i;
        }
    return least;
}

static void raise_stream(struct roster *r, uint32_t stream, int64_t time)
{
    if (time > r->streams[stream].value)
        r->streams[stream].value = time;
}

void roster_settle(struct roster *r)
{
    for (; r->moved; r->moved &= r->moved - 1) {
        uint32_t stream = lowest(r->moved), slot;
        int64_t least = roster_minimum(r, stream, &slot);
        if (least != ROSTER_NOBODY)
            raise_stream(r, stream, least);
    }
}

static void hold_stream(struct roster *r, const struct producer *p, uint32_t stream)
{
    bool counts = p->live && (p->declared & bit(stream));
    r->streams[stream].holds[p->slot] = counts ? p->progress[stream].value : ROSTER_NOBODY;
}

static void hold(struct roster *r, const struct producer *p)
{
    for (uint32_t stream = 0; stream < r->options.streams; stream++)
        hold_stream(r, p, stream);
    r->moved |= p->declared;
}

static void raise(struct roster *r, struct producer *p, uint32_t stream, int64_t time)
{
    if (time <= p->progress[stream].value)
        return;
    p->progress[stream].value = time < ROSTER_NOBODY ? time : ROSTER_NOBODY - 1;
    hold_stream(r, p, stream);
    r->moved |= bit(stream);
}

void roster_see(struct roster *r, struct producer *p, uint32_t stream, int64_t time)
{
    CHECK(stream < r->options.streams);
    struct progress *progress = &p->progress[stream];
    if (time > p->newest)
        p->newest = time;
    if (progress->asserted)
        return;
    if (!progress->measured) {
        progress->measured = mem_new(1, sizeof *progress->measured);
        watermark_open(progress->measured);
    }
    watermark_see(progress->measured, time);
}

void roster_measure(struct roster *r, struct producer *p, uint32_t streams)
{
    for (; streams; streams &= streams - 1) {
        uint32_t stream = lowest(streams);
        struct watermark *measured = p->progress[stream].measured;
        if (!measured)
            continue;
        watermark_measure(measured, r->options.out_of_orderness_ms[stream]);
        raise(r, p, stream, measured->value);
    }
}

void roster_assert(struct roster *r, struct producer *p, uint32_t stream, int64_t time)
{
    struct progress *progress = &p->progress[stream];
    free(progress->measured);
    progress->measured = NULL;
    progress->asserted = true;
    raise(r, p, stream, time);
}

/* ---- coming and going ---- */

/* How long it may be silent: then it goes, or, when it is gone already, it is forgotten. */
static int64_t patience(const struct roster *r, const struct producer *p)
{
    bool short_lived = p->live && !producer_is_server(&p->key);
    return short_lived ? r->options.producer_timeout_ms : r->options.producer_retain_ms;
}

static void watch(struct roster *r, const struct producer *p)
{
    int64_t due = later(p->seen_ms, patience(r, p));
    if (due < r->due_ms)
        r->due_ms = due;
}

static void touch(struct roster *r, struct producer *p)
{
    watch(r, p);
    if (p->changed)
        return;
    if (r->n_changed == r->changed_capacity) {
        r->changed_capacity = r->changed_capacity ? 2 * r->changed_capacity : 16;
        r->changed = mem_grow(r->changed, r->changed_capacity, sizeof(struct producer *));
    }
    p->changed = true;
    r->changed[r->n_changed++] = p;
}

void roster_advance(struct roster *r, struct producer *p, int64_t time)
{
    for (uint32_t left = p->declared; left; left &= left - 1)
        roster_assert(r, p, lowest(left), time);
    touch(r, p);
}

static struct producer *add(struct roster *r, const struct producer_key *key)
{
    struct producer *p = producers_add(&r->producers, key);
    if (r->holds_capacity < r->producers.capacity) {
        r->holds_capacity = r->producers.capacity;
        for (uint32_t stream = 0; stream < r->options.streams; stream++)
            r->streams[stream].holds = mem_grow(r->streams[stream].holds, r->holds_capacity, sizeof(int64_t));
    }
    hold(r, p);
    return p;
}

static void forget(struct roster *r, struct producer *p)
{
    uint32_t slot = p->slot, kept = 0;
    buffer_put_bytes(&r->removed, bytes_of(p->key.data, p->key.size));
    for (uint32_t i = 0; i < r->n_changed; i++)
        if (r->changed[i] != p)
            r->changed[kept++] = r->changed[i];
    r->n_changed = kept;
    r->moved |= p->declared;
    producers_remove(&r->producers, p);
    if (slot < r->producers.count)
        hold(r, r->producers.list[slot]);
}

static void set_gone(struct roster *r, struct producer *p)
{
    p->live = false;
    producer_stop_measuring(&r->producers, p);
    hold(r, p);
    touch(r, p);
}

static void set_live(struct roster *r, struct producer *p, uint32_t declared)
{
    CHECK((uint64_t)declared >> r->options.streams == 0);
    r->moved |= p->declared;
    for (uint32_t dropped = p->declared & ~declared; dropped; dropped &= dropped - 1) {
        struct progress *progress = &p->progress[lowest(dropped)];
        free(progress->measured);
        *progress = (struct progress){.value = WATERMARK_NONE};
    }
    p->live = true;
    p->declared = declared;
    hold(r, p);
}

void roster_join(struct roster *r, struct producer *p, uint32_t declared, int64_t now_ms)
{
    if (!p->live || p->declared != declared) {
        roster_settle(r);
        set_live(r, p, declared);
    }
    p->seen_ms = now_ms;
    touch(r, p);
}

static bool silent_longer(const struct producer *a, const struct producer *b)
{
    if (a->seen_ms != b->seen_ms)
        return a->seen_ms < b->seen_ms;
    int order = memcmp(a->key.data, b->key.data, a->key.size < b->key.size ? a->key.size : b->key.size);
    return order ? order < 0 : a->key.size < b->key.size;
}

/* Room for a new one: the producer that has been gone for longest is forgotten. False: all are live. */
static bool forget_silent(struct roster *r)
{
    struct producer *oldest = NULL;
    for (uint32_t i = 0; i < r->producers.count; i++) {
        struct producer *p = r->producers.list[i];
        if (!p->live && (!oldest || silent_longer(p, oldest)))
            oldest = p;
    }
    if (oldest)
        forget(r, oldest);
    return oldest != NULL;
}

/* Nothing is settled between the going of the old instance and the coming of the new one: what the old one held, the
 * new one holds on, because it may send the same again. */
struct producer *roster_add(struct roster *r, const struct producer_key *key, uint32_t declared, int64_t now_ms)
{
    roster_settle(r);
    if (r->producers.count >= r->options.producers_max)
        roster_expire(r, now_ms);
    for (uint32_t i = r->producers.count; i-- > 0;) {
        struct producer *other = r->producers.list[i];
        if (producer_same_client(key, &other->key) && !producer_same_instance(key, &other->key))
            forget(r, other);
    }
    if (r->producers.count >= r->options.producers_max && !forget_silent(r))
        return NULL;
    struct producer *p = add(r, key);
    set_live(r, p, declared);
    p->seen_ms = now_ms;
    touch(r, p);
    return p;
}

enum tm_code roster_load(struct roster *r, struct bytes key, struct bytes row, int64_t now_ms, struct tm_error *err)
{
    struct producer_key parsed;
    if (!producer_key_parse(key, &parsed) || producers_find(&r->producers, &parsed))
        return tm_error_set(err, TM_DATA_LOSS, "%zu bytes are not the key of a producer", key.size);
    struct producer *p = add(r, &parsed);
    enum tm_code code = producer_decode(&r->producers, row, p, err);
    if (code != TM_OK) {
        struct producer_id id = producer_id_of(&parsed);
        producers_remove(&r->producers, p);
        return tm_error_wrap(err, "producer %s/%s/%s", id.client, id.instance, id.lane), code;
    }
    if (p->live)
        p->seen_ms = now_ms;
    hold(r, p);
    watch(r, p);
    return TM_OK;
}

void roster_leave(struct roster *r, struct producer *p, int64_t now_ms)
{
    roster_settle(r);
    p->seen_ms = now_ms;
    set_gone(r, p);
}

static int64_t highest(const struct roster *r, uint32_t stream)
{
    int64_t most = WATERMARK_NONE;
    for (uint32_t i = 0; i < r->producers.count; i++)
        if (r->producers.list[i]->progress[stream].value > most)
            most = r->producers.list[i]->progress[stream].value;
    return most;
}

/* The lanes are gone and asserted `end`: streams nobody else holds follow. */
static void close_streams(struct roster *r, uint32_t streams)
{
    for (; streams; streams &= streams - 1) {
        uint32_t stream = lowest(streams), slot;
        if (roster_minimum(r, stream, &slot) == ROSTER_NOBODY)
            raise_stream(r, stream, highest(r, stream));
    }
}

int64_t roster_end(struct roster *r, struct producer *p, int64_t now_ms)
{
    int64_t newest = WATERMARK_NONE;
    uint32_t declared = 0;
    roster_settle(r);
    p->seen_ms = now_ms;
    for (uint32_t i = 0; i < r->producers.count; i++) {
        const struct producer *lane = r->producers.list[i];
        if (producer_same_instance(&p->key, &lane->key) && lane->newest > newest)
            newest = lane->newest;
    }
    int64_t end = newest == WATERMARK_NONE ? WATERMARK_NONE : later(later(newest, r->options.window_ms), 1);
    for (uint32_t i = 0; i < r->producers.count; i++) {
        struct producer *lane = r->producers.list[i];
        if (!producer_same_instance(&p->key, &lane->key))
            continue;
        for (uint32_t left = lane->declared; left && newest != WATERMARK_NONE; left &= left - 1)
            roster_assert(r, lane, lowest(left), end);
        set_gone(r, lane);
        declared |= lane->declared;
    }
    close_streams(r, declared);
    return end;
}

void roster_expire(struct roster *r, int64_t now_ms)
{
    if (now_ms < r->due_ms)
        return;
    roster_settle(r);
    r->due_ms = INT64_MAX;
    for (uint32_t i = r->producers.count; i-- > 0;) {
        struct producer *p = r->producers.list[i];
        if (p->live && later(p->seen_ms, patience(r, p)) <= now_ms)
            set_gone(r, p);
        if (!p->live && later(p->seen_ms, r->options.producer_retain_ms) <= now_ms)
            forget(r, p);
    }
    for (uint32_t i = 0; i < r->producers.count; i++)
        watch(r, r->producers.list[i]);
}
