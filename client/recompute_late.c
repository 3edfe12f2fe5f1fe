/* Which records of feature streams may have come late, and for which impression. */
#include <stdlib.h>

#include "client/recompute_join.h"

typedef struct recompute_event Event;

struct records {
    const Event *event;
    uint32_t key; /* bits of enum rules_key: the join key */
    uint32_t *at; /* places among the events, sorted */
    size_t count;
};

static void records_close(struct records *r) { free(r->at); }

/* By key and stream, as they came. */
static int by_stream_and_order(const void *a, const void *b, void *context)
{
    const struct records *r = context;
    const Event *x = &r->event[*(const uint32_t *)a], *y = &r->event[*(const uint32_t *)b];
    int order = recompute_compare_keys(x, y, r->key);
    if (order == 0)
        order = (x->stream > y->stream) - (x->stream < y->stream);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static enum tm_code find_records(const struct recompute_join *j, struct records *out, struct tm_error *err)
{
    const struct recompute_events *e = j->events;
    size_t count = 0;
    for (size_t i = 0; i < e->count; i++)
        count += e->rules->stream[e->event[i].stream].kind == KIND_FEATURES;
    *out = (struct records){.event = e->event, .key = e->rules->key};
    if (count == 0)
        return TM_OK;
    uint64_t bytes = j->capacity * sizeof *j->share + count * (sizeof *out->at + sizeof *j->late);
    if (recompute_check_memory(j, bytes, err) != TM_OK)
        return err->code;
    out->at = mem_new(count, sizeof *out->at);
    for (size_t i = 0; i < e->count; i++)
        if (e->rules->stream[e->event[i].stream].kind == KIND_FEATURES)
            out->at[out->count++] = (uint32_t)i;
    qsort_r(out->at, out->count, sizeof *out->at, by_stream_and_order, out);
    return TM_OK;
}

/* The first record of the impression's key, or of a later one. */
static size_t first_of(const struct records *r, const Event *shown)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (recompute_compare_keys(&r->event[r->at[middle]], shown, r->key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One of each stream: further ones are repetitions. One without features takes its stream's place, too. */
static void find_late_of(struct recompute_join *j, const struct records *r, uint32_t impression)
{
    const Event *shown = &r->event[impression];
    int64_t until = shown->time + recompute_nearby(j->events->rules);
    int taken = -1;
    for (size_t i = first_of(r, shown); i < r->count; i++) {
        const Event *record = &r->event[r->at[i]];
        if (recompute_compare_keys(record, shown, r->key) != 0)
            return;
        if (record->stream == taken || record->time > until)
            continue;
        taken = record->stream;
        if (record->has_features)
            j->late[j->lates++] = (struct recompute_late){impression, r->at[i]};
    }
}

enum tm_code recompute_find_late(struct recompute_join *j, struct tm_error *err)
{
    CLEANUP(records_close) struct records records;
    if (find_records(j, &records, err) != TM_OK)
        return err->code;
    if (records.count)
        j->late = mem_new(records.count, sizeof *j->late); /* a record has one impression at most: keys are theirs */
    for (size_t i = 0; records.count && i < j->impressions; i++)
        find_late_of(j, &records, j->impression[i]);
    return TM_OK;
}
