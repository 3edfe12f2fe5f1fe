#include "ps/state/block.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"

enum {
    HEADER_SIZE = 44,
    CHECKSUM_AT = 8,
    CHECKED_FROM = 16,    /* the checksum is over everything from here */
    DIRECTORY_ENTRY = 8,  /* shard u16, zero u16, first u32 */
    PUNCTUATION_SIZE = 9, /* stream u8, time i64 */
    EVENT_HEAD = 13,      /* size u32, index u32, version u32, stream u8 */
    STREAM_AT = 12,       /* in it */
    SHARES = 0x80,        /* bit of the stream: what follows the head is... */
    SHARE_HEAD = 6,       /* ...place u32, sharers u16 */
};

static const uint32_t MAGIC = 0x324b4c42; /* "BLK2" */

struct place { /* of an event under construction */
    uint32_t shard, offset;
};

static uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- reading ---- */

static uint32_t directory_shard(const struct block *b, uint32_t slot)
{
    return get_u16(b->directory_bytes.data + (size_t)slot * DIRECTORY_ENTRY);
}

static uint32_t directory_first(const struct block *b, uint32_t slot)
{
    if (slot == b->shards_named)
        return b->events;
    return get_u32(b->directory_bytes.data + (size_t)slot * DIRECTORY_ENTRY + 4);
}

static uint32_t event_offset(const struct block *b, uint32_t place)
{
    return get_u32(b->offset_bytes.data + (size_t)place * 4);
}

static struct bytes take_bytes(struct reader *r, size_t size) { return bytes_of(reader_take(r, size), size); }

/* Cut the bytes into their parts; false when they are not exactly as long as the counts say. */
static bool cut(struct reader *r, struct block *b, uint32_t events_size, uint32_t shared_size)
{
    const uint8_t *controls = r->at;
    for (uint32_t i = 0; i < b->controls && !r->bad; i++)
        reader_bytes(r);
    b->control_bytes = bytes_of(controls, (size_t)(r->at - controls));
    b->directory_bytes = take_bytes(r, (size_t)b->shards_named * DIRECTORY_ENTRY);
    b->offset_bytes = take_bytes(r, (size_t)b->events * 4);
    b->punctuation_bytes = take_bytes(r, (size_t)b->punctuations * PUNCTUATION_SIZE);
    b->event_bytes = take_bytes(r, events_size);
    b->shared_bytes = take_bytes(r, shared_size);
    return !r->bad && reader_left(r) == 0;
}

/* Shards rise and each has an event; together they have them all. */
static bool directory_holds(const struct block *b)
{
    if ((b->shards_named == 0) != (b->events == 0))
        return false;
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        const uint8_t *entry = b->directory_bytes.data + (size_t)slot * DIRECTORY_ENTRY;
        if (get_u16(entry + 2) != 0 || directory_first(b, slot) >= directory_first(b, slot + 1))
            return false;
        if (slot > 0 && directory_shard(b, slot) <= directory_shard(b, slot - 1))
            return false;
    }
    return b->shards_named == 0 || directory_first(b, 0) == 0;
}

/* The shared part at a place; data NULL: there is none. */
static struct bytes shared_at(const struct block *b, uint32_t place)
{
    struct reader r = reader_of(b->shared_bytes);
    return place && reader_take(&r, place - 1) ? reader_bytes(&r) : (struct bytes){0};
}

/* Bytes of the whole event at p, of which `left` follow; 0: they do not make one. */
static size_t whole_event(const struct block *b, const uint8_t *p, size_t left)
{
    size_t head = left < EVENT_HEAD ? 0 : p[STREAM_AT] & SHARES ? EVENT_HEAD + SHARE_HEAD : EVENT_HEAD;
    if (head == 0 || head > left || get_u32(p) > left - head)
        return 0;
    if (head > EVENT_HEAD && (!shared_at(b, get_u32(p + EVENT_HEAD)).data || !get_u16(p + EVENT_HEAD + 4)))
        return 0;
    return head + get_u32(p);
}

/* Each offset names a whole event, and the events named fill the bytes. */
static bool offsets_hold(const struct block *b)
{
    uint64_t filled = 0;
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        int64_t last_offset = -1, last_index = -1;
        for (uint32_t place = directory_first(b, slot); place < directory_first(b, slot + 1); place++) {
            uint32_t offset = event_offset(b, place);
            if (offset > b->event_bytes.size)
                return false;
            const uint8_t *p = b->event_bytes.data + offset;
            size_t size = whole_event(b, p, b->event_bytes.size - offset);
            if (size == 0 || get_u32(p + 4) >= b->events || offset <= last_offset || get_u32(p + 4) <= last_index)
                return false;
            filled += size;
            last_offset = offset;
            last_index = get_u32(p + 4);
        }
    }
    return filled == b->event_bytes.size;
}

enum tm_code block_parse(struct bytes stored, struct block *out, struct tm_error *err)
{
    struct reader r = reader_of(stored);
    struct block b = {0};
    uint32_t magic = reader_u32(&r);
    b.shards_named = reader_u32(&r);
    uint64_t checksum = reader_u64(&r);
    b.first = reader_u64(&r);
    b.controls = reader_u32(&r);
    b.events = reader_u32(&r);
    b.punctuations = reader_u32(&r);
    uint32_t events_size = reader_u32(&r), shared_size = reader_u32(&r);
    if (r.bad || magic != MAGIC)
        return tm_error_set(err, TM_DATA_LOSS, "%zu bytes are not a block", stored.size);
    if (hash_64(bytes_of(stored.data + CHECKED_FROM, stored.size - CHECKED_FROM)) != checksum)
        return tm_error_set(err, TM_DATA_LOSS, "block at position %" PRIu64 ": its checksum is wrong", b.first);
    uint64_t records = (uint64_t)b.controls + b.events + b.punctuations;
    if (records == 0 || records > UINT64_MAX - b.first || b.events > BLOCK_EVENTS_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "block at position %" PRIu64 ": %" PRIu64 " records", b.first, records);
    b.end = b.first + records;
    if (!cut(&r, &b, events_size, shared_size) || !directory_holds(&b) || !offsets_hold(&b))
        return tm_error_set(err, TM_DATA_LOSS, "block at position %" PRIu64 ": its parts do not fit together", b.first);
    *out = b;
    return TM_OK;
}

bool block_next_control(const struct block *b, struct reader *r, struct bytes *control)
{
    CHECK(r->end == b->control_bytes.data + b->control_bytes.size);
    if (reader_left(r) == 0)
        return false;
    *control = reader_bytes(r);
    CHECK(!r->bad);
    return true;
}

void block_shard(const struct block *b, uint32_t slot, uint32_t *shard, uint32_t *events, uint32_t *first_offset)
{
    CHECK(slot < b->shards_named);
    *shard = directory_shard(b, slot);
    *first_offset = directory_first(b, slot);
    *events = directory_first(b, slot + 1) - *first_offset;
}

void block_event_at(const struct block *b, uint32_t first_offset, uint32_t i, struct block_event *out)
{
    CHECK(first_offset < b->events && i < b->events - first_offset);
    const uint8_t *p = b->event_bytes.data + event_offset(b, first_offset + i), *wire = p + EVENT_HEAD;
    *out = (struct block_event){.position = b->first + b->controls + get_u32(p + 4),
                                .version = get_u32(p + 8),
                                .stream = p[STREAM_AT] & (uint8_t) ~(SHARES | BLOCK_ROBOT),
                                .robot = p[STREAM_AT] & BLOCK_ROBOT};
    if (p[STREAM_AT] & SHARES) {
        out->shared = shared_at(b, get_u32(wire));
        out->sharers = get_u16(wire + 4);
        wire += SHARE_HEAD;
    }
    out->wire = bytes_of(wire, get_u32(p));
}

void block_prefetch(const struct block *b, uint32_t first_offset, uint32_t i, uint32_t n)
{
    enum { LINE = 64, LINES = 4 /* most of the bytes of a common event */ };
    CHECK(n == 0 || (first_offset + i < b->events && n <= b->events - first_offset - i));
    for (uint32_t k = 0; k < n; k++) {
        const uint8_t *p = b->event_bytes.data + event_offset(b, first_offset + i + k);
        for (int line = 0; line < LINES; line++)
            __builtin_prefetch(p + line * LINE);
    }
}

bool block_next_punctuation(struct reader *r, uint8_t *stream, int64_t *time)
{
    if (reader_left(r) == 0)
        return false;
    *stream = reader_u8(r);
    *time = reader_i64(r);
    CHECK(!r->bad);
    return true;
}

/* ---- building ---- */

void block_builder_close(struct block_builder *b)
{
    buffer_close(&b->controls);
    buffer_close(&b->events);
    buffer_close(&b->punctuations);
    buffer_close(&b->shared);
    buffer_close(&b->places);
    *b = (struct block_builder){0};
}

bool block_builder_empty(const struct block_builder *b) { return b->n_controls + b->n_events + b->n_punctuations == 0; }

size_t block_builder_size(const struct block_builder *b)
{
    return b->controls.size + b->events.size + b->punctuations.size + b->shared.size + (size_t)b->n_events * 4;
}

void block_add_control(struct block_builder *b, struct bytes control)
{
    CHECK(b->n_events == 0 && control.size <= UINT32_MAX);
    buffer_put_bytes(&b->controls, control);
    b->n_controls++;
}

/* Head and room of an event; returns where its wire goes, behind `extra` bytes. */
static uint8_t *add_event(struct block_builder *b, uint32_t shard, uint8_t stream, uint32_t version, size_t extra,
                          size_t size)
{
    CHECK(b->n_events < BLOCK_EVENTS_MAX && shard <= UINT16_MAX);
    CHECK(size <= UINT32_MAX - EVENT_HEAD - SHARE_HEAD &&
          b->events.size <= UINT32_MAX - EVENT_HEAD - SHARE_HEAD - size);
    struct place place = {shard, (uint32_t)b->events.size};
    buffer_put(&b->places, &place, sizeof place);
    uint32_t head[3] = {(uint32_t)size, b->n_events, version};
    uint8_t *p = buffer_reserve(&b->events, EVENT_HEAD + extra + size);
    memcpy(p, head, sizeof head);
    p[STREAM_AT] = stream;
    b->events.size += EVENT_HEAD + extra + size;
    b->n_events++;
    return p + EVENT_HEAD;
}

void block_add_event(struct block_builder *b, uint32_t shard, uint8_t stream, uint32_t version, struct bytes wire)
{
    uint8_t *p = add_event(b, shard, stream, version, 0, wire.size);
    if (wire.size)
        memcpy(p, wire.data, wire.size);
}

uint32_t block_add_shared(struct block_builder *b, struct bytes parts)
{
    CHECK(parts.size < UINT32_MAX && b->shared.size < UINT32_MAX - parts.size);
    uint32_t base = (uint32_t)b->shared.size;
    buffer_put(&b->shared, parts.data, parts.size);
    return base;
}

void block_add_item(struct block_builder *b, uint32_t shard, uint8_t stream, uint32_t version, struct bytes wire,
                    uint32_t place, uint16_t sharers)
{
    CHECK(place > 0 && place <= b->shared.size && sharers > 0);
    uint8_t *p = add_event(b, shard, stream | SHARES, version, SHARE_HEAD, wire.size);
    memcpy(p, &place, sizeof place);
    memcpy(p + sizeof place, &sharers, sizeof sharers);
    if (wire.size)
        memcpy(p + SHARE_HEAD, wire.data, wire.size);
}

void block_add_punctuation(struct block_builder *b, uint8_t stream, int64_t time)
{
    buffer_put_u8(&b->punctuations, stream);
    buffer_put_i64(&b->punctuations, time);
    b->n_punctuations++;
}

/* How many events each shard has: an array of *shards counts, the caller's to free. */
static uint32_t *count_by_shard(const struct place *places, uint32_t n, uint32_t *shards)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < n; i++)
        last = places[i].shard > last ? places[i].shard : last;
    uint32_t *counts = mem_new((size_t)last + 1, sizeof *counts);
    for (uint32_t i = 0; i < n; i++)
        counts[places[i].shard]++;
    *shards = last + 1;
    return counts;
}

/* Append directory and offsets: a counting sort by shard that keeps the order within a shard. Returns the shards
 * named. */
static uint32_t put_directory(const struct place *places, uint32_t n, struct buffer *out)
{
    uint32_t shards, first = 0, named = 0;
    uint32_t *next = count_by_shard(places, n, &shards); /* counts, then where the shard's next offset goes */
    for (uint32_t shard = 0; shard < shards; shard++) {
        uint32_t count = next[shard];
        if (count == 0)
            continue;
        buffer_put_u16(out, (uint16_t)shard);
        buffer_put_u16(out, 0);
        buffer_put_u32(out, first);
        next[shard] = first;
        first += count;
        named++;
    }
    uint8_t *offsets = buffer_reserve(out, (size_t)n * 4);
    for (uint32_t i = 0; i < n; i++)
        memcpy(offsets + (size_t)next[places[i].shard]++ * 4, &places[i].offset, 4);
    out->size += (size_t)n * 4;
    free(next);
    return named;
}

static void put_header(const struct block_builder *b, uint64_t first, struct buffer *out)
{
    buffer_put_u32(out, MAGIC);
    buffer_put_u32(out, 0); /* shards named and checksum: when they are known */
    buffer_put_u64(out, 0);
    buffer_put_u64(out, first);
    buffer_put_u32(out, b->n_controls);
    buffer_put_u32(out, b->n_events);
    buffer_put_u32(out, b->n_punctuations);
    buffer_put_u32(out, (uint32_t)b->events.size);
    buffer_put_u32(out, (uint32_t)b->shared.size);
}

uint64_t block_seal(struct block_builder *b, uint64_t first, struct buffer *out)
{
    CHECK(!block_builder_empty(b));
    uint64_t end = first + b->n_controls + b->n_events + b->n_punctuations;
    size_t start = out->size;
    buffer_reserve(out, HEADER_SIZE + block_builder_size(b) + (size_t)b->n_events * DIRECTORY_ENTRY);
    put_header(b, first, out);
    buffer_put(out, b->controls.data, b->controls.size);
    const struct place *places = (const void *)b->places.data;
    uint32_t named = b->n_events ? put_directory(places, b->n_events, out) : 0;
    buffer_put(out, b->punctuations.data, b->punctuations.size);
    buffer_put(out, b->events.data, b->events.size);
    buffer_put(out, b->shared.data, b->shared.size);
    uint64_t checksum = hash_64(bytes_of(out->data + start + CHECKED_FROM, out->size - start - CHECKED_FROM));
    memcpy(out->data + start + 4, &named, sizeof named);
    memcpy(out->data + start + CHECKSUM_AT, &checksum, sizeof checksum);
    b->controls.size = b->events.size = b->punctuations.size = b->shared.size = b->places.size = 0;
    b->n_controls = b->n_events = b->n_punctuations = 0;
    return end;
}
