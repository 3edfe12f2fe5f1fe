#include "joiner/decided.h"

#include <stdlib.h>

enum { RING_MIN = 64, ACTIONS_MIN = 64 };

void decided_open(struct decided *d) { *d = (struct decided){.action_free = DECIDED_NONE}; }

void decided_close(struct decided *d)
{
    free(d->ring);
    free(d->actions);
    free(d->changed);
    key_index_close(&d->index);
    *d = (struct decided){0};
}

static struct decided_key *at(const struct decided *d, uint64_t number) { return &d->ring[number & (d->capacity - 1)]; }

static struct key_entries entries(const struct decided *d)
{
    return (struct key_entries){d->ring, sizeof *d->ring, d->capacity - 1};
}

/* The index holds numbers modulo 2^31; the ring is smaller, so the low bits find the place. */
static struct decided_key *lookup(struct decided *d, struct hash128 key, uint32_t *number)
{
    *number = d->capacity ? key_index_find(&d->index, key, entries(d)) : KEY_INDEX_NONE;
    return *number == KEY_INDEX_NONE ? NULL : at(d, *number);
}

struct decided_key *decided_find(struct decided *d, struct hash128 key, int64_t expiry)
{
    uint32_t number;
    struct decided_key *k = lookup(d, key, &number);
    return k && k->time >= expiry ? k : NULL;
}

static void free_actions(struct decided *d, struct decided_key *k)
{
    while (k->actions != DECIDED_NONE) {
        struct decided_action *a = &d->actions[k->actions];
        uint32_t next = a->next;
        a->next = d->action_free;
        d->action_free = k->actions;
        k->actions = next;
    }
}

static void grow(struct decided *d)
{
    uint32_t capacity = d->capacity ? d->capacity * 2 : RING_MIN;
    struct decided_key *ring;
    CHECK(capacity > d->capacity);
    ring = mem_new(capacity, sizeof *ring);
    for (uint64_t i = d->first; i < d->next; i++)
        ring[i & (capacity - 1)] = *at(d, i);
    free(d->ring);
    d->ring = ring;
    d->capacity = capacity;
}

/* An expired key of the same name leaves the index; its place in the ring empties when its turn comes. */
static void forget(struct decided *d, struct decided_key *k, uint32_t number)
{
    key_index_remove(&d->index, k->key, number);
    free_actions(d, k);
    k->changed = 0;
    k->sequence = 0; /* marks a place that the index does not know */
}

struct decided_key *decided_put(struct decided *d, struct hash128 key)
{
    uint32_t number;
    struct decided_key *k = lookup(d, key, &number);
    if (k)
        forget(d, k, number);
    if (d->next - d->first == d->capacity)
        grow(d);
    k = at(d, d->next);
    *k = (struct decided_key){.key = key, .actions = DECIDED_NONE};
    key_index_insert(&d->index, key, (uint32_t)d->next & INT32_MAX);
    d->next++;
    return k;
}

void decided_add_action(struct decided *d, struct decided_key *k, uint8_t stream, uint64_t event)
{
    uint32_t i = d->action_free;
    if (i != DECIDED_NONE) {
        d->action_free = d->actions[i].next;
    } else {
        if (d->action_count == d->action_capacity) {
            d->action_capacity = d->action_capacity ? d->action_capacity * 2 : ACTIONS_MIN;
            d->actions = mem_grow(d->actions, d->action_capacity, sizeof *d->actions);
        }
        i = d->action_count++;
    }
    d->actions[i] = (struct decided_action){event, k->actions, stream};
    k->actions = i;
}

bool decided_has_action(const struct decided *d, const struct decided_key *k, uint8_t stream, uint64_t event,
                        uint32_t *of_stream)
{
    *of_stream = 0;
    for (uint32_t i = k->actions; i != DECIDED_NONE; i = d->actions[i].next) {
        *of_stream += d->actions[i].stream == stream;
        if (d->actions[i].stream == stream && d->actions[i].event == event)
            return true;
    }
    return false;
}

/* The number of a key from its place: the only live number with these low bits. */
static uint64_t number_of(const struct decided *d, const struct decided_key *k)
{
    uint64_t place = (uint64_t)(k - d->ring);
    return d->first + ((place - d->first) & (d->capacity - 1));
}

void decided_changed(struct decided *d, struct decided_key *k)
{
    if (k->changed)
        return;
    k->changed = 1;
    if (d->changed_count == d->changed_capacity) {
        d->changed_capacity = d->changed_capacity ? d->changed_capacity * 2 : 64;
        d->changed = mem_grow(d->changed, d->changed_capacity, sizeof *d->changed);
    }
    d->changed[d->changed_count++] = number_of(d, k);
}

void decided_expire(struct decided *d, int64_t expiry)
{
    for (; d->first < d->next && at(d, d->first)->time < expiry && !at(d, d->first)->changed; d->first++)
        if (at(d, d->first)->sequence)
            forget(d, at(d, d->first), (uint32_t)d->first & INT32_MAX);
}

static void encode(const struct decided *d, const struct decided_key *k, struct buffer *run)
{
    uint16_t count = 0;
    for (uint32_t i = k->actions; i != DECIDED_NONE; i = d->actions[i].next)
        count++;
    buffer_put(run, &k->key, sizeof k->key);
    buffer_put_i64(run, k->time);
    buffer_put_u64(run, k->sequence);
    buffer_put_u64(run, k->settled);
    buffer_put_u64(run, k->chunk);
    buffer_put_u32(run, k->offset);
    buffer_put_u32(run, k->version);
    buffer_put(run, &k->weight, sizeof k->weight);
    buffer_put_u16(run, k->labels);
    buffer_put_u16(run, count);
    for (uint32_t i = k->actions; i != DECIDED_NONE; i = d->actions[i].next) {
        buffer_put_u64(run, d->actions[i].event);
        buffer_put_u8(run, (uint8_t)d->actions[i].stream);
    }
}

int64_t decided_write(struct decided *d, struct buffer *run)
{
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < d->changed_count; i++) {
        struct decided_key *k = d->changed[i] >= d->first ? at(d, d->changed[i]) : NULL;
        if (!k || !k->changed) /* forgotten since: its key was decided again */
            continue;
        k->changed = 0;
        encode(d, k, run);
        if (k->time > newest)
            newest = k->time;
    }
    d->changed_count = 0;
    return newest;
}

static void load_one(struct decided *d, struct reader *r, int64_t *newest)
{
    struct decided_key stored = {0};
    const uint8_t *p = reader_take(r, sizeof stored.key);
    uint32_t number;
    if (p)
        memcpy(&stored.key, p, sizeof stored.key);
    stored.time = reader_i64(r);
    stored.sequence = reader_u64(r);
    stored.settled = reader_u64(r);
    stored.chunk = reader_u64(r);
    stored.offset = reader_u32(r);
    stored.version = reader_u32(r);
    if ((p = reader_take(r, sizeof stored.weight)))
        memcpy(&stored.weight, p, sizeof stored.weight);
    stored.labels = reader_u16(r);
    uint16_t count = reader_u16(r);
    if (r->bad || stored.sequence == 0 || count > JOINER_ACTIONS_MAX * JOINER_STREAMS_MAX) {
        r->bad = true;
        return;
    }
    struct decided_key *k = lookup(d, stored.key, &number);
    if (k && k->sequence == stored.sequence)
        free_actions(d, k); /* a later state of the same key */
    else
        k = decided_put(d, stored.key);
    stored.actions = DECIDED_NONE;
    *k = stored;
    for (uint16_t i = 0; i < count; i++) {
        uint64_t event = reader_u64(r);
        decided_add_action(d, k, reader_u8(r), event);
    }
    if (stored.time > *newest)
        *newest = stored.time;
}

enum tm_code decided_load(struct decided *d, struct bytes run, int64_t *newest, struct tm_error *err)
{
    struct reader r = reader_of(run);
    *newest = INT64_MIN;
    while (!r.bad && reader_left(&r))
        load_one(d, &r, newest);
    return r.bad ? tm_error_set(err, TM_DATA_LOSS, "a run of decided keys is damaged") : TM_OK;
}

uint64_t decided_count(const struct decided *d) { return d->index.used; }

size_t decided_memory(const struct decided *d)
{
    return (size_t)d->capacity * sizeof *d->ring + (size_t)d->index.capacity * 8 +
           (size_t)d->action_capacity * sizeof *d->actions + d->changed_capacity * sizeof *d->changed;
}
