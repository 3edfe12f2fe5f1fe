#include "learner/request_sample.h"

#include <math.h>
#include <stdlib.h>

#include "learner/draw.h"

bool request_chosen(uint64_t request, uint32_t level)
{
    uint64_t mixed = draw_mix(request);
    return level < REQUEST_SAMPLE_LEVEL_MAX && (mixed == 0 || (uint32_t)__builtin_clzll(mixed) >= level);
}

/* ---- one shard's ---- */

static void raise_level(struct request_sample *s)
{
    uint32_t kept = 0;
    s->level++;
    for (uint32_t i = 0; i < s->count; i++)
        if (request_chosen(s->entry[i].request, s->level))
            s->entry[kept++] = s->entry[i];
    memset(s->entry + kept, 0, (s->count - kept) * sizeof *s->entry);
    s->count = kept;
}

void request_sample_add(struct request_sample *s, struct request_entry e)
{
    while (request_chosen(e.request, s->level) && s->count == REQUEST_SAMPLE_MAX)
        raise_level(s);
    if (request_chosen(e.request, s->level))
        s->entry[s->count++] = e;
}

/* Entries that are equal in everything are interchangeable, so any of them may be the one that is meant. */
void request_sample_flip(struct request_sample *s, struct request_entry e)
{
    if (!request_chosen(e.request, s->level))
        return;
    for (uint32_t i = 0; i < s->count; i++) {
        struct request_entry *have = &s->entry[i];
        if (have->request == e.request && have->score == e.score && have->positive == e.positive) {
            have->positive = !e.positive;
            return;
        }
    }
    CHECK(!"an entry was flipped that had never been added");
}

void request_sample_encode(const struct request_sample *s, struct buffer *out)
{
    buffer_put_u32(out, s->level);
    buffer_put_u32(out, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        buffer_put_u64(out, s->entry[i].request);
        buffer_put(out, &s->entry[i].score, sizeof s->entry[i].score);
        buffer_put_u8(out, (uint8_t)s->entry[i].positive);
    }
}

static bool decode_entry(struct request_entry *e, struct reader *in, uint32_t level)
{
    e->request = reader_u64(in);
    const uint8_t *score = reader_take(in, sizeof e->score);
    if (score)
        memcpy(&e->score, score, sizeof e->score);
    e->positive = reader_u8(in);
    return !in->bad && isfinite(e->score) && e->positive <= 1 && request_chosen(e->request, level);
}

enum tm_code request_sample_decode(struct request_sample *s, struct reader *in, struct tm_error *err)
{
    struct request_sample read = {.level = reader_u32(in), .count = reader_u32(in)};
    bool good = !in->bad && read.level <= REQUEST_SAMPLE_LEVEL_MAX && read.count <= REQUEST_SAMPLE_MAX;
    for (uint32_t i = 0; good && i < read.count; i++)
        good = decode_entry(&read.entry[i], in, read.level);
    if (!good)
        return tm_error_set(err, TM_DATA_LOSS, "sample of requests: not what was written");
    *s = read;
    return TM_OK;
}

/* ---- ranking ---- */

static int ascending(const void *left, const void *right)
{
    const struct request_entry *a = left, *b = right;
    if (a->request != b->request)
        return a->request < b->request ? -1 : 1;
    return (a->score > b->score) - (a->score < b->score);
}

/* Twice the number of (positive, negative) pairs of one request that are in order, ties counting once. */
static uint64_t pairs_in_order(const struct request_entry *e, size_t count, uint64_t *positives)
{
    uint64_t doubled = 0, negatives_below = 0;
    *positives = 0;
    for (size_t from = 0, to; from < count; from = to) {
        uint64_t label[2] = {0};
        for (to = from; to < count && e[to].score == e[from].score; to++)
            label[e[to].positive]++;
        doubled += label[1] * (2 * negatives_below + label[0]);
        negatives_below += label[0];
        *positives += label[1];
    }
    return doubled;
}

struct request_ranking request_ranking(struct request_entry *entry, size_t count)
{
    struct request_ranking r = {0};
    double by_samples = 0, by_requests = 0;
    if (count)
        qsort(entry, count, sizeof *entry, ascending);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && entry[to].request == entry[from].request;)
            to++;
        uint64_t n = to - from, positives, doubled = pairs_in_order(entry + from, n, &positives);
        if (positives == 0 || positives == n)
            continue;
        double auc = (double)doubled / (2 * (double)positives * (double)(n - positives));
        r.requests++;
        r.samples += n;
        by_samples += (double)n * auc;
        by_requests += auc;
    }
    r.by_samples = by_samples / (double)r.samples;
    r.by_requests = by_requests / (double)r.requests;
    return r;
}
