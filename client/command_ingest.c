#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/commands.h"
#include "client/ingest.h"
#include "client/merge.h"

enum { KEY_FORMAT = 1, KEY_END, KEY_CLIENT, KEY_RATE, KEY_AGAIN, KEY_QUIET, CLIENT_MAX = 64 };

static const struct argp_option options[] = {
    {"format", KEY_FORMAT, "NAME", 0, "json: one event a line (default: json)", 0},
    {"end", KEY_END, NULL, 0, "Say that this is all, and wait until everything is applied, durable and decided", 0},
    {"client", KEY_CLIENT, "NAME", 0, "Name of this producer (default: one for these files)", 0},
    {"rate", KEY_RATE, "N", 0, "At most N events a second (default: as fast as it goes)", 0},
    {"again", KEY_AGAIN, NULL, 0, "Send what an earlier run has sent once more", 0},
    {"quiet", KEY_QUIET, NULL, 0, "Print problems only", 0},
    {0},
};

struct arguments {
    struct ingest_options o;
    const char *paths[MERGE_FILES_MAX];
    bool quiet;
};

static double parse_rate(const char *text, struct argp_state *state)
{
    char *end;
    double rate = strtod(text, &end);
    if (end == text || *end || !(rate > 0 && rate < 1e9))
        argp_error(state, "--rate: got \"%s\"; expected a number of events a second above 0", text);
    return rate;
}

static void add_path(struct arguments *a, const char *path, struct argp_state *state)
{
    if (a->o.path_count == MERGE_FILES_MAX)
        argp_error(state, "expected at most %d files", MERGE_FILES_MAX);
    for (size_t i = 0; i < a->o.path_count; i++)
        if (strcmp(a->paths[i], path) == 0)
            argp_error(state, "%s is named twice", path);
    a->paths[a->o.path_count++] = path;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_FORMAT:
        if (strcmp(argument, "json") != 0)
            argp_error(state, "--format: got \"%s\"; expected json", argument);
        return 0;
    case KEY_END: a->o.end = true; return 0;
    case KEY_CLIENT:
        if (*argument == '\0' || strlen(argument) > CLIENT_MAX)
            argp_error(state, "--client: expected 1 to %d bytes", CLIENT_MAX);
        a->o.client = argument;
        return 0;
    case KEY_RATE: a->o.rate = parse_rate(argument, state); return 0;
    case KEY_AGAIN: a->o.again = true; return 0;
    case KEY_QUIET: a->quiet = true; return 0;
    case ARGP_KEY_ARG: add_path(a, argument, state); return 0;
    case ARGP_KEY_NO_ARGS: add_path(a, "-", state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void summarize(struct progress *p, const struct ingest_result *r)
{
    char all[TEXT_NUMBER_SIZE], accepted[TEXT_NUMBER_SIZE], rejected[TEXT_NUMBER_SIZE], malformed[TEXT_NUMBER_SIZE];
    char before[TEXT_NUMBER_SIZE + 64] = "", count[TEXT_NUMBER_SIZE];
    double seconds = (double)(clock_monotonic_ns() - p->started_ns) * 1e-9;
    bool bad = r->rejected + r->malformed > 0;
    if (r->taken_before && r->taken_before == r->events && !bad) {
        progress_notice(p, "all %s events were taken before by an earlier run; --again sends them once more",
                        text_count(r->events, count));
        return;
    }
    if (r->taken_before)
        progress_notice(p, "went on behind %s events that an earlier run had sent", text_count(r->taken_before, count));
    if (r->blocked)
        progress_notice(p, "%s events of blocked users were not taken", text_count(r->blocked, count));
    if (r->repeated_batches)
        snprintf(before, sizeof before, "; %s batch%s had been taken before", text_count(r->repeated_batches, count),
                 r->repeated_batches == 1 ? "" : "es");
    (bad ? progress_problem : progress_notice)(p, "%s records in %.1f s: %s accepted, %s rejected, %s malformed%s",
                                               text_count(r->accepted + r->rejected + r->blocked + r->malformed, all),
                                               seconds, text_count(r->accepted, accepted),
                                               text_count(r->rejected, rejected), text_count(r->malformed, malformed),
                                               before);
}

/* Who looks at parameters now misses the samples of the last windows. */
static void hint_windows(struct progress *p, const struct ingest_result *r)
{
    if (r->accepted > 0)
        progress_notice(p,
                        "next: windows that are still open wait for later events, or for the same command with --end");
}

int command_ingest(const struct command *self, int argc, char **argv)
{
    struct arguments a = {0};
    struct settings settings = {0};
    struct ingest_result result = {0};
    struct progress progress;
    struct tm_error err = {0};
    command_parse(self, options, parse, &a, &settings, argc, argv);
    a.o.server = settings.server;
    a.o.timeout_ms = settings.timeout_ms;
    a.o.paths = a.paths;
    progress_start(&progress, a.quiet);
    enum tm_code rc = ingest_run(&a.o, &progress, &result, &err);
    if (rc == TM_OK || result.events || result.malformed)
        summarize(&progress, &result);
    if (rc != TM_OK)
        return command_failed(&err);
    if (!a.o.end)
        hint_windows(&progress, &result);
    return result.malformed || result.rejected ? EXIT_USAGE : 0;
}
