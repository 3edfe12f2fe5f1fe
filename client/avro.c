#include "client/avro.h"

#include <avro.h>
#include <math.h>
#include <stdlib.h>

#include "proto/event.h"

/* A list of rows of tables, or of records of features. */
#define PARTS(field, record)                                                                      \
    "{\"name\":\"" field "\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\","        \
    "\"name\":\"" record "\",\"fields\":["                                                        \
    "{\"name\":\"stream\",\"type\":\"string\"},"                                                  \
    "{\"name\":\"time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"      \
    "{\"name\":\"representation\",\"type\":\"string\"},"                                          \
    "{\"name\":\"feature_indices\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"long\"}]}," \
    "{\"name\":\"features\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"float\"}]},"       \
    "{\"name\":\"payload\",\"type\":[\"null\",\"bytes\"]}]}}}"

static const char schema_text[] =
    "{\"type\":\"record\",\"name\":\"Sample\",\"namespace\":\"tidemill\",\"fields\":["
    "{\"name\":\"id\",\"type\":\"string\"},"
    "{\"name\":\"kind\",\"type\":\"string\"},"
    "{\"name\":\"version\",\"type\":\"string\"},"
    "{\"name\":\"request\",\"type\":\"string\"},"
    "{\"name\":\"doc\",\"type\":\"string\"},"
    "{\"name\":\"user\",\"type\":\"string\"},"
    "{\"name\":\"impression_time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"decision_time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"labels\",\"type\":{\"type\":\"map\",\"values\":\"double\"}},"
    "{\"name\":\"reward\",\"type\":\"double\"},"
    "{\"name\":\"weight\",\"type\":\"double\"},"
    "{\"name\":\"keep_probability\",\"type\":\"double\"},"
    "{\"name\":\"corrects\",\"type\":[\"null\",\"long\"]},"
    "{\"name\":\"old_labels\",\"type\":{\"type\":\"map\",\"values\":\"double\"}},"
    "{\"name\":\"old_reward\",\"type\":[\"null\",\"double\"]},"
    "{\"name\":\"score\",\"type\":[\"null\",\"float\"]},"
    "{\"name\":\"propensity\",\"type\":[\"null\",\"float\"]},"
    "{\"name\":\"rank\",\"type\":[\"null\",\"int\"]},"
    "{\"name\":\"representation\",\"type\":\"string\"},"
    "{\"name\":\"shard\",\"type\":\"int\"},"
    "{\"name\":\"sequence\",\"type\":\"long\"},"
    "{\"name\":\"position\",\"type\":\"long\"},"
    "{\"name\":\"generation\",\"type\":\"string\"},"
    "{\"name\":\"feature_indices\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"long\"}]},"
    "{\"name\":\"features\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"float\"}]},"
    "{\"name\":\"payload\",\"type\":[\"null\",\"bytes\"]},"
    /* What was read or joined beside the impression. */
    PARTS("tables", "TableRow") "," PARTS("feature_records", "FeatureRecord") "]}";

enum branch { NOTHING, SOMETHING }; /* of a nullable field */

struct avro {
    struct sample_writer writer;
    FILE *out;
    bool features;
    avro_schema_t schema;
    avro_value_iface_t *type;
    avro_value_t sample;
    avro_file_writer_t file;
};

static enum tm_code failed(const char *what, struct tm_error *err)
{
    return tm_error_set(err, TM_IO, "avro: %s: %s", what, avro_strerror());
}

/* ---- one sample: fields are ours, so nothing but a full memory can fail ---- */

static avro_value_t field_of(const avro_value_t *record, const char *name)
{
    avro_value_t v;
    CHECK(avro_value_get_by_name(record, name, &v, NULL) == 0);
    return v;
}

static avro_value_t field(struct avro *a, const char *name) { return field_of(&a->sample, name); }

static avro_value_t choose_of(const avro_value_t *record, const char *name, enum branch branch)
{
    avro_value_t whole = field_of(record, name), v;
    CHECK(avro_value_set_branch(&whole, branch, &v) == 0);
    return v;
}

static avro_value_t choose(struct avro *a, const char *name, enum branch branch)
{
    return choose_of(&a->sample, name, branch);
}

static void set_text(struct avro *a, const char *name, const char *text)
{
    avro_value_t v = field(a, name);
    CHECK(avro_value_set_string(&v, text) == 0);
}

static void set_long(struct avro *a, const char *name, int64_t number)
{
    avro_value_t v = field(a, name);
    CHECK(avro_value_set_long(&v, number) == 0);
}

static void set_double(struct avro *a, const char *name, double number)
{
    avro_value_t v = field(a, name);
    CHECK(avro_value_set_double(&v, number) == 0);
}

static void set_float(struct avro *a, const char *name, float number)
{
    avro_value_t v = choose(a, name, isfinite(number) ? SOMETHING : NOTHING);
    CHECK((isfinite(number) ? avro_value_set_float(&v, number) : avro_value_set_null(&v)) == 0);
}

static void set_labels(struct avro *a, const char *name, const struct sample_names *names, const double *label)
{
    avro_value_t map = field(a, name), v;
    for (size_t i = 0; i < names->labels; i++)
        CHECK(avro_value_add(&map, names->label[i], &v, NULL, NULL) == 0 && avro_value_set_double(&v, label[i]) == 0);
}

/* Of a sample, or of a part of it. */
static void set_features(const avro_value_t *record, bool wanted, const struct sample_view *s)
{
    struct feature_numbers f = {0};
    bool there = wanted && feature_numbers(s, &f);
    avro_value_t indices = choose_of(record, "feature_indices", there && f.index ? SOMETHING : NOTHING), v;
    avro_value_t values = choose_of(record, "features", there ? SOMETHING : NOTHING);
    for (size_t i = 0; i < f.count; i++) {
        CHECK(avro_value_append(&values, &v, NULL) == 0 && avro_value_set_float(&v, feature_value(&f, i)) == 0);
        if (f.index)
            CHECK(avro_value_append(&indices, &v, NULL) == 0 && avro_value_set_long(&v, feature_index(&f, i)) == 0);
    }
    bool payload = wanted && s->payload.size > 0;
    v = choose_of(record, "payload", payload ? SOMETHING : NOTHING);
    if (payload) /* it is copied */
        CHECK(avro_value_set_bytes(&v, (void *)(uintptr_t)s->payload.data, s->payload.size) == 0);
}

static void set_name(const avro_value_t *record, const char *field, struct bytes name)
{
    char text[EVENT_ID_MAX + 1];
    avro_value_t v = field_of(record, field);
    snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.data);
    CHECK(avro_value_set_string(&v, text) == 0);
}

static void set_parts(struct avro *a, const char *name, struct bytes parts)
{
    CLEANUP(buffer_close) struct buffer joined = {0};
    avro_value_t list = field(a, name), record, v;
    struct reader r = reader_of(parts);
    struct sample_view view;
    struct sample_part of;
    while (a->features && sample_next_part(&r, &joined, &of, &view)) {
        CHECK(avro_value_append(&list, &record, NULL) == 0);
        set_name(&record, "stream", of.stream);
        set_name(&record, "representation", of.representation);
        v = field_of(&record, "time");
        CHECK(avro_value_set_long(&v, of.time) == 0);
        set_features(&record, true, &view);
    }
}

static void set_correction(struct avro *a, const struct sample_view *s)
{
    avro_value_t corrects = choose(a, "corrects", s->corrects ? SOMETHING : NOTHING);
    avro_value_t reward = choose(a, "old_reward", s->corrects ? SOMETHING : NOTHING);
    if (!s->corrects)
        return;
    CHECK(avro_value_set_long(&corrects, (int64_t)s->corrects) == 0);
    CHECK(avro_value_set_double(&reward, s->old_reward) == 0);
    set_labels(a, "old_labels", s->names, s->old_label);
}

static void set_ids(struct avro *a, const struct sample_view *s)
{
    set_text(a, "id", s->id);
    set_text(a, "kind", s->corrects ? "correction" : "new");
    set_text(a, "version", s->version);
    set_text(a, "request", s->request);
    set_text(a, "doc", s->doc);
    set_text(a, "user", s->user);
    set_long(a, "impression_time", s->impression_time);
    set_long(a, "decision_time", s->decision_time);
    set_long(a, "sequence", (int64_t)s->sequence);
    set_long(a, "position", (int64_t)s->position);
    set_text(a, "generation", s->names->generation ? s->names->generation : "");
    avro_value_t shard = field(a, "shard");
    CHECK(avro_value_set_int(&shard, (int32_t)s->shard) == 0);
}

static void set_sample(struct avro *a, const struct sample_view *s)
{
    CHECK(avro_value_reset(&a->sample) == 0);
    set_ids(a, s);
    set_labels(a, "labels", s->names, s->label);
    set_double(a, "reward", s->reward);
    set_double(a, "weight", s->weight);
    set_double(a, "keep_probability", s->keep);
    set_correction(a, s);
    set_float(a, "score", s->score);
    set_float(a, "propensity", s->propensity);
    avro_value_t rank = choose(a, "rank", s->rank < 0 ? NOTHING : SOMETHING);
    CHECK((s->rank < 0 ? avro_value_set_null(&rank) : avro_value_set_int(&rank, s->rank)) == 0);
    set_text(a, "representation", s->representation);
    set_features(&a->sample, a->features, s);
    set_parts(a, "tables", s->tables);
    set_parts(a, "feature_records", s->records);
}

/* ---- the file ---- */

static enum tm_code begin(struct sample_writer *writer, const struct sample_names *names, struct tm_error *err)
{
    struct avro *a = (struct avro *)writer;
    (void)names;
    CHECK(avro_schema_from_json_literal(schema_text, &a->schema) == 0);
    a->type = avro_generic_class_from_schema(a->schema);
    CHECK(a->type && avro_generic_value_new(a->type, &a->sample) == 0);
    if (avro_file_writer_create_with_codec_fp(a->out, "samples", 0, a->schema, &a->file, "deflate", AVRO_BLOCK_BYTES))
        return failed("beginning a file", err);
    return TM_OK;
}

static enum tm_code write_sample(struct sample_writer *writer, const struct sample_view *s, struct tm_error *err)
{
    struct avro *a = (struct avro *)writer;
    set_sample(a, s);
    return avro_file_writer_append_value(a->file, &a->sample) ? failed("writing a sample", err) : TM_OK;
}

static enum tm_code close_writer(struct sample_writer *writer, struct tm_error *err)
{
    struct avro *a = (struct avro *)writer;
    enum tm_code rc = TM_OK;
    if (a->file && avro_file_writer_close(a->file))
        rc = failed("ending a file", err);
    if (a->type) {
        avro_value_decref(&a->sample);
        avro_value_iface_decref(a->type);
        avro_schema_decref(a->schema);
    }
    fflush(a->out);
    if (rc == TM_OK)
        rc = sample_written(a->out, err);
    free(a);
    return rc;
}

struct sample_writer *sample_avro_open(FILE *out, bool features)
{
    struct avro *a = mem_new(1, sizeof *a);
    *a = (struct avro){.writer = {begin, write_sample, close_writer}, .out = out, .features = features};
    return &a->writer;
}
