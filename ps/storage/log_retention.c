#include "ps/storage/log_retention.h"

#include <pthread.h>
#include <stdlib.h>

#include "ps/storage/data_dir.h"

/* Rows of LOG_META. */
static const char extent_key[] = "extent"; /* {first u64, bytes of all blocks ever written u64} */
static const char mark_prefix[] = "mark/"; /* + position u64 big-endian: {wall clock i64, bytes before it u64} */

enum {
    PREFIX = sizeof mark_prefix - 1,
    MARK_KEY = PREFIX + 8,
    STEPS = 1024, /* marks that a limit is cut into, roughly */
    STEP_MS_MIN = 1000,
    STEP_MS_MAX = 3600 * 1000,
};

static const uint64_t step_bytes_min = 64 << 10, step_bytes_max = 64 << 20;

struct mark {
    uint64_t position;
    int64_t time_ms;
    uint64_t bytes; /* of all blocks before it */
};

/* The writer's, but for what the mutex guards. */
struct log_retention {
    struct log_retention_options options;
    int64_t step_ms;
    uint64_t step_bytes;
    struct mark *mark; /* oldest first; [begin, end) */
    size_t begin, end, capacity;
    uint64_t first, bytes; /* as in the row of the extent */
    bool changed;          /* the row is to be written */

    pthread_mutex_t mutex;
    struct log_retention_status status; /* as of the last sync */
    uint64_t overdue;
    uint64_t reclaimed; /* log_retention_reclaim only */
};

static int64_t clamp_ms(int64_t ms) { return ms < STEP_MS_MIN ? STEP_MS_MIN : ms > STEP_MS_MAX ? STEP_MS_MAX : ms; }

static uint64_t clamp_bytes(uint64_t bytes)
{
    return bytes < step_bytes_min ? step_bytes_min : bytes > step_bytes_max ? step_bytes_max : bytes;
}

static void keep_mark(struct log_retention *r, struct mark m)
{
    if (r->end == r->capacity && r->begin > r->capacity / 2) {
        memmove(r->mark, r->mark + r->begin, (r->end - r->begin) * sizeof *r->mark);
        r->end -= r->begin;
        r->begin = 0;
    } else if (r->end == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 64;
        r->mark = mem_grow(r->mark, r->capacity, sizeof *r->mark);
    }
    r->mark[r->end++] = m;
}

static struct bytes mark_key(uint8_t key[static MARK_KEY], uint64_t position)
{
    memcpy(key, mark_prefix, PREFIX);
    key_put_u64(key + PREFIX, position);
    return bytes_of(key, MARK_KEY);
}

/* ---- loading ---- */

static enum tm_code visit_mark(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct log_retention *r = context;
    struct reader row = reader_of(value);
    int64_t time_ms = reader_i64(&row);
    uint64_t bytes = reader_u64(&row);
    if (key.size != MARK_KEY || row.bad || reader_left(&row) || bytes > r->bytes)
        return tm_error_set(err, TM_DATA_LOSS, "a mark of the log's retention is damaged: %zu bytes", value.size);
    keep_mark(r, (struct mark){key_get_u64(key.data + PREFIX), time_ms, bytes});
    return TM_OK;
}

static enum tm_code load(struct log_retention *r, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    uint8_t key[MARK_KEY];
    enum tm_code rc = rocks_get(r->options.db, LOG_META, bytes_text(extent_key), &row, err);
    if (rc)
        return rc == TM_NOT_FOUND ? TM_OK : rc;
    struct reader extent = reader_of(buffer_view(&row));
    r->first = reader_u64(&extent);
    r->bytes = reader_u64(&extent);
    if (extent.bad || reader_left(&extent))
        return tm_error_set(err, TM_DATA_LOSS, "the row of the log's extent is damaged: %zu bytes", row.size);
    rc = rocks_scan(r->options.db, LOG_META, mark_key(key, r->first), bytes_text(mark_prefix), visit_mark, r, err);
    if (rc == TM_OK && r->first > 0 && (r->end == 0 || r->mark[0].position != r->first))
        rc = tm_error_set(err, TM_DATA_LOSS, "the log begins at position %llu, where no mark is",
                          (unsigned long long)r->first);
    return rc;
}

static void publish(struct log_retention *r)
{
    bool any = r->begin < r->end;
    r->status = (struct log_retention_status){
        .first = r->first,
        .bytes = any ? r->bytes - r->mark[r->begin].bytes : 0,
        .oldest_ms = any ? r->mark[r->begin].time_ms : 0,
        .overdue_bytes = r->overdue,
    };
}

enum tm_code log_retention_open(const struct log_retention_options *options, int64_t wall_ms,
                                struct log_retention **out, struct tm_error *err)
{
    struct log_retention *r = mem_new(1, sizeof *r);
    r->options = *options;
    r->step_ms = clamp_ms(options->retain_ms ? options->retain_ms / STEPS : STEP_MS_MAX);
    r->step_bytes = clamp_bytes(options->retain_bytes ? options->retain_bytes / STEPS : step_bytes_max);
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    enum tm_code rc = load(r, err);
    if (rc) {
        log_retention_close(r);
        return rc;
    }
    if (r->begin == r->end) /* the block that stands first will be it, whenever it is written */
        keep_mark(r, (struct mark){r->first, wall_ms, r->bytes});
    publish(r);
    *out = r;
    return TM_OK;
}

void log_retention_close(struct log_retention *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->mutex);
    free(r->mark);
    free(r);
}

uint64_t log_retention_first(const struct log_retention *r) { return r->first; }

/* ---- writing ---- */

static void put_mark(struct rocks_batch *batch, const struct mark *m)
{
    uint8_t key[MARK_KEY];
    CLEANUP(buffer_close) struct buffer row = {0};
    buffer_put_i64(&row, m->time_ms);
    buffer_put_u64(&row, m->bytes);
    rocks_batch_put(batch, LOG_META, mark_key(key, m->position), buffer_view(&row));
}

void log_retention_add(struct log_retention *r, struct rocks_batch *batch, uint64_t position, size_t bytes,
                       int64_t wall_ms)
{
    const struct mark *last = &r->mark[r->end - 1];
    bool stepped = wall_ms - last->time_ms >= r->step_ms || r->bytes - last->bytes >= r->step_bytes;
    struct mark now = {position, wall_ms > last->time_ms ? wall_ms : last->time_ms, r->bytes};
    if (r->bytes == 0) { /* the very first: its mark is there, but not stored, and its time was that of the start */
        r->mark[r->begin].time_ms = now.time_ms;
        put_mark(batch, &r->mark[r->begin]);
    } else if (stepped) {
        keep_mark(r, now);
        put_mark(batch, &now);
    }
    r->bytes += bytes;
    r->changed = true;
}

/* Does a limit say that nothing in front of mark i + 1 is kept? */
static bool is_due(const struct log_retention *r, size_t i, int64_t wall_ms)
{
    const struct log_retention_options *o = &r->options;
    return (o->retain_ms && r->mark[i + 1].time_ms <= wall_ms - o->retain_ms) ||
           (o->retain_bytes && r->bytes - r->mark[i].bytes > o->retain_bytes);
}

/* Marks that are ahead of the clock, which was set back: they count as written now. Otherwise a clock that was years
 * ahead for a moment would keep the log for years. */
static void set_back(struct log_retention *r, struct rocks_batch *batch, int64_t wall_ms)
{
    for (size_t i = r->end; i > r->begin && r->mark[i - 1].time_ms > wall_ms; i--) {
        r->mark[i - 1].time_ms = wall_ms;
        if (r->bytes > 0) /* see log_retention_add */
            put_mark(batch, &r->mark[i - 1]);
    }
}

void log_retention_trim(struct log_retention *r, struct rocks_batch *batch, int64_t wall_ms, uint64_t floor)
{
    set_back(r, batch, wall_ms);
    uint8_t key[MARK_KEY];
    size_t kept = r->begin, due = r->begin;
    while (due + 1 < r->end && is_due(r, due, wall_ms))
        due++;
    while (kept < due && r->mark[kept + 1].position <= floor)
        rocks_batch_remove(batch, LOG_META, mark_key(key, r->mark[kept++].position));
    r->overdue = r->mark[due].bytes - r->mark[kept].bytes;
    CHECK(pthread_mutex_lock(&r->mutex) == 0);
    r->status.overdue_bytes = r->overdue; /* no sync changes it */
    CHECK(pthread_mutex_unlock(&r->mutex) == 0);
    if (kept == r->begin)
        return;
    r->begin = kept;
    r->first = r->mark[kept].position;
    r->changed = true;
}

void log_retention_put(struct log_retention *r, struct rocks_batch *batch)
{
    uint64_t row[] = {r->first, r->bytes};
    if (r->changed)
        rocks_batch_put(batch, LOG_META, bytes_text(extent_key), bytes_of(row, sizeof row));
    r->changed = false;
}

void log_retention_synced(struct log_retention *r)
{
    CHECK(pthread_mutex_lock(&r->mutex) == 0);
    publish(r);
    CHECK(pthread_mutex_unlock(&r->mutex) == 0);
}

/* ---- elsewhere ---- */

void log_retention_reclaim(struct log_retention *r)
{
    uint8_t from[sizeof(uint64_t)], to[sizeof(uint64_t)];
    struct log_retention_status now;
    log_retention_status(r, &now);
    if (now.first == r->reclaimed)
        return;
    key_put_u64(from, 0);
    key_put_u64(to, now.first - 1);
    rocks_drop_tables(r->options.db, LOG_BLOCK, bytes_of(from, sizeof from), bytes_of(to, sizeof to));
    r->reclaimed = now.first;
}

void log_retention_status(struct log_retention *r, struct log_retention_status *out)
{
    CHECK(pthread_mutex_lock(&r->mutex) == 0);
    *out = r->status;
    CHECK(pthread_mutex_unlock(&r->mutex) == 0);
}
