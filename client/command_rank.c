/* rank: how a version would order candidates, or does. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "client/commands.h"
#include "proto/json.h"
#include "proto/wire.h"
#include "tidemill/v1/ranking.pb-c.h"

enum { KEY_VERSION = 1, KEY_CONTEXT, KEY_CANDIDATES, KEY_SLOTS, KEY_SEED, KEY_LOG, FILE_MAX = 4 << 20 };

/* Parts of one request: those of the files, then what the options say. They are put one behind the other, which is how
 * protobuf merges messages. */
struct arguments {
    const char *context, *candidates;
    Tidemill__V1__RankRequest options;
};

static uint64_t parse_whole(const char *option, const char *text, uint64_t most, struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || v > most)
        argp_error(state, "%s: got \"%s\"; expected a whole number", option, text);
    return v;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    Tidemill__V1__RankRequest *r = &a->options;
    switch (key) {
    case KEY_VERSION: r->version = argument; return 0;
    case KEY_CONTEXT: a->context = argument; return 0;
    case KEY_CANDIDATES: a->candidates = argument; return 0;
    case KEY_SLOTS:
        r->has_slots = true;
        r->slots = (uint32_t)parse_whole("--slots", argument, UINT32_MAX, state);
        return 0;
    case KEY_SEED:
        r->has_seed = true;
        r->seed = parse_whole("--seed", argument, UINT64_MAX, state);
        return 0;
    case KEY_LOG: r->log = r->has_durable = r->durable = true; return 0;
    case ARGP_KEY_ARGS:
        r->docs = state->argv + state->next;
        r->n_docs = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (!r->version)
            argp_error(state, "--version is required");
        if (!r->n_docs && !a->candidates)
            argp_error(state, "candidates are required: DOC... or --candidates");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Fields of a RankRequest as JSON: in a file, or the text itself when it begins with a brace. */
static enum tm_code add_part(const char *option, const char *source, struct buffer *wire, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer content = {0};
    struct bytes text = bytes_text(source ? source : "{}");
    enum tm_code rc = TM_OK;
    if (source && source[0] != '{') {
        rc = file_read(source, FILE_MAX, &content, err);
        text = buffer_view(&content);
    }
    if (rc == TM_OK)
        rc = json_read_message(&tidemill__v1__rank_request__descriptor, text, wire, err);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "%s", option);
}

/* NULL with *err set, or the caller's to free. */
static Tidemill__V1__RankRequest *make_request(const struct arguments *a, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    if (add_part("--context", a->context, &wire, err) != TM_OK ||
        add_part("--candidates", a->candidates, &wire, err) != TM_OK)
        return NULL;
    wire_pack(&a->options.base, &wire);
    return (void *)wire_unpack(&tidemill__v1__rank_request__descriptor, buffer_view(&wire), 2 * FILE_MAX, err);
}

/* ---- rows ---- */

struct candidate {
    size_t index;
    size_t place; /* from 1; SIZE_MAX: not shown */
    double score;
};

static int best_first(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* Those that are shown, in their order, then the others by their scores. */
static struct candidate *sort_candidates(const Tidemill__V1__RankReply *m, size_t docs)
{
    struct candidate *list = mem_new(docs, sizeof *list);
    for (size_t i = 0; i < docs; i++)
        list[i] = (struct candidate){i, SIZE_MAX, m->scores[i]};
    for (size_t k = 0; k < m->n_order; k++)
        list[m->order[k]].place = k + 1;
    qsort(list, docs, sizeof *list, best_first);
    return list;
}

static bool is_whole(const Tidemill__V1__RankReply *m, size_t docs)
{
    bool whole = m->n_scores == docs && m->n_means == docs && m->n_known == docs && m->n_order <= docs &&
                 (m->n_propensities == 0 || m->n_propensities == m->n_order);
    for (size_t k = 0; whole && k < m->n_order; k++)
        whole = m->order[k] < docs;
    return whole;
}

static void print_rows(enum output output, const Tidemill__V1__RankRequest *r, const Tidemill__V1__RankReply *m)
{
    static const char *const names[] = {"place", "doc", "score", "mean", "propensity", "known"};
    struct candidate *list = sort_candidates(m, r->n_docs);
    struct printer *p = printer_open(stdout, output, names, ARRAY_LEN(names));
    for (size_t i = 0; i < r->n_docs; i++) {
        const struct candidate *c = &list[i];
        bool shown = c->place != SIZE_MAX, likely = shown && m->n_propensities;
        printer_row(p, (struct cell[]){shown ? cell_count(c->place) : cell_none(), cell_text(r->docs[c->index]),
                                       cell_number(c->score), cell_number(m->means[c->index]),
                                       likely ? cell_number((double)m->propensities[c->place - 1]) : cell_none(),
                                       cell_bool(m->known[c->index])});
    }
    printer_close(p);
    free(list);
}

static void print_people(const Tidemill__V1__RankRequest *r, const Tidemill__V1__RankReply *m)
{
    char as_of[CLOCK_TEXT_SIZE];
    print_rows(OUTPUT_TABLE, r, m);
    printf("request %s, version %s, seed %" PRIu64 ", as of %s\n", m->request, m->version, m->seed,
           m->has_as_of ? clock_text(m->as_of, as_of) : "no time yet");
}

static void print_json(const Tidemill__V1__RankRequest *r, const Tidemill__V1__RankReply *m)
{
    static const char *const names[] = {"request", "version", "generation", "seed", "as_of", "position"};
    const struct cell cells[] = {cell_text(m->request),
                                 cell_text(m->version),
                                 cell_text(m->generation),
                                 cell_count(m->seed),
                                 m->has_as_of ? cell_time(m->as_of) : cell_none(),
                                 m->has_position ? cell_count(m->position) : cell_none()};
    fputs("{", stdout);
    print_json_fields(stdout, names, cells, ARRAY_LEN(names));
    fputs(", \"candidates\": ", stdout);
    print_rows(OUTPUT_JSON, r, m);
    fputs("}\n", stdout);
}

static int print_reply(const struct settings *settings, const Tidemill__V1__RankRequest *r,
                       const Tidemill__V1__RankReply *m)
{
    struct tm_error err;
    if (!is_whole(m, r->n_docs)) {
        tm_error_set(&err, TM_IO, "server %s: a reply whose arrays do not fit the %zu candidates", settings->server,
                     r->n_docs);
        return command_failed(&err);
    }
    if (settings->output == OUTPUT_JSON)
        print_json(r, m);
    else
        print_people(r, m);
    if (r->log)
        command_hint("logged; what was liked of it: \"tidemill reward --request %s DOC...\"", m->request);
    return command_flushed(0);
}

int command_rank(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"version", KEY_VERSION, "NAME", 0, "Version that ranks (required)", 0},
        {"context", KEY_CONTEXT, "FILE|JSON", 0, "What candidates share: {\"user\": ..., \"context\": [...]}", 0},
        {"candidates", KEY_CANDIDATES, "FILE|JSON", 0,
         "{\"docs\": [...], \"features\": [...]}, or any field of RankRequest (docs/api.md)", 0},
        {"slots", KEY_SLOTS, "N", 0, "Places that are shown (default: 1)", 0},
        {"seed", KEY_SEED, "N", 0, "Of the draws (default: follows from the request)", 0},
        {"log", KEY_LOG, NULL, 0, "Log what is shown as impressions, durably (default: only look)", 0},
        {0},
    };
    struct arguments a = {.options = TIDEMILL__V1__RANK_REQUEST__INIT};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    a.options.has_log = true;
    command_parse(self, options, parse, &a, &settings, argc, argv);
    Tidemill__V1__RankRequest *request = make_request(&a, &err);
    if (!request)
        return command_failed(&err);
    int code;
    if (command_call(&settings, "/tidemill.v1.Ranking/Rank", &request->base, &tidemill__v1__rank_reply__descriptor,
                     &reply, &err) == TM_OK)
        code = print_reply(&settings, request, (const Tidemill__V1__RankReply *)reply);
    else
        code = command_failed(&err);
    wire_free(reply);
    wire_free(&request->base);
    return code;
}
