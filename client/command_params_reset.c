/* Parameters that are changed by hand: params reset, params changes. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/commands.h"
#include "tidemill/v1/changes.pb-c.h"

enum { KEY_VERSION = 1, KEY_ALL, KEY_REASON, KEY_EXECUTE };

typedef Tidemill__V1__ResetParametersRequest ResetRequest;
typedef Tidemill__V1__ResetParametersReply ResetReply;

/* ---- reset ---- */

static void check(const ResetRequest *r, struct argp_state *state)
{
    if (!r->version)
        argp_error(state, "--version is required");
    if ((r->n_docs > 0) == r->all)
        argp_error(state, "documents, or --all for every one of the version, are expected");
    if (r->execute && !r->reason)
        argp_error(state, "--execute needs a --reason, for \"tidemill params changes\"");
}

static error_t parse_reset(int key, char *argument, struct argp_state *state)
{
    ResetRequest *r = state->input;
    switch (key) {
    case KEY_VERSION: r->version = argument; return 0;
    case KEY_ALL: r->has_all = r->all = true; return 0;
    case KEY_REASON: r->reason = argument; return 0;
    case KEY_EXECUTE: r->has_execute = r->execute = true; return 0;
    case ARGP_KEY_ARG:
        r->docs = mem_grow(r->docs, r->n_docs + 1, sizeof *r->docs);
        r->docs[r->n_docs++] = argument;
        return 0;
    case ARGP_KEY_END: check(r, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void print_reset(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    const ResetRequest *r = (const ResetRequest *)request;
    const ResetReply *m = (const ResetReply *)reply;
    char documents[TEXT_NUMBER_SIZE], samples[TEXT_NUMBER_SIZE];
    const char *what = m->has_position ? "forgotten" : m->documents ? "would be forgotten" : "nothing to forget";
    printf("version %s: %s documents with parameters, %s samples: %s\n", r->version,
           text_count(m->documents, documents), text_count(m->samples, samples), what);
    if (m->has_position)
        command_hint("done at position %" PRIu64
                     "; corrections of what was forgotten are skipped (skipped_reset); next: "
                     "\"tidemill params changes --version %s\"",
                     m->position, r->version);
    else if (m->documents)
        command_hint("nothing was changed; next: the same with --reason TEXT --execute");
}

int command_params_reset(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"version", KEY_VERSION, "NAME", 0, "Whose parameters (required)", 0},
        {"all", KEY_ALL, NULL, 0, "Every document of the version", 0},
        {"reason", KEY_REASON, "TEXT", 0, "Why; shown by \"params changes\"", 0},
        {"execute", KEY_EXECUTE, NULL, 0, "Do it (default: show what would be forgotten)", 0},
        {0},
    };
    ResetRequest request = TIDEMILL__V1__RESET_PARAMETERS_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    request.by = getenv("USER");
    command_parse(self, options, parse_reset, &request, &settings, argc, argv);
    int code = command_show(&settings, "/tidemill.v1.Admin/ResetParameters", &request.base,
                            &tidemill__v1__reset_parameters_reply__descriptor, print_reset);
    free(request.docs);
    return code;
}

/* ---- changes ---- */

static error_t parse_changes(int key, char *argument, struct argp_state *state)
{
    char **version = state->input;
    if (key != KEY_VERSION)
        return ARGP_ERR_UNKNOWN;
    *version = argument;
    return 0;
}

static void print_changes(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    const Tidemill__V1__ListParameterChangesReply *m = (const Tidemill__V1__ListParameterChangesReply *)reply;
    static const char *const names[] = {"time", "version", "what", "by", "reason"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_changes; i++) {
        const Tidemill__V1__ParameterChangeStatus *c = m->changes[i];
        printer_row(p, (struct cell[]){cell_time(c->time), cell_text(c->version), cell_text(c->what), cell_text(c->by),
                                       cell_text(c->reason)});
    }
    printer_close(p);
}

int command_params_changes(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {{"version", KEY_VERSION, "NAME", 0, "One version (default: all)", 0},
                                                 {0}};
    Tidemill__V1__ListParameterChangesRequest request = TIDEMILL__V1__LIST_PARAMETER_CHANGES_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, options, parse_changes, &request.version, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/ListParameterChanges", &request.base,
                        &tidemill__v1__list_parameter_changes_reply__descriptor, print_changes);
}
