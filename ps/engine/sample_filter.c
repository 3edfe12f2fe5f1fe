#include "ps/engine/sample_filter.h"

#include <stdlib.h>

static int compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_text(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    return compare(*x, *y);
}

static void sort(struct text_list *l)
{
    if (l->count)
        qsort(l->text, l->count, sizeof *l->text, by_text);
}

void sample_filter_prepare(struct sample_filter *f)
{
    sort(&f->docs);
    sort(&f->users);
    sort(&f->requests);
}

static bool has(const struct text_list *l, struct bytes text)
{
    return l->count == 0 || bsearch(&text, l->text, l->count, sizeof text, by_text) != NULL;
}

/* A document names its shard; the other ids do not. */
bool sample_filter_shard(const struct sample_filter *f, uint32_t shard, uint32_t shards)
{
    bool wanted = f->docs.count == 0;
    for (size_t i = 0; i < f->docs.count && !wanted; i++)
        wanted = hash_shard(f->docs.text[i], shards) == shard;
    return wanted;
}

bool sample_filter_time(const struct sample_filter *f, int64_t oldest, int64_t newest)
{
    return newest >= f->since && oldest < f->until;
}

static bool has_version(const struct sample_filter *f, uint32_t id)
{
    bool wanted = f->versions == 0;
    for (size_t i = 0; i < f->versions && !wanted; i++)
        wanted = f->version[i]->id == id;
    return wanted;
}

bool sample_filter_sample(const struct sample_filter *f, const struct kept_sample *s)
{
    enum sample_kinds kind = s->kind == SAMPLE_CORRECTION ? SAMPLES_CORRECTIONS : SAMPLES_NEW;
    return sample_filter_time(f, s->decided_at, s->decided_at) && s->position < f->until_position &&
           (f->kinds == SAMPLES_ALL || f->kinds == kind) && has_version(f, s->version) && has(&f->docs, s->event.doc) &&
           has(&f->users, s->event.user) && has(&f->requests, s->event.request);
}
