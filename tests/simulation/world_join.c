/* The join of a world: its streams, labels and stages, the filters of its samples, and the rules of filtering and
 * sampling. */
#include "tests/simulation/world_author.h"

#include <math.h>
#include <stdio.h>

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

uint32_t world_values_of(const struct world *w, uint32_t stream)
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
            s->dimension = chance(a, 90) ? world_values_of(a->w, i) : 2;
    }
}

void author_make_join(struct author *a)
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
    set_dimensions(a);
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

void author_make_rules(struct author *a)
{
    make_sampling(a);
    make_filters(a);
}
