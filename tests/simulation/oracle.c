#include "tests/simulation/oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "learner/draw.h"
#include "proto/event.h"
#include "proto/wire.h"
#include "ps/state/record.h"
#include "tests/simulation/encoders.h"
#include "tests/simulation/told_rows.h"
#include "tests/simulation/world.h"

enum { MINUTE_MS = 60000 };

/* The join was so from some place on. */
struct oracle_epoch {
    uint32_t streams, labels;
    int64_t window_ms;
    bool at_once;
};

struct oracle {
    uint32_t shards;
    uint64_t hash_seed;
    struct catalog catalog;
    int64_t watermark[JOINER_STREAMS_MAX];
    struct oracle_epoch *epoch; /* all there ever were */
    uint32_t epochs;
    int64_t least_horizon; /* of impressions and early actions: it does not go back behind what it was when one began */
    struct oracle_shard *shard;
    struct told_rows rows; /* of tables */
    uint64_t here;         /* the story has come to this position */
};

struct oracle *oracle_open(uint32_t shards, uint64_t hash_seed)
{
    struct oracle *o = mem_new(1, sizeof *o);
    o->shards = shards;
    o->hash_seed = hash_seed;
    o->shard = mem_new(shards, sizeof *o->shard);
    for (uint32_t i = 0; i < shards; i++)
        o->shard[i].gone = o->shard[i].ahead = o->shard[i].told_at = o->shard[i].least_gate = o->shard[i].least_expiry =
            WATERMARK_NONE;
    o->least_horizon = WATERMARK_NONE;
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        o->watermark[i] = WATERMARK_NONE;
    return o;
}

void oracle_close(struct oracle *o)
{
    for (uint32_t i = 0; i < o->shards; i++) {
        free(o->shard[i].record);
        lessons_close(&o->shard[i].lessons);
    }
    free(o->shard);
    free(o->epoch);
    told_rows_close(&o->rows);
    catalog_close(&o->catalog);
    free(o);
}

/* ---- times: WATERMARK_NONE when any of them is unknown ---- */

static int64_t at_most(int64_t least, int64_t watermark, int64_t behind)
{
    if (least == WATERMARK_NONE || watermark == WATERMARK_NONE)
        return WATERMARK_NONE;
    return watermark - behind < least ? watermark - behind : least;
}

static int64_t impressions_complete(const struct oracle *o)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < o->catalog.join.streams; i++)
        if (o->catalog.join.stream[i].kind == JOINER_IMPRESSION)
            least = at_most(least, o->watermark[i], 0);
    return least;
}

/* Of the impressions of an epoch: nothing that came later counts. */
static int64_t gate_of(const struct oracle *o, uint32_t epoch)
{
    const struct oracle_epoch *e = &o->epoch[epoch];
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < e->streams; i++) {
        const struct joiner_stream *s = &o->catalog.join.stream[i];
        bool labelled = false;
        for (uint32_t label = 0; label < e->labels; label++)
            labelled = labelled || s->labels >> label & 1;
        if (s->kind == JOINER_ACTION && labelled)
            least = at_most(least, o->watermark[i], e->window_ms);
        if (s->kind == JOINER_IMPRESSION || (s->kind == JOINER_FEATURES && s->required))
            least = at_most(least, o->watermark[i], 0);
    }
    return least;
}

static bool is_undecided(const struct oracle *o, const struct oracle_record *r)
{
    return o->catalog.join.stream[r->stream].kind == JOINER_IMPRESSION && r->fate == FATE_MATCHED && !r->decided;
}

/* That of the epochs that something waits for, and of the one of now; it does not go back when one begins. */
static int64_t gate(const struct oracle *o, const struct oracle_shard *s)
{
    int64_t least = INT64_MAX;
    for (uint32_t epoch = 0; epoch < o->epochs; epoch++) {
        bool asked = epoch + 1 == o->epochs;
        for (uint32_t i = 0; i < s->records && !asked; i++)
            asked = is_undecided(o, &s->record[i]) && s->record[i].epoch == epoch;
        if (asked)
            least = at_most(least, gate_of(o, epoch), 0);
    }
    return least > s->least_gate ? least : s->least_gate;
}

static int64_t newest_gate(const struct oracle *o)
{
    int64_t most = WATERMARK_NONE;
    for (uint32_t i = 0; i < o->epochs; i++)
        most = gate_of(o, i) > most ? gate_of(o, i) : most;
    return most;
}

/* Nothing decided is behind it. */
static int64_t front(const struct oracle *o, const struct oracle_shard *s)
{
    return s->ahead > newest_gate(o) ? s->ahead : newest_gate(o);
}

/* The gate; of an epoch before, while nothing is known about that of now and never was; not before the last one. */
static int64_t decided_at(const struct oracle *o, struct oracle_shard *s)
{
    int64_t now = gate(o, s) == WATERMARK_NONE ? newest_gate(o) : gate(o, s);
    return s->told_at = now > s->told_at ? now : s->told_at;
}

static int64_t horizon(const struct oracle *o, int64_t lateness)
{
    return at_most(INT64_MAX, impressions_complete(o), lateness);
}

static int64_t lateness_horizon(const struct oracle *o)
{
    int64_t at = horizon(o, o->catalog.join.allowed_lateness_ms);
    return at > o->least_horizon ? at : o->least_horizon;
}

/* Nobody comes any more for an impression before it, or it was given up. */
static int64_t expiry(const struct oracle *o, const struct oracle_shard *s)
{
    const struct joiner_config *c = &o->catalog.join;
    int64_t least = horizon(o, c->allowed_lateness_ms);
    for (uint32_t i = 0; i < c->streams; i++)
        if (c->stream[i].kind == JOINER_ACTION && c->stream[i].labels)
            least = at_most(least, o->watermark[i], c->stream[i].within_ms);
    least = least > s->least_expiry ? least : s->least_expiry;
    return least > s->gone ? least : s->gone;
}

/* ---- joining ---- */

static void text_of(char *out, size_t room, struct bytes text)
{
    snprintf(out, room, "%.*s", (int)text.size, (const char *)text.data);
}

/* Goes behind what others did. */
static void add_values(struct lesson_features *f, const struct event *e, uint32_t encoding, struct bytes features)
{
    char representation[40];
    text_of(representation, sizeof representation, e->representation);
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
static struct lesson_features features_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
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

static bool is_negative(const struct oracle *o, const double *labels)
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

/* came: the features of a correction that some came for, kept at another place if `moved`. */
struct change {
    const struct lesson_features *came;
    bool moved;
};

/* Of a new one; one that was left out has what was kept. */
static struct lesson_features first_features(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    const struct oracle_record *r = &s->record[impression];
    struct lesson_features f = {0};
    if (!r->was_left_out)
        f = features_of(o, s, impression);
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

static void emit(struct oracle *o, struct oracle_shard *s, uint32_t impression, enum sample_kind kind,
                 const double *labels, bool excluded, uint64_t position, struct change change)
{
    struct oracle_record *r = &s->record[impression];
    struct sample sample = {.sequence = s->lessons.lessons + 1,
                            .kind = kind,
                            .version = r->version,
                            .key = r->key_hash,
                            .doc = r->doc_hash,
                            .impression_time = r->time,
                            .decided_at = decided_at(o, s),
                            .position = position,
                            .label_count = o->epoch[r->epoch].labels,
                            .weight = r->weight,
                            .keep = kind == SAMPLE_NEW && is_negative(o, labels) ? (double)r->lot.rate : 1,
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
    if (refused && kind == SAMPLE_NEW) {
        struct oracle_record *by = event_of(s, r, position);
        by->refused = by->refused ? by->refused : refused;
    }
    if (kind == SAMPLE_NEW && !r->was_left_out)
        note_records(o, s, impression, &s->lessons.lesson[s->lessons.lessons - 1]);
}

/* Features for an impression that is decided; they are put to those that were kept. */
static void add_late(struct oracle *o, struct oracle_shard *s, uint32_t impression, uint32_t at)
{
    struct oracle_record *r = &s->record[impression];
    struct lesson_features brought = {0}, now = r->features;
    const struct change change = {
        .came = &now,
        .moved = r->features.kept && !has_own_features(r) && s->record[at].stream < o->epoch[r->epoch].streams &&
                 add_features(&brought, s->record[at].wire, s->record[at].shared),
    };
    double labels[JOINER_LABELS_MAX];
    memcpy(labels, r->labels, sizeof labels);
    if (change.moved) {
        now = features_of(o, s, impression);
        now.kept = true;
    }
    if (r->keep > 0) {
        emit(o, s, impression, SAMPLE_CORRECTION, labels, r->excluded, s->record[at].position, change);
        struct lesson *correction = &s->lessons.lesson[s->lessons.lessons - 1];
        correction->record[correction->records++] = at;
    }
    r->features = now;
}

static bool acts_on(const struct oracle *o, const struct oracle_record *r, uint32_t impression)
{
    return r->fate == FATE_MATCHED && r->impression == impression &&
           o->catalog.join.stream[r->stream].kind == JOINER_ACTION;
}

/* ---- attribution: who holds an action follows from all records, each time ---- */

static const struct joiner_stream *stream_of(const struct oracle *o, const struct oracle_record *r)
{
    return &o->catalog.join.stream[r->stream];
}

static bool is_attributed(const struct oracle *o, const struct oracle_record *r)
{
    return stream_of(o, r)->attribute != JOINER_ATTRIBUTE_NONE;
}

static bool same_fields(uint32_t fields, const struct oracle_record *a, const struct oracle_record *b)
{
    return (!(fields & JOINER_KEY_REQUEST) || strcmp(a->request, b->request) == 0) &&
           (!(fields & JOINER_KEY_USER) || strcmp(a->user_id, b->user_id) == 0) && strcmp(a->doc, b->doc) == 0;
}

/* By the keys that action streams had when it came, but for those under which others crowd it out. */
static bool known_by(const struct oracle *o, const struct oracle_record *shown, uint32_t fields)
{
    for (uint32_t k = 0; k < shown->action_keys; k++)
        if (o->catalog.join.action_key[k] == fields)
            return !(shown->crowded_out >> fields & 1);
    return false;
}

static bool may_hold(const struct oracle *o, const struct oracle_record *shown, const struct oracle_record *action)
{
    const struct joiner_stream *s = stream_of(o, action);
    return stream_of(o, shown)->kind == JOINER_IMPRESSION && shown->fate == FATE_MATCHED && !shown->forgotten &&
           known_by(o, shown, s->key_fields) && same_fields(s->key_fields, shown, action) &&
           shown->time <= action->time && action->time - shown->time <= s->within_ms &&
           (!action->version || action->version == shown->version);
}

/* The first and the last that may hold it, of the records up to `until`. Returns how many there are. */
static uint32_t possible_holders(const struct oracle *o, const struct oracle_shard *s,
                                 const struct oracle_record *action, uint32_t until, uint32_t *first, uint32_t *last)
{
    uint32_t count = 0;
    *first = *last = NOBODY;
    for (uint32_t i = 0; i < s->records && i <= until; i++) {
        if (!may_hold(o, &s->record[i], action))
            continue;
        count++;
        if (*first == NOBODY || s->record[i].time < s->record[*first].time)
            *first = i;
        if (*last == NOBODY || s->record[i].time >= s->record[*last].time)
            *last = i;
    }
    return count;
}

/* Into how many parts the action goes, when the impression has one of them; else 0. */
static uint32_t parts_of(const struct oracle *o, const struct oracle_shard *s, uint32_t action, uint32_t impression)
{
    const struct oracle_record *r = &s->record[action], *shown = &s->record[impression];
    enum joiner_attribute rule = stream_of(o, r)->attribute;
    uint32_t first, last, count = possible_holders(o, s, r, NOBODY, &first, &last);
    if (r->fate != FATE_MATCHED || r->forgotten || r->withdraw || r->withdrawn || !may_hold(o, shown, r))
        return 0;
    if (r->shares)
        return rule == JOINER_ATTRIBUTE_ALL && impression < r->settled_at ? r->shares : 0;
    if (rule == JOINER_ATTRIBUTE_ALL)
        return count;
    return impression == (rule == JOINER_ATTRIBUTE_LAST ? last : first);
}

/* It acts, and nobody has taken it back. */
static bool counts(const struct oracle *o, const struct oracle_shard *s, uint32_t at, uint32_t impression)
{
    const struct oracle_record *r = &s->record[at];
    if (is_attributed(o, r))
        return parts_of(o, s, at, impression) > 0;
    if (!acts_on(o, r, impression) || r->withdraw)
        return false;
    for (uint32_t i = 0; i < s->records; i++)
        if (s->record[i].withdraw && acts_on(o, &s->record[i], impression) && s->record[i].stream == r->stream &&
            strcmp(s->record[i].id, r->id) == 0)
            return false;
    return true;
}

/* Of the actions that count for an impression, the first behind `after` in the order of (time, position). */
static uint32_t next_action(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t after)
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

/* One label, of the actions that count up to and with `last`. */
static double label_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t label,
                       uint32_t last)
{
    const struct joiner_label *l = &o->catalog.join.label[label];
    double count = 0, sum = 0, max = -HUGE_VAL, newest = 0, delay = 0, v = 0;
    for (uint32_t i = NOBODY; last != NOBODY && i != last;) {
        i = next_action(o, s, impression, i);
        const struct oracle_record *r = &s->record[i];
        if (!(o->catalog.join.stream[r->stream].labels >> label & 1))
            continue;
        double value = is_attributed(o, r) ? r->value / parts_of(o, s, i, impression) : r->value;
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
        i = next_action(o, s, impression, i);
        if (stream_of(o, &s->record[i])->labels >> label & 1)
            return i;
    }
    return NOBODY;
}

/* What the labels come to, and whether the sample is excluded: the filters, told one after the other. */
static bool labels_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t last,
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

/* Tell what the actions up to `last` come to, if it is something else than was told. */
static void correct(struct oracle *o, struct oracle_shard *s, uint32_t impression, uint32_t last, uint64_t position)
{
    double labels[JOINER_LABELS_MAX];
    struct oracle_record *r = &s->record[impression];
    bool excluded = labels_of(o, s, impression, last, labels), there = r->keep > 0;
    bool changed = there && excluded != r->excluded;
    for (uint32_t i = 0; i < o->catalog.join.labels; i++)
        changed = changed || labels[i] != r->labels[i];
    if (changed)
        emit(o, s, impression, there ? SAMPLE_CORRECTION : SAMPLE_NEW, labels, excluded, position, (struct change){0});
}

static uint32_t last_action(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    uint32_t last = NOBODY, next;
    while ((next = next_action(o, s, impression, last)) != NOBODY)
        last = next;
    return last;
}

static void leave_out(struct oracle *o, struct oracle_shard *s, uint32_t impression)
{
    struct oracle_record *r = &s->record[impression];
    r->was_left_out = true;
    r->features = features_of(o, s, impression);
    r->features.kept = lessons_keep_features(&s->lessons, &o->catalog, r->version, &r->features);
    lessons_leave_out(&s->lessons, &o->catalog, r->version);
}

/* The first labels are of the actions up to some time. */
static void decide_until(struct oracle *o, struct oracle_shard *s, uint32_t impression, int64_t closes)
{
    double labels[JOINER_LABELS_MAX];
    uint32_t last = NOBODY, next = next_action(o, s, impression, NOBODY);
    for (; next != NOBODY && s->record[next].time <= closes; next = next_action(o, s, impression, next))
        last = next;
    bool excluded = labels_of(o, s, impression, last, labels);
    s->record[impression].decided_here = o->here;
    if (is_negative(o, labels) && s->record[impression].lot.left_out)
        leave_out(o, s, impression);
    else
        emit(o, s, impression, SAMPLE_NEW, labels, excluded, s->record[impression].position, (struct change){0});
    for (; next != NOBODY; next = next_action(o, s, impression, next))
        correct(o, s, impression, next, s->record[next].position);
    s->record[impression].decided = true;
}

static void decide(struct oracle *o, struct oracle_shard *s, uint32_t impression)
{
    const struct oracle_record *r = &s->record[impression];
    decide_until(o, s, impression, r->time + o->epoch[r->epoch].window_ms);
}

static bool has_required(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    for (uint32_t stream = 0; stream < o->epoch[s->record[impression].epoch].streams; stream++) {
        const struct joiner_stream *wanted = &o->catalog.join.stream[stream];
        bool came = wanted->kind != JOINER_FEATURES || !wanted->required;
        for (uint32_t i = 0; i < s->records; i++)
            came = came || (s->record[i].stream == stream && s->record[i].fate == FATE_MATCHED &&
                            s->record[i].impression == impression);
        if (!came)
            return false;
    }
    return true;
}

/* Positives need not wait for the gate. */
static bool is_ready(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    const struct oracle_record *r = &s->record[impression];
    double labels[JOINER_LABELS_MAX];
    if (!is_undecided(o, r) || !o->epoch[r->epoch].at_once || gate_of(o, r->epoch) == WATERMARK_NONE ||
        !has_required(o, s, impression))
        return false;
    labels_of(o, s, impression, last_action(o, s, impression), labels);
    return !is_negative(o, labels);
}

/* Whoever is ready now, whatever made it so: the smallest time first, then the smallest position. */
static void decide_ready(struct oracle *o, struct oracle_shard *s)
{
    for (;;) {
        uint32_t next = NOBODY;
        for (uint32_t i = 0; i < s->records; i++)
            if ((next == NOBODY || s->record[i].time < s->record[next].time) && is_ready(o, s, i))
                next = i;
        if (next == NOBODY)
            return;
        decide_until(o, s, next, INT64_MAX);
        s->ahead = s->record[next].time >= s->ahead ? s->record[next].time + 1 : s->ahead;
    }
}

static void settle(struct oracle_record *r, enum oracle_fate fate, enum joiner_reason reason)
{
    r->met = fate == FATE_MATCHED || (fate == FATE_SHED && r->met);
    r->fate = fate;
    r->reason = reason;
}

/* What is taken for the same impression is not further apart; nor are features of one. */
static int64_t nearby(const struct oracle *o)
{
    return o->catalog.join.window_ms > MINUTE_MS ? o->catalog.join.window_ms : MINUTE_MS;
}

/* The impression that a record belongs to by its join key: the newest, if it is not decided or its time is near. */
static uint32_t impression_of(const struct oracle *o, const struct oracle_shard *s, const struct oracle_record *of)
{
    const struct joiner_stream *stream = stream_of(o, of);
    int64_t reach = stream->kind == JOINER_ACTION ? stream->within_ms : nearby(o);
    for (uint32_t i = s->records; i-- > 0;) {
        const struct oracle_record *r = &s->record[i];
        if (r != of && stream_of(o, r)->kind == JOINER_IMPRESSION && r->fate == FATE_MATCHED && !r->forgotten &&
            strcmp(r->key, of->key) == 0)
            return !r->decided || r->time >= of->time - reach ? i : NOBODY;
    }
    return NOBODY;
}

/* An impression of the same join key is among those of an action key. */
static bool is_shown(const struct oracle *o, const struct oracle_shard *s, const struct oracle_record *of)
{
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        bool same = r != of && stream_of(o, r)->kind == JOINER_IMPRESSION && r->fate == FATE_MATCHED && !r->forgotten &&
                    strcmp(r->key, of->key) == 0;
        for (uint32_t k = 0; same && k < o->catalog.join.action_keys; k++)
            if (known_by(o, r, o->catalog.join.action_key[k]))
                return true;
    }
    return false;
}

/* Does `other` wait or count for the key of `r` (whose impression is given), in the same stream, of the same kind? */
static bool companion(const struct oracle_record *other, const struct oracle_record *r, uint32_t impression)
{
    if (other == r || other->stream != r->stream || other->withdraw != r->withdraw || strcmp(other->key, r->key) != 0)
        return false;
    return impression == NOBODY ? other->fate == FATE_WAITING
                                : other->fate == FATE_MATCHED && other->impression == impression;
}

/* An action and its impression have met. */
static void meet(struct oracle *o, struct oracle_shard *s, struct oracle_record *action, uint32_t impression)
{
    const struct oracle_record *shown = &s->record[impression];
    int64_t before = o->catalog.join.stream[action->stream].before_ms;
    if (action->version && action->version != shown->version) {
        settle(action, FATE_FILTERED, REASON_VERSION_MISMATCH);
    } else if (before > 0 && shown->time - action->time > before) {
        settle(action, FATE_FILTERED, REASON_PRECEDES);
    } else if (action->time > shown->time + o->catalog.join.stream[action->stream].within_ms) {
        settle(action, FATE_LATE, REASON_LATE);
    } else {
        settle(action, FATE_MATCHED, REASON_NONE);
        action->impression = impression;
    }
}

/* The lot itself is the code's; whose rule it is, is found by looking. */
static struct sampling_lot draw(const struct sampling *s, const struct oracle_record *r)
{
    for (uint32_t i = 0; i < s->rules; i++) {
        struct sampling one = {.rules = 1, .rule = {s->rule[i]}};
        const struct sampling_rule *rule = &one.rule[0];
        bool everywhere = rule->first == INT32_MIN && rule->last == INT32_MAX;
        if (r->has_place ? rule->first <= r->place && r->place <= rule->last : everywhere) {
            one.rule[0].first = INT32_MIN;
            one.rule[0].last = INT32_MAX;
            return sampling_draw(&one, &(struct sampling_ticket){.key = r->key_hash, .user = r->user});
        }
    }
    return (struct sampling_lot){.rate = 1};
}

/* Actions that a matched withdrawal of their name has met. */
static void take_back(const struct oracle *o, struct oracle_shard *s)
{
    for (uint32_t i = 0; i < s->records; i++)
        for (uint32_t k = 0; k < s->records; k++) {
            struct oracle_record *w = &s->record[i], *action = &s->record[k];
            if (is_attributed(o, w) && w->withdraw && w->fate == FATE_MATCHED && !w->forgotten && !action->withdraw &&
                action->stream == w->stream && strcmp(action->id, w->id) == 0 &&
                same_fields(stream_of(o, w)->key_fields, w, action) &&
                (action->fate == FATE_WAITING || (action->fate == FATE_MATCHED && !action->forgotten)))
                action->withdrawn = true;
        }
}

/* One of these sets of fields is common to both. keys: bits 1 << fields. */
static bool same_any(uint32_t keys, const struct oracle_record *a, const struct oracle_record *b)
{
    for (uint32_t fields = 0; keys >> fields; fields++)
        if (keys >> fields & 1 && same_fields(fields, a, b))
            return true;
    return false;
}

/* Tell what has changed of the decided impressions with such fields in common with a record: in their order. */
static void correct_all(struct oracle *o, struct oracle_shard *s, uint32_t at, uint32_t keys)
{
    const struct oracle_record *done = NULL;
    for (;;) {
        uint32_t next = NOBODY;
        for (uint32_t i = 0; i < s->records; i++) {
            const struct oracle_record *r = &s->record[i];
            if (r->decided && !r->forgotten && same_any(keys, r, &s->record[at]) &&
                (!done || r->time > done->time || (r->time == done->time && r > done)) &&
                (next == NOBODY || r->time < s->record[next].time))
                next = i;
        }
        if (next == NOBODY)
            return;
        done = &s->record[next];
        correct(o, s, next, last_action(o, s, next), s->record[at].position);
    }
}

/* The oldest of more than fit is no longer known by these fields. */
static void crowd_out(const struct oracle *o, struct oracle_shard *s, uint32_t at, uint32_t fields)
{
    enum { SHOWN_MAX = 32 };
    uint32_t count = 0, oldest = NOBODY;
    for (uint32_t i = 0; i <= at; i++) {
        const struct oracle_record *r = &s->record[i];
        if (stream_of(o, r)->kind != JOINER_IMPRESSION || r->fate != FATE_MATCHED || r->forgotten ||
            !known_by(o, r, fields) || !same_fields(fields, r, &s->record[at]))
            continue;
        count++;
        if (oldest == NOBODY || r->time < s->record[oldest].time)
            oldest = i;
    }
    if (count > SHOWN_MAX) {
        s->record[oldest].crowded_out |= 1u << fields;
        s->crowded_out[s->record[at].stream]++;
    }
}

/* An impression has come: by each key that action streams have. */
static void attribute_to(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    uint32_t keys = 0;
    s->record[at].action_keys = o->catalog.join.action_keys;
    for (uint32_t k = 0; k < o->catalog.join.action_keys; k++) {
        uint32_t fields = o->catalog.join.action_key[k], first, last;
        crowd_out(o, s, at, fields);
        for (uint32_t i = 0; i < at; i++) {
            struct oracle_record *r = &s->record[i];
            if (!is_attributed(o, r) || stream_of(o, r)->key_fields != fields || r->fate != FATE_WAITING ||
                possible_holders(o, s, r, NOBODY, &first, &last) == 0)
                continue;
            settle(r, FATE_MATCHED, REASON_NONE);
            r->impression = at;
        }
        keys |= 1u << fields;
    }
    take_back(o, s);
    correct_all(o, s, at, keys);
}

static void take_impression(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    if (r->time < lateness_horizon(o) || r->time < s->gone) {
        settle(r, FATE_LATE, REASON_LATE);
        return;
    }
    if (impression_of(o, s, r) != NOBODY || is_shown(o, s, r)) {
        settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
        return;
    }
    settle(r, FATE_MATCHED, REASON_NONE);
    r->epoch = o->epochs - 1;
    r->lot = draw(&o->catalog.join.rules.sampling, r);
    for (uint32_t i = 0; i < at; i++) {
        struct oracle_record *waiting = &s->record[i];
        if (waiting->fate != FATE_WAITING || is_attributed(o, waiting) || strcmp(waiting->key, r->key) != 0)
            continue;
        if (o->catalog.join.stream[waiting->stream].kind == JOINER_ACTION) {
            meet(o, s, waiting, at);
        } else {
            settle(waiting, FATE_MATCHED, REASON_NONE);
            waiting->impression = at;
        }
    }
    attribute_to(o, s, at);
    r->on_arrival = r->time < gate_of(o, r->epoch);
    if (r->on_arrival)
        decide(o, s, at);
}

/* An action with a key of its own. */
static void take_attributed(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    uint32_t first, last, companions = 0, fields = stream_of(o, r)->key_fields;
    bool known = false, shown = possible_holders(o, s, r, NOBODY, &first, &last) > 0;
    for (uint32_t i = 0; i < at; i++) {
        const struct oracle_record *other = &s->record[i];
        if (other->stream != r->stream || other->withdraw != r->withdraw || !same_fields(fields, other, r) ||
            !(other->fate == FATE_WAITING || (other->fate == FATE_MATCHED && !other->forgotten)))
            continue;
        companions++;
        known = known || strcmp(other->id, r->id) == 0;
    }
    if (!shown && r->time < lateness_horizon(o)) {
        settle(r, FATE_LATE, REASON_LATE);
    } else if (known) {
        settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
    } else if (companions >= JOINER_ACTIONS_MAX) {
        settle(r, FATE_FILTERED, REASON_TOO_MANY_ACTIONS);
    } else {
        if (shown) {
            settle(r, FATE_MATCHED, REASON_NONE);
            r->impression = stream_of(o, r)->attribute == JOINER_ATTRIBUTE_FIRST ? first : last;
        }
        take_back(o, s);
        correct_all(o, s, at, 1u << fields);
    }
}

static void take_action(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    uint32_t impression = impression_of(o, s, r), companions = 0;
    bool known = false;
    if (impression != NOBODY)
        meet(o, s, r, impression);
    else if (r->time < lateness_horizon(o))
        settle(r, FATE_LATE, REASON_LATE);
    if (r->reason != REASON_NONE)
        return;
    for (uint32_t i = 0; i < at; i++)
        if (companion(&s->record[i], r, impression)) {
            companions++;
            known = known || strcmp(s->record[i].id, r->id) == 0;
        }
    if (known)
        settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
    else if (companions >= JOINER_ACTIONS_MAX)
        settle(r, FATE_FILTERED, REASON_TOO_MANY_ACTIONS);
    else if (impression != NOBODY && s->record[impression].decided)
        correct(o, s, impression, last_action(o, s, impression), r->position);
}

static void take_features(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    uint32_t impression = impression_of(o, s, r);
    if (impression == NOBODY && r->time < horizon(o, nearby(o))) {
        settle(r, FATE_LATE, REASON_LATE);
        return;
    }
    for (uint32_t i = 0; i < at; i++)
        if (companion(&s->record[i], r, impression)) {
            settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
            return;
        }
    if (impression == NOBODY)
        return;
    settle(r, FATE_MATCHED, REASON_NONE);
    r->impression = impression;
    if (s->record[impression].decided)
        add_late(o, s, impression, at);
}

/* ---- the bound ---- */

/* It waits for its impression, or with it for the decision. */
static bool holds_room(const struct oracle *o, const struct oracle_shard *s, const struct oracle_record *r)
{
    if (o->catalog.join.stream[r->stream].kind == JOINER_IMPRESSION)
        return is_undecided(o, r);
    if (is_attributed(o, r)) /* its room is its group's */
        return false;
    return r->fate == FATE_WAITING || (r->fate == FATE_MATCHED && is_undecided(o, &s->record[r->impression]));
}

static uint64_t room_of(const struct oracle *o, const struct oracle_record *r)
{
    return joiner_waiting_bytes(o->catalog.join.stream[r->stream].kind, r->wire.size + r->shared_counts);
}

/* The oldest of a kind that waits: undecided impressions, or what waits for one; NOBODY. */
static uint32_t oldest(const struct oracle *o, const struct oracle_shard *s, enum joiner_stream_kind kind)
{
    uint32_t best = NOBODY;
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        bool waits = kind == JOINER_IMPRESSION ? is_undecided(o, r) : r->fate == FATE_WAITING && !is_attributed(o, r);
        if (o->catalog.join.stream[r->stream].kind == kind && waits &&
            (best == NOBODY || r->time < s->record[best].time))
            best = i;
    }
    return best;
}

/* The first impression that has a part of an action is about to be forgotten, or shed: the parts stay as they are. */
static void settle_shares(const struct oracle *o, struct oracle_shard *s, uint32_t going, int64_t known_from)
{
    for (uint32_t i = 0; i < s->records; i++) {
        struct oracle_record *r = &s->record[i];
        uint32_t parts = 0;
        bool ends = false;
        if (!is_attributed(o, r) || r->fate != FATE_MATCHED || r->shares)
            continue;
        for (uint32_t k = 0; k < s->records; k++)
            if (parts_of(o, s, i, k)) {
                parts++;
                ends = ends || k == going || (s->record[k].decided && s->record[k].time < known_from);
            }
        if (ends) {
            r->shares = parts;
            r->settled_at = s->records;
        }
    }
}

static void shed(const struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    settle_shares(o, s, at, WATERMARK_NONE);
    for (uint32_t i = 0; i < s->records; i++)
        if (s->record[i].fate == FATE_MATCHED && s->record[i].impression == at && !is_attributed(o, &s->record[i]))
            settle(&s->record[i], FATE_SHED, REASON_SHED);
    settle(&s->record[at], FATE_SHED, REASON_SHED);
}

static void keep_bound(struct oracle *o, struct oracle_shard *s)
{
    uint64_t most = catalog_limits(&o->catalog).waiting_bytes;
    for (;;) {
        uint64_t held = 0, early = 0;
        for (uint32_t i = 0; i < s->records; i++) {
            held += holds_room(o, s, &s->record[i]) ? room_of(o, &s->record[i]) : 0;
            early +=
                s->record[i].fate == FATE_WAITING && !is_attributed(o, &s->record[i]) ? room_of(o, &s->record[i]) : 0;
        }
        if (most == 0 || held <= most)
            return;
        uint32_t features = oldest(o, s, JOINER_FEATURES), actions = oldest(o, s, JOINER_ACTION),
                 shown = oldest(o, s, JOINER_IMPRESSION), waiting = features != NOBODY ? features : actions;
        shed(o, s, (early > most / 2 || shown == NOBODY) ? waiting : shown);
    }
}

/* Which sixteenth of the longest horizon a time is in. */
static int64_t stretch_of_time(const struct oracle *o, int64_t time, int64_t *width)
{
    int64_t longest = o->catalog.join.allowed_lateness_ms;
    for (uint32_t i = 0; i < o->epoch[0].streams; i++)
        if (o->catalog.join.stream[i].within_ms > longest)
            longest = o->catalog.join.stream[i].within_ms;
    *width = longest < 16 ? 1 : longest / 16;
    return (time - (time % *width + *width) % *width) / *width;
}

static uint64_t bytes_remembered(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    uint64_t bytes = 70;
    for (uint32_t i = 0; i < s->records; i++)
        bytes += acts_on(o, &s->record[i], impression) && !is_attributed(o, &s->record[i]) ? 26 : 0;
    return bytes;
}

/* Forget the oldest stretch of decided impressions, what there is of it so far, if there are too many. */
static bool give_up(const struct oracle *o, struct oracle_shard *s)
{
    uint64_t most = catalog_limits(&o->catalog).decided_bytes, bytes = 0;
    int64_t oldest_stretch = INT64_MAX, width, known_from = expiry(o, s);
    bool any_expired = known_from != WATERMARK_NONE; /* else an older epoch decides, and a stream is new */
    if (most == 0)
        return false;
    for (uint32_t i = 0; i < s->records; i++) {
        int64_t stretch = stretch_of_time(o, s->record[i].time, &width);
        if (!s->record[i].decided || s->record[i].time < s->gone ||
            (any_expired && stretch < stretch_of_time(o, known_from, &width)))
            continue;
        bytes += bytes_remembered(o, s, i);
        oldest_stretch = stretch < oldest_stretch ? stretch : oldest_stretch;
    }
    if (bytes <= most)
        return false;
    for (uint32_t i = 0; i < s->records; i++)
        s->given_up += s->record[i].decided && s->record[i].time >= s->gone &&
                       stretch_of_time(o, s->record[i].time, &width) == oldest_stretch;
    int64_t end = (oldest_stretch + 1) * width;
    s->gone = end < front(o, s) ? end : front(o, s);
    return true;
}

/* It is not too late for an action while an impression that may hold it is undecided. */
static bool undecided_holds(const struct oracle *o, const struct oracle_shard *s, uint32_t action)
{
    const struct oracle_record *r = &s->record[action];
    for (uint32_t i = 0; i < s->records && (!r->shares || i < r->settled_at); i++)
        if (!s->record[i].decided && may_hold(o, &s->record[i], r))
            return true;
    return false;
}

/* What is past expiry, as soon as it is decided, or shed or crowded out and no action need stay for its sake. */
static void forget(const struct oracle *o, struct oracle_shard *s)
{
    int64_t known_from = expiry(o, s);
    bool any = false;
    for (uint32_t i = 0; i < s->records; i++)
        any = any || (s->record[i].decided && !s->record[i].forgotten && s->record[i].time < known_from);
    if (any)
        settle_shares(o, s, NOBODY, known_from);
    for (uint32_t i = 0; i < s->records && any; i++)
        if (s->record[i].decided && s->record[i].time < known_from)
            s->record[i].forgotten = true;
    for (uint32_t i = 0; i < s->records; i++)
        if (s->record[i].time < known_from && is_attributed(o, &s->record[i]) && !s->record[i].forgotten &&
            !undecided_holds(o, s, i))
            s->record[i].forgotten = true;
}

static void keep_bounds(struct oracle *o, struct oracle_shard *s)
{
    keep_bound(o, s);
    while (give_up(o, s)) {
    }
    forget(o, s);
}

/* ---- the sequence ---- */

static void read_record(const struct oracle *o, const struct block_event *e, struct oracle_record *out)
{
    struct event event;
    struct joiner_record hashed;
    char request[16], user[16], id[24];
    CHECK(event_scan_parts(e->wire, e->shared, &event, NULL) == TM_OK);
    CHECK(record_resolve(e, &o->catalog, o->hash_seed, &hashed, NULL) == TM_OK);
    *out = (struct oracle_record){.position = e->position,
                                  .time = event.time,
                                  .version = e->version,
                                  .stream = e->stream,
                                  .weight = (double)event.weight,
                                  .value = event.value,
                                  .withdraw = event.withdraw,
                                  .wire = e->wire,
                                  .shared = e->shared,
                                  .key_hash = hashed.key,
                                  .doc_hash = hashed.doc,
                                  .has_place = (event.has & EVENT_HAS_POSITION) != 0,
                                  .has_value = (event.has & EVENT_HAS_VALUE) != 0,
                                  .has_weight = (event.has & EVENT_HAS_WEIGHT) != 0,
                                  .place = event.position,
                                  .user = hash_128(event.user, o->hash_seed).lo,
                                  .impression = NOBODY};
    text_of(out->request, sizeof out->request, event.request);
    text_of(out->user_id, sizeof out->user_id, event.user);
    text_of(request, sizeof request, event.request);
    text_of(user, sizeof user, event.user);
    text_of(id, sizeof id, event.event);
    text_of(out->doc, sizeof out->doc, event.doc);
    snprintf(out->key, sizeof out->key, "%s/%s/%s", o->catalog.key_fields & JOINER_KEY_REQUEST ? request : "",
             o->catalog.key_fields & JOINER_KEY_USER ? user : "",
             o->catalog.key_fields & JOINER_KEY_DOC ? out->doc : "");
    if (event.event.size)
        snprintf(out->id, sizeof out->id, "%s", id);
    else
        snprintf(out->id, sizeof out->id, "%s %s %s %lld %g", request, user, out->doc, (long long)event.time,
                 event.value);
}

/* The rules, told one after the other; the world makes none for scores and propensities. */
static bool is_excluded(const struct oracle *o, struct oracle_record *r)
{
    const struct filters *rules = &o->catalog.join.rules.filters;
    for (uint32_t i = 0; i < rules->count && !r->withdraw; i++) {
        const struct filter *f = &rules->filter[i];
        double place = r->place;
        double *number = f->field == FILTER_value ? &r->value : f->field == FILTER_weight ? &r->weight : &place;
        bool *has = f->field == FILTER_value    ? &r->has_value
                    : f->field == FILTER_weight ? &r->has_weight
                                                : &r->has_place;
        if ((f->streams & 1u << r->stream) == 0)
            continue;
        if (f->action == FILTER_DROP && *has && (*number < f->least || *number > f->most))
            return true;
        if (f->action == FILTER_CLAMP && *has)
            *number = fmin(fmax(*number, f->least), f->most);
        if (f->action == FILTER_DEFAULT && !*has) {
            *number = f->to;
            *has = true;
        }
        r->place = (int32_t)place;
    }
    return false;
}

/* sharers: events among which the room for what they share is divided, rounded up. */
static void take(struct oracle *o, struct oracle_shard *s, const struct block_event *e, uint32_t sharers)
{
    s->record = mem_grow(s->record, s->records + 1, sizeof *s->record);
    read_record(o, e, &s->record[s->records]);
    uint32_t at = s->records++;
    if (sharers)
        s->record[at].shared_counts = e->shared.size / sharers + (e->shared.size % sharers != 0);
    bool table = o->catalog.join.stream[e->stream].kind == JOINER_TABLE;
    o->here = e->position;
    if (!table && e->robot && !s->record[at].withdraw) {
        settle(&s->record[at], FATE_FILTERED, REASON_ROBOT);
        return;
    }
    if (!table && is_excluded(o, &s->record[at])) {
        settle(&s->record[at], FATE_FILTERED, REASON_RULE);
        return;
    }
    switch (o->catalog.join.stream[e->stream].kind) {
    case JOINER_FEATURES: take_features(o, s, at); break;
    case JOINER_IMPRESSION: take_impression(o, s, at); break;
    case JOINER_TABLE:
        s->record[at].fate = FATE_APPLIED;
        s->record[at].behind = s->record[at].time < gate(o, s);
        break;
    case JOINER_ACTION: is_attributed(o, &s->record[at]) ? take_attributed(o, s, at) : take_action(o, s, at); break;
    }
    decide_ready(o, s);
    keep_bounds(o, s);
}

static void let_orphans_go(struct oracle *o, struct oracle_shard *s)
{
    int64_t actions = lateness_horizon(o), features = horizon(o, nearby(o));
    for (uint32_t i = 0; i < s->records; i++) {
        struct oracle_record *r = &s->record[i];
        bool action = o->catalog.join.stream[r->stream].kind == JOINER_ACTION;
        if (r->fate == FATE_WAITING && r->time < (action ? actions : features))
            settle(r, FATE_ORPHANED, REASON_ORPHANED);
    }
}

/* The undecided impression that is due and comes first: smallest time, then smallest position. */
static uint32_t next_due(const struct oracle *o, const struct oracle_shard *s)
{
    uint32_t best = NOBODY;
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        if (is_undecided(o, r) && r->time < gate_of(o, r->epoch) && (best == NOBODY || r->time < s->record[best].time))
            best = i; /* records lie in the order of positions */
    }
    return best;
}

static void pass_time(struct oracle *o, struct oracle_shard *s)
{
    uint32_t next;
    let_orphans_go(o, s);
    while ((next = next_due(o, s)) != NOBODY)
        decide(o, s, next);
    decide_ready(o, s);
    while (give_up(o, s)) {
    }
    forget(o, s);
}

/* Whoever is asked of everything is asked of every document. */
static void take_reset(struct oracle *o, struct bytes control)
{
    Tidemill__V1__Control *m =
        (Tidemill__V1__Control *)wire_unpack(&tidemill__v1__control__descriptor, control, 1 << 20, NULL);
    for (uint32_t i = 0; i < o->catalog.versions; i++)
        for (uint32_t doc = 0; doc < WORLD_DOCS_MAX && o->catalog.version[i]->id == m->reset->id; doc++) {
            bool all = m->reset->all, named = all;
            for (size_t k = 0; k < m->reset->n_docs; k++)
                named |= strcmp(m->reset->docs[k], world_doc(doc)) == 0;
            for (uint32_t k = 0; named && k < o->shards; k++) /* named: a document without a parameter is passed by */
                if (all || o->shard[k].lessons.student[i].known[doc])
                    lessons_reset(&o->shard[k].lessons, o->catalog.version[i], i, doc);
        }
    wire_free(&m->base);
}

static void begin_epoch(struct oracle *o)
{
    const struct joiner_config *c = &o->catalog.join;
    o->epoch = mem_grow(o->epoch, o->epochs + 1, sizeof *o->epoch);
    o->epoch[o->epochs++] = (struct oracle_epoch){c->streams, c->labels, c->window_ms, c->at_once};
    for (uint32_t i = 0; i < o->shards; i++)
        let_orphans_go(o, &o->shard[i]);
}

/* What was so far stays so far. */
static void end_epoch(struct oracle *o)
{
    if (o->epochs == 0)
        return;
    o->least_horizon = lateness_horizon(o);
    for (uint32_t i = 0; i < o->shards; i++) {
        o->shard[i].least_gate = gate(o, &o->shard[i]);
        o->shard[i].least_expiry = expiry(o, &o->shard[i]);
    }
}

static bool is_join(struct bytes control)
{
    Tidemill__V1__Control *m =
        (Tidemill__V1__Control *)wire_unpack(&tidemill__v1__control__descriptor, control, 1 << 20, NULL);
    bool join = m->join != NULL;
    wire_free(&m->base);
    return join;
}

static void take_control(struct oracle *o, struct bytes control)
{
    struct catalog_change change;
    if (is_join(control))
        end_epoch(o);
    enum version_state before[LESSONS_VERSIONS_MAX] = {0};
    for (uint32_t i = 0; i < o->catalog.versions; i++)
        before[i] = o->catalog.state[i];
    CHECK(catalog_apply(&o->catalog, control, &change, NULL) == TM_OK);
    if (change.kind == CATALOG_JOINED)
        begin_epoch(o);
    CHECK(o->catalog.versions <= LESSONS_VERSIONS_MAX);
    for (uint32_t i = 0; i < o->catalog.versions && change.kind == CATALOG_DISCARDED; i++)
        for (uint32_t k = 0; k < o->shards && o->catalog.version[i]->id == change.version; k++) {
            CHECK(before[i] == VERSION_PAUSED);
            lessons_discard(&o->shard[k].lessons, i);
        }
    if (change.kind == CATALOG_RESET)
        take_reset(o, control);
    for (uint32_t i = 0; i < o->catalog.versions; i++)
        for (uint32_t k = 0; k < o->shards; k++) {
            const struct encoder_id *id = &o->catalog.encoder[i];
            const struct version *v = o->catalog.version[i];
            lessons_encode(&o->shard[k].lessons, v, i, id->text[0] ? world_encoder_find(NULL, id, NULL) : NULL,
                           change.kind == CATALOG_ENCODED && change.version == v->id);
        }
    for (uint32_t k = 0; k < o->shards && change.kind == CATALOG_LIMITED; k++)
        keep_bounds(o, &o->shard[k]);
    bool resumed = change.kind == CATALOG_RESUMED || change.kind == CATALOG_DISCARDED;
    for (uint32_t k = 0; k < o->shards && (change.kind == CATALOG_LIMITED || resumed); k++)
        waiting_keep_bound(&o->shard[k].lessons, &o->catalog);
}

/* How many events of the shard have the same shared part as this one. */
static uint32_t sharers_of(const struct block *b, uint32_t first, uint32_t events, const struct block_event *e)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < events && e->shared.size; i++) {
        struct block_event other;
        block_event_at(b, first, i, &other);
        count += other.shared.data == e->shared.data;
    }
    return count;
}

void oracle_block(struct oracle *o, const struct block *b)
{
    struct reader r = reader_of(b->control_bytes);
    struct bytes control;
    uint8_t stream;
    int64_t time;
    while (block_next_control(b, &r, &control))
        take_control(o, control);
    told_rows_add(&o->rows, &o->catalog, b);
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        for (uint32_t i = 0; i < events; i++) {
            struct block_event e;
            block_event_at(b, first, i, &e);
            take(o, &o->shard[shard], &e, sharers_of(b, first, events, &e));
        }
    }
    r = reader_of(b->punctuation_bytes);
    while (block_next_punctuation(&r, &stream, &time))
        o->watermark[stream] = time;
    o->here = b->end;
    for (uint32_t i = 0; i < o->shards; i++) {
        pass_time(o, &o->shard[i]);
        lessons_end_block(&o->shard[i].lessons, &o->catalog, gate(o, &o->shard[i]));
    }
}

/* ---- answers ---- */

const struct oracle_shard *oracle_shard(const struct oracle *o, uint32_t shard) { return &o->shard[shard]; }
const struct catalog *oracle_catalog(const struct oracle *o) { return &o->catalog; }
const int64_t *oracle_watermarks(const struct oracle *o) { return o->watermark; }
int64_t oracle_gate(const struct oracle *o, uint32_t shard) { return gate(o, &o->shard[shard]); }

bool oracle_behind(const struct oracle *o)
{
    for (uint32_t i = 0; i < o->shards; i++)
        if (lessons_behind(&o->shard[i].lessons, &o->catalog))
            return true;
    return false;
}

struct stream_counts oracle_counts(const struct oracle *o, uint32_t shard, uint32_t stream)
{
    struct stream_counts c = {0};
    for (uint32_t i = 0; i < o->shard[shard].records; i++) {
        const struct oracle_record *r = &o->shard[shard].record[i];
        if (r->stream != stream)
            continue;
        c.consumed++;
        switch (r->fate) {
        case FATE_WAITING: c.waiting++; break;
        case FATE_MATCHED:
            if (o->catalog.join.stream[stream].kind == JOINER_IMPRESSION && !r->decided)
                c.waiting++;
            else
                c.matched++;
            break;
        case FATE_LATE: c.late++; break;
        case FATE_ORPHANED: c.orphaned++; break;
        case FATE_DUPLICATE: c.duplicate++; break;
        case FATE_FILTERED: c.filtered++; break;
        case FATE_SHED: c.shed++; break;
        case FATE_APPLIED:
            c.applied++;
            c.table_late += r->behind;
            break;
        }
    }
    c.crowded_out = o->shard[shard].crowded_out[stream];
    uint32_t first = 0;
    while (o->catalog.join.stream[first].kind != JOINER_IMPRESSION)
        first++;
    c.given_up = stream == first ? o->shard[shard].given_up : 0;
    return c;
}

struct delays oracle_delays(const struct oracle *o, uint32_t shard, uint32_t stream)
{
    struct delays d = {0};
    const struct oracle_shard *s = &o->shard[shard];
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        if (r->stream != stream || !r->met || r->withdraw || o->catalog.join.stream[stream].kind != JOINER_ACTION)
            continue;
        int64_t delay = r->time - s->record[r->impression].time;
        uint32_t bucket = DELAY_BEFORE;
        while (bucket < DELAY_LONGER && delay > (bucket == DELAY_BEFORE ? -1 : delay_bounds[bucket - 1]))
            bucket++;
        d.bucket[bucket]++;
        d.sum_ms += delay > 0 ? (uint64_t)delay : 0;
    }
    return d;
}

const struct oracle_record *oracle_find(const struct oracle *o, uint32_t shard, uint64_t position)
{
    for (uint32_t i = 0; i < o->shard[shard].records; i++)
        if (o->shard[shard].record[i].position == position)
            return &o->shard[shard].record[i];
    return NULL;
}
