#include "ps/server/join_rules.h"

#include <stdlib.h>

#include "proto/wire.h"
#include "ps/engine/option_table.h"

static void put_text(struct buffer *out, uint32_t number, const char *text)
{
    wire_put_bytes(out, number, bytes_text(text));
}

static void put_double(struct buffer *out, uint32_t number, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    wire_put_fixed64(out, number, bits);
}

static void put_word(struct buffer *out, uint32_t number, enum option_type type, uint32_t value)
{
    put_text(out, number, option_choice_word(type, value));
}

static void put_key(struct buffer *out, uint32_t number, uint32_t fields)
{
    for (uint32_t bit = KEY_REQUEST; bit <= KEY_DOC; bit <<= 1)
        if (fields & bit)
            put_word(out, number, OPTION_KEY_FIELDS, bit);
}

static void put_stream(const struct options *o, const struct stream_options *s, struct buffer *out)
{
    enum { NAME = 1, KIND, KEY, ATTRIBUTE, WITHIN_MS, BEFORE_MS };
    bool attributed = s->kind == STREAM_ACTION && option_own_key(o, s);
    put_text(out, NAME, s->name);
    put_word(out, KIND, OPTION_KIND, s->kind);
    if (attributed || s->kind == STREAM_TABLE)
        put_key(out, KEY, s->key_fields);
    if (attributed)
        put_word(out, ATTRIBUTE, OPTION_ATTRIBUTE, s->attribute ? s->attribute : ATTRIBUTE_LAST);
    if (s->kind == STREAM_ACTION) {
        wire_put_integer(out, WITHIN_MS, (uint64_t)s->within_ms);
        wire_put_integer(out, BEFORE_MS, (uint64_t)s->before_ms);
    }
}

static void put_label(const struct label_options *l, struct buffer *out)
{
    enum { NAME = 1, STREAM, AGGREGATE, CAP, THRESHOLD };
    put_text(out, NAME, l->name);
    put_text(out, STREAM, l->stream);
    put_text(out, AGGREGATE, label_aggregate_word(l->label.aggregate));
    if (l->label.cap.given)
        put_double(out, CAP, l->label.cap.value);
    if (l->label.threshold.given)
        put_double(out, THRESHOLD, l->label.threshold.value);
}

static void put_sample_filter(const struct sample_filter_options *f, struct buffer *out)
{
    enum { LABEL = 1, BY, MIN, MAX, EFFECT, ZERO };
    put_text(out, LABEL, f->label);
    put_word(out, BY, OPTION_LOOK, f->by);
    put_double(out, MIN, f->min);
    put_double(out, MAX, f->max);
    put_word(out, EFFECT, OPTION_VERDICT, f->action);
    put_text(out, ZERO, *f->zero ? f->zero : f->label);
}

static void put_filter(const struct filter_options *f, struct buffer *out)
{
    enum { STREAM = 1, FIELD, EFFECT, MIN, MAX, TO };
    put_text(out, STREAM, f->stream);
    put_word(out, FIELD, OPTION_FIELD, f->field);
    put_word(out, EFFECT, OPTION_ACTION, f->action);
    put_double(out, MIN, f->min);
    put_double(out, MAX, f->max);
    put_double(out, TO, f->to);
}

static void put_sampling(const struct sampling_options *s, struct buffer *out)
{
    enum { KEEP = 1, FROM_POSITION, TO_POSITION };
    put_double(out, KEEP, s->keep);
    if (s->from_position > 0)
        wire_put_integer(out, FROM_POSITION, (uint64_t)s->from_position << 1); /* sint32 */
    if (s->to_position < OPTION_POSITION_MAX)
        wire_put_integer(out, TO_POSITION, (uint64_t)s->to_position << 1);
}

static void put_users(const struct options *o, struct buffer *out)
{
    enum { BLOCK = 9, ALLOW, MAX_EVENTS, PER_MS };
    const char *const paths[] = {o->users_block, o->users_allow};
    for (uint32_t i = 0; i < ARRAY_LEN(paths); i++) {
        char *whole = *paths[i] ? realpath(paths[i], NULL) : NULL;
        if (*paths[i])
            put_text(out, BLOCK + i, whole ? whole : paths[i]);
        free(whole);
    }
    wire_put_integer(out, MAX_EVENTS, o->users_max_events);
    wire_put_integer(out, PER_MS, (uint64_t)o->users_per_ms);
}

/* Append the message in *one under its number and empty *one. */
static void put_message(struct buffer *out, uint32_t number, struct buffer *one)
{
    wire_put_bytes(out, number, buffer_view(one));
    one->size = 0;
}

void join_rules_pack(const struct options *o, bool at_once, struct buffer *out)
{
    enum { KEY = 1, WINDOW_MS, ALLOWED_LATENESS_MS, STREAMS, LABELS, SAMPLE_FILTERS, FILTERS, SAMPLING };
    enum { POSITIVE_AT_ONCE = 13 };
    CLEANUP(buffer_close) struct buffer one = {0};
    put_key(out, KEY, o->key_fields);
    wire_put_integer(out, WINDOW_MS, (uint64_t)o->window_ms);
    wire_put_integer(out, ALLOWED_LATENESS_MS, (uint64_t)o->allowed_lateness_ms);
    for (uint32_t i = 0; i < o->streams; i++) {
        put_stream(o, &o->stream[i], &one);
        put_message(out, STREAMS, &one);
    }
    for (uint32_t i = 0; i < o->labels; i++) {
        put_label(&o->label[i], &one);
        put_message(out, LABELS, &one);
    }
    for (uint32_t i = 0; i < o->sample_filters; i++) {
        put_sample_filter(&o->sample_filter[i], &one);
        put_message(out, SAMPLE_FILTERS, &one);
    }
    for (uint32_t i = 0; i < o->filters; i++) {
        put_filter(&o->filter[i], &one);
        put_message(out, FILTERS, &one);
    }
    for (uint32_t i = 0; i < o->sampling; i++) {
        put_sampling(&o->rule[i], &one);
        put_message(out, SAMPLING, &one);
    }
    put_users(o, out);
    wire_put_integer(out, POSITIVE_AT_ONCE, at_once || o->positive_at_once);
}
