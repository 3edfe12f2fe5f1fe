#include "ps/state/catalog_join.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/state/catalog_version.h"

typedef Tidemill__V1__JoinSpec JoinSpec;

/* ---- reading ---- */

static enum tm_code read_label(struct catalog *c, size_t i, const Tidemill__V1__LabelSpec *l, struct tm_error *err)
{
    if (l->stream >= c->join.streams || l->aggregate >= LABEL_AGGREGATE_COUNT)
        return tm_error_set(err, TM_DATA_LOSS, "label %zu names stream %u with aggregate %u", i, l->stream,
                            l->aggregate);
    if (!isfinite(l->cap) || !isfinite(l->threshold))
        return tm_error_set(err, TM_DATA_LOSS, "label %zu has a cap of %g and a threshold of %g", i, l->cap,
                            l->threshold);
    c->join.label[i] = (struct joiner_label){.aggregate = (enum label_aggregate)l->aggregate,
                                             .cap = {l->has_cap, l->cap},
                                             .threshold = {l->has_threshold, l->threshold}};
    c->join.stream[l->stream].labels |= UINT64_C(1) << i;
    return catalog_read_name(c->label_name[i], l->name, "label", err);
}

static enum tm_code read_stream(struct catalog *c, size_t i, const Tidemill__V1__StreamSpec *s, struct tm_error *err)
{
    if (s->kind > JOINER_TABLE || s->within_ms < 0 || s->within_ms > c->join.allowed_lateness_ms || s->before_ms < 0)
        return tm_error_set(err, TM_DATA_LOSS, "stream %zu of kind %u counts within %lld ms, and %lld ms before", i,
                            s->kind, (long long)s->within_ms, (long long)s->before_ms);
    c->join.stream[i] = (struct joiner_stream){.kind = (enum joiner_stream_kind)s->kind,
                                               .within_ms = s->within_ms,
                                               .before_ms = s->before_ms,
                                               .required = s->required,
                                               .attribute = (enum joiner_attribute)s->attribute,
                                               .key_fields = s->key_fields,
                                               .payload_only = s->payload_only,
                                               .dimension = s->dimension};
    if (!joiner_key_fits(&c->join.stream[i], c->key_fields))
        return tm_error_set(err, TM_DATA_LOSS, "stream %zu has rule %u, key %u", i, s->attribute, s->key_fields);
    return catalog_read_name(c->stream_name[i], s->name, "stream", err);
}

static enum tm_code count_features(const JoinSpec *spec, struct tm_error *err)
{
    uint32_t count = 0;
    for (size_t i = 0; i < spec->n_streams; i++)
        count += spec->streams[i]->kind == JOINER_FEATURES;
    return count <= JOINER_FEATURE_STREAMS_MAX
               ? TM_OK
               : tm_error_set(err, TM_DATA_LOSS, "%u streams of features; expected at most %d", count,
                              JOINER_FEATURE_STREAMS_MAX);
}

/* Into a catalog that has nothing of a join yet. */
static enum tm_code read_spec(struct catalog *c, const JoinSpec *spec, struct tm_error *err)
{
    if (spec->n_streams == 0 || spec->n_streams > JOINER_STREAMS_MAX || spec->n_labels > JOINER_LABELS_MAX ||
        spec->window_ms < 0 || spec->allowed_lateness_ms < spec->window_ms || !(spec->key_fields & JOINER_KEY_DOC))
        return tm_error_set(err, TM_DATA_LOSS, "a join configuration of %zu streams and %zu labels makes no sense",
                            spec->n_streams, spec->n_labels);
    c->join = (struct joiner_config){.streams = (uint32_t)spec->n_streams,
                                     .labels = (uint32_t)spec->n_labels,
                                     .window_ms = spec->window_ms,
                                     .allowed_lateness_ms = spec->allowed_lateness_ms,
                                     .at_once = spec->positive_at_once};
    c->key_fields = spec->key_fields;
    enum tm_code rc = count_features(spec, err);
    if (rc == TM_OK)
        rc = label_filters_read(spec, &c->join.label_filters, err);
    for (size_t i = 0; rc == TM_OK && i < spec->n_streams; i++)
        rc = read_stream(c, i, spec->streams[i], err);
    if (rc == TM_OK)
        joiner_derive_keys(&c->join);
    for (size_t i = 0; rc == TM_OK && i < spec->n_labels; i++)
        rc = read_label(c, i, spec->labels[i], err);
    return rc;
}

/* Behind those that there are; the oldest one goes when there is no room (whoever asks for the change has seen that
 * nobody needs it). */
static void add_epoch(struct joiner_config *next, const struct joiner_config *now)
{
    uint32_t gone = now->epochs == JOINER_EPOCHS_MAX, kept = now->epochs - gone;
    memcpy(next->epoch, now->epoch + gone, kept * sizeof *next->epoch);
    next->epoch[kept] = (struct joiner_epoch){.number = now->epochs ? now->epoch[now->epochs - 1].number + 1 : 1,
                                              .streams = next->streams,
                                              .labels = next->labels,
                                              .window_ms = next->window_ms,
                                              .at_once = next->at_once};
    next->epochs = kept + 1;
    next->first_streams = now->epochs ? now->first_streams : next->streams;
}

enum tm_code catalog_read_join(struct catalog *c, const JoinSpec *spec, struct tm_error *err)
{
    struct catalog *next = mem_new(1, sizeof *next);
    enum tm_code rc = read_spec(next, spec, err);
    if (rc == TM_OK && c->joined && (rc = catalog_join_extends(c, next, err)) != TM_OK)
        rc = err->code = TM_DATA_LOSS;
    if (rc == TM_OK) {
        add_epoch(&next->join, &c->join);
        next->join.rules = c->join.rules;
        next->join.held_bytes_max = c->limits.waiting_bytes;
        next->join.decided_bytes_max = c->limits.decided_bytes;
        c->join = next->join;
        c->key_fields = next->key_fields;
        memcpy(c->stream_name, next->stream_name, sizeof c->stream_name);
        memcpy(c->label_name, next->label_name, sizeof c->label_name);
        c->joined = true;
    }
    free(next);
    return rc;
}

enum tm_code catalog_read_epochs(struct catalog *c, const Tidemill__V1__Catalog *stored, struct tm_error *err)
{
    struct joiner_config *join = &c->join;
    bool sane = stored->n_epochs >= 1 && stored->n_epochs <= JOINER_EPOCHS_MAX && stored->first_streams >= 1 &&
                stored->first_streams <= join->streams;
    join->first_streams = stored->first_streams;
    join->epochs = 0;
    for (size_t i = 0; sane && i < stored->n_epochs; i++) {
        const Tidemill__V1__JoinEpoch *e = stored->epochs[i];
        sane = e->number >= 1 && e->streams <= join->streams && e->labels <= join->labels && e->window_ms >= 0 &&
               (i == 0 || (e->number == stored->epochs[i - 1]->number + 1 && e->from >= stored->epochs[i - 1]->from));
        join->epoch[join->epochs++] = (struct joiner_epoch){.number = e->number,
                                                            .streams = e->streams,
                                                            .labels = e->labels,
                                                            .window_ms = e->window_ms,
                                                            .from = e->from,
                                                            .at_once = e->positive_at_once};
    }
    return sane ? TM_OK : tm_error_set(err, TM_DATA_LOSS, "%zu epochs of the join make no sense", stored->n_epochs);
}

void catalog_begin_epoch(struct catalog *c, uint64_t position) { c->join.epoch[c->join.epochs - 1].from = position; }

/* ---- describing ---- */

static char *text(const char *name) { return (char *)(uintptr_t)name; } /* protobuf-c has no const */

static void describe_stream(const struct joiner_stream *from, Tidemill__V1__StreamSpec *s)
{
    tidemill__v1__stream_spec__init(s);
    s->has_kind = s->has_within_ms = s->has_before_ms = s->has_required = s->has_payload_only = true;
    s->kind = from->kind;
    s->within_ms = from->within_ms;
    s->before_ms = from->before_ms;
    s->required = from->required;
    s->payload_only = from->payload_only;
    s->has_dimension = from->dimension > 0;
    s->dimension = from->dimension;
    if (!from->key_fields)
        return;
    s->has_attribute = s->has_key_fields = true;
    s->attribute = from->attribute;
    s->key_fields = from->key_fields;
}

static void describe_label(const struct joiner_label *from, uint32_t stream, Tidemill__V1__LabelSpec *l)
{
    tidemill__v1__label_spec__init(l);
    l->has_stream = l->has_aggregate = true;
    l->stream = stream;
    l->aggregate = from->aggregate;
    l->has_cap = from->cap.given;
    l->cap = from->cap.value;
    l->has_threshold = from->threshold.given;
    l->threshold = from->threshold.value;
}

static void describe_epoch(const struct joiner_epoch *from, Tidemill__V1__JoinEpoch *e)
{
    tidemill__v1__join_epoch__init(e);
    e->has_number = e->has_from = e->has_streams = e->has_labels = e->has_window_ms = true;
    e->number = from->number;
    e->from = from->from;
    e->streams = from->streams;
    e->labels = from->labels;
    e->window_ms = from->window_ms;
    e->has_positive_at_once = e->positive_at_once = from->at_once;
}

void catalog_describe_join(const struct catalog *c, struct join_parts *p)
{
    tidemill__v1__join_spec__init(&p->spec);
    p->spec.has_key_fields = p->spec.has_window_ms = p->spec.has_allowed_lateness_ms = true;
    p->spec.key_fields = c->key_fields;
    p->spec.window_ms = c->join.window_ms;
    p->spec.allowed_lateness_ms = c->join.allowed_lateness_ms;
    p->spec.has_positive_at_once = p->spec.positive_at_once = c->join.at_once;
    for (uint32_t i = 0; i < c->join.streams; i++) {
        describe_stream(&c->join.stream[i], p->streams[i] = &p->stream[i]);
        p->streams[i]->name = text(c->stream_name[i]);
        for (uint32_t k = 0; k < c->join.labels; k++)
            if (c->join.stream[i].labels >> k & 1) {
                describe_label(&c->join.label[k], i, p->labels[k] = &p->label[k]);
                p->labels[k]->name = text(c->label_name[k]);
            }
    }
    for (uint32_t i = 0; i < c->join.epochs; i++)
        describe_epoch(&c->join.epoch[i], p->epochs[i] = &p->epoch[i]);
    p->spec.n_streams = c->join.streams;
    p->spec.streams = p->streams;
    p->spec.n_labels = c->join.labels;
    p->spec.labels = p->labels;
    label_filters_describe(&c->join.label_filters, &p->filters, &p->spec);
}

void catalog_pack_join(const struct catalog *c, struct buffer *out)
{
    struct join_parts parts;
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    catalog_describe_join(c, &parts);
    control.join = &parts.spec;
    wire_pack(&control.base, out);
}

/* ---- what may change ---- */

enum { WORDS_SIZE = 40 };

static enum tm_code other(const char *part, const char *name, const char *field, const char *have, const char *want,
                          struct tm_error *err)
{
    return tm_error_set(err, TM_FAILED_PRECONDITION, "%s%s%s.%s is %s in the data directory, and %s now", part,
                        *name ? "." : "", name, field, have, want);
}

static enum tm_code same_number(const char *part, const char *name, const char *field, const char *unit, int64_t have,
                                int64_t want, struct tm_error *err)
{
    char words[2][WORDS_SIZE];
    if (have == want)
        return TM_OK;
    snprintf(words[0], sizeof words[0], "%lld%s", (long long)have, unit);
    snprintf(words[1], sizeof words[1], "%lld%s", (long long)want, unit);
    return other(part, name, field, words[0], words[1], err);
}

static enum tm_code same_word(const char *name, const char *field, const char *const *words, uint32_t have,
                              uint32_t want, struct tm_error *err)
{
    return have == want ? TM_OK : other("streams", name, field, words[have], words[want], err);
}

static void key_words(uint32_t fields, char out[static WORDS_SIZE])
{
    snprintf(out, WORDS_SIZE, "[%s%s%s]", fields & JOINER_KEY_REQUEST ? "request, " : "",
             fields & JOINER_KEY_USER ? "user, " : "", fields & JOINER_KEY_DOC ? "doc" : "");
}

static enum tm_code same_key(const char *part, const char *name, uint32_t have, uint32_t want, struct tm_error *err)
{
    char words[2][WORDS_SIZE];
    if (have == want)
        return TM_OK;
    key_words(have, words[0]);
    key_words(want, words[1]);
    return other(part, name, "key", words[0], words[1], err);
}

static enum tm_code same_stream(const char *name, const struct joiner_stream *a, const struct joiner_stream *b,
                                struct tm_error *err)
{
    static const char *const kinds[] = {[JOINER_FEATURES] = "features",
                                        [JOINER_IMPRESSION] = "impression",
                                        [JOINER_ACTION] = "action",
                                        [JOINER_TABLE] = "table"};
    static const char *const rules[] = {[JOINER_ATTRIBUTE_NONE] = "none",
                                        [JOINER_ATTRIBUTE_LAST] = "last",
                                        [JOINER_ATTRIBUTE_FIRST] = "first",
                                        [JOINER_ATTRIBUTE_ALL] = "all"};
    static const char *const answers[] = {"false", "true"};
    enum tm_code rc = same_word(name, "kind", kinds, a->kind, b->kind, err);
    if (rc == TM_OK)
        rc = same_number("streams", name, "within", "ms", a->within_ms, b->within_ms, err);
    if (rc == TM_OK)
        rc = same_number("streams", name, "before", "ms", a->before_ms, b->before_ms, err);
    if (rc == TM_OK)
        rc = same_word(name, "required", answers, a->required, b->required, err);
    if (rc == TM_OK)
        rc = same_word(name, "attribute", rules, a->attribute, b->attribute, err);
    if (rc == TM_OK)
        rc = same_key("streams", name, a->key_fields, b->key_fields, err);
    if (rc == TM_OK)
        rc = same_word(name, "payload_only", answers, a->payload_only, b->payload_only, err);
    if (rc == TM_OK)
        rc = same_number("streams", name, "dimension", "", a->dimension, b->dimension, err);
    return rc;
}

static enum tm_code differs(const char *part, const char *name, const char *how, struct tm_error *err)
{
    return tm_error_set(err, TM_FAILED_PRECONDITION, "%s%s%s %s", part, *name ? "." : "", name, how);
}

static int stream_of(const struct joiner_config *c, uint32_t label)
{
    for (uint32_t i = 0; i < c->streams; i++)
        if (c->stream[i].labels >> label & 1)
            return (int)i;
    return -1;
}

static enum tm_code same_label(const struct catalog *have, const struct catalog *want, uint32_t i, struct tm_error *err)
{
    const char *name = have->label_name[i];
    const struct joiner_label *a = &have->join.label[i], *b = &want->join.label[i];
    int stream = stream_of(&have->join, i), other = stream_of(&want->join, i);
    if (strcmp(name, want->label_name[i]) != 0)
        return differs("labels", name, "is in the data directory, and not in the configuration", err);
    if (a->aggregate != b->aggregate)
        return tm_error_set(err, TM_FAILED_PRECONDITION, "labels.%s.aggregate is %s in the data directory, and %s now",
                            name, label_aggregate_word(a->aggregate), label_aggregate_word(b->aggregate));
    if (!labels_same(a, b))
        return differs("labels", name, "has another cap or threshold than in the data directory", err);
    if (stream != other)
        return tm_error_set(err, TM_FAILED_PRECONDITION, "labels.%s.stream is %s in the data directory, and %s now",
                            name, have->stream_name[stream], want->stream_name[other]);
    return TM_OK;
}

enum tm_code catalog_join_extends(const struct catalog *have, const struct catalog *want, struct tm_error *err)
{
    enum tm_code rc = same_key("join", "", have->key_fields, want->key_fields, err);
    if (rc == TM_OK)
        rc = same_number("join", "", "allowed_lateness", "ms", have->join.allowed_lateness_ms,
                         want->join.allowed_lateness_ms, err);
    for (uint32_t i = 0; rc == TM_OK && i < have->join.streams; i++) {
        if (i >= want->join.streams || strcmp(have->stream_name[i], want->stream_name[i]) != 0)
            return differs("streams", have->stream_name[i], "is in the data directory, and not in the configuration",
                           err);
        rc = same_stream(have->stream_name[i], &have->join.stream[i], &want->join.stream[i], err);
    }
    for (uint32_t i = 0; rc == TM_OK && i < have->join.labels; i++)
        rc = i < want->join.labels ? same_label(have, want, i, err)
                                   : differs("labels", have->label_name[i],
                                             "is in the data directory, and not in the configuration", err);
    if (rc == TM_OK && !label_filters_same(&have->join.label_filters, &want->join.label_filters))
        rc = differs("sample_filters", "", "are others than in the data directory", err);
    return rc;
}

bool catalog_join_same(const struct catalog *have, const struct catalog *want)
{
    return have->join.streams == want->join.streams && have->join.labels == want->join.labels &&
           have->join.window_ms == want->join.window_ms && have->join.at_once == want->join.at_once;
}
