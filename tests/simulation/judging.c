#include "tests/simulation/judging.h"

#include <inttypes.h>
#include <math.h>

#include "tests/simulation/history.h"

static const int64_t lengths[VALIDATION_WINDOWS] = {300000, 3600000}, panes[VALIDATION_WINDOWS] = {12, 24};

static int64_t stretch_of(enum validation_window w, int64_t time) { return time / lengths[w]; } /* after 1970 */

static bool fell_out(const struct jury *jury, enum validation_kind kind, enum validation_window w, int64_t time)
{
    return stretch_of(w, time) <= stretch_of(w, jury->newest[kind]) - panes[w];
}

void judging_new(struct jury *jury, struct judgement *j, enum validation_kind kind, double predicted)
{
    float p = (float)predicted;
    bool real = j->unit > 0;
    if (!(real ? isfinite(p) : p >= 0 && p <= 1) || j->weight > 1048576) {
        ++*(kind == VALIDATION_SERVED ? &jury->not_judged.served : &jury->not_judged.prequential);
        return;
    }
    if (!jury->any[kind] || j->time > jury->newest[kind])
        jury->newest[kind] = j->time;
    jury->any[kind] = j->judged[kind] = true;
    j->predicted[kind] = p;
    for (int w = 0; w < VALIDATION_WINDOWS; w++)
        jury->late[kind][w] += fell_out(jury, kind, (enum validation_window)w, j->time);
}

void judging_correct(struct jury *jury, struct judgement *j, double reward, double weight)
{
    j->reward = reward;
    j->weight = weight;
    jury->not_judged.corrections += !j->judged[VALIDATION_SERVED] && !j->judged[VALIDATION_PREQUENTIAL];
    for (int k = 0; k < VALIDATION_KINDS; k++)
        for (int w = 0; j->judged[k] && w < VALIDATION_WINDOWS; w++)
            jury->gone[k][w] += fell_out(jury, (enum validation_kind)k, (enum validation_window)w, j->time);
}

static int64_t in_units(double x) { return llround(x * 1048576); }

struct sum {
    int64_t weight, predicted, positive, loss; /* in units */
    uint64_t negatives, positives;
    /* Of real-valued rewards, in units. */
    uint64_t real;
    int64_t real_weight, foretold, squared, absolute, reward, reward_squared, density;
};

struct place {
    const struct history *history;
    uint32_t shard, version; /* index */
    enum validation_kind kind;
    enum validation_window window;
    int64_t stretch;
};

static bool belongs(const struct place *at, const struct judgement *j)
{
    return j->judged[at->kind] && stretch_of(at->window, j->time) == at->stretch;
}

/* -ln of the density of Student's t. */
static double surprise(double distance, double scale, double freedom)
{
    int sign;
    double t = distance / scale, half = (freedom + 1) / 2;
    double top = lgamma_r(half, &sign) - lgamma_r(freedom / 2, &sign) - half * log(1 + t * t / freedom);
    return log(scale) + 0.5 * log(freedom * 3.14159265358979323846) - top;
}

static void add_real(struct sum *sum, const struct judgement *j, enum validation_kind kind)
{
    double distance = j->reward - (double)j->predicted[kind], off = distance / j->unit, reward = j->reward / j->unit;
    sum->real++;
    sum->real_weight += in_units(j->weight);
    sum->squared += in_units(j->weight * off * off);
    sum->absolute += in_units(j->weight * fabs(off));
    sum->reward += in_units(j->weight * reward);
    sum->reward_squared += in_units(j->weight * reward * reward);
    if (kind != VALIDATION_PREQUENTIAL)
        return;
    sum->foretold += in_units(j->weight);
    sum->density += in_units(j->weight * surprise(distance, (double)j->scale, (double)j->freedom));
}

static bool errors_agree(const struct error_sums *got, const struct sum *want)
{
    error_sum apart = got->density - want->density; /* written another way, it is rounded another way */
    return got->samples == want->real && got->weight == want->real_weight && got->foretold == want->foretold &&
           got->squared == want->squared && got->absolute == want->absolute && got->reward == want->reward &&
           got->reward_squared == want->reward_squared && got->covered <= got->foretold &&
           (apart < 0 ? -apart : apart) <= (error_sum)want->real;
}

static void add(struct sum *sum, const struct judgement *j, float predicted)
{
    double p = fmax(1e-7, fmin(1 - 1e-7, (double)predicted));
    sum->weight += in_units(j->weight);
    sum->predicted += in_units(j->weight * p);
    sum->positive += in_units(j->weight * j->reward);
    sum->loss += in_units(-j->weight * (j->reward * log(p) + (1 - j->reward) * log(1 - p)));
    sum->positives += j->reward >= 0.5;
    sum->negatives += j->reward < 0.5;
}

/* All requests are in the sample while it has room. */
static void check_requests(const struct place *at, const struct request_sample *got, const struct judgement *j,
                           const struct lessons *l)
{
    uint32_t have = 0, want = 0;
    for (uint32_t i = 0; i < got->count; i++)
        have += got->entry[i].request == j->request && got->entry[i].positive == (j->reward >= 0.5);
    for (uint32_t i = 0; i < l->lessons; i++) {
        const struct judgement *other = &l->lesson[i].judgement[at->version];
        want += belongs(at, other) && other->request == j->request && (other->reward >= 0.5) == (j->reward >= 0.5);
    }
    if (got->level == 0 && have != want)
        mismatch("shard %u version %u: %u samples of a request, expected %u", at->shard, at->version + 1, have, want);
}

static void tell_errors(const struct place *at, const struct error_sums *got, const struct sum *want)
{
    mismatch("shard %u version %u kind %d: the errors of pane %" PRId64 ": %" PRIu64 " samples, weight %" PRId64
             ", foretold %" PRId64
             ", squared %.0f, absolute %.0f, reward %.0f, its square %.0f, density %.0f, expected %" PRIu64 ", %" PRId64
             ", %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64,
             at->shard, at->version + 1, (int)at->kind, at->stretch, got->samples, got->weight, got->foretold,
             (double)got->squared, (double)got->absolute, (double)got->reward, (double)got->reward_squared,
             (double)got->density, want->real, want->real_weight, want->foretold, want->squared, want->absolute,
             want->reward, want->reward_squared, want->density);
}

static void check_pane(const struct place *at, const struct validation_pane *got)
{
    const struct lessons *l = &oracle_shard(at->history->oracle, at->shard)->lessons;
    struct sum want = {0};
    uint64_t negatives = 0, positives = 0;
    for (uint32_t i = 0; i < l->lessons; i++) {
        const struct judgement *j = &l->lesson[i].judgement[at->version];
        if (!belongs(at, j))
            continue;
        if (j->unit > 0) {
            add_real(&want, j, at->kind);
            continue;
        }
        add(&want, j, j->predicted[at->kind]);
        check_requests(at, &got->requests, j, l);
    }
    for (int i = 0; i < VALIDATION_SCORES; i++) {
        negatives += got->score[i];
        positives += got->score[VALIDATION_SCORES + i];
    }
    if (!errors_agree(&got->errors, &want))
        tell_errors(at, &got->errors, &want);
    if (got->stretch != at->stretch || got->all.weight != want.weight || got->all.predicted != want.predicted ||
        got->all.positive != want.positive || got->loss != want.loss || negatives != want.negatives ||
        positives != want.positives)
        mismatch("shard %u version %u kind %d: pane %" PRId64 " has weight %" PRId64 " predicted %" PRId64
                 " positive %" PRId64 " loss %" PRId64 ", expected %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64,
                 at->shard, at->version + 1, (int)at->kind, at->stretch, got->all.weight, got->all.predicted,
                 got->all.positive, got->loss, want.weight, want.predicted, want.positive, want.loss);
}

static void check_kind(struct place at, const struct jury *jury, const struct validation *got)
{
    enum validation_kind k = at.kind;
    if ((got != NULL) != jury->any[k])
        mismatch("shard %u version %u kind %d: judged %d, expected %d", at.shard, at.version + 1, (int)k, got != NULL,
                 jury->any[k]);
    for (int w = 0; got && w < VALIDATION_WINDOWS; w++) {
        at.window = (enum validation_window)w;
        int64_t newest = stretch_of(at.window, jury->newest[k]);
        if (got->newest[w] != newest || got->late[w] != jury->late[k][w] || got->gone[w] != jury->gone[k][w])
            mismatch("shard %u version %u kind %d: newest %" PRId64 ", %" PRIu64 " late, %" PRIu64
                     " gone, expected %" PRId64 ", %" PRIu64 ", %" PRIu64,
                     at.shard, at.version + 1, (int)k, got->newest[w], got->late[w], got->gone[w], newest,
                     jury->late[k][w], jury->gone[k][w]);
        for (at.stretch = newest - panes[w] + 1; at.stretch <= newest; at.stretch++)
            check_pane(&at, &got->pane[validation_slot(at.window, at.stretch)]);
    }
}

void history_check_validation(const struct history *h, uint32_t shard, struct shard *s)
{
    const struct catalog *c = oracle_catalog(h->oracle);
    for (uint32_t i = 0; i < c->versions; i++)
        for (int k = 0; k < VALIDATION_KINDS; k++)
            check_kind((struct place){h, shard, i, (enum validation_kind)k, VALIDATION_HOUR, 0},
                       &oracle_shard(h->oracle, shard)->lessons.student[i].jury,
                       shard_validation(s, c->version[i]->id, (enum validation_kind)k));
}
