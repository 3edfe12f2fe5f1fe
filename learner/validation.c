#include "learner/validation.h"

#include <math.h>

enum { MINUTE = 60000, SCORES_PER_BIN = 4 };

static const double score_low = -16, scores_per_unit = 8; /* bins of log-odds */
static const uint32_t bins_below = (VALIDATION_SCORES / SCORES_PER_BIN - VALIDATION_BINS) / 2;
static const double z95 = 1.959963984540054;
static const double dispersion_max = 0x1p16; /* of one trial */

const struct validation_span validation_spans[VALIDATION_WINDOWS] = {
    [VALIDATION_HOUR] = {5 * MINUTE, 0, VALIDATION_HOUR_PANES},
    [VALIDATION_DAY] = {60 * MINUTE, VALIDATION_HOUR_PANES, VALIDATION_DAY_PANES},
};

/* ---- windows ---- */

static int64_t floor_over(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int64_t validation_stretch(enum validation_window w, int64_t time)
{
    return floor_over(time, validation_spans[w].length);
}

uint32_t validation_slot(enum validation_window w, int64_t stretch)
{
    const struct validation_span *s = &validation_spans[w];
    return s->first + (uint32_t)(stretch - floor_over(stretch, s->panes) * s->panes);
}

bool validation_within(enum validation_window w, int64_t stretch, int64_t newest)
{
    return stretch <= newest && newest - stretch < validation_spans[w].panes;
}

static void advance_window(struct validation *v, enum validation_window w, int64_t stretch)
{
    if (stretch <= v->newest[w])
        return;
    int64_t oldest = stretch - validation_spans[w].panes + 1;
    bool near = v->newest[w] >= oldest;
    for (int64_t s = near ? v->newest[w] + 1 : oldest; s <= stretch; s++)
        v->pane[validation_slot(w, s)] = (struct validation_pane){.stretch = s};
    v->newest[w] = stretch;
}

void validation_start(struct validation *v)
{
    memset(v, 0, sizeof *v);
    for (int w = 0; w < VALIDATION_WINDOWS; w++)
        v->newest[w] = INT64_MIN;
}

void validation_advance(struct validation *v, int64_t now)
{
    for (int w = 0; w < VALIDATION_WINDOWS; w++)
        advance_window(v, w, validation_stretch(w, now));
}

/* NULL: gone. */
static struct validation_pane *pane_of(struct validation *v, enum validation_window w, int64_t time)
{
    int64_t stretch = validation_stretch(w, time);
    if (!validation_within(w, stretch, v->newest[w]))
        return NULL;
    uint32_t slot = validation_slot(w, stretch);
    CHECK(v->pane[slot].stretch == stretch);
    v->changed |= UINT64_C(1) << slot;
    return &v->pane[slot];
}

/* ---- samples ---- */

/* Real-valued. */
static enum tm_code takes_any(const struct judged *s, struct tm_error *err)
{
    bool width = s->scale == 0 || (isfinite(s->scale) && s->scale > 0 && isfinite(s->freedom) && s->freedom > 0);
    if (isfinite(s->predicted) && width && isfinite(s->reward))
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "score: %g +- %g, reward: %g: expected finite numbers", s->predicted,
                        s->scale, s->reward);
}

enum tm_code validation_takes(const struct judged *s, struct tm_error *err)
{
    if (s->unit > 0 && takes_any(s, err) != TM_OK)
        return TM_INVALID_ARGUMENT;
    if (!(s->weight >= 0 && s->weight <= VALIDATION_WEIGHT_MAX))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "weight: %g is not in [0, %g]", s->weight, VALIDATION_WEIGHT_MAX);
    if (s->unit > 0)
        return TM_OK;
    if (!(s->predicted >= 0 && s->predicted <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "score: %g is not a probability", s->predicted);
    if (!(s->reward >= 0 && s->reward <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: %g is not in [0, 1]", s->reward);
    return TM_OK;
}

/* What a sample adds to sums: a function of the sample alone, so that taking it out leaves nothing behind. */
struct share {
    struct validation_bin sum;
    int64_t loss;
    uint32_t score, bin; /* of the pane's arrays */
    struct request_entry entry;
    bool real; /* errors, and none of the above */
    struct error_sums errors;
};

static int64_t units(double x) { return llround(x * VALIDATION_UNIT); }

static struct share real_share(const struct judged *s)
{
    const struct real_outcome o = {.mean = s->predicted,
                                   .scale = s->scale,
                                   .freedom = s->freedom,
                                   .reward = s->reward,
                                   .weight = s->weight,
                                   .unit = s->unit};
    return (struct share){.real = true, .errors = error_share(&o)};
}

static struct share share_of(const struct judged *s)
{
    if (s->unit > 0)
        return real_share(s);
    double p = fmin(fmax(s->predicted, VALIDATION_P_MIN), 1 - VALIDATION_P_MIN), q = 1 - p;
    double logit = log(p) - log1p(-p), place = floor((logit - score_low) * scores_per_unit);
    uint32_t score = (uint32_t)fmin(fmax(place, 0), VALIDATION_SCORES - 1), bin = score / SCORES_PER_BIN;
    bin = bin < bins_below ? 0 : bin - bins_below;
    return (struct share){
        .sum = {units(s->weight), units(s->weight * p), units(s->weight * s->reward)},
        .loss = units(-s->weight * (s->reward * log(p) + (1 - s->reward) * log(q))),
        .score = score,
        .bin = bin < VALIDATION_BINS ? bin : VALIDATION_BINS - 1,
        .entry = {s->request, (float)logit, s->reward >= 0.5},
    };
}

static void shift(struct validation_bin *b, const struct validation_bin *by, int sign)
{
    b->weight += sign * by->weight;
    b->predicted += sign * by->predicted;
    b->positive += sign * by->positive;
}

/* The samples of requests are the caller's: they are flipped, not taken out. */
static void shift_pane(struct validation_pane *p, const struct share *s, int sign)
{
    if (s->real) {
        sign > 0 ? error_sums_add(&p->errors, &s->errors) : error_sums_take(&p->errors, &s->errors);
        return;
    }
    uint32_t *count = &p->score[s->entry.positive * VALIDATION_SCORES + s->score];
    CHECK(sign > 0 ? *count < UINT32_MAX : *count > 0);
    *count += (uint32_t)sign;
    shift(&p->all, &s->sum, sign);
    shift(&p->bin[s->bin], &s->sum, sign);
    p->loss += sign * s->loss;
}

void validation_add(struct validation *v, const struct judged *sample)
{
    CHECK(validation_takes(sample, NULL) == TM_OK);
    struct share s = share_of(sample);
    validation_advance(v, sample->time);
    for (int w = 0; w < VALIDATION_WINDOWS; w++) {
        struct validation_pane *p = pane_of(v, w, sample->time);
        if (p) {
            shift_pane(p, &s, 1);
            if (!s.real)
                request_sample_add(&p->requests, s.entry);
        } else {
            v->late[w]++;
        }
    }
}

void validation_correct(struct validation *v, const struct judged *before, double reward, double weight)
{
    struct judged after = *before;
    after.reward = reward;
    after.weight = weight;
    CHECK(validation_takes(before, NULL) == TM_OK && validation_takes(&after, NULL) == TM_OK);
    struct share out = share_of(before), in = share_of(&after);
    for (int w = 0; w < VALIDATION_WINDOWS; w++) {
        struct validation_pane *p = pane_of(v, w, before->time);
        if (!p) {
            v->gone[w]++;
            continue;
        }
        shift_pane(p, &out, -1);
        shift_pane(p, &in, 1);
        if (out.entry.positive != in.entry.positive)
            request_sample_flip(&p->requests, out.entry);
    }
}

/* ---- trials ---- */

void validation_try(struct validation *v, const struct trial *trial)
{
    CHECK(trial->expected > 0 && trial->variance > 0 && isfinite(trial->expected) && isfinite(trial->variance));
    double off = trial->positives - trial->expected, squared = off * off / trial->variance;
    validation_advance(v, trial->time);
    for (int w = 0; w < VALIDATION_WINDOWS; w++) {
        struct validation_pane *p = pane_of(v, w, trial->time);
        if (!p)
            continue;
        p->trials++;
        p->covered += squared <= z95 * z95;
        p->dispersion += units(fmin(squared, dispersion_max));
    }
}
