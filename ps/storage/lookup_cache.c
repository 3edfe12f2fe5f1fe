#include "ps/storage/lookup_cache.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    STRIPES = 64,
    STRIPE_BYTES_MIN = 16 << 10, /* a smaller cache has one stripe */
    SLOTS_MIN = 64,
    ENTRY_BYTES_MAX = 64 << 10, /* an entry that has so much takes no further row */
};

struct cached_row {
    int64_t time;
    uint64_t position;
    uint32_t offset, size; /* in the entry's bytes; size 0: it deletes */
};

struct entry {
    struct lookup_key key;
    struct entry *next;          /* of the same slot */
    struct entry *newer, *older; /* by their last use */
    struct buffer bytes;
    struct cached_row version[LOOKUP_VERSIONS_MAX]; /* newest first */
    uint32_t versions;
    bool whole;   /* there are no others */
    bool damaged; /* while it is read: a row made no sense */
};

struct stripe {
    pthread_mutex_t mutex;
    struct entry **slot;
    size_t slots, entries, bytes;
    struct entry *newest, *oldest;
    uint64_t changes; /* rows written of its keys: what was read before may be old */
    uint64_t lookups, misses;
};

struct lookup_cache {
    struct lookup_store store;
    uint64_t stripe_bytes;
    uint32_t stripes;
    struct stripe stripe[];
};

struct lookup_cache *lookup_cache_open(struct lookup_store store, uint64_t bytes)
{
    uint32_t stripes = bytes / STRIPES >= STRIPE_BYTES_MIN ? STRIPES : 1;
    struct lookup_cache *c = mem_new(1, sizeof *c + stripes * sizeof c->stripe[0]);
    c->store = store;
    c->stripes = stripes;
    c->stripe_bytes = bytes / stripes;
    for (uint32_t i = 0; i < stripes; i++) {
        CHECK(pthread_mutex_init(&c->stripe[i].mutex, NULL) == 0);
        c->stripe[i].slots = SLOTS_MIN;
        c->stripe[i].slot = mem_new(SLOTS_MIN, sizeof(struct entry *));
    }
    return c;
}

static void free_entry(struct entry *e)
{
    if (!e)
        return;
    buffer_close(&e->bytes);
    free(e);
}

void lookup_cache_close(struct lookup_cache *c)
{
    for (uint32_t i = 0; c && i < c->stripes; i++) {
        struct stripe *s = &c->stripe[i];
        for (struct entry *e = s->newest, *older; e; e = older) {
            older = e->older;
            free_entry(e);
        }
        free(s->slot);
        pthread_mutex_destroy(&s->mutex);
    }
    free(c);
}

static struct stripe *lock(struct lookup_cache *c, const struct lookup_key *key)
{
    struct stripe *s = &c->stripe[key->hash.hi % c->stripes];
    CHECK(pthread_mutex_lock(&s->mutex) == 0);
    return s;
}

static void unlock(struct stripe *s) { CHECK(pthread_mutex_unlock(&s->mutex) == 0); }

/* ---- the entries of a stripe, under its mutex ---- */

static bool same_key(const struct lookup_key *a, const struct lookup_key *b)
{
    return hash128_equal(a->hash, b->hash) && a->stream == b->stream && a->place == b->place;
}

/* Where the pointer to the entry is, or would be. */
static struct entry **place_of(const struct stripe *s, const struct lookup_key *key)
{
    struct entry **at = &s->slot[(key->hash.lo + key->stream) & (s->slots - 1)];
    while (*at && !same_key(&(*at)->key, key))
        at = &(*at)->next;
    return at;
}

static size_t size_of(const struct entry *e) { return sizeof *e + e->bytes.capacity; }

static void unlink_use(struct stripe *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

static void link_newest(struct stripe *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void drop(struct stripe *s, struct entry **at)
{
    struct entry *e = *at;
    *at = e->next;
    unlink_use(s, e);
    s->entries--;
    s->bytes -= size_of(e);
    free_entry(e);
}

static void grow(struct stripe *s)
{
    struct entry **old = s->slot;
    size_t slots = s->slots;
    s->slots *= 2;
    s->slot = mem_new(s->slots, sizeof(struct entry *));
    for (size_t i = 0; i < slots; i++)
        for (struct entry *e = old[i], *next; e; e = next) {
            next = e->next;
            e->next = NULL;
            *place_of(s, &e->key) = e;
        }
    free(old);
}

static void insert(struct lookup_cache *c, struct stripe *s, struct entry *e)
{
    if (s->entries == s->slots)
        grow(s);
    *place_of(s, &e->key) = e;
    link_newest(s, e);
    s->entries++;
    s->bytes += size_of(e);
    while (s->bytes > c->stripe_bytes && s->entries > 1)
        drop(s, place_of(s, &s->oldest->key));
}

/* ---- reading ---- */

/* store_visit: the rows of one key, the newest first. */
static enum tm_code take_row(void *context, struct bytes key, struct bytes event, struct tm_error *err)
{
    struct entry *e = context;
    struct cached_row *v = &e->version[e->versions];
    (void)err;
    if (e->versions == LOOKUP_VERSIONS_MAX || e->bytes.size >= ENTRY_BYTES_MAX) {
        e->whole = false;
        return STORE_ENOUGH;
    }
    e->damaged = e->damaged || !lookup_get_row(key, &v->time, &v->position);
    v->offset = (uint32_t)e->bytes.size;
    v->size = (uint32_t)event.size;
    buffer_put(&e->bytes, event.data, event.size);
    e->versions++;
    return TM_OK;
}

static struct entry *new_entry(const struct lookup_key *key)
{
    struct entry *e = mem_new(1, sizeof *e);
    e->key = *key;
    e->whole = true;
    return e;
}

/* Fill new entries with what the store has. */
static enum tm_code load(const struct lookup_cache *c, struct entry **entries, uint32_t count, struct tm_error *err)
{
    uint8_t prefix[JOINER_COMING_MAX][LOOKUP_KEY_SIZE];
    struct store_range range[JOINER_COMING_MAX] = {0};
    CHECK(count > 0 && count <= JOINER_COMING_MAX);
    for (uint32_t i = 0; i < count; i++) {
        lookup_put_key(&entries[i]->key, prefix[i]);
        range[i] = (struct store_range){.prefix = bytes_of(prefix[i], LOOKUP_KEY_SIZE), .context = entries[i]};
    }
    enum tm_code rc = c->store.scan(c->store.self, range, count, take_row, err);
    for (uint32_t i = 0; rc == TM_OK && i < count; i++)
        if (entries[i]->damaged)
            rc = tm_error_set(err, TM_DATA_LOSS, "a row of table stream %u is damaged", entries[i]->key.stream);
    return rc;
}

/* Keep what was read, unless a row of the stripe was written since, or somebody else was quicker. */
static void keep(struct lookup_cache *c, struct entry *e, uint64_t changes)
{
    struct stripe *s = lock(c, &e->key);
    if (s->changes == changes && !*place_of(s, &e->key)) {
        insert(c, s, e);
        e = NULL;
    }
    unlock(s);
    free_entry(e);
}

void lookup_cache_forget(struct lookup_cache *c, const struct lookup_key *key)
{
    struct stripe *s = lock(c, key);
    struct entry **at = place_of(s, key);
    s->changes++;
    if (*at)
        drop(s, at);
    unlock(s);
}

/* ---- fetch ---- */

static int order(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

static int by_key(const void *a, const void *b)
{
    const struct lookup_key *x = a, *y = b;
    if (x->place != y->place)
        return order(x->place, y->place);
    if (x->stream != y->stream)
        return order(x->stream, y->stream);
    return x->hash.hi != y->hash.hi ? order(x->hash.hi, y->hash.hi) : order(x->hash.lo, y->hash.lo);
}

/* In the order of the store, each once. Returns how many there are. */
static uint32_t sort_keys(const struct lookup_key *keys, uint32_t count, struct lookup_key *out)
{
    uint32_t kept = 0;
    if (count == 0)
        return 0;
    memcpy(out, keys, count * sizeof *keys);
    qsort(out, count, sizeof *out, by_key);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || !same_key(&out[i], &out[kept - 1]))
            out[kept++] = out[i];
    return kept;
}

static void fetch(void *self, const struct lookup_key *keys, uint32_t count)
{
    struct lookup_cache *c = self;
    struct lookup_key sorted[JOINER_COMING_MAX];
    struct entry *entry[JOINER_COMING_MAX];
    uint64_t changes[JOINER_COMING_MAX];
    uint32_t missing = 0;
    CHECK(count <= JOINER_COMING_MAX);
    count = sort_keys(keys, count, sorted);
    for (uint32_t i = 0; i < count; i++) {
        struct stripe *s = lock(c, &sorted[i]);
        if (!*place_of(s, &sorted[i])) {
            s->misses++;
            changes[missing] = s->changes;
            entry[missing++] = new_entry(&sorted[i]);
        }
        unlock(s);
    }
    if (missing == 0)
        return;
    bool read = load(c, entry, missing, NULL) == TM_OK;
    for (uint32_t i = 0; i < missing; i++)
        read ? keep(c, entry[i], changes[i]) : free_entry(entry[i]);
}

/* ---- find ---- */

enum answer { UNKNOWN, NONE, FOUND };

/* What the entry says; *at: the row found. */
static enum answer search(const struct entry *e, int64_t time, uint64_t position, struct bytes *at)
{
    for (uint32_t i = 0; i < e->versions; i++) {
        const struct cached_row *v = &e->version[i];
        if (v->time > time || v->position >= position)
            continue;
        *at = bytes_of(e->bytes.data + v->offset, v->size);
        return v->size ? FOUND : NONE;
    }
    return e->whole ? NONE : UNKNOWN;
}

static enum answer search_cached(struct lookup_cache *c, const struct lookup_key *key, int64_t time, uint64_t position,
                                 struct buffer *event, bool *there, uint64_t *changes)
{
    struct bytes at = {0};
    struct stripe *s = lock(c, key);
    struct entry *e = *place_of(s, key);
    enum answer answer = e ? search(e, time, position, &at) : UNKNOWN;
    s->lookups++;
    s->misses += answer == UNKNOWN;
    *there = e != NULL;
    *changes = s->changes;
    if (e) {
        unlink_use(s, e);
        link_newest(s, e);
    }
    if (answer == FOUND)
        buffer_put(event, at.data, at.size);
    unlock(s);
    return answer;
}

struct search {
    uint64_t position;
    struct buffer *event;
    bool found, damaged;
};

/* store_visit: rows from the impression's time on backwards. */
static enum tm_code stop_at_row(void *context, struct bytes key, struct bytes event, struct tm_error *err)
{
    struct search *s = context;
    int64_t time;
    uint64_t position = 0;
    (void)err;
    s->damaged = s->damaged || !lookup_get_row(key, &time, &position);
    if (position >= s->position)
        return TM_OK;
    s->found = event.size > 0;
    buffer_put(s->event, event.data, event.size);
    return STORE_ENOUGH;
}

/* Older rows than an entry has. */
static enum tm_code search_store(const struct lookup_cache *c, const struct lookup_key *key, int64_t time,
                                 uint64_t position, struct buffer *event, bool *found, struct tm_error *err)
{
    uint8_t from[LOOKUP_ROW_SIZE];
    struct search s = {.position = position, .event = event};
    lookup_put_row(key, time, UINT64_MAX, from);
    struct store_range range = {bytes_of(from, LOOKUP_ROW_SIZE), bytes_of(from, LOOKUP_KEY_SIZE), &s};
    enum tm_code rc = c->store.scan(c->store.self, &range, 1, stop_at_row, err);
    if (rc == TM_OK && s.damaged)
        rc = tm_error_set(err, TM_DATA_LOSS, "a row of table stream %u is damaged", key->stream);
    *found = s.found;
    return rc;
}

static enum tm_code find(void *self, const struct lookup_key *key, int64_t time, uint64_t position,
                         struct buffer *event, bool *found, struct tm_error *err)
{
    struct lookup_cache *c = self;
    struct bytes at = {0};
    uint64_t changes;
    bool there;
    enum answer answer = search_cached(c, key, time, position, event, &there, &changes);
    if (answer == UNKNOWN && !there) {
        struct entry *e = new_entry(key);
        enum tm_code rc = load(c, &e, 1, err);
        if (rc != TM_OK) {
            free_entry(e);
            return rc;
        }
        answer = search(e, time, position, &at);
        if (answer == FOUND)
            buffer_put(event, at.data, at.size);
        keep(c, e, changes);
    }
    *found = answer == FOUND;
    return answer == UNKNOWN ? search_store(c, key, time, position, event, found, err) : TM_OK;
}

struct lookup_source lookup_cache_source(struct lookup_cache *c)
{
    return (struct lookup_source){.self = c, .fetch = fetch, .find = find};
}

void lookup_cache_count(struct lookup_cache *c, struct lookup_cache_counts *out)
{
    *out = (struct lookup_cache_counts){0};
    for (uint32_t i = 0; i < c->stripes; i++) {
        struct stripe *s = &c->stripe[i];
        CHECK(pthread_mutex_lock(&s->mutex) == 0);
        out->lookups += s->lookups;
        out->misses += s->misses;
        out->entries += s->entries;
        out->bytes += s->bytes;
        unlock(s);
    }
}
