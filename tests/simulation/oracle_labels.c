/* Labels: computed anew from all actions that count for an impression, each time. */
#include "tests/simulation/oracle_state.h"

#include <math.h>

bool oracle_acts_on(const struct oracle *o, const struct oracle_record *r, uint32_t impression)
{
    return r->fate == FATE_MATCHED && r->impression == impression &&
           o->catalog.join.stream[r->stream].kind == JOINER_ACTION;
}

/* It acts, and nobody has taken it back. */
static bool counts(const struct oracle *o, const struct oracle_shard *s, uint32_t at, uint32_t impression)
{
    const struct oracle_record *r = &s->record[at];
    if (is_attributed(o, r))
        return oracle_parts_of(o, s, at, impression) > 0;
    if (!oracle_acts_on(o, r, impression) || r->withdraw)
        return false;
    for (uint32_t i = 0; i < s->records; i++)
        if (s->record[i].withdraw && oracle_acts_on(o, &s->record[i], impression) && s->record[i].stream == r->stream &&
            strcmp(s->record[i].id, r->id) == 0)
            return false;
    return true;
}

/* Of the actions that count for an impression, the first behind `after` in the order of (time, position). */
uint32_t oracle_next_action(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t after)
{
    uint32_t best = NOBODY;
    for (uint32_t i = 0; i < s->records; i++) {
        int64_t time = s->record[i].time;
        if (!counts(o, s, i, impression))
            continue;
        if (after != NOBODY && (time < s->record[after].time || (time == s->record[after].time && i <= after)))
            continue;
        if (best == NOBODY || time < s->record[best].time)
            best = i; /* records lie in the order of positions */
    }
    return best;
}

uint32_t oracle_last_action(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    uint32_t last = NOBODY, next;
    while ((next = oracle_next_action(o, s, impression, last)) != NOBODY)
        last = next;
    return last;
}

/* One label, of the actions that count up to and with `last`. */
static double label_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t label,
                       uint32_t last)
{
    const struct joiner_label *l = &o->catalog.join.label[label];
    double count = 0, sum = 0, max = -HUGE_VAL, newest = 0, delay = 0, v = 0;
    for (uint32_t i = NOBODY; last != NOBODY && i != last;) {
        i = oracle_next_action(o, s, impression, i);
        const struct oracle_record *r = &s->record[i];
        if (!(o->catalog.join.stream[r->stream].labels >> label & 1))
            continue;
        double value = is_attributed(o, r) ? r->value / oracle_parts_of(o, s, i, impression) : r->value;
        delay = count == 0 ? fmax(0, (double)(r->time - s->record[impression].time)) / 1000 : delay;
        count++;
        sum += value;
        max = fmax(max, value);
        newest = value;
    }
    switch (l->aggregate) {
    case LABEL_EXISTS: v = count > 0; break;
    case LABEL_COUNT: v = count; break;
    case LABEL_SUM: v = sum; break;
    case LABEL_MEAN: v = sum / count; break;
    case LABEL_MAX: v = max; break;
    case LABEL_LAST: v = newest; break;
    case LABEL_FIRST_DELAY: v = delay; break;
    case LABEL_AGGREGATE_COUNT: break;
    }
    if (l->cap.given)
        v = fmin(v, l->cap.value);
    if (l->threshold.given)
        v = v >= l->threshold.value ? 1 : 0;
    return count > 0 ? v + 0.0 : 0;
}

/* Of the actions up to `last`, the first that counts for a label; NOBODY: none. */
static uint32_t first_action(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t label,
                             uint32_t last)
{
    for (uint32_t i = NOBODY; last != NOBODY && i != last;) {
        i = oracle_next_action(o, s, impression, i);
        if (stream_of(o, &s->record[i])->labels >> label & 1)
            return i;
    }
    return NOBODY;
}

/* What the labels come to, and whether the sample is excluded: the filters, told one after the other. */
bool oracle_labels_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t last,
                      double out[static JOINER_LABELS_MAX])
{
    const struct label_filters *filters = &o->catalog.join.label_filters;
    bool excluded = false, zeroed[JOINER_LABELS_MAX] = {false};
    memset(out, 0, JOINER_LABELS_MAX * sizeof *out);
    for (uint32_t i = 0; i < o->epoch[s->record[impression].epoch].labels; i++)
        out[i] = label_of(o, s, impression, i, last);
    for (uint32_t i = 0; i < filters->count; i++) {
        const struct label_filter *f = &filters->filter[i];
        uint32_t first = first_action(o, s, impression, f->label, last);
        if (first == NOBODY || zeroed[f->label])
            continue;
        double after = fmax(0, (double)(s->record[first].time - s->record[impression].time)) / 1000;
        double number = f->look == LOOK_AT_DELAY ? after : out[f->label];
        if (number < f->least || number > f->most) {
            excluded = excluded || f->drop;
            for (uint32_t k = 0; k < JOINER_LABELS_MAX; k++)
                if (f->zeroes >> k & 1) {
                    zeroed[k] = true;
                    out[k] = 0;
                }
        }
    }
    return excluded;
}
