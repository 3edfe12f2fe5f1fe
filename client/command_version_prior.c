/* Another prior for a version: version prior. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/commands.h"
#include "tidemill/v1/changes.pb-c.h"

enum { KEY_ESTIMATE = 1, KEY_SET, KEY_REASON, KEY_EXECUTE, PRIOR_MAX = 8 };

typedef Tidemill__V1__SetPriorRequest Request;
typedef Tidemill__V1__SetPriorReply Reply;

struct arguments {
    Request request;
    double prior[PRIOR_MAX];
};

/* "1,20" */
static void parse_numbers(struct arguments *a, const char *text, struct argp_state *state)
{
    char *end;
    for (a->request.n_prior = 0; a->request.n_prior < PRIOR_MAX; text = end + 1) {
        a->prior[a->request.n_prior++] = strtod(text, &end);
        if (end == text || (*end != ',' && *end))
            argp_error(state, "--set: got \"%s\"; expected numbers such as 1,20", text);
        if (!*end)
            break;
    }
    a->request.prior = a->prior;
}

static void check(const Request *r, struct argp_state *state)
{
    if (!r->version)
        argp_error(state, "NAME is required; \"tidemill version list\" shows them");
    if ((r->n_prior > 0) == (r->method != NULL))
        argp_error(state, "--estimate moments, --estimate mle or --set A,B is expected");
    if (r->execute && !r->reason)
        argp_error(state, "--execute needs a --reason, for \"tidemill params changes\"");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    Request *r = &a->request;
    switch (key) {
    case KEY_ESTIMATE: r->method = argument; return 0;
    case KEY_SET: parse_numbers(a, argument, state); return 0;
    case KEY_REASON: r->reason = argument; return 0;
    case KEY_EXECUTE: r->has_execute = r->execute = true; return 0;
    case ARGP_KEY_ARG:
        if (r->version)
            argp_error(state, "one NAME is expected");
        r->version = argument;
        return 0;
    case ARGP_KEY_END: check(r, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void add_prior(struct printer *p, const char *name, const double *prior, size_t count)
{
    if (count < 2)
        return;
    double n = prior[0] + prior[1];
    printer_row(p, (struct cell[]){cell_text(name), cell_number(prior[0]), cell_number(prior[1]),
                                   cell_number(prior[0] / n), cell_number(n)});
}

static void print_reply(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    const Request *r = (const Request *)request;
    const Reply *m = (const Reply *)reply;
    static const char *const names[] = {"prior", "alpha", "beta", "mean", "worth samples"};
    char documents[TEXT_NUMBER_SIZE], passed[TEXT_NUMBER_SIZE];
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    add_prior(p, "old", m->before, m->n_before);
    add_prior(p, "new", m->prior, m->n_prior);
    printer_close(p);
    if (m->has_documents)
        printf("from %s documents; %s more have learned fewer than 2 samples\n", text_count(m->documents, documents),
               text_count(m->passed, passed));
    if (m->held)
        puts("alpha + beta is at its bound: documents differ by no more than chance, or by all that is possible");
    if (m->has_position)
        command_hint("done at position %" PRIu64 ": it holds for all documents; next: \"tidemill params changes "
                     "--version %s\"",
                     m->position, r->version);
    else
        command_hint("nothing was changed; next: the same with --reason TEXT --execute");
}

int command_version_prior(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"estimate", KEY_ESTIMATE, "moments|mle", 0, "What the documents of the version suggest", 0},
        {"set", KEY_SET, "A,B", 0, "This one", 0},
        {"reason", KEY_REASON, "TEXT", 0, "Why; shown by \"params changes\"", 0},
        {"execute", KEY_EXECUTE, NULL, 0, "Do it (default: show the old prior and the new one)", 0},
        {0},
    };
    struct arguments a = {.request = TIDEMILL__V1__SET_PRIOR_REQUEST__INIT};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    a.request.by = getenv("USER");
    command_parse(self, options, parse, &a, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/SetPrior", &a.request.base,
                        &tidemill__v1__set_prior_reply__descriptor, print_reply);
}
