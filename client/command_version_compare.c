/* Two versions from the samples that are kept: version compare. */
#include <inttypes.h>
#include <math.h>

#include "client/progress.h"
#include "client/sample_arguments.h"
#include "proto/wire.h"
#include "tidemill/v1/comparisons.pb-c.h"

typedef Tidemill__V1__CompareVersionsReply Reply;
typedef Tidemill__V1__PolicyInterval Interval;

enum { KEY_REWARD = 1, KEY_QUIET, KEY_CANDIDATES, TEXT = 96 };

struct arguments {
    Tidemill__V1__CompareVersionsRequest request;
    bool quiet;
};

/* ---- asking ---- */

/* Replies until the last one, which is the caller's. */
static enum tm_code receive(struct duplex *d, struct progress *p, ProtobufCMessage **last, struct tm_error *err)
{
    enum duplex_event event = DUPLEX_NOTHING;
    ProtobufCMessage *reply = NULL;
    enum tm_code rc = TM_OK;
    while (rc == TM_OK && event != DUPLEX_ENDED) {
        rc = duplex_next(d, -1, &event, &reply, err);
        if (rc == TM_OK && event == DUPLEX_SENT)
            duplex_finish(d);
        if (rc == TM_OK && event == DUPLEX_MESSAGE) {
            const Reply *m = (const Reply *)reply;
            progress_show(p, m->done_bytes, m->total_bytes, m->done_bytes);
            wire_free(*last);
            *last = reply;
        }
    }
    const Reply *m = (const Reply *)*last;
    if (rc == TM_OK && (!m || m->n_versions != 2))
        rc = tm_error_set(err, TM_IO, "compare: the server sent no result");
    return rc;
}

static enum tm_code ask(const struct arguments *a, const struct settings *s, ProtobufCMessage **reply,
                        struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    struct progress progress;
    struct connection *c = connection_open(s->server);
    struct duplex *d = duplex_open(c, "/tidemill.v1.Admin/CompareVersions",
                                   &tidemill__v1__compare_versions_reply__descriptor, s->timeout_ms);
    progress_start(&progress, a->quiet);
    progress.unit = "bytes";
    wire_pack(&a->request.base, &packed);
    duplex_send(d, buffer_view(&packed));
    enum tm_code rc = receive(d, &progress, reply, err);
    progress_clear(&progress);
    duplex_close(d);
    connection_close(c);
    return rc;
}

/* ---- showing ---- */

static struct cell optional(bool there, double v) { return there ? cell_number(v) : cell_none(); }

static const char *range(bool there, double lower, double upper, char buf[static TEXT])
{
    snprintf(buf, TEXT, "[%.4g, %.4g]", lower, upper);
    return there ? buf : NULL;
}

/* The columns of an interval: estimate, error, both ranges. */
static void add_interval(struct printer *p, const char *what, const Interval *i)
{
    char once[TEXT], any[TEXT];
    if (i)
        printer_row(
            p, (struct cell[]){cell_text(what), optional(i->has_value, i->value), optional(i->has_error, i->error),
                               cell_text(range(i->has_lower, i->lower, i->upper, once)),
                               cell_text(range(i->has_any_time_lower, i->any_time_lower, i->any_time_upper, any))});
}

static void print_versions(const Reply *m)
{
    static const char *const names[] = {"version", "samples", "no propensity", "no reward", "described by"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_versions; i++) {
        const Tidemill__V1__ComparedVersion *v = m->versions[i];
        printer_row(p, (struct cell[]){cell_text(v->version), cell_count(v->samples), cell_count(v->without_propensity),
                                       cell_count(v->without_reward), cell_text(v->described_by)});
    }
    printer_close(p);
}

static void add_estimate(struct printer *p, const Tidemill__V1__OffPolicyEstimate *e)
{
    const struct {
        const char *name;
        const Interval *interval;
    } rows[] = {{"IPS", e->ips}, {"SNIPS", e->snips}, {"DR", e->dr}};
    char what[2 * TEXT];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(what, sizeof what, "%s from %s's log, %s", e->version, e->log, rows[i].name);
        add_interval(p, what, rows[i].interval);
    }
}

static void print_estimates(const Reply *m)
{
    static const char *const names[] = {"reward of a sample", "estimate", "std error", "95 % for one look",
                                        "95 % at any time"};
    char what[2 * TEXT];
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_versions; i++) {
        snprintf(what, sizeof what, "%s, as it was served", m->versions[i]->version);
        add_interval(p, what, m->versions[i]->mean);
    }
    snprintf(what, sizeof what, "%s minus %s", m->versions[1]->version, m->versions[0]->version);
    add_interval(p, what, m->difference);
    for (size_t i = 0; i < m->n_estimates; i++)
        add_estimate(p, m->estimates[i]);
    printer_close(p);
}

static void print_weights(const Reply *m)
{
    static const char *const names[] = {"value of",    "from the log of", "effective samples",
                                        "mean weight", "std error",       "largest weight"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_estimates; i++) {
        const Tidemill__V1__OffPolicyEstimate *e = m->estimates[i];
        const Interval *w = e->mean_weight;
        printer_row(p, (struct cell[]){cell_text(e->version), cell_text(e->log),
                                       optional(e->has_effective_samples, e->effective_samples),
                                       optional(w && w->has_value, w ? w->value : 0),
                                       optional(w && w->has_error, w ? w->error : 0),
                                       optional(e->has_max_weight, e->max_weight)});
    }
    printer_close(p);
}

static void print_requests(const Reply *m)
{
    for (size_t i = 0; i < m->n_estimates; i++) {
        const Tidemill__V1__OffPolicyEstimate *e = m->estimates[i];
        if (e->has_requests)
            printf("\n%s from %s's log: as it is now, ranking %s in %" PRIu64 " requests (%.3g %% of the log's)\n",
                   e->version, e->log,
                   strcmp(e->candidates, "any") == 0 ? "all documents that the log shows"
                                                     : "the documents kept under the request",
                   e->requests, 100 * e->request_share);
    }
}

static void print_comparison(const Reply *m)
{
    printf("reward: ");
    print_escaped(stdout, m->reward);
    puts("\n");
    print_versions(m);
    putchar('\n');
    print_estimates(m);
    putchar('\n');
    print_weights(m);
    print_requests(m);
    for (size_t i = 0; i < m->n_estimates; i++)
        if (m->estimates[i]->refused) {
            printf("\nno estimate of %s from the log of %s: ", m->estimates[i]->version, m->estimates[i]->log);
            print_escaped(stdout, m->estimates[i]->refused);
            putchar('\n');
        }
}

/* ---- the command ---- */

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    Tidemill__V1__CompareVersionsRequest *q = &a->request;
    switch (key) {
    case KEY_REWARD: q->reward = argument; return 0;
    case KEY_CANDIDATES: q->candidates = argument; return 0;
    case KEY_QUIET: a->quiet = true; return 0;
    case SAMPLE_KEY_FROM:
        q->decided_since = command_time("--from", argument, state);
        q->has_decided_since = true;
        return 0;
    case SAMPLE_KEY_TO:
        q->decided_until = command_time("--to", argument, state);
        q->has_decided_until = true;
        return 0;
    case ARGP_KEY_ARG:
        if (q->b)
            argp_error(state, "two versions are expected");
        *(q->a ? &q->b : &q->a) = argument;
        return 0;
    case ARGP_KEY_END:
        if (!q->b)
            argp_error(state, "two versions are required; \"tidemill version list\" shows them");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int command_version_compare(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"reward", KEY_REWARD, "EXPR", 0, "An expression over labels, for both (default: the versions' own)", 0},
        {"from", SAMPLE_KEY_FROM, "TIME", 0, "Decided from here on, RFC 3339 or milliseconds since 1970", 0},
        {"to", SAMPLE_KEY_TO, "TIME", 0, "Decided before", 0},
        {"candidates", KEY_CANDIDATES, "together|any", 0,
         "Of a request: those of its samples, or all that the log shows (default: any if no request has two samples)",
         0},
        {"quiet", KEY_QUIET, NULL, 0, "No progress", 0},
        {0},
    };
    struct arguments a = {.request = TIDEMILL__V1__COMPARE_VERSIONS_REQUEST__INIT};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON, .timeout_ms = -1};
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    command_parse(self, options, parse, &a, &settings, argc, argv);
    enum tm_code rc = ask(&a, &settings, &reply, &err);
    const Reply *m = (const Reply *)reply;
    if (rc == TM_OK && settings.output == OUTPUT_JSON)
        print_json_line(reply);
    else if (rc == TM_OK)
        print_comparison(m);
    for (size_t i = 0; rc == TM_OK && i < m->n_warnings; i++)
        command_hint("warning: %s", m->warnings[i]);
    wire_free(reply);
    return rc == TM_OK ? command_flushed(0) : command_failed(&err);
}
