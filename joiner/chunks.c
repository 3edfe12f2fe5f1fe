#include "joiner/chunks.h"

#include <stdlib.h>

struct record_head {
    uint32_t size, version;
    uint64_t position;
    int64_t time;
    float weight;
    uint8_t stream, kind, withdraw, lot; /* enum lot */
    struct hash128 key;
    union {
        struct hash128 doc;
        struct {
            double value;
            uint64_t event;
        } action; /* of what has no body */
    };
};
static_assert(sizeof(struct record_head) == CHUNK_HEAD_BYTES, "the head of a stored record has no hidden padding");

/* A rate lies behind the head, and then the place of what is shared. */
enum lot { LOT_RATE = 1, LOT_LEFT_OUT = 2, LOT_SHARED = 4 };

struct share {
    uint32_t offset, sharers;
};

enum { RING_MIN = 16 };

static const struct chunk nothing_yet = {.newest = INT64_MIN, .attributed = INT64_MIN};

void chunks_open(struct chunks *c, uint64_t first, int64_t span)
{
    *c = (struct chunks){.capacity = RING_MIN, .live = first, .open = first};
    c->ring = mem_new(c->capacity, sizeof *c->ring);
    *chunks_at(c, first) = nothing_yet;
    held_rows_open(&c->runs, first, span);
    held_rows_open(&c->attributed, first, span);
}

static void drop_bytes(struct chunks *c, struct chunk *k)
{
    c->used -= k->bytes.size;
    if (c->spares < CHUNK_SPARES && k->bytes.capacity) {
        k->bytes.size = 0;
        c->spare[c->spares++] = k->bytes;
        k->bytes = (struct buffer){0};
    }
    c->memory -= k->bytes.capacity;
    buffer_close(&k->bytes);
}

void chunks_close(struct chunks *c)
{
    for (uint32_t i = 0; i < c->capacity; i++)
        buffer_close(&c->ring[i].bytes);
    for (uint32_t i = 0; i < c->spares; i++)
        buffer_close(&c->spare[i]);
    free(c->ring);
    held_rows_close(&c->runs);
    held_rows_close(&c->attributed);
    *c = (struct chunks){0};
}

struct chunk *chunks_at(struct chunks *c, uint64_t commit)
{
    CHECK(commit >= c->live && commit <= c->open);
    return &c->ring[commit & (c->capacity - 1)];
}

static size_t rate_size(const struct record_head *head) { return head->lot & LOT_RATE ? sizeof(float) : 0; }

static size_t head_size(const struct record_head *head)
{
    return sizeof *head + rate_size(head) + (head->lot & LOT_SHARED ? sizeof(struct share) : 0);
}

/* The head of a record at p, and the lot behind it; p has room for both. */
static struct sampling_lot lot_of(const struct record_head *head, const uint8_t *p)
{
    struct sampling_lot lot = {.rate = 1, .left_out = (head->lot & LOT_LEFT_OUT) != 0};
    if (head->lot & LOT_RATE)
        memcpy(&lot.rate, p + sizeof *head, sizeof lot.rate);
    return lot;
}

/* What the record at p, of this chunk, shares; data NULL: it names nothing that could be it. */
static struct bytes shared_of(struct bytes chunk, const struct record_head *head, const uint8_t *p, uint32_t *sharers)
{
    struct share share;
    struct record_head shared;
    memcpy(&share, p + sizeof *head + rate_size(head), sizeof share);
    struct reader r = {chunk.data, p, false}; /* it lies in front */
    const uint8_t *at = reader_take(&r, share.offset) ? reader_take(&r, sizeof shared) : NULL;
    if (!at)
        return (struct bytes){0};
    memcpy(&shared, at, sizeof shared);
    *sharers = share.sharers;
    const uint8_t *content = reader_take(&r, shared.size);
    return shared.kind == CHUNK_SHARED && share.sharers ? bytes_of(content, content ? shared.size : 0)
                                                        : (struct bytes){0};
}

static uint32_t put_record(struct chunks *c, struct chunk *k, const struct record_head *head, const float *rate,
                           const struct share *share, struct bytes body)
{
    size_t before = k->bytes.capacity, offset = k->bytes.size, size = head_size(head) + body.size;
    CHECK(offset + size < UINT32_MAX);
    uint8_t *p = buffer_reserve(&k->bytes, size);
    memcpy(p, head, sizeof *head);
    if (rate)
        memcpy(p + sizeof *head, rate, sizeof *rate);
    if (share)
        memcpy(p + sizeof *head + rate_size(head), share, sizeof *share);
    if (body.size)
        memcpy(p + head_size(head), body.data, body.size);
    k->bytes.size += size;
    c->memory += k->bytes.capacity - before;
    c->used += size;
    c->stored += size;
    return (uint32_t)offset;
}

/* Records that share come one behind the other, so only the newest shared part is looked at. */
static struct share share_of(struct chunks *c, struct chunk *k, const struct joiner_record *r)
{
    struct share share = {c->shared, r->sharers};
    struct record_head head = {.kind = CHUNK_SHARED, .size = (uint32_t)r->shared.size};
    if (c->has_shared) {
        const uint8_t *p = k->bytes.data + share.offset;
        memcpy(&head, p, sizeof head);
        if (bytes_equal(r->shared, bytes_of(p + sizeof head, head.size)))
            return share;
        head.size = (uint32_t)r->shared.size;
    }
    share.offset = c->shared = put_record(c, k, &head, NULL, NULL, r->shared);
    c->has_shared = true;
    return share;
}

uint32_t chunks_append(struct chunks *c, const struct joiner_record *r)
{
    struct chunk *k = chunks_at(c, c->open);
    bool shares = r->shared.size > 0, rated = r->lot.rate < 1;
    struct record_head head = {
        .size = (uint32_t)r->body.size,
        .version = r->version,
        .position = r->position,
        .time = r->time,
        .weight = (float)r->weight,
        .stream = r->stream,
        .kind = CHUNK_RECORD,
        .withdraw = r->withdraw,
        .lot = (uint8_t)((rated ? LOT_RATE : 0) | (r->lot.left_out ? LOT_LEFT_OUT : 0) | (shares ? LOT_SHARED : 0)),
        .key = r->key};
    if (r->body.size) {
        head.doc = r->doc;
    } else {
        head.action.value = r->value;
        head.action.event = r->event;
    }
    struct share share = shares ? share_of(c, k, r) : (struct share){0};
    uint32_t offset = put_record(c, k, &head, rated ? &r->lot.rate : NULL, shares ? &share : NULL, r->body);
    k->waiting++;
    k->bodies += r->body.size > 0;
    return offset;
}

void chunks_append_removed(struct chunks *c, uint64_t position, int64_t time, struct hash128 key, uint8_t stream)
{
    struct buffer *b = &chunks_at(c, c->open)->bytes;
    const struct record_head head = {
        .position = position, .time = time, .stream = stream, .kind = CHUNK_REMOVED, .key = key};
    size_t before = b->capacity;
    buffer_put(b, &head, sizeof head);
    c->memory += b->capacity - before;
    c->used += sizeof head;
    c->stored += sizeof head;
}

bool chunk_next(struct bytes chunk, struct reader *r, struct joiner_record *record, enum chunk_record_kind *kind)
{
    struct record_head head;
    const uint8_t *start, *p;
    if (reader_left(r) == 0 || !(start = reader_take(r, sizeof head)))
        return false;
    memcpy(&head, start, sizeof head);
    if (!reader_take(r, head_size(&head) - sizeof head) || !(p = reader_take(r, head.size)) ||
        head.kind > CHUNK_SHARED || head.stream >= JOINER_STREAMS_MAX) {
        r->bad = true;
        return false;
    }
    struct sampling_lot lot = lot_of(&head, start);
    uint32_t sharers = 0;
    struct bytes shared = head.lot & LOT_SHARED ? shared_of(chunk, &head, start, &sharers) : (struct bytes){0};
    if (!(lot.rate > 0 && lot.rate <= 1) || (head.lot & LOT_SHARED && !shared.data)) {
        r->bad = true;
        return false;
    }
    *kind = (enum chunk_record_kind)head.kind;
    *record = (struct joiner_record){.position = head.position,
                                     .time = head.time,
                                     .key = head.key,
                                     .version = head.version,
                                     .stream = head.stream,
                                     .withdraw = head.withdraw,
                                     .weight = (double)head.weight,
                                     .lot = lot,
                                     .body = bytes_of(p, head.size),
                                     .shared = shared,
                                     .sharers = sharers};
    if (head.size) {
        record->doc = head.doc;
    } else {
        record->value = head.action.value;
        record->event = head.action.event;
    }
    return true;
}

struct chunk_record chunks_record(struct chunks *c, uint64_t commit, uint32_t offset)
{
    struct bytes chunk = buffer_view(&chunks_at(c, commit)->bytes);
    struct record_head head;
    const uint8_t *p = chunk.data + offset;
    CHECK(offset + sizeof head <= chunk.size);
    memcpy(&head, p, sizeof head);
    CHECK(offset + head_size(&head) + head.size <= chunk.size);
    struct chunk_record out = {.body = bytes_of(p + head_size(&head), head.size),
                               .stream = head.stream,
                               .weight = (double)head.weight,
                               .lot = lot_of(&head, p)};
    if (head.lot & LOT_SHARED) {
        out.shared = shared_of(chunk, &head, p, &out.sharers);
        CHECK(out.shared.data);
    }
    return out;
}

void chunks_release(struct chunks *c, uint64_t commit, bool body)
{
    struct chunk *k = chunks_at(c, commit);
    CHECK(k->waiting > 0);
    k->waiting--;
    if (body) {
        CHECK(k->bodies > 0);
        k->bodies--;
        if (k->bodies == 0 && commit != c->open)
            drop_bytes(c, k);
    }
}

static void grow(struct chunks *c)
{
    struct chunk *ring = mem_new((size_t)c->capacity * 2, sizeof *ring);
    for (uint64_t i = c->live; i <= c->open; i++)
        ring[i & (c->capacity * 2 - 1)] = c->ring[i & (c->capacity - 1)];
    free(c->ring);
    c->ring = ring;
    c->capacity *= 2;
}

struct bytes chunks_seal(struct chunks *c)
{
    struct chunk *k = chunks_at(c, c->open);
    struct bytes sealed = buffer_view(&k->bytes);
    struct buffer next = c->spares ? c->spare[--c->spares] : (struct buffer){0};
    if (k->bodies == 0)
        drop_bytes(c, k); /* there is room among the spares: one was just taken, or none was left */
    if (c->open + 1 - c->live == c->capacity)
        grow(c);
    c->open++;
    c->has_shared = false;
    struct chunk *opened = chunks_at(c, c->open);
    *opened = nothing_yet;
    opened->bytes = next;
    return sealed;
}

/* Nothing in the oldest one waits: from here on only its number counts. */
static void retire(struct chunks *c)
{
    const struct chunk *k = chunks_at(c, c->live);
    c->live++;
    held_rows_add(&c->runs, c->live, k->newest);
    held_rows_add(&c->attributed, c->live, k->attributed);
    c->regrouped = true;
}

uint64_t chunks_waiting_from(struct chunks *c)
{
    while (c->live < c->open && chunks_at(c, c->live)->waiting == 0)
        retire(c);
    return c->live;
}

void chunks_trim(struct chunks *c, int64_t expiry, int64_t actions)
{
    bool runs = held_rows_trim(&c->runs, expiry), attributed = held_rows_trim(&c->attributed, actions);
    c->regrouped |= runs || attributed;
}

uint64_t chunks_first(const struct chunks *c)
{
    return c->runs.first < c->attributed.first ? c->runs.first : c->attributed.first;
}

void chunks_encode_held(const struct chunks *c, struct buffer *out)
{
    held_rows_encode(&c->runs, out);
    held_rows_encode(&c->attributed, out);
}

void chunks_decode_held(struct chunks *c, struct reader *r)
{
    CHECK(c->live == c->open);
    c->live = c->open = held_rows_decode(&c->runs, r);
    r->bad |= held_rows_decode(&c->attributed, r) != c->live;
    *chunks_at(c, c->open) = nothing_yet;
}

size_t chunks_memory(const struct chunks *c)
{
    return c->memory + c->capacity * sizeof *c->ring +
           (c->runs.capacity + c->attributed.capacity) * sizeof *c->runs.group;
}
size_t chunks_unsealed(const struct chunks *c) { return c->ring[c->open & (c->capacity - 1)].bytes.size; }
