#include "client/recompute_join.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ACTIONS_MAX = 16, SHOWN_MAX = 32, FIRST_CAPACITY = 1024 };
#define NONE UINT32_MAX

typedef struct recompute_event Event;

void recompute_join_close(struct recompute_join *j)
{
    free(j->impression);
    free(j->share);
    free(j->late);
    *j = (struct recompute_join){0};
}

/* ---- orders: arrays of places among the events ---- */

struct sorting {
    const Event *event;
    uint32_t key; /* bits of enum rules_key */
};

static int compare(int64_t a, int64_t b) { return (a > b) - (a < b); }

int recompute_compare_keys(const Event *a, const Event *b, uint32_t key)
{
    int order = key & KEY_OF_REQUEST ? compare(a->request, b->request) : 0;
    if (order == 0 && (key & KEY_OF_USER))
        order = compare(a->user, b->user);
    if (order == 0 && (key & KEY_OF_DOC))
        order = compare(a->doc, b->doc);
    return order;
}

/* Equal for an event that was sent again. */
static int compare_identities(const Event *a, const Event *b)
{
    int order = compare(a->event, b->event);
    if (order != 0 || a->event != 0)
        return order;
    order = recompute_compare_keys(a, b, KEY_OF_REQUEST | KEY_OF_USER | KEY_OF_DOC);
    if (order == 0)
        order = compare(a->time, b->time);
    return order ? order : (a->sent > b->sent) - (a->sent < b->sent);
}

static int by_key_and_order(const void *a, const void *b, void *context)
{
    const struct sorting *s = context;
    const Event *x = &s->event[*(const uint32_t *)a], *y = &s->event[*(const uint32_t *)b];
    int order = recompute_compare_keys(x, y, s->key);
    return order ? order : compare(x->order, y->order);
}

static int by_key_and_time(const void *a, const void *b, void *context)
{
    const struct sorting *s = context;
    const Event *x = &s->event[*(const uint32_t *)a], *y = &s->event[*(const uint32_t *)b];
    int order = recompute_compare_keys(x, y, s->key);
    if (order == 0)
        order = compare(x->time, y->time);
    return order ? order : compare(x->order, y->order);
}

static int by_key_and_identity(const void *a, const void *b, void *context)
{
    const struct sorting *s = context;
    const Event *x = &s->event[*(const uint32_t *)a], *y = &s->event[*(const uint32_t *)b];
    int order = recompute_compare_keys(x, y, s->key);
    if (order == 0)
        order = compare_identities(x, y);
    return order ? order : compare(x->order, y->order);
}

static int by_place(const void *a, const void *b) { return compare(*(const uint32_t *)a, *(const uint32_t *)b); }

/* Places, sorted. */
struct list {
    uint32_t *at;
    size_t count;
};

static void list_close(struct list *l) { free(l->at); }

static void list_sort(struct list *l, const Event *event, uint32_t key, int (*by)(const void *, const void *, void *))
{
    if (l->count)
        qsort_r(l->at, l->count, sizeof *l->at, by, &(struct sorting){event, key});
}

/* Where the key of the first one ends. */
static size_t run_of(const Event *event, const uint32_t *at, size_t count, uint32_t key)
{
    size_t n = 1;
    while (n < count && recompute_compare_keys(&event[at[0]], &event[at[n]], key) == 0)
        n++;
    return n;
}

/* ---- impressions ---- */

static void find_impressions(struct recompute_join *j)
{
    const struct recompute_events *e = j->events;
    const struct recompute_rules *r = e->rules;
    struct list all = {.at = mem_new(e->count + 1, sizeof *all.at)};
    for (size_t i = 0; i < e->count; i++)
        if (r->stream[e->event[i].stream].kind == KIND_IMPRESSION)
            all.at[all.count++] = (uint32_t)i;
    list_sort(&all, e->event, r->key, by_key_and_order);
    for (size_t i = 0; i < all.count; i += run_of(e->event, all.at + i, all.count - i, r->key))
        all.at[j->impressions++] = all.at[i];
    if (j->impressions)
        qsort(all.at, j->impressions, sizeof *all.at, by_place);
    j->impression = all.at;
}

/* Those that can be found under a key, by it and their time. */
static struct list impressions_under(const struct recompute_join *j, uint32_t key)
{
    struct list l = {.at = mem_new(j->impressions + 1, sizeof *l.at)};
    for (size_t i = 0; i < j->impressions; i++) {
        const Event *e = &j->events->event[j->impression[i]];
        if ((!(key & KEY_OF_REQUEST) || e->request) && (!(key & KEY_OF_USER) || e->user))
            l.at[l.count++] = j->impression[i];
    }
    list_sort(&l, j->events->event, key, by_key_and_time);
    return l;
}

/* ---- what fits ---- */

/* What one stream's actions under one key may count for. */
struct scope {
    struct recompute_join *join;
    const struct rules_stream *stream;
    const uint32_t *shown; /* impressions under the key, by time */
    size_t count;
};

static bool fits(const struct scope *s, const Event *shown, const Event *action)
{
    int64_t ahead = shown->time - action->time;
    if ((action->version && action->version != shown->version) || -ahead > s->stream->within)
        return false;
    if (s->stream->holder != HELD_BY_KEY)
        return ahead <= 0;
    return (s->stream->before == 0 || ahead <= s->stream->before) && ahead <= s->join->events->rules->allowed_lateness;
}

/* The first impression at or behind a time. */
static size_t first_from(const struct scope *s, int64_t time)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->join->events->event[s->shown[middle]].time < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Those that may fit the action: all in front of *end from the result on. */
static size_t range_of(const struct scope *s, const Event *action, size_t *end)
{
    *end = s->stream->holder == HELD_BY_KEY ? s->count : first_from(s, action->time + 1);
    return first_from(s, action->time - s->stream->within);
}

static bool fits_any(const struct scope *s, const Event *action)
{
    size_t end, i = range_of(s, action, &end);
    while (i < end && !fits(s, &s->join->events->event[s->shown[i]], action))
        i++;
    return i < end;
}

/* ---- who holds an action ---- */

enum tm_code recompute_check_memory(const struct recompute_join *j, uint64_t more, struct tm_error *err)
{
    if (recompute_events_memory(j->events) + more <= j->events->memory_max)
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "joining %zu events needs more than %" PRIu64
                        " MiB; allow more with --memory, or compare a part of the time, with --from and --to",
                        j->events->count, j->events->memory_max >> 20);
}

static enum tm_code add_share(struct recompute_join *j, uint32_t impression, const Event *action, double value,
                              struct tm_error *err)
{
    if (j->shares == j->capacity) {
        size_t capacity = j->capacity ? 2 * j->capacity : FIRST_CAPACITY;
        if (recompute_check_memory(j, capacity * sizeof *j->share, err) != TM_OK)
            return err->code;
        j->share = mem_grow(j->share, capacity, sizeof *j->share);
        j->capacity = capacity;
    }
    j->share[j->shares++] = (struct recompute_share){.impression = impression,
                                                     .order = action->order,
                                                     .time = action->time,
                                                     .value = value,
                                                     .stream = action->stream};
    return TM_OK;
}

/* What an impression held is settled when the withdrawal comes too late for it. */
static bool is_taken_back(const struct scope *s, const Event *shown, const Event *withdrawal)
{
    return withdrawal && withdrawal->time <= shown->time + recompute_reach(s->join->events->rules);
}

/* To those that hold it. withdrawal: NULL if there is none. */
static enum tm_code give(const struct scope *s, const Event *action, const Event *withdrawal, struct tm_error *err)
{
    size_t end, begin = range_of(s, action, &end), holders = 0, first = end, last = end;
    const Event *event = s->join->events->event;
    enum tm_code rc = TM_OK;
    for (size_t i = begin; i < end; i++) {
        if (!fits(s, &event[s->shown[i]], action))
            continue;
        first = first == end ? i : first;
        last = i;
        holders++;
    }
    if (s->stream->holder == HELD_BY_FIRST)
        last = first;
    else if (s->stream->holder != HELD_BY_ALL)
        first = last;
    if (first == last)
        holders = 1;
    for (size_t i = first; rc == TM_OK && i <= last && i < end; i++) {
        const Event *shown = &event[s->shown[i]];
        if (fits(s, shown, action) && !is_taken_back(s, shown, withdrawal))
            rc = add_share(s->join, s->shown[i], action, action->number / (double)holders, err);
    }
    return rc;
}

/* ---- actions and withdrawals of one stream under one key ---- */

/* Those of one identity that fit and came first; NONE: there is none. */
struct pair {
    uint32_t action, withdrawal;
};

static struct pair pair_of(const struct scope *s, const uint32_t *at, size_t count)
{
    struct pair p = {NONE, NONE};
    for (size_t i = 0; i < count; i++) {
        const Event *e = &s->join->events->event[at[i]];
        uint32_t *which = e->withdraw ? &p.withdrawal : &p.action;
        if (*which == NONE && fits_any(s, e))
            *which = at[i];
    }
    return p;
}

/* The order of the last of them that still counts, when too many came. */
static uint32_t last_taken(const Event *event, const struct pair *pair, size_t count, bool withdrawals)
{
    uint32_t *order = mem_new(count + 1, sizeof *order), last = NONE;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t at = withdrawals ? pair[i].withdrawal : pair[i].action;
        if (at != NONE)
            order[n++] = event[at].order;
    }
    if (n > ACTIONS_MAX) {
        qsort(order, n, sizeof *order, by_place);
        last = order[ACTIONS_MAX - 1];
    }
    free(order);
    return last;
}

static int by_time(const void *a, const void *b) { return compare(*(const int64_t *)a, *(const int64_t *)b); }

/* Are there more than `most` of these ascending times within `reach`? */
static bool any_crowd(const int64_t *time, size_t count, size_t most, int64_t reach)
{
    for (size_t i = most; i < count; i++)
        if (time[i] - time[i - most] <= reach)
            return true;
    return false;
}

static bool is_crowded(const struct scope *s, const struct pair *pair, size_t count)
{
    const Event *event = s->join->events->event;
    int64_t reach = recompute_reach(s->join->events->rules);
    size_t size = s->count > count ? s->count : count, actions = 0;
    int64_t *time = mem_new(size, sizeof *time);
    for (size_t i = 0; i < s->count; i++)
        time[i] = event[s->shown[i]].time;
    bool crowded = any_crowd(time, s->count, SHOWN_MAX, reach);
    for (size_t i = 0; i < count; i++)
        if (pair[i].action != NONE)
            time[actions++] = event[pair[i].action].time;
    if (actions)
        qsort(time, actions, sizeof *time, by_time);
    crowded = crowded || any_crowd(time, actions, ACTIONS_MAX, reach);
    free(time);
    return crowded;
}

static enum tm_code give_pairs(const struct scope *s, const struct pair *pair, size_t count, struct tm_error *err)
{
    const Event *event = s->join->events->event;
    bool bounded = s->stream->holder == HELD_BY_KEY;
    uint32_t last_action = bounded ? last_taken(event, pair, count, false) : NONE;
    uint32_t last_withdrawal = bounded ? last_taken(event, pair, count, true) : NONE;
    enum tm_code rc = TM_OK;
    s->join->crowded += !bounded && is_crowded(s, pair, count);
    for (size_t i = 0; rc == TM_OK && i < count; i++) {
        uint32_t action = pair[i].action, withdrawal = pair[i].withdrawal;
        bool withdrawn = withdrawal != NONE && event[withdrawal].order <= last_withdrawal;
        if (action != NONE && event[action].order <= last_action)
            rc = give(s, &event[action], withdrawn ? &event[withdrawal] : NULL, err);
    }
    return rc;
}

static enum tm_code join_key(const struct scope *s, const uint32_t *at, size_t count, struct tm_error *err)
{
    const Event *event = s->join->events->event;
    struct pair *pair = mem_new(count, sizeof *pair);
    size_t pairs = 0;
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && compare_identities(&event[at[i]], &event[at[i + n]]) == 0;)
            n++;
        pair[pairs++] = pair_of(s, at + i, n);
    }
    enum tm_code rc = give_pairs(s, pair, pairs, err);
    free(pair);
    return rc;
}

static enum tm_code join_stream(struct recompute_join *j, uint8_t stream, struct tm_error *err)
{
    const struct recompute_events *e = j->events;
    const struct rules_stream *s = &e->rules->stream[stream];
    CLEANUP(list_close) struct list shown = impressions_under(j, s->key);
    CLEANUP(list_close) struct list actions = {.at = mem_new(e->count + 1, sizeof *actions.at)};
    enum tm_code rc = TM_OK;
    for (size_t i = 0; i < e->count; i++)
        if (e->event[i].stream == stream)
            actions.at[actions.count++] = (uint32_t)i;
    list_sort(&actions, e->event, s->key, by_key_and_identity);
    for (size_t a = 0, i = 0, n; rc == TM_OK && a < actions.count; a += n) {
        n = run_of(e->event, actions.at + a, actions.count - a, s->key);
        while (i < shown.count && recompute_compare_keys(&e->event[shown.at[i]], &e->event[actions.at[a]], s->key) < 0)
            i++;
        if (i == shown.count || recompute_compare_keys(&e->event[shown.at[i]], &e->event[actions.at[a]], s->key) != 0)
            continue;
        size_t count = run_of(e->event, shown.at + i, shown.count - i, s->key);
        rc = join_key(&(struct scope){j, s, shown.at + i, count}, actions.at + a, n, err);
    }
    return rc;
}

/* ---- all of it ---- */

static int by_impression(const void *a, const void *b)
{
    const struct recompute_share *x = a, *y = b;
    int order = compare(x->impression, y->impression);
    if (order == 0)
        order = compare(x->time, y->time);
    return order ? order : compare(x->order, y->order);
}

enum tm_code recompute_join(const struct recompute_events *events, struct recompute_join *out, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    *out = (struct recompute_join){.events = events};
    find_impressions(out);
    for (uint32_t i = 0; rc == TM_OK && i < events->rules->streams; i++)
        if (events->rules->stream[i].kind == KIND_ACTION)
            rc = join_stream(out, (uint8_t)i, err);
    if (rc == TM_OK)
        rc = recompute_find_late(out, err);
    if (rc == TM_OK && out->shares)
        qsort(out->share, out->shares, sizeof *out->share, by_impression);
    if (rc != TM_OK)
        recompute_join_close(out);
    return rc;
}
