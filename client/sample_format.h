/* client/sample_format.h - samples as people and programs read them: lines for a terminal, JSON lines, CSV, Avro.
 *
 * Times    ms since 1970 UTC; on a terminal as text. What was not told is null, or an empty field.
 * Labels   by name: an object in JSON, a map in Avro, columns "label.NAME" and "old_label.NAME" in CSV.
 * Features only when they were asked for. JSON and Avro: numbers; CSV: numbers with spaces between them, sparse ones as
 *          index:value. The payload: base64; in Avro bytes. Rows of tables and what feature streams brought: a list of
 *          stream, time, representation, features and payload; in CSV that list as JSON, in one column.
 * Errors   TM_IO: what could not be written.
 * Threads  one. */
#ifndef TIDEMILL_CLIENT_SAMPLE_FORMAT_H
#define TIDEMILL_CLIENT_SAMPLE_FORMAT_H

#include <stdio.h>

#include "client/sample_stream.h"

/* A writer begins with the names (NULL: it does not need them), gets samples, and is closed. */
struct sample_writer {
    enum tm_code (*begin)(struct sample_writer *w, const struct sample_names *names, struct tm_error *err);
    enum tm_code (*sample)(struct sample_writer *w, const struct sample_view *s, struct tm_error *err);
    enum tm_code (*close)(struct sample_writer *w, struct tm_error *err); /* frees it; begun or not */
};

struct sample_writer *sample_lines_open(FILE *out);
struct sample_writer *sample_json_open(FILE *out, bool features);
struct sample_writer *sample_csv_open(FILE *out, bool features);

enum tm_code sample_written(FILE *out, struct tm_error *err); /* so far */

/* One JSON object, without a line's end. */
void sample_json(const struct sample_view *s, bool features, struct buffer *out);

/* The next of a sample's rows of tables, or of the records of its features: those, encoding and payload as a sample's.
 * False: there is none. joined: room for features that came in two parts. */
struct sample_part {
    struct bytes stream, representation;
    int64_t time;
};
bool sample_next_part(struct reader *parts, struct buffer *joined, struct sample_part *of, struct sample_view *view);
void sample_json_parts(struct bytes parts, struct buffer *out); /* all of them, as a JSON array */

/* The numbers of features: `count` of each; indices NULL when they are dense. False: no such features. */
struct feature_numbers {
    size_t count;
    const uint8_t *index, *value; /* u32 and f32, little-endian, not aligned */
};
bool feature_numbers(const struct sample_view *s, struct feature_numbers *out);
static inline uint32_t feature_index(const struct feature_numbers *f, size_t i)
{
    uint32_t v;
    memcpy(&v, f->index + 4 * i, sizeof v);
    return v;
}
static inline float feature_value(const struct feature_numbers *f, size_t i)
{
    float v;
    memcpy(&v, f->value + 4 * i, sizeof v);
    return v;
}

#endif
