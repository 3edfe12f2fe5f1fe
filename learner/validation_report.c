#include "learner/validation_report.h"

#include <math.h>
#include <stdlib.h>

#include "learner/draw.h"
#include "learner/lr.h"

/* ---- adding up ---- */

void validation_total_open(struct validation_total *t, enum validation_window w, int64_t now)
{
    *t = (struct validation_total){.window = w, .newest = validation_stretch(w, now)};
}

void validation_total_close(struct validation_total *t)
{
    free(t->entry);
    *t = (struct validation_total){0};
}

static void add_bin(struct validation_bin *to, const struct validation_bin *from)
{
    to->weight += from->weight;
    to->predicted += from->predicted;
    to->positive += from->positive;
}

static void add_requests(struct validation_total *t, uint32_t pane, const struct request_sample *s)
{
    if (t->entries + s->count > t->capacity) {
        t->capacity = 2 * t->capacity + REQUEST_SAMPLE_MAX;
        t->entry = mem_grow(t->entry, t->capacity, sizeof *t->entry);
    }
    for (uint32_t i = 0; i < s->count; i++)
        t->entry[t->entries++] = (struct total_entry){pane, s->entry[i]};
    if (s->level > t->level[pane])
        t->level[pane] = s->level;
}

static void add_pane(struct validation_total *t, uint32_t pane, const struct validation_pane *p)
{
    add_bin(&t->all, &p->all);
    for (int i = 0; i < VALIDATION_BINS; i++)
        add_bin(&t->bin[i], &p->bin[i]);
    for (int i = 0; i < 2 * VALIDATION_SCORES; i++)
        t->score[i] += p->score[i];
    t->loss += p->loss;
    t->trials += p->trials;
    t->covered += p->covered;
    t->dispersion += p->dispersion;
    add_requests(t, pane, &p->requests);
    error_sums_add(&t->errors, &p->errors);
}

void validation_total_add(struct validation_total *t, const struct validation *v)
{
    const struct validation_span *span = &validation_spans[t->window];
    t->late += v->late[t->window];
    t->gone += v->gone[t->window];
    for (uint32_t i = span->first; i < span->first + span->panes; i++) {
        const struct validation_pane *p = &v->pane[i];
        if (validation_within(t->window, p->stretch, v->newest[t->window]) &&
            validation_within(t->window, p->stretch, t->newest))
            add_pane(t, i, p);
    }
}

/* ---- reading out ---- */

static double per(int64_t sum, int64_t weight) { return (double)sum / (double)weight; }

static double entropy(double p) { return p <= 0 || p >= 1 ? 0 : -(p * log(p) + (1 - p) * log1p(-p)); }

static void report_ranking(const struct validation_total *t, struct validation_report *r)
{
    double in_order = 0, tied = 0, negatives_below = 0;
    for (int i = 0; i < VALIDATION_SCORES; i++) {
        double negatives = (double)t->score[i], positives = (double)t->score[VALIDATION_SCORES + i];
        in_order += positives * negatives_below;
        tied += positives * negatives;
        negatives_below += negatives;
        r->positives += t->score[VALIDATION_SCORES + i];
        r->samples += t->score[i] + t->score[VALIDATION_SCORES + i];
    }
    double pairs = (double)r->positives * negatives_below;
    r->auc = (in_order + tied / 2) / pairs;
    r->auc_error = tied / 2 / pairs;
}

static void report_requests(const struct validation_total *t, struct validation_report *r)
{
    const struct validation_span *span = &validation_spans[t->window];
    struct request_entry *chosen = mem_new(t->entries + 1, sizeof *chosen);
    size_t count = 0;
    for (size_t i = 0; i < t->entries; i++) {
        struct request_entry e = t->entry[i].entry;
        if (!request_chosen(e.request, t->level[t->entry[i].pane]))
            continue;
        e.request = draw_mix(e.request + t->entry[i].pane * DRAW_STEP); /* apart by pane */
        chosen[count++] = e;
    }
    r->requests = request_ranking(chosen, count);
    r->requests_share = 1;
    for (uint32_t i = span->first; i < span->first + span->panes; i++)
        r->requests_share = fmin(r->requests_share, ldexp(1, -(int)t->level[i]));
    free(chosen);
}

static void report_calibration(const struct validation_total *t, struct validation_report *r)
{
    double apart = 0;
    for (int i = 0; i < VALIDATION_BINS; i++) {
        const struct validation_bin *b = &t->bin[i];
        double low = (i - VALIDATION_BINS / 2) / 2.0;
        r->bin[i] = (struct reliability){
            .from = i == 0 ? 0 : lr_logistic(low),
            .to = i == VALIDATION_BINS - 1 ? 1 : lr_logistic(low + 0.5),
            .weight = (double)b->weight / VALIDATION_UNIT,
            .predicted = per(b->predicted, b->weight),
            .observed = per(b->positive, b->weight),
        };
        apart += fabs((double)(b->predicted - b->positive));
    }
    r->calibration = per(t->all.predicted, t->all.positive);
    r->calibration_error = apart / (double)t->all.weight;
}

static void report_real(const struct validation_total *t, struct validation_report *out)
{
    out->samples = t->errors.samples;
    out->weight = (double)t->errors.weight / VALIDATION_UNIT;
    out->base_rate = out->errors.mean_reward;
}

void validation_report(const struct validation_total *t, struct validation_report *out)
{
    *out = (struct validation_report){
        .late = t->late,
        .gone = t->gone,
        .weight = (double)t->all.weight / VALIDATION_UNIT,
        .base_rate = per(t->all.positive, t->all.weight),
        .log_loss = per(t->loss, t->all.weight),
        .trials = (uint64_t)t->trials,
        .coverage = per(t->covered, t->trials),
        .dispersion = per(t->dispersion, t->trials) / VALIDATION_UNIT,
    };
    out->normalised_entropy = out->log_loss / entropy(out->base_rate);
    report_ranking(t, out);
    report_requests(t, out);
    report_calibration(t, out);
    out->errors = error_report(&t->errors, t->unit); /* NaN of probabilities */
    if (t->unit > 0)
        report_real(t, out);
}
