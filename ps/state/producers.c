#include "ps/state/producers.h"

#include <stdlib.h>

#include "base/hash.h"

enum { ROW_VERSION = 1, BUCKETS_MAX = 1 << 20, REJECT_HEAD = 12 };

/* ---- keys ---- */

struct producer_key producer_key_of(const struct producer_id *id)
{
    struct producer_key key = {0};
    const char *parts[] = {id->client, id->instance, id->lane};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        size_t size = strnlen(parts[i], SEQUENCER_ID_MAX);
        if (i > 0)
            key.data[key.size++] = 0;
        memcpy(key.data + key.size, parts[i], size);
        key.size = (uint8_t)(key.size + size);
    }
    return key;
}

bool producer_key_parse(struct bytes stored, struct producer_key *out)
{
    size_t part = 0, ends = 0;
    if (stored.size > PRODUCER_KEY_MAX)
        return false;
    *out = (struct producer_key){.size = (uint8_t)stored.size};
    for (size_t i = 0; i < stored.size; i++) {
        out->data[i] = stored.data[i];
        part = stored.data[i] ? part + 1 : 0;
        ends += stored.data[i] == 0;
        if (part > SEQUENCER_ID_MAX || ends > 2)
            return false;
    }
    return ends == 2;
}

static size_t client_size(const struct producer_key *key) { return strlen((const char *)key->data) + 1; }

static size_t instance_size(const struct producer_key *key) /* with the client before it */
{
    size_t client = client_size(key);
    return client + strlen((const char *)key->data + client) + 1;
}

static bool same_start(const struct producer_key *a, const struct producer_key *b, size_t size)
{
    return b->size >= size && memcmp(a->data, b->data, size) == 0;
}

bool producer_same_client(const struct producer_key *a, const struct producer_key *b)
{
    return same_start(a, b, client_size(a));
}

bool producer_same_instance(const struct producer_key *a, const struct producer_key *b)
{
    return same_start(a, b, instance_size(a));
}

struct producer_id producer_id_of(const struct producer_key *key)
{
    struct producer_id id = {0};
    size_t client = client_size(key), instance = instance_size(key);
    memcpy(id.client, key->data, client);
    memcpy(id.instance, key->data + client, instance - client);
    memcpy(id.lane, key->data + instance, key->size - instance);
    return id;
}

/* ---- the table ---- */

void producers_open(struct producers *t, uint32_t streams, uint32_t expected)
{
    uint32_t buckets = 16;
    while (buckets < expected && buckets < BUCKETS_MAX)
        buckets *= 2;
    *t = (struct producers){.streams = streams, .mask = buckets - 1};
    t->buckets = mem_new(buckets, sizeof(struct producer *));
}

static void producer_free(const struct producers *t, struct producer *p)
{
    producer_stop_measuring(t, p);
    buffer_close(&p->rejects);
    free(p);
}

void producers_close(struct producers *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        producer_free(t, t->list[i]);
    free(t->list);
    free(t->buckets);
    *t = (struct producers){0};
}

static struct producer **bucket_of(const struct producers *t, const struct producer_key *key)
{
    return &t->buckets[hash_64(bytes_of(key->data, key->size)) & t->mask];
}

struct producer *producers_find(const struct producers *t, const struct producer_key *key)
{
    struct producer *p = *bucket_of(t, key);
    while (p && !bytes_equal(bytes_of(p->key.data, p->key.size), bytes_of(key->data, key->size)))
        p = p->chain;
    return p;
}

struct producer *producers_add(struct producers *t, const struct producer_key *key)
{
    struct producer *p = mem_new(1, sizeof *p + t->streams * sizeof p->progress[0]);
    struct producer **bucket = bucket_of(t, key);
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 16;
        t->list = mem_grow(t->list, t->capacity, sizeof(struct producer *));
    }
    p->key = *key;
    p->newest = WATERMARK_NONE;
    for (uint32_t stream = 0; stream < t->streams; stream++)
        p->progress[stream].value = WATERMARK_NONE;
    p->chain = *bucket;
    *bucket = p;
    p->slot = t->count;
    t->list[t->count++] = p;
    return p;
}

void producers_remove(struct producers *t, struct producer *p)
{
    struct producer **link = bucket_of(t, &p->key);
    while (*link != p)
        link = &(*link)->chain;
    *link = p->chain;
    struct producer *last = t->list[--t->count];
    t->list[p->slot] = last;
    last->slot = p->slot;
    producer_free(t, p);
}

/* ---- rows ---- */

void producer_encode(const struct producers *t, const struct producer *p, struct buffer *row)
{
    buffer_put_u8(row, ROW_VERSION);
    buffer_put_u64(row, p->sequence);
    buffer_put_u64(row, p->position);
    buffer_put_i64(row, p->seen_ms);
    buffer_put_i64(row, p->newest);
    buffer_put_u8(row, p->live);
    buffer_put_u32(row, p->declared);
    for (uint32_t stream = 0; stream < t->streams; stream++)
        if (p->declared & 1u << stream) {
            buffer_put_i64(row, p->progress[stream].value);
            buffer_put_u8(row, p->progress[stream].asserted);
        }
    buffer_put_bytes(row, buffer_view(&p->rejects));
}

/* Rejects are walked without checks later. */
static bool rejects_hold(struct bytes rejects)
{
    struct reader r = reader_of(rejects);
    while (reader_left(&r) > 0 && !r.bad) {
        reader_u64(&r);
        reader_bytes(&r);
    }
    return !r.bad;
}

enum tm_code producer_decode(const struct producers *t, struct bytes row, struct producer *p, struct tm_error *err)
{
    struct reader r = reader_of(row);
    uint8_t version = reader_u8(&r);
    if (version != ROW_VERSION)
        return tm_error_set(err, TM_DATA_LOSS, "row of format %u; this program reads %u", version, ROW_VERSION);
    p->sequence = reader_u64(&r);
    p->position = reader_u64(&r);
    p->seen_ms = reader_i64(&r);
    p->newest = reader_i64(&r);
    uint8_t live = reader_u8(&r);
    p->live = live == 1;
    p->declared = reader_u32(&r);
    if (!r.bad && (uint64_t)p->declared >> t->streams != 0)
        return tm_error_set(err, TM_FAILED_PRECONDITION, "it sends streams 0x%x; %u streams are configured",
                            p->declared, t->streams);
    bool sane = live <= 1;
    for (uint32_t stream = 0; stream < t->streams; stream++)
        if (p->declared & 1u << stream) {
            p->progress[stream].value = reader_i64(&r);
            uint8_t asserted = reader_u8(&r);
            p->progress[stream].asserted = asserted == 1;
            sane = sane && asserted <= 1;
        }
    struct bytes rejects = reader_bytes(&r);
    if (r.bad || reader_left(&r) > 0 || !sane || !rejects_hold(rejects))
        return tm_error_set(err, TM_DATA_LOSS, "its row of %zu bytes is damaged", row.size);
    buffer_put(&p->rejects, rejects.data, rejects.size);
    return TM_OK;
}

void producer_stop_measuring(const struct producers *t, struct producer *p)
{
    for (uint32_t stream = 0; stream < t->streams; stream++) {
        free(p->progress[stream].measured);
        p->progress[stream].measured = NULL;
    }
}

/* ---- rejects ---- */

void producer_keep_rejects(struct producer *p, uint64_t sequence, struct bytes rejects)
{
    bool keep = rejects.size > 0 && rejects.size <= PRODUCER_REJECTS_BYTES - REJECT_HEAD;
    size_t more = keep ? REJECT_HEAD + rejects.size : 0;
    struct reader r = reader_of(buffer_view(&p->rejects));
    size_t old = 0; /* bytes to drop */
    while (reader_left(&r) > 0) {
        bool recent = reader_u64(&r) + SEQUENCER_REJECTS_KEPT > sequence;
        if (recent && p->rejects.size - old + more <= PRODUCER_REJECTS_BYTES)
            break;
        reader_bytes(&r);
        old = p->rejects.size - reader_left(&r);
    }
    if (old > 0) {
        p->rejects.size -= old;
        memmove(p->rejects.data, p->rejects.data + old, p->rejects.size);
    }
    if (keep) {
        buffer_put_u64(&p->rejects, sequence);
        buffer_put_bytes(&p->rejects, rejects);
    }
}

void producer_old_rejects(const struct producer *p, uint64_t sequence, struct buffer *out)
{
    struct reader r = reader_of(buffer_view(&p->rejects));
    while (reader_left(&r) > 0) {
        bool found = reader_u64(&r) == sequence;
        struct bytes rejects = reader_bytes(&r);
        if (found)
            buffer_put(out, rejects.data, rejects.size);
    }
}
