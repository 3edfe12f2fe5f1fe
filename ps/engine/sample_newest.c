/* The newest samples: rows are read backwards, and what they hold goes through a heap. */
#include <stdlib.h>

#include "ps/engine/sample_parts.h"

static bool is_older(const struct newest_sample *a, const struct newest_sample *b)
{
    if (a->decided_at != b->decided_at)
        return a->decided_at < b->decided_at;
    return a->shard != b->shard ? a->shard < b->shard : a->sequence < b->sequence;
}

static void swap(struct newest_sample *a, struct newest_sample *b)
{
    struct newest_sample was = *a;
    *a = *b;
    *b = was;
}

static void sift_up(struct newest *n, uint32_t at)
{
    for (uint32_t parent; at > 0 && is_older(&n->heap[at], &n->heap[parent = (at - 1) / 2]); at = parent)
        swap(&n->heap[at], &n->heap[parent]);
}

static void sift_down(struct newest *n)
{
    for (uint32_t at = 0, child; (child = 2 * at + 1) < n->count; at = child) {
        if (child + 1 < n->count && is_older(&n->heap[child + 1], &n->heap[child]))
            child++;
        if (!is_older(&n->heap[child], &n->heap[at]))
            return;
        swap(&n->heap[at], &n->heap[child]);
    }
}

static void drop_oldest(struct newest *n)
{
    n->bytes -= n->heap[0].row.size;
    buffer_close(&n->heap[0].row);
    n->heap[0] = n->heap[--n->count];
    sift_down(n);
}

static void consider(struct newest *n, uint32_t shard, const struct kept_sample *s)
{
    struct newest_sample one = {.decided_at = s->decided_at, .shard = shard, .sequence = s->sequence};
    if (n->count == n->max && is_older(&one, &n->heap[0]))
        return;
    sample_row_append(&one.row, s);
    if (n->count == n->max)
        drop_oldest(n);
    n->heap[n->count++] = one;
    n->bytes += one.row.size;
    sift_up(n, n->count - 1);
    while (n->bytes > SAMPLE_NEWEST_BYTES) { /* from now on no more than fit */
        drop_oldest(n);
        n->max = n->count;
    }
}

static void begin(struct sample_reader *r)
{
    struct newest *n = &r->newest;
    n->begun = true;
    n->row = r->place[0].end;
    n->heap = mem_new(n->max, sizeof *n->heap);
    for (uint32_t i = 0; i < r->shards; i++) {
        r->place[i].next = r->place[i].end;
        r->place[i].expected = 0;
    }
}

static void next_shard(struct sample_reader *r)
{
    struct newest *n = &r->newest;
    if (++n->shard < r->shards)
        n->row = r->place[n->shard].end;
}

/* None of this row or of an older one of its shard can be among the newest. */
static bool is_enough(const struct newest *n, const struct sample_row_head *head)
{
    return n->max == 0 || (n->count == n->max && n->heap[0].decided_at > head->newest);
}

static enum tm_code consider_row(struct sample_reader *r, bool *enough, struct tm_error *err)
{
    struct newest *n = &r->newest;
    struct reading_place *p = &r->place[n->shard];
    struct sample_row_reader g;
    struct kept_sample s;
    bool end = false;
    enum tm_code rc = sample_row_open(buffer_view(&r->row), &g, err);
    if (rc != TM_OK)
        return rc;
    if (p->expected == 0)
        p->expected = g.head.first + g.head.count;
    *enough = is_enough(n, &g.head);
    while (!*enough && (rc = sample_row_next(&g, &s, &end, err)) == TM_OK && !end)
        if (sample_filter_sample(&r->query.filter, &s))
            consider(n, n->shard, &s);
    return rc;
}

static enum tm_code read_back(struct sample_reader *r, struct tm_error *err)
{
    struct newest *n = &r->newest;
    const struct reading_place *p = &r->place[n->shard];
    uint32_t shard = n->shard;
    bool found = false, enough = false;
    enum tm_code rc = TM_OK;
    if (p->wanted && n->row > p->first)
        rc = sample_read_row(r, shard, --n->row, &found, err);
    if (rc == TM_OK && found) /* else it has gone, and so have the older ones */
        rc = consider_row(r, &enough, err);
    if (!found || enough)
        next_shard(r);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "shard %u", shard);
}

static int by_age(const void *a, const void *b) { return is_older(a, b) ? -1 : 1; }

static enum tm_code hand_out(struct sample_reader *r, struct tm_error *err)
{
    struct newest *n = &r->newest;
    size_t bytes = 0;
    for (; n->handed < n->count && bytes < SAMPLE_STEP_BYTES; n->handed++) {
        struct newest_sample *one = &n->heap[n->handed];
        struct sample_row_reader g;
        struct kept_sample s;
        bool end;
        enum tm_code rc = sample_row_open(buffer_view(&one->row), &g, err);
        if (rc == TM_OK)
            rc = sample_row_next(&g, &s, &end, err);
        if (rc != TM_OK)
            return rc;
        sample_show(r, one->shard, &s);
        bytes += one->row.size;
    }
    return TM_OK;
}

enum tm_code newest_step(struct sample_reader *r, bool *done, struct tm_error *err)
{
    struct newest *n = &r->newest;
    if (!n->begun)
        begin(r);
    if (n->shard < r->shards) {
        enum tm_code rc = read_back(r, err);
        if (n->shard == r->shards && n->count)
            qsort(n->heap, n->count, sizeof *n->heap, by_age);
        return rc;
    }
    enum tm_code rc = hand_out(r, err);
    *done = n->handed == n->count;
    return rc;
}

void newest_close(struct newest *n)
{
    for (uint32_t i = 0; i < n->count; i++)
        buffer_close(&n->heap[i].row);
    free(n->heap);
}
