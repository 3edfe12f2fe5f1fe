/* Samples: the features of an impression, what is told of it, and what features add that come when it is decided. */
#include "tests/simulation/oracle_state.h"

#include <math.h>
#include <stdio.h>

#include "learner/draw.h"
#include "proto/event.h"

void oracle_text(char *out, size_t room, struct bytes text)
{
    snprintf(out, room, "%.*s", (int)text.size, (const char *)text.data);
}

/* Goes behind what others did. */
static void add_values(struct lesson_features *f, const struct event *e, uint32_t encoding, struct bytes features)
{
    char representation[40];
    oracle_text(representation, sizeof representation, e->representation);
    if (f->named && strcmp(f->representation, representation) != 0)
        snprintf(representation, sizeof representation, "?");
    memcpy(f->representation, representation, sizeof representation);
    f->named = true;
    f->packed += (uint32_t)(1 + 2 + e->representation.size + 1 + 4 + features.size);
    f->broken = f->broken || f->sparse;
    uint32_t values = (uint32_t)features.size / (encoding ? 8 : 4), from = f->count;
    for (uint32_t i = 0; i < values; i++) {
        uint32_t at = i;
        if (encoding)
            memcpy(&at, features.data + 4 * i, sizeof at);
        CHECK(from + at < LESSONS_VALUES_MAX);
        memcpy(&f->x[from + at], features.data + features.size - 4 * (values - i), sizeof f->x[0]);
        f->count = from + at + 1;
    }
    f->sparse = f->sparse || encoding != 0;
}

/* A stream of features has not come. */
static void add_blank(struct lesson_features *f, uint32_t zeros)
{
    f->packed += 1 + 2 + 1 + 4 + 4;
    f->open = true;
    f->missing = f->missing || zeros == 0;
    f->broken = f->broken || f->sparse;
    f->count += zeros;
    CHECK(f->count <= LESSONS_VALUES_MAX);
}

/* What one record brought: of an item first what is shared, then its own. False: it brought nothing. */
static bool add_features(struct lesson_features *f, struct bytes wire, struct bytes shared)
{
    struct event e;
    CHECK(event_scan_parts(wire, shared, &e, NULL) == TM_OK);
    if (e.has & EVENT_HAS_FEATURES)
        add_values(f, &e, e.encoding, e.features);
    if (e.has & EVENT_HAS_ITEM_FEATURES)
        add_values(f, &e, e.item_encoding, e.item_features);
    return e.has & (EVENT_HAS_FEATURES | EVENT_HAS_ITEM_FEATURES);
}

/* The table whose name comes next; NOBODY: there is none. */
static uint32_t next_table(const struct catalog *c, uint32_t after)
{
    uint32_t best = NOBODY;
    for (uint32_t i = 0; i < c->join.streams; i++)
        if (c->join.stream[i].kind == JOINER_TABLE && !c->join.stream[i].payload_only &&
            (after == NOBODY || strcmp(c->stream_name[i], c->stream_name[after]) > 0) &&
            (best == NOBODY || strcmp(c->stream_name[i], c->stream_name[best]) < 0))
            best = i;
    return best;
}

/* Behind what was sent: a row of every table, or the sample has no features at all. */
static struct lesson_features with_tables(const struct oracle *o, const struct oracle_record *r,
                                          struct lesson_features f)
{
    uint32_t streams = o->epoch[r->epoch].streams;
    struct event shown;
    CHECK(event_scan_parts(r->wire, r->shared, &shown, NULL) == TM_OK);
    for (uint32_t t = next_table(&o->catalog, NOBODY); t != NOBODY; t = next_table(&o->catalog, t)) {
        if (t >= streams)
            continue;
        const struct told_row *row =
            told_rows_find(&o->rows, &o->catalog, (uint8_t)t, &shown, r->time, r->decided_here);
        if (!row || !add_features(&f, row->wire, (struct bytes){0}))
            return (struct lesson_features){0};
    }
    f.there = f.packed > 0 && !f.missing;
    return f;
}

static bool has_own_features(const struct oracle_record *impression)
{
    struct lesson_features ignored = {0};
    return add_features(&ignored, impression->wire, impression->shared);
}

/* The impression's own features, or one record of every feature stream that it knows, or zeros where it has not come. */
struct lesson_features oracle_features_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    const struct oracle_record *shown = &s->record[impression];
    struct lesson_features f = {.weight = shown->weight / (double)shown->lot.rate}; /* the most that it weighs */
    if (add_features(&f, shown->wire, shown->shared))
        return with_tables(o, shown, f);
    for (uint32_t stream = 0; stream < o->epoch[shown->epoch].streams; stream++) {
        bool came = false;
        if (o->catalog.join.stream[stream].kind != JOINER_FEATURES)
            continue;
        for (uint32_t i = 0; i < s->records; i++) {
            const struct oracle_record *r = &s->record[i];
            if (r->stream == stream && r->fate == FATE_MATCHED && r->impression == impression)
                came = add_features(&f, r->wire, r->shared);
        }
        if (!came)
            add_blank(&f, o->catalog.join.stream[stream].dimension);
    }
    return with_tables(o, shown, f);
}

bool oracle_is_negative(const struct oracle *o, const double *labels)
{
    for (uint32_t i = 0; i < o->catalog.join.labels; i++)
        if (labels[i] != 0)
            return false;
    return true;
}

/* Whoever reads the sample later is to find what feature streams had brought. */
static void note_records(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, struct lesson *l)
{
    l->streams = o->epoch[s->record[impression].epoch].streams;
    for (uint32_t stream = 0; stream < l->streams; stream++)
        for (uint32_t i = 0; i < s->records; i++) {
            const struct oracle_record *r = &s->record[i];
            if (r->stream != stream || o->catalog.join.stream[stream].kind != JOINER_FEATURES ||
                r->fate != FATE_MATCHED || r->impression != impression)
                continue;
            CHECK(l->records < LESSONS_RECORDS_MAX);
            l->record[l->records++] = i;
        }
}

/* A sample that was left out at first is one without a request. */
static void tell(const struct oracle *o, const struct oracle_record *r, struct sample *sample)
{
    struct event e;
    CHECK(event_scan_parts(r->wire, r->shared, &e, NULL) == TM_OK);
    sample->score = e.has & EVENT_HAS_SCORE && !r->was_left_out ? e.score : NAN;
    sample->request = (uint32_t)(r->was_left_out ? draw_mix(sample->position) : hash_128(e.request, o->hash_seed).lo);
}

/* Of a new one; one that was left out has what was kept. */
static struct lesson_features first_features(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    const struct oracle_record *r = &s->record[impression];
    struct lesson_features f = {0};
    if (!r->was_left_out)
        f = oracle_features_of(o, s, impression);
    else if (r->features.kept)
        f = r->features;
    f.kept = lessons_keep_features(&s->lessons, &o->catalog, r->version, &f);
    return f;
}

/* Which record made a sample at this position: the impression, while it is being decided. */
static struct oracle_record *event_of(struct oracle_shard *s, struct oracle_record *impression, uint64_t position)
{
    uint32_t at = 0;
    if (!impression->decided)
        return impression;
    while (s->record[at].position != position)
        CHECK(++at < s->records);
    return &s->record[at];
}

void oracle_emit(struct oracle *o, struct oracle_shard *s, uint32_t impression, enum sample_kind kind,
                 const double *labels, bool excluded, uint64_t position, struct oracle_change change)
{
    struct oracle_record *r = &s->record[impression];
    struct sample sample = {.sequence = s->lessons.lessons + 1,
                            .kind = kind,
                            .version = r->version,
                            .key = r->key_hash,
                            .doc = r->doc_hash,
                            .impression_time = r->time,
                            .decided_at = oracle_decided_at(o, s),
                            .position = position,
                            .label_count = o->epoch[r->epoch].labels,
                            .weight = r->weight,
                            .keep = kind == SAMPLE_NEW && oracle_is_negative(o, labels) ? (double)r->lot.rate : 1,
                            .old_keep = 1,
                            .rate = (double)r->lot.rate,
                            .behind = kind == SAMPLE_NEW && (r->on_arrival || r->was_left_out),
                            .place.row = change.moved,
                            .excluded = excluded,
                            .old_excluded = kind == SAMPLE_CORRECTION && r->excluded};
    if (kind == SAMPLE_CORRECTION) {
        sample.original = r->sequence;
        memcpy(sample.old_labels, r->labels, sizeof r->labels);
        sample.old_keep = r->keep;
        sample.keep = change.came ? r->keep : sample.keep;
    } else {
        r->sequence = sample.sequence;
        r->features = first_features(o, s, impression);
        tell(o, r, &sample);
    }
    memcpy(sample.labels, labels, sizeof r->labels);
    memcpy(r->labels, labels, sizeof r->labels);
    r->keep = sample.keep;
    r->excluded = excluded;
    enum joiner_reason refused = lessons_add(&s->lessons, &o->catalog, &sample, (uint32_t)(r->doc[1] - '0'), /* "d3" */
                                             kind == SAMPLE_NEW ? &r->features : change.came);
    if (refused) {
        struct oracle_record *by = event_of(s, r, position);
        by->refused = by->refused ? by->refused : refused;
    }
    if (kind == SAMPLE_NEW && !r->was_left_out)
        note_records(o, s, impression, &s->lessons.lesson[s->lessons.lessons - 1]);
}

/* Features for an impression that is decided; they are put to those that were kept. */
void oracle_add_late(struct oracle *o, struct oracle_shard *s, uint32_t impression, uint32_t at)
{
    struct oracle_record *r = &s->record[impression];
    struct lesson_features brought = {0}, now = r->features;
    const struct oracle_change change = {
        .came = &now,
        .moved = r->features.kept && !has_own_features(r) && s->record[at].stream < o->epoch[r->epoch].streams &&
                 add_features(&brought, s->record[at].wire, s->record[at].shared),
    };
    double labels[JOINER_LABELS_MAX];
    memcpy(labels, r->labels, sizeof labels);
    if (change.moved) {
        now = oracle_features_of(o, s, impression);
        now.kept = true;
    }
    if (r->keep > 0) {
        oracle_emit(o, s, impression, SAMPLE_CORRECTION, labels, r->excluded, s->record[at].position, change);
        struct lesson *correction = &s->lessons.lesson[s->lessons.lessons - 1];
        correction->record[correction->records++] = at;
    }
    r->features = now;
}
