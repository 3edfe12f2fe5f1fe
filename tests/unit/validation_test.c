/* learner/validation.h against a list of all samples, worked out again from the textbook for every window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "learner/lr.h"
#include "learner/validation_report.h"
#include "tests/unit/random.h"

enum { SHARDS = 4, SAMPLES = 12000, MS_HOUR = 3600000 };

static const int64_t began = INT64_C(1700000000000);

static void assert_near(double got, double want, double error)
{
    if (!(fabs(got - want) <= error))
        fail_msg("got %.12g, want %.12g +- %g", got, want, error);
}

/* ---- the world: what was predicted, and what is known of it now ---- */

struct record {
    struct judged judged;
    int shard;
    bool counted[VALIDATION_WINDOWS]; /* not late */
};

struct world {
    struct validation *shard; /* SHARDS */
    struct record *record;
    size_t records;
    int64_t now;
    uint64_t seed;
    uint64_t late[VALIDATION_WINDOWS], gone[VALIDATION_WINDOWS];
};

static double uniform(uint64_t *seed) { return ((double)(draw(seed) >> 12) + 0.5) * 0x1p-52; }
static int64_t length_of(enum validation_window w) { return w == VALIDATION_HOUR ? 300000 : MS_HOUR; }
static int64_t panes_of(enum validation_window w) { return w == VALIDATION_HOUR ? 12 : 24; }

static bool covers(enum validation_window w, int64_t time, int64_t newest)
{
    return newest / length_of(w) - time / length_of(w) < panes_of(w);
}

static void world_open(struct world *w, uint64_t seed)
{
    *w = (struct world){.now = began, .seed = seed};
    w->shard = mem_new(SHARDS, sizeof *w->shard);
    w->record = mem_new(SAMPLES, sizeof *w->record);
    for (int i = 0; i < SHARDS; i++)
        validation_start(&w->shard[i]);
}

static void world_close(struct world *w)
{
    free(w->shard);
    free(w->record);
}

/* Predictions that are about right: log-odds around -2, the truth a little flatter. Requests of about eight. */
static void add_sample(struct world *w, int64_t time, double weight)
{
    double a = -2 + 3 * (uniform(&w->seed) + uniform(&w->seed) - 1);
    struct record *r = &w->record[w->records++];
    *r = (struct record){.judged = {.time = time,
                                    .request = below(&w->seed, SAMPLES / 8),
                                    .predicted = lr_logistic(a),
                                    .weight = weight},
                         .shard = (int)below(&w->seed, SHARDS)};
    r->judged.reward = uniform(&w->seed) < lr_logistic(0.8 * a - 0.3);
    struct validation *v = &w->shard[r->shard];
    validation_add(v, &r->judged);
    for (int i = 0; i < VALIDATION_WINDOWS; i++) {
        r->counted[i] = covers(i, time, v->newest[i] * length_of(i));
        w->late[i] += !r->counted[i];
    }
}

static void correct_one(struct world *w)
{
    struct record *r = &w->record[below(&w->seed, w->records)];
    double reward = r->judged.reward < 0.5;
    for (int i = 0; i < VALIDATION_WINDOWS; i++)
        w->gone[i] += !covers(i, r->judged.time, w->shard[r->shard].newest[i] * length_of(i));
    validation_correct(&w->shard[r->shard], &r->judged, reward, r->judged.weight);
    r->judged.reward = reward;
}

/* `span` of event time, samples up to 90 minutes late, corrections of any age. */
static void live(struct world *w, int64_t span, bool weighted)
{
    for (int i = 0; i < SAMPLES; i++) {
        int64_t late = below(&w->seed, 10) ? 0 : (int64_t)below(&w->seed, 90 * 60000);
        w->now = began + span * i / SAMPLES;
        add_sample(w, w->now - late, weighted ? 1 + (double)below(&w->seed, 30) / 3 : 1);
        if (below(&w->seed, 5) == 0)
            correct_one(w);
    }
}

static void report(const struct world *w, enum validation_window window, struct validation_report *out)
{
    struct validation_total t;
    validation_total_open(&t, window, w->now);
    for (int i = 0; i < SHARDS; i++)
        validation_total_add(&t, &w->shard[i]);
    validation_report(&t, out);
    validation_total_close(&t);
}

/* The order of the shards changes no bit. */
static void check_order(const struct world *w, enum validation_window window, const struct validation_report *forwards)
{
    struct validation_total t;
    struct validation_report backwards;
    validation_total_open(&t, window, w->now);
    for (int i = SHARDS; i-- > 0;)
        validation_total_add(&t, &w->shard[i]);
    validation_report(&t, &backwards);
    assert_memory_equal(&backwards, forwards, sizeof backwards);
    validation_total_close(&t);
}

/* ---- the oracle ---- */

struct truth {
    double weight, positive, predicted, loss, pairs, in_order, apart;
    uint64_t samples, positives;
    struct validation_bin_truth {
        double weight, positive, predicted;
    } bin[VALIDATION_BINS];
};

static const struct judged **in_window(const struct world *w, enum validation_window window, size_t *count)
{
    const struct judged **list = mem_new(SAMPLES, sizeof *list);
    *count = 0;
    for (size_t i = 0; i < w->records; i++)
        if (w->record[i].counted[window] && covers(window, w->record[i].judged.time, w->now))
            list[(*count)++] = &w->record[i].judged;
    return list;
}

static double logit(double p) { return log(p / (1 - p)); }

static void count_pairs(const struct judged **list, size_t count, struct truth *t)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; list[i]->reward == 1 && j < count; j++)
            if (list[j]->reward == 0) {
                double a = list[i]->predicted, b = list[j]->predicted;
                t->pairs++;
                t->in_order += a > b ? 1 : a == b ? 0.5 : 0;
            }
}

static void work_out(const struct judged **list, size_t count, struct truth *t)
{
    *t = (struct truth){.samples = count};
    for (size_t i = 0; i < count; i++) {
        const struct judged *s = list[i];
        double c = s->weight, p = s->predicted, place = floor(2 * logit(p)) + VALIDATION_BINS / 2;
        struct validation_bin_truth *b = &t->bin[(int)fmin(fmax(place, 0), VALIDATION_BINS - 1)];
        t->weight += c;
        t->positive += c * s->reward;
        t->predicted += c * p;
        t->loss -= c * log(s->reward == 1 ? p : 1 - p);
        t->positives += s->reward == 1;
        b->weight += c;
        b->positive += c * s->reward;
        b->predicted += c * p;
    }
    for (int i = 0; i < VALIDATION_BINS; i++)
        t->apart += fabs(t->bin[i].predicted - t->bin[i].positive);
    count_pairs(list, count, t);
}

static void check_bins(const struct truth *t, const struct validation_report *r)
{
    for (int i = 0; i < VALIDATION_BINS; i++) {
        const struct reliability *b = &r->bin[i];
        assert_near(b->weight, t->bin[i].weight, 1e-3);
        if (t->bin[i].weight == 0)
            continue;
        assert_near(b->predicted, t->bin[i].predicted / t->bin[i].weight, 1e-6);
        assert_near(b->observed, t->bin[i].positive / t->bin[i].weight, 1e-6);
        assert_true(b->predicted >= b->from && b->predicted <= b->to);
    }
}

static void check_window(const struct world *w, enum validation_window window)
{
    struct validation_report r;
    struct truth t;
    size_t count;
    const struct judged **list = in_window(w, window, &count);
    work_out(list, count, &t);
    report(w, window, &r);
    check_order(w, window, &r);
    double base = t.positive / t.weight, entropy = -(base * log(base) + (1 - base) * log(1 - base));
    assert_int_equal(r.samples, t.samples);
    assert_int_equal(r.positives, t.positives);
    assert_int_equal(r.late, w->late[window]);
    assert_int_equal(r.gone, w->gone[window]);
    assert_near(r.weight, t.weight, 1e-2);
    assert_near(r.base_rate, base, 1e-6);
    assert_near(r.log_loss, t.loss / t.weight, 1e-6);
    assert_near(r.normalised_entropy, t.loss / t.weight / entropy, 1e-5);
    assert_near(r.calibration, t.predicted / t.positive, 1e-5);
    assert_near(r.calibration_error, t.apart / t.weight, 1e-6);
    check_bins(&t, &r);
    double off = fabs(r.auc - t.in_order / t.pairs);
    if (!(off <= r.auc_error && r.auc_error < 0.05 && off < (count < 2000 ? 1e-2 : 1e-3)))
        fail_msg("%zu samples: AUC off by %g, bound %g", count, off, r.auc_error);
    free(list);
}

static void windows_are_what_all_samples_give(void **state)
{
    static const int64_t spans[] = {MS_HOUR / 2, 3 * MS_HOUR, 60 * (int64_t)MS_HOUR};
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(spans); i++) {
        struct world w;
        world_open(&w, i);
        live(&w, spans[i / 2], i % 2);
        check_window(&w, VALIDATION_HOUR);
        check_window(&w, VALIDATION_DAY);
        world_close(&w);
    }
}

/* ---- corrections ---- */

static void corrections_leave_nothing_behind(void **state)
{
    struct validation *a = mem_new(2, sizeof *a), *b = a + 1;
    uint64_t seed = 3;
    (void)state;
    validation_start(a);
    validation_start(b);
    for (int i = 0; i < 3000; i++) {
        struct judged wrong = {.time = began + i * 1000,
                               .request = below(&seed, 400),
                               .predicted = uniform(&seed),
                               .reward = (double)below(&seed, 2),
                               .weight = 10 * uniform(&seed)};
        struct judged right = wrong;
        right.reward = 1 - wrong.reward;
        validation_add(a, &wrong);
        validation_correct(a, &wrong, right.reward, right.weight);
        validation_add(b, &right);
    }
    assert_memory_equal(a, b, sizeof *a);
    free(a);
}

static void what_is_gone_stays_gone(void **state)
{
    struct validation *v = mem_new(2, sizeof *v), *before = v + 1;
    struct judged s = {.time = began, .request = 1, .predicted = 0.25, .reward = 0, .weight = 1};
    (void)state;
    validation_start(v);
    validation_add(v, &s);
    validation_advance(v, began + 30 * (int64_t)MS_HOUR);
    *before = *v;
    validation_correct(v, &s, 1, s.weight);
    assert_int_equal(v->gone[VALIDATION_HOUR], 1);
    assert_int_equal(v->gone[VALIDATION_DAY], 1);
    assert_memory_equal(v->pane, before->pane, sizeof v->pane);
    validation_add(v, &s);
    assert_int_equal(v->late[VALIDATION_DAY], 1);
    assert_memory_equal(v->pane, before->pane, sizeof v->pane);
    free(v);
}

static void extremes_are_clipped_and_nonsense_is_refused(void **state)
{
    struct validation *v = mem_new(1, sizeof *v);
    struct validation_total t;
    struct validation_report r;
    (void)state;
    validation_start(v);
    validation_add(v, &(struct judged){.time = -1, .predicted = 0, .reward = 1, .weight = 1});
    validation_add(v, &(struct judged){.time = -1, .predicted = 1, .reward = 0, .weight = 1});
    validation_total_open(&t, VALIDATION_HOUR, -1);
    validation_total_add(&t, v);
    validation_report(&t, &r);
    assert_near(r.log_loss, -log(1e-7), 1e-5);
    assert_near(r.auc, 0, 0);
    assert_true(isnan(r.coverage));
    validation_total_close(&t);
    struct judged bad[] = {{.predicted = NAN}, {.predicted = 1.1}, {.reward = -1},
                           {.reward = NAN},    {.weight = -1},     {.weight = INFINITY}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct tm_error err;
        assert_int_equal(validation_takes(&bad[i], &err), TM_INVALID_ARGUMENT);
    }
    free(v);
}

/* ---- requests ---- */

static int by_request(const void *left, const void *right)
{
    const struct judged *a = *(const struct judged *const *)left, *b = *(const struct judged *const *)right;
    uint64_t x = a->request ^ (uint64_t)(a->time / 300000) << 40, y = b->request ^ (uint64_t)(b->time / 300000) << 40;
    return (x > y) - (x < y);
}

/* The textbook's grouped AUC of the hour, requests apart by pane. */
static struct request_ranking grouped_auc(const struct judged **list, size_t count)
{
    struct request_ranking r = {0};
    qsort(list, count, sizeof *list, by_request);
    for (size_t from = 0, to; from < count; from = to) {
        struct truth t = {0};
        for (to = from; to < count && by_request(&list[to], &list[from]) == 0;)
            to++;
        count_pairs(list + from, to - from, &t);
        if (t.pairs == 0)
            continue;
        r.by_samples += (double)(to - from) * t.in_order / t.pairs;
        r.by_requests += t.in_order / t.pairs;
        r.samples += to - from;
        r.requests++;
    }
    r.by_samples /= (double)r.samples;
    r.by_requests /= (double)r.requests;
    return r;
}

/* Thin traffic: every request is chosen, on every shard. */
static void requests_are_ranked_whole_across_shards(void **state)
{
    struct world w;
    struct validation_report r;
    size_t count;
    (void)state;
    world_open(&w, 9);
    for (int i = 0; i < 1200; i++) {
        struct record *rec = &w.record[w.records++];
        w.now = began + 3000 * i;
        *rec = (struct record){.judged = {.time = w.now,
                                          .request = (uint64_t)(i / 12),
                                          .predicted = uniform(&w.seed),
                                          .reward = (double)below(&w.seed, 2),
                                          .weight = 1},
                               .shard = (int)below(&w.seed, SHARDS),
                               .counted = {true, true}};
        validation_add(&w.shard[rec->shard], &rec->judged);
        if (i % 7 == 0)
            correct_one(&w);
    }
    report(&w, VALIDATION_HOUR, &r);
    const struct judged **list = in_window(&w, VALIDATION_HOUR, &count);
    assert_near(r.requests_share, 1, 0);
    struct request_ranking truth = grouped_auc(list, count);
    assert_near(r.requests.by_samples, truth.by_samples, 1e-12);
    assert_near(r.requests.by_requests, truth.by_requests, 1e-12);
    assert_int_equal(r.requests.requests, truth.requests);
    assert_int_equal(r.requests.samples, truth.samples);
    free(list);
    world_close(&w);
}

/* Thick traffic: what is left is whole requests, so the estimate is unbiased: about the truth of all of them. */
static void a_sample_of_requests_is_of_whole_ones(void **state)
{
    struct world w;
    struct validation_report r;
    size_t count;
    (void)state;
    world_open(&w, 10);
    for (int i = 0; i < SAMPLES; i++) {
        struct record *rec = &w.record[w.records++];
        double p = uniform(&w.seed);
        w.now = began + i * INT64_C(3600000) / SAMPLES;
        *rec = (struct record){.judged = {.time = w.now,
                                          .request = (uint64_t)(i / 8),
                                          .predicted = p,
                                          .reward = uniform(&w.seed) < p,
                                          .weight = 1},
                               .shard = i % 8 < 4 ? 0 : 1 + i % 3, /* a request lies on several, most on the first */
                               .counted = {true, true}};
        validation_add(&w.shard[rec->shard], &rec->judged);
    }
    report(&w, VALIDATION_HOUR, &r);
    const struct judged **list = in_window(&w, VALIDATION_HOUR, &count);
    struct request_ranking truth = grouped_auc(list, count);
    assert_true(r.requests_share < 1 && r.requests_share >= 1.0 / 64);
    assert_true(r.requests.requests > 50 && r.requests.requests < truth.requests / 2);
    assert_near((double)r.requests.samples / (double)r.requests.requests, 8, 0.15); /* none is cut */
    assert_near(r.requests.by_samples, truth.by_samples, 0.06);
    free(list);
    world_close(&w);
}

static void one_huge_request_does_not_grow_the_sample(void **state)
{
    struct request_sample s = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        request_sample_add(&s, (struct request_entry){.request = 5, .score = (float)i});
    assert_int_equal(s.count, 0);
    assert_false(request_chosen(5, s.level));
}

/* ---- posterior ---- */

/* Batches of 200 from a Beta(4, 76), judged with its own variance, with none, and with four times as much. */
static void trials_tell_a_posterior_that_is_too_narrow(void **state)
{
    static const struct {
        double factor, coverage_from, coverage_to, dispersion_from, dispersion_to;
    } cases[] = {{1, 0.93, 0.97, 0.9, 1.1}, {0, 0.5, 0.8, 2.5, 4.5}, {4, 0.985, 1, 0.2, 0.45}};
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        struct validation *v = mem_new(1, sizeof *v);
        struct validation_total t;
        struct validation_report r;
        uint64_t seed = 6;
        validation_start(v);
        for (uint64_t i = 0; i < 4000; i++) {
            struct draw d = draw_begin(1, 2, i);
            double p = draw_probability(draw_beta(&d, 4, 76)), variance = 0.05 * 0.95 / 81;
            struct trial one = {.time = began,
                                .expected = 200 * 0.05,
                                .variance = 200 * 0.05 * 0.95 + 200 * 199 * cases[c].factor * variance};
            for (int k = 0; k < 200; k++)
                one.positives += uniform(&seed) < p;
            validation_try(v, &one);
        }
        validation_total_open(&t, VALIDATION_DAY, began);
        validation_total_add(&t, v);
        validation_report(&t, &r);
        assert_int_equal(r.trials, 4000);
        assert_in_range((int)(1e4 * r.coverage), (int)(1e4 * cases[c].coverage_from),
                        (int)(1e4 * cases[c].coverage_to));
        assert_in_range((int)(1e4 * r.dispersion), (int)(1e4 * cases[c].dispersion_from),
                        (int)(1e4 * cases[c].dispersion_to));
        validation_total_close(&t);
        free(v);
    }
}

/* ---- storing ---- */

static void encode_row(const struct validation *v, int row, struct buffer *out)
{
    out->size = 0;
    if (row < 0)
        validation_encode_head(v, out);
    else
        validation_encode_pane(v, (uint32_t)row, out);
}

static enum tm_code decode_row(struct validation *v, int row, struct bytes b, size_t *left)
{
    struct reader in = reader_of(b);
    enum tm_code rc =
        row < 0 ? validation_decode_head(v, &in, NULL) : validation_decode_pane(v, (uint32_t)row, &in, NULL);
    *left = reader_left(&in);
    return rc;
}

/* Commits as a shard would make them: the head always, of the panes only those that changed. */
static void rows_bring_it_back(void **state)
{
    struct world w;
    struct buffer row[VALIDATION_PANES + 1] = {0};
    struct validation *again = mem_new(1, sizeof *again);
    size_t left;
    (void)state;
    world_open(&w, 11);
    live(&w, MS_HOUR, true);
    struct validation *v = &w.shard[0];
    for (int round = 0; round < 40; round++) {
        encode_row(v, -1, &row[VALIDATION_PANES]);
        for (int i = 0; i < VALIDATION_PANES; i++)
            if (v->changed >> i & 1)
                encode_row(v, i, &row[i]);
        v->changed = 0;
        assert_int_equal(decode_row(again, -1, buffer_view(&row[VALIDATION_PANES]), &left), TM_OK);
        for (int i = 0; i < VALIDATION_PANES; i++)
            if (row[i].size) {
                assert_int_equal(decode_row(again, i, buffer_view(&row[i]), &left), TM_OK);
                assert_int_equal(left, 0);
            }
        assert_memory_equal(again, v, sizeof *v);
        w.records = 0;
        w.now += 37 * 60000;
        for (int i = 0; i < 50; i++)
            add_sample(&w, w.now + i, 1);
    }
    for (int i = 0; i <= VALIDATION_PANES; i++)
        buffer_close(&row[i]);
    free(again);
    world_close(&w);
}

static void damaged_rows_are_refused(void **state)
{
    CLEANUP(buffer_close) struct buffer b = {0};
    struct world w;
    size_t left;
    (void)state;
    world_open(&w, 12);
    live(&w, MS_HOUR, true);
    struct validation *v = &w.shard[0], *again = &w.shard[1];
    encode_row(v, 15, &b);
    for (int row = -1; row < VALIDATION_PANES; row++) {
        encode_row(v, row, &b);
        *again = *v;
        for (size_t size = 0; size < b.size; size++)
            assert_int_equal(decode_row(again, row, bytes_of(b.data, size), &left), TM_DATA_LOSS);
    }
    *again = *v;
    encode_row(v, 3, &b);
    assert_int_equal(decode_row(again, 4, buffer_view(&b), &left), TM_DATA_LOSS);
    world_close(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_what_all_samples_give),
        cmocka_unit_test(corrections_leave_nothing_behind),
        cmocka_unit_test(what_is_gone_stays_gone),
        cmocka_unit_test(extremes_are_clipped_and_nonsense_is_refused),
        cmocka_unit_test(requests_are_ranked_whole_across_shards),
        cmocka_unit_test(a_sample_of_requests_is_of_whole_ones),
        cmocka_unit_test(one_huge_request_does_not_grow_the_sample),
        cmocka_unit_test(trials_tell_a_posterior_that_is_too_narrow),
        cmocka_unit_test(rows_bring_it_back),
        cmocka_unit_test(damaged_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
