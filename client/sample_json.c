#include "client/sample_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "proto/items.h"
#include "proto/json.h"
#include "proto/wire.h"

enum tm_code sample_written(FILE *out, struct tm_error *err)
{
    return ferror(out) ? tm_error_set(err, TM_IO, "writing samples: %s", strerrordesc_np(errno)) : TM_OK;
}

bool feature_numbers(const struct sample_view *s, struct feature_numbers *out)
{
    size_t pair = s->encoding == 1 ? 8 : 4;
    if (s->encoding > 1 || s->features.size == 0 || s->features.size % pair)
        return false;
    *out = (struct feature_numbers){.count = s->features.size / pair, .value = s->features.data};
    if (s->encoding == 1) {
        out->index = s->features.data;
        out->value = s->features.data + 4 * out->count;
    }
    return true;
}

/* ---- one sample ---- */

static void put_key(struct buffer *out, const char *key)
{
    if (out->data[out->size - 1] != '{')
        buffer_put_u8(out, ',');
    json_put_text(out, bytes_text(key));
    buffer_put_u8(out, ':');
}

static void put_bytes(struct buffer *out, const char *key, struct bytes text)
{
    put_key(out, key);
    if (text.size)
        json_put_text(out, text);
    else
        buffer_print(out, "null");
}

static void put_text(struct buffer *out, const char *key, const char *text) { put_bytes(out, key, bytes_text(text)); }

static void put_parts(struct buffer *out, const char *key, struct bytes parts)
{
    if (parts.size == 0)
        return;
    put_key(out, key);
    sample_json_parts(parts, out);
}

static void put_integer(struct buffer *out, const char *key, int64_t v)
{
    put_key(out, key);
    buffer_print(out, "%" PRId64, v);
}

static void put_count(struct buffer *out, const char *key, uint64_t v)
{
    put_key(out, key);
    buffer_print(out, "%" PRIu64, v);
}

static void put_number(struct buffer *out, const char *key, double v)
{
    put_key(out, key);
    json_put_number(out, v); /* null when it is not finite */
}

static void put_float(struct buffer *out, const char *key, float v)
{
    put_key(out, key);
    json_put_float(out, v);
}

static void put_labels(struct buffer *out, const char *key, const struct sample_names *names, const double *label)
{
    put_key(out, key);
    buffer_put_u8(out, '{');
    for (size_t i = 0; i < names->labels; i++)
        put_number(out, names->label[i], label[i]);
    buffer_put_u8(out, '}');
}

static void put_list(struct buffer *out, const struct feature_numbers *f, bool indices)
{
    buffer_put_u8(out, '[');
    for (size_t i = 0; i < f->count; i++) {
        if (i)
            buffer_put_u8(out, ',');
        if (indices)
            buffer_print(out, "%" PRIu32, feature_index(f, i));
        else
            json_put_float(out, feature_value(f, i));
    }
    buffer_put_u8(out, ']');
}

static void put_features(struct buffer *out, const struct sample_view *s)
{
    struct feature_numbers f;
    put_key(out, "features");
    if (!feature_numbers(s, &f)) {
        buffer_print(out, "null");
    } else if (!f.index) {
        put_list(out, &f, false);
    } else {
        buffer_print(out, "{\"i\":");
        put_list(out, &f, true);
        buffer_print(out, ",\"v\":");
        put_list(out, &f, false);
        buffer_put_u8(out, '}');
    }
    put_key(out, "payload");
    if (s->payload.size)
        json_put_base64(out, s->payload);
    else
        buffer_print(out, "null");
}

void sample_json_parts(struct bytes parts, struct buffer *out)
{
    CLEANUP(buffer_close) struct buffer joined = {0};
    struct reader r = reader_of(parts);
    struct sample_view view;
    struct sample_part of;
    const char *before = "";
    buffer_put_u8(out, '[');
    while (sample_next_part(&r, &joined, &of, &view)) {
        buffer_print(out, "%s{", before);
        put_key(out, "stream");
        json_put_text(out, of.stream);
        put_integer(out, "time", of.time);
        put_bytes(out, "representation", of.representation);
        put_features(out, &view);
        buffer_put_u8(out, '}');
        before = ",";
    }
    buffer_put_u8(out, ']');
}

bool sample_next_part(struct reader *parts, struct buffer *joined, struct sample_part *of, struct sample_view *view)
{
    struct wire_field f;
    struct event e;
    while (wire_next(parts, &f)) {
        if (f.type != WIRE_BYTES || event_scan(f.bytes, &e, NULL) != TM_OK)
            continue;
        *of = (struct sample_part){e.stream, e.representation, e.time};
        *view = (struct sample_view){.payload = e.payload};
        view->features = items_features(&e, &view->encoding, joined);
        return true;
    }
    return false;
}

static void put_rank(struct buffer *out, int32_t rank)
{
    put_key(out, "rank");
    if (rank < 0)
        buffer_print(out, "null");
    else
        buffer_print(out, "%" PRId32, rank);
}

static void put_ids(const struct sample_view *s, struct buffer *out)
{
    put_text(out, "id", s->id);
    put_text(out, "kind", s->corrects ? "correction" : "new");
    put_text(out, "version", s->version);
    put_text(out, "request", s->request);
    put_text(out, "doc", s->doc);
    put_text(out, "user", s->user);
    put_integer(out, "impression_time", s->impression_time);
    put_integer(out, "decision_time", s->decision_time);
}

void sample_json(const struct sample_view *s, bool features, struct buffer *out)
{
    buffer_put_u8(out, '{');
    put_ids(s, out);
    put_labels(out, "labels", s->names, s->label);
    put_number(out, "reward", s->reward);
    put_number(out, "weight", s->weight);
    put_number(out, "keep_probability", s->keep);
    if (s->corrects) {
        put_count(out, "corrects", s->corrects);
        put_labels(out, "old_labels", s->names, s->old_label);
        put_number(out, "old_reward", s->old_reward);
    } else {
        put_float(out, "score", s->score);
        put_float(out, "propensity", s->propensity);
        put_rank(out, s->rank);
        put_text(out, "representation", s->representation);
    }
    put_count(out, "shard", s->shard);
    put_count(out, "sequence", s->sequence);
    put_count(out, "position", s->position);
    put_text(out, "generation", s->names->generation ? s->names->generation : "");
    if (features && (!s->corrects || s->features.size)) /* of a correction: what came after the decision */
        put_features(out, s);
    put_parts(out, "feature_records", s->records);
    put_parts(out, "tables", s->tables);
    buffer_put_u8(out, '}');
}

/* ---- the writer ---- */

struct json_writer {
    struct sample_writer writer;
    FILE *out;
    bool features;
    struct buffer line;
};

static enum tm_code write_sample(struct sample_writer *writer, const struct sample_view *s, struct tm_error *err)
{
    struct json_writer *w = (struct json_writer *)writer;
    w->line.size = 0;
    sample_json(s, w->features, &w->line);
    buffer_put_u8(&w->line, '\n');
    fwrite(w->line.data, 1, w->line.size, w->out);
    return sample_written(w->out, err);
}

static enum tm_code close_writer(struct sample_writer *writer, struct tm_error *err)
{
    struct json_writer *w = (struct json_writer *)writer;
    fflush(w->out);
    enum tm_code rc = sample_written(w->out, err);
    buffer_close(&w->line);
    free(w);
    return rc;
}

struct sample_writer *sample_json_open(FILE *out, bool features)
{
    struct json_writer *w = mem_new(1, sizeof *w);
    *w = (struct json_writer){
        .writer = {.sample = write_sample, .close = close_writer}, .out = out, .features = features};
    return &w->writer;
}
