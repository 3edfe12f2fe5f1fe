#include "client/recompute_rules.h"

#include <stdlib.h>

#include "base/file.h"
#include "proto/wire.h"

enum { MESSAGE_MAX = 1 << 20, USER_FILE_MAX = 256 << 20 };

void recompute_rules_close(struct recompute_rules *r)
{
    wire_free(r->message ? &r->message->base : NULL);
    buffer_close(&r->blocked.text);
    buffer_close(&r->allowed.text);
    free(r->blocked.id);
    free(r->allowed.id);
    *r = (struct recompute_rules){0};
}

/* ---- words ---- */

static enum tm_code unknown(const char *what, const char *word, struct tm_error *err)
{
    return tm_error_set(err, TM_FAILED_PRECONDITION,
                        "%s: \"%s\" is not known here: the server is newer than this program", what, word ? word : "");
}

/* The place of a word in a list. */
static enum tm_code find_word(const char *what, const char *word, const char *const *words, size_t count, uint32_t *out,
                              struct tm_error *err)
{
    for (size_t i = 0; word && i < count; i++)
        if (strcmp(words[i], word) == 0) {
            *out = (uint32_t)i;
            return TM_OK;
        }
    return unknown(what, word, err);
}

#define FIND(what, word, words, out, err) find_word(what, word, words, ARRAY_LEN(words), out, err)

static enum tm_code read_key(char *const *field, size_t count, uint32_t *out, struct tm_error *err)
{
    static const char *const words[] = {"request", "user", "doc"};
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bit;
        if (FIND("key", field[i], words, &bit, err) != TM_OK)
            return err->code;
        *out |= 1u << bit;
    }
    return TM_OK;
}

static enum tm_code too_many(const char *what, size_t count, size_t most, struct tm_error *err)
{
    return count <= most
               ? TM_OK
               : tm_error_set(err, TM_FAILED_PRECONDITION, "%s: %zu; at most %zu are known here", what, count, most);
}

/* ---- streams and labels ---- */

static enum tm_code read_stream(const Tidemill__V1__JoinStream *m, struct recompute_rules *r, struct tm_error *err)
{
    static const char *const kinds[] = {"features", "impression", "action", "table"};
    static const char *const holders[] = {"", "last", "first", "all"};
    uint32_t kind, holder = HELD_BY_KEY;
    struct rules_stream *s = &r->stream[r->streams++];
    *s = (struct rules_stream){
        .name = m->name ? m->name : "", .key = r->key, .within = m->within_ms, .before = m->before_ms};
    enum tm_code rc = FIND("streams: kind", m->kind, kinds, &kind, err);
    if (rc == TM_OK && m->n_key > 0)
        rc = read_key(m->key, m->n_key, &s->key, err);
    if (rc == TM_OK && m->attribute)
        rc = FIND("streams: attribute", m->attribute, holders, &holder, err);
    if (rc != TM_OK)
        return rc;
    s->kind = (enum rules_kind)kind;
    s->holder = (enum rules_holder)holder;
    return TM_OK;
}

static enum tm_code find_stream(const struct recompute_rules *r, const char *name, uint32_t *out, struct tm_error *err)
{
    for (*out = 0; name && *out < r->streams; ++*out)
        if (strcmp(r->stream[*out].name, name) == 0)
            return TM_OK;
    return unknown("stream", name, err);
}

static enum tm_code find_label(const struct recompute_rules *r, const char *name, uint32_t *out, struct tm_error *err)
{
    for (*out = 0; name && *out < r->labels; ++*out)
        if (strcmp(r->label[*out].name, name) == 0)
            return TM_OK;
    return unknown("label", name, err);
}

static enum tm_code read_label(const Tidemill__V1__JoinLabel *m, struct recompute_rules *r, struct tm_error *err)
{
    static const char *const aggregates[] = {"exists", "count", "sum", "mean", "max", "last", "first_delay"};
    uint32_t aggregate;
    struct rules_label *l = &r->label[r->labels];
    *l = (struct rules_label){.name = m->name ? m->name : "",
                              .has_cap = m->has_cap,
                              .cap = m->cap,
                              .has_threshold = m->has_threshold,
                              .threshold = m->threshold};
    enum tm_code rc = find_stream(r, m->stream, &l->stream, err);
    if (rc == TM_OK)
        rc = FIND("labels: aggregate", m->aggregate, aggregates, &aggregate, err);
    if (rc != TM_OK)
        return rc;
    l->aggregate = (enum rules_aggregate)aggregate;
    r->labels++;
    return TM_OK;
}

/* ---- rules ---- */

static const char *const effects[] = {"drop", "clamp", "default", "zero"};

static enum tm_code read_sample_filter(const Tidemill__V1__JoinSampleFilter *m, struct recompute_rules *r,
                                       struct tm_error *err)
{
    static const char *const looks[] = {"value", "delay"};
    uint32_t effect, look;
    struct rules_sample_filter *f = &r->sample_filter[r->sample_filters];
    *f = (struct rules_sample_filter){.min = m->min, .max = m->max};
    enum tm_code rc = FIND("sample_filters: do", m->effect, effects, &effect, err);
    if (rc == TM_OK)
        rc = FIND("sample_filters: by", m->by, looks, &look, err);
    if (rc == TM_OK)
        rc = find_label(r, m->label, &f->label, err);
    if (rc == TM_OK)
        rc = find_label(r, m->zero, &f->zero, err);
    if (rc != TM_OK)
        return rc;
    f->by_delay = look == 1;
    r->sample_filters += effect == EFFECT_ZERO;
    return TM_OK;
}

static enum tm_code read_filter(const Tidemill__V1__JoinFilter *m, struct recompute_rules *r, struct tm_error *err)
{
    static const char *const fields[] = {"value", "weight", "position", "score", "propensity"};
    uint32_t effect, field;
    struct rules_filter *f = &r->filter[r->filters];
    *f = (struct rules_filter){.min = m->min, .max = m->max, .to = m->to};
    enum tm_code rc = FIND("filters: do", m->effect, effects, &effect, err);
    if (rc == TM_OK)
        rc = FIND("filters: field", m->field, fields, &field, err);
    if (rc == TM_OK)
        rc = find_stream(r, m->stream, &f->stream, err);
    if (rc != TM_OK)
        return rc;
    f->effect = (enum rules_effect)effect;
    f->field = (enum rules_field)field;
    r->filters++;
    return TM_OK;
}

static void read_sampling(const Tidemill__V1__JoinSampling *m, struct recompute_rules *r)
{
    r->sampling[r->samplings++] = (struct rules_sampling){
        .keep = m->keep,
        .everywhere = !m->has_from_position && !m->has_to_position,
        .from = m->has_from_position ? m->from_position : INT32_MIN,
        .to = m->has_to_position ? m->to_position : INT32_MAX,
    };
}

static enum tm_code read_lists(const Tidemill__V1__JoinRulesReply *m, struct recompute_rules *r, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    for (size_t i = 0; rc == TM_OK && i < m->n_streams; i++)
        rc = read_stream(m->streams[i], r, err);
    for (size_t i = 0; rc == TM_OK && i < m->n_labels; i++)
        rc = read_label(m->labels[i], r, err);
    for (size_t i = 0; rc == TM_OK && i < m->n_sample_filters; i++)
        rc = read_sample_filter(m->sample_filters[i], r, err);
    for (size_t i = 0; rc == TM_OK && i < m->n_filters; i++)
        rc = read_filter(m->filters[i], r, err);
    for (size_t i = 0; rc == TM_OK && i < m->n_sampling; i++)
        read_sampling(m->sampling[i], r);
    return rc;
}

static enum tm_code check_counts(const Tidemill__V1__JoinRulesReply *m, struct tm_error *err)
{
    const struct {
        const char *what;
        size_t count, most;
    } lists[] = {{"streams", m->n_streams, RULES_STREAMS_MAX},
                 {"labels", m->n_labels, SAMPLE_LABELS_MAX},
                 {"sample_filters", m->n_sample_filters, RULES_MAX},
                 {"filters", m->n_filters, RULES_MAX},
                 {"sampling", m->n_sampling, RULES_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (too_many(lists[i].what, lists[i].count, lists[i].most, err) != TM_OK)
            return err->code;
    return TM_OK;
}

/* ---- users ---- */

static int by_bytes(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = size ? memcmp(x->data, y->data, size) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* One id a line. */
static enum tm_code read_users(const char *path, const char *option, struct rules_users *out, struct tm_error *err)
{
    if (!path)
        return TM_OK;
    if (file_read(path, USER_FILE_MAX, &out->text, err) != TM_OK)
        return tm_error_wrap(err,
                             "%s: the list must be readable here, or be named by a configuration of your own, "
                             "with --config",
                             option);
    size_t capacity = 0;
    for (size_t at = 0, end; at < out->text.size; at = end + 1) {
        const uint8_t *line = out->text.data + at, *stop = memchr(line, '\n', out->text.size - at);
        end = stop ? (size_t)(stop - out->text.data) : out->text.size;
        size_t size = end - at;
        size -= size > 0 && line[size - 1] == '\r';
        if (size == 0)
            continue;
        if (out->count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            out->id = mem_grow(out->id, capacity, sizeof *out->id);
        }
        out->id[out->count++] = bytes_of(line, size);
    }
    if (out->count)
        qsort(out->id, out->count, sizeof *out->id, by_bytes);
    return TM_OK;
}

bool rules_users_have(const struct rules_users *u, struct bytes id)
{
    return u->count && bsearch(&id, u->id, u->count, sizeof *u->id, by_bytes);
}

/* ---- all of it ---- */

enum tm_code recompute_rules_read(struct bytes packed, struct recompute_rules *out, struct tm_error *err)
{
    *out = (struct recompute_rules){0};
    out->message = (void *)wire_unpack(&tidemill__v1__join_rules_reply__descriptor, packed, MESSAGE_MAX, err);
    if (!out->message)
        return err->code;
    const Tidemill__V1__JoinRulesReply *m = out->message;
    out->allowed_lateness = m->allowed_lateness_ms;
    out->window = m->window_ms;
    out->events_max = m->users_max_events;
    out->per = m->users_per_ms;
    enum tm_code rc = check_counts(m, err);
    if (rc == TM_OK)
        rc = read_key(m->key, m->n_key, &out->key, err);
    if (rc == TM_OK)
        rc = read_lists(m, out, err);
    if (rc == TM_OK)
        rc = read_users(m->users_block, "users.block", &out->blocked, err);
    if (rc == TM_OK)
        rc = read_users(m->users_allow, "users.allow", &out->allowed, err);
    if (rc != TM_OK)
        recompute_rules_close(out);
    return rc;
}
