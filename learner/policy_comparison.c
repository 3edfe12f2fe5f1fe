#include "learner/policy_comparison.h"

#include <stdlib.h>

#include "learner/sequential.h"

enum { SLOTS_FIRST = 1024 };

static const double normal_95 = 1.959963984540054;

/* ---- actions ---- */

void policy_comparison_close(struct policy_comparison *c)
{
    free(c->action);
    free(c->slot);
    *c = (struct policy_comparison){0};
}

static uint32_t place_of(const struct policy_comparison *c, struct hash128 doc, int32_t position)
{
    uint32_t mask = c->slots - 1, at = ((uint32_t)doc.lo ^ (uint32_t)position * 0x9e3779b1u) & mask;
    for (; c->slot[at]; at = (at + 1) & mask) {
        const struct policy_action *a = &c->action[c->slot[at] - 1];
        if (hash128_equal(a->doc, doc) && a->position == position)
            break;
    }
    return at;
}

/* At most half full. */
static void grow(struct policy_comparison *c)
{
    c->slots = c->slots ? 2 * c->slots : SLOTS_FIRST;
    free(c->slot);
    c->slot = mem_new(c->slots, sizeof *c->slot);
    c->action = mem_grow(c->action, c->slots / 2, sizeof *c->action);
    for (uint32_t i = 0; i < c->actions; i++)
        c->slot[place_of(c, c->action[i].doc, c->action[i].position)] = i + 1;
}

/* NULL: there are too many. */
static struct policy_action *find_or_add(struct policy_comparison *c, struct bytes doc, int32_t position)
{
    struct hash128 h = hash_128(doc, 0);
    if (2 * c->actions == c->slots && c->actions < POLICY_ACTIONS_MAX)
        grow(c);
    uint32_t at = place_of(c, h, position);
    if (c->slot[at])
        return &c->action[c->slot[at] - 1];
    if (c->actions == POLICY_ACTIONS_MAX)
        return NULL;
    c->action[c->actions] = (struct policy_action){.doc = h, .position = position};
    c->slot[at] = ++c->actions;
    return &c->action[c->actions - 1];
}

static void tell(struct policy_shown *s, const struct policy_decision *d)
{
    bool first = s->told.decisions == 0;
    s->propensity_min = first ? d->propensity : fmin(s->propensity_min, d->propensity);
    s->propensity_max = first ? d->propensity : fmax(s->propensity_max, d->propensity);
    off_policy_action_add(&s->told, d->propensity, d->reward, d->times);
}

enum tm_code policy_comparison_add(struct policy_comparison *c, int log, const struct policy_decision *d,
                                   struct tm_error *err)
{
    struct policy_log *l = &c->log[log];
    struct policy_action *a = find_or_add(c, d->doc, d->position);
    if (!a)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                            "more than %d pairs of a document and a position; compare a shorter time",
                            POLICY_ACTIONS_MAX);
    struct policy_shown *s = &a->log[log];
    s->times += d->times;
    s->reward += d->times * d->reward;
    l->samples++;
    l->times += d->times;
    l->reward.first += d->times * d->reward;
    l->reward.second += d->times * d->reward * d->reward;
    l->size += d->times * fabs(d->reward);
    if (d->propensity > 0) {
        tell(s, d);
    } else {
        l->untold++;
        l->untold_size += d->times * fabs(d->reward);
    }
    return TM_OK;
}

/* ---- what the policies do ---- */

static bool is_fixed(const struct policy_comparison *c, int log)
{
    uint32_t shown = 0;
    for (uint32_t i = 0; i < c->actions; i++) {
        const struct policy_shown *s = &c->action[i].log[log];
        if (s->propensity_min != s->propensity_max)
            return false;
        shown += s->times > 0;
    }
    return shown > 0 && c->log[log].untold == 0 && c->log[log].samples >= (uint64_t)POLICY_REPEATS * shown;
}

/* The actions of one position: all that is shown there, by both. */
struct group {
    struct policy_action *action;
    uint32_t actions;
    double times[2];
};

static void sum_group(struct group *g)
{
    double reward[2] = {0};
    for (uint32_t i = 0; i < g->actions; i++)
        for (int log = 0; log < 2; log++) {
            g->times[log] += g->action[i].log[log].times;
            reward[log] += g->action[i].log[log].reward;
        }
    for (uint32_t i = 0; i < g->actions; i++)
        for (int log = 0; log < 2; log++)
            g->action[i].mean[log] = reward[log] / g->times[log];
}

static double target_of(const struct policy_comparison *c, const struct group *g, const struct policy_action *a,
                        int log)
{
    if (c->log[log].fixed)
        return a->log[log].propensity_max;
    return g->times[log] > 0 ? a->log[log].times / g->times[log] : 0;
}

static double expected_of(const struct policy_action *a, int log)
{
    return (a->log[log].reward + POLICY_SHRINKAGE * a->mean[log]) / (a->log[log].times + POLICY_SHRINKAGE);
}

/* One position of the log into the estimate of the other policy. */
static void add_group(const struct policy_comparison *c, const struct group *g, int log, struct off_policy *o)
{
    int target = 1 - log;
    double expected = 0;
    if (g->times[log] == 0)
        return;
    for (uint32_t i = 0; i < g->actions; i++)
        expected += target_of(c, g, &g->action[i], target) * expected_of(&g->action[i], log);
    for (uint32_t i = 0; i < g->actions; i++) {
        const struct policy_action *a = &g->action[i];
        off_policy_add_action(o, &a->log[log].told, target_of(c, g, a, target), expected, expected_of(a, log));
    }
}

/* The document's hash makes sums come out the same in whatever order samples came. */
static int by_position(const void *a, const void *b)
{
    const struct policy_action *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    if (x->doc.hi != y->doc.hi)
        return x->doc.hi < y->doc.hi ? -1 : 1;
    return (x->doc.lo > y->doc.lo) - (x->doc.lo < y->doc.lo);
}

/* The next position's, from `first` on; false: there is none. */
static bool next_group(struct policy_comparison *c, uint32_t *first, struct group *g)
{
    uint32_t end = *first;
    while (end < c->actions && c->action[end].position == c->action[*first].position)
        end++;
    *g = (struct group){.action = &c->action[*first], .actions = end - *first};
    sum_group(g);
    *first = end;
    return g->actions > 0;
}

static void add_groups(struct policy_comparison *c, struct off_policy o[2])
{
    struct group g;
    for (uint32_t first = 0; next_group(c, &first, &g);)
        for (int log = 0; log < 2; log++)
            add_group(c, &g, log, &o[1 - log]);
}

void policy_comparison_seal(struct policy_comparison *c)
{
    struct group g;
    if (c->sealed)
        return;
    if (c->actions)
        qsort(c->action, c->actions, sizeof *c->action, by_position);
    for (uint32_t first = 0; next_group(c, &first, &g);)
        continue;
    c->sealed = true;
}

/* An action that the log does not show is expected to earn what its position does. */
double policy_comparison_expected(const struct policy_comparison *c, int log, struct hash128 doc, int32_t position)
{
    const struct policy_action wanted = {.doc = doc, .position = position};
    uint32_t low = 0, high = c->actions;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (by_position(&c->action[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    CHECK(c->sealed);
    if (low < c->actions && by_position(&c->action[low], &wanted) == 0)
        return expected_of(&c->action[low], log);
    uint32_t beside = low < c->actions && c->action[low].position == position ? low : low - 1;
    CHECK(beside < c->actions && c->action[beside].position == position);
    return c->action[beside].mean[log];
}

/* ---- estimates ---- */

static struct policy_interval interval_of(struct estimate e, double n)
{
    if (!(n > 0))
        return (struct policy_interval){NAN, NAN, NAN, NAN, NAN, NAN};
    double half = normal_95 * e.error;
    double any = sequential_half_width(e.error * sqrt(n), n, POLICY_ALPHA, SEQUENTIAL_TUNED);
    return (struct policy_interval){e.value, e.error, e.value - half, e.value + half, e.value - any, e.value + any};
}

static struct estimate mean_of(const struct policy_log *l)
{
    double n = l->times, mean = l->reward.first / n;
    double squares = fmax(l->reward.second - n * mean * mean, 0); /* rounding may leave a little below 0 */
    return (struct estimate){mean, l->samples < 2 ? NAN : sqrt(squares / n / (n - 1))};
}

/* Of two logs of n and m samples: as of so many in each as give the difference the same error. */
static struct policy_interval difference_of(const struct policy_log log[2])
{
    struct estimate a = mean_of(&log[0]), b = mean_of(&log[1]);
    double n = 2 / (1 / log[0].times + 1 / log[1].times);
    return interval_of((struct estimate){b.value - a.value, hypot(a.error, b.error)}, n);
}

/* n: independent units that the report is made of. */
static void take_report(struct policy_estimate *e, double n)
{
    const struct off_policy_report *r = &e->report;
    e->ips = interval_of(r->ips, n);
    e->snips = interval_of(r->snips, n);
    e->dr = interval_of(r->dr, n);
    e->weight = interval_of(r->weight, n);
    e->little = !(r->effective >= POLICY_EFFECTIVE_MIN);
}

static void estimate(const struct policy_log *log, const struct off_policy *o, struct policy_estimate *out)
{
    out->refused = log->samples == 0 || (double)log->untold > POLICY_UNTOLD * (double)log->samples ||
                   log->untold_size > POLICY_UNTOLD * log->size;
    if (out->refused)
        return;
    off_policy_report(o, &out->report);
    take_report(out, o->decisions);
}

void policy_estimate_of_requests(const struct off_policy_requests *o, struct policy_estimate *out)
{
    *out = (struct policy_estimate){0};
    off_policy_requests_report(o, &out->report);
    take_report(out, (double)o->requests);
}

void policy_comparison_report(struct policy_comparison *c, struct policy_comparison_report *out)
{
    struct off_policy o[2];
    *out = (struct policy_comparison_report){.difference = difference_of(c->log)};
    for (int i = 0; i < 2; i++) {
        c->log[i].fixed = out->from_propensities[i] = is_fixed(c, i);
        off_policy_start(&o[i], INFINITY);
    }
    policy_comparison_seal(c);
    add_groups(c, o);
    for (int i = 0; i < 2; i++) {
        out->mean[i] = interval_of(mean_of(&c->log[i]), c->log[i].times);
        estimate(&c->log[1 - i], &o[i], &out->estimate[i]);
    }
}
