/* client/commands.h - the command line: one table of commands, from which dispatch, parsing and help come.
 *
 * A command is one or two words ("pull", "params export"). Each has one usage line, options with their defaults and an
 * example; unknown commands are answered with the nearest name.
 * Output   data to standard output, messages to standard error.
 * Exit     the codes of base/error.h; wrong usage is 2; an unhealthy server is EXIT_UNHEALTHY. */
#ifndef TIDEMILL_CLIENT_COMMANDS_H
#define TIDEMILL_CLIENT_COMMANDS_H

#include <argp.h>

#include "base/bytes.h"
#include "base/error.h"
#include "client/connection.h"
#include "client/print.h"

enum { EXIT_UNHEALTHY = 10, EXIT_USAGE = 2, EXIT_IO = 1, COMMAND_TIMEOUT_MS = 30000 };

struct command {
    const char *name;
    const char *arguments; /* "FILE..."; NULL: none */
    const char *summary;   /* one sentence without its full stop */
    const char *example;
    int (*run)(const struct command *self, int argc,
               char **argv); /* argv[0]: the command's name; returns the exit code */
};

/* Run argv: one of `more` (commands of the program's own, listed first) or of the client's. Returns the exit code. */
int commands_main(int argc, char **argv, const struct command *more, size_t more_count);

/* How the program reads a configuration file, as a packed JoinRulesReply: by itself the client cannot. Said once,
 * before commands_main(). */
typedef enum tm_code command_rules_reader(const char *path, struct buffer *packed, struct tm_error *err);
void commands_read_rules_by(command_rules_reader *reader);
enum tm_code command_read_rules(const char *path, struct buffer *packed, struct tm_error *err);

/* What client commands have in common; command_parse() fills it. */
struct settings {
    const char *server;
    int64_t timeout_ms;
    enum output output;
    unsigned outputs; /* bits of enum output that the command offers; 0: it has no -o */
};

/* Parse options and arguments; leaves with EXIT_USAGE when they are wrong, with 0 after --help. input is what the
 * command's own parser finds in state->input. */
void command_parse(const struct command *self, const struct argp_option *options, argp_parser_t parser, void *input,
                   struct settings *settings, int argc, char **argv);

/* "30s", "500ms", "2m", "1h" of an option such as "--timeout": for parsers; leaves with a usage error otherwise. */
int64_t command_duration(const char *option, const char *text, struct argp_state *state);

/* Say what went wrong; returns the exit code. */
int command_failed(const struct tm_error *err);

/* What to do next: a line on standard error, behind all that was printed so far; control characters are escaped. */
void command_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "A, B", cut where the room ends. Returns buf. */
enum { COMMAND_NAMES_SIZE = 256 };
const char *command_names(char *const *names, size_t count, char buf[static COMMAND_NAMES_SIZE]);

/* Flush standard output: data that could not be written is an error too. Returns code, or EXIT_IO. */
int command_flushed(int code);

/* One call to settings->server. */
enum tm_code command_call(const struct settings *settings, const char *method, const ProtobufCMessage *request,
                          const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **reply, struct tm_error *err);
/* The same, and its reply is shown: as JSON if settings say so, else by `print`. Returns the exit code. */
typedef void command_print(const ProtobufCMessage *request, const ProtobufCMessage *reply);
int command_show(const struct settings *settings, const char *method, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *reply_type, command_print *print);

int command_deadletters_list(const struct command *self, int argc, char **argv);
int command_deadletters_show(const struct command *self, int argc, char **argv);
int command_drain(const struct command *self, int argc, char **argv);
int command_health(const struct command *self, int argc, char **argv);
int command_ingest(const struct command *self, int argc, char **argv);
int command_params_changes(const struct command *self, int argc, char **argv);
int command_params_digest(const struct command *self, int argc, char **argv);
int command_params_export(const struct command *self, int argc, char **argv);
int command_params_reset(const struct command *self, int argc, char **argv);
int command_pull(const struct command *self, int argc, char **argv);
int command_rank(const struct command *self, int argc, char **argv);
int command_reward(const struct command *self, int argc, char **argv);
int command_samples_export(const struct command *self, int argc, char **argv);
int command_samples_tail(const struct command *self, int argc, char **argv);
int command_samples_verify(const struct command *self, int argc, char **argv);
int command_samples_window(const struct command *self, int argc, char **argv);
int command_status(const struct command *self, int argc, char **argv);
int command_version_compare(const struct command *self, int argc, char **argv);
int command_version_create(const struct command *self, int argc, char **argv);
int command_version_encoder(const struct command *self, int argc, char **argv);
int command_version_list(const struct command *self, int argc, char **argv);
int command_version_pause(const struct command *self, int argc, char **argv);
int command_version_prior(const struct command *self, int argc, char **argv);
int command_version_resume(const struct command *self, int argc, char **argv);
int command_version_show(const struct command *self, int argc, char **argv);

#endif
