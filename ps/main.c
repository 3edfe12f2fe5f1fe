/* The program: `serve` and `config` are answered here, every other command by client/. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/commands.h"
#include "ps/engine/metrics.h"
#include "ps/engine/option_problems.h"
#include "ps/engine/option_table.h"
#include "ps/engine/options.h"
#include "ps/engine/user_lists.h"
#include "ps/server/join_rules.h"
#include "ps/server/server.h"

enum { KEY_SIZE = 128, FLAG_WIDTH = 27, LINE_WIDTH = 100 };

/* What the command line says about the configuration. */
struct flags {
    const char *config;
    char **names, **values; /* "--commit-interval", "2s" */
    size_t count;
};

/* ---- options ---- */

/* "--join-allowed-lateness" is join.allowed_lateness, "--rpc-threads" is rpc_threads: the table knows which. */
static void flag_key(const char *flag, char key[static KEY_SIZE])
{
    snprintf(key, KEY_SIZE, "%s", flag + strspn(flag, "-"));
    for (char *p = key; *p; p++)
        if (*p == '-')
            *p = '_';
    char *group = strchr(key, '_');
    if (!group || option_scalar_find(key))
        return;
    *group = '.';
}

static void key_flag(const char *key, char flag[static KEY_SIZE])
{
    snprintf(flag, KEY_SIZE, "--%s", key);
    for (char *p = flag; *p; p++)
        if (*p == '.' || *p == '_')
            *p = '-';
}

/* Defaults, then file, then environment, then flags; then the whole. */
static void read_options(const struct flags *flags, struct options *o, struct option_problems *problems)
{
    char key[KEY_SIZE];
    options_default(o);
    if (flags->config)
        options_read_file(o, flags->config, problems);
    uint32_t file_problems = problems->count;
    options_read_environment(o, problems);
    for (size_t i = 0; i < flags->count; i++) {
        flag_key(flags->names[i], key);
        options_set(o, key, flags->values[i], flags->names[i], problems);
    }
    if (file_problems == 0 || o->versions > 0) /* of a file that gave nothing, only why is told */
        options_check(o, flags->config ? flags->config : "configuration", problems);
}

/* Every problem on a line of its own; returns the exit code. */
static int tell_problems(const struct option_problems *problems)
{
    fwrite(problems->text.data, 1, problems->text.size, stderr);
    fprintf(stderr, "tidemill: %u problem%s in the configuration\n", problems->count, problems->count == 1 ? "" : "s");
    return EXIT_USAGE;
}

static void tell_warnings(const struct options *o, const char *path)
{
    struct option_problems warnings = {0};
    options_warn(o, path, &warnings);
    if (warnings.count > 0)
        fwrite(warnings.text.data, 1, warnings.text.size, stderr);
    buffer_close(&warnings.text);
}

/* Read the configuration and hand it to act(). */
static int with_options(const struct flags *flags, int (*act)(const struct options *o, const struct flags *flags))
{
    struct options *o = mem_new(1, sizeof *o);
    struct option_problems problems = {0};
    read_options(flags, o, &problems);
    if (problems.count == 0)
        tell_warnings(o, flags->config ? flags->config : "configuration");
    int code = problems.count ? tell_problems(&problems) : act(o, flags);
    buffer_close(&problems.text);
    free(o);
    return code;
}

/* ---- the command line ---- */

/* The words of text up to LINE_WIDTH, further lines indented; `column` is where it begins, returns where it ends. */
static int print_wrapped(const char *text, int column, int indent)
{
    while (*text) {
        int size = (int)strcspn(text, " ");
        if (column > indent && column + 1 + size > LINE_WIDTH)
            column = printf("\n%*s", indent, "") - 1;
        column += printf("%s%.*s", column > indent ? " " : "", size, text);
        text += size;
        text += strspn(text, " ");
    }
    return column;
}

static void print_flags(void)
{
    enum { INDENT = FLAG_WIDTH + 3 };
    char flag[KEY_SIZE], preset[KEY_SIZE];
    puts("\nEvery option of the configuration but its lists; a flag wins over TIDEMILL_... and the file:");
    for (size_t i = 0; i < option_scalar_count; i++) {
        const struct option_row *row = &option_scalars[i];
        if (row->type == OPTION_UNAVAILABLE)
            continue;
        key_flag(row->key, flag);
        snprintf(preset, sizeof preset, row->preset ? "(default: %s)" : "", row->preset);
        print_wrapped(preset, print_wrapped(row->help, printf("  %-*s ", FLAG_WIDTH, flag), INDENT), INDENT);
        putchar('\n');
    }
}

static int print_help(const struct command *self)
{
    printf("Usage: tidemill %s%s%s\n%s.\n", self->name, self->arguments ? " " : "",
           self->arguments ? self->arguments : "", self->summary);
    if (self->arguments && strstr(self->arguments, "--KEY"))
        print_flags();
    printf("\nExample: %s\n", self->example);
    return command_flushed(0);
}

static int usage(const struct command *self, const char *what, const char *word)
{
    fprintf(stderr, "tidemill %s: %s \"", self->name, what);
    print_escaped(stderr, word);
    fprintf(stderr, "\" (tidemill help %s)\n", self->name);
    return EXIT_USAGE;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static bool takes_value(const char *flag)
{
    char key[KEY_SIZE];
    flag_key(flag, key);
    return strcmp(flag, "--config") == 0 || strcmp(flag, "-o") == 0 || option_scalar_find(key);
}

/* "--name value" and "--name=value" into flags, whose arrays have room for argc. Returns 0 or an exit code. */
static int parse_flags(const struct command *self, int argc, char **argv, struct flags *flags)
{
    for (int i = 1; i < argc; i++) {
        char *name = argv[i], *value = strchr(name, '=');
        if (strcmp(name, "-o") != 0 && (strncmp(name, "--", 2) != 0 || name[2] == '\0'))
            return usage(self, "unexpected", name);
        if (value)
            *value++ = '\0';
        else if (i + 1 < argc)
            value = argv[++i];
        else if (!takes_value(name))
            return usage(self, "unknown option", name);
        else
            return usage(self, "a value is missing behind", name);
        if (strcmp(name, "--config") == 0) {
            flags->config = value;
        } else if (strcmp(name, "-o") == 0) {
            if (strcmp(value, "yaml") != 0)
                return usage(self, "-o: expected yaml, got", value);
        } else {
            flags->names[flags->count] = name;
            flags->values[flags->count++] = value;
        }
    }
    return 0;
}

static int run_with_flags(const struct command *self, int argc, char **argv,
                          int (*act)(const struct options *o, const struct flags *flags))
{
    struct flags flags = {.names = mem_new((size_t)argc, sizeof(char *)),
                          .values = mem_new((size_t)argc, sizeof(char *))};
    int code = wants_help(argc, argv) ? print_help(self) : parse_flags(self, argc, argv, &flags);
    if (code == 0 && !wants_help(argc, argv))
        code = with_options(&flags, act);
    free(flags.names);
    free(flags.values);
    return code;
}

/* ---- commands ---- */

/* The same flags and environment; the file as it is now. */
static enum tm_code read_again(void *flags, struct options *out, struct tm_error *err)
{
    struct option_problems problems = {0};
    read_options(flags, out, &problems);
    return options_refuse(&problems, err);
}

static int act_serve(const struct options *o, const struct flags *flags)
{
    struct tm_error err = {0};
    struct flags same = *flags;
    struct server_configuration again = {read_again, &same};
    return server_run(o, &again, &err) == TM_OK ? 0 : command_failed(&err);
}

static int act_show(const struct options *o, const struct flags *flags)
{
    (void)flags;
    CLEANUP(buffer_close) struct buffer text = {0};
    options_show(o, &text);
    fwrite(text.data, 1, text.size, stdout);
    return command_flushed(0);
}

/* What a start and SIGHUP read besides; a configuration may be looked at where these files are not. */
static void check_users(const struct options *o, const char *path, struct option_problems *problems)
{
    const char *const files[][2] = {{o->users_block, ""}, {"", o->users_allow}};
    const struct user_lists unseeded = {0};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct tm_error err;
        struct user_lists_read read;
        if (user_lists_read(&unseeded, files[i][0], files[i][1], &read, &err) != TM_OK)
            option_problem(problems, path, NULL, "users.%s: %s", *files[i][0] ? "block" : "allow", err.message);
        user_lists_read_close(&read);
    }
}

static int act_check(const struct options *o, const struct flags *flags)
{
    struct option_problems problems = {0};
    check_users(o, flags->config, &problems);
    int code = problems.count ? tell_problems(&problems) : 0;
    buffer_close(&problems.text);
    if (code != 0)
        return code;
    printf("ok: %u version%s, %u stream%s\n", o->versions, o->versions == 1 ? "" : "s", o->streams,
           o->streams == 1 ? "" : "s");
    return command_flushed(0);
}

static int run_serve(const struct command *self, int argc, char **argv)
{
    return run_with_flags(self, argc, argv, act_serve);
}

static int run_show(const struct command *self, int argc, char **argv)
{
    return run_with_flags(self, argc, argv, act_show);
}

static int run_check(const struct command *self, int argc, char **argv)
{
    if (wants_help(argc, argv))
        return print_help(self);
    if (argc != 2)
        return usage(self, argc < 2 ? "expected a" : "unexpected", argc < 2 ? "FILE" : argv[2]);
    return with_options(&(struct flags){.config = argv[1]}, act_check);
}

static int print_page(const struct command *self, int argc, char **argv, void (*write)(struct buffer *out))
{
    CLEANUP(buffer_close) struct buffer text = {0};
    if (wants_help(argc, argv))
        return print_help(self);
    if (argc != 1)
        return usage(self, "unexpected", argv[1]);
    write(&text);
    fwrite(text.data, 1, text.size, stdout);
    return command_flushed(0);
}

static int run_config_reference(const struct command *self, int argc, char **argv)
{
    return print_page(self, argc, argv, options_reference);
}

static int run_metrics_reference(const struct command *self, int argc, char **argv)
{
    return print_page(self, argc, argv, metrics_reference);
}

/* For `samples verify --recompute --config FILE`. */
static enum tm_code read_rules(const char *path, struct buffer *packed, struct tm_error *err)
{
    const struct flags flags = {.config = path};
    struct option_problems problems = {0};
    struct options *o = mem_new(1, sizeof *o);
    read_options(&flags, o, &problems);
    enum tm_code rc = options_refuse(&problems, err);
    if (rc == TM_OK)
        join_rules_pack(o, false, packed);
    free(o);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct command commands[] = {
        {"serve", "[--config FILE] [--KEY VALUE...]", "Run the server",
         "tidemill serve --config tidemill.yaml --listen 127.0.0.1:7070 --commit-interval 2s", run_serve},
        {"config check", "FILE", "Tell every problem of a configuration (exit code 2: there are some)",
         "tidemill config check tidemill.yaml", run_check},
        {"config show", "[--config FILE] [-o yaml] [--KEY VALUE...]",
         "Print the configuration with every default filled in", "tidemill config show --config tidemill.yaml",
         run_show},
        {"config reference", NULL, "Print the manual of the configuration", "tidemill config reference",
         run_config_reference},
        {"metrics reference", NULL, "Print the manual of the metrics", "tidemill metrics reference",
         run_metrics_reference},
    };
    commands_read_rules_by(read_rules);
    return commands_main(argc, argv, commands, ARRAY_LEN(commands));
}
