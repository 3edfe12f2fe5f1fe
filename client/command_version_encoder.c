/* Another encoder for a version: version encoder. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "client/commands.h"
#include "tidemill/v1/changes.pb-c.h"

enum { KEY_FILE = 1, KEY_REASON, KEY_EXECUTE };

typedef Tidemill__V1__SetEncoderRequest Request;
typedef Tidemill__V1__SetEncoderReply Reply;

struct arguments {
    Request request;
    char file[PATH_MAX]; /* absolute, where it is a file of this machine */
};

static void check(const Request *r, struct argp_state *state)
{
    if (!r->version)
        argp_error(state, "NAME is required; \"tidemill version list\" shows them");
    if (!r->file)
        argp_error(state, "--file FILE is expected: a safetensors file as docs/encoder.md tells");
    if (r->execute && !r->reason)
        argp_error(state, "--execute needs a --reason, for \"tidemill params changes\"");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    Request *r = &a->request;
    switch (key) {
    case KEY_FILE: r->file = realpath(argument, a->file) ? a->file : argument; return 0;
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

static void print_reply(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    const Request *r = (const Request *)request;
    const Reply *m = (const Reply *)reply;
    static const char *const names[] = {"encoder", "representation"};
    char documents[TEXT_NUMBER_SIZE], samples[TEXT_NUMBER_SIZE];
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    printer_row(p, (struct cell[]){cell_text("old"), cell_text(m->before)});
    printer_row(p, (struct cell[]){cell_text("new"), cell_text(m->encoder)});
    printer_close(p);
    if (strcmp(m->before, m->encoder) == 0) {
        puts("the file makes the representation that the version has: nothing is to be changed");
        return;
    }
    printf("%s documents with %s samples begin anew\n", text_count(m->documents, documents),
           text_count(m->samples, samples));
    if (m->has_position)
        command_hint("done at position %" PRIu64 "; next: name the file in the configuration, too", m->position);
    else
        command_hint("nothing was changed; next: \"tidemill version encoder %s --file FILE --reason TEXT --execute\"",
                     r->version);
}

int command_version_encoder(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"file", KEY_FILE, "FILE", 0, "Safetensors file (docs/encoder.md); the server reads it, and keeps a copy", 0},
        {"reason", KEY_REASON, "TEXT", 0, "Why; shown by \"params changes\"", 0},
        {"execute", KEY_EXECUTE, NULL, 0, "Do it (default: show what would begin anew)", 0},
        {0},
    };
    struct arguments a = {.request = TIDEMILL__V1__SET_ENCODER_REQUEST__INIT};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    a.request.by = getenv("USER");
    command_parse(self, options, parse, &a, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/SetEncoder", &a.request.base,
                        &tidemill__v1__set_encoder_reply__descriptor, print_reply);
}
