#include "ps/engine/dead_letters.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ps/engine/parts.h"
#include "ps/state/dead_letters.h"
#include "ps/storage/log_blocks.h"
#include "ps/storage/rejects.h"

static const char *stream_name(const struct engine *e, uint32_t stream)
{
    const struct catalog *schema = engine_schema(e);
    return stream < schema->join.streams ? schema->stream_name[stream] : NULL;
}

static struct engine_dead_letter of_shard(const struct engine *e, uint32_t shard, const struct dead_letter *l)
{
    return (struct engine_dead_letter){.reason = l->reason,
                                       .stream = stream_name(e, l->stream),
                                       .shard = shard,
                                       .position = l->position,
                                       .time = l->time,
                                       .size = l->size,
                                       .event = l->event};
}

static struct engine_dead_letter of_door(const struct engine *e, const struct rejected *r)
{
    return (struct engine_dead_letter){.reason = REASON_REJECTED,
                                       .stream = stream_name(e, r->stream),
                                       .position = r->position,
                                       .time = r->time,
                                       .size = r->size,
                                       .event = r->event,
                                       .rejected = *r};
}

/* ---- order ---- */

struct dead_letter_place engine_dead_letter_place(const struct engine_dead_letter *l)
{
    return (struct dead_letter_place){l->position, l->reason == REASON_REJECTED ? l->rejected.number + 1 : 0};
}

static bool is_older(struct dead_letter_place a, struct dead_letter_place b)
{
    return a.position != b.position ? a.position < b.position : a.tie < b.tie;
}

/* ---- list ---- */

/* The newest letters found so far, newest first, as their rows. */
struct found {
    struct dead_letter_place place;
    int shard; /* -1: the door's */
    struct buffer key, row;
};

struct list {
    const struct engine *engine;
    const struct dead_letter_query *query;
    int shard;
    struct found *found; /* query->limit + 1 of them: the last one shows that there are more */
    uint32_t count;
};

static bool is_wanted(const struct list *l, const struct engine_dead_letter *letter)
{
    const struct dead_letter_query *q = l->query;
    bool door = letter->reason == REASON_REJECTED;
    int64_t time = letter->time || !door ? letter->time : letter->rejected.refused_at;
    if (q->stream >= 0 && letter->stream != stream_name(l->engine, (uint32_t)q->stream)) /* the schema's own pointers */
        return false;
    if (q->reason != REASON_NONE && letter->reason != q->reason)
        return false;
    return time >= q->since && time <= q->until && is_older(engine_dead_letter_place(letter), q->before);
}

/* Let a row in where it belongs; the oldest falls out. */
static void insert(struct list *l, struct dead_letter_place place, struct bytes key, struct bytes row)
{
    uint32_t at = l->count;
    while (at > 0 && is_older(l->found[at - 1].place, place))
        at--;
    if (at > l->query->limit)
        return;
    uint32_t last = l->count <= l->query->limit ? l->count++ : l->query->limit;
    struct found f = l->found[last]; /* its buffers are used again */
    memmove(&l->found[at + 1], &l->found[at], (last - at) * sizeof f);
    f.place = place;
    f.shard = l->shard;
    f.key.size = f.row.size = 0;
    buffer_put(&f.key, key.data, key.size);
    buffer_put(&f.row, row.data, row.size);
    l->found[at] = f;
}

static enum tm_code read_letter(const struct engine *e, int shard, struct bytes key, struct bytes row,
                                struct engine_dead_letter *out, struct tm_error *err)
{
    struct dead_letter letter;
    struct rejected rejected;
    enum tm_code rc = shard < 0 ? rejected_decode(row, &rejected, err) : dead_letter_decode(key, row, &letter, err);
    if (rc == TM_OK)
        *out = shard < 0 ? of_door(e, &rejected) : of_shard(e, (uint32_t)shard, &letter);
    return rc;
}

static enum tm_code visit_row(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    struct list *l = context;
    struct engine_dead_letter letter;
    if (l->shard >= 0 && key.size != DEAD_LETTER_KEY) /* the row of numbers */
        return TM_OK;
    enum tm_code rc = read_letter(l->engine, l->shard, key, row, &letter, err);
    if (rc != TM_OK)
        return rc;
    if (is_wanted(l, &letter))
        insert(l, engine_dead_letter_place(&letter), key, row);
    return TM_OK;
}

static enum tm_code list_shards(struct list *l, struct engine *e, struct tm_error *err)
{
    struct store store = state_db_store(e->dir.state);
    int reason = l->query->reason ? (int)l->query->reason : -1;
    enum tm_code rc = TM_OK;
    for (uint32_t shard = 0; rc == TM_OK && shard < e->options.shards; shard++) {
        uint8_t key[DEAD_LETTER_KEY];
        struct bytes prefix = bytes_of(key, dead_letter_prefix(key, shard, l->query->stream, reason));
        l->shard = (int)shard;
        rc = store.scan(store.self, STORE_DEAD_LETTER, prefix, prefix, visit_row, l, err);
    }
    return rc;
}

static enum tm_code list_door(struct list *l, struct engine *e, struct tm_error *err)
{
    struct bytes all = {0};
    l->shard = -1;
    return rocks_scan(e->dir.log, LOG_REJECTED, all, all, visit_row, l, err);
}

static void list_close(struct list *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        buffer_close(&l->found[i].key);
        buffer_close(&l->found[i].row);
    }
    free(l->found);
}

enum tm_code engine_dead_letters(struct engine *e, const struct dead_letter_query *q, engine_visit_letter *visit,
                                 void *context, bool *more, struct tm_error *err)
{
    struct list l = {.engine = e, .query = q};
    enum tm_code rc = TM_OK;
    CHECK(q->limit > 0);
    l.found = mem_new(q->limit + 1, sizeof *l.found);
    if (q->reason != REASON_REJECTED)
        rc = list_shards(&l, e, err);
    if (rc == TM_OK && (q->reason == REASON_REJECTED || q->reason == REASON_NONE))
        rc = list_door(&l, e, err);
    *more = l.count > q->limit;
    for (uint32_t i = 0; rc == TM_OK && i < l.count && i < q->limit; i++) {
        struct engine_dead_letter letter;
        rc = read_letter(e, l.found[i].shard, buffer_view(&l.found[i].key), buffer_view(&l.found[i].row), &letter, err);
        if (rc == TM_OK)
            visit(context, &letter);
    }
    list_close(&l);
    return rc;
}

/* ---- one letter ---- */

struct search {
    struct engine *engine;
    uint32_t shard;
    uint64_t position;
    engine_visit_letter *visit;
    void *context;
    bool found;
};

/* The event at the position, as it stands in the log; nothing where the log has it no more. */
static void read_event(const struct search *s, struct buffer *event)
{
    struct shared_block *shared;
    if (log_blocks_floor(s->engine->dir.log, s->position, &shared, NULL) != TM_OK)
        return;
    const struct block *b = &shared->block;
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        for (uint32_t i = 0; shard == s->shard && i < events; i++) {
            struct block_event e;
            block_event_at(b, first, i, &e);
            if (e.position != s->position)
                continue;
            buffer_put(event, e.wire.data, e.wire.size);
            buffer_put(event, e.shared.data, e.shared.size);
        }
    }
    shared_block_unref(shared);
}

/* The letter itself comes before what the log may add to it: a log that was trimmed meanwhile takes nothing away. */
static void show_whole(const struct search *s, struct engine_dead_letter *letter)
{
    CLEANUP(buffer_close) struct buffer event = {0};
    read_event(s, &event);
    if (event.size) {
        letter->size = (uint32_t)event.size;
        letter->event = buffer_view(&event);
    }
    s->visit(s->context, letter);
}

static enum tm_code compare_row(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    struct search *s = context;
    struct engine_dead_letter letter;
    if (key.size != DEAD_LETTER_KEY) /* the row of numbers */
        return TM_OK;
    enum tm_code rc = read_letter(s->engine, (int)s->shard, key, row, &letter, err);
    if (rc != TM_OK || letter.position != s->position)
        return rc;
    s->found = true;
    show_whole(s, &letter);
    return STORE_ENOUGH;
}

enum tm_code engine_dead_letter(struct engine *e, uint32_t shard, uint64_t position, engine_visit_letter *visit,
                                void *context, struct tm_error *err)
{
    struct store store = state_db_store(e->dir.state);
    struct search s = {.engine = e, .shard = shard, .position = position, .visit = visit, .context = context};
    uint8_t key[DEAD_LETTER_KEY];
    struct bytes prefix = bytes_of(key, dead_letter_prefix(key, shard, -1, -1));
    enum tm_code rc = TM_OK;
    if (shard < e->options.shards)
        rc = store.scan(store.self, STORE_DEAD_LETTER, prefix, prefix, compare_row, &s, err);
    if (rc != TM_OK || s.found)
        return rc;
    return tm_error_set(err, TM_NOT_FOUND,
                        "no dead letter %" PRIu32 "/%" PRIu64 " is kept: newer ones take the place of old ones", shard,
                        position);
}

enum tm_code engine_rejected_letter(struct engine *e, uint64_t number, engine_visit_letter *visit, void *context,
                                    struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    struct rejected rejected;
    enum tm_code rc = rejects_get(e->dir.log, number, &row, err);
    if (rc == TM_NOT_FOUND)
        return tm_error_set(err, TM_NOT_FOUND,
                            "no dead letter door/%" PRIu64 " is kept: newer ones take the place of old ones", number);
    if (rc == TM_OK)
        rc = rejected_decode(buffer_view(&row), &rejected, err);
    if (rc != TM_OK)
        return rc;
    struct engine_dead_letter letter = of_door(e, &rejected);
    visit(context, &letter);
    return TM_OK;
}

/* ---- counts ---- */

/* The row of numbers is the first of its shard. */
static enum tm_code add_counts(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    struct dead_letter_counts *out = context;
    struct reader r = reader_of(row);
    struct dead_letter_count c;
    (void)key;
    while (dead_letter_count_next(&r, &c)) {
        out->of[c.stream][c.reason].seen += c.seen;
        out->of[c.stream][c.reason].kept += dead_letters_kept(c.seen);
    }
    return r.bad ? tm_error_set(err, TM_DATA_LOSS, "the numbers of dead letters are damaged") : STORE_ENOUGH;
}

enum tm_code engine_dead_letter_counts(struct engine *e, struct dead_letter_counts *out, struct tm_error *err)
{
    struct store store = state_db_store(e->dir.state);
    struct rejects_count door[REJECTS_STREAMS];
    *out = (struct dead_letter_counts){0};
    for (uint32_t shard = 0; shard < e->options.shards; shard++) {
        uint8_t key[DEAD_LETTER_KEY];
        struct bytes prefix = bytes_of(key, dead_letter_prefix(key, shard, -1, -1));
        enum tm_code rc = store.scan(store.self, STORE_DEAD_LETTER, prefix, prefix, add_counts, out, err);
        if (rc != TM_OK)
            return tm_error_wrap(err, "shard %" PRIu32, shard);
    }
    enum tm_code rc = rejects_counts(e->dir.log, door, err);
    for (int i = 0; i < REJECTS_STREAMS; i++) {
        out->of[i][REASON_REJECTED].seen = door[i].seen;
        out->of[i][REASON_REJECTED].kept = door[i].kept;
    }
    return rc;
}
