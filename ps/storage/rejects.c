#include "ps/storage/rejects.h"

#include "ps/storage/data_dir.h"

static const char counts_key[] = "rejected";

static_assert(REJECTS_KEPT <= UINT16_MAX + 1, "a slot is two bytes of the key");

static enum tm_code load_counts(struct rocks *db, uint64_t *next, struct rejects_count count[static REJECTS_STREAMS],
                                struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    enum tm_code rc = rocks_get(db, LOG_META, bytes_text(counts_key), &row, err);
    *next = 0;
    memset(count, 0, REJECTS_STREAMS * sizeof *count);
    if (rc != TM_OK)
        return rc == TM_NOT_FOUND ? TM_OK : rc;
    struct reader r = reader_of(buffer_view(&row));
    *next = reader_u64(&r);
    for (int i = 0; i < REJECTS_STREAMS; i++) {
        count[i].seen = reader_u64(&r);
        count[i].kept = reader_u64(&r);
    }
    return r.bad || reader_left(&r) ? tm_error_set(err, TM_DATA_LOSS, "the numbers of rejected events are damaged")
                                    : TM_OK;
}

static enum tm_code load_row(void *context, struct bytes key, struct bytes row, struct tm_error *err)
{
    struct rejects *r = context;
    struct rejected letter;
    enum tm_code rc = rejected_decode(row, &letter, err);
    if (rc != TM_OK)
        return rc;
    uint64_t slot = letter.number % REJECTS_KEPT;
    if (key.size != 2 || key_get_u16(key.data) != slot || letter.number >= r->next)
        return tm_error_set(err, TM_DATA_LOSS, "a rejected event lies in the wrong place");
    r->stream[slot] = letter.stream;
    return TM_OK;
}

enum tm_code rejects_load(struct rocks *db, struct rejects *out, struct tm_error *err)
{
    struct bytes all = {0};
    enum tm_code rc = load_counts(db, &out->next, out->count, err);
    return rc ? rc : rocks_scan(db, LOG_REJECTED, all, all, load_row, out, err);
}

static void put_row(struct rejects *r, uint8_t stream, struct bytes row, struct rocks_batch *batch)
{
    uint8_t key[2];
    uint64_t slot = r->next % REJECTS_KEPT;
    if (r->next >= REJECTS_KEPT)
        r->count[r->stream[slot]].kept--;
    r->stream[slot] = stream;
    r->count[stream].kept++;
    r->next++;
    key_put_u16(key, (uint16_t)slot);
    rocks_batch_put(batch, LOG_REJECTED, bytes_of(key, sizeof key), row);
}

static void put_batch(struct rejects *r, const struct submission *s, struct rocks_batch *batch)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    struct reader list = reader_of(s->letters);
    struct bytes letter;
    uint8_t stream;
    while (rejected_next(&list, &stream, &letter)) {
        r->count[stream].seen++;
        if (letter.size == 0)
            continue;
        row.size = 0;
        rejected_row(&row, r->next, s, letter);
        put_row(r, stream, buffer_view(&row), batch);
    }
}

static void put_counts(const struct rejects *r, struct rocks_batch *batch)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    buffer_put_u64(&row, r->next);
    buffer_put(&row, r->count, sizeof r->count);
    rocks_batch_put(batch, LOG_META, bytes_text(counts_key), buffer_view(&row));
}

void rejects_put(struct rejects *r, const struct submission *taken, struct rocks_batch *batch)
{
    bool any = false;
    for (const struct submission *s = taken; s; s = s->next) {
        if (s->kind != SUBMIT_BATCH || s->code != TM_OK || s->repeated || s->letters.size == 0)
            continue;
        put_batch(r, s, batch);
        any = true;
    }
    if (any)
        put_counts(r, batch);
}

enum tm_code rejects_counts(struct rocks *db, struct rejects_count count[static REJECTS_STREAMS], struct tm_error *err)
{
    uint64_t next;
    return load_counts(db, &next, count, err);
}

enum tm_code rejects_get(struct rocks *db, uint64_t number, struct buffer *row, struct tm_error *err)
{
    uint8_t key[2];
    struct rejected letter;
    key_put_u16(key, (uint16_t)(number % REJECTS_KEPT));
    enum tm_code rc = rocks_get(db, LOG_REJECTED, bytes_of(key, sizeof key), row, err);
    if (rc == TM_OK)
        rc = rejected_decode(buffer_view(row), &letter, err);
    return rc == TM_OK && letter.number != number ? TM_NOT_FOUND : rc;
}
