#include "client/recompute.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/merge.h"
#include "client/recompute_join.h"

enum { WAIT_MS = 20 };

struct recompute {
    struct recompute_events events;
    struct recompute_join join;
};

void recompute_close(struct recompute *r)
{
    if (!r)
        return;
    recompute_join_close(&r->join);
    recompute_events_close(&r->events);
    free(r);
}

uint64_t recompute_memory(const struct recompute *r)
{
    return recompute_events_memory(&r->events) + r->join.capacity * sizeof *r->join.share +
           r->join.lates * sizeof *r->join.late + r->events.count * sizeof *r->join.impression;
}

/* ---- reading ---- */

static void tell_problem(const struct recompute_options *o, const struct merge *m, const struct merge_place *place,
                         const char *what, const char *why, uint64_t told)
{
    if (told <= RECOMPUTE_PROBLEMS_SHOWN)
        progress_problem(o->progress, "%s:%" PRIu64 ": %s: %s", merge_name(m, place->file), place->line, what, why);
}

static enum tm_code read_records(struct recompute *r, struct merge *m, const struct recompute_options *o,
                                 struct recompute_counts *counts, struct tm_error *err)
{
    struct merge_record record;
    struct merge_place place;
    struct tm_error why;
    for (;;) {
        switch (merge_next(m, &record, &place, &why)) {
        case MERGE_RECORD: break;
        case MERGE_WAIT: clock_sleep_ms(WAIT_MS); continue;
        case MERGE_END: return TM_OK;
        case MERGE_FAILED: *err = why; return err->code;
        case MERGE_MALFORMED:
            tell_problem(o, m, &place, "malformed", why.message, ++counts->malformed + r->events.refused);
            continue;
        }
        uint64_t refused = r->events.refused;
        counts->records++;
        if (recompute_events_take(&r->events, record.wire, &why, err) != TM_OK)
            return err->code;
        if (r->events.refused > refused)
            tell_problem(o, m, &place, "no server takes it", why.message, counts->malformed + r->events.refused);
        progress_show(o->progress, merge_bytes_read(m), merge_bytes_total(m), counts->records);
    }
}

enum tm_code recompute_open(const struct recompute_options *o, struct recompute **out, struct recompute_counts *counts,
                            struct tm_error *err)
{
    struct merge *m = NULL;
    struct recompute *r = mem_new(1, sizeof *r);
    *counts = (struct recompute_counts){0};
    recompute_events_open(&r->events, o->rules, o->from, o->to, o->memory_max);
    enum tm_code rc = merge_open(o->paths, o->path_count, &m, err);
    if (rc == TM_OK)
        rc = read_records(r, m, o, counts, err);
    merge_close(m);
    counts->refused = r->events.refused;
    counts->blocked = r->events.blocked;
    counts->robots = r->events.robots;
    counts->filtered = r->events.filtered;
    if (rc == TM_OK)
        rc = recompute_join(&r->events, &r->join, err);
    counts->crowded = r->join.crowded;
    if (rc != TM_OK) {
        recompute_close(r);
        r = NULL;
    }
    *out = r;
    return rc;
}

/* ---- telling ---- */

/* Whose label is each of ours? */
static enum tm_code map_labels(const struct recompute_rules *rules, char *const *labels, size_t count, uint32_t *place,
                               struct tm_error *err)
{
    for (uint32_t i = 0; i < rules->labels; i++) {
        for (place[i] = 0; place[i] < count && strcmp(labels[place[i]], rules->label[i].name) != 0;)
            place[i]++;
        if (place[i] == count)
            return tm_error_set(err, TM_FAILED_PRECONDITION, "label %s: the server has none of this name",
                                rules->label[i].name);
    }
    return TM_OK;
}

/* Texts are views into the names. */
static void fill(const struct recompute *r, const struct recompute_event *e, const double *label, const uint32_t *place,
                 struct told_sample *out)
{
    const struct recompute_rules *rules = r->events.rules;
    const struct names *names = &r->events.names;
    bool negative = true;
    *out = (struct told_sample){.version = names_text(names, e->version),
                                .request = names_text(names, e->request),
                                .doc = names_text(names, e->doc),
                                .has_time = true,
                                .impression_time = e->time,
                                .has_weight = true,
                                .weight = e->number};
    if (rules->key & KEY_OF_USER)
        out->user = names_text(names, e->user);
    for (uint32_t i = 0; i < rules->labels; i++) {
        out->labels |= UINT64_C(1) << place[i];
        out->label[place[i]] = label[i];
        negative = negative && label[i] == 0;
    }
    out->keep = negative ? e->keep : 1;
    /* What was left out and comes back does so without its event. */
    out->has_features = r->events.features && e->keep >= 1;
}

enum tm_code recompute_tell(const struct recompute *r, char *const *labels, size_t count, struct match *m,
                            struct tm_error *err)
{
    const struct recompute_join *j = &r->join;
    uint32_t place[SAMPLE_LABELS_MAX];
    enum tm_code rc = map_labels(r->events.rules, labels, count, place, err);
    for (size_t i = 0, at = 0, late = 0; rc == TM_OK && i < j->impressions; i++) {
        const struct recompute_event *e = &r->events.event[j->impression[i]];
        double label[SAMPLE_LABELS_MAX];
        struct told_sample told;
        size_t n = 0;
        while (at + n < j->shares && j->share[at + n].impression == j->impression[i])
            n++;
        recompute_labels(r->events.rules, e->time, j->share + at, n, label);
        at += n;
        fill(r, e, label, place, &told);
        rc = match_there_hashed(m, &told, e->features, err);
        for (; rc == TM_OK && late < j->lates && j->late[late].impression == j->impression[i]; late++)
            rc = match_there_late(m, &told, r->events.event[j->late[late].record].features, err);
    }
    return rc;
}
