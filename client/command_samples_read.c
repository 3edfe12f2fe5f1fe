/* Samples that the server keeps: samples tail, samples export. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/avro.h"
#include "client/progress.h"
#include "client/sample_arguments.h"

enum { KEY_LAST = 'n', KEY_FOLLOW = 'f', KEY_FEATURES = 1, KEY_FORMAT, KEY_QUIET, KEY_POSITION, KEY_FILE = 'o' };

/* ---- what both do with samples ---- */

struct reading {
    struct sample_writer *writer;
    struct progress progress;
    bool shows_progress, flushes;
    uint64_t samples, corrections, lost;
};

static enum tm_code begin(void *self, const struct sample_names *names, struct tm_error *err)
{
    struct reading *r = self;
    return r->writer->begin ? r->writer->begin(r->writer, names, err) : TM_OK;
}

static enum tm_code take(void *self, const struct sample_view *s, struct tm_error *err)
{
    struct reading *r = self;
    r->samples++;
    r->corrections += s->corrects > 0;
    return r->writer->sample(r->writer, s, err);
}

/* Called behind each batch. The samples that are lost lay in front of it, so this is told in time, not in its place. */
static enum tm_code look_up(void *self, uint64_t lost, uint64_t done, uint64_t total, struct tm_error *err)
{
    struct reading *r = self;
    r->lost += lost;
    if (lost)
        progress_problem(&r->progress,
                         "%" PRIu64 " samples are missing here: they were not kept, or went (samples.retain) "
                         "before they were read",
                         lost);
    if (r->shows_progress)
        progress_show(&r->progress, done, total, r->samples);
    if (r->flushes && fflush(stdout) != 0)
        return tm_error_set(err, TM_IO, "standard output: %s", strerrordesc_np(errno));
    return TM_OK;
}

/* Run the call and close the writer. */
static enum tm_code read_samples(struct reading *r, const struct settings *s, const char *method,
                                 const ProtobufCMessage *request, struct tm_error *err)
{
    const struct sample_sink sink = {begin, take, look_up, r};
    struct tm_error closing;
    enum tm_code rc = sample_stream(s, method, request, &sink, err);
    enum tm_code closed = r->writer->close(r->writer, rc == TM_OK ? err : &closing);
    progress_clear(&r->progress);
    return rc == TM_OK ? closed : rc;
}

/* ---- tail ---- */

struct tail_arguments {
    Tidemill__V1__TailSamplesRequest request;
    Tidemill__V1__SampleFilter filter;
};

static error_t parse_tail(int key, char *argument, struct argp_state *state)
{
    struct tail_arguments *a = state->input;
    if (sample_argument(&a->filter, key, argument))
        return 0;
    switch (key) {
    case KEY_LAST:
        a->request.has_last = true;
        a->request.last = (uint32_t)command_number("-n", argument, 0, 10000, state);
        return 0;
    case KEY_FOLLOW: a->request.has_follow = a->request.follow = true; return 0;
    case KEY_FEATURES: a->request.has_features = a->request.features = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static struct sample_writer *tail_writer(enum output output, bool features)
{
    switch (output) {
    case OUTPUT_JSON: return sample_json_open(stdout, features);
    case OUTPUT_CSV: return sample_csv_open(stdout, features);
    default: return sample_lines_open(stdout);
    }
}

int command_samples_tail(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        SAMPLE_ID_OPTIONS,
        {"last", KEY_LAST, "N", 0, "Begin with so many of the past, at most 10000 (default: 10)", 0},
        {"follow", KEY_FOLLOW, NULL, 0, "Stay, and show samples as they are committed", 0},
        {"features", KEY_FEATURES, NULL, 0,
         "With features, payload, rows of tables and features by stream (json and csv)", 0},
        {0},
    };
    struct tail_arguments a = {TIDEMILL__V1__TAIL_SAMPLES_REQUEST__INIT, TIDEMILL__V1__SAMPLE_FILTER__INIT};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON | 1u << OUTPUT_CSV, .timeout_ms = -1};
    struct reading r = {.flushes = true};
    struct tm_error err = {0};
    command_parse(self, options, parse_tail, &a, &settings, argc, argv);
    a.request.filter = &a.filter;
    progress_start(&r.progress, false);
    r.writer = tail_writer(settings.output, a.request.features);
    enum tm_code rc = read_samples(&r, &settings, "/tidemill.v1.Admin/TailSamples", &a.request.base, &err);
    sample_filter_close(&a.filter);
    if (rc != TM_OK)
        return command_failed(&err);
    if (r.samples == 0)
        command_hint("no such samples are kept");
    return command_flushed(0);
}

/* ---- export ---- */

enum format { JSON_LINES, CSV, AVRO };
static const char *const format_names[] = {"jsonl", "csv", "avro"};

struct export_arguments {
    Tidemill__V1__ExportSamplesRequest request;
    Tidemill__V1__SampleFilter filter;
    enum format format;
    const char *file; /* NULL: standard output */
    bool quiet;
};

static enum format parse_format(const char *text, struct argp_state *state)
{
    for (size_t i = 0; i < ARRAY_LEN(format_names); i++)
        if (strcmp(text, format_names[i]) == 0)
            return (enum format)i;
    argp_error(state, "--format: got \"%s\"; expected jsonl, csv or avro", text);
    return JSON_LINES;
}

static error_t parse_export(int key, char *argument, struct argp_state *state)
{
    struct export_arguments *a = state->input;
    if (sample_argument(&a->filter, key, argument))
        return 0;
    switch (key) {
    case SAMPLE_KEY_FROM:
        a->filter.has_decided_since = true;
        a->filter.decided_since = command_time("--from", argument, state);
        return 0;
    case SAMPLE_KEY_TO:
        a->filter.has_decided_until = true;
        a->filter.decided_until = command_time("--to", argument, state);
        return 0;
    case KEY_POSITION:
        a->request.has_until_position = true;
        a->request.until_position = command_number("--until-position", argument, 0, UINT64_MAX, state);
        return 0;
    case KEY_FEATURES: a->request.has_features = a->request.features = true; return 0;
    case KEY_FORMAT: a->format = parse_format(argument, state); return 0;
    case KEY_FILE: a->file = argument; return 0;
    case KEY_QUIET: a->quiet = true; return 0;
    case ARGP_KEY_END:
        if (a->format == AVRO && !a->file && isatty(STDOUT_FILENO))
            argp_error(state, "--format avro is nothing for a terminal; name a file with -o FILE");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static struct sample_writer *export_writer(const struct export_arguments *a, FILE *out)
{
    switch (a->format) {
    case CSV: return sample_csv_open(out, a->request.features);
    case AVRO: return sample_avro_open(out, a->request.features);
    default: return sample_json_open(out, a->request.features);
    }
}

/* Into FILE.part, which becomes FILE when it is whole: nobody finds half an export under its name. */
static enum tm_code export_file(struct export_arguments *a, struct reading *r, const struct settings *s,
                                struct tm_error *err)
{
    char part[4096];
    snprintf(part, sizeof part, "%s.part", a->file);
    FILE *out = fopen(part, "w");
    if (!out)
        return tm_error_set(err, TM_IO, "%s: %s", part, strerrordesc_np(errno));
    r->writer = export_writer(a, out);
    enum tm_code rc = read_samples(r, s, "/tidemill.v1.Admin/ExportSamples", &a->request.base, err);
    if (rc == TM_OK && fsync(fileno(out)) != 0)
        rc = tm_error_set(err, TM_IO, "%s: %s", part, strerrordesc_np(errno));
    fclose(out);
    if (rc == TM_OK && rename(part, a->file) != 0)
        rc = tm_error_set(err, TM_IO, "%s: %s", a->file, strerrordesc_np(errno));
    if (rc != TM_OK)
        unlink(part);
    return rc;
}

static void say_done(const struct export_arguments *a, struct reading *r)
{
    char samples[TEXT_NUMBER_SIZE], corrections[TEXT_NUMBER_SIZE];
    progress_notice(&r->progress, "%s samples, %s of them corrections%s%s", text_count(r->samples, samples),
                    text_count(r->corrections, corrections), a->file ? ", in " : "", a->file ? a->file : "");
    if (r->lost)
        progress_problem(
            &r->progress,
            "%" PRIu64 " samples in between are missing (samples.retain): ask for a later time, with --from", r->lost);
}

int command_samples_export(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        SAMPLE_ID_OPTIONS,
        {"from", SAMPLE_KEY_FROM, "TIME", 0, "Decided from here on, RFC 3339 or milliseconds since 1970", 0},
        {"to", SAMPLE_KEY_TO, "TIME", 0, "Decided before", 0},
        {"until-position", KEY_POSITION, "N", 0, "Made by records before this position of the input", 0},
        {"format", KEY_FORMAT, "FORMAT", 0, "jsonl, csv or avro (default: jsonl)", 0},
        {"output", KEY_FILE, "FILE", 0, "Write to this file (default: standard output)", 0},
        {"features", KEY_FEATURES, NULL, 0, "With features, payload, rows of tables and features by stream", 0},
        {"quiet", KEY_QUIET, NULL, 0, "Problems only", 0},
        {0},
    };
    struct export_arguments a = {.request = TIDEMILL__V1__EXPORT_SAMPLES_REQUEST__INIT,
                                 .filter = TIDEMILL__V1__SAMPLE_FILTER__INIT};
    struct settings settings = {.timeout_ms = -1};
    struct reading r = {.shows_progress = true};
    struct tm_error err = {0};
    command_parse(self, options, parse_export, &a, &settings, argc, argv);
    a.request.filter = &a.filter;
    progress_start(&r.progress, a.quiet);
    r.progress.unit = "samples";
    enum tm_code rc;
    if (a.file) {
        rc = export_file(&a, &r, &settings, &err);
    } else {
        r.writer = export_writer(&a, stdout);
        rc = read_samples(&r, &settings, "/tidemill.v1.Admin/ExportSamples", &a.request.base, &err);
    }
    sample_filter_close(&a.filter);
    if (rc != TM_OK)
        return command_failed(&err);
    say_done(&a, &r);
    return command_flushed(0);
}
