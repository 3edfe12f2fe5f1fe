#include "tests/simulation/world.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "learner/embedding.h"
#include "learner/linear.h"
#include "proto/event.h"
#include "ps/state/weight_prior.h"
#include "tests/simulation/encoders.h"
#include "tests/simulation/random.h"
#include "tests/simulation/rewards.h"

#define EPOCH_MS INT64_C(1700000000000)
enum { DAY_MS = 86400000 };

/* What is needed while writing the script. */
struct author {
    struct world *w;
    struct random r;
    int64_t unit, now; /* event time: the grid, and how far the story has come */
    bool mad, fractions, pauses;
    bool ranks;       /* the server has events of its own */
    bool attributes;  /* action streams may have keys of their own */
    bool at_once;     /* positives may be decided before the gate */
    bool orderly;     /* one well-behaved client: many samples and corrections, for what comes behind the join */
    bool tardy;       /* features are sent for what was shown, mostly when it is decided */
    uint32_t records; /* percent of impressions and features that come with others in one record */
    uint32_t crowd, act_capacity, event_capacity; /* crowd: percent of events that are actions on one key */
};

static uint32_t below(struct author *a, uint32_t n) { return random_below(&a->r, n); }
static uint32_t between(struct author *a, uint32_t low, uint32_t high) { return random_between(&a->r, low, high); }
static bool chance(struct author *a, uint32_t percent) { return random_chance(&a->r, percent); }

/* ---- configuration ---- */

/* A key that more or other impressions share than the join key. */
static void own_key(struct author *a, struct joiner_stream *s)
{
    static const uint8_t keys[] = {JOINER_KEY_USER | JOINER_KEY_DOC, JOINER_KEY_USER | JOINER_KEY_DOC, JOINER_KEY_DOC,
                                   JOINER_KEY_REQUEST | JOINER_KEY_DOC,
                                   JOINER_KEY_REQUEST | JOINER_KEY_USER | JOINER_KEY_DOC};
    uint32_t fields = keys[below(a, ARRAY_LEN(keys))];
    if (fields == a->w->join.key_fields || chance(a, 25))
        return;
    s->key_fields = fields;
    s->attribute = (enum joiner_attribute)between(a, JOINER_ATTRIBUTE_LAST, JOINER_ATTRIBUTE_ALL);
}

static void make_table(struct author *a, struct joiner_stream *s)
{
    static const uint8_t keys[] = {JOINER_KEY_USER, JOINER_KEY_USER,    JOINER_KEY_DOC,
                                   JOINER_KEY_DOC,  JOINER_KEY_REQUEST, JOINER_KEY_USER | JOINER_KEY_DOC};
    s->kind = JOINER_TABLE;
    s->key_fields = keys[below(a, ARRAY_LEN(keys))];
    s->payload_only = chance(a, 15);
}

enum { OPTIONAL = 1 };

static void make_streams(struct author *a)
{
    struct catalog *c = &a->w->join;
    uint32_t impressions = chance(a, 75) ? 1 : between(a, 2, 3), actions = between(a, 1, 3);
    uint32_t features = a->tardy        ? between(a, 1, 2)
                        : chance(a, 40) ? 0
                                        : between(a, 1, 3),
             tables = chance(a, a->tardy ? 85 : 50) ? 0 : between(a, 1, WORLD_TABLES_MAX);
    while (impressions + actions + features + tables > 0) {
        uint32_t pick = below(a, impressions + actions + features + tables), i = c->join.streams++;
        struct joiner_stream *s = &c->join.stream[i];
        if (pick < impressions) {
            s->kind = JOINER_IMPRESSION;
            impressions--;
        } else if (pick < impressions + actions) {
            s->kind = JOINER_ACTION;
            s->before_ms = chance(a, 80) ? 0 : a->unit * between(a, 1, 4);
            s->within_ms =
                chance(a, 50)
                    ? c->join.allowed_lateness_ms
                    : c->join.window_ms + below(a, (uint32_t)(c->join.allowed_lateness_ms - c->join.window_ms + 1));
            if (a->attributes)
                own_key(a, s);
            actions--;
        } else if (pick < impressions + actions + tables) {
            make_table(a, s);
            tables--;
        } else {
            s->kind = JOINER_FEATURES;
            s->required = chance(a, a->tardy ? 10 : 40);
            s->dimension =
                s->required || chance(a, a->tardy ? 25 : 50) ? 0 : OPTIONAL; /* as many as it sends: set_dimensions() */
            features--;
        }
        if (s->kind == JOINER_TABLE) /* the order of names is not that of numbers */
            snprintf(c->stream_name[i], sizeof c->stream_name[i], "t%u", WORLD_STREAMS_MAX - i);
        else
            snprintf(c->stream_name[i], sizeof c->stream_name[i], "s%u", i);
    }
}

/* Labels, the first ones, whose streams are among the first ones. */
static uint32_t labels_within(const struct joiner_config *c, uint32_t streams)
{
    uint64_t there = 0;
    uint32_t labels = 0;
    for (uint32_t i = 0; i < streams; i++)
        there |= c->stream[i].labels;
    while (there >> labels & 1)
        labels++;
    return labels;
}

/* A stage needs impressions and a label. */
static uint32_t fewest_streams(const struct joiner_config *c)
{
    uint32_t n = 1;
    bool impressions = false;
    for (;; n++) {
        impressions = impressions || c->stream[n - 1].kind == JOINER_IMPRESSION;
        if (impressions && labels_within(c, n) > 0)
            return n;
    }
}

/* Half of the worlds begin with a part of the join, and come to the rest of it in one step, two or three. */
static void make_stages(struct author *a)
{
    struct world *w = a->w;
    const struct joiner_config *c = &w->join.join;
    w->stages = chance(a, 50) ? 1 : between(a, 2, WORLD_STAGES_MAX);
    for (uint32_t i = 0; i < w->stages; i++) {
        struct world_stage *s = &w->stage[i], first = {fewest_streams(c), 1, c->window_ms, false};
        const struct world_stage *before = i ? s - 1 : &first;
        bool last = i + 1 == w->stages;
        s->streams = last || chance(a, 30) ? c->streams : between(a, before->streams, c->streams);
        s->labels = last ? c->labels : between(a, before->labels, labels_within(c, s->streams));
        s->window_ms = before->window_ms;
        if (i > 0 && (chance(a, 60) || (s->streams == before->streams && s->labels == before->labels)))
            s->window_ms =
                chance(a, 20) ? 0 : (int64_t)below(a, (uint32_t)(c->allowed_lateness_ms / a->unit + 1)) * a->unit;
        s->at_once = a->at_once && (w->stages == 1 || chance(a, 70));
    }
}

void world_join(const struct world *w, uint32_t stage, struct catalog *out)
{
    const struct world_stage *s = &w->stage[stage];
    *out = w->join;
    out->join.streams = s->streams;
    out->join.labels = s->labels;
    out->join.window_ms = s->window_ms;
    out->join.at_once = s->at_once;
    for (uint32_t i = 0; i < s->streams; i++)
        out->join.stream[i].labels &= (UINT64_C(1) << s->labels) - 1;
    joiner_derive_keys(&out->join);
}

static struct joiner_label make_label(struct author *a)
{
    struct joiner_label l = {0};
    if (!chance(a, 30))
        l.aggregate = (enum label_aggregate)below(a, LABEL_AGGREGATE_COUNT);
    if ((l.aggregate == LABEL_MEAN || l.aggregate == LABEL_FIRST_DELAY) && !a->fractions)
        l.aggregate = LABEL_COUNT;
    if (chance(a, 25))
        l.cap = (struct label_bound){true, 0.25 * below(a, 12)};
    if (chance(a, 25))
        l.threshold = (struct label_bound){true, 0.25 * below(a, 12) - 0.5};
    return l;
}

static void make_labels(struct author *a)
{
    struct catalog *c = &a->w->join;
    c->join.labels = between(a, 1, 3);
    for (uint32_t i = 0; i < c->join.labels; i++) {
        uint32_t stream = below(a, c->join.streams);
        while (c->join.stream[stream].kind != JOINER_ACTION)
            stream = (stream + 1) % c->join.streams;
        c->join.stream[stream].labels |= UINT64_C(1) << i;
        c->join.label[i] = make_label(a);
        snprintf(c->label_name[i], sizeof c->label_name[i], "l%u", i);
    }
}

/* What divides by 0 is for models that can take samples out again. */
static const struct world_reward *pick_reward(struct author *a, struct version *v)
{
    const struct world_reward *r = &world_rewards[below(a, world_reward_count)];
    uint32_t labels = v->id == 1 ? a->w->stage[0].labels : a->w->join.join.labels; /* the first one is there at once */
    while (r->labels > labels || (!r->exact && (!a->fractions || !v->model->retract)))
        r = &world_rewards[below(a, world_reward_count)];
    snprintf(v->reward.text, sizeof v->reward.text, "%s", r->text);
    a->w->reward_labels[v->id - 1] = r->labels;
    return r;
}

/* Documents are admitted after a few samples, by chance, and expire within a story. */
static void make_embedding(struct author *a, struct embedding_config *e)
{
    static const double norms[] = {100, 100, 0.5};
    *e = (struct embedding_config){.loss = chance(a, 75) ? LOSS_LOGISTIC : LOSS_SQUARED,
                                   .optimizer = {.kind = (enum optimizer_kind)below(a, OPTIMIZER_COUNT),
                                                 .rate = 0.25,
                                                 .l2 = chance(a, 30) ? 0.125 : 0,
                                                 .clip = 1},
                                   .norm_max = norms[below(a, ARRAY_LEN(norms))],
                                   .admit_at = chance(a, 50) ? 1 : between(a, 2, 4),
                                   .admit_share = chance(a, 60) ? 1 : 0.5,
                                   .expire_after = chance(a, 30) ? 0 : a->unit * between(a, 1, 6),
                                   .seed = below(a, 3)};
    struct optimizer_config *o = &e->optimizer;
    o->momentum = o->kind == OPTIMIZER_MOMENTUM ? 0.5 : 0;
    o->beta1 = o->kind == OPTIMIZER_ADAM ? 0.9 : 0;
    o->beta2 = o->kind == OPTIMIZER_ADAM ? 0.99 : 0;
    o->beta = o->kind == OPTIMIZER_FTRL ? 1 : 0;
    o->l1 = o->kind == OPTIMIZER_FTRL && chance(a, 50) ? 0.25 : 0;
    if (o->kind == OPTIMIZER_ADAM || o->kind == OPTIMIZER_ADAGRAD || o->kind == OPTIMIZER_ADAGRAD_ROW)
        o->epsilon = 1e-6;
}

/* L L' of an L with small whole parts of 1/4: as exact as the samples, and positive definite. */
static void make_covariance(struct author *a, uint32_t n, double *packed)
{
    double l[WORLD_WEIGHTS_MAX][WORLD_WEIGHTS_MAX] = {{0}};
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            l[i][j] = i == j ? 0.25 * between(a, 1, 4) : 0.25 * between(a, 0, 4) - 0.5;
            *packed = 0;
            for (uint32_t k = 0; k <= j; k++)
                *packed += l[i][k] * l[j][k];
            packed++;
        }
}

/* Another mean and sd for every weight, or a mean and the covariance of all. */
static void make_weight_prior(struct author *a, struct version *v)
{
    double value[WORLD_WEIGHTS_MAX + WORLD_WEIGHTS_MAX * WORLD_WEIGHTS_MAX] = {0};
    uint32_t n = model_weights(&v->config);
    bool full = v->config.covariance == COVARIANCE_FULL && chance(a, 50);
    for (uint32_t i = 0; i < n; i++) {
        value[i] = 0.25 * between(a, 0, 8) - 1;
        value[n + i] = 0.25 * between(a, 1, 6);
    }
    if (full)
        make_covariance(a, n, value + n);
    weight_prior_set(v, value, full ? weight_prior_covariances(n) : weight_prior_sds(n), "the world");
}

/* Some of the models over features, about half of the worlds. */
static void make_model(struct author *a, struct version *v)
{
    bool features = a->w->own_features < 100 && chance(a, 70);
    static const char *const models[] = {"lr", "lr", "linear", "embedding", "embedding"};
    uint32_t most = label_filters_drop(&a->w->join.join.label_filters) ? 3 : ARRAY_LEN(models); /* no retracting */
    uint32_t kind = below(a, most);
    v->model = model_find(bytes_text(features ? models[kind] : "beta"));
    if (!features) {
        v->config = (struct model_config){.prior = {1, 1}, .prior_count = 2};
    } else {
        v->config = (struct model_config){.dimension = chance(a, 85) ? a->w->dimension : 2,
                                          .covariance = kind == 0 ? COVARIANCE_DIAGONAL : COVARIANCE_FULL,
                                          .prior_sd = 0.5,
                                          .intercept_mean = -1,
                                          .intercept_sd = 1,
                                          .noise_sd = 0.5};
        if (v->model == &model_embedding)
            make_embedding(a, &v->config.embedding);
        v->encoded = v->config.dimension == WORLD_ENCODED && chance(a, 50);
        if (chance(a, v->encoded ? 75 : 25))
            snprintf(v->representation, sizeof v->representation, "%s", world_representation(between(a, 1, 2)));
    }
    model_fix(v->model, &v->config);
    v->model = model_form(v->model, &v->config);
    if (features && v->model != &model_embedding && chance(a, 30))
        make_weight_prior(a, v);
}

/* What samples of most worlds come to: of an impression or the streams of features, and of tables. */
static uint32_t dimension_of(const struct world *w)
{
    uint32_t tables = 0, streams = 0;
    for (uint32_t i = 0; i < w->join.join.streams; i++) {
        tables += w->join.join.stream[i].kind == JOINER_TABLE && !w->join.join.stream[i].payload_only;
        streams += w->join.join.stream[i].kind == JOINER_FEATURES;
    }
    return tables + (streams || w->own_features || tables == 0 ? WORLD_DIMENSION : 0);
}

/* Half of the versions; only of rewards that always have a value. */
static void make_batches(struct author *a, struct version *v, bool exact)
{
    if (!exact || !chance(a, 50))
        return;
    if (chance(a, 80))
        v->batch = (struct version_batch){
            .samples = chance(a, 80) ? between(a, 2, 6) : 4096,
            .positive_ratio = chance(a, 40) ? 0.25 * between(a, 1, 6) : 0,
            .age_ms = chance(a, 60) ? a->unit * between(a, 1, 12) : 0,
        };
    v->order = chance(a, 40) && !a->at_once ? ORDER_EVENT_TIME : ORDER_ARRIVAL;
    if (v->model == &model_embedding && version_waits(v)) { /* nobody comes or goes */
        v->config.embedding.admit_at = 1;
        v->config.embedding.admit_share = 1;
        v->config.embedding.expire_after = 0;
    }
}

/* How many values the streams of features send, so that they are WORLD_DIMENSION together. */
static uint32_t values_of(const struct world *w, uint32_t stream)
{
    uint32_t before = 0, streams = 0;
    for (uint32_t i = 0; i < w->join.join.streams; i++) {
        bool features = w->join.join.stream[i].kind == JOINER_FEATURES;
        before += features && i < stream;
        streams += features;
    }
    return before + 1 == streams ? WORLD_DIMENSION - before : 1;
}

static void set_dimensions(struct author *a)
{
    for (uint32_t i = 0; i < a->w->join.join.streams; i++) {
        struct joiner_stream *s = &a->w->join.join.stream[i];
        if (s->dimension == OPTIONAL)
            s->dimension = chance(a, 90) ? values_of(a->w, i) : 2;
    }
}

static void make_versions(struct author *a)
{
    struct world *w = a->w;
    set_dimensions(a);
    static const uint32_t own[] = {0, 50, 90, 100, 100, 100};
    w->own_features = a->tardy ? 5 : own[below(a, ARRAY_LEN(own))];
    w->dimension = dimension_of(w);
    w->versions = between(a, 1, WORLD_VERSIONS_MAX);
    w->whole = !a->fractions;
    for (uint32_t i = 0; i < w->join.join.streams; i++) /* a third of a value is not exact */
        w->whole = w->whole && w->join.join.stream[i].attribute != JOINER_ATTRIBUTE_ALL;
    for (uint32_t i = 0; i < w->versions; i++) {
        struct version *v = &w->version[i];
        *v = (struct version){.id = i + 1};
        snprintf(v->name, sizeof v->name, "v%u", i + 1);
        make_model(a, v);
        const struct world_reward *reward = pick_reward(a, v);
        make_batches(a, v, reward->exact && !label_filters_drop(&w->join.join.label_filters));
        bool judges = v->model != &model_embedding || v->config.embedding.loss == LOSS_LOGISTIC;
        v->validate = judges && reward->exact && chance(a, 60);
        if (chance(a, 25) && v->model != &model_embedding) {
            v->half_life_ms = (double)a->unit * between(a, 1, 20);
            v->config.decay_per_ms = log(2) / v->half_life_ms;
            w->whole = false;
        }
        if (chance(a, 75))
            v->samples_from[v->samples_from_count++] = v->id;
        if (i > 0 && (chance(a, 50) || v->samples_from_count == 0))
            v->samples_from[v->samples_from_count++] = between(a, 1, i);
        if (v->samples_from_count == 0)
            v->samples_from[v->samples_from_count++] = v->id;
    }
}

/* Slices of a few samples, so that catching up takes many blocks. */
static void make_limits(struct author *a)
{
    for (size_t i = 0; i < ARRAY_LEN(a->w->limits); i++)
        a->w->limits[i] =
            (struct catalog_limits){.slice = chance(a, 70) ? between(a, 1, 4) : between(a, 5, 50),
                                    .held_bytes = chance(a, 65) ? UINT64_C(1) << 30 : between(a, 1, 2500),
                                    .batch_bytes = chance(a, 65) ? UINT64_C(1) << 30 : between(a, 1, 3000),
                                    .waiting_bytes = chance(a, 70) ? 0 : between(a, 200, 6000),
                                    .decided_bytes = chance(a, 70) ? 0 : between(a, 60, 3000)};
}

/* Half of the worlds learn every negative. */
static void make_sampling(struct author *a)
{
    static const float rates[] = {0.5f, 0.25f, 0.1f, 1};
    bool some = chance(a, 50), exact = chance(a, 70);
    for (size_t i = 0; some && i < ARRAY_LEN(a->w->rules); i++) {
        struct sampling *s = &a->w->rules[i].sampling;
        s->rules = below(a, 4);
        for (uint32_t k = 0; k < s->rules; k++) {
            int32_t first = (int32_t)below(a, 4);
            s->rule[k] = (struct sampling_rule){.keep = rates[exact ? below(a, 2) : below(a, ARRAY_LEN(rates))],
                                                .unit = chance(a, 30) ? SAMPLING_USER : SAMPLING_IMPRESSION,
                                                .first = chance(a, 40) ? INT32_MIN : first,
                                                .last = chance(a, 40) ? INT32_MAX : first + (int32_t)below(a, 3)};
        }
    }
    if (some && !exact)
        a->w->whole = false;
}

/* Whole numbers, so that sums stay exact. */
static void make_filters(struct author *a)
{
    bool some = chance(a, 40);
    for (size_t i = 0; some && i < ARRAY_LEN(a->w->rules); i++) {
        struct filters *f = &a->w->rules[i].filters;
        f->count = below(a, 4);
        for (uint32_t k = 0; k < f->count; k++) {
            double least = (double)below(a, 4);
            f->filter[k] = (struct filter){.streams = 1 + below(a, (1u << a->w->join.join.streams) - 1),
                                           .field = below(a, FILTER_position + 1),
                                           .action = below(a, FILTER_DEFAULT + 1),
                                           .least = chance(a, 50) ? -1e300 : least,
                                           .most = least + below(a, 4),
                                           .to = (double)below(a, 5)};
        }
    }
}

/* A third of the worlds have some; their bounds are near the labels and delays that are common. */
static void make_label_filters(struct author *a)
{
    struct joiner_config *c = &a->w->join.join;
    c->label_filters.count = chance(a, 35) ? between(a, 1, 3) : 0;
    for (uint32_t i = 0; i < c->label_filters.count; i++) {
        struct label_filter *f = &c->label_filters.filter[i];
        double step = chance(a, 50) ? 0.25 : (double)a->unit / 1000;
        *f = (struct label_filter){.label = below(a, a->w->stage[0].labels),
                                   .look = step < 0.25 || chance(a, 30) ? LOOK_AT_DELAY : LOOK_AT_VALUE,
                                   .least = chance(a, 40) ? -1e300 : step * below(a, 6),
                                   .most = 1e300,
                                   .drop = chance(a, 50)};
        if (f->least < 0 || chance(a, 30))
            f->most = fmax(f->least, 0) + step * below(a, 6);
        f->zeroes = f->drop ? 0 : UINT64_C(1) << below(a, a->w->stage[0].labels);
    }
}

static void make_join(struct author *a)
{
    struct world *w = a->w;
    static const uint8_t keys[] = {JOINER_KEY_REQUEST | JOINER_KEY_DOC, JOINER_KEY_USER | JOINER_KEY_DOC,
                                   JOINER_KEY_REQUEST | JOINER_KEY_USER | JOINER_KEY_DOC};
    static const int64_t units[] = {1, 10, 10, 1000, 20000, 30000, 3600000};
    a->unit = units[below(a, ARRAY_LEN(units))];
    w->join.joined = true;
    w->join.key_fields = keys[chance(a, 60) ? 0 : below(a, ARRAY_LEN(keys))];
    w->join.join.window_ms = chance(a, 25) ? 0 : a->unit * between(a, 1, a->orderly ? 2 : 5);
    w->join.join.allowed_lateness_ms =
        w->join.join.window_ms + (chance(a, 20) ? 0 : a->unit * between(a, 1, chance(a, 50) ? 8 : 40));
    if (a->orderly)
        w->join.join.allowed_lateness_ms = a->unit * between(a, 10, 40);
    a->fractions = chance(a, 40);
    a->attributes = chance(a, 50);
    a->at_once = chance(a, 30);
    make_streams(a);
    make_labels(a);
    make_stages(a);
    make_label_filters(a);
    make_versions(a);
    make_sampling(a);
    make_filters(a);
}

static void make_clients(struct author *a)
{
    struct world *w = a->w;
    uint32_t actions = 0, rest = 0;
    for (uint32_t i = 0; i < w->join.join.streams; i++)
        *(w->join.join.stream[i].kind == JOINER_ACTION ? &actions : &rest) |= 1u << i;
    if (!a->orderly && chance(a, 8)) { /* the classic outage */
        w->stalled = actions;
        actions = 0;
    }
    w->clients = a->orderly ? 1 : between(a, 1, 3);
    for (uint32_t i = 0; i < w->clients; i++) {
        if (chance(a, 40) || actions == 0) {
            w->lane[w->lanes++] = (struct world_lane){i, 0, actions | rest};
        } else {
            w->lane[w->lanes++] = (struct world_lane){i, 0, rest};
            w->lane[w->lanes++] = (struct world_lane){i, 1, actions};
        }
    }
    w->sequencing = (struct sequencer_options){.streams = w->join.join.streams,
                                               .window_ms = w->join.join.window_ms,
                                               .producer_timeout_ms = 100,
                                               .producer_retain_ms = chance(a, 80) ? 1000000 : WORLD_SHORT_MEMORY_MS,
                                               .producers_max = chance(a, 90) ? 50 : w->lanes + 1 /* the server */};
    if (chance(a, 15)) {
        w->sequencing.user_events = between(a, 3, 40);
        w->sequencing.user_window_ms = a->unit * between(a, 2, 40);
    }
    for (uint32_t i = 0; i < w->join.join.streams; i++)
        w->sequencing.out_of_orderness_ms[i] = chance(a, 50) ? 0 : a->unit * between(a, 1, 3);
}

/* ---- events ---- */

/* One of the latest impressions; NULL when luck finds none. */
static const struct world_event *some_impression(struct author *a)
{
    const struct world *w = a->w;
    for (int tries = 0; tries < 8 && w->events; tries++) {
        const struct world_event *e = &w->event[w->events - 1 - below(a, w->events < 60 ? w->events : 60)];
        if (w->join.join.stream[e->stream].kind == JOINER_IMPRESSION)
            return e;
    }
    return NULL;
}

static int64_t some_impression_time(struct author *a)
{
    const struct world_event *e = some_impression(a);
    return e ? e->time : a->now;
}

static int64_t some_time(struct author *a)
{
    const struct joiner_config *c = &a->w->join.join;
    const int64_t marks[] = {0,       c->window_ms, c->allowed_lateness_ms, c->stream[below(a, c->streams)].within_ms,
                             a->unit, 60000};
    int64_t edge = marks[below(a, ARRAY_LEN(marks))] + (int64_t)below(a, 3) - 1;
    uint32_t dice = below(a, 100);
    if (a->mad && dice < 3)
        return a->now + DAY_MS;
    if (a->orderly && dice < 95)
        return a->now;
    if (dice < 45)
        return a->now + a->unit * ((int64_t)below(a, 5) - 2);
    if (dice < 75)
        return some_impression_time(a) + edge;
    if (dice < 90)
        return a->now - edge;
    return a->now + a->unit * ((int64_t)below(a, 31) - 20);
}

static void let_time_pass(struct author *a)
{
    uint32_t dice = below(a, 100);
    if (dice < 40)
        a->now += a->unit;
    else if (dice < 46)
        a->now += a->unit * between(a, 2, 10);
    else if (dice < 48)
        a->now += 61000;
}

/* The same as an earlier one, sent again, perhaps by somebody else or with another time. */
static bool copy_event(struct author *a, const struct world_lane *lane, struct world_event *e)
{
    const struct world *w = a->w;
    if (!w->events || !chance(a, 8))
        return false;
    *e = w->event[below(a, w->events)];
    if (e->record)
        e->record = ++a->w->records;
    if (chance(a, 30))
        e->time = some_time(a);
    return lane->streams >> e->stream & 1;
}

/* It takes back one of the latest actions, or says it once more, or comes before it. */
static bool withdraw_event(struct author *a, const struct world_lane *lane, struct world_event *e)
{
    const struct world *w = a->w;
    if (!w->events || !chance(a, 10))
        return false;
    *e = w->event[w->events - 1 - below(a, w->events < 30 ? w->events : 30)];
    if (e->id == 0 || w->join.join.stream[e->stream].kind != JOINER_ACTION || !(lane->streams >> e->stream & 1))
        return false;
    e->withdraw = chance(a, 85) ? !e->withdraw : e->withdraw;
    if (chance(a, 70))
        e->time += a->unit * ((int64_t)below(a, 12) - 3);
    return true;
}

static double some_value(struct author *a)
{
    return a->fractions ? 0.1 * (double)below(a, 60) - 1 : 0.25 * (double)below(a, 10) - 0.25;
}

/* An action or features of something that was shown, around its horizons. */
static void follow(struct author *a, struct world_event *e)
{
    const struct joiner_config *c = &a->w->join.join;
    const struct world_event *shown = some_impression(a);
    const int64_t edges[] = {0, c->window_ms, c->stream[e->stream].within_ms, c->window_ms / 2,
                             c->allowed_lateness_ms / 2};
    if (!shown)
        return;
    e->request = shown->request;
    e->user = shown->user;
    e->doc = shown->doc;
    if (e->version)
        e->version = shown->version;
    e->time = shown->time + edges[below(a, ARRAY_LEN(edges))] + (chance(a, 50) ? 0 : (int64_t)below(a, 3) - 1);
    if (c->stream[e->stream].kind == JOINER_TABLE && chance(a, 80)) /* it may count, just so or for a while */
        e->time = shown->time + (chance(a, 50) ? (int64_t)below(a, 3) - 1 : -a->unit * between(a, 1, 20));
    if (a->tardy && c->stream[e->stream].kind == JOINER_FEATURES)
        e->time = shown->time + (int64_t)below(a, 3) - 1;
    if (a->orderly && chance(a, 80) && c->stream[e->stream].kind == JOINER_ACTION) /* it may well correct */
        e->time = shown->time + (int64_t)below(a, (uint32_t)c->stream[e->stream].within_ms + 1);
}

static void add_features(struct author *a, struct world_event *e)
{
    const struct world *w = a->w;
    enum joiner_stream_kind kind = w->join.join.stream[e->stream].kind;
    uint32_t there = kind == JOINER_ACTION ? 0 : kind == JOINER_IMPRESSION ? w->own_features : 95;
    if (w->own_features == 100 || !chance(a, there))
        return;
    uint32_t values = kind == JOINER_FEATURES ? values_of(w, e->stream) : kind == JOINER_TABLE ? 1 : WORLD_DIMENSION;
    e->features = (struct world_features){
        .there = true,
        .sparse = chance(a, 10),
        .huge = chance(a, 3),
        .values = (uint8_t)(chance(a, 93) ? values : below(a, WORLD_VALUES_MAX + 1)),
        .representation = (uint8_t)(chance(a, a->tardy ? 95 : 60) ? 1 : below(a, 5)),
        .luck = (uint32_t)random_next(&a->r),
    };
}

static void fill_event(struct author *a, const struct world_lane *lane, struct world_event *e)
{
    const struct world *w = a->w;
    uint32_t stream = below(a, w->join.join.streams);
    bool crowded = chance(a, a->crowd);
    while (!(lane->streams >> stream & 1) ||
           (crowded && chance(a, 90) && w->join.join.stream[stream].kind != JOINER_ACTION))
        stream = (stream + 1 + below(a, 2)) % w->join.join.streams;
    *e = (struct world_event){.stream = (uint8_t)stream, .time = some_time(a), .value = some_value(a), .weight = 1};
    e->request = crowded ? 0 : (uint8_t)((w->events / 8 + below(a, 6)) % w->requests);
    e->user = crowded ? 0 : (uint8_t)below(a, w->users);
    e->doc = crowded ? 0 : (uint8_t)below(a, w->docs);
    e->place = (uint8_t)below(a, 6);
    e->id = chance(a, 75) ? (uint16_t)(w->events + 1) : chance(a, 30) ? (uint16_t)between(a, 1, w->events + 1) : 0;
    if (chance(a, 20))
        e->weight = a->fractions ? 0.1f * (float)below(a, 30) : (float)below(a, 4);
    if (chance(a, 2))
        e->weight = 1 << 21; /* more than is judged */
    if (e->id == 0)
        e->value = below(a, 3);
    if (w->join.join.stream[stream].kind == JOINER_IMPRESSION || chance(a, 30))
        e->version = (uint8_t)(chance(a, 60) ? 1 : between(a, 1, 200));
    bool late = a->tardy && w->join.join.stream[stream].kind == JOINER_FEATURES;
    if (w->join.join.stream[stream].kind != JOINER_IMPRESSION && !crowded && (late || chance(a, 60)))
        follow(a, e);
    e->score = chance(a, 50) ? 0.01f * (float)below(a, 110) : NAN; /* some are no probabilities */
    if (w->join.join.stream[stream].kind == JOINER_TABLE)
        e->withdraw = chance(a, 8);
    add_features(a, e);
}

static struct world_event *next_event(struct author *a)
{
    struct world *w = a->w;
    if (w->events == a->event_capacity) {
        a->event_capacity = a->event_capacity ? 2 * a->event_capacity : 64;
        w->event = mem_grow(w->event, a->event_capacity, sizeof *w->event);
    }
    return &w->event[w->events++];
}

/* ---- records with items ---- */

/* The last values may come with each item instead. */
static void split_features(struct author *a, struct world_event *e)
{
    struct world_features *f = &e->features;
    if (!f->there || f->sparse || f->huge || f->values == 0 || !chance(a, 60))
        return;
    e->own = *f;
    e->own.values = (uint8_t)between(a, 1, f->values);
    e->own.sparse = chance(a, 10);
    f->values = (uint8_t)(f->values - e->own.values);
    f->there = f->values > 0 || chance(a, 50);
}

/* One document more of the same record; a record has it once. */
static void add_item(struct author *a, const struct world_event *like, uint32_t doc, uint64_t *docs)
{
    if (*docs >> doc & 1)
        return;
    *docs |= UINT64_C(1) << doc;
    struct world_event *e = next_event(a);
    *e = *like;
    e->doc = (uint8_t)doc;
}

/* A record again as it was, but for one item and perhaps one that is missing: whoever retries may have changed it. */
static void copy_record(struct author *a, uint32_t first)
{
    struct world *w = a->w;
    uint32_t count = 0, record = w->event[first].record;
    uint64_t docs = 0;
    while (first + count < w->events && w->event[first + count].record == record)
        count++;
    uint32_t changed = below(a, count), missing = below(a, 2 * count);
    w->records++;
    for (uint32_t i = 0; i < count; i++) {
        struct world_event e = w->event[first + i];
        e.record = w->records;
        if (i == changed)
            e.own.luck = (uint32_t)random_next(&a->r);
        if (i != missing || count == 1)
            add_item(a, &e, i == changed && chance(a, 50) ? below(a, w->docs) : e.doc, &docs);
    }
}

/* What was made last, if it is no action, may be the first of a record. */
static void make_record(struct author *a, const struct world_lane *lane)
{
    struct world *w = a->w;
    struct world_event like = w->event[w->events - 1];
    uint64_t docs = UINT64_C(1) << like.doc;
    uint32_t earlier = below(a, w->events);
    enum joiner_stream_kind kind = w->join.join.stream[like.stream].kind;
    if (like.record || kind == JOINER_ACTION || kind == JOINER_TABLE || !chance(a, a->records))
        return;
    split_features(a, &like);
    like.record = ++w->records;
    w->event[w->events - 1] = like;
    for (uint32_t more = below(a, 2 * w->docs); more > 0; more--) {
        like.place = (uint8_t)below(a, 6);
        like.score = chance(a, 50) ? 0.01f * (float)below(a, 110) : NAN;
        like.own.luck = (uint32_t)random_next(&a->r);
        add_item(a, &like, below(a, w->docs), &docs);
    }
    if (w->event[earlier].record && lane->streams >> w->event[earlier].stream & 1 && chance(a, 50))
        copy_record(a, earlier);
}

static void make_event(struct author *a, const struct world_lane *lane)
{
    struct world_event e;
    let_time_pass(a);
    if (!withdraw_event(a, lane, &e) && !copy_event(a, lane, &e))
        fill_event(a, lane, &e);
    e.stamped = false; /* what it is like may have been */
    *next_event(a) = e;
    make_record(a, lane);
}

/* ---- acts ---- */

static struct act *add_act(struct author *a, enum act_kind kind)
{
    struct world *w = a->w;
    if (w->acts == a->act_capacity) {
        a->act_capacity = a->act_capacity ? 2 * a->act_capacity : 64;
        w->act = mem_grow(w->act, a->act_capacity, sizeof *w->act);
    }
    struct act *act = &w->act[w->acts++];
    *act =
        (struct act){.kind = kind, .luck = (uint32_t)random_next(&a->r), .amount = (uint32_t)random_next(&a->r) >> 8};
    return act;
}

static void add_send(struct author *a)
{
    struct act *act = add_act(a, ACT_SEND);
    act->who = below(a, a->w->lanes);
    act->first = a->w->events;
    act->count = chance(a, 3) ? 0 : chance(a, 80) ? between(a, 1, 3) : between(a, 4, 12);
    while (a->w->events < act->first + act->count)
        make_event(a, &a->w->lane[act->who]);
    act = &a->w->act[a->w->acts - 1];
    act->count = a->w->events - act->first; /* a record may bring more */
}

/* What the server shows and hears itself, of streams that somebody sends. */
static void add_rank(struct author *a)
{
    const struct joiner_config *c = &a->w->join.join;
    struct world_lane server = {0};
    for (uint32_t i = 0; i < c->streams; i++)
        if (c->stream[i].kind != JOINER_FEATURES && !(a->w->stalled >> i & 1))
            server.streams |= UINT32_C(1) << i;
    if (!server.streams || !a->ranks)
        return;
    struct act *act = add_act(a, ACT_RANK);
    act->first = a->w->events;
    act->count = chance(a, 80) ? between(a, 1, 2) : between(a, 3, 8);
    for (uint32_t i = 0; i < act->count; i++)
        make_event(a, &server);
    act->count = a->w->events - act->first;
    act->time = a->now - (chance(a, 10) ? a->unit * (int64_t)below(a, 30) : 0);
    for (uint32_t i = act->first; i < a->w->events; i++) {
        a->w->event[i].stamped = true;
        a->w->event[i].record = 0; /* each comes alone */
        a->w->event[i].time = act->time;
    }
}

static void add_clock(struct author *a)
{
    struct act *act = add_act(a, ACT_CLOCK);
    act->time = a->now - (chance(a, 20) ? a->unit * (int64_t)below(a, 30) : 0);
}

/* Everything up to now has come. */
static void add_now(struct author *a)
{
    for (uint8_t stream = 0; stream < a->w->join.join.streams; stream++)
        for (uint32_t lane = 0; lane < a->w->lanes; lane++)
            if (a->w->lane[lane].streams >> stream & 1) {
                struct act *act = add_act(a, ACT_WATERMARK);
                act->who = lane;
                act->stream = stream;
                act->time = a->now;
            }
}

static void add_watermark(struct author *a)
{
    struct act *act = add_act(a, ACT_WATERMARK);
    const struct joiner_config *c = &a->w->join.join;
    act->who = below(a, a->w->lanes);
    act->stream = (uint8_t)below(a, c->streams);
    while (!(a->w->lane[act->who].streams >> act->stream & 1))
        act->stream = (uint8_t)((act->stream + 1) % c->streams);
    uint32_t dice = below(a, 100);
    if (dice < 40)
        act->time = a->now;
    else if (dice < 60)
        act->time = a->now - a->unit * below(a, 10);
    else if (dice < 80)
        act->time = some_impression_time(a) + (chance(a, 50) ? c->window_ms : 0) + below(a, 2);
    else
        act->time = some_time(a);
}

static const struct {
    enum act_kind kind;
    uint32_t weight;
} habits[] = {
    {ACT_RANK, 25},  {ACT_CLOCK, 10},    {ACT_SEND, 100},      {ACT_WATERMARK, 45}, {ACT_END, 3},    {ACT_LEAVE, 2},
    {ACT_REPEAT, 5}, {ACT_GAP, 3},       {ACT_RECONNECT, 4},   {ACT_RESTART, 3},    {ACT_WAIT, 10},  {ACT_VERSION, 6},
    {ACT_SEAL, 90},  {ACT_LOG_SYNC, 60}, {ACT_HAND_OVER, 100}, {ACT_COMMIT, 80},    {ACT_SYNC, 15},  {ACT_CRASH, 8},
    {ACT_JOIN, 8},   {ACT_RESET, 6},     {ACT_ENCODER, 10},    {ACT_PRIOR, 4},      {ACT_PAUSE, 10}, {ACT_RESUME, 6},
    {ACT_RULES, 2},  {ACT_DISCARD, 6},   {ACT_PROCEED, 8},     {ACT_LIMIT, 1},
};

enum { PAUSING_HABITS = 5 }; /* the last ones */

static void add_habit(struct author *a)
{
    uint32_t total = 0, i = 0;
    size_t n = ARRAY_LEN(habits) - (a->pauses ? 0 : PAUSING_HABITS);
    for (size_t k = 0; k < n; k++)
        total += habits[k].weight;
    for (uint32_t dice = below(a, total); dice >= habits[i].weight; i++)
        dice -= habits[i].weight;
    switch (habits[i].kind) {
    case ACT_SEND: add_send(a); break;
    case ACT_RANK: add_rank(a); break;
    case ACT_CLOCK: add_clock(a); break;
    case ACT_WATERMARK: a->orderly ? add_now(a) : add_watermark(a); break;
    case ACT_WAIT: add_act(a, ACT_WAIT)->amount = chance(a, 70) ? below(a, 30) : below(a, 400); break;
    default: add_act(a, habits[i].kind)->who = (uint32_t)random_next(&a->r) >> 8;
    }
    if (habits[i].kind == ACT_CRASH && chance(a, 25)) { /* and again, in the middle of the recovery */
        add_act(a, ACT_HAND_OVER)->who = below(a, WORLD_THREADS_MAX);
        add_act(a, ACT_COMMIT)->who = below(a, WORLD_SHARDS_MAX);
        add_act(a, ACT_CRASH)->who = below(a, WORLD_THREADS_MAX);
    }
}

/* The story ends well: everybody is far ahead, so that all windows close. */
static void add_end(struct author *a)
{
    add_act(a, ACT_CLOCK)->time = a->now + 2 * DAY_MS;
    for (uint32_t lane = 0; lane < a->w->lanes; lane++)
        for (uint8_t stream = 0; stream < a->w->join.join.streams; stream++)
            if (a->w->lane[lane].streams >> stream & 1) {
                struct act *act = add_act(a, ACT_WATERMARK);
                act->who = lane;
                act->stream = stream;
                act->time = a->now + 2 * DAY_MS;
            }
}

void world_make(struct world *w, uint64_t seed)
{
    *w = (struct world){.seed = seed};
    struct author a = {.w = w, .r = {seed}, .now = EPOCH_MS};
    random_next(&a.r);
    a.orderly = chance(&a, 30);
    a.tardy = a.orderly && chance(&a, 60);
    a.pauses = a.orderly || chance(&a, 60);
    a.ranks = chance(&a, 50);
    make_join(&a);
    make_limits(&a);
    make_clients(&a);
    w->shards = a.orderly ? 2 : between(&a, 2, WORLD_SHARDS_MAX);
    w->threads = between(&a, 1, WORLD_THREADS_MAX);
    w->requests = between(&a, 1, chance(&a, 35) ? 3 : 50);
    w->users = between(&a, 1, 3);
    w->docs = between(&a, 1, WORLD_DOCS_MAX);
    if (a.orderly)
        w->requests = 200;
    a.mad = !a.orderly && chance(&a, 20);
    a.records = chance(&a, 50) ? between(&a, 10, 60) : 0;
    a.crowd = !a.orderly && chance(&a, 15) ? 80 : 0;
    uint32_t events = chance(&a, 70) ? between(&a, 20, 90) : between(&a, 90, 300);
    while (w->events < events)
        add_habit(&a);
    if (chance(&a, 50))
        add_end(&a);
    w->event_dropped = mem_new(w->events, sizeof *w->event_dropped);
}

void world_close(struct world *w)
{
    for (uint32_t i = 0; i < w->versions; i++)
        free(w->version[i].weight_prior);
    free(w->event);
    free(w->event_dropped);
    free(w->act);
}

/* ---- wire and print ---- */

const char *world_doc(uint32_t doc)
{
    static const char *const docs[WORLD_DOCS_MAX] = {"d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"};
    return docs[doc];
}

const char *world_representation(uint32_t representation)
{
    static const char *const names[] = {"", "x", "y"};
    return representation < ARRAY_LEN(names) ? names[representation]
                                             : world_encoder_name(representation - (uint32_t)ARRAY_LEN(names));
}

/* As a producer packs them: the indices of a sparse vector, then the values. */
static void pack_features(const struct world_features *f, struct buffer *packed)
{
    for (uint32_t i = 0; f->sparse && i < f->values; i++)
        buffer_put_u32(packed, 2 * i);
    for (uint32_t i = 0; i < f->values; i++) {
        float value = f->huge && i == 0 ? 1e7f : (float)((int)(f->luck >> 6 * i & 63) - 32) / 16;
        buffer_put(packed, &value, sizeof value);
    }
}

static void encode_shared_features(const struct world_event *e, struct event *event, struct buffer *packed)
{
    if (e->features.there) {
        pack_features(&e->features, packed);
        event->features = buffer_view(packed);
        event->encoding = e->features.sparse;
        event->has |= EVENT_HAS_FEATURES;
    }
    if ((e->features.there || e->own.there) && e->features.representation)
        event->representation = bytes_text(world_representation(e->features.representation));
}

/* What a document has of its own, in an item or not. */
static void set_place(const struct world_event *e, struct event *event)
{
    event->doc = bytes_text(world_doc(e->doc));
    if (e->place) {
        event->position = e->place - 1;
        event->has |= EVENT_HAS_POSITION;
    }
    if (!isnan(e->score)) {
        event->score = e->score;
        event->has |= EVENT_HAS_SCORE;
    }
}

static void encode(const struct world_event *e, bool alone, uint64_t tag, struct buffer *out)
{
    CLEANUP(buffer_close) struct buffer features = {0};
    char request[8], user[8], id[8];
    snprintf(request, sizeof request, "r%u", e->request);
    snprintf(user, sizeof user, "u%u", e->user);
    snprintf(id, sizeof id, "e%u", e->id);
    struct event event = {.stream = bytes_text("s"), /* it goes by number here */
                          .request = bytes_text(request),
                          .user = bytes_text(user),
                          .time = e->time,
                          .value = e->value,
                          .withdraw = e->withdraw,
                          .weight = e->weight,
                          .payload = bytes_of(&tag, sizeof tag),
                          .has = EVENT_HAS_VALUE | EVENT_HAS_WEIGHT | (e->stamped ? 0 : EVENT_HAS_TIME)};
    if (alone)
        set_place(e, &event);
    if (e->id)
        event.event = bytes_text(id);
    encode_shared_features(e, &event, &features);
    event_encode(&event, out);
}

void world_encode(const struct world_event *e, uint64_t tag, struct buffer *out) { encode(e, true, tag, out); }
void world_encode_shared(const struct world_event *e, uint64_t tag, struct buffer *out) { encode(e, false, tag, out); }

void world_encode_item(const struct world_event *e, struct buffer *out)
{
    CLEANUP(buffer_close) struct buffer features = {0};
    struct event event = {.items = 1};
    set_place(e, &event);
    if (e->own.there) {
        pack_features(&e->own, &features);
        event.item_features = buffer_view(&features);
        event.item_encoding = e->own.sparse;
        event.has |= EVENT_HAS_ITEM_FEATURES;
    }
    event_encode(&event, out);
}

const char *act_name(enum act_kind kind)
{
    static const char *const names[] = {
#define A(name, help) #name,
        ACTS(A)
#undef A
    };
    return names[kind];
}

static void print_event(const struct world *w, const struct world_event *e)
{
    static const char *const kinds[] = {"features", "impression", "action", "row of a table"};
    const struct world_features *f = &e->features;
    printf("        s%u %s%s%s r%u u%u d%u time %+" PRId64 " id %u version %u value %g weight %g place %u", e->stream,
           e->stamped ? "stamped " : "", e->withdraw ? "withdrawn " : "", kinds[w->join.join.stream[e->stream].kind],
           e->request, e->user, e->doc, e->time - EPOCH_MS, e->id, e->version, e->value, (double)e->weight, e->place);
    if (e->record)
        printf(" record %u with %u %svalues of its own", e->record, e->own.values, e->own.sparse ? "sparse " : "");
    if (f->there)
        printf(" %u %s%sfeatures of \"%s\"", f->values, f->huge ? "huge " : "", f->sparse ? "sparse " : "",
               world_representation(f->representation));
    printf("\n");
}

void world_print(const struct world *w)
{
    const struct joiner_config *c = &w->join.join;
    printf("window %" PRId64 " lateness %" PRId64 " key %u shards %u threads %u\n", c->window_ms,
           c->allowed_lateness_ms, w->join.key_fields, w->shards, w->threads);
    for (uint32_t i = 0; i < w->stages; i++)
        printf("stage %u: %u streams, %u labels, window %" PRId64 "%s\n", i, w->stage[i].streams, w->stage[i].labels,
               w->stage[i].window_ms, w->stage[i].at_once ? ", positives at once" : "");
    for (size_t i = 0; i < ARRAY_LEN(w->limits); i++)
        printf("limits %" PRIu64 " bytes held, %" PRIu64 " waiting, %" PRIu64 " decided, %" PRIu64
               " in batches, slice %u\n",
               w->limits[i].held_bytes, w->limits[i].waiting_bytes, w->limits[i].decided_bytes,
               w->limits[i].batch_bytes, w->limits[i].slice);
    for (size_t i = 0; i < ARRAY_LEN(w->rules); i++)
        for (uint32_t k = 0; k < w->rules[i].sampling.rules; k++)
            printf("sampling %zu: keep %g by %u of places %d to %d\n", i, (double)w->rules[i].sampling.rule[k].keep,
                   w->rules[i].sampling.rule[k].unit, w->rules[i].sampling.rule[k].first,
                   w->rules[i].sampling.rule[k].last);
    for (uint32_t i = 0; i < w->versions; i++)
        printf("version %u from %u and %u, reward %s: %s, dimension %u, covariance %d, representation \"%s\", batch of "
               "%u, "
               "ratio %g, age %" PRId64 ", order %d\n",
               w->version[i].id, w->version[i].samples_from[0], w->version[i].samples_from[1],
               w->version[i].reward.text, w->version[i].model->name, w->version[i].config.dimension,
               w->version[i].config.covariance, w->version[i].representation, w->version[i].batch.samples,
               w->version[i].batch.positive_ratio, w->version[i].batch.age_ms, (int)w->version[i].order);
    for (uint32_t i = 0; i < c->labels; i++)
        printf("label l%u: %s, cap %g%s, threshold %g%s\n", i, label_aggregate_word(c->label[i].aggregate),
               c->label[i].cap.value, c->label[i].cap.given ? "" : " (none)", c->label[i].threshold.value,
               c->label[i].threshold.given ? "" : " (none)");
    if (w->sequencing.user_events)
        printf("robots have more than %u events in %" PRId64 " ms\n", w->sequencing.user_events,
               w->sequencing.user_window_ms);
    for (uint32_t i = 0; i < c->label_filters.count; i++)
        printf("filter of samples by the %s of l%u: [%g, %g], drop %d, zeroes %" PRIx64 "\n",
               c->label_filters.filter[i].look == LOOK_AT_DELAY ? "delay" : "value", c->label_filters.filter[i].label,
               c->label_filters.filter[i].least, c->label_filters.filter[i].most, c->label_filters.filter[i].drop,
               c->label_filters.filter[i].zeroes);
    for (uint32_t i = 0; i < c->streams; i++)
        printf("stream s%u kind %d within %" PRId64 " required %d labels %" PRIx64 " rule %d key %u\n", i,
               c->stream[i].kind, c->stream[i].within_ms, c->stream[i].required, c->stream[i].labels,
               c->stream[i].attribute, c->stream[i].key_fields);
    for (uint32_t i = 0; i < w->acts; i++) {
        const struct act *a = &w->act[i];
        if (a->dropped)
            continue;
        printf("%4u %s who %u", i, act_name(a->kind), a->who);
        if (a->kind == ACT_RANK || a->kind == ACT_CLOCK)
            printf(" time %+" PRId64, a->time - EPOCH_MS);
        if (a->kind == ACT_WATERMARK)
            printf(" s%u time %+" PRId64, a->stream, a->time - EPOCH_MS);
        printf("\n");
        for (uint32_t k = a->first; k < a->first + a->count; k++)
            if (!w->event_dropped[k])
                print_event(w, &w->event[k]);
    }
}
