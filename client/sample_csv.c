/* Samples as CSV. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/text.h"
#include "client/print.h"
#include "client/sample_format.h"

struct csv_writer {
    struct sample_writer writer;
    FILE *out;
    bool features;
    struct buffer text; /* of features and payload */
    struct printer *printer;
    char **names;
    struct cell *cells;
    size_t columns;
};

static const char *const csv_ids[] = {"id",  "kind", "version",         "request",
                                      "doc", "user", "impression_time", "decision_time"};
static const char *const csv_rest[] = {"reward",         "weight", "keep_probability", "corrects",
                                       "old_reward",     "score",  "propensity",       "rank",
                                       "representation", "shard",  "sequence",         "position"};
static const char *const csv_features[] = {"features", "payload", "tables", "feature_records"};

static void add_names(struct csv_writer *w, const char *prefix, char *const *names, size_t count)
{
    w->names = mem_grow(w->names, w->columns + count + 1, sizeof *w->names);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(prefix) + strlen(names[i]) + 1;
        char *name = mem_new(size, 1);
        snprintf(name, size, "%s%s", prefix, names[i]);
        w->names[w->columns++] = name;
    }
}

#define ADD_NAMES(w, list) add_names(w, "", (char *const *)(uintptr_t)(list), ARRAY_LEN(list))

static enum tm_code csv_begin(struct sample_writer *writer, const struct sample_names *names, struct tm_error *err)
{
    struct csv_writer *w = (struct csv_writer *)writer;
    ADD_NAMES(w, csv_ids);
    add_names(w, "label.", names->label, names->labels);
    add_names(w, "old_label.", names->label, names->labels);
    ADD_NAMES(w, csv_rest);
    if (w->features)
        ADD_NAMES(w, csv_features);
    w->cells = mem_new(w->columns, sizeof *w->cells);
    w->printer = printer_open(w->out, OUTPUT_CSV, (const char *const *)w->names, w->columns);
    return sample_written(w->out, err);
}

static struct cell float_cell(float v, char text[static TEXT_NUMBER_SIZE])
{
    return isfinite(v) ? cell_text(text_float(v, text)) : cell_none();
}

/* A cell of JSON: empty, or the list. */
static void put_parts(struct bytes parts, struct buffer *out)
{
    if (parts.size)
        sample_json_parts(parts, out);
    buffer_put_u8(out, 0);
}

/* The numbers with spaces between them, the payload in base64, rows of tables and records of features, with a NUL
 * behind each. Where all but the first begin. */
struct csv_places {
    size_t payload, tables, records;
};
static struct csv_places put_csv_features(const struct sample_view *s, struct buffer *out)
{
    struct feature_numbers f = {0};
    char number[TEXT_NUMBER_SIZE];
    out->size = 0;
    feature_numbers(s, &f);
    for (size_t i = 0; i < f.count; i++) {
        if (i)
            buffer_put_u8(out, ' ');
        if (f.index)
            buffer_print(out, "%" PRIu32 ":", feature_index(&f, i));
        buffer_print(out, "%s", isfinite(feature_value(&f, i)) ? text_float(feature_value(&f, i), number) : "nan");
    }
    buffer_put_u8(out, 0);
    struct csv_places at = {.payload = out->size};
    base64_encode(s->payload, out);
    buffer_put_u8(out, 0);
    at.tables = out->size;
    put_parts(s->tables, out);
    at.records = out->size;
    put_parts(s->records, out);
    return at;
}

static enum tm_code csv_sample(struct sample_writer *writer, const struct sample_view *s, struct tm_error *err)
{
    struct csv_writer *w = (struct csv_writer *)writer;
    char score[TEXT_NUMBER_SIZE], propensity[TEXT_NUMBER_SIZE];
    struct cell *c = w->cells;
    const struct cell ids[] = {cell_text(s->id),
                               cell_text(s->corrects ? "correction" : "new"),
                               cell_text(s->version),
                               cell_text(s->request),
                               cell_text(s->doc),
                               cell_text(s->user),
                               cell_time(s->impression_time),
                               cell_time(s->decision_time)};
    const struct cell rest[] = {cell_number(s->reward),
                                cell_number(s->weight),
                                cell_number(s->keep),
                                s->corrects ? cell_count(s->corrects) : cell_none(),
                                s->corrects ? cell_number(s->old_reward) : cell_none(),
                                float_cell(s->score, score),
                                float_cell(s->propensity, propensity),
                                s->rank < 0 ? cell_none() : cell_signed(s->rank),
                                cell_text(s->representation),
                                cell_count(s->shard),
                                cell_count(s->sequence),
                                cell_count(s->position)};
    memcpy(c, ids, sizeof ids);
    c += ARRAY_LEN(ids);
    for (size_t i = 0; i < s->names->labels; i++)
        *c++ = cell_number(s->label[i]);
    for (size_t i = 0; i < s->names->labels; i++)
        *c++ = s->corrects ? cell_number(s->old_label[i]) : cell_none();
    memcpy(c, rest, sizeof rest);
    c += ARRAY_LEN(rest);
    if (w->features) {
        struct csv_places at = put_csv_features(s, &w->text);
        const char *text = (const char *)w->text.data;
        *c++ = cell_text(text);
        *c++ = cell_text(text + at.payload);
        *c++ = cell_text(text + at.tables);
        *c++ = cell_text(text + at.records);
    }
    printer_row(w->printer, w->cells);
    return sample_written(w->out, err);
}

static enum tm_code csv_close(struct sample_writer *writer, struct tm_error *err)
{
    struct csv_writer *w = (struct csv_writer *)writer;
    if (w->printer)
        printer_close(w->printer);
    for (size_t i = 0; i < w->columns; i++)
        free(w->names[i]);
    free(w->names);
    free(w->cells);
    buffer_close(&w->text);
    fflush(w->out);
    enum tm_code rc = sample_written(w->out, err);
    free(w);
    return rc;
}

struct sample_writer *sample_csv_open(FILE *out, bool features)
{
    struct csv_writer *w = mem_new(1, sizeof *w);
    *w = (struct csv_writer){.writer = {csv_begin, csv_sample, csv_close}, .out = out, .features = features};
    return &w->writer;
}
