#include "ps/state/dead_letters.h"

#include <stdlib.h>

enum { COUNTS_KEY = 2 };

static_assert(DEAD_LETTERS_KEPT <= UINT8_MAX + 1, "a slot is one byte of the key");
static_assert(REASON_COUNT <= UINT8_MAX && JOINER_STREAMS_MAX <= UINT8_MAX, "so are stream and reason");

/* What waits for the next commit. */
struct slot {
    uint64_t position;
    int64_t time;
    uint32_t size, kept; /* bytes of the event, and how many of them are here */
    uint8_t event[DEAD_LETTER_EVENT_MAX];
};

/* All of one stream and reason. */
struct box {
    uint64_t seen, committed; /* ever; as of the last commit */
    struct slot *slots;       /* DEAD_LETTERS_KEPT of them; NULL: none waits */
};

struct dead_letters {
    uint32_t shard;
    struct box box[JOINER_STREAMS_MAX][REASON_COUNT];
};

struct dead_letters *dead_letters_open(uint32_t shard)
{
    struct dead_letters *d = mem_new(1, sizeof *d);
    d->shard = shard;
    return d;
}

void dead_letters_close(struct dead_letters *d)
{
    if (!d)
        return;
    for (int stream = 0; stream < JOINER_STREAMS_MAX; stream++)
        for (int reason = 0; reason < REASON_COUNT; reason++)
            free(d->box[stream][reason].slots);
    free(d);
}

static void keep(struct slot *s, struct bytes part)
{
    size_t room = DEAD_LETTER_EVENT_MAX - s->kept, size = part.size < room ? part.size : room;
    if (size)
        memcpy(s->event + s->kept, part.data, size);
    s->kept += (uint32_t)size;
}

void dead_letters_add(struct dead_letters *d, const struct joiner_record *r, enum joiner_reason reason)
{
    CHECK(r->stream < JOINER_STREAMS_MAX && reason < REASON_COUNT);
    struct box *b = &d->box[r->stream][reason];
    if (!b->slots)
        b->slots = mem_grow(NULL, DEAD_LETTERS_KEPT, sizeof *b->slots); /* no page of it is touched before it is used */
    struct slot *s = &b->slots[b->seen++ % DEAD_LETTERS_KEPT];
    s->position = r->position;
    s->time = r->time;
    s->size = (uint32_t)(r->body.size + r->shared.size);
    s->kept = 0;
    keep(s, r->body); /* of an item its own part first: it names the document */
    keep(s, r->shared);
}

/* ---- rows ---- */

size_t dead_letter_prefix(uint8_t key[static DEAD_LETTER_KEY], uint32_t shard, int stream, int reason)
{
    key_put_u16(key, (uint16_t)shard);
    if (stream < 0)
        return 2;
    key[2] = (uint8_t)stream;
    if (reason < 0)
        return 3;
    key[3] = (uint8_t)reason;
    return 4;
}

static void put_letter(const struct slot *s, struct buffer *row)
{
    row->size = 0;
    buffer_put_u64(row, s->position);
    buffer_put_i64(row, s->time);
    buffer_put_u32(row, s->size);
    buffer_put(row, s->event, s->kept);
}

static void commit_box(struct dead_letters *d, int stream, int reason, struct store_batch *out)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    uint8_t key[DEAD_LETTER_KEY];
    struct box *b = &d->box[stream][reason];
    size_t prefix = dead_letter_prefix(key, d->shard, stream, reason);
    uint64_t oldest = b->seen - dead_letters_kept(b->seen);
    for (uint64_t n = b->committed > oldest ? b->committed : oldest; n < b->seen; n++) {
        key[prefix] = (uint8_t)(n % DEAD_LETTERS_KEPT);
        put_letter(&b->slots[n % DEAD_LETTERS_KEPT], &row);
        store_batch_put(out, STORE_DEAD_LETTER, bytes_of(key, prefix + 1), buffer_view(&row));
    }
    b->committed = b->seen;
    free(b->slots);
    b->slots = NULL;
}

void dead_letters_commit(struct dead_letters *d, struct store_batch *out)
{
    CLEANUP(buffer_close) struct buffer counts = {0};
    uint8_t key[DEAD_LETTER_KEY];
    bool changed = false;
    for (int stream = 0; stream < JOINER_STREAMS_MAX; stream++)
        for (int reason = 0; reason < REASON_COUNT; reason++) {
            struct box *b = &d->box[stream][reason];
            if (b->slots) {
                commit_box(d, stream, reason, out);
                changed = true;
            }
            if (b->seen) {
                buffer_put_u8(&counts, (uint8_t)stream);
                buffer_put_u8(&counts, (uint8_t)reason);
                buffer_put_u64(&counts, b->seen);
            }
        }
    if (changed)
        store_batch_put(out, STORE_DEAD_LETTER, bytes_of(key, dead_letter_prefix(key, d->shard, -1, -1)),
                        buffer_view(&counts));
}

static bool is_kind(uint8_t stream, uint8_t reason)
{
    return stream < JOINER_STREAMS_MAX && reason > REASON_NONE && reason < REASON_COUNT && reason != REASON_REJECTED;
}

bool dead_letter_count_next(struct reader *r, struct dead_letter_count *out)
{
    if (r->bad || reader_left(r) == 0)
        return false;
    out->stream = reader_u8(r);
    uint8_t reason = reader_u8(r);
    out->reason = (enum joiner_reason)reason;
    out->seen = reader_u64(r);
    r->bad = r->bad || !is_kind(out->stream, reason);
    return !r->bad;
}

enum tm_code dead_letter_decode(struct bytes key, struct bytes row, struct dead_letter *out, struct tm_error *err)
{
    struct reader r = reader_of(row);
    if (key.size != DEAD_LETTER_KEY || !is_kind(key.data[2], key.data[3]))
        return tm_error_set(err, TM_DATA_LOSS, "a dead letter's row has a key of %zu bytes that makes no sense",
                            key.size);
    *out = (struct dead_letter){.stream = key.data[2], .reason = (enum joiner_reason)key.data[3]};
    out->position = reader_u64(&r);
    out->time = reader_i64(&r);
    out->size = reader_u32(&r);
    if (r.bad || reader_left(&r) > DEAD_LETTER_EVENT_MAX || reader_left(&r) > out->size)
        return tm_error_set(err, TM_DATA_LOSS, "a dead letter's row of %zu bytes is damaged", row.size);
    out->event = bytes_of(r.at, reader_left(&r));
    return TM_OK;
}

/* The row of numbers is the first of the shard's. */
static enum tm_code load_counts(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    struct dead_letters *d = context;
    struct reader r = reader_of(row);
    struct dead_letter_count c;
    if (key.size != COUNTS_KEY)
        return tm_error_set(err, TM_DATA_LOSS, "there are dead letters, but their numbers are missing");
    while (dead_letter_count_next(&r, &c))
        d->box[c.stream][c.reason].seen = d->box[c.stream][c.reason].committed = c.seen;
    return r.bad ? tm_error_set(err, TM_DATA_LOSS, "the numbers of dead letters are damaged") : STORE_ENOUGH;
}

enum tm_code dead_letters_load(struct dead_letters *d, const struct store *store, struct tm_error *err)
{
    uint8_t key[DEAD_LETTER_KEY];
    struct bytes prefix = bytes_of(key, dead_letter_prefix(key, d->shard, -1, -1));
    return store->scan(store->self, STORE_DEAD_LETTER, prefix, prefix, load_counts, d, err);
}
