#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/commands.h"
#include "proto/wire.h"
#include "tidemill/v1/parameters.pb-c.h"

enum { KEY_VERSION = 1, KEY_AT_LEAST, INTERVAL_SIZE = 64, NAME_SIZE = 64, WEIGHTS_SHOWN = 4, WEIGHTS_SIZE = 256 };

static const struct argp_option options[] = {
    {"version", KEY_VERSION, "NAME", 0, "Version whose parameters are wanted (required)", 0},
    {"at-least", KEY_AT_LEAST, "POSITION", 0,
     "Wait until everything before this position is applied (default: do not wait)", 0},
    {0},
};

static uint64_t parse_position(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-')
        argp_error(state, "--at-least: got \"%s\"; expected a position, as an ack or \"tidemill drain\" tells it",
                   text);
    return v;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__PullRequest *r = state->input;
    switch (key) {
    case KEY_VERSION: r->version = argument; return 0;
    case KEY_AT_LEAST:
        r->has_at_least = true;
        r->at_least = parse_position(argument, state);
        return 0;
    case ARGP_KEY_ARGS:
        r->docs = state->argv + state->next;
        r->n_docs = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (!r->version)
            argp_error(state, "--version is required");
        if (!r->n_docs)
            argp_error(state, "at least one DOC is required");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Every array is parallel to the documents asked for. */
static bool is_whole(const Tidemill__V1__PullReply *m, size_t docs)
{
    return m->n_values == docs * m->width && m->n_names == m->width && m->n_known == docs && m->n_updated_at == docs &&
           m->n_n == docs && m->source.len == docs && m->n_mean == docs && m->n_sd == docs && m->n_lower == docs &&
           m->n_upper == docs;
}

static const char *source_name(uint8_t source)
{
    static const char *const names[] = {"prior", "learned", "parent", "imported", "peer"};
    return source < ARRAY_LEN(names) ? names[source] : "unknown";
}

static struct cell updated_cell(const Tidemill__V1__PullReply *m, size_t i)
{
    return m->known[i] ? cell_time(m->updated_at[i]) : cell_none();
}

static void print_rates(const Tidemill__V1__PullRequest *r, const Tidemill__V1__PullReply *m)
{
    static const char *const names[] = {"doc", "mean", "sd", "95 % interval", "n", "updated", "source"};
    char interval[INTERVAL_SIZE];
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < r->n_docs; i++) {
        snprintf(interval, sizeof interval, "[%.6g, %.6g]", m->lower[i], m->upper[i]);
        printer_row(p, (struct cell[]){cell_text(r->docs[i]), cell_number(m->mean[i]), cell_number(m->sd[i]),
                                       cell_text(interval), cell_count(m->n[i]), updated_cell(m, i),
                                       cell_text(source_name(m->source.data[i]))});
    }
    printer_close(p);
}

static size_t value_at(const Tidemill__V1__PullReply *m, const char *name)
{
    size_t i = 0;
    while (i < m->width && strcmp(m->names[i], name) != 0)
        i++;
    return i; /* width: there is none */
}

/* Where the mean and the variance of a weight lie among the values of a document. False: no such weight. */
static bool find_weight(const Tidemill__V1__PullReply *m, size_t weight, size_t *mean, size_t *variance)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "mean[%zu]", weight);
    *mean = value_at(m, name);
    snprintf(name, sizeof name, "variance[%zu]", weight);
    *variance = value_at(m, name);
    if (*variance == m->width) {
        snprintf(name, sizeof name, "covariance[%zu][%zu]", weight, weight);
        *variance = value_at(m, name);
    }
    return *mean < m->width && *variance < m->width;
}

/* The first few weights of a document, as "0.2 +- 0.1, ...". */
static const char *weights_text(const Tidemill__V1__PullReply *m, size_t doc, char text[static WEIGHTS_SIZE])
{
    const double *values = m->values + doc * m->width;
    size_t used = 0, mean, variance, weight = 0;
    text[0] = '\0';
    for (; weight < WEIGHTS_SHOWN && find_weight(m, weight, &mean, &variance); weight++)
        used += (size_t)snprintf(text + used, WEIGHTS_SIZE - used, "%s%.4g +- %.2g", weight ? ", " : "", values[mean],
                                 sqrt(values[variance]));
    if (find_weight(m, weight, &mean, &variance))
        snprintf(text + used, WEIGHTS_SIZE - used, ", ...");
    return text;
}

static void print_weights(const Tidemill__V1__PullRequest *r, const Tidemill__V1__PullReply *m)
{
    static const char *const names[] = {"doc", "weights: mean +- sd", "n", "updated", "source"};
    char weights[WEIGHTS_SIZE];
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < r->n_docs; i++)
        printer_row(p,
                    (struct cell[]){cell_text(r->docs[i]), cell_text(weights_text(m, i, weights)), cell_count(m->n[i]),
                                    updated_cell(m, i), cell_text(source_name(m->source.data[i]))});
    printer_close(p);
}

static void print_people(const Tidemill__V1__PullRequest *r, const Tidemill__V1__PullReply *m)
{
    char as_of[CLOCK_TEXT_SIZE];
    size_t mean, variance;
    if (find_weight(m, 0, &mean, &variance))
        print_weights(r, m);
    else
        print_rates(r, m);
    printf("version %s, model %s, generation %s, as of %s, position %" PRIu64 " (durable %" PRIu64 ")\n",
           m->version ? m->version : r->version, m->model ? m->model : "?", m->generation ? m->generation : "?",
           m->has_as_of ? clock_text(m->as_of, as_of) : "no time yet", m->position, m->durable_position);
    if (m->stale_reason)
        printf("these parameters do not move: the version is %s\n", m->stale_reason);
}

static void print_rows(enum output output, const Tidemill__V1__PullRequest *r, const Tidemill__V1__PullReply *m)
{
    static const char *const fixed[] = {"doc", "mean", "sd", "lower", "upper", "n", "updated_at", "source", "known"};
    size_t columns = ARRAY_LEN(fixed) + m->width;
    const char **names = mem_new(columns, sizeof *names);
    struct cell *cells = mem_new(columns, sizeof *cells);
    memcpy(names, fixed, sizeof fixed);
    for (size_t v = 0; v < m->width; v++)
        names[ARRAY_LEN(fixed) + v] = m->names[v];
    struct printer *p = printer_open(stdout, output, names, columns);
    for (size_t i = 0; i < r->n_docs; i++) {
        const struct cell row[ARRAY_LEN(fixed)] = {
            cell_text(r->docs[i]),      cell_number(m->mean[i]),
            cell_number(m->sd[i]),      cell_number(m->lower[i]),
            cell_number(m->upper[i]),   cell_count(m->n[i]),
            updated_cell(m, i),         cell_text(source_name(m->source.data[i])),
            cell_bool(m->known[i] != 0)};
        memcpy(cells, row, sizeof row);
        for (size_t v = 0; v < m->width; v++)
            cells[ARRAY_LEN(fixed) + v] = cell_number(m->values[i * m->width + v]);
        printer_row(p, cells);
    }
    printer_close(p);
    free(names);
    free(cells);
}

static void print_json(const Tidemill__V1__PullRequest *r, const Tidemill__V1__PullReply *m)
{
    static const char *const names[] = {"version",          "model",       "generation", "as_of", "position",
                                        "durable_position", "stale_reason"};
    const struct cell cells[] = {cell_text(m->version),     cell_text(m->model),
                                 cell_text(m->generation),  m->has_as_of ? cell_time(m->as_of) : cell_none(),
                                 cell_count(m->position),   cell_count(m->durable_position),
                                 cell_text(m->stale_reason)};
    fputs("{", stdout);
    print_json_fields(stdout, names, cells, ARRAY_LEN(names));
    fputs(", \"docs\": ", stdout);
    print_rows(OUTPUT_JSON, r, m);
    fputs("}\n", stdout);
}

int command_pull(const struct command *self, int argc, char **argv)
{
    Tidemill__V1__PullRequest request = TIDEMILL__V1__PULL_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON | 1u << OUTPUT_CSV};
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    command_parse(self, options, parse, &request, &settings, argc, argv);
    request.has_statistics = request.statistics = true;
    if (command_call(&settings, "/tidemill.v1.Parameters/Pull", &request.base, &tidemill__v1__pull_reply__descriptor,
                     &reply, &err) != TM_OK)
        return command_failed(&err);
    const Tidemill__V1__PullReply *m = (const Tidemill__V1__PullReply *)reply;
    bool whole = is_whole(m, request.n_docs);
    if (!whole)
        tm_error_set(&err, TM_IO, "server %s: a reply whose arrays do not fit the %zu documents asked for",
                     settings.server, request.n_docs);
    else if (settings.output == OUTPUT_TABLE)
        print_people(&request, m);
    else if (settings.output == OUTPUT_JSON)
        print_json(&request, m);
    else
        print_rows(OUTPUT_CSV, &request, m);
    wire_free(reply);
    return whole ? command_flushed(0) : command_failed(&err);
}
