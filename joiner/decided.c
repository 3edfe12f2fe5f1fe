#include "joiner/decided.h"

#include <math.h>
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

static struct decided_key *at_number(const struct decided *d, uint64_t number)
{
    return &d->ring[number & (d->capacity - 1)];
}

static struct key_entries entries(const struct decided *d)
{
    return (struct key_entries){d->ring, sizeof *d->ring, d->capacity - 1};
}

/* The index holds numbers modulo 2^31; the ring is smaller, so the low bits find the place. */
static struct decided_key *lookup(struct decided *d, struct hash128 key, uint32_t *number)
{
    *number = d->capacity ? key_index_find(&d->index, key, entries(d)) : KEY_INDEX_NONE;
    return *number == KEY_INDEX_NONE ? NULL : at_number(d, *number);
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
        ring[i & (capacity - 1)] = *at_number(d, i);
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
    k->standing = DECIDED_FORGOTTEN;
}

struct decided_key *decided_put(struct decided *d, struct hash128 key)
{
    uint32_t number;
    struct decided_key *k = lookup(d, key, &number);
    if (k)
        forget(d, k, number);
    if (d->next - d->first == d->capacity)
        grow(d);
    k = at_number(d, d->next);
    *k = (struct decided_key){.key = key, .actions = DECIDED_NONE};
    key_index_insert(&d->index, key, (uint32_t)d->next & INT32_MAX);
    d->next++;
    return k;
}

struct decided_action *decided_find_action(const struct decided *d, const struct decided_key *k, uint8_t stream,
                                           uint64_t event, uint8_t came, uint32_t *of_kind)
{
    struct decided_action *found = NULL;
    *of_kind = 0;
    for (uint32_t i = k->actions; i != DECIDED_NONE; i = d->actions[i].next) {
        struct decided_action *a = &d->actions[i];
        if (a->stream != stream)
            continue;
        *of_kind += (a->came & came) != 0;
        if (a->event == event)
            found = a;
    }
    return found;
}

static uint32_t new_action(struct decided *d)
{
    uint32_t i = d->action_free;
    if (i != DECIDED_NONE) {
        d->action_free = d->actions[i].next;
        return i;
    }
    if (d->action_count == d->action_capacity) {
        d->action_capacity = d->action_capacity ? d->action_capacity * 2 : ACTIONS_MIN;
        d->actions = mem_grow(d->actions, d->action_capacity, sizeof *d->actions);
    }
    return d->action_count++;
}

/* Behind all of its time: they came before it. */
static void insert_action(struct decided *d, struct decided_key *k, const struct decided_action *action)
{
    uint32_t i = new_action(d), *link = &k->actions;
    while (*link != DECIDED_NONE && d->actions[*link].time <= action->time)
        link = &d->actions[*link].next;
    d->actions[i] = *action;
    d->actions[i].next = *link;
    *link = i;
}

void decided_add_action(struct decided *d, struct decided_key *k, const struct decided_action *action)
{
    uint32_t of_kind;
    struct decided_action *a = decided_find_action(d, k, action->stream, action->event, action->came, &of_kind);
    if (a)
        a->came |= action->came; /* the two of a pair: whatever the value, it does not count */
    else
        insert_action(d, k, action);
}

uint32_t decided_counted(const struct decided *d, const struct decided_key *k, const struct joiner_config *config,
                         struct label_action out[static DECIDED_COUNTED_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = k->actions; i != DECIDED_NONE; i = d->actions[i].next) {
        const struct decided_action *a = &d->actions[i];
        if (a->came != DECIDED_ACTION)
            continue;
        CHECK(n < DECIDED_COUNTED_MAX);
        out[n++] =
            (struct label_action){.time = a->time, .value = a->value, .labels = config->stream[a->stream].labels};
    }
    return n;
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

/* Its slot of the index is asked for while those in front of it go. */
static void prefetch_ahead(const struct decided *d)
{
    enum { AHEAD = 8 };
    if (d->next - d->first > AHEAD)
        key_index_prefetch(&d->index, at_number(d, d->first + AHEAD)->key);
}

void decided_expire(struct decided *d, int64_t expiry)
{
    for (; d->first < d->next && at_number(d, d->first)->time < expiry && !at_number(d, d->first)->changed;
         d->first++) {
        prefetch_ahead(d);
        if (at_number(d, d->first)->standing != DECIDED_FORGOTTEN)
            forget(d, at_number(d, d->first), (uint32_t)d->first & INT32_MAX);
    }
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
    buffer_put_u64(run, k->row);
    buffer_put_u32(run, k->offset);
    buffer_put_u32(run, k->version);
    buffer_put(run, &k->weight, sizeof k->weight);
    buffer_put(run, &k->rate, sizeof k->rate);
    buffer_put_u8(run, k->standing);
    buffer_put_u8(run, k->labels);
    buffer_put_u16(run, k->features);
    buffer_put_u16(run, count);
    for (uint32_t i = k->actions; i != DECIDED_NONE; i = d->actions[i].next) {
        const struct decided_action *a = &d->actions[i];
        buffer_put_u64(run, a->event);
        buffer_put_i64(run, a->time);
        buffer_put_f64(run, a->value);
        buffer_put_u8(run, a->stream);
        buffer_put_u8(run, a->came);
    }
}

int64_t decided_write(struct decided *d, struct buffer *run)
{
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < d->changed_count; i++) {
        struct decided_key *k = d->changed[i] >= d->first ? at_number(d, d->changed[i]) : NULL;
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

/* They were written in their order. */
static void load_action(struct decided *d, struct decided_key *k, struct reader *r)
{
    struct decided_action a = {.event = reader_u64(r)};
    uint32_t of_kind;
    a.time = reader_i64(r);
    a.value = reader_f64(r);
    a.stream = reader_u8(r);
    a.came = reader_u8(r);
    uint8_t kind = a.came & DECIDED_ACTION ? DECIDED_ACTION : DECIDED_WITHDRAWAL;
    bool known = decided_find_action(d, k, a.stream, a.event, kind, &of_kind);
    r->bad |= a.stream >= JOINER_STREAMS_MAX || a.came == 0 || a.came > DECIDED_BOTH || !isfinite(a.value) || known ||
              of_kind >= JOINER_ACTIONS_MAX;
    if (!r->bad)
        insert_action(d, k, &a);
}

/* A key has a sample, unless it was a negative that was left out. */
static bool makes_sense(const struct decided_key *k)
{
    return k->standing <= DECIDED_LEFT_OUT && k->labels <= JOINER_LABELS_MAX &&
           (k->standing == DECIDED_LEFT_OUT) == (k->sequence == 0) && k->rate > 0 && k->rate <= 1;
}

static struct decided_key *load_one(struct decided *d, struct reader *r)
{
    struct decided_key stored = {0};
    const uint8_t *p = reader_take(r, sizeof stored.key);
    uint32_t number;
    if (p)
        memcpy(&stored.key, p, sizeof stored.key);
    stored.time = reader_i64(r);
    stored.sequence = reader_u64(r);
    stored.settled = reader_u64(r);
    stored.row = reader_u64(r);
    stored.offset = reader_u32(r);
    stored.version = reader_u32(r);
    if ((p = reader_take(r, sizeof stored.weight)))
        memcpy(&stored.weight, p, sizeof stored.weight);
    if ((p = reader_take(r, sizeof stored.rate)))
        memcpy(&stored.rate, p, sizeof stored.rate);
    stored.standing = reader_u8(r);
    stored.labels = reader_u8(r);
    stored.features = reader_u16(r);
    uint16_t count = reader_u16(r);
    if (r->bad || !makes_sense(&stored) || count > 2 * DECIDED_COUNTED_MAX) {
        r->bad = true;
        return NULL;
    }
    struct decided_key *k = lookup(d, stored.key, &number);
    if (k && k->settled == stored.settled)
        free_actions(d, k); /* a later state of the same key */
    else
        k = decided_put(d, stored.key);
    stored.actions = DECIDED_NONE;
    *k = stored;
    for (uint16_t i = 0; i < count && !r->bad; i++)
        load_action(d, k, r);
    return k;
}

enum tm_code decided_load(struct decided *d, struct bytes run, int64_t *newest, struct tm_error *err)
{
    struct reader r = reader_of(run);
    *newest = INT64_MIN;
    while (!r.bad && reader_left(&r)) {
        const struct decided_key *k = load_one(d, &r);
        if (k && k->time > *newest)
            *newest = k->time;
    }
    return r.bad ? tm_error_set(err, TM_DATA_LOSS, "a run of decided keys is damaged") : TM_OK;
}

struct decided_key *decided_restore(struct decided *d, struct bytes entry)
{
    struct reader r = reader_of(entry);
    struct decided_key *k = load_one(d, &r);
    return r.bad || reader_left(&r) ? NULL : k;
}

/* Of good hashes the highest bits tell the place but for a few: as many buckets as entries, then each goes to its
 * place among its neighbours. */
static struct run_entry *sort(const struct run_entry *entries, size_t n)
{
    uint32_t bits = 0;
    while ((size_t)1 << bits < n)
        bits++;
    struct run_entry *sorted = mem_new(n + 1, sizeof *sorted);
    uint32_t *end = mem_new(((size_t)1 << bits) + 1, sizeof *end);
    for (size_t i = 0; i < n; i++)
        end[bits ? entries[i].key.hi >> (64 - bits) : 0]++;
    for (size_t b = 1; b < (size_t)1 << bits; b++)
        end[b] += end[b - 1];
    for (size_t i = 0; i < n; i++)
        sorted[--end[bits ? entries[i].key.hi >> (64 - bits) : 0]] = entries[i];
    for (size_t i = 1; i < n; i++) {
        struct run_entry one = sorted[i];
        size_t at = i;
        for (; at > 0 && run_key_less(one.key, sorted[at - 1].key); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = one;
    }
    free(end);
    return sorted;
}

struct run_entry *decided_sorted(const struct decided *d, int64_t expiry, struct buffer *bytes, size_t *count)
{
    struct run_entry *entries = mem_new(d->index.used + 1, sizeof *entries);
    size_t n = 0, at = 0;
    for (uint64_t i = d->first; i < d->next; i++) {
        const struct decided_key *k = at_number(d, i);
        if (k->standing == DECIDED_FORGOTTEN || k->time < expiry)
            continue;
        size_t before = bytes->size;
        encode(d, k, bytes);
        entries[n++] = (struct run_entry){k->key, k->time, bytes_of(NULL, bytes->size - before)};
    }
    for (size_t i = 0; i < n; at += entries[i++].bytes.size) /* only now it grows no more */
        entries[i].bytes.data = bytes->data + at;
    struct run_entry *sorted = sort(entries, n);
    free(entries);
    *count = n;
    return sorted;
}

void decided_clear(struct decided *d)
{
    d->first = d->next;
    key_index_clear(&d->index);
    d->action_count = 0;
    d->action_free = DECIDED_NONE;
    d->changed_count = 0;
}

uint64_t decided_count(const struct decided *d) { return d->index.used; }

size_t decided_memory(const struct decided *d)
{
    return (size_t)d->capacity * sizeof *d->ring + (size_t)d->index.capacity * 8 +
           (size_t)d->action_capacity * sizeof *d->actions + d->changed_capacity * sizeof *d->changed;
}
