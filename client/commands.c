#include "client/commands.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "proto/wire.h"

enum { KEY_SERVER = 1000, KEY_TIMEOUT, NAME_MAX_SIZE = 64, TYPO_MAX = 2 };

#define SERVER_VARIABLE "TIDEMILL_SERVER"

static const struct command client_commands[] = {
    {"ingest", "[FILE...|-]", "Send events from files, or from standard input",
     "tidemill ingest impressions.jsonl clicks.jsonl --end", command_ingest},
    {"pull", "DOC...", "Show the parameters of documents", "tidemill pull --version A d17 d42 -o json", command_pull},
    {"rank", "[DOC...]", "Order candidates as a version does, and with --log show them",
     "tidemill rank --version A d17 d42 --slots 2", command_rank},
    {"reward", "DOC...", "Tell what was liked of a ranking", "tidemill reward --request r17 d42", command_reward},
    {"status", NULL, "Show streams, versions and progress", "tidemill status -o json", command_status},
    {"version create", "NAME", "Make a version that learns from now on",
     "tidemill version create C --model beta --prior 1,20 --half-life 14d", command_version_create},
    {"version list", NULL, "Show all versions, their states and counters", "tidemill version list -o json",
     command_version_list},
    {"version show", "NAME", "Show one version with everything that is known of it", "tidemill version show A",
     command_version_show},
    {"version pause", "NAME", "Stop learning and hold the samples; the last parameters are served",
     "tidemill version pause A", command_version_pause},
    {"version resume", "NAME", "Learn again, with or without the samples that were held",
     "tidemill version resume A --apply", command_version_resume},
    {"version prior", "NAME", "Estimate the prior from the documents, or give one; shows old and new until --execute",
     "tidemill version prior A --estimate mle --reason \"first week\" --execute", command_version_prior},
    {"version encoder", "NAME", "Give a version another encoder; shows what would begin anew until --execute",
     "tidemill version encoder B --file encoder.safetensors --reason \"trained on May\" --execute",
     command_version_encoder},
    {"version compare", "A B",
     "Compare two versions from the samples that are kept: what each earned, and what each would have earned in the "
     "other's place",
     "tidemill version compare A B --from 2019-11-24T00:00:00Z", command_version_compare},
    {"params export", NULL, "Print every parameter of a version", "tidemill params export --version A > a.csv",
     command_params_export},
    {"params digest", NULL, "Print one number per version that stands for all of its parameters",
     "tidemill params digest --version A", command_params_digest},
    {"params reset", "[DOC...]",
     "Let documents begin anew with the prior; shows what would be forgotten until --execute",
     "tidemill params reset --version A d17 --reason \"bot clicks\" --execute", command_params_reset},
    {"params changes", NULL, "Show which parameters were changed by hand, by whom and why",
     "tidemill params changes --version A", command_params_changes},
    {"samples tail", NULL, "Show the newest samples, and those that follow",
     "tidemill samples tail --version A -n 20 --follow", command_samples_tail},
    {"samples export", NULL, "Write the samples that are kept to a file",
     "tidemill samples export --from 2019-11-24T00:00:00Z --format avro -o samples.avro", command_samples_export},
    {"samples verify", "[EVENTS...]",
     "Compare the samples that are kept with those that are expected (exit code 2: they differ)",
     "tidemill samples verify --recompute impressions.jsonl clicks.jsonl", command_samples_verify},
    {"samples window", NULL, "Show how long actions take, and what each join.window would mean",
     "tidemill samples window --stream clicks", command_samples_window},
    {"deadletters list", NULL, "List what was set aside or refused, newest first",
     "tidemill deadletters list --stream clicks --reason late", command_deadletters_list},
    {"deadletters show", "ID", "Show one of them: why, from where, and its bytes", "tidemill deadletters show 12/4711",
     command_deadletters_show},
    {"drain", NULL, "Return when everything accepted so far is applied and durable", "tidemill drain --timeout 2m",
     command_drain},
    {"health", NULL, "Tell whether the server is serving (exit code 10: it is not; 3: no answer)",
     "tidemill health --server 127.0.0.1:7070", command_health},
};

/* ---- parsing ---- */

struct parse {
    const struct command *self;
    struct settings *settings;
};

static const char *const output_names[] = {[OUTPUT_TABLE] = "table", [OUTPUT_CSV] = "csv", [OUTPUT_JSON] = "json"};

static void parse_output(struct settings *s, const char *name, struct argp_state *state)
{
    for (unsigned i = 0; i < ARRAY_LEN(output_names); i++)
        if ((s->outputs & 1u << i) && strcmp(name, output_names[i]) == 0) {
            s->output = (enum output)i;
            return;
        }
    argp_error(state, "--output: got \"%s\"; expected one of:%s%s%s", name,
               s->outputs & 1u << OUTPUT_TABLE ? " table" : "", s->outputs & 1u << OUTPUT_CSV ? " csv" : "",
               s->outputs & 1u << OUTPUT_JSON ? " json" : "");
}

/* HOST:PORT; an IPv6 host stands in brackets. */
static bool is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon || colon == text || !isdigit((unsigned char)colon[1]))
        return false;
    if (memchr(text, ':', (size_t)(colon - text)) && !(text[0] == '[' && colon[-1] == ']'))
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    return *end == '\0' && port >= 1 && port <= 65535;
}

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
    struct settings *s = state->input;
    switch (key) {
    case KEY_SERVER: s->server = argument; return 0;
    case ARGP_KEY_END:
        if (!is_address(s->server))
            argp_error(state, "%s: got \"%s\"; expected HOST:PORT",
                       s->server == getenv(SERVER_VARIABLE) ? SERVER_VARIABLE : "--server", s->server);
        return 0;
    case KEY_TIMEOUT: s->timeout_ms = command_duration("--timeout", argument, state); return 0;
    case 'h': argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP); return 0;
    case 'o':
        if (!s->outputs)
            return ARGP_ERR_UNKNOWN;
        parse_output(s, argument, state);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int64_t command_duration(const char *option, const char *text, struct argp_state *state)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *unit;
    double value = strtod(text, &unit);
    for (size_t i = 0; i < ARRAY_LEN(units) && unit != text; i++)
        if (strcmp(unit, units[i].unit) == 0 && value >= 0 && value * units[i].ms < 1e12)
            return (int64_t)(value * units[i].ms);
    argp_error(state, "%s: got \"%s\"; expected a duration like 500ms, 30s, 2m or 1h", option, text);
    return 0;
}

/* The parser below the command's own: passes each parser its input. */
struct inputs {
    void *own;
    struct settings *settings;
    const struct argp_child *children;
};

static error_t parse_init(int key, char *argument, struct argp_state *state)
{
    struct inputs *in = state->input;
    (void)argument;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    for (int i = 0; in->children[i].argp; i++)
        state->child_inputs[i] = i == 0 ? in->own : (void *)in->settings;
    return 0;
}

void command_parse(const struct command *self, const struct argp_option *options, argp_parser_t parser, void *input,
                   struct settings *settings, int argc, char **argv)
{
    char output_help[64];
    const struct argp_option common_options[] = {
        {"output", 'o', "FORM", 0, output_help, 1},
        {"server", KEY_SERVER, "HOST:PORT", 0, "Server to talk to (default: $TIDEMILL_SERVER, else 127.0.0.1:7070)", 1},
        {"timeout", KEY_TIMEOUT, "TIME", 0, "How long to wait for it (default: 30s)", 1},
        {NULL, 'h', NULL, OPTION_HIDDEN, NULL, 1},
        {0},
    };
    char doc[512];
    const struct argp own = {.options = options, .parser = parser};
    const struct argp common = {.options = common_options + !settings->outputs, .parser = parse_common};
    const struct argp_child children[] = {{.argp = &own}, {.argp = &common}, {0}};
    struct inputs inputs = {input, settings, children};
    snprintf(output_help, sizeof output_help, "%s (default: %s)",
             settings->outputs & 1u << OUTPUT_CSV ? "table, csv or json" : "table or json",
             output_names[settings->output]);
    if (!settings->server)
        settings->server = getenv(SERVER_VARIABLE) ? getenv(SERVER_VARIABLE) : "127.0.0.1:7070";
    if (!settings->timeout_ms)
        settings->timeout_ms = COMMAND_TIMEOUT_MS;
    snprintf(doc, sizeof doc, "%s.\vExample: %s", self->summary, self->example);
    const struct argp whole = {.parser = parse_init, .args_doc = self->arguments, .doc = doc, .children = children};
    argp_parse(&whole, argc, argv, 0, NULL, &inputs);
}

/* ---- running ---- */

int command_failed(const struct tm_error *err)
{
    fputs("tidemill: ", stderr);
    print_escaped(stderr, *err->message ? err->message : tm_code_help(err->code));
    fputc('\n', stderr);
    return tm_code_exit(err->code);
}

void command_hint(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fflush(stdout); /* a failure stays in the stream: command_flushed() tells it */
    print_escaped(stderr, text);
    fputc('\n', stderr);
}

int command_flushed(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "tidemill: standard output: %s\n", strerrordesc_np(errno));
    return EXIT_IO;
}

enum tm_code command_call(const struct settings *settings, const char *method, const ProtobufCMessage *request,
                          const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **reply, struct tm_error *err)
{
    struct connection *c = connection_open(settings->server);
    enum tm_code rc = connection_call(c, method, request, reply_type, settings->timeout_ms, reply, err);
    connection_close(c);
    return rc;
}

int command_show(const struct settings *settings, const char *method, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *reply_type, command_print *print)
{
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    if (command_call(settings, method, request, reply_type, &reply, &err) != TM_OK)
        return command_failed(&err);
    if (settings->output == OUTPUT_JSON)
        print_json_line(reply);
    else
        print(request, reply);
    wire_free(reply);
    return command_flushed(0);
}

/* ---- finding ---- */

struct catalog {
    const struct command *list[2];
    size_t count[2];
};

static const struct command *command_at(const struct catalog *c, size_t i)
{
    if (i < c->count[0])
        return &c->list[0][i];
    i -= c->count[0];
    return i < c->count[1] ? &c->list[1][i] : NULL;
}

/* The command that argv begins with; *words of it. NULL: none. */
static const struct command *find(const struct catalog *c, int argc, char **argv, int *words)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(c, i)); i++) {
        size_t first = strcspn(command->name, " ");
        bool two = command->name[first] == ' ';
        if (strlen(argv[0]) != first || strncmp(argv[0], command->name, first) != 0)
            continue;
        if (two && (argc < 2 || strcmp(argv[1], command->name + first + 1) != 0))
            continue;
        *words = two ? 2 : 1;
        return command;
    }
    return NULL;
}

static bool in_group(const struct command *command, const char *group)
{
    size_t size = strlen(group);
    return strncmp(command->name, group, size) == 0 && command->name[size] == ' ';
}

/* argv[0] begins the names of several commands: list them. */
static bool list_group(const struct catalog *c, const char *group)
{
    const struct command *command;
    bool found = false;
    for (size_t i = 0; (command = command_at(c, i)); i++) {
        if (!in_group(command, group))
            continue;
        fprintf(stderr, "%s%s", found ? ", " : "tidemill: expected one of: ", command->name);
        found = true;
    }
    return found;
}

static int unknown(const struct catalog *c, int argc, char **argv)
{
    char typed[2 * NAME_MAX_SIZE];
    const struct command *command, *nearest = NULL;
    size_t best = TYPO_MAX + 1;
    bool two_words = argc > 1 && argv[1][0] != '-';
    snprintf(typed, sizeof typed, "%s%s%s", argv[0], two_words ? " " : "", two_words ? argv[1] : "");
    for (size_t i = 0; (command = command_at(c, i)); i++) {
        size_t d = text_distance(strchr(command->name, ' ') ? typed : argv[0], command->name);
        if (d < best) {
            best = d;
            nearest = command;
        }
    }
    if (nearest || argv[0][0] == '-' || !list_group(c, argv[0])) {
        fputs("tidemill: unknown command \"", stderr);
        print_escaped(stderr, nearest && strchr(nearest->name, ' ') ? typed : argv[0]);
        fputc('"', stderr);
    }
    if (nearest)
        fprintf(stderr, "; did you mean \"%s\"?", nearest->name);
    else if (argv[0][0] == '-')
        fputs("; options come behind the command", stderr);
    fputs(" (tidemill help lists all)\n", stderr);
    return EXIT_USAGE;
}

static bool is_help(const char *word) { return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0; }

/* The commands whose first word is `group`. False: there are none, and nothing was printed. */
static bool group_help(const struct catalog *c, const char *group, FILE *out)
{
    const struct command *command;
    bool found = false;
    for (size_t i = 0; (command = command_at(c, i)); i++) {
        if (!in_group(command, group))
            continue;
        if (!found)
            fprintf(out, "Usage: tidemill %s COMMAND [OPTION...] [ARGUMENT...]\n\n", group);
        fprintf(out, "  %-18s %s\n", command->name, command->summary);
        found = true;
    }
    if (found)
        fprintf(out, "\ntidemill help %s COMMAND shows the options of one.\n", group);
    return found;
}

/* argv names no command; perhaps it begins some. asked: for help. */
static int no_command(const struct catalog *c, int argc, char **argv, bool asked)
{
    asked |= argc > 1 && is_help(argv[1]);
    if ((argc == 1 || asked) && group_help(c, argv[0], asked ? stdout : stderr))
        return asked ? command_flushed(0) : EXIT_USAGE;
    return unknown(c, argc, argv);
}

static int help(const struct catalog *c)
{
    const struct command *command;
    puts("Usage: tidemill COMMAND [OPTION...] [ARGUMENT...]\n"
         "An online-learning parameter server with an integrated sample joiner.\n");
    for (size_t i = 0; (command = command_at(c, i)); i++)
        printf("  %-18s %s\n", command->name, command->summary);
    puts("\n  help [COMMAND]     Show this, or the options of a command\n"
         "  --version          Show the program's version\n\n"
         "Exit codes: 0 done, 1 error, 2 usage or bad input, 3 cannot connect, 4 not allowed, 5 not found, 6 wrong "
         "state,\n"
         "7 timeout, 8 damaged data, 10 not serving, 130 stopped by a second signal.");
    return command_flushed(0);
}

static int run(const struct command *command, int words, int argc, char **argv)
{
    char name[NAME_MAX_SIZE + 16];
    snprintf(name, sizeof name, "tidemill %s", command->name);
    argv[words - 1] = name;
    return command->run(command, argc - words + 1, argv + words - 1);
}

int commands_main(int argc, char **argv, const struct command *more, size_t more_count)
{
    struct catalog c = {{more, client_commands}, {more_count, ARRAY_LEN(client_commands)}};
    char *for_help[] = {NULL, (char *)"--help", NULL};
    const struct command *command;
    int words = 0;
    argp_err_exit_status = EXIT_USAGE;
    setenv("ARGP_HELP_FMT", "rmargin=100,no-dup-args-note", 0);
    argc--;
    argv++;
    if (argc < 1 || is_help(argv[0]))
        return help(&c);
    if (strcmp(argv[0], "--version") == 0) {
        puts("tidemill " TIDEMILL_VERSION);
        return command_flushed(0);
    }
    if (strcmp(argv[0], "help") == 0) {
        if (argc == 1)
            return help(&c);
        command = find(&c, argc - 1, argv + 1, &words);
        return command ? run(command, 1, 2, for_help) : no_command(&c, argc - 1, argv + 1, true);
    }
    command = find(&c, argc, argv, &words);
    return command ? run(command, words, argc, argv) : no_command(&c, argc, argv, false);
}

static command_rules_reader *rules_reader;

void commands_read_rules_by(command_rules_reader *reader) { rules_reader = reader; }

enum tm_code command_read_rules(const char *path, struct buffer *packed, struct tm_error *err)
{
    return rules_reader(path, packed, err);
}

const char *command_names(char *const *names, size_t count, char buf[static COMMAND_NAMES_SIZE])
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < count && used < COMMAND_NAMES_SIZE; i++)
        used += (size_t)snprintf(buf + used, COMMAND_NAMES_SIZE - used, "%s%s", i ? ", " : "", names[i]);
    return buf;
}
