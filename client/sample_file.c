#include "client/sample_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "proto/json_event.h"

enum { COLUMNS_MAX = 256, LABEL_COLUMN = 100 };

/* What a column of CSV is: one of these, or LABEL_COLUMN + the label's number. */
enum column { SKIP, ID, KIND, VERSION, REQUEST, DOC, USER, IMPRESSION_TIME, WEIGHT, KEEP, FEATURES };
static const char *const column_names[] = {[ID] = "id",           [KIND] = "kind",
                                           [VERSION] = "version", [DOC] = "doc",
                                           [REQUEST] = "request", [IMPRESSION_TIME] = "impression_time",
                                           [WEIGHT] = "weight",   [FEATURES] = "features",
                                           [USER] = "user",       [KEEP] = "keep_probability"};

struct sample_file {
    const char *name;
    FILE *in;
    bool csv;
    const char *const *label;
    size_t labels;
    struct buffer record; /* a line; CSV: its fields, unquoted, each with its NUL */
    char *text;           /* of getline */
    size_t text_capacity;
    uint64_t line, bytes, total;
    int column[COLUMNS_MAX];
    size_t columns;
    const char *field[COLUMNS_MAX];
    size_t fields;
    struct told_sample sample;
};

void sample_file_close(struct sample_file *f)
{
    if (!f)
        return;
    if (f->in && f->in != stdin)
        fclose(f->in);
    json_sample_close(&f->sample);
    buffer_close(&f->record);
    free(f->text);
    free(f);
}

uint64_t sample_file_read(const struct sample_file *f) { return f->bytes; }
uint64_t sample_file_total(const struct sample_file *f) { return f->total; }

/* Append the next line without its end; *end: there is none. */
static enum tm_code read_line(struct sample_file *f, bool *end, struct tm_error *err)
{
    ssize_t size = getline(&f->text, &f->text_capacity, f->in);
    *end = size < 0 && feof(f->in);
    if (*end)
        return TM_OK;
    if (size < 0)
        return tm_error_set(err, TM_IO, "%s", strerrordesc_np(errno));
    f->line++;
    f->bytes += (uint64_t)size;
    while (size > 0 && (f->text[size - 1] == '\n' || f->text[size - 1] == '\r'))
        size--;
    buffer_put(&f->record, f->text, (size_t)size);
    if (f->record.size > JSON_LINE_MAX)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "a record is longer than %d bytes", JSON_LINE_MAX);
    return TM_OK;
}

/* ---- CSV ---- */

/* One field to *out, without its quotes; returns the comma or the end behind it. */
static const char *copy_field(const char *in, const char *end, char **out)
{
    bool quoted = in < end && *in == '"';
    for (in += quoted; in < end && (quoted || *in != ','); in++) {
        bool quote = quoted && *in == '"', pair = quote && in + 1 < end && in[1] == '"';
        in += pair; /* two stand for one */
        if (quote && !pair)
            quoted = false;
        else
            *(*out)++ = *in;
    }
    return in;
}

/* Fields of the record in place: quotes go, and a NUL ends each. */
static enum tm_code split(struct sample_file *f, struct tm_error *err)
{
    char *out = (char *)f->record.data;
    const char *in = out, *end = in + f->record.size;
    for (f->fields = 0; f->fields < COLUMNS_MAX;) {
        f->field[f->fields++] = out;
        in = copy_field(in, end, &out);
        bool last = in == end;
        *out++ = '\0';
        if (last)
            return TM_OK;
        in++;
    }
    return tm_error_set(err, TM_INVALID_ARGUMENT, "more than %d fields", COLUMNS_MAX);
}

/* Does a field that began with a quote not end in this line? Quotes inside come in pairs. */
static bool is_open(const struct buffer *record)
{
    size_t quotes = 0;
    for (size_t i = 0; i < record->size; i++)
        quotes += record->data[i] == '"';
    return quotes % 2 == 1;
}

static enum tm_code read_fields(struct sample_file *f, bool *end, struct tm_error *err)
{
    enum tm_code rc;
    f->record.size = 0;
    while ((rc = read_line(f, end, err)) == TM_OK && !*end && is_open(&f->record))
        buffer_put_u8(&f->record, '\n');
    if (rc == TM_OK && *end && f->record.size)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "the file ends inside of quotes");
    if (rc != TM_OK || *end)
        return rc;
    buffer_reserve(&f->record, 1); /* for the last NUL */
    return split(f, err);
}

static int column_of(const struct sample_file *f, const char *name)
{
    static const char prefix[] = "label.";
    const char *label = strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
    for (int i = ID; label == name && i < (int)ARRAY_LEN(column_names); i++)
        if (strcmp(name, column_names[i]) == 0)
            return i;
    for (size_t i = 0; i < f->labels; i++)
        if (strcmp(label, f->label[i]) == 0)
            return LABEL_COLUMN + (int)i;
    return SKIP;
}

static enum tm_code read_names(struct sample_file *f, struct tm_error *err)
{
    bool end;
    enum tm_code rc = read_fields(f, &end, err);
    for (size_t i = 0; rc == TM_OK && !end && i < f->fields; i++)
        f->column[f->columns++] = column_of(f, f->field[i]);
    return rc;
}

static enum tm_code unexpected(const char *text, const char *expected, struct tm_error *err)
{
    return tm_error_set(err, TM_INVALID_ARGUMENT, "got \"%.60s\"; expected %s", text, expected);
}

static enum tm_code parse_number(const char *text, double *out, struct tm_error *err)
{
    char *end;
    *out = strtod(text, &end);
    return end == text || *end || !isfinite(*out) ? unexpected(text, "a number", err) : TM_OK;
}

static enum tm_code parse_features(const char *text, struct told_sample *s, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer values = {0};
    s->has_features = true;
    s->encoding = strchr(text, ':') != NULL;
    while (*text) {
        char *end;
        if (s->encoding) {
            buffer_put_u32(&s->features, (uint32_t)strtoul(text, &end, 10));
            if (end == text || *end != ':')
                return unexpected(text, "index:value", err);
            text = end + 1;
        }
        float value = strtof(text, &end);
        if (end == text || (*end && *end != ' '))
            return unexpected(text, "numbers with spaces between them", err);
        buffer_put(s->encoding ? &values : &s->features, &value, sizeof value);
        text = *end ? end + 1 : end;
    }
    buffer_put(&s->features, values.data, values.size);
    return TM_OK;
}

static enum tm_code parse_field(struct sample_file *f, int column, const char *text, struct tm_error *err)
{
    struct told_sample *s = &f->sample;
    double number = 0;
    enum tm_code rc = TM_OK;
    switch (column) {
    case ID: s->id = bytes_text(text); break;
    case KIND: s->correction = strcmp(text, "correction") == 0; break;
    case VERSION: s->version = bytes_text(text); break;
    case REQUEST: s->request = bytes_text(text); break;
    case DOC: s->doc = bytes_text(text); break;
    case USER: s->user = bytes_text(text); break;
    case IMPRESSION_TIME:
        rc = parse_number(text, &number, err);
        s->has_time = true;
        s->impression_time = (int64_t)number;
        break;
    case WEIGHT: s->has_weight = true; return parse_number(text, &s->weight, err);
    case KEEP:
        rc = parse_number(text, &s->keep, err);
        if (rc == TM_OK && !(s->keep > 0 && s->keep <= 1))
            rc = tm_error_set(err, TM_INVALID_ARGUMENT, "got %s; expected a number above 0, at most 1", text);
        break;
    case FEATURES: return parse_features(text, s, err);
    default:
        s->labels |= UINT64_C(1) << (column - LABEL_COLUMN);
        return parse_number(text, &s->label[column - LABEL_COLUMN], err);
    }
    return rc;
}

static enum tm_code next_csv(struct sample_file *f, bool *end, struct tm_error *err)
{
    enum tm_code rc = read_fields(f, end, err);
    if (rc != TM_OK || *end)
        return rc;
    if (f->fields != f->columns)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu fields; expected %zu, as in the first line", f->fields,
                            f->columns);
    for (size_t i = 0; rc == TM_OK && i < f->fields; i++)
        if (f->column[i] != SKIP && *f->field[i])
            rc = parse_field(f, f->column[i], f->field[i], err);
    return rc;
}

/* ---- both ---- */

enum tm_code sample_file_wrap(const struct sample_file *f, struct tm_error *err)
{
    return tm_error_wrap(err, "%s:%" PRIu64, f->name, f->line);
}

static enum tm_code next_json(struct sample_file *f, bool *end, struct tm_error *err)
{
    enum tm_code rc;
    do {
        f->record.size = 0;
        rc = read_line(f, end, err);
    } while (rc == TM_OK && !*end && f->record.size == 0);
    if (rc == TM_OK && !*end)
        rc = json_sample_read(buffer_view(&f->record), f->label, f->labels, &f->sample, err);
    return rc;
}

enum tm_code sample_file_next(struct sample_file *f, const struct told_sample **s, struct tm_error *err)
{
    bool end = false;
    json_sample_close(&f->sample);
    enum tm_code rc = f->csv ? next_csv(f, &end, err) : next_json(f, &end, err);
    *s = rc == TM_OK && !end ? &f->sample : NULL;
    return rc == TM_OK ? TM_OK : sample_file_wrap(f, err);
}

static enum tm_code begin(struct sample_file *f, struct tm_error *err)
{
    struct stat status;
    int first = getc(f->in);
    if (first != EOF)
        ungetc(first, f->in);
    f->csv = first != '{';
    if (f->in != stdin && fstat(fileno(f->in), &status) == 0 && S_ISREG(status.st_mode))
        f->total = (uint64_t)status.st_size;
    enum tm_code rc = f->csv && first != EOF ? read_names(f, err) : TM_OK;
    return rc == TM_OK ? TM_OK : sample_file_wrap(f, err);
}

enum tm_code sample_file_open(const char *path, const char *const *names, size_t count, struct sample_file **out,
                              struct tm_error *err)
{
    struct sample_file *f = mem_new(1, sizeof *f);
    bool standard = strcmp(path, "-") == 0;
    *f = (struct sample_file){.name = standard ? "<stdin>" : path,
                              .in = standard ? stdin : fopen(path, "r"),
                              .label = names,
                              .labels = count};
    enum tm_code rc = TM_OK;
    if (!f->in)
        rc = tm_error_set(err, errno == ENOENT ? TM_NOT_FOUND : TM_IO, "%s: %s", path, strerrordesc_np(errno));
    else if (count > SAMPLE_LABELS_MAX)
        rc = tm_error_set(err, TM_INVALID_ARGUMENT, "%zu labels; expected at most %d", count, SAMPLE_LABELS_MAX);
    else
        rc = begin(f, err);
    if (rc == TM_OK)
        *out = f;
    else
        sample_file_close(f);
    return rc;
}
