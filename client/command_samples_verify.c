/* The server's samples against those that somebody else expects: samples verify. */
#include <inttypes.h>

#include "base/units.h"
#include "client/merge.h"
#include "client/progress.h"
#include "client/recompute.h"
#include "client/sample_arguments.h"
#include "client/sample_file.h"
#include "client/sample_verdict.h"
#include "proto/wire.h"

enum {
    KEY_AGAINST = 1,
    KEY_FIRST,
    KEY_EXAMPLES,
    KEY_MEMORY,
    KEY_QUIET,
    KEY_RECOMPUTE,
    KEY_CONFIG,
    EXAMPLES = 5,
    EXIT_DIFFERS = 2,
};

struct arguments {
    Tidemill__V1__SampleFilter filter;
    const char *against;
    const char *config; /* NULL: the server's own */
    const char *events[MERGE_FILES_MAX];
    size_t event_files;
    int64_t from, to;
    uint64_t examples, memory;
    bool first, quiet, recompute;
};

/* ---- what is expected ---- */

static enum tm_code take_names(void *self, const struct sample_names *names, struct tm_error *err)
{
    struct verdict *v = self;
    (void)err;
    v->label = mem_new(names->labels ? names->labels : 1, sizeof *v->label);
    for (; v->labels < names->labels; v->labels++) {
        size_t size = strlen(names->label[v->labels]) + 1;
        v->label[v->labels] = memcpy(mem_new(size, 1), names->label[v->labels], size);
    }
    return TM_OK;
}

static enum tm_code ignore_sample(void *self, const struct sample_view *s, struct tm_error *err)
{
    (void)self;
    (void)s;
    (void)err;
    return TM_OK;
}

/* The labels' names are needed to read the file, and the file before the samples: so they are asked for first. */
static enum tm_code ask_names(struct verdict *v, const struct settings *s, struct tm_error *err)
{
    Tidemill__V1__TailSamplesRequest request = TIDEMILL__V1__TAIL_SAMPLES_REQUEST__INIT;
    const struct sample_sink sink = {.begin = take_names, .sample = ignore_sample, .self = v};
    request.has_last = true;
    return sample_stream(s, "/tidemill.v1.Admin/TailSamples", &request.base, &sink, err);
}

static void open_match(struct verdict *v, const struct arguments *a, uint64_t memory)
{
    v->match = match_open(&(struct match_options){.labels = v->labels,
                                                  .first = a->first,
                                                  .version = a->filter.versions,
                                                  .versions = a->filter.n_versions,
                                                  .from = a->from,
                                                  .to = a->to,
                                                  .memory_max = memory});
}

static enum tm_code read_file(struct verdict *v, const struct arguments *a, struct progress *p, struct tm_error *err)
{
    struct sample_file *f;
    const struct told_sample *s;
    enum tm_code rc = sample_file_open(a->against, (const char *const *)v->label, v->labels, &f, err);
    if (rc != TM_OK)
        return rc;
    open_match(v, a, a->memory);
    while ((rc = sample_file_next(f, &s, err)) == TM_OK && s) {
        rc = match_there(v->match, s, err);
        if (rc != TM_OK) {
            sample_file_wrap(f, err);
            break;
        }
        progress_show(p, sample_file_read(f), sample_file_total(f), match_count(v->match));
    }
    sample_file_close(f);
    return rc;
}

/* ---- or worked out from events ---- */

static enum tm_code ask_server(const struct settings *s, ProtobufCMessage **reply, struct tm_error *err)
{
    Tidemill__V1__JoinRulesRequest request = TIDEMILL__V1__JOIN_RULES_REQUEST__INIT;
    return command_call(s, "/tidemill.v1.Admin/JoinRules", &request.base, &tidemill__v1__join_rules_reply__descriptor,
                        reply, err);
}

static enum tm_code ask_rules(const struct arguments *a, const struct settings *s, struct buffer *packed,
                              struct tm_error *err)
{
    ProtobufCMessage *reply = NULL;
    if (a->config)
        return command_read_rules(a->config, packed, err);
    enum tm_code rc = ask_server(s, &reply, err);
    if (rc == TM_OK)
        wire_pack(reply, packed);
    wire_free(reply);
    return rc;
}

static void summarize(struct progress *p, const struct recompute_counts *c)
{
    progress_clear(p);
    progress_notice(p,
                    "%" PRIu64 " records read; %" PRIu64 " malformed, %" PRIu64 " that no server takes; events of "
                    "blocked users %" PRIu64 ", of robots %" PRIu64 ", filtered %" PRIu64,
                    c->records, c->malformed, c->refused, c->blocked, c->robots, c->filtered);
    if (c->crowded)
        progress_problem(p,
                         "%" PRIu64 " keys of action streams have more impressions or actions at a time than a server "
                         "keeps of them (32, 16): their labels may differ",
                         c->crowded);
}

static enum tm_code recompute(struct verdict *v, const struct arguments *a, const struct recompute_rules *rules,
                              struct progress *p, struct tm_error *err)
{
    struct recompute *r;
    struct recompute_counts counts;
    const struct recompute_options o = {.rules = rules,
                                        .paths = a->events,
                                        .path_count = a->event_files,
                                        .from = a->from,
                                        .to = a->to,
                                        .memory_max = a->memory,
                                        .progress = p};
    p->unit = "events";
    enum tm_code rc = recompute_open(&o, &r, &counts, err);
    if (rc != TM_OK)
        return rc;
    summarize(p, &counts);
    v->refused = counts.malformed + counts.refused;
    v->all_labels = true;
    open_match(v, a, a->memory - recompute_memory(r));
    rc = recompute_tell(r, v->label, v->labels, v->match, err);
    recompute_close(r);
    return rc;
}

static enum tm_code read_events(struct verdict *v, const struct arguments *a, const struct settings *s,
                                struct progress *p, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    CLEANUP(recompute_rules_close) struct recompute_rules rules = {0};
    enum tm_code rc = ask_rules(a, s, &packed, err);
    if (rc == TM_OK)
        rc = recompute_rules_read(buffer_view(&packed), &rules, err);
    return rc == TM_OK ? recompute(v, a, &rules, p, err) : rc;
}

/* ---- the server's ---- */

struct receiving {
    struct verdict *verdict;
    struct progress *progress;
    uint64_t samples;
};

static enum tm_code take_sample(void *self, const struct sample_view *s, struct tm_error *err)
{
    struct receiving *r = self;
    r->samples++;
    return match_here(r->verdict->match, s, err);
}

static enum tm_code look_up(void *self, uint64_t lost, uint64_t done, uint64_t total, struct tm_error *err)
{
    struct receiving *r = self;
    (void)err;
    r->verdict->lost += lost;
    progress_show(r->progress, done, total, r->samples);
    return TM_OK;
}

/* An impression is decided after its time, so what was decided before `from` is none of ours: but for positives at
 * once. */
static enum tm_code narrow(const struct arguments *a, const struct settings *s, Tidemill__V1__SampleFilter *filter,
                           struct tm_error *err)
{
    ProtobufCMessage *reply = NULL;
    enum tm_code rc = a->from == INT64_MIN ? TM_OK : ask_server(s, &reply, err);
    filter->has_decided_since = reply && !((const Tidemill__V1__JoinRulesReply *)reply)->positive_at_once;
    filter->decided_since = a->from;
    wire_free(reply);
    return rc;
}

static enum tm_code read_here(struct verdict *v, const struct arguments *a, const struct settings *s,
                              struct progress *p, struct tm_error *err)
{
    Tidemill__V1__ExportSamplesRequest request = TIDEMILL__V1__EXPORT_SAMPLES_REQUEST__INIT;
    Tidemill__V1__SampleFilter filter = a->filter;
    struct receiving r = {v, p, 0};
    const struct sample_sink sink = {.sample = take_sample, .batch = look_up, .self = &r};
    enum tm_code rc = narrow(a, s, &filter, err);
    request.filter = &filter;
    request.has_features = request.features = match_wants_features(v->match);
    return rc == TM_OK ? sample_stream(s, "/tidemill.v1.Admin/ExportSamples", &request.base, &sink, err) : rc;
}

/* ---- the command ---- */

static void hint(const struct verdict *v)
{
    if (v->lost)
        command_hint("%" PRIu64 " samples in between are missing (samples.retain): compare a later time, with --from",
                     v->lost);
    if (v->count[MATCH_ONLY_THERE])
        command_hint("only there: not decided yet (tidemill ingest --end, or wait), not kept any more, or never taken "
                     "(tidemill deadletters list)");
    if (match_stray_corrections(v->match))
        command_hint("%" PRIu64 " corrections are of samples that are not here; they were left out",
                     match_stray_corrections(v->match));
}

static uint64_t parse_memory(const char *text, struct argp_state *state)
{
    uint64_t size;
    if (!size_parse(text, &size) || size < 1 << 20)
        argp_error(state, "--memory: got \"%s\"; expected a size from 1MiB on, like 4GiB", text);
    return size;
}

static void add_events(struct arguments *a, const char *path, struct argp_state *state)
{
    if (a->event_files == MERGE_FILES_MAX)
        argp_error(state, "expected at most %d files", MERGE_FILES_MAX);
    a->events[a->event_files++] = path;
}

static void check_source(const struct arguments *a, struct argp_state *state)
{
    if (!a->recompute == !a->against)
        argp_error(state, "expected either --against FILE, the samples that are expected, or --recompute EVENTS..., "
                          "the events that they are made of");
    if (a->recompute && a->event_files == 0)
        argp_error(state, "--recompute: no file of events is named");
    if (!a->recompute && a->event_files > 0)
        argp_error(state, "unexpected \"%s\"; files of events need --recompute", a->events[0]);
    if (a->recompute && a->first)
        argp_error(state, "--first: events are recomputed to final labels only");
    if (!a->recompute && a->config)
        argp_error(state, "--config is for --recompute");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case SAMPLE_KEY_VERSION: sample_argument(&a->filter, key, argument); return 0;
    case SAMPLE_KEY_FROM: a->from = command_time("--from", argument, state); return 0;
    case SAMPLE_KEY_TO: a->to = command_time("--to", argument, state); return 0;
    case KEY_AGAINST: a->against = argument; return 0;
    case KEY_FIRST: a->first = true; return 0;
    case KEY_EXAMPLES: a->examples = command_number("--examples", argument, 0, 1000000000, state); return 0;
    case KEY_MEMORY: a->memory = parse_memory(argument, state); return 0;
    case KEY_QUIET: a->quiet = true; return 0;
    case KEY_RECOMPUTE: a->recompute = true; return 0;
    case KEY_CONFIG: a->config = argument; return 0;
    case ARGP_KEY_ARG: add_events(a, argument, state); return 0;
    case ARGP_KEY_END:
        check_source(a, state);
        if (a->from >= a->to)
            argp_error(state, "--to must be behind --from");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static enum tm_code verify(struct verdict *v, const struct arguments *a, const struct settings *s, struct tm_error *err)
{
    struct progress progress;
    progress_start(&progress, a->quiet);
    progress.unit = "samples";
    v->first = a->first;
    enum tm_code rc = ask_names(v, s, err);
    if (rc == TM_OK)
        rc = a->recompute ? read_events(v, a, s, &progress, err) : read_file(v, a, &progress, err);
    if (rc == TM_OK) {
        progress_clear(&progress);
        progress_start(&progress, a->quiet);
        progress.unit = "samples";
        rc = read_here(v, a, s, &progress, err);
    }
    progress_clear(&progress);
    return rc;
}

int command_samples_verify(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"against", KEY_AGAINST, "FILE", 0, "Samples that are expected, JSON lines or CSV; - is standard input", 0},
        {"recompute", KEY_RECOMPUTE, NULL, 0,
         "Work out what is expected from EVENTS: files of JSON lines, as ingest reads them", 0},
        {"config", KEY_CONFIG, "FILE", 0, "By this configuration (default: the server's)", 0},
        {"first", KEY_FIRST, NULL, 0, "Compare the first labels, not those behind all corrections", 0},
        {"version", SAMPLE_KEY_VERSION, "NAME", 0, "Samples of this version; may be given again", 0},
        {"from", SAMPLE_KEY_FROM, "TIME", 0, "Impressions from here on, RFC 3339 or milliseconds since 1970", 0},
        {"to", SAMPLE_KEY_TO, "TIME", 0, "Impressions before", 0},
        {"examples", KEY_EXAMPLES, "N", 0, "So many of each difference (default: 5)", 0},
        {"memory", KEY_MEMORY, "SIZE", 0,
         "Memory for samples, about 170 B each, and events, about 250 B (default: 2GiB)", 0},
        {"quiet", KEY_QUIET, NULL, 0, "No progress", 0},
        {0},
    };
    struct arguments a = {.filter = TIDEMILL__V1__SAMPLE_FILTER__INIT,
                          .from = INT64_MIN,
                          .to = INT64_MAX,
                          .examples = EXAMPLES,
                          .memory = UINT64_C(2) << 30};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON, .timeout_ms = -1};
    struct verdict v = {0};
    struct tm_error err = {0};
    command_parse(self, options, parse, &a, &settings, argc, argv);
    enum tm_code rc = verify(&v, &a, &settings, &err);
    int code = rc == TM_OK ? 0 : command_failed(&err);
    if (rc == TM_OK) {
        verdict_judge(&v);
        if (settings.output == OUTPUT_JSON)
            verdict_print_json(&v, a.examples);
        else
            verdict_print(&v, a.examples);
        hint(&v);
        code = command_flushed(verdict_identical(&v) ? 0 : EXIT_DIFFERS);
    }
    verdict_close(&v);
    sample_filter_close(&a.filter);
    return code;
}
