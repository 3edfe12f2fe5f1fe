#include "ps/engine/logged_requests.h"

#include <stdlib.h>

#include "learner/draw.h"

enum { SAMPLES_FIRST = 1024 };

void logged_requests_open(struct logged_requests *l, uint32_t width, size_t bytes_max)
{
    *l = (struct logged_requests){.width = width, .bytes_max = bytes_max};
}

void logged_requests_close(struct logged_requests *l)
{
    free(l->sample);
    free(l->x);
    buffer_close(&l->text);
    *l = (struct logged_requests){0};
}

static bool is_chosen(const struct logged_requests *l, uint64_t request)
{
    return l->halvings == 0 || draw_mix(request) >> (64 - l->halvings) == 0;
}

static size_t bytes_of_samples(const struct logged_requests *l)
{
    return l->samples * (sizeof *l->sample + l->width * sizeof *l->x) + l->text.size;
}

/* Samples, numbers and texts lie in one order: those that stay move to the front. */
static void halve(struct logged_requests *l)
{
    size_t kept = 0, text = 0;
    l->halvings++;
    for (size_t i = 0; i < l->samples; i++) {
        struct logged_sample s = l->sample[i];
        if (!is_chosen(l, s.request))
            continue;
        memmove(l->text.data + text, l->text.data + s.text, s.text_size);
        if (l->width)
            memmove(l->x + kept * l->width, l->x + i * l->width, l->width * sizeof *l->x);
        s.text = text;
        s.row = (uint32_t)kept;
        text += s.text_size;
        l->sample[kept++] = s;
    }
    l->samples = kept;
    l->text.size = text;
}

static void make_room(struct logged_requests *l)
{
    if (l->samples < l->capacity)
        return;
    l->capacity = l->capacity ? 2 * l->capacity : SAMPLES_FIRST;
    l->sample = mem_grow(l->sample, l->capacity, sizeof *l->sample);
    if (l->width)
        l->x = mem_grow(l->x, l->capacity * l->width, sizeof *l->x);
}

void logged_requests_add(struct logged_requests *l, const struct logged_sample *s, struct bytes doc, const float *x)
{
    enum { HALVINGS_MAX = 63 };
    l->seen++;
    if (!is_chosen(l, s->request))
        return;
    make_room(l);
    struct logged_sample *kept = &l->sample[l->samples];
    *kept = *s;
    kept->row = (uint32_t)l->samples;
    kept->doc = hash_128(doc, 0);
    kept->text = l->text.size;
    kept->text_size = (uint32_t)doc.size;
    buffer_put(&l->text, doc.data, doc.size);
    if (l->width)
        memcpy(l->x + l->samples * l->width, x, l->width * sizeof *x);
    l->samples++;
    while (bytes_of_samples(l) > l->bytes_max && l->halvings < HALVINGS_MAX)
        halve(l);
}

static int by_request(const void *left, const void *right)
{
    const struct logged_sample *a = left, *b = right;
    if (a->request != b->request)
        return a->request < b->request ? -1 : 1;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    if (a->doc.hi != b->doc.hi)
        return a->doc.hi < b->doc.hi ? -1 : 1;
    return (a->doc.lo > b->doc.lo) - (a->doc.lo < b->doc.lo);
}

void logged_requests_sort(struct logged_requests *l)
{
    if (l->samples)
        qsort(l->sample, l->samples, sizeof *l->sample, by_request);
}

size_t logged_requests_end(const struct logged_requests *l, size_t first)
{
    size_t end = first + 1;
    while (end < l->samples && l->sample[end].request == l->sample[first].request)
        end++;
    return end;
}
