#include "joiner/due.h"

#include <stdlib.h>

void due_open(struct due *d)
{
    *d = (struct due){0};
    d->front_end = INT64_MIN;
}

void due_close(struct due *d)
{
    for (size_t i = d->first_bucket; i < d->bucket_count; i++)
        free(d->buckets[i].marks);
    for (uint32_t i = 0; i < d->spares; i++)
        free(d->spare[i].marks);
    free(d->buckets);
    free(d->front);
    free(d->scratch);
    *d = (struct due){0};
}

static bool before(const struct due_item *a, const struct due_item *b)
{
    return a->time != b->time ? a->time < b->time : a->position < b->position;
}

static int64_t bucket_start(int64_t time)
{
    int64_t part = time % DUE_BUCKET_MS;
    return time - (part < 0 ? part + DUE_BUCKET_MS : part);
}

/* Late-comers of the bucket that is being worked off: few, and near the end. */
static void insert_in_front(struct due *d, struct due_item item)
{
    size_t low = d->front_next, high = d->front_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (before(&item, &d->front[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    if (d->front_count == d->front_capacity) {
        d->front_capacity = d->front_capacity ? d->front_capacity * 2 : 64;
        d->front = mem_grow(d->front, d->front_capacity, sizeof *d->front);
    }
    memmove(&d->front[low + 1], &d->front[low], (d->front_count - low) * sizeof *d->front);
    d->front[low] = item;
    d->front_count++;
}

/* The place of the bucket that starts at `start`, or where it belongs. Time runs forward, so look from the end. */
static size_t bucket_place(const struct due *d, int64_t start)
{
    size_t low = d->first_bucket, high = d->bucket_count;
    if (high > low && d->buckets[high - 1].start < start)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->buckets[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room_for_bucket(struct due *d)
{
    if (d->bucket_count < d->bucket_capacity)
        return;
    if (d->first_bucket > d->bucket_capacity / 2) { /* half of it is worked off: move instead of growing */
        d->bucket_count -= d->first_bucket;
        memmove(d->buckets, d->buckets + d->first_bucket, d->bucket_count * sizeof *d->buckets);
        d->first_bucket = 0;
        return;
    }
    d->bucket_capacity = d->bucket_capacity ? d->bucket_capacity * 2 : 64;
    d->buckets = mem_grow(d->buckets, d->bucket_capacity, sizeof *d->buckets);
}

static struct due_bucket *bucket_at(struct due *d, int64_t start)
{
    size_t i = bucket_place(d, start);
    if (i < d->bucket_count && d->buckets[i].start == start)
        return &d->buckets[i];
    if (d->bucket_count == d->bucket_capacity) {
        make_room_for_bucket(d);
        i = bucket_place(d, start);
    }
    memmove(&d->buckets[i + 1], &d->buckets[i], (d->bucket_count - i) * sizeof *d->buckets);
    d->buckets[i] = d->spares ? d->spare[--d->spares] : (struct due_bucket){0};
    d->buckets[i].start = start;
    d->buckets[i].earliest = INT64_MAX;
    d->buckets[i].count = 0;
    d->bucket_count++;
    return &d->buckets[i];
}

void due_insert(struct due *d, int64_t time, uint64_t position, uint32_t number)
{
    int64_t start = bucket_start(time);
    d->items++;
    if (time < d->front_end) {
        insert_in_front(d, (struct due_item){time, position, number});
        return;
    }
    struct due_bucket *b = bucket_at(d, start);
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? b->capacity * 2 : 16;
        b->marks = mem_grow(b->marks, b->capacity, sizeof *b->marks);
    }
    b->marks[b->count++] = (struct due_mark){position, number, (uint32_t)(time - start)};
    if (time < b->earliest)
        b->earliest = time;
}

/* Natural merge sort: events come nearly in order, so there are few runs and often one. */
static size_t run_end(const struct due_item *v, size_t from, size_t n)
{
    size_t i = from + 1;
    while (i < n && !before(&v[i], &v[i - 1]))
        i++;
    return i < n ? i : n;
}

static void merge(const struct due_item *v, size_t a, size_t b, size_t end, struct due_item *out)
{
    for (size_t i = a, k = b; i < b || k < end;)
        *out++ = k >= end || (i < b && !before(&v[k], &v[i])) ? v[i++] : v[k++];
}

static void sort_front(struct due *d)
{
    size_t n = d->front_count;
    while (run_end(d->front, 0, n) < n) {
        if (d->scratch_capacity < d->front_capacity) {
            d->scratch = mem_grow(d->scratch, d->front_capacity, sizeof *d->scratch);
            d->scratch_capacity = d->front_capacity;
        }
        for (size_t a = 0; a < n;) {
            size_t b = run_end(d->front, a, n), end = b < n ? run_end(d->front, b, n) : n;
            merge(d->front, a, b, end, d->scratch + a);
            a = end;
        }
        struct due_item *sorted = d->scratch;
        size_t capacity = d->scratch_capacity;
        d->scratch = d->front;
        d->scratch_capacity = d->front_capacity;
        d->front = sorted;
        d->front_capacity = capacity;
    }
}

static void give_marks(struct due *d, const struct due_bucket *b)
{
    if (d->spares < ARRAY_LEN(d->spare))
        d->spare[d->spares++] = *b;
    else
        free(b->marks);
}

/* Time enters the next bucket: it becomes the front. */
static void open_bucket(struct due *d)
{
    struct due_bucket b = d->buckets[d->first_bucket++];
    d->front_next = 0;
    d->front_count = b.count;
    d->front_end = b.start + DUE_BUCKET_MS;
    if (d->front_capacity < b.count) {
        d->front_capacity = b.capacity;
        d->front = mem_grow(d->front, d->front_capacity, sizeof *d->front);
    }
    for (uint32_t i = 0; i < b.count; i++)
        d->front[i] = (struct due_item){b.start + b.marks[i].offset, b.marks[i].position, b.marks[i].number};
    sort_front(d);
    give_marks(d, &b);
    if (d->first_bucket == d->bucket_count)
        d->first_bucket = d->bucket_count = 0;
}

/* Is there an item with time < limit? It is the first one of the front then. */
static bool ready(struct due *d, int64_t limit)
{
    if (d->front_next == d->front_count) {
        if (d->first_bucket == d->bucket_count || d->buckets[d->first_bucket].earliest >= limit)
            return false;
        open_bucket(d);
    }
    return d->front[d->front_next].time < limit;
}

uint32_t due_ahead(struct due *d, int64_t limit, struct due_item *out, uint32_t most)
{
    uint32_t count = 0;
    if (!ready(d, limit))
        return 0;
    for (size_t i = d->front_next; i < d->front_count && d->front[i].time < limit && count < most; i++)
        out[count++] = d->front[i];
    return count;
}

bool due_next(struct due *d, int64_t limit, struct due_item *out)
{
    if (!ready(d, limit))
        return false;
    *out = d->front[d->front_next++];
    d->items--;
    return true;
}

static void drop_of_bucket(struct due_bucket *b, bool (*is_stale)(void *context, const struct due_item *item),
                           void *context)
{
    uint32_t count = b->count;
    b->count = 0;
    b->earliest = INT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct due_item item = {b->start + b->marks[i].offset, b->marks[i].position, b->marks[i].number};
        if (is_stale(context, &item))
            continue;
        b->marks[b->count++] = b->marks[i];
        b->earliest = item.time < b->earliest ? item.time : b->earliest;
    }
}

void due_drop(struct due *d, bool (*is_stale)(void *context, const struct due_item *item), void *context)
{
    size_t front = 0, bucket = 0;
    for (size_t i = d->front_next; i < d->front_count; i++)
        if (!is_stale(context, &d->front[i]))
            d->front[front++] = d->front[i];
    d->front_next = 0;
    d->items = d->front_count = front;
    for (size_t i = d->first_bucket; i < d->bucket_count; i++) {
        struct due_bucket b = d->buckets[i];
        drop_of_bucket(&b, is_stale, context);
        d->items += b.count;
        if (b.count)
            d->buckets[bucket++] = b;
        else
            give_marks(d, &b);
    }
    d->first_bucket = 0;
    d->bucket_count = bucket;
}

int64_t due_earliest(const struct due *d)
{
    if (d->front_next < d->front_count)
        return d->front[d->front_next].time;
    return d->first_bucket < d->bucket_count ? d->buckets[d->first_bucket].earliest : INT64_MAX;
}

size_t due_memory(const struct due *d)
{
    return d->items * sizeof(struct due_mark) + (d->front_capacity + d->scratch_capacity) * sizeof(struct due_item) +
           d->bucket_capacity * sizeof(struct due_bucket);
}
