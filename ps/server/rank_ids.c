#include "ps/server/rank_ids.h"

#include <inttypes.h>
#include <stdlib.h>

struct list {
    const char *field;
    const uint32_t *id;
    size_t count;
};

static struct list list_of(const char *field, const struct buffer *b)
{
    return (struct list){field, (const uint32_t *)(const void *)b->data, b->size / sizeof(uint32_t)};
}

/* end: from the counts; those of all that were sent. */
static enum tm_code divide(const struct rank_request *q, const struct list *own, size_t *end, struct tm_error *err)
{
    struct list counts = list_of("id_counts", &q->id_counts);
    if (counts.count == 0 && own->count % q->count != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "ids: %zu of %" PRIu32 " candidates; expected as many of each, or id_counts", own->count,
                            q->count);
    if (counts.count && counts.count != q->count)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "id_counts: %zu of %" PRIu32 " candidates; expected one of each",
                            counts.count, q->count);
    end[0] = 0;
    for (uint32_t i = 0; i < q->count; i++)
        end[i + 1] = end[i] + (counts.count ? counts.id[i] : own->count / q->count);
    if (end[q->count] != own->count)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "id_counts: %zu together; expected %zu, the ids", end[q->count],
                            own->count);
    return TM_OK;
}

static enum tm_code check_size(const struct rank_request *q, size_t shared, const size_t *end, struct tm_error *err)
{
    for (uint32_t i = 0; i < q->count; i++)
        if (shared + end[i + 1] - end[i] > RANK_IDS_MAX)
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "docs[%" PRIu32 "]: %zu ids and %zu of context_ids; expected at most %d together", i,
                                end[i + 1] - end[i], shared, RANK_IDS_MAX);
    if (shared * q->count + end[q->count] > RANK_IDS_ALL_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "ids: %zu and %zu of context_ids with each of %" PRIu32 " candidates; expected at most %d",
                            end[q->count], shared, q->count, RANK_IDS_ALL_MAX);
    return TM_OK;
}

/* Of list->id[from] to list->id[to - 1], which belong together. */
static enum tm_code check_order(const struct list *list, size_t from, size_t to, uint32_t numbers, struct tm_error *err)
{
    for (size_t k = from; k < to; k++) {
        if (list->id[k] < numbers)
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "%s[%zu]: %" PRIu32 "; expected %" PRIu32 " or more, behind the numbers", list->field,
                                k, list->id[k], numbers);
        if (k > from && list->id[k] <= list->id[k - 1])
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "%s[%zu]: %" PRIu32 " follows %" PRIu32 "; expected increasing ids", list->field, k,
                                list->id[k], list->id[k - 1]);
    }
    return TM_OK;
}

static enum tm_code merge(const struct list *shared, const struct list *own, size_t from, size_t to, uint32_t *out,
                          struct tm_error *err)
{
    size_t k = 0;
    for (size_t i = from; i < to; i++) {
        while (k < shared->count && shared->id[k] < own->id[i])
            *out++ = shared->id[k++];
        if (k < shared->count && shared->id[k] == own->id[i])
            return tm_error_set(err, TM_INVALID_ARGUMENT, "ids[%zu]: %" PRIu32 " is in context_ids, too", i,
                                own->id[i]);
        *out++ = own->id[i];
    }
    for (; k < shared->count; k++)
        *out++ = shared->id[k];
    return TM_OK;
}

/* end: of the own ones, and then of both. */
static enum tm_code merge_all(const struct rank_request *q, const struct list *shared, const struct list *own,
                              uint32_t numbers, struct rank_ids *ids, struct tm_error *err)
{
    enum tm_code rc = check_order(shared, 0, shared->count, numbers, err);
    size_t from = 0;
    ids->id = mem_grow(NULL, shared->count * q->count + own->count, sizeof *ids->id);
    for (uint32_t i = 0; rc == TM_OK && i < q->count; i++) {
        size_t to = ids->end[i + 1];
        rc = check_order(own, from, to, numbers, err);
        if (rc == TM_OK)
            rc = merge(shared, own, from, to, ids->id + ids->end[i], err);
        ids->end[i + 1] = ids->end[i] + shared->count + to - from;
        from = to;
    }
    return rc;
}

enum tm_code rank_ids_merge(const struct rank_request *q, uint32_t numbers, struct rank_ids *ids, struct tm_error *err)
{
    struct list shared = list_of("context_ids", &q->context_ids), own = list_of("ids", &q->ids);
    *ids = (struct rank_ids){.end = mem_new(q->count + 1, sizeof *ids->end)};
    enum tm_code rc = divide(q, &own, ids->end, err);
    if (rc == TM_OK)
        rc = check_size(q, shared.count, ids->end, err);
    if (rc == TM_OK && shared.count + own.count)
        rc = merge_all(q, &shared, &own, numbers, ids, err);
    if (rc != TM_OK)
        rank_ids_close(ids);
    return rc;
}

void rank_ids_close(struct rank_ids *ids)
{
    free(ids->id);
    free(ids->end);
    *ids = (struct rank_ids){0};
}
